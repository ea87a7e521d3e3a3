/**
 * A whole training run on a manifest: schema, loader, training, the fit of granularity, the bundle. `train` and `demo`
 * both call it.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type Preprocessing, writeBundle } from '../bundle/index.js';
import {
  createLoader,
  decodeAll,
  type Manifest,
  type ManifestRow,
  type PictureProblem,
} from '../data/index.js';
import type { MethodMetrics } from '../evaluation/index.js';
import {
  attributeBlocks,
  encodeAttributes,
  ITEM_LEVEL,
  inferSchema,
  type Schema,
} from '../granularity/index.js';
import { PIXEL_DEVIATION, PIXEL_MEAN } from '../models/index.js';
import { writeModel } from '../onnx/index.js';
import {
  buildInferenceGraph,
  buildTrainingStep,
  embedPictures,
  initialParameters,
  type TrainingBatch,
  type TrainingConfiguration,
  type TrainingResult,
  train,
} from '../training/index.js';
import { DataError, Random, type StartProgress, sha256OfFile } from '../util/index.js';
import { fitGranularity } from './fit-granularity.js';
import { embedRows, judge } from './judging.js';

export interface TrainingRunOptions {
  readonly manifest: Manifest;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  /** Gets `training/` (checkpoints, log) and `model/` (the bundle). */
  readonly directory: string;
  readonly threads?: number;
  readonly progress: StartProgress;
  /** One line of news. */
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal;
}

export interface TrainingRun {
  readonly modelDirectory: string;
  readonly result: TrainingResult;
  /** On the validation split; absent without one. */
  readonly validation: MethodMetrics | undefined;
}

/** The schema of the training rows, restricted to what the configuration uses. */
export function schemaOf(
  manifest: Manifest,
  report: (line: string) => void,
  levels?: readonly string[],
): Schema {
  const rows = manifest.rows.filter(({ split }) => split === 'train');
  if (rows.length === 0) {
    throw new DataError("a manifest must have pictures of split 'train' to train on, got none", {
      file: manifest.file,
    });
  }
  const { schema, notes } = inferSchema(rows, levels === undefined ? {} : { levels });
  for (const note of notes) report(note);
  return schema;
}

/** Trains and writes the bundle; goes on where an interrupted run in the same directory stopped. */
export async function runTraining(options: TrainingRunOptions): Promise<TrainingRun> {
  const { manifest, schema, configuration, directory, progress, report, signal } = options;
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const aborting = signal === undefined ? {} : { signal };
  const dataHash = await sha256OfFile(manifest.file);
  const problems = new Map<string, string>();
  const onProblem = ({ path, message }: PictureProblem) => {
    if (!problems.has(path)) report(`left out: ${message}`);
    problems.set(path, message);
  };

  const validationRows = manifest.rows.filter(({ split }) => split === 'val');
  const { inputSize } = configuration.network;
  const validation =
    validationRows.length === 0
      ? undefined
      : await decodeAll(validationRows, { size: inputSize, fit: FIT, progress, onProblem, ...aborting });
  if (validation === undefined) report("no split 'val': the last parameters are kept, not the best");

  const batches = await openBatches({ ...options, onProblem });
  let result: TrainingResult;
  try {
    result = await train({
      configuration,
      schema,
      dataHash,
      directory: join(directory, 'training'),
      batch: batches.next,
      ...(validation === undefined
        ? {}
        : {
            validate: async (onnxModel) => {
              const embedded = await embedPictures(onnxModel, validation.pictures, inputSize, threads);
              const rows = Array.from(validation.kept, (row) => validationRows[row] as ManifestRow);
              const { recallAt1, mapAtR, byLevel } = await judge({ ...embedded, rows }, schema, signal);
              const details = { recallAt1, mapAtR };
              if (byLevel[ITEM_LEVEL]?.queries !== 0) return { score: recallAt1 + mapAtR, details };
              report("no picture of split 'val' has another one to find: the last parameters are kept");
              return { score: Number.NaN, details };
            },
          }),
      ...threads,
      progress,
      report,
      ...aborting,
    });
  } finally {
    await batches.close();
  }

  const modelDirectory = join(directory, 'model');
  const write = (levelWeights: number[][] | undefined, metrics: Record<string, unknown>) =>
    writeModelBundle(modelDirectory, result.onnxModel, { ...options, dataHash, levelWeights, metrics });
  const training = { bestStep: result.bestStep, steps: configuration.steps };
  await write(undefined, { training });
  if (validation === undefined) return { modelDirectory, result, validation: undefined };
  const embedded = await embedRows(modelDirectory, validationRows, { ...threads, ...aborting });
  const figures = await judge(embedded, schema, signal);
  const usedSchema = usedPartOf(schema, configuration);
  const levelWeights = fitGranularity(
    embedded,
    usedSchema,
    Random.from(configuration.seed, GRANULARITY_STREAM),
  );
  await write(levelWeights, { training, validation: figures });
  return { modelDirectory, result, validation: figures };
}

