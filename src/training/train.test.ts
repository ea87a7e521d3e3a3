/**
 * The training loop on made-up pictures: learning, determinism, bad turns.
 */
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  ITEMS,
  SCHEMA,
  tinyBatch,
  tinyConfiguration,
  tinyTraining,
  validateTiny,
} from '../../test/support/tiny-training.js';
import type { Schema } from '../granularity/index.js';
import { DataError, TrainingError } from '../util/index.js';
import {
  buildTrainingStep,
  embedPictures,
  initialParameters,
  type LogEntry,
  readTensorFile,
  scratchNetwork,
  type TrainedNetwork,
  type TrainingConfigurationInput,
  type TrainingOptions,
  type TrainingResult,
  train,
} from './index.js';

let root = '';
let folders = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-train-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});
const folder = () => join(root, `run${folders++}`);

async function readLog(directory: string): Promise<LogEntry[]> {
  const text = await readFile(join(directory, 'metrics.jsonl'), 'utf8');
  expect(text.endsWith('\n')).toBe(true);
  return text
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as LogEntry);
}

const hasSameBytes = (a: TrainingResult, b: TrainingResult) => Buffer.compare(a.onnxModel, b.onnxModel) === 0;

/** Runs `steps` steps with changes to the tiny configuration. */
async function run(
  over: TrainingConfigurationInput,
  schema: Schema = SCHEMA,
  more: Partial<TrainingOptions> = {},
) {
  const directory = folder();
  const result = await train({ ...tinyTraining(directory, tinyConfiguration(over), schema), ...more });
  return { directory, result, log: await readLog(directory) };
}

describe('train', () => {
  let first: Awaited<ReturnType<typeof run>>;
  beforeAll(async () => {
    first = await run({});
  });

  it('learns: the loss falls, and pictures that it never saw find their item', async () => {
    const losses = first.log.flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
    expect(losses.at(-1)!).toBeLessThan(0.5 * losses[0]!);
    expect(first.result.bestScore).toBeGreaterThan(0.9);
    expect(await validateTiny(first.result.onnxModel)).toMatchObject({ score: first.result.bestScore });
  });

  it('leaves a log of steps and validations, its configuration, checkpoint and best parameters', async () => {
    expect(
      first.log.map(({ step, validation }) => `${step}${validation === undefined ? '' : ' validation'}`),
    ).toEqual(['1', '10', '10 validation', '20', '20 validation', '30', '30 validation']);
    expect(first.log[0]).toMatchObject({ learningRate: 0.002 });
    for (const { loss, metricLoss, attributeLoss } of first.log) {
      if (loss !== undefined) expect(loss).toBeCloseTo(metricLoss! + 0.3 * attributeLoss!, 5);
    }
    expect((await readdir(first.directory)).sort()).toEqual([
      'best.safetensors',
      'checkpoint.safetensors',
      'configuration.json',
      'metrics.jsonl',
    ]);
    const { metadata } = await readTensorFile(join(first.directory, 'best.safetensors'));
    expect(metadata.step).toBe(String(first.result.bestStep));
    const scores = first.log.flatMap(({ step, validation }) => (validation ? [{ step, ...validation }] : []));
    const best = Math.max(...scores.map(({ score }) => score));
    expect(first.result).toMatchObject({
      bestScore: best,
      bestStep: scores.find(({ score }) => score === best)!.step,
      stepsRun: 30,
    });
  });

  it('one seed, one result to the byte; another seed, another', async () => {
    const again = await run({});
    expect(hasSameBytes(again.result, first.result)).toBe(true);
    expect(again.log).toEqual(first.log);
    const other = await run({ seed: 1 });
    expect(hasSameBytes(other.result, first.result)).toBe(false);
  });

  it('called again when it is done runs nothing and gives the same', async () => {
    const result = await train(tinyTraining(first.directory));
    expect(result).toEqual({ ...first.result, stepsRun: 0 });
    expect(await readLog(first.directory)).toEqual(first.log);
  });

  it('without validation the last parameters are the best', async () => {
    const { validate: _, ...options } = tinyTraining(folder(), tinyConfiguration({ steps: 7 }));
    const result = await train(options);
    expect(result).toMatchObject({ bestStep: 7, stepsRun: 7, bestScore: Number.NaN });
  });

  it('a validation score that is no number keeps the last parameters', async () => {
    const { result } = await run({ steps: 12, validateEvery: 5 }, SCHEMA, {
      validate: async () => ({ score: Number.NaN }),
    });
    expect(result.bestStep).toBe(12);
  });
});

