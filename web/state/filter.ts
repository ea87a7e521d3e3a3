/** The filters of the page as the API's filter. */
import type { SearchRequest } from '../../src/client/index.js';
import { type ColumnFilter, EMPTY_FILTER } from './location.js';

export type FilterInput = NonNullable<SearchRequest['filter']>;
type Filters = Readonly<Record<string, ColumnFilter>>;

/** All columns must pass: any of the values, none of those, and the range. */
export function toFilter(filters: Filters): FilterInput {
  const conditions: FilterInput = [];
  for (const [column, { anyOf, noneOf, from, to }] of Object.entries(filters)) {
    if (anyOf.length > 0) conditions.push({ column, anyOf: [...anyOf] });
    if (noneOf.length > 0) conditions.push({ column, noneOf: [...noneOf] });
    if (from !== undefined) conditions.push({ column, from, ...(to === undefined ? {} : { to }) });
    else if (to !== undefined) conditions.push({ column, to });
  }
  return conditions;
}

/** The filters with one column's changed; a column without conditions is left out. */
export function withColumn(filters: Filters, column: string, change: Partial<ColumnFilter>): Filters {
  const { [column]: before = EMPTY_FILTER, ...others } = filters;
  const next = { ...before, ...change };
  const isEmpty =
    next.anyOf.length === 0 && next.noneOf.length === 0 && next.from === undefined && next.to === undefined;
  return isEmpty ? others : { ...others, [column]: next };
}

/** A value goes from not asked, to asked for, to ruled out, as `to` says. */
export function withValue(
  filters: Filters,
  column: string,
  value: string,
  to: 'off' | 'only' | 'not',
): Filters {
  const { anyOf, noneOf } = filters[column] ?? EMPTY_FILTER;
  const others = (values: readonly string[]) => values.filter((one) => one !== value);
  return withColumn(filters, column, {
    anyOf: to === 'only' ? [...others(anyOf), value] : others(anyOf),
    noneOf: to === 'not' ? [...others(noneOf), value] : others(noneOf),
  });
}

/** How many conditions there are, for a badge. */
export function countConditions(filters: Filters): number {
  return Object.values(filters).reduce(
    (sum, { anyOf, noneOf, from, to }) =>
      sum + anyOf.length + noneOf.length + (from === undefined && to === undefined ? 0 : 1),
    0,
  );
}
