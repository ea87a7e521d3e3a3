/** Manifests, datasets, decoding, augmentation, sampling and loading. */
export {
  type AugmentationOptions,
  artworkAugmentation,
  augmentPicture,
  defaultAugmentation,
  noAugmentation,
  premultiplyAlpha,
} from './augment.js';
export { isMirroredView, type ViewOptions, viewsHash } from './augmented-view.js';
export { type CachedFeatures, type CachedFeaturesOptions, cachedFeatures } from './cached-features.js';
export * from './check/index.js';
export { type CsvTable, parseCsvTable } from './csv-table.js';
export { type ContactSheetRow, makeContactSheet } from './datasets/contact-sheet.js';
export * from './datasets/index.js';
export {
  type Colour,
  type DecodedPicture,
  type DecodeOptions,
  decodePicture,
  pictureSize,
  readPictureBytes,
} from './decode.js';
export {
  type DecodedBlock,
  type DecodeRowsOptions,
  decodeAll,
  decodeBlocks,
  type PictureProblem,
  type PictureRow,
} from './decode-rows.js';
export {
  type FeatureCache,
  type FeatureCacheOptions,
  type FeatureCacheStatistics,
  openFeatureCache,
} from './feature-cache.js';
export {
  clearFeatureCaches,
  defaultFeatureCacheRoot,
  type FeatureSpaceFolder,
  listFeatureCaches,
} from './feature-cache-spaces.js';
export {
  createFeatureLoader,
  type FeatureBatch,
  type FeatureLoader,
  type FeatureLoaderOptions,
} from './feature-loader.js';
export { type Batch, createLoader, type Loader, type LoaderOptions } from './loader.js';
export {
  type Box,
  type Manifest,
  type ManifestEntry,
  type ManifestRow,
  manifestPath,
  readManifest,
  SPLITS,
  type Split,
  writeManifest,
} from './manifest.js';
export { type PictureFormat, type SniffedContent, sniffContent } from './picture-formats.js';
export { type PictureLimits, processPicture, uprightSize } from './picture-processing.js';
export {
  inFractions,
  type PictureSize,
  parseRegion,
  type Region,
  regionPixels,
  regionProblem,
  shownArea,
} from './region.js';
export {
  createSampler,
  type SampledBatch,
  type SampledPairs,
  type Sampler,
  type SamplerOptions,
} from './sampler.js';
