/**
 * The one interface behind which every vector store stands, and the checks that all of them share.
 *
 * Invariants, held by `test/conformance/vector-store.ts`: an upsert that has returned survives the process; a search
 * is exact unless an index is planned; hits are ordered by score, ties by id in code points; an unknown field is an
 * empty list.
 */
import { DataError } from '../util/index.js';
import { checkColumns, checkFilter, type Filter } from './filter.js';
import type { IndexPlan, IndexState } from './index-plan.js';

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
  /** Look at every vector, even where an index is planned. Default false. */
  readonly exact?: boolean;
}

/** What a scan gives, and how. */
export interface ScanOptions {
  /** The columns wanted; others are missing from `fields`. Default: all. */
  readonly columns?: readonly string[];
  /** Whether vectors are wanted; without, `vector` has length 0, and the scan is many times as fast. Default true. */
  readonly vectors?: boolean;
  /** Records at a time. Default 1000. */
  readonly batchSize?: number;
  /** Only records whose id comes after this one: with `limit`, the next page. It need not be there itself. */
  readonly after?: string;
  /** At most so many records in all. Default: no limit. */
  readonly limit?: number;
  /** Only records that pass. */
  readonly filter?: Filter;
}

export interface VectorStore {
  /** S, the length of every vector. */
  readonly dimension: number;
  /** The columns that records may have and filters may name. */
  readonly columns: readonly string[];
  /** Those of the columns that filters may ask ranges of. */
  readonly numericColumns: readonly string[];
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
  /**
   * All records, or those asked for, in batches, by id in code points. What is added after the scan began is not in
   * it; of a scan that takes more than minutes, what is changed or deleted meanwhile may be so. No batch is empty.
   */
  scan(options?: ScanOptions): AsyncGenerator<StoredRecord[], void, undefined>;
  /** Another number whenever the records may be others than before: what was computed from them can be kept by it. */
  version(): Promise<number>;
  /**
   * Makes ready for quick searches: a server calls it before it takes requests. Searches find the same without.
   * @param options.exact for exact ones, although an index is planned. Default false.
   */
  warm(options?: { readonly exact?: boolean }): Promise<void>;
  /** Tidies up after many small upserts (compaction, indices). Nothing is lost without it. */
  flush(): Promise<void>;
  /** Waits for what is under way; the store cannot be used afterwards. Twice does no harm. */
  close(): Promise<void>;
}

/** A store that can find by an index, which is chosen by measuring (`semblance catalog tune`). */
export interface IndexableStore extends VectorStore {
  /**
   * Builds the index of a plan, in place of the one before, and searches by it from then on; so do other processes that
   * have the store open, a second later. Searches go on meanwhile.
   */
  buildIndex(plan: IndexPlan): Promise<void>;
  indexState(): Promise<IndexState>;
}

/** Whether a store's index can be chosen. */
export function isIndexable(store: VectorStore): store is IndexableStore {
  return 'buildIndex' in store;
}

/** What a store is opened with. */
export interface StoreShape {
  readonly dimension: number;
  readonly columns: readonly string[];
  /** Columns whose values are numbers, kept as such beside their texts for ranges (see `numberOf`). Default: none. */
  readonly numericColumns?: readonly string[];
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

/** @throws DataError when a filter or the columns of facets name what the store does not have */
export function checkAsked(
  store: Pick<VectorStore, 'columns' | 'numericColumns'>,
  filter: Filter,
  facets: readonly string[] = [],
): void {
  checkFilter(filter, store.columns, store.numericColumns);
  checkColumns('facets', facets, store.columns);
}

/** @throws DataError when k is not a whole number of at least 0. */
export function checkK(k: number): void {
  if (!Number.isInteger(k) || k < 0)
    throw new DataError(`search: k must be a whole number from 0 on, got ${k}`);
}

/**
 * What a scan asks for, with the defaults.
 * @throws DataError when it asks for columns that are not there, or for a number that cannot be
 */
export function resolveScan(
  store: Pick<VectorStore, 'columns' | 'numericColumns'>,
  options: ScanOptions,
): Required<Omit<ScanOptions, 'after'>> & Pick<ScanOptions, 'after'> {
  const {
    columns = store.columns,
    vectors = true,
    batchSize = 1000,
    after,
    limit = Number.POSITIVE_INFINITY,
    filter = [],
  } = options;
  checkAsked(store, filter);
  checkColumns('scan', columns, store.columns);
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new DataError(`scan: batchSize must be a whole number from 1 on, got ${batchSize}`);
  if (!(Number.isInteger(limit) || limit === Number.POSITIVE_INFINITY) || limit < 0)
    throw new DataError(`scan: limit must be a whole number from 0 on, got ${limit}`);
  return { columns, vectors, batchSize, limit, filter, ...(after === undefined ? {} : { after }) };
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
