export * from './configuration.js';
export * from './embedding.js';
export * from './recipes.js';
export * from './step.js';
export * from './tensor-file.js';
export * from './train.js';