describe('what can be configured trains', () => {
  it.each<[string, TrainingConfigurationInput]>([
    [
      'soft-binomial deviance with every knob',
      { loss: { kind: 'soft-binomial-deviance', positiveLink: 1, slack: 0.2 } },
    ],
    [
      'soft, predicted, power',
      {
        loss: {
          kind: 'soft-binomial-deviance',
          source: 'predicted',
          mapping: { kind: 'power', exponent: 2 },
        },
      },
    ],
    [
      'soft, blend, logistic',
      {
        loss: {
          kind: 'soft-binomial-deviance',
          source: 'blend',
          mapping: { kind: 'logistic', slope: 5, middle: 0.5 },
        },
      },
    ],
    ['binomial deviance', { loss: { kind: 'binomial-deviance' } }],
    ['contrastive', { loss: { kind: 'contrastive' } }],
    ['triplet, semi-hard', { loss: { kind: 'triplet' } }],
    ['triplet, batch-hard', { loss: { kind: 'triplet', mining: 'batch-hard' } }],
    ['triplet, all', { loss: { kind: 'triplet', mining: 'all' } }],
    ['multi-similarity', { loss: { kind: 'multi-similarity' } }],
    ['boosted ensemble', { loss: { kind: 'boosted-ensemble' } }],
    ['boosted ensemble of given sizes', { loss: { kind: 'boosted-ensemble', learners: [2, 6] } }],
    ['normalised softmax', { loss: { kind: 'normalized-softmax', labelSmoothing: 0.1 } }],
    ['proxy-anchor', { loss: { kind: 'proxy-anchor' } }],
    [
      'group normalisation',
      { network: { inputSize: 16, widths: [8, 16], embeddingSize: 8, normalization: 'group' } },
    ],
    [
      'no normalisation',
      { network: { inputSize: 16, widths: [8, 16], embeddingSize: 8, normalization: 'none' } },
    ],
    [
      'average pooling',
      { network: { inputSize: 16, widths: [8, 16], embeddingSize: 8, pooling: 'average' } },
    ],
    ['SGD', { optimizer: { kind: 'sgd' } }],
    ['SGD without momentum', { optimizer: { kind: 'sgd', momentum: 0 } }],
    ['label smoothing', { labelSmoothing: 0.1 }],
    ['no attribute head, link to labels', { attributeWeight: 0 }],
    ['no attributes at all', { attributeWeight: 0, loss: { kind: 'binomial-deviance' } }],
    ['items of one picture', { batch: { items: 8, picturesPerItem: 1 } }],
    ['one item', { batch: { items: 1, picturesPerItem: 4 } }],
  ])('%s', async (_, over) => {
    const { result, log } = await run({ steps: 4, ...over });
    expect(result.onnxModel.length).toBeGreaterThan(1000);
    for (const { loss } of log) if (loss !== undefined) expect(Number.isFinite(loss)).toBe(true);
  });

  it('data without attributes', async () => {
    const none: Schema = { attributes: [], levels: ['item_id'] };
    const { log } = await run({ steps: 3, loss: { kind: 'binomial-deviance' } }, none);
    expect(log[0]).toMatchObject({ attributeLoss: 0 });
    await expect(run({ steps: 3 }, none)).rejects.toThrow(DataError);
    await expect(run({ steps: 3 }, none)).rejects.toThrow(
      /the data have none\. .* set loss\.kind to binomial-deviance/,
    );
  });

  it('an attribute with one value', async () => {
    const schema: Schema = {
      attributes: [{ name: 'only', kind: 'single', values: ['one'] }],
      levels: ['item_id'],
    };
    const { log } = await run({ steps: 3 }, schema);
    expect(log.at(-2)).toMatchObject({ step: 3, attributeLoss: 0 });
  });

  it('predictions are asked for where there is no head to make them', async () => {
    const loss = { kind: 'soft-binomial-deviance', source: 'predicted' } as const;
    await expect(run({ loss, attributeWeight: 0 })).rejects.toThrow(/Set attributeWeight over 0/);
  });

  it('the step has a state for each parameter, its average and its moments', () => {
    const { graph, parameters, states } = buildTrainingStep(tinyConfiguration(), SCHEMA);
    const trained = parameters.filter(({ kind }) => kind === 'trained').length;
    expect(states.length).toBe(2 * parameters.length + 2 * trained);
    expect(new Set(states.map(({ name }) => name)).size).toBe(states.length);
    const outputs = graph.outputs.map(({ name }) => name);
    for (const { name } of states) expect(outputs).toContain(`next.${name}`);
  });
});

