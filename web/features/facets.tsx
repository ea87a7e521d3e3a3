/** Filters: the values of each column with their counts, ranges of numbers, and what is chosen as chips to take off. */
import { useState } from 'preact/hooks';
import type { CatalogResponse } from '../../src/server/contract.js';
import { withColumn, withValue } from '../state/filter.js';
import { EMPTY_FILTER } from '../state/location.js';
import { navigate, page } from '../state/page.js';
import { catalog, facetColumns, facets, response } from '../state/search.js';
import { strings as t } from '../strings.js';
import { Icon } from '../ui/icon.js';

type Column = CatalogResponse['attributes'][number];
const SHOWN = 6;
/** A list longer than this has a field to find values in. */
const SEARCHABLE = 12;

export function Facets() {
  const columns = catalog.value?.attributes ?? [];
  const counted = new Set(facetColumns.value);
  const shown = columns.filter(({ name, numeric }) => numeric !== null || counted.has(name));
  const scope = response.value?.facetScope ?? 0;
  return (
    <section class="facets" aria-labelledby="facets-title">
      <div class="section-head">
        <h2 id="facets-title">{t.facets.title}</h2>
        {Object.keys(page.value.filters).length > 0 && (
          <button type="button" class="link-button" onClick={() => navigate({ filters: {} })}>
            {t.facets.clear}
          </button>
        )}
      </div>
      {shown.length === 0 && catalog.value !== null && <p class="muted">{t.facets.none}</p>}
      {shown.map((column, i) =>
        column.numeric === null ? (
          <Values key={column.name} column={column} isOpen={i < 3} />
        ) : (
          <Range key={column.name} column={column} />
        ),
      )}
      {scope > 0 && shown.length > 0 && <p class="muted small">{t.facets.scope(scope)}</p>}
    </section>
  );
}

/** The conditions in force, each with a way off. */
export function ActiveFilters() {
  const { filters } = page.value;
  const chips = Object.entries(filters).flatMap(([column, { anyOf, noneOf, from, to }]) => [
    ...anyOf.map((value) => ({ column, text: value, next: withValue(filters, column, value, 'off') })),
    ...noneOf.map((value) => ({
      column,
      text: `${t.facets.notShort} ${value}`,
      next: withValue(filters, column, value, 'off'),
    })),
    ...(from === undefined && to === undefined
      ? []
      : [{ column, text: `${from ?? '…'} – ${to ?? '…'}`, next: withoutRange(filters, column) }]),
  ]);
  if (chips.length === 0) return null;
  return (
    <ul class="chips active-filters" aria-label={t.facets.active}>
      {chips.map(({ column, text, next }) => (
        <li key={`${column}:${text}`}>
          <button
            type="button"
            class="chip chip-on"
            aria-label={t.facets.removeFilter(column, text)}
            onClick={() => navigate({ filters: next })}
          >
            <span class="chip-column">{column}</span> {text}
            <Icon name="close" size={14} />
          </button>
        </li>
      ))}
    </ul>
  );
}

// --- internal ---

type Filters = ReturnType<typeof withColumn>;

function withoutRange(filters: Filters, column: string): Filters {
  const { anyOf, noneOf } = filters[column] ?? EMPTY_FILTER;
  const { [column]: _, ...others } = filters;
  return anyOf.length + noneOf.length === 0 ? others : { ...others, [column]: { anyOf, noneOf } };
}

