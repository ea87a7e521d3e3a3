/**
 * A whole training run on a manifest: schema, loader, training, the fit of granularity, the bundle. `train` and `demo`
 * both call it.
 */
import { join } from 'node:path';
import { type Preprocessing, writeBundle } from '../bundle/index.js';
import type { Manifest, ManifestRow, PictureProblem } from '../data/index.js';
import type { MethodMetrics } from '../evaluation/index.js';
import { type Calibration, ITEM_LEVEL, inferSchema, type Schema } from '../granularity/index.js';
import { writeModel } from '../onnx/index.js';
import {
  buildInferenceGraph,
  buildTrainingStep,
  initialParameters,
  scratchNetwork,
  type TrainingConfiguration,
  type TrainingResult,
  train,
  type Validation,
} from '../training/index.js';
import {
  DataError,
  Random,
  type StartProgress,
  sha256OfFile,
  TrainingError,
  type WaitOptions,
} from '../util/index.js';
import { openBatches } from './batches.js';
import { openFeedback } from './feedback.js';
import type { FeedbackPair } from './feedback-pairs.js';
import { calibrateRows } from './fit-calibration.js';
import { fitGranularity } from './fit-granularity.js';
import { type EmbeddedRows, embedRows, judge } from './judging.js';
import { type OpenedNetwork, openNetwork, preprocessingOf } from './open-network.js';
import { type RunCost, startMeter } from './run-cost.js';
import { versions } from './versions.js';

