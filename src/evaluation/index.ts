export * from './intervals.js';
export * from './method-metrics.js';
export * from './neighbours.js';
export * from './pairs.js';
export * from './pixel-baseline.js';
export { type Labels, type QueryMetrics, type RankingOptions, rankQueries } from './ranking.js';
export * from './report/index.js';
export * from './retrieval.js';
export { dotProducts, type SimilarityBlock } from './similarity.js';