it('the parts of a boosted ensemble learn, and the exported embedding has them at the lengths of their weights', async () => {
  const { result } = await run({ loss: { kind: 'boosted-ensemble', learners: [2, 3, 3] } });
  expect(result.bestScore).toBeGreaterThan(0.9);
  const { source } = tinyBatch(tinyConfiguration(), SCHEMA, 0);
  const { embeddings } = await embedPictures(result.onnxModel, source as Uint8Array, 16, { threads: 1 });
  for (let row = 0; row < embeddings.length; row += 8) {
    const length = (start: number, end: number) => Math.hypot(...embeddings.subarray(row + start, row + end));
    expect(length(0, 2)).toBeCloseTo(Math.sqrt(1 / 6), 4);
    expect(length(2, 5)).toBeCloseTo(Math.sqrt(2 / 6), 4);
    expect(length(5, 8)).toBeCloseTo(Math.sqrt(3 / 6), 4);
    expect(length(0, 8)).toBeCloseTo(1, 5);
  }
});

describe('proxies', () => {
  const loss = { kind: 'proxy-anchor', proxyLearningRateScale: 3 } as const;

  it('are trained, are in the checkpoint, and are not exported', async () => {
    const { result, directory, log } = await run({ loss });
    expect(log.findLast(({ loss }) => loss !== undefined)!.loss!).toBeLessThan(0.5 * log[0]!.loss!);
    expect(result.bestScore).toBeGreaterThan(0.9);
    const { tensors } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    expect(tensors.proxies?.shape).toEqual([ITEMS, 8]);
    const configuration = tinyConfiguration({ loss });
    const step = buildTrainingStep(configuration, SCHEMA, undefined, { classes: ITEMS });
    const start = initialParameters(step.parameters, configuration);
    expect(tensors.proxies?.data).not.toEqual(start.proxies);
    expect(Buffer.from(result.onnxModel).includes('proxies')).toBe(false);
  });

  it('leave the network to start as without them', () => {
    const starts = [undefined, 'proxy-anchor', 'normalized-softmax'].map((kind) => {
      const configuration = tinyConfiguration(kind === undefined ? {} : { loss: { kind } as typeof loss });
      const step = buildTrainingStep(configuration, SCHEMA, undefined, { classes: 5 });
      const { proxies, ...network } = initialParameters(step.parameters, configuration);
      expect(proxies?.length).toBe(kind === undefined ? undefined : 5 * 8);
      return network;
    });
    expect(starts[1]).toEqual(starts[0]);
    expect(starts[2]).toEqual(starts[0]);
  });

  it('need the number of classes', async () => {
    const { classes: _, ...options } = tinyTraining(folder(), tinyConfiguration({ loss }));
    await expect(train(options)).rejects.toThrow(DataError);
    await expect(train(options)).rejects.toThrow(
      /'proxy-anchor' needs the number of training classes, got none/,
    );
  });
});

