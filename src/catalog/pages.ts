/**
 * The pages of a search: by score, by a column, or diverse; grouped or not. How an order is made and where a page ends says
 * `ordering.ts`; here it is decided how many pictures that takes.
 */
import type { Filter } from './filter.js';
import type { Findings, Found } from './findings.js';
import {
  COLUMN_VALUE,
  type Cursor,
  columnKey,
  compareKeys,
  diversify,
  groupByItem,
  type Key,
  scoreKey,
} from './ordering.js';
import { dotProduct } from './store.js';

/** What a page is made by; as in `SearchRequest`, with its defaults. */
export interface PageRequest {
  readonly limit: number;
  readonly filter: Filter;
  readonly diversity: number;
  readonly groupBy?: 'item' | 'none';
  readonly sort?: { readonly column: string; readonly direction?: 'ascending' | 'descending' } | undefined;
}

/** The best picture of an item and its others, or a picture alone. */
export interface Group {
  readonly best: Found;
  readonly others: readonly Found[];
}

export interface Page {
  readonly groups: readonly Group[];
  /** Where the next page goes on; `undefined`: this is the last. */
  readonly next: Omit<Cursor, 'search'> | undefined;
}

/** How many of the best pictures are sorted by a column. */
export const SORT_DEPTH = 1000;
/** How far down the pages of one search reach: hits. */
export const PAGING_DEPTH = 10_000;
/** How far down the pages of a diverse search reach: hits. */
export const DIVERSE_DEPTH = 200;

/** The page after a cursor, or the first. */
export async function takePage(
  found: Findings,
  request: PageRequest,
  cursor: Cursor | undefined,
): Promise<Page> {
  if (request.sort !== undefined) return await sortedPage(found, request, request.sort, cursor);
  if (request.diversity > 0) return await diversePage(found, request, cursor);
  const { limit, filter, groupBy } = request;
  const shown = cursor?.shown ?? 0;
  // Grouped, several pictures make one hit; the guess is made larger until the page is full.
  for (let depth = (groupBy === 'item' ? 4 : 1) * (shown + limit + 1); ; depth *= 4) {
    const most = Math.min(depth, PAGING_DEPTH);
    const { found: candidates, complete } = await found.best(most, filter);
    const page = afterKey(grouped(candidates, groupBy), ({ best }) => scoreKey(best), cursor, limit);
    if (page.next !== undefined || complete || most === PAGING_DEPTH) return page;
  }
}

// --- internal ---

async function sortedPage(
  found: Findings,
  { filter, groupBy, limit }: PageRequest,
  { column, direction = 'ascending' }: NonNullable<PageRequest['sort']>,
  cursor: Cursor | undefined,
): Promise<Page> {
  const { found: candidates } = await found.best(SORT_DEPTH, filter);
  const values = (candidate: Found) => candidate.record.fields[column] ?? [];
  const numeric = found.catalog.description.numericColumns.includes(column);
  const keyOf = ({ best }: Group) => columnKey(values(best), best.id, numeric);
  const descending = direction === 'descending' ? COLUMN_VALUE : undefined;
  const groups = grouped(candidates, groupBy).sort((a, b) => compareKeys(keyOf(a), keyOf(b), descending));
  return afterKey(groups, keyOf, cursor, limit, descending);
}

async function diversePage(
  found: Findings,
  { filter, groupBy, limit, diversity }: PageRequest,
  cursor: Cursor | undefined,
): Promise<Page> {
  const shownIds = new Set(cursor?.ids ?? []);
  const { found: candidates } = await found.best(4 * DIVERSE_DEPTH, filter);
  const groups = grouped(candidates, groupBy);
  const groupOf = new Map(groups.map((group) => [group.best, group]));
  const picked = groups.map(({ best }) => best).filter(({ id }) => shownIds.has(id));
  const count = Math.min(limit, DIVERSE_DEPTH - shownIds.size);
  const [embedding] = found.catalog.layout.parts;
  const similarity = (a: Found, b: Found) =>
    dotProduct(a.record.vector.subarray(0, embedding?.size), b.record.vector.subarray(0, embedding?.size));
  const chosen = diversify([...groupOf.keys()], { diversity, similarity, picked, count });
  const ids = [...shownIds, ...chosen.map(({ id }) => id)];
  const isLast = ids.length >= DIVERSE_DEPTH || picked.length + chosen.length === groups.length;
  return {
    groups: chosen.map((best) => groupOf.get(best) as Group),
    next: isLast ? undefined : { shown: ids.length, ids },
  };
}

function grouped(candidates: readonly Found[], groupBy: PageRequest['groupBy']): Group[] {
  return groupBy === 'item' ? groupByItem(candidates) : candidates.map((best) => ({ best, others: [] }));
}

/** The groups after the cursor's key, as many as a page takes, and the next cursor when there are more. */
function afterKey(
  groups: readonly Group[],
  keyOf: (group: Group) => Key,
  cursor: Cursor | undefined,
  limit: number,
  descending?: number,
): Page {
  const { key } = cursor ?? {};
  const rest =
    key === undefined ? groups : groups.filter((group) => compareKeys(keyOf(group), key, descending) > 0);
  const page = rest.slice(0, limit);
  const last = page.at(-1);
  const next =
    rest.length > limit && last !== undefined
      ? { shown: (cursor?.shown ?? 0) + page.length, key: keyOf(last) }
      : undefined;
  return { groups: page, next };
}
