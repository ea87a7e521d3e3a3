// renderReport is in './report/index.js': load it when it is needed, it brings the plotting library with it.
export { type AttributeSet, attributeAgreement } from './attribute-agreement.js';
export * from './attribute-quality.js';
export * from './comparison.js';
export * from './cosine.js';
export * from './dimensions.js';
export * from './embedding-health.js';
export * from './embedding-map.js';
export * from './graded.js';
export * from './hierarchical.js';
export * from './intervals.js';
export * from './large-embedding-map.js';
export * from './mean-figures.js';
export * from './method-metrics.js';
export * from './neighbours.js';
export * from './pairs.js';
export * from './pixel-baseline.js';
export { type RuntimeProducts, runtimeProducts } from './products.js';
export {
  type Labels,
  type QueryMetrics,
  type RankedQuery,
  type RankingOptions,
  rankQueries,
} from './ranking.js';
export * from './reliability.js';
export type * from './report/data.js';
export * from './retrieval.js';
export { dotProducts, type Embeddings, type SimilarityBlock } from './similarity.js';
