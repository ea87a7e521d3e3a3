/**
 * The training loop: batches in, the best parameters on validation out.
 *
 * Everything that the loop computes is a function of the configuration, the data and the step, and everything that it
 * carries is in its checkpoint; so a run that was killed goes on to the same bits (at one thread count).
 */
import { appendFile, mkdir, readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { Schema } from '../granularity/index.js';
import { initializeParameters, type Parameter } from '../models/index.js';
import { floatTensor, Session, StatefulSession, type Tensor, writeModel } from '../onnx/index.js';
import { cosineSchedule } from '../optimizers/index.js';
import {
  DataError,
  errorMessage,
  Random,
  type StartProgress,
  sha256,
  silentProgress,
  TrainingError,
  writeFileAtomic,
  writeJson,
} from '../util/index.js';
import type { TrainingConfiguration } from './configuration.js';
import { AVERAGE_PREFIX, buildInferenceGraph, buildTrainingStep, type TrainingStep } from './step.js';
import { readTensorFile, type TensorFile, writeTensorFile } from './tensor-file.js';

/** What a step is fed. B pictures of S pixels, A attribute values, K attributes. */
export interface TrainingBatch {
  /** uint8 [B, S, S, 3] */
  readonly pictures: Uint8Array;
  /** [B] */
  readonly itemIds: BigInt64Array;
  /** 0 or 1 [B, A] */
  readonly attributeLabels: Float32Array;
  /** 0 or 1 [B, K] */
  readonly attributeKnown: Float32Array;
}

export interface TrainingOptions {
  readonly configuration: TrainingConfiguration;
  readonly schema: Schema;
  /** Hash of the data; a run does not resume on other data. */
  readonly dataHash: string;
  /** Where checkpoints, the log and the best parameters are kept. */
  readonly directory: string;
  /** The batch of a step, from 0; the same at every call. */
  batch(step: number): Promise<TrainingBatch>;
  /** Judges a model on validation; larger is better. Without it the last parameters are the best. */
  readonly validate?: (onnxModel: Uint8Array) => Promise<Validation>;
  /** Threads of onnxruntime. Default: all cores. */
  readonly threads?: number;
  readonly progress?: StartProgress;
  /** One line of news, such as a validation's result. */
  readonly report?: (line: string) => void;
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
  readonly bestStep: number;
  /** NaN without validation. */
  readonly bestScore: number;
  /** Steps that this call ran; fewer than the configuration's when it resumed. */
  readonly stepsRun: number;
}

/** A line of `metrics.jsonl`. */
export interface LogEntry {
  readonly step: number;
  readonly loss?: number;
  readonly metricLoss?: number;
  readonly attributeLoss?: number;
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
  const { configuration, schema, directory, progress = silentProgress, report = () => {}, signal } = options;
  await mkdir(directory, { recursive: true });
  const step = buildTrainingStep(configuration, schema);
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
  await removeUnfinishedFiles(directory);
  await truncateLog(
    files.log,
    ({ step, validation }) =>
      step < firstStep || (step === firstStep && (isJudged || validation === undefined)),
  );
  if (firstStep > 0) report(`going on at step ${firstStep} of ${configuration.steps}`);

  const exportModel = (parameters: Readonly<Record<string, Float32Array>>) =>
    writeModel(buildInferenceGraph(configuration, schema, parameters));
  const finish = async (stepsRun: number): Promise<TrainingResult> => {
    const { tensors } = await readBest(files.best);
    const parameters = Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]));
    return {
      onnxModel: exportModel(parameters),
      bestStep: best.step,
      bestScore: options.validate === undefined ? Number.NaN : best.score,
      stepsRun,
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
      metadata: { fingerprint, step: String(done), isJudged: String(isJudged), best: JSON.stringify(best) },
    });
  const log = (entry: LogEntry) => appendLine(files.log, JSON.stringify(entry));
  const judge = async (): Promise<void> => {
    isJudged = false;
    const parameters = averaged();
    const validation = await options.validate?.(exportModel(parameters));
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
      const outputs = await stateful.step(feedsOf(await options.batch(done), step, learningRate, done));
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
    step.states.map(({ name, shape, startsAs, of }) => {
      const initial = values[of] as Float32Array;
      return [
        name,
        floatTensor(startsAs === 'parameter' ? initial : new Float32Array(initial.length), shape),
      ];
    }),
  );
}

// --- internal ---

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
): Record<string, Tensor> {
  const feeds: Record<string, Tensor> = {};
  for (const { name, value } of graph.inputs) {
    const shape = value.shape as readonly number[];
    const feed = (data: Tensor['data']) => {
      feeds[name] = { dataType: value.dataType, shape, data };
    };
    if (name === 'pictures') feed(batch.pictures);
    else if (name === 'item_ids') feed(batch.itemIds);
    else if (name === 'attribute_labels') feed(batch.attributeLabels);
    else if (name === 'attribute_known') feed(batch.attributeKnown);
    else if (name === 'learning_rate') feed(Float32Array.of(learningRate));
    else if (name === 'step') feed(Float32Array.of(index + 1));
  }
  return feeds;
}

function logEntry(step: number, outputs: Readonly<Record<string, Tensor>>, learningRate: number) {
  const scalar = (name: string) => Number(outputs[name]?.data[0]);
  return {
    step,
    loss: scalar('loss'),
    metricLoss: scalar('metric_loss'),
    attributeLoss: scalar('attribute_loss'),
    gradientNorm: scalar('gradient_norm'),
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
    file = await readTensorFile(path);
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

/** What a run that was killed while it wrote a file left beside it. */
async function removeUnfinishedFiles(directory: string): Promise<void> {
  for (const name of await readdir(directory)) {
    if (/^(checkpoint|best)\.safetensors\.\d+$/.test(name)) await rm(join(directory, name), { force: true });
  }
}

function isMissing(error: unknown): boolean {
  return (error as NodeJS.ErrnoException | undefined)?.code === 'ENOENT';
}

function describe({ score, details = {} }: Validation): string {
  const parts = Object.entries(details).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  return parts.length === 0 ? score.toFixed(4) : parts.join(', ');
}
