/**
 * The training loop: batches in, the best parameters on validation out.
 *
 * Everything that the loop computes is a function of the configuration, the data and the step, and everything that it
 * carries is in its checkpoint; so a run that was killed goes on to the same bits (at one thread count).
 */
import { appendFile, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Schema } from '../granularity/index.js';
import { sizeOf } from '../graph/index.js';
import { initializeParameters, type Parameter } from '../models/index.js';
import { floatTensor, Session, StatefulSession, type Tensor, writeModel } from '../onnx/index.js';
import { cosineSchedule } from '../optimizers/index.js';
import {
  DataError,
  errorMessage,
  makeFolder,
  Random,
  refuseNewerFormat,
  type StartProgress,
  sha256,
  silentProgress,
  stopwatch,
  TrainingError,
  writeFileAtomic,
  writeJson,
} from '../util/index.js';
import type { TrainingConfiguration } from './configuration.js';
import { scratchNetwork, type TrainedNetwork } from './network.js';
import { AVERAGE_PREFIX, buildInferenceGraph, buildTrainingStep, type TrainingStep } from './step.js';
import { readTensorFile, type TensorFile, writeTensorFile } from './tensor-file.js';
import type { BatchVerdicts } from './verdicts.js';

/** What a step is fed. B pictures of S pixels, A attribute values, K attributes. */
export interface TrainingBatch {
  /** Pictures uint8 [B, S, S, 3], or what a frozen prefix made of them, float32 [B, …]: as the network takes them. */
  readonly source: Uint8Array | Float32Array;
  /** [B] */
  readonly itemIds: BigInt64Array;
  /** 0 or 1 [B, A] */
  readonly attributeLabels: Float32Array;
  /** 0 or 1 [B, K] */
  readonly attributeKnown: Float32Array;
  /** With `TrainingOptions.judgedPairs`. */
  readonly verdicts?: BatchVerdicts;
}

export interface TrainingOptions {
  readonly configuration: TrainingConfiguration;
  readonly schema: Schema;
  /** Default: the configuration's network, from nothing. */
  readonly network?: TrainedNetwork;
  /** Hash of the data; a run does not resume on other data. */
  readonly dataHash: string;
  /** Number of training classes C: item ids in batches are from 0 to C − 1. Only losses on proxies need it. */
  readonly classes?: number;
  /** F: pairs with verdicts behind the items of every batch. Default 0. */
  readonly judgedPairs?: number;
  /** Where checkpoints, the log and the best parameters are kept. */
  readonly directory: string;
  /** Batch number `index`, from 0; the same at every call. A step takes `batch.accumulate` of them. */
  batch(index: number): Promise<TrainingBatch>;
  /**
   * Judges a model on validation; larger is better. Without it the last parameters are the best. The model is the exported
   * one, or, of a network whose batches are features, the part that takes them.
   */
  readonly validate?: (onnxModel: Uint8Array) => Promise<Validation>;
  /** Threads of onnxruntime. Default: all cores. */
  readonly threads?: number;
  readonly progress?: StartProgress;
  /** One line of news, such as a validation's result. */
  readonly report?: (line: string) => void;
  /** Told after each step how long the model ran for it, in milliseconds: without waiting for pictures or judging. */
  readonly onStep?: (milliseconds: number) => void;
  /** Aborting saves a checkpoint and ends with what the signal was aborted with. */
  readonly signal?: AbortSignal;
}

export interface Validation {
  /** What decides which parameters are best. */
  readonly score: number;
  /** Kept in the log, e.g. `{ recallAt1, mapAtR }`. */
  readonly details?: Readonly<Record<string, number>>;
}

export interface TrainingResult {
  /** The exported model: ONNX bytes of the best parameters. */
  readonly onnxModel: Uint8Array;
  /** The same parameters as `TrainingOptions.validate` judges them. */
  readonly judgedModel: Uint8Array;
  readonly bestStep: number;
  /** NaN without validation. */
  readonly bestScore: number;
  /** Steps that this call ran; fewer than the configuration's when it resumed. */
  readonly stepsRun: number;
  /** Numbers that are trained. */
  readonly parameterCount: number;
}

