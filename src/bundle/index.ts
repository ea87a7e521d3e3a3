export * from './bundle.js';
export * from './embedder.js';
export * from './format.js';
