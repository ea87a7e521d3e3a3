export * from './catalog.js';
export type { CatalogCalibration } from './catalog-calibration.js';
export * from './catalog-export.js';
export { catalogFolder } from './catalog-folder.js';
export * from './catalog-map.js';
export {
  Certainty,
  CUT_OFF_DEPTH,
  likelyLevel,
  type MinimumProbability,
  type Probabilities,
} from './certainty.js';
export * from './explanation.js';
export * from './filter.js';
export * from './filter-text.js';
export { GRACE_MS, otherStores, sweepStores } from './generations.js';
export * from './index-plan.js';
export { type IndexOptions, type IndexReport, indexPictures } from './indexing.js';
export * from './live-catalog.js';
export * from './near-copies.js';
export { DIVERSE_DEPTH, PAGING_DEPTH, SORT_DEPTH } from './pages.js';
export { boxOfId, entryOfRecord, entryOfRow, type PictureEntry, recordId } from './picture-entries.js';
export * from './query.js';
export { recordPicture } from './record-picture.js';
export type { PictureChange, PictureWrite, WriteOutcome } from './record-writes.js';
export * from './reindexing.js';
export { isRemote } from './remote-catalog.js';
export * from './removal.js';
export * from './search.js';
export * from './statistics.js';
export type {
  FacetCount,
  Hit,
  IndexableStore,
  ScanOptions,
  SearchOptions,
  StoredRecord,
  StoreShape,
  VectorStore,
} from './store.js';
export { isIndexable } from './store.js';
export { openLanceStore } from './stores/lancedb.js';
export { openMemoryStore } from './stores/memory.js';
export { isObjectUrl } from './stores/object-url.js';
export { openPostgresStore, type PostgresOptions } from './stores/postgres.js';
export * from './tuning.js';
export * from './verification.js';
