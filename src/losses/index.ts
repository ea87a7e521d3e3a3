export * from './attributes.js';
export * from './binomial-deviance.js';
export * from './contrastive.js';
export * from './metric-loss.js';
export * from './soft-binomial-deviance.js';
export * from './triplet.js';
