export * from './layers.js';
export * from './multitask-network.js';
export * from './parameters.js';
export * from './residual-network.js';
