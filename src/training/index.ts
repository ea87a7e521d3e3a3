export * from './configuration.js';
export { metricLossOf, PROXIES } from './configured-loss.js';
export * from './embedding.js';
export { encodeEvents, type Scalar, scalarsOf } from './event-file.js';
export * from './network.js';
export * from './recipes.js';
export * from './step.js';
export * from './tensor-file.js';
export * from './train.js';
