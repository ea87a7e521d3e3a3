/**
 * The training loop: batches in, the best parameters on validation out.
 *
 * Everything that the loop computes is a function of the configuration, the data and the step, and everything that it
 * carries is in its checkpoint; so a run that was killed goes on to the same bits (at one thread count).
 */
import { appendFile, mkdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Schema } from '../granularity/index.js';
import { initializeParameters } from '../models/index.js';
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
import { readTensorFile, writeTensorFile } from './tensor-file.js';

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
  await writeJson(join(directory, 'configuration.json'), configuration);
  const step = buildTrainingStep(configuration, schema);
  const fingerprint = sha256(JSON.stringify([configuration, schema, options.dataHash]));
  const files = {
    checkpoint: join(directory, 'checkpoint.safetensors'),
    best: join(directory, 'best.safetensors'),
    log: join(directory, LOG_FILE),
  };
  const resumed = await readCheckpoint(files.checkpoint, step, fingerprint);
  let { best } = resumed ?? { best: { step: -1, score: Number.NEGATIVE_INFINITY } };
  const firstStep = resumed?.step ?? 0;
  await truncateLog(files.log, firstStep);
  if (firstStep > 0) report(`going on at step ${firstStep} of ${configuration.steps}`);

  const exportModel = (parameters: Readonly<Record<string, Float32Array>>) =>
    writeModel(buildInferenceGraph(configuration, schema, parameters));
  const finish = async (stepsRun: number): Promise<TrainingResult> => {
    const { tensors } = await readTensorFile(files.best);
    const parameters = Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]));
    return {
      onnxModel: exportModel(parameters),
      bestStep: best.step,
      bestScore: options.validate === undefined ? Number.NaN : best.score,
      stepsRun,
    };
  };
  if (firstStep >= configuration.steps) return finish(0);

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
  const save = (done: number) =>
    writeTensorFile(files.checkpoint, {
      tensors: floatTensors(stateful.state()),
      metadata: { fingerprint, step: String(done), best: JSON.stringify(best) },
    });
  const judge = async (done: number): Promise<void> => {
    const parameters = averaged();
    const validation = await options.validate?.(exportModel(parameters));
    const isBest = validation === undefined || validation.score > best.score;
    if (validation !== undefined) {
      await appendFile(files.log, `${JSON.stringify({ step: done, validation } satisfies LogEntry)}\n`);
      report(`step ${done}: validation ${describe(validation)}${isBest ? ', the best so far' : ''}`);
    }
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

  const bar = progress('training', configuration.steps);
  try {
    for (let index = firstStep; index < configuration.steps; index++) {
      if (signal?.aborted) {
        await save(index);
        signal.throwIfAborted();
      }
      const learningRate = cosineSchedule(index, configuration);
      const outputs = await stateful.step(feedsOf(await options.batch(index), step, learningRate, index));
      const entry = logEntry(index + 1, outputs, learningRate);
      if (!Number.isFinite(entry.loss) || !Number.isFinite(entry.gradientNorm)) {
        throw new TrainingError(
          `train: the loss must be finite, got ${entry.loss} (gradient norm ${entry.gradientNorm}) at step ${index + 1}. Lower learningRate (${configuration.learningRate}) or gradientClip (${configuration.gradientClip}); the last checkpoint is kept.`,
        );
      }
      const done = index + 1;
      const isLast = done === configuration.steps;
      if (done % LOG_EVERY === 0 || isLast || index === 0) {
        await appendFile(files.log, `${JSON.stringify(entry)}\n`);
      }
      bar.update(done, `loss ${(entry.loss as number).toFixed(3)}`);
      if (done % configuration.validateEvery === 0 || isLast) await judge(done);
      if (done % configuration.checkpointEvery === 0 || isLast) await save(done);
    }
  } finally {
    bar.stop();
    await stateful.close();
  }
  return finish(configuration.steps - firstStep);
}

// --- internal ---

interface Best {
  readonly step: number;
  readonly score: number;
}

function initialStates(step: TrainingStep, { seed }: TrainingConfiguration): Record<string, Tensor> {
  const values = initializeParameters(step.parameters, Random.from(seed, INITIALIZATION_STREAM));
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
): Promise<{ step: number; best: Best; states: Record<string, Tensor> } | undefined> {
  const exists = await readFile(path, { flag: 'r' }).then(
    () => true,
    () => false,
  );
  if (!exists) return undefined;
  const { tensors, metadata } = await readTensorFile(path);
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
    best: { step: best.step, score: best.score ?? Number.NEGATIVE_INFINITY },
    states,
  };
}

/** Drops what was logged after the checkpoint that is resumed, so that no step stands in the log twice. */
async function truncateLog(path: string, step: number): Promise<void> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return;
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  const kept = text.split('\n').filter((line) => {
    try {
      return (JSON.parse(line) as LogEntry).step <= step;
    } catch {
      return false; // the last line of a killed run may be cut off
    }
  });
  await writeFileAtomic(path, kept.map((line) => `${line}\n`).join(''));
}

function describe({ score, details = {} }: Validation): string {
  const parts = Object.entries(details).map(([name, value]) => `${name} ${value.toFixed(4)}`);
  return parts.length === 0 ? score.toFixed(4) : parts.join(', ');
}
