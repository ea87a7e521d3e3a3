export * from './clipping.js';
export * from './optimizer.js';
export * from './schedules.js';
