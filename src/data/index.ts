/** Manifests, datasets, decoding, augmentation, sampling and loading. */
export * from './datasets/index.js';
export * from './decode.js';
export * from './manifest.js';