/** A line of `metrics.jsonl`. */
export interface LogEntry {
  readonly step: number;
  readonly loss?: number;
  readonly metricLoss?: number;
  readonly attributeLoss?: number;
  /** Of the attacked pictures, with adversarial training. */
  readonly adversarialLoss?: number;
  readonly gradientNorm?: number;
  readonly learningRate?: number;
  readonly validation?: Validation;
}

const LOG_EVERY = 10;

/** Name of the log in a run's directory, one JSON object a line. */
export const LOG_FILE = 'metrics.jsonl';

/**
 * Trains, or goes on where an interrupted run of the same configuration and data stopped.
 * @throws TrainingError when the loss is no longer finite; the last checkpoint stays.
 * @throws DataError when a checkpoint in the directory is of another configuration or data, or cannot be written.
 */
export async function train(options: TrainingOptions): Promise<TrainingResult> {
  const {
    configuration,
    schema,
    network = scratchNetwork(configuration),
    directory,
    progress = silentProgress,
    report = () => {},
    signal,
  } = options;
  await makeFolder(directory);
  const { classes, judgedPairs } = options;
  const step = buildTrainingStep(configuration, schema, network, {
    ...(classes === undefined ? {} : { classes }),
    ...(judgedPairs === undefined ? {} : { judgedPairs }),
  });
  const fingerprint = sha256(JSON.stringify([configuration, schema, options.dataHash]));
  const files = {
    checkpoint: join(directory, 'checkpoint.safetensors'),
    best: join(directory, 'best.safetensors'),
    log: join(directory, LOG_FILE),
  };
  const resumed = await readCheckpoint(files.checkpoint, step, fingerprint);
  let { best, isJudged } = resumed ?? { best: { step: -1, score: Number.NEGATIVE_INFINITY }, isJudged: true };
  const firstStep = resumed?.step ?? 0;
  await writeJson(join(directory, 'configuration.json'), configuration);
  await truncateLog(
    files.log,
    ({ step, validation }) =>
      step < firstStep || (step === firstStep && (isJudged || validation === undefined)),
  );
  if (firstStep > 0) report(`going on at step ${firstStep} of ${configuration.steps}`);

  const exportModel = (
    parameters: Readonly<Record<string, Float32Array>>,
    from: 'pixels' | 'source' = 'pixels',
  ) =>
    writeModel(buildInferenceGraph(configuration, schema, parameters, network, from), {
      metadata: { 'semblance.schema': sha256(JSON.stringify(schema)) },
    });
  const judgedFrom = network.sourceName === 'features' ? 'source' : 'pixels';
  const finish = async (stepsRun: number): Promise<TrainingResult> => {
    const { tensors } = await readBest(files.best);
    const parameters = Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]));
    return {
      onnxModel: exportModel(parameters),
      judgedModel: exportModel(parameters, judgedFrom),
      bestStep: best.step,
      bestScore: options.validate === undefined ? Number.NaN : best.score,
      stepsRun,
      parameterCount: step.parameters.reduce(
        (sum, { shape }) => sum + shape.reduce((size, length) => size * length, 1),
        0,
      ),
    };
  };
  if (firstStep >= configuration.steps && isJudged) return finish(0);
  if (best.step >= 0) await readBest(files.best);

  const session = await Session.create(writeModel(step.graph), {
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  const stateful = new StatefulSession(session, resumed?.states ?? initialStates(step, configuration));
  const averaged = (): Record<string, Float32Array> => {
    const state = stateful.state();
    return Object.fromEntries(
      step.parameters.map(({ name }) => [name, state[`${AVERAGE_PREFIX}${name}`]?.data as Float32Array]),
    );
  };
  let done = firstStep;
  const save = () =>
    writeTensorFile(files.checkpoint, {
      tensors: floatTensors(stateful.state()),
      metadata: {
        'semblance.format': String(CHECKPOINT_FORMAT),
        fingerprint,
        step: String(done),
        isJudged: String(isJudged),
        best: JSON.stringify(best),
      },
    });
  const log = (entry: LogEntry) => appendLine(files.log, JSON.stringify(entry));
  const judge = async (): Promise<void> => {
    isJudged = false;
    const parameters = averaged();
    const validation = await options.validate?.(exportModel(parameters, judgedFrom));
    // A score that is no number, as where no picture has a match, decides nothing: the later parameters are kept.
    const isBest = validation === undefined || !(validation.score <= best.score);
    if (validation !== undefined) {
      await log({ step: done, validation });
      report(`step ${done}: validation ${describe(validation)}${isBest ? ', the best so far' : ''}`);
    }
    isJudged = true;
    if (!isBest) return;
    best = { step: done, score: validation?.score ?? Number.NEGATIVE_INFINITY };
    const shapes = Object.fromEntries(step.parameters.map(({ name, shape }) => [name, shape]));
    await writeTensorFile(files.best, {
      tensors: Object.fromEntries(
        Object.entries(parameters).map(([name, data]) => [name, { shape: shapes[name] ?? [], data }]),
      ),
      metadata: { step: String(done) },
    });
  };

  const bar = progress('training', configuration.steps, firstStep);
  try {
    if (!isJudged) {
      await judge();
      await save();
    }
    while (done < configuration.steps) {
      signal?.throwIfAborted();
      const learningRate = cosineSchedule(done, configuration);
      const { accumulate } = configuration.batch;
      // All of a step's batches first: an interruption finds the state of a whole step.
      const batches: TrainingBatch[] = [];
      for (let i = 0; i < accumulate; i++) batches.push(await options.batch(done * accumulate + i));
      const outputs: Record<string, Tensor>[] = [];
      const elapsedSeconds = stopwatch();
      for (const [i, batch] of batches.entries()) {
        const isUpdate = i === accumulate - 1;
        outputs.push(await stateful.step(feedsOf(batch, step, learningRate, done, isUpdate)));
      }
      options.onStep?.(1000 * elapsedSeconds());
      done++;
      const entry = logEntry(done, outputs, learningRate);
      if (!Number.isFinite(entry.loss) || !Number.isFinite(entry.gradientNorm)) {
        throw new TrainingError(
          `train: the loss must be finite, got ${entry.loss} (gradient norm ${entry.gradientNorm}) at step ${done}. Lower learningRate (${configuration.learningRate}) or gradientClip (${configuration.gradientClip}); the last checkpoint is kept.`,
        );
      }
      const isLast = done === configuration.steps;
      if (done % LOG_EVERY === 0 || isLast || done === 1) await log(entry);
      bar.update(done, `loss ${entry.loss.toFixed(3)}`);
      if (done % configuration.validateEvery === 0 || isLast) await judge();
      if (done % configuration.checkpointEvery === 0 || isLast) await save();
    }
  } catch (error) {
    // Whatever was under way (a batch, a validation), the state is that of `done` steps.
    if (signal?.aborted && error === signal.reason) await save();
    throw error;
  } finally {
    bar.stop();
    await stateful.close();
  }
  return finish(configuration.steps - firstStep);
}

/** The parameters that a run of this configuration starts from. */
export function initialParameters(
  parameters: readonly Parameter[],
  { seed }: TrainingConfiguration,
): Record<string, Float32Array> {
  return initializeParameters(parameters, Random.from(seed, INITIALIZATION_STREAM));
}

/** The state that a run of this configuration starts from: those parameters, and zeros. */
export function initialStates(
  step: TrainingStep,
  configuration: TrainingConfiguration,
): Record<string, Tensor> {
  const values = initialParameters(step.parameters, configuration);
  return Object.fromEntries(
    step.states.map((state) => {
      const { name, shape } = state;
      const data =
        state.startsAs === 'parameter' ? (values[state.of] as Float32Array) : new Float32Array(sizeOf(shape));
      return [name, floatTensor(data, shape)];
    }),
  );
}

// --- internal ---

/** Of checkpoints. One that says nothing is of the first. */
const CHECKPOINT_FORMAT = 1;

interface Best {
  readonly step: number;
  readonly score: number;
}

const INITIALIZATION_STREAM = 11;

function feedsOf(
  batch: TrainingBatch,
  { graph }: TrainingStep,
  learningRate: number,
  index: number,
  isUpdate: boolean,
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { name, value } of graph.inputs) {
    const shape = value.shape as readonly number[];
    const feed = (data: Tensor['data']) => {
      feeds[name] = { dataType: value.dataType, shape, data };
    };
    if (name === 'pictures' || name === 'features') feed(batch.source);
    else if (name === 'item_ids') feed(batch.itemIds);
    else if (name === 'attribute_labels') feed(batch.attributeLabels);
    else if (name === 'attribute_known') feed(batch.attributeKnown);
    else if (name === 'pair_judged') feed(verdictsOf(batch).isJudged);
    else if (name === 'pair_positive') feed(verdictsOf(batch).positive);
    else if (name === 'pair_negative') feed(verdictsOf(batch).negative);
    else if (name === 'learning_rate') feed(Float32Array.of(learningRate));
    else if (name === 'step') feed(Float32Array.of(index + 1));
    else if (name === 'is_update') feed(Uint8Array.of(isUpdate ? 1 : 0));
  }
  return feeds;
}

