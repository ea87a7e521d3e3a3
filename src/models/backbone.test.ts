/**
 * A backbone from a file: opened, it computes what the file computes; cut in two, the halves make the whole; and only
 * what is asked for is trained.
 */
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runGraph, runValues } from '../../test/support/run-graph.js';
import {
  add,
  batchNormalization,
  buildGraph,
  constant,
  convolution,
  globalAveragePool,
  gradients,
  input,
  matmul,
  reduceSum,
  relu,
  reshape,
  square,
  type Value,
} from '../graph/index.js';
import { type ReadModel, readModel, writeModel } from '../onnx/index.js';
import { DataError, Random, ShapeError } from '../util/index.js';
import {
  type BackboneTraining,
  backboneNetwork,
  frozenPrefix,
  openBackbone,
  planBackbone,
} from './backbone.js';
import { DeclaredParameters, FixedParameters, initializeParameters } from './parameters.js';

const SIZE = 16;
const BATCH = 3;
const FULL: BackboneTraining = { trained: 'all', normalization: 'frozen', learningRateScale: 0.1 };

const random = Random.from(9);
const weights = (name: string, shape: readonly number[], low = -0.5, high = 0.5) =>
  constant(
    Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () =>
      random.between(low, high),
    ),
    shape,
    { name },
  );

/** A block of a convolution with stride 2, its normalisation, and a residual convolution of 1×1. */
function block(x: Value, name: string, channels: number): Value {
  const inChannels = x.shape[1] as number;
  const down = convolution(x, weights(`${name}.conv.weight`, [channels, inChannels, 3, 3]), undefined, {
    stride: 2,
    padding: 1,
  });
  const normalized = relu(
    batchNormalization(
      down,
      weights(`${name}.bn.weight`, [channels], 0.5, 1.5),
      weights(`${name}.bn.bias`, [channels]),
      weights(`${name}.bn.mean`, [channels]),
      weights(`${name}.bn.var`, [channels], 0.5, 1.5),
    ),
  );
  const mixed = convolution(normalized, weights(`${name}.mix.weight`, [channels, channels, 1, 1]));
  return relu(add(normalized, mixed));
}

/** A classifier of three blocks, as a file. */
function file(): ReadModel {
  const pixels = input('input', 'float32', ['batch', 3, SIZE, SIZE]);
  let features: Value = pixels;
  for (const [i, channels] of [4, 6, 8].entries()) features = block(features, `layer${i + 1}`, channels);
  const embedding = reshape(globalAveragePool(features), [0, 8]);
  const logits = add(matmul(embedding, weights('fc.weight', [8, 5])), weights('fc.bias', [5]));
  return readModel(writeModel(buildGraph([pixels], { embedding, logits })));
}

const model = file();
const numbers = Array.from({ length: BATCH * 3 * SIZE * SIZE }, () => Math.fround(random.between(-1, 1)));
const pictures = input('pictures', 'float32', [BATCH, 3, SIZE, SIZE]);

/** The features of a plan's training graph at the file's own numbers, from pictures or from the cut. */
async function trainingFeatures(training: BackboneTraining, from: 'pixels' | 'cut') {
  const backbone = openBackbone(model, { size: SIZE, normalization: training.normalization });
  const plan = planBackbone(backbone, training);
  const cut = plan.cut;
  if (from === 'cut' && cut === undefined) throw new Error('the plan must have a cut');
  const parameters = new DeclaredParameters();
  const context = { parameters, mode: 'training' as const, statistics: {} };
  const source = from === 'pixels' || cut === undefined ? pictures : frozenPrefix(plan, cut, pictures);
  const outputs = backboneNetwork(
    context,
    plan,
    from === 'pixels' || cut === undefined ? 'pixels' : cut,
    source,
  );
  const declared = parameters.entries();
  const values = initializeParameters(
    declared.map(({ parameter }) => parameter),
    Random.from(2),
  );
  return { backbone, plan, outputs, declared, values, context };
}

