export { type ReadModel, readModel } from './read.js';
export * from './session.js';
export * from './write.js';