describe('bad turns', () => {
  it('gradients of two halves of a step are averaged: the same batch twice is the batch', async () => {
    const network = { inputSize: 16, widths: [8, 16], blocks: [1], embeddingSize: 8 };
    const settings = { steps: 6, network: { ...network, normalization: 'group' as const } };
    const once = await run(settings);
    const configuration = tinyConfiguration({
      ...settings,
      batch: { items: ITEMS, picturesPerItem: 2, accumulate: 2 },
    });
    const batch = async (index: number) => tinyBatch(configuration, SCHEMA, Math.floor(index / 2));
    const directory = folder();
    const result = await train({ ...tinyTraining(directory, configuration), batch });
    const losses = (log: readonly LogEntry[]) =>
      log.flatMap(({ loss }) => (loss === undefined ? [] : [loss]));
    const twice = losses(await readLog(directory));
    losses(once.log).forEach((loss, i) => {
      expect(twice[i]).toBeCloseTo(loss, 4);
    });
    expect(result.stepsRun).toBe(6);
  });

  it('a learning rate scaled to nothing leaves a parameter where it was', async () => {
    const configuration = tinyConfiguration({ steps: 3 });
    const network = scratchNetwork(configuration);
    const slow: TrainedNetwork = {
      ...network,
      fromSource: (context, source) =>
        network.fromSource(
          {
            ...context,
            parameters: {
              get: (parameter) => context.parameters.get({ ...parameter, learningRateScale: 1e-30 }),
            },
          },
          source,
        ),
    };
    const directory = folder();
    await train({ ...tinyTraining(directory, configuration), network: slow });
    const { tensors } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    const step = buildTrainingStep(configuration, SCHEMA);
    const start = initialParameters(step.parameters, configuration);
    expect(tensors['stem.convolution.weight']?.data).toEqual(start['stem.convolution.weight']);
    expect(tensors['embedding.weight']?.data).not.toEqual(start['embedding.weight']);
  });

  it('a loss that is not finite: one line, and the checkpoint before it stays', async () => {
    const directory = folder();
    const configuration = tinyConfiguration({ learningRate: 1e30, warmUpSteps: 0, checkpointEvery: 1 });
    const options = tinyTraining(directory, configuration);
    const error = await train(options).catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(TrainingError);
    expect((error as Error).message).toMatch(
      /^train: the loss must be finite, got .* at step \d+\. Lower learningRate \(1e\+30\) .*the last checkpoint is kept\.$/,
    );
    const failedAt = Number(/at step (\d+)/.exec((error as Error).message)?.[1]);
    const { metadata } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    expect(Number(metadata.step)).toBe(failedAt - 1);
    for (const { step } of await readLog(directory)) expect(step).toBeLessThan(failedAt);
  });

  it('an embedding that is not a number: the run before it is kept', async () => {
    const directory = folder();
    const options = tinyTraining(directory, tinyConfiguration({ checkpointEvery: 5 }));
    const failing: TrainingOptions = {
      ...options,
      batch: async (step) => {
        const batch = await options.batch(step);
        return step < 12 ? batch : { ...batch, attributeLabels: batch.attributeLabels.map(() => Number.NaN) };
      },
    };
    await expect(train(failing)).rejects.toThrow(/got NaN \(gradient norm NaN\) at step 13\./);
    const { metadata } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
    expect(metadata.step).toBe('10');
  });

  it('a checkpoint of another configuration or other data is refused, and left as it is', async () => {
    const directory = folder();
    const configuration = tinyConfiguration({ steps: 3 });
    await train(tinyTraining(directory, configuration));
    const before = await readFile(join(directory, 'configuration.json'), 'utf8');
    for (const other of [
      tinyTraining(directory, tinyConfiguration({ steps: 4 })),
      { ...tinyTraining(directory, configuration), dataHash: 'other' },
      tinyTraining(directory, configuration, { ...SCHEMA, levels: ['item_id'] }),
    ]) {
      await expect(train(other)).rejects.toBeInstanceOf(DataError);
      await expect(train(other)).rejects.toThrow(
        /checkpoint\.safetensors: is a checkpoint of another configuration or other data\. Choose another directory/,
      );
    }
    expect(await readFile(join(directory, 'configuration.json'), 'utf8')).toBe(before);
  });

  it.each(['checkpoint', 'best'])('a %s that was cut off is refused by name', async (name) => {
    const directory = folder();
    const options = tinyTraining(directory, tinyConfiguration({ steps: 3 }));
    await train(options);
    await truncate(join(directory, `${name}.safetensors`), 2000);
    await expect(train(options)).rejects.toBeInstanceOf(DataError);
    await expect(train(options)).rejects.toThrow(
      new RegExp(`${name}\\.safetensors: is no whole tensor file`),
    );
  });

  it('a checkpoint that cannot be read is no reason to start over', async () => {
    const directory = folder();
    await mkdir(join(directory, 'checkpoint.safetensors'), { recursive: true });
    await expect(train(tinyTraining(directory))).rejects.toThrow(
      /checkpoint\.safetensors: cannot be read: EISDIR/,
    );
  });

  it('a broken last line of the log of a killed run is removed', async () => {
    const directory = folder();
    await mkdir(directory);
    await writeFile(join(directory, 'metrics.jsonl'), '{"step":1,"lo');
    const { log } = {
      ...(await train(tinyTraining(directory, tinyConfiguration({ steps: 2 })))),
      log: await readLog(directory),
    };
    expect(log.map(({ step }) => step)).toEqual([1, 2, 2]);
  });

  it('a batch of another shape is refused', async () => {
    const options = tinyTraining(folder());
    const batch = async (step: number) =>
      tinyBatch(tinyConfiguration({ batch: { items: ITEMS - 1, picturesPerItem: 2 } }), SCHEMA, step);
    await expect(train({ ...options, batch })).rejects.toThrow(
      /'pictures' must have the elements of \[16, 16, 16, 3\]/,
    );
  });
});
