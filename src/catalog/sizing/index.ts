export * from './engines.js';
export * from './queue.js';
