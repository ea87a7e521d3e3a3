/**
 * The public names of semblance, by room. The command line is made of the same parts.
 */
export * from './bundle/index.js';
export * from './catalog/index.js';
export { type BackboneFlags, backboneSettings, readBackboneFile } from './cli/backbone-file.js';
export { runTraining, schemaOf, type TrainingRun, type TrainingRunOptions } from './cli/training-run.js';
export * from './data/index.js';
export * from './evaluation/index.js';
export * from './granularity/index.js';
export * from './graph/index.js';
export * from './losses/index.js';
export * from './models/index.js';
export * from './onnx/index.js';
export * from './optimizers/index.js';
export * from './pretrained/index.js';
export * from './training/index.js';
export * from './util/index.js';