async function featuresOf(training: BackboneTraining, from: 'pixels' | 'cut'): Promise<readonly number[]> {
  const { outputs, declared, values } = await trainingFeatures(training, from);
  const results = await runValues(
    [pictures, ...declared.map(({ value }) => value)],
    { features: outputs.features },
    {
      pictures: numbers,
      ...Object.fromEntries(Object.entries(values).map(([name, data]) => [name, [...data]])),
    },
  );
  return results.features as number[];
}

async function fileFeatures(): Promise<readonly number[]> {
  const [picture] = model.graph.inputs;
  const { graph } = model;
  const open = buildGraph([picture!.value], { embedding: graph.outputs[0]!.value });
  const fixed = input('input', 'float32', [BATCH, 3, SIZE, SIZE]);
  const { substitute } = await import('../graph/index.js');
  const [value] = substitute([open.outputs[0]!.value], new Map([[picture!.value, fixed]])) as [Value];
  return (await runGraph(buildGraph([fixed], { value }), { input: numbers })).value as number[];
}

describe('openBackbone', () => {
  it('finds features, parameters, stages and cuts', () => {
    const backbone = openBackbone(model, { size: SIZE, normalization: 'training' });
    expect(backbone.features.shape).toEqual(['N', 8]);
    expect(backbone.featureMap?.shape).toEqual(['N', 8, 2, 2]);
    expect(backbone.parameters.map(({ name }) => name)).toEqual(
      [1, 2, 3].flatMap((i) => [
        `layer${i}.conv.weight`,
        `layer${i}.bn.weight`,
        `layer${i}.bn.bias`,
        `layer${i}.mix.weight`,
      ]),
    );
    expect(backbone.parameters.filter(({ isDecayed }) => isDecayed)).toHaveLength(6);
    expect(backbone.parameters.filter((parameter) => parameter.isBatchNormalization)).toHaveLength(6);
    expect(backbone.cuts.at(-1)?.value).toBe(backbone.features);
  });

  it('folds frozen normalisation', () => {
    const backbone = openBackbone(model, { size: SIZE });
    expect(backbone.parameters.map(({ name }) => name)).toEqual(
      [1, 2, 3].flatMap((i) => [`layer${i}.conv.weight`, `layer${i}.bn.bias`, `layer${i}.mix.weight`]),
    );
  });

  it('takes the channels in the order that the file wants', async () => {
    const swapped = Array.from(numbers, (_, i) => {
      const plane = SIZE * SIZE;
      const channel = Math.floor(i / plane) % 3;
      return numbers[i + (2 - 2 * channel) * plane]!;
    });
    const backbone = openBackbone(model, { size: SIZE, channels: 'bgr' });
    const plan = planBackbone(backbone, { ...FULL, trained: 'none' });
    const context = { parameters: new DeclaredParameters(), mode: 'inference' as const, statistics: {} };
    const { features } = backboneNetwork(context, plan, 'pixels', pictures);
    const results = await runValues([pictures], { features }, { pictures: swapped });
    expectNear(results.features, await fileFeatures(), 1e-5);
  });

  it.each([
    [
      'a picture with channels last',
      ['N', SIZE, SIZE, 3],
      /must be float32 \[N, 3, H, W\], got .*Export it with channels first/,
    ],
    ['a grey picture', ['N', 1, SIZE, SIZE], /must be float32 \[N, 3, H, W\]/],
    ['a vector', ['N', 7], /must be float32 \[N, 3, H, W\]/],
  ] as const)('refuses %s', (_, shape, message) => {
    const x = input('x', 'float32', shape);
    const other = readModel(writeModel(buildGraph([x], { y: relu(x) })));
    const open = () => openBackbone(other, { size: SIZE });
    expect(open).toThrow(DataError);
    expect(open).toThrow(message);
  });

  it('says that a file is made for another size', () => {
    const x = input('x', 'float32', ['N', 3, SIZE, SIZE]);
    const flat = reshape(convolution(x, weights('w', [2, 3, 1, 1])), [-1, 2 * SIZE * SIZE]);
    const other = readModel(
      writeModel(buildGraph([x], { y: matmul(flat, weights('v', [2 * SIZE * SIZE, 4])) })),
    );
    const open = () => openBackbone(other, { size: 3 * SIZE, features: 'y' });
    expect(open).toThrow(ShapeError);
    expect(open).toThrow(/must take pictures of 48 × 48 pixels/);
  });
});

