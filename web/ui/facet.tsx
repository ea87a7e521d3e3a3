/** One column to filter by: its values with their counts, or a range of numbers. */
import { useState } from 'preact/hooks';
import type { CatalogResponse, FacetCounts } from '../../src/client/index.js';
import { withColumn, withValue } from '../state/filter.js';
import { type ColumnFilter, EMPTY_FILTER } from '../state/location.js';
import { Icon } from './icon.js';
import { useTexts } from './texts.js';

export type Filters = Readonly<Record<string, ColumnFilter>>;
type Column = CatalogResponse['attributes'][number];
const SHOWN = 6;
/** A list longer than this has a field to find values in. */
const SEARCHABLE = 12;

interface Props {
  readonly column: Column;
  readonly filters: Filters;
  readonly onChange: (filters: Filters) => void;
}

export function FacetValues({
  column,
  counts: counted,
  filters,
  isOpen,
  onChange,
}: Props & { readonly counts: FacetCounts[string]; readonly isOpen: boolean }) {
  const t = useTexts();
  const [isLong, setLong] = useState(false);
  const [wanted, setWanted] = useState('');
  const { anyOf, noneOf } = filters[column.name] ?? EMPTY_FILTER;
  const counts = new Map(counted.map(({ value, count }) => [value, count]));
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
    onChange(withValue(filters, column.name, value, to));
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

export function FacetRange({ column, filters, onChange }: Props) {
  const t = useTexts();
  const { from, to } = filters[column.name] ?? EMPTY_FILTER;
  const { minimum, maximum } = column.numeric!;
  const set = (event: Event) => {
    const data = new FormData((event.currentTarget as HTMLInputElement).form!);
    const bound = (name: string) => {
      const text = String(data.get(name) ?? '').trim();
      return text === '' || !Number.isFinite(Number(text)) ? undefined : Number(text);
    };
    let [low, high] = [bound('from'), bound('to')];
    if (low !== undefined && high !== undefined && low > high) [low, high] = [high, low];
    onChange(
      withColumn(withoutRange(filters, column.name), column.name, {
        ...(low === undefined ? {} : { from: low }),
        ...(high === undefined ? {} : { to: high }),
      }),
    );
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

/** The conditions in force, each with a way off. */
export function FilterChips({ filters, onChange }: Omit<Props, 'column'>) {
  const t = useTexts();
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
            onClick={() => onChange(next)}
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

function withoutRange(filters: Filters, column: string): Filters {
  const { anyOf, noneOf } = filters[column] ?? EMPTY_FILTER;
  const { [column]: _, ...others } = filters;
  return anyOf.length + noneOf.length === 0 ? others : { ...others, [column]: { anyOf, noneOf } };
}