function Values({ column, isOpen }: { column: Column; isOpen: boolean }) {
  const [isLong, setLong] = useState(false);
  const [wanted, setWanted] = useState('');
  const { filters } = page.value;
  const { anyOf, noneOf } = filters[column.name] ?? EMPTY_FILTER;
  const counts = new Map((facets.value[column.name] ?? []).map(({ value, count }) => [value, count]));
  // A chosen value stays in the list when nothing is left of it.
  for (const value of [...anyOf, ...noneOf]) if (!counts.has(value)) counts.set(value, 0);
  const needle = wanted.trim().toLowerCase();
  const all = [...counts]
    .filter(([value]) => needle === '' || value.toLowerCase().includes(needle))
    .sort((a, b) => Number(isChosen(b[0])) - Number(isChosen(a[0])) || b[1] - a[1] || (a[0] < b[0] ? -1 : 1));
  const shown = isLong || needle !== '' ? all.slice(0, 200) : all.slice(0, SHOWN);
  function isChosen(value: string): boolean {
    return anyOf.includes(value) || noneOf.includes(value);
  }
  const set = (value: string, to: 'off' | 'only' | 'not') =>
    navigate({ filters: withValue(page.peek().filters, column.name, value, to) });
  return (
    <details class="facet" open={isOpen || anyOf.length + noneOf.length > 0}>
      <summary>
        <span>{column.name}</span>
        <Icon name="right" size={16} />
      </summary>
      {counts.size > SEARCHABLE && (
        <input
          type="search"
          class="facet-search"
          aria-label={t.facets.search(column.name)}
          placeholder={t.facets.search(column.name)}
          value={wanted}
          onInput={(event) => setWanted(event.currentTarget.value)}
        />
      )}
      <ul>
        {shown.map(([value, count]) => {
          const isOnly = anyOf.includes(value);
          const isNot = noneOf.includes(value);
          return (
            <li key={value} class="facet-value">
              <label>
                <input
                  type="checkbox"
                  checked={isOnly}
                  onChange={() => set(value, isOnly ? 'off' : 'only')}
                />
                <span class={isNot ? 'facet-name facet-not' : 'facet-name'}>{value}</span>
                <span class="facet-count">{t.number(count)}</span>
              </label>
              <button
                type="button"
                class="facet-exclude"
                aria-label={t.facets.not(value)}
                title={t.facets.not(value)}
                aria-pressed={isNot}
                onClick={() => set(value, isNot ? 'off' : 'not')}
              >
                <Icon name="minus" size={14} />
              </button>
            </li>
          );
        })}
      </ul>
      {needle === '' && all.length > SHOWN && (
        <button type="button" class="link-button" onClick={() => setLong(!isLong)}>
          {isLong ? t.facets.fewerValues : t.facets.moreValues(all.length - SHOWN)}
        </button>
      )}
    </details>
  );
}

function Range({ column }: { column: Column }) {
  const { from, to } = page.value.filters[column.name] ?? EMPTY_FILTER;
  const { minimum, maximum } = column.numeric!;
  const set = (event: Event) => {
    const data = new FormData((event.currentTarget as HTMLInputElement).form!);
    const bound = (name: string) => {
      const text = String(data.get(name) ?? '').trim();
      return text === '' || !Number.isFinite(Number(text)) ? undefined : Number(text);
    };
    let [low, high] = [bound('from'), bound('to')];
    if (low !== undefined && high !== undefined && low > high) [low, high] = [high, low];
    navigate({
      filters: withColumn(withoutRange(page.peek().filters, column.name), column.name, {
        ...(low === undefined ? {} : { from: low }),
        ...(high === undefined ? {} : { to: high }),
      }),
    });
  };
  return (
    <details class="facet" open>
      <summary>
        <span>{column.name}</span>
        <Icon name="right" size={16} />
      </summary>
      <form class="range" onSubmit={(event) => event.preventDefault()}>
        <input
          name="from"
          type="number"
          step="any"
          placeholder={String(minimum)}
          value={from ?? ''}
          aria-label={t.facets.from(column.name)}
          onChange={set}
        />
        <span aria-hidden="true">–</span>
        <input
          name="to"
          type="number"
          step="any"
          placeholder={String(maximum)}
          value={to ?? ''}
          aria-label={t.facets.to(column.name)}
          onChange={set}
        />
      </form>
    </details>
  );
}