describe('planBackbone and backboneNetwork', () => {
  const cases: readonly (readonly [string, BackboneTraining, readonly string[]])[] = [
    ['nothing', { ...FULL, trained: 'none' }, []],
    [
      'the last stage',
      { ...FULL, trained: 'last-stage' },
      ['layer3.conv.weight', 'layer3.bn.bias', 'layer3.mix.weight'],
    ],
    ['names', { ...FULL, trained: { names: ['layer3.mix*'] } }, ['layer3.mix.weight']],
    [
      'adapters of the last stage',
      { ...FULL, trained: 'last-stage', adapters: { rank: 2, alpha: 4 } },
      ['layer3.mix.weight.adapter.down', 'layer3.mix.weight.adapter.up'],
    ],
  ];

  it.each(cases)('%s: starts as the file, cut or whole, and trains just that', async (_, training, names) => {
    const wanted = await fileFeatures();
    expectNear(await featuresOf(training, 'pixels'), wanted, 1e-5);
    expectNear(await featuresOf(training, 'cut'), wanted, 1e-5);
    const { declared } = await trainingFeatures(training, 'cut');
    expect(declared.map(({ parameter }) => parameter.name)).toEqual(names.map((name) => `backbone.${name}`));
    expect(declared.every(({ parameter }) => parameter.learningRateScale === 0.1)).toBe(true);
  });

  it('everything: has no cut, and every parameter has a gradient', async () => {
    const { plan, outputs, declared, values } = await trainingFeatures(FULL, 'pixels');
    expect(plan.cut).toBeUndefined();
    expect(declared).toHaveLength(9);
    const loss = reduceSum(square(outputs.features), 'all');
    const all = gradients(
      loss,
      declared.map(({ value }) => value),
    );
    const results = await runValues(
      [pictures, ...declared.map(({ value }) => value)],
      Object.fromEntries(all.map((value, i) => [`d${i}`, value])),
      {
        pictures: numbers,
        ...Object.fromEntries(Object.entries(values).map(([name, data]) => [name, [...data]])),
      },
    );
    declared.forEach(({ parameter }, i) => {
      expect(
        results[`d${i}`]?.some((value) => value !== 0),
        parameter.name,
      ).toBe(true);
    });
  });

  it('normalisation in training mode updates its statistics, and is exported with them', async () => {
    const training: BackboneTraining = { ...FULL, trained: 'last-stage', normalization: 'training' };
    const { plan, declared, values, context } = await trainingFeatures(training, 'cut');
    const names = declared.map(({ parameter }) => `${parameter.name} ${parameter.kind}`);
    expect(names).toContain('backbone.layer3.bn.weight trained');
    expect(names).toContain('backbone.layer3.bn.mean statistic');
    expect(Object.keys(context.statistics)).toEqual(['backbone.layer3.bn.mean', 'backbone.layer3.bn.var']);
    const exported = backboneNetwork(
      { parameters: new FixedParameters(values), mode: 'inference', statistics: {} },
      plan,
      'pixels',
      pictures,
    );
    const results = await runValues([pictures], { features: exported.features }, { pictures: numbers });
    expectNear(results.features, await fileFeatures(), 1e-5);
  });

  it('refuses names that are not there, and adapters where there is no matrix', () => {
    const backbone = openBackbone(model, { size: SIZE });
    expect(() => planBackbone(backbone, { ...FULL, trained: { names: ['head.*'] } })).toThrow(
      /names must be among those of the 9 parameters \(such as layer1.conv.weight\), got head\.\*/,
    );
    const adapters = { rank: 2, alpha: 2 };
    expect(() =>
      planBackbone(backbone, { ...FULL, trained: { names: ['layer1.conv.weight'] }, adapters }),
    ).toThrow(/must have a MatMul, Gemm or 1×1 Conv/);
  });
});
