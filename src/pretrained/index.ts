/** Backbones that others trained: getting their files, and how they want their pictures. */
export { type FetchedBackbone, type FetchOptions, fetchBackbone } from './fetch-backbone.js';
export {
  type BackbonePreprocessing,
  type Channels,
  PREPROCESSING_PRESETS,
  type PreprocessingOption,
  readPreprocessing,
} from './preprocessing.js';
