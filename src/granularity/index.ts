export * from './blending.js';
export * from './fitting.js';
export * from './schema.js';
export * from './similarity.js';