function verdictsOf({ verdicts }: TrainingBatch): BatchVerdicts {
  if (verdicts !== undefined) return verdicts;
  throw new TrainingError('internal: train: a batch with judged pairs must have verdicts, got none');
}

function logEntry(step: number, outputs: readonly Readonly<Record<string, Tensor>>[], learningRate: number) {
  const scalars = (name: string) => outputs.map((output) => Number(output[name]?.data[0]));
  const scalar = (name: string) => scalars(name).reduce((sum, x) => sum + x, 0) / outputs.length;
  return {
    step,
    loss: scalar('loss'),
    metricLoss: scalar('metric_loss'),
    attributeLoss: scalar('attribute_loss'),
    ...(outputs[0]?.adversarial_loss === undefined ? {} : { adversarialLoss: scalar('adversarial_loss') }),
    gradientNorm: scalars('gradient_norm').at(-1) as number,
    learningRate,
  } satisfies LogEntry;
}

function floatTensors(states: Readonly<Record<string, Tensor>>) {
  return Object.fromEntries(
    Object.entries(states).map(([name, { shape, data }]) => [name, { shape, data: data as Float32Array }]),
  );
}

async function readCheckpoint(
  path: string,
  step: TrainingStep,
  fingerprint: string,
): Promise<{ step: number; isJudged: boolean; best: Best; states: Record<string, Tensor> } | undefined> {
  let file: TensorFile;
  try {
    // First: what a newer version writes may look broken to this one, and is not to be deleted.
    const check = (metadata: TensorFile['metadata']) =>
      refuseNewerFormat(Number(metadata['semblance.format'] ?? 1), 'the checkpoint', CHECKPOINT_FORMAT, path);
    file = await readTensorFile(path, { check });
  } catch (error) {
    if (isMissing((error as DataError).cause)) return undefined;
    throw error;
  }
  const { tensors, metadata } = file;
  if (metadata.fingerprint !== fingerprint) {
    throw new DataError(
      'is a checkpoint of another configuration or other data. Choose another directory, or delete this one',
      { file: path },
    );
  }
  const states: Record<string, Tensor> = {};
  for (const { name, shape } of step.states) {
    const tensor = tensors[name];
    if (tensor === undefined)
      throw new DataError(`lacks the state '${name}'. Delete it to start again`, { file: path });
    states[name] = floatTensor(tensor.data, shape);
  }
  const best = JSON.parse(metadata.best ?? '{}') as { step: number; score: number | null };
  return {
    step: Number(metadata.step),
    isJudged: metadata.isJudged !== 'false',
    best: { step: best.step, score: best.score ?? Number.NEGATIVE_INFINITY },
    states,
  };
}

/** @throws DataError saying what to do; the checkpoint is of no use without it. */
async function readBest(path: string): Promise<TensorFile> {
  try {
    return await readTensorFile(path);
  } catch (error) {
    throw new DataError(
      `the best parameters are needed to go on, got: ${errorMessage(error)}. Delete the folder to start again`,
      { cause: error },
    );
  }
}

/** Drops what was logged after the checkpoint that is resumed, so that no step stands in the log twice. */
async function truncateLog(path: string, isKept: (entry: LogEntry) => boolean): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (isMissing(error)) return;
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  const kept = text.split('\n').filter((line) => {
    try {
      return isKept(JSON.parse(line) as LogEntry);
    } catch {
      return false; // the last line of a killed run may be cut off
    }
  });
  await writeFileAtomic(path, kept.map((line) => `${line}\n`).join(''));
}

async function appendLine(path: string, line: string): Promise<void> {
  try {
    await appendFile(path, `${line}\n`);
  } catch (error) {
    throw new DataError(`cannot be written: ${errorMessage(error)}`, { file: path, cause: error });
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

function describe({ score, details = {} }: Validation): string {
  const parts = Object.entries(details).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  return parts.length === 0 ? score.toFixed(4) : parts.join(', ');
}
