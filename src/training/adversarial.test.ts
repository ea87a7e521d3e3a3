/**
 * Adversarial training: the attacked batch against one that is attacked outside the step, and what it leaves alone.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import {
  ITEMS,
  PICTURES_PER_ITEM,
  SCHEMA,
  SIZE,
  tinyBatch,
  tinyConfiguration,
  tinyTraining,
} from '../../test/support/tiny-training.js';
import { buildGraph, gradients, int64, type Value } from '../graph/index.js';
import { binomialDevianceLoss } from '../losses/index.js';
import {
  DeclaredParameters,
  multitaskHeads,
  type NetworkContext,
  normalizePictures,
} from '../models/index.js';
import { floatTensor, Session, type Tensor, writeModel } from '../onnx/index.js';
import { DataError, Random } from '../util/index.js';
import {
  buildTrainingStep,
  initialParameters,
  initialStates,
  scratchNetwork,
  type TrainedNetwork,
  type TrainingConfigurationInput,
  train,
} from './index.js';

const B = ITEMS * PICTURES_PER_ITEM;

const number = (tensor: Tensor | undefined) => Number(tensor?.data[0]);

const PLAIN: TrainingConfigurationInput = {
  loss: { kind: 'binomial-deviance', negativeCost: 2 },
  attributeWeight: 0,
};
const EPSILON = 6 / 255;

describe('the attacked batch', () => {
  const plain = tinyConfiguration(PLAIN);
  const pictures = tinyBatch(plain, SCHEMA, 0).source as Uint8Array;
  const { itemIds } = tinyBatch(plain, SCHEMA, 0);
  const sessions: Session[] = [];
  type Run = (pictures: Uint8Array) => Promise<Record<string, Tensor>>;
  /** The first step of a configuration, on any pictures. */
  const openStep = async (over: TrainingConfigurationInput): Promise<Run> => {
    const configuration = tinyConfiguration({ ...PLAIN, ...over });
    const step = buildTrainingStep(configuration, SCHEMA);
    const session = await Session.create(writeModel(step.graph), { threads: 1 });
    sessions.push(session);
    return (data) =>
      session.run({
        pictures: { dataType: 'uint8', shape: [B, SIZE, SIZE, 3], data },
        item_ids: { dataType: 'int64', shape: [B], data: itemIds },
        learning_rate: floatTensor(Float32Array.of(0.01), []),
        step: floatTensor(Float32Array.of(1), []),
        ...initialStates(step, configuration),
      });
  };
  let plainStep: Run;
  let attackedStep: Run;
  beforeAll(async () => {
    plainStep = await openStep({});
    attackedStep = await openStep({ adversarial: { epsilon: EPSILON, weight: 0.25 } });
  });
  afterAll(async () => {
    for (const session of sessions) await session.close();
  });
  const lossOf = async (of: Uint8Array) => number((await plainStep(of)).loss);

  it('is the batch whose bytes are moved by 6 along the sign of the gradient: a graph of its own gives the sign', async () => {
    const network = scratchNetwork(plain);
    const declared = new DeclaredParameters();
    const context: NetworkContext = { parameters: declared, mode: 'training', statistics: {} };
    const source = network.sourceOf(B);
    const pixels = normalizePictures(source);
    const { embeddings } = multitaskHeads(context, network.fromPixels(context, pixels), 0, plain.network);
    const loss = binomialDevianceLoss({ negativeCost: 2 })({
      embeddings,
      itemIds: int64(Array.from(itemIds, Number)),
    });
    const parameters = declared.entries();
    const graph = buildGraph([source, ...parameters.map(({ value }) => value)], {
      gradient: gradients(loss, [pixels])[0] as Value,
    });
    const session = await Session.create(writeModel(graph), { threads: 1 });
    sessions.push(session);
    const initial = initialParameters(
      parameters.map(({ parameter }) => parameter),
      plain,
    );
    const { gradient } = await session.run({
      pictures: { dataType: 'uint8', shape: [B, SIZE, SIZE, 3], data: pictures },
      ...Object.fromEntries(
        parameters.map(({ parameter: { name, shape } }) => [name, floatTensor(initial[name]!, shape)]),
      ),
    });
    const plane = SIZE * SIZE;
    const moved = pictures.map((byte, at) => {
      const [picture, pixel, channel] = [Math.floor(at / (3 * plane)), Math.floor(at / 3) % plane, at % 3];
      const slope = Number(gradient!.data[(3 * picture + channel) * plane + pixel]);
      return Math.min(255, Math.max(0, byte + 6 * Math.sign(slope)));
    });
    const results = await attackedStep(pictures);
    const [clean, bad] = [await lossOf(pictures), number(results.adversarial_loss)];
    expectNear([bad], [await lossOf(moved)], 1e-5);
    expect(bad).toBeGreaterThan(clean + 0.01);
    expectNear([number(results.loss)], [0.75 * clean + 0.25 * bad]);
    expectNear([number(results.metric_loss)], [clean]);
  });

  it('costs more than batches whose pixels are moved as far at random', async () => {
    const bad = number((await attackedStep(pictures)).adversarial_loss);
    const random = Random.from(1);
    for (let i = 0; i < 10; i++) {
      const moved = pictures.map((byte) =>
        Math.min(255, Math.max(0, byte + (random.integer(2) === 0 ? 6 : -6))),
      );
      expect(await lossOf(moved)).toBeLessThan(bad);
    }
  });

  it('does not touch the running statistics of batch normalisation', async () => {
    const [a, b] = [await plainStep(pictures), await attackedStep(pictures)];
    const statistics = buildTrainingStep(plain, SCHEMA).parameters.filter(({ kind }) => kind === 'statistic');
    expect(statistics.length).toBeGreaterThan(3);
    for (const { name } of statistics) expect(b[`next.${name}`]?.data).toEqual(a[`next.${name}`]?.data);
    expect(b['next.embedding.weight']?.data).not.toEqual(a['next.embedding.weight']?.data);
  });

  it('with all the weight is trained on alone', async () => {
    const step = await openStep({ adversarial: { epsilon: EPSILON, weight: 1 } });
    const results = await step(pictures);
    expect(number(results.loss)).toBe(number(results.adversarial_loss));
  });
});

describe('training', () => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'semblance-adversarial-'));
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it.each<TrainingConfigurationInput>([
    {},
    { loss: { kind: 'proxy-anchor' }, attributeWeight: 0 },
    { memory: { batches: 2 }, loss: { kind: 'soft-binomial-deviance', source: 'predicted' } },
  ])('learns: %j', async (over) => {
    const configuration = tinyConfiguration({ ...over, adversarial: {} });
    expect(configuration.adversarial).toEqual({ epsilon: 2 / 255, weight: 0.5 });
    const options = tinyTraining(join(root, JSON.stringify(over)), configuration);
    expect((await train(options)).bestScore).toBeGreaterThan(0.9);
  });

  it('is refused where batches are features', () => {
    const configuration = tinyConfiguration({ adversarial: {} });
    const network: TrainedNetwork = { ...scratchNetwork(configuration), sourceName: 'features' };
    const build = () => buildTrainingStep(configuration, SCHEMA, network);
    expect(build).toThrow(DataError);
    expect(build).toThrow(/adversarial training changes pictures, .* Set backbone\.cache to none/);
  });
});
