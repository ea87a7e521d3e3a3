export * from './errors.js';
export * from './files.js';
export * from './progress.js';
export * from './random.js';
