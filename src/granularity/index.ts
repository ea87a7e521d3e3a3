export * from './blending.js';
export * from './calibration.js';
export * from './fitting.js';
export * from './isotonic.js';
export * from './schema.js';
export * from './similarity.js';
