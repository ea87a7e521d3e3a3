export * from './catalog.js';
export * from './filter.js';
export * from './indexing.js';
export * from './search.js';
export type {
  FacetCount,
  Hit,
  SearchOptions,
  StoredRecord,
  StoreShape,
  VectorStore,
} from './store.js';
export { openLanceStore } from './stores/lancedb.js';
export { openMemoryStore } from './stores/memory.js';
