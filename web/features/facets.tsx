/** Filters: the values of each column with their counts, ranges of numbers, and what is chosen as chips to take off. */
import { navigate, page } from '../state/page.js';
import { catalog, facetColumns, facets, response } from '../state/search.js';
import { strings as t } from '../strings.js';
import { FacetRange, FacetValues, FilterChips, type Filters } from '../ui/facet.js';

export function Facets() {
  const columns = catalog.value?.attributes ?? [];
  const counted = new Set(facetColumns.value);
  const shown = columns.filter(({ name, numeric }) => numeric !== null || counted.has(name));
  const { filters } = page.value;
  const scope = response.value?.facetScope ?? 0;
  return (
    <section class="facets" aria-labelledby="facets-title">
      <div class="section-head">
        <h2 id="facets-title">{t.facets.title}</h2>
        {Object.keys(filters).length > 0 && (
          <button type="button" class="link-button" onClick={() => navigate({ filters: {} })}>
            {t.facets.clear}
          </button>
        )}
      </div>
      {shown.length === 0 && catalog.value !== null && <p class="muted">{t.facets.none}</p>}
      {shown.map((column, i) =>
        column.numeric === null ? (
          <FacetValues
            key={column.name}
            column={column}
            // The catalogue's own until those of the query are there: the list keeps its length, so nothing moves.
            counts={facets.value[column.name] ?? column.values}
            filters={filters}
            isOpen={i < 3}
            onChange={setFilters}
          />
        ) : (
          <FacetRange key={column.name} column={column} filters={filters} onChange={setFilters} />
        ),
      )}
      {scope > 0 && shown.length > 0 && <p class="muted small">{t.facets.scope(scope)}</p>}
    </section>
  );
}

/** The conditions in force, each with a way off. */
export function ActiveFilters() {
  return <FilterChips filters={page.value.filters} onChange={setFilters} />;
}

// --- internal ---

function setFilters(filters: Filters): void {
  navigate({ filters });
}
