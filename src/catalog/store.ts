/**
 * The one interface behind which every vector store stands, and the checks that all of them share.
 *
 * Invariants, held by `test/conformance/vector-store.ts`: an upsert that has returned survives the process; a search
 * is exact (stores with an index say where they are not); hits are ordered by score, ties by id in code points; an
 * unknown field is an empty list.
 */
import { DataError } from '../util/index.js';
import type { Filter } from './filter.js';

/** One picture in a store. */
export interface StoredRecord {
  /** Unique in the store; a later record of the same id replaces this one. Any well-formed text. */
  readonly id: string;
  /** [S] */
  readonly vector: Float32Array;
  /** Column → values; a column that is missing or empty is unknown. */
  readonly fields: Readonly<Record<string, readonly string[]>>;
}

export interface Hit {
  /** The dot product of the query and the record's vector. */
  readonly score: number;
  readonly record: StoredRecord;
}

/** How many records have a value. */
export interface FacetCount {
  readonly value: string;
  readonly count: number;
}

export interface SearchOptions {
  /** How many hits at most. 0 gives none. */
  readonly k: number;
  /** Only records that pass; applied before the nearest are chosen, so k hits come back where k records pass. */
  readonly filter?: Filter;
}

export interface VectorStore {
  /** S, the length of every vector. */
  readonly dimension: number;
  /** The columns that records may have and filters may name. */
  readonly columns: readonly string[];
  /** Inserts or replaces by id; of two records of one id in a call the later counts. Durable when it returns. */
  upsert(records: readonly StoredRecord[]): Promise<void>;
  /** @returns how many there were to delete. */
  delete(ids: readonly string[]): Promise<number>;
  /** In the order of `ids`, `undefined` where there is none. */
  get(ids: readonly string[]): Promise<(StoredRecord | undefined)[]>;
  /** The k records with the largest dot product. */
  search(vector: Float32Array, options: SearchOptions): Promise<Hit[]>;
  count(filter?: Filter): Promise<number>;
  /** For each column its values with their counts, most frequent first, then by code point. */
  facets(columns: readonly string[], filter?: Filter): Promise<Record<string, FacetCount[]>>;
  /** Tidies up after many small upserts (compaction, indices). Nothing is lost without it. */
  flush(): Promise<void>;
  /** Waits for what is under way; the store cannot be used afterwards. Twice does no harm. */
  close(): Promise<void>;
}

/** What a store is opened with. */
export interface StoreShape {
  readonly dimension: number;
  readonly columns: readonly string[];
}

/**
 * Checks records before they are stored, and drops all but the last of each id.
 * @throws DataError on an empty or ill-formed text, a vector of another length or with NaN, or an unknown column.
 */
export function checkRecords(shape: StoreShape, records: readonly StoredRecord[]): StoredRecord[] {
  for (const { id, vector, fields } of records) {
    if (id === '') throw new DataError('store: an id must not be empty');
    checkText(id, id);
    checkQuery(shape, vector, `record '${id}'`);
    for (const [column, values] of Object.entries(fields)) {
      if (!shape.columns.includes(column))
        throw new DataError(
          `store: record '${id}' has the column '${column}', which the store does not. It has: ` +
            `${shape.columns.join(', ')}`,
        );
      for (const value of values) checkText(value, id);
    }
  }
  return [...new Map(records.map((record) => [record.id, record])).values()];
}

/**
 * Checks the length and the numbers of a vector.
 * @throws DataError
 */
export function checkQuery(shape: StoreShape, vector: Float32Array, where = 'query'): void {
  if (vector.length !== shape.dimension)
    throw new DataError(
      `store: ${where}: the vector must have ${shape.dimension} numbers, got ${vector.length}. ` +
        'Was the catalogue made with another model?',
    );
  for (const x of vector)
    if (!Number.isFinite(x)) throw new DataError(`store: ${where}: every number must be finite, got ${x}`);
}

/** @throws DataError when k is not a whole number of at least 0. */
export function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 0)
    throw new DataError(`search: k must be a whole number from 0 on, got ${k}`);
}

/** The dot product in double precision, so that every store gives the same score. */
export function dotProduct(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] ?? 0) * (b[i] ?? 0);
  return sum;
}

// --- internal ---

/** Half of a surrogate pair has no UTF-8 and would come back as another text. */
function checkText(text: string, id: string): void {
  if (/\p{Surrogate}/u.test(text))
    throw new DataError(
      `store: record '${id}': texts must be well-formed Unicode, got ${JSON.stringify(text)}`,
    );
}
