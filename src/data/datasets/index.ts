/** The datasets: one that anybody can build, and readers of those that users bring. */
import { carsReader } from './cars.js';
import { cubReader } from './cub.js';
import type { DatasetReader } from './dataset-reader.js';
import { dymlReader } from './dyml.js';
import { inaturalistReader } from './inaturalist.js';
import { inshopReader } from './inshop.js';
import { onlineProductsReader } from './online-products.js';
import { openMetricLearningReader } from './open-metric-learning.js';
import { pictureFolderReader } from './picture-folder.js';

/** Readers by the name used on the command line. */
export const datasetReaders = {
  inshop: inshopReader,
  cub: cubReader,
  sop: onlineProductsReader,
  cars: carsReader,
  inaturalist: inaturalistReader,
  dyml: dymlReader,
  oml: openMetricLearningReader,
  folder: pictureFolderReader,
} as const satisfies Readonly<Record<string, DatasetReader>>;

export type { Anomaly } from './anomalies.js';
export { builtDatasets, defaultDatasetFolder, familiesOfDataset } from './built-datasets.js';
export type { DatasetReader, Protocol, SplitCount } from './dataset-reader.js';
export { buildEmojiDataset, type DatasetSummary, type EmojiDatasetOptions } from './emoji.js';
export { type ImportOptions, type ImportSummary, importDataset } from './import-dataset.js';