export interface TrainingRunOptions {
  readonly manifest: Manifest;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  /** Gets `training/` (checkpoints, log) and `model/` (the bundle). */
  readonly directory: string;
  readonly threads?: number;
  /** Where a backbone's frozen part is cached. Default: in the user's cache folder. */
  readonly cacheFolder?: string | undefined;
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
  readonly cost: RunCost;
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
export async function runTraining(given: TrainingRunOptions): Promise<TrainingRun> {
  const { configuration, pairs } = await openFeedback(given.configuration, {
    ...given,
    directory: join(given.directory, CHECKPOINTS),
  });
  const options = { ...given, configuration, feedback: pairs };
  const problems = new Set<string>();
  const onProblem = ({ path, message }: PictureProblem) => {
    if (!problems.has(path)) options.report(`left out: ${message}`);
    problems.add(path);
  };
  const opened = await openNetwork({ ...options, onProblem });
  try {
    return await trainAndExport(options, opened, onProblem);
  } finally {
    await opened.close();
  }
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
  // How many proxies there are does not change what the network starts from.
  const { parameters } = buildTrainingStep(configuration, schema, undefined, { classes: 1 });
  const values = initialParameters(parameters, configuration);
  const onnxModel = writeModel(buildInferenceGraph(configuration, schema, values));
  await writeModelBundle(directory, onnxModel, {
    schema,
    configuration,
    preprocessing: preprocessingOf(scratchNetwork(configuration), configuration),
    dataHash,
    metrics: {},
  });
}

// --- internal ---

/** The folder of a run's checkpoints and log. */
const CHECKPOINTS = 'training';
const GRANULARITY_STREAM = 21;
/** Of a coordinate of unit vectors; rounding alone stays far below. */
const LARGEST_EXPORT_DIFFERENCE = 1e-4;

async function trainAndExport(
  options: TrainingRunOptions & { readonly feedback: readonly FeedbackPair[] },
  opened: OpenedNetwork,
  onProblem: (problem: PictureProblem) => void,
): Promise<TrainingRun> {
  const { manifest, schema, configuration, directory, progress, report, signal } = options;
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const aborting = signal === undefined ? {} : { signal };
  const dataHash = await sha256OfFile(manifest.file);
  const validationRows = manifest.rows.filter(({ split }) => split === 'val');
  const validation = validationRows.length === 0 ? undefined : await opened.prepare(validationRows);
  if (validation === undefined) report("no split 'val': the last parameters are kept, not the best");
  const keptRows = Array.from(validation?.kept ?? [], (row) => validationRows[row] as ManifestRow);

  const batches = await openBatches({ ...options, onProblem }, opened.openSource);
  const meter = await startMeter(directory);
  let result: TrainingResult;
  try {
    result = await train({
      configuration,
      schema,
      network: opened.network,
      dataHash,
      classes: batches.classes,
      judgedPairs: batches.judgedPairs,
      directory: join(directory, CHECKPOINTS),
      batch: batches.next,
      ...(validation === undefined
        ? {}
        : {
            validate: async (onnxModel) => {
              const embedded = await validation.embed(onnxModel);
              const figures = await judge({ ...embedded, rows: keptRows }, schema, signal);
              const validated = validationOf(figures, schema);
              if (validated === undefined)
                report("no picture of split 'val' has another one to find: the last parameters are kept");
              return validated ?? { score: Number.NaN, details: {} };
            },
          }),
      ...threads,
      progress,
      report,
      onStep: meter.onStep,
      ...aborting,
    });
  } finally {
    await batches.close();
    await meter.stop();
  }
  const cost = { ...meter.cost(), parameters: result.parameterCount };

  const modelDirectory = join(directory, 'model');
  const write = (
    metrics: Record<string, unknown>,
    fitted: { levelWeights?: number[][]; calibration?: Calibration } = {},
  ) =>
    writeModelBundle(
      modelDirectory,
      result.onnxModel,
      { schema, configuration, preprocessing: opened.preprocessing, dataHash, ...fitted, metrics },
      {
        onWait: ({ process }) => report(`waiting for process ${process}, which writes to ${modelDirectory}`),
      },
    );
  const training = { bestStep: result.bestStep, steps: configuration.steps };
  await write({ training });
  if (validation === undefined) return { modelDirectory, result, validation: undefined, cost };
  const embedded = await embedRows(modelDirectory, validationRows, { ...threads, ...aborting });
  const exportDifference = largestDifference(embedded, {
    rows: keptRows,
    embeddings: (await validation.embed(result.judgedModel)).embeddings,
  });
  report(
    `exported: ${modelDirectory}; its embeddings differ from those judged in training by ${exportDifference.toExponential(1)} at most`,
  );
  if (!(exportDifference <= LARGEST_EXPORT_DIFFERENCE)) {
    throw new TrainingError(
      `train: the exported model must give the embeddings that were judged, got a difference of ${exportDifference}. Please report this; ${modelDirectory} is not to be trusted.`,
    );
  }
  const figures = await judge(embedded, schema, signal);
  const usedSchema = usedPartOf(schema, configuration);
  const levelWeights = fitGranularity(
    embedded,
    usedSchema,
    Random.from(configuration.seed, GRANULARITY_STREAM),
  );
  const calibration = calibrateRows(embedded, { schema: usedSchema, levelWeights }, progress);
  await write(
    { training: { ...training, exportDifference }, validation: figures },
    { levelWeights, calibration },
  );
  return { modelDirectory, result, validation: figures, cost };
}

/** Between the embeddings of the rows that both have. */
function largestDifference(
  a: Pick<EmbeddedRows, 'rows' | 'embeddings' | 'dimension'>,
  b: Pick<EmbeddedRows, 'rows' | 'embeddings'>,
): number {
  const { dimension } = a;
  const places = new Map(b.rows.map((row, place) => [row, place]));
  let largest = 0;
  a.rows.forEach((row, i) => {
    const place = places.get(row);
    if (place === undefined) return;
    for (let d = 0; d < dimension; d++) {
      const difference = a.embeddings[i * dimension + d]! - b.embeddings[place * dimension + d]!;
      if (!(Math.abs(difference) <= largest)) largest = Math.abs(difference);
    }
  });
  return largest;
}

/**
 * What decides which parameters are best: the finest level at which a picture has another one to find (of items of one
 * picture each that is a coarser one); `undefined` where no level has.
 */
function validationOf({ recallAt1, mapAtR, byLevel }: MethodMetrics, schema: Schema): Validation | undefined {
  const level = schema.levels.find((name) => (byLevel[name]?.queries ?? 0) > 0);
  if (level === undefined) return undefined;
  if (level === ITEM_LEVEL) return { score: recallAt1 + mapAtR, details: { recallAt1, mapAtR } };
  const figures = byLevel[level] as MethodMetrics['byLevel'][string];
  return {
    score: figures.recallAt1 + figures.mapAtR,
    details: { [`${level} recallAt1`]: figures.recallAt1, [`${level} mapAtR`]: figures.mapAtR },
  };
}

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
    preprocessing,
    dataHash,
    levelWeights,
    calibration,
    metrics,
  }: {
    schema: Schema;
    configuration: TrainingConfiguration;
    preprocessing: Preprocessing;
    dataHash: string;
    levelWeights?: number[][];
    calibration?: Calibration;
    metrics: Record<string, unknown>;
  },
  options: WaitOptions = {},
): Promise<void> {
  const card = {
    dimension: configuration.network.embeddingSize,
    schema: usedPartOf(schema, configuration),
    ...(levelWeights === undefined ? {} : { levelWeights }),
    ...(calibration === undefined ? {} : { calibration }),
    configuration,
    metrics,
    seeds: [configuration.seed],
    versions: versions(),
    dataHash,
  };
  await writeBundle(directory, { onnxModel, preprocessing, card }, options);
}
