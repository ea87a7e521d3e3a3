/** Manifests, datasets, decoding, augmentation, sampling and loading. */
export {
  type AugmentationOptions,
  artworkAugmentation,
  augmentPicture,
  defaultAugmentation,
  noAugmentation,
  premultiplyAlpha,
} from './augment.js';
export * from './datasets/index.js';
export { type Colour, type DecodedPicture, type DecodeOptions, decodePicture } from './decode.js';
export {
  type DecodedBlock,
  type DecodeRowsOptions,
  decodeAll,
  decodeBlocks,
  type PictureProblem,
  type PictureRow,
} from './decode-rows.js';
export { type Batch, createLoader, type Loader, type LoaderOptions } from './loader.js';
export {
  type Box,
  type Manifest,
  type ManifestEntry,
  type ManifestRow,
  readManifest,
  SPLITS,
  type Split,
  writeManifest,
} from './manifest.js';
export { createSampler, type SampledBatch, type Sampler, type SamplerOptions } from './sampler.js';