/** Writes the bundle of the network before any training, as a baseline. */
export async function writeUntrainedBundle(
  directory: string,
  {
    schema,
    configuration,
    dataHash,
  }: { schema: Schema; configuration: TrainingConfiguration; dataHash: string },
): Promise<void> {
  const { parameters } = buildTrainingStep(configuration, schema);
  const values = initialParameters(parameters, configuration);
  const onnxModel = writeModel(buildInferenceGraph(configuration, schema, values));
  await writeModelBundle(directory, onnxModel, {
    schema,
    configuration,
    dataHash,
    levelWeights: undefined,
    metrics: {},
  });
}

/** This package's version and that of the runtime, for provenance. */
export function versions(): Record<string, string> {
  const own = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
    dependencies: Record<string, string>;
  };
  return {
    semblance: own.version,
    'onnxruntime-node': own.dependencies['onnxruntime-node'] ?? '?',
    node: process.versions.node,
  };
}

// --- internal ---

/** How pictures become squares. */
const FIT = 'cover';
const GRANULARITY_STREAM = 21;

/** Without an attribute head a model predicts no attributes, so its bundle has none. */
function usedPartOf(schema: Schema, { attributeWeight }: TrainingConfiguration): Schema {
  return attributeWeight > 0 ? schema : { attributes: [], levels: [ITEM_LEVEL] };
}

async function writeModelBundle(
  directory: string,
  onnxModel: Uint8Array,
  {
    schema,
    configuration,
    dataHash,
    levelWeights,
    metrics,
  }: {
    schema: Schema;
    configuration: TrainingConfiguration;
    dataHash: string;
    levelWeights: number[][] | undefined;
    metrics: Record<string, unknown>;
  },
): Promise<void> {
  const preprocessing: Preprocessing = {
    size: configuration.network.inputSize,
    fit: FIT,
    background: [255, 255, 255],
    mean: PIXEL_MEAN,
    std: PIXEL_DEVIATION,
  };
  await writeBundle(directory, {
    onnxModel,
    preprocessing,
    card: {
      dimension: configuration.network.embeddingSize,
      schema: usedPartOf(schema, configuration),
      ...(levelWeights === undefined ? {} : { levelWeights }),
      configuration,
      metrics,
      seeds: [configuration.seed],
      versions: versions(),
      dataHash,
    },
  });
}

/** Augmented pictures with their labels, a function of the step. */
async function openBatches({
  manifest,
  schema,
  configuration,
  progress,
  signal,
  onProblem,
}: TrainingRunOptions & { onProblem: (problem: PictureProblem) => void }): Promise<{
  next: (step: number) => Promise<TrainingBatch>;
  close: () => Promise<void>;
}> {
  const rows = manifest.rows.filter(({ split }) => split === 'train');
  const itemNumbers = new Map<string, number>();
  const items = rows.map(({ itemId }) => {
    const number = itemNumbers.get(itemId) ?? itemNumbers.size;
    itemNumbers.set(itemId, number);
    return number;
  });
  if (itemNumbers.size < configuration.batch.items) {
    throw new DataError(
      `train: batch.items must be at most the number of items of split 'train', ${itemNumbers.size}, got ` +
        `${configuration.batch.items}. Add --set batch.items=${itemNumbers.size}`,
      { file: manifest.file },
    );
  }
  const firstRowOfItem = new Map<number, ManifestRow>();
  items.forEach((item, index) => {
    if (!firstRowOfItem.has(item)) firstRowOfItem.set(item, rows[index] as ManifestRow);
  });
  const look = schema.levels[1];
  const { values, known } = encodeAttributes(schema, rows);
  const blocks = attributeBlocks(schema);
  const width = blocks.reduce((sum, { size }) => sum + size, 0);
  const loader = await createLoader(rows, items, {
    size: configuration.network.inputSize,
    seed: configuration.seed,
    sampler: {
      itemsPerBatch: configuration.batch.items,
      picturesPerItem: configuration.batch.picturesPerItem,
      lookAlikeFraction: configuration.batch.lookAlikeFraction,
      ...(look === undefined
        ? {}
        : { groupOf: (item: number) => firstRowOfItem.get(item)?.attributes[look]?.[0] }),
      sourceOf: (row: number) => rows[row]?.source,
    },
    augmentation: configuration.augmentation,
    sourceSize: configuration.sourceSize,
    fit: FIT,
    progress,
    onProblem,
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    async next(step) {
      const batch = await loader.next(step);
      const count = batch.rows.length;
      const attributeLabels = new Float32Array(count * width);
      const attributeKnown = new Float32Array(count * blocks.length);
      batch.rows.forEach((row, i) => {
        attributeLabels.set(values.subarray(row * width, (row + 1) * width), i * width);
        attributeKnown.set(known.subarray(row * blocks.length, (row + 1) * blocks.length), i * blocks.length);
      });
      return {
        pictures: batch.pictures,
        itemIds: BigInt64Array.from(batch.rows, (row) => BigInt(items[row] as number)),
        attributeLabels,
        attributeKnown,
      };
    },
    close: () => loader.close(),
  };
}
