// renderReport is in './report/index.js': load it when it is needed, it brings the plotting library with it.
export * from './graded.js';
export * from './intervals.js';
export * from './method-metrics.js';
export * from './neighbours.js';
export * from './pairs.js';
export * from './pixel-baseline.js';
export { type Labels, type QueryMetrics, type RankingOptions, rankQueries } from './ranking.js';
export type * from './report/data.js';
export * from './retrieval.js';
export { dotProducts, type SimilarityBlock } from './similarity.js';
