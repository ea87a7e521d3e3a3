/**
 * What a search finds, best first, as deep as it is asked for: all that the store has, or only what is likely enough.
 */
import { byCodePoint } from '../granularity/index.js';
import type { Catalog } from './catalog.js';
import type { Certainty, MinimumProbability } from './certainty.js';
import type { Filter } from './filter.js';
import { dotProduct, type StoredRecord } from './store.js';

/** A picture that was found. */
export interface Found {
  readonly id: string;
  readonly itemId: string;
  readonly score: number;
  readonly record: StoredRecord;
}

export interface Findings {
  readonly catalog: Catalog;
  /** The best `depth` pictures, best first; `complete` when there are no more. */
  best(
    depth: number,
    filter: Filter,
  ): Promise<{ readonly found: readonly Found[]; readonly complete: boolean }>;
}

/** What a search asks for. */
export interface Sought {
  /** [S] */
  readonly query: Float32Array;
  /** Ids that are no hits: those of the examples. */
  readonly excluded: ReadonlySet<string>;
}

/** All that the store has. */
export function storeFindings(catalog: Catalog, { query, excluded }: Sought): Findings {
  return {
    catalog,
    async best(depth, filter) {
      const k = depth + excluded.size;
      const hits = await catalog.store.search(query, { k, filter });
      const found = hits
        .filter(({ record }) => !excluded.has(record.id))
        .map(({ score, record }) => toFound(record, score));
      return { found: found.slice(0, depth), complete: hits.length < k };
    },
  };
}

/**
 * Only what is likely enough, in the order of the search: what it leaves out does not depend on the granularity that is
 * searched at. Gathered once a filter.
 */
export function likelyFindings(
  catalog: Catalog,
  sought: Sought,
  certainty: Certainty,
  minimum: MinimumProbability,
): Findings {
  const all = storeFindings(catalog, sought);
  const gathered = new Map<string, Promise<Found[] | undefined>>();
  const gather = async (filter: Filter) => {
    const records = await certainty.likely(minimum, filter);
    return records
      ?.filter(({ id }) => !sought.excluded.has(id))
      .map((record) => toFound(record, dotProduct(sought.query, record.vector)))
      .sort((a, b) => b.score - a.score || byCodePoint(a.id, b.id));
  };
  return {
    catalog,
    async best(depth, filter) {
      const key = JSON.stringify(filter);
      const found = gathered.get(key) ?? gather(filter);
      gathered.set(key, found);
      const likely = await found;
      if (likely === undefined) return await all.best(depth, filter);
      return { found: likely.slice(0, depth), complete: likely.length <= depth };
    },
  };
}

// --- internal ---

function toFound(record: StoredRecord, score: number): Found {
  return { id: record.id, itemId: record.fields.item_id?.[0] ?? '', score, record };
}
