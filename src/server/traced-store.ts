/** A store whose reads are spans of the request that they are part of, so that a trace tells their time from the model's. */
import type { VectorStore } from '../catalog/index.js';
import type { Trace } from './tracing.js';

/** To be made once a store: what is computed from a store's records is kept by the store's identity. */
export function tracedStore(store: VectorStore, trace: Trace): VectorStore {
  const { dimension, columns, numericColumns } = store;
  return {
    dimension,
    columns,
    numericColumns,
    upsert: (records) => store.upsert(records),
    delete: (ids) => store.delete(ids),
    // Of no ids nothing is asked.
    get: (ids) => (ids.length === 0 ? store.get(ids) : trace('store get', () => store.get(ids))),
    search: (vector, options) => trace('store search', () => store.search(vector, options)),
    count: (filter) => trace('store count', () => store.count(filter)),
    facets: (names, filter) => trace('store facets', () => store.facets(names, filter)),
    scan: (options) => store.scan(options),
    version: () => store.version(),
    warm: (options) => store.warm(options),
    flush: () => store.flush(),
    close: () => store.close(),
  };
}
