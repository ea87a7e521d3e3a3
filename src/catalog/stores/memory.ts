/**
 * The exact store in memory: the reference that others are compared with, and enough for tests and small jobs.
 * Nothing survives `close`.
 */
import { byCodePoint } from '../../granularity/index.js';
import { DataError } from '../../util/index.js';
import { type Filter, filterPredicate } from '../filter.js';
import {
  checkAsked,
  checkK,
  checkQuery,
  checkRecords,
  dotProduct,
  type FacetCount,
  resolveScan,
  type StoredRecord,
  type StoreShape,
  type VectorStore,
} from '../store.js';

/** Opens an empty store in memory. */
export function openMemoryStore(shape: StoreShape): VectorStore {
  const { dimension, columns, numericColumns = [] } = shape;
  let records: Map<string, StoredRecord> | undefined = new Map();
  let version = 1;
  const open = () => {
    if (records === undefined) throw new DataError('store: must be open, got a call after close()');
    return records;
  };
  const passing = (filter: Filter) => {
    checkAsked({ columns, numericColumns }, filter);
    const passes = filterPredicate(filter);
    return [...open().values()].filter(({ fields }) => passes(fields));
  };
  return {
    dimension,
    columns,
    numericColumns,
    async upsert(added) {
      const map = open();
      for (const { id, vector, fields } of checkRecords(shape, added)) {
        const complete = Object.fromEntries(columns.map((column) => [column, [...(fields[column] ?? [])]]));
        version++;
        map.set(id, { id, vector: vector.slice(), fields: complete });
      }
    },
    async delete(ids) {
      const map = open();
      version++;
      return ids.filter((id) => map.delete(id)).length;
    },
    async get(ids) {
      const map = open();
      return ids.map((id) => map.get(id));
    },
    async search(vector, { k, filter = [] }) {
      checkK(k);
      checkQuery(shape, vector);
      return passing(filter)
        .map((record) => ({ score: dotProduct(vector, record.vector), record }))
        .sort((a, b) => b.score - a.score || byCodePoint(a.record.id, b.record.id))
        .slice(0, k);
    },
    async count(filter = []) {
      return passing(filter).length;
    },
    async facets(names, filter = []) {
      checkAsked({ columns, numericColumns }, [], names);
      const found = passing(filter);
      return Object.fromEntries(
        names.map((column) => [column, countValues(found.map(({ fields }) => fields[column] ?? []))]),
      );
    },
    async *scan(options = {}) {
      const wanted = resolveScan({ columns, numericColumns }, options);
      const { vectors, batchSize, after = '', limit, filter } = wanted;
      const found = passing(filter)
        .filter(({ id }) => byCodePoint(id, after) > 0)
        .sort((a, b) => byCodePoint(a.id, b.id))
        .slice(0, limit);
      for (let start = 0; start < found.length; start += batchSize)
        yield found.slice(start, start + batchSize).map(({ id, vector, fields }) => ({
          id,
          vector: vectors ? vector : new Float32Array(),
          fields: Object.fromEntries(wanted.columns.map((column) => [column, fields[column] ?? []])),
        }));
    },
    async version() {
      open();
      return version;
    },
    async warm() {},
    async flush() {},
    async close() {
      records = undefined;
    },
  };
}

/** Counts in how many lists each value is: most frequent first, then by code point. */
export function countValues(lists: Iterable<readonly string[]>): FacetCount[] {
  const counts = new Map<string, number>();
  for (const values of lists)
    for (const value of new Set(values)) counts.set(value, (counts.get(value) ?? 0) + 1);
  return [...counts]
    .map(([value, count]) => ({ value, count }))
    .sort((a, b) => b.count - a.count || byCodePoint(a.value, b.value));
}
