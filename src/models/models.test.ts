/**
 * The network: shapes, unit length, parameters, and that the exported graph computes what the training graph does.
 */
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import {
  add,
  buildGraph,
  gradients,
  input,
  multiply,
  reduceSum,
  sizeOf,
  square,
  unitLength,
  type Value,
} from '../graph/index.js';
import { floatTensor, Session, writeModel } from '../onnx/index.js';
import { GraphError, Random, ShapeError } from '../util/index.js';
import {
  attributeProbabilities,
  convolutionLayer,
  DeclaredParameters,
  FixedParameters,
  initializeParameters,
  linearLayer,
  type MultitaskNetworkOptions,
  multitaskNetwork,
  type NetworkContext,
  normalizationLayer,
  normalizePictures,
  residualNetwork,
} from './index.js';

const OPTIONS: MultitaskNetworkOptions = {
  inputSize: 16,
  widths: [8, 16],
  blocks: [2],
  normalization: 'batch',
  embeddingSize: 6,
  pooling: 'flatten',
};
const ATTRIBUTES = 5;

/** The training graph's values on 8 pictures, and the parameters it asked for. */
function trainingNetwork(options: MultitaskNetworkOptions, attributeCount = ATTRIBUTES) {
  const parameters = new DeclaredParameters();
  const context: NetworkContext = { parameters, mode: 'training', statistics: {} };
  const pixels = input('pixels', 'float32', [8, 3, options.inputSize, options.inputSize]);
  const outputs = multitaskNetwork(context, pixels, attributeCount, options);
  return { parameters, context, pixels, outputs };
}

const drawnPixels = (count: number, seed: number, size = OPTIONS.inputSize) => {
  const random = Random.from(seed);
  return Array.from({ length: count * 3 * size * size }, () => Math.fround(random.between(-1, 1)));
};

/** Starting values, with scales and biases moved away from 1 and 0 so that they matter. */
function drawnParameters(parameters: DeclaredParameters, seed: number): Record<string, Float32Array> {
  const random = Random.from(seed);
  const declared = parameters.entries().map(({ parameter }) => parameter);
  const values = initializeParameters(declared, random);
  for (const { name, kind } of declared) {
    if (kind === 'statistic' || values[name]!.length > 64) continue;
    values[name] = values[name]!.map((value) => value + 0.2 * random.normal());
  }
  return values;
}

const plain = (values: Readonly<Record<string, Float32Array>>) =>
  Object.fromEntries(Object.entries(values).map(([name, data]) => [name, [...data]]));

describe('multitaskNetwork', () => {
  it.each([
    ['flatten', 16, [8, 16], 'batch', [8, 16, 4, 4]],
    ['average', 16, [8, 16], 'group', [8, 16, 4, 4]],
    ['flatten', 24, [8, 8, 8], 'none', [8, 8, 3, 3]],
    ['average', 32, [8], 'batch', [8, 8, 16, 16]],
  ] as const)(
    '%s, %d pixels, widths %j, normalisation %s',
    (pooling, inputSize, widths, normalization, map) => {
      const { outputs } = trainingNetwork({ ...OPTIONS, pooling, inputSize, widths, normalization });
      expect(outputs.featureMap.shape).toEqual(map);
      expect(outputs.embeddings.shape).toEqual([8, 6]);
      expect(outputs.attributeLogits?.shape).toEqual([8, ATTRIBUTES]);
    },
  );

  it('without attributes has no attribute head', () => {
    const { outputs, parameters } = trainingNetwork(OPTIONS, 0);
    expect(outputs.attributeLogits).toBeUndefined();
    expect(parameters.entries().map(({ parameter }) => parameter.name)).not.toContain('attributes.weight');
  });

  it.each([22, 18, 2])('refuses %d pixels for two widths', (inputSize) => {
    const build = () => trainingNetwork({ ...OPTIONS, inputSize });
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(`inputSize must be divisible by 4 for 2 widths, got ${inputSize}.`);
  });

  it.each(['batch', 'group', 'none'] as const)(
    '%s: embeddings have unit length, maps are not negative',
    async (normalization) => {
      const { parameters, pixels, outputs } = trainingNetwork({ ...OPTIONS, normalization });
      const results = await runValues(
        [pixels, ...parameters.entries().map(({ value }) => value)],
        { e: outputs.embeddings, map: outputs.featureMap },
        { pixels: drawnPixels(8, 1), ...plain(drawnParameters(parameters, 2)) },
      );
      const lengths = Array.from({ length: 8 }, (_, i) => Math.hypot(...results.e!.slice(i * 6, i * 6 + 6)));
      expectNear(lengths, new Array(8).fill(1));
      expect(results.map!.every((value) => value >= 0)).toBe(true);
    },
  );

  it.each(['batch', 'group'] as const)(
    '%s: every trained parameter has a gradient',
    async (normalization) => {
      const { parameters, pixels, outputs } = trainingNetwork({ ...OPTIONS, normalization });
      const trained = parameters.entries().filter(({ parameter }) => parameter.kind === 'trained');
      const target = input('target', 'float32', [8, 6]);
      const loss = add(
        reduceSum(multiply(outputs.embeddings, target), 'all'),
        reduceSum(square(outputs.attributeLogits as Value), 'all'),
      );
      const all = gradients(
        loss,
        trained.map(({ value }) => value),
      );
      const results = await runValues(
        [pixels, target, ...trained.map(({ value }) => value)],
        Object.fromEntries(all.map((value, i) => [`d${i}`, value])),
        {
          pixels: drawnPixels(8, 1),
          target: drawnPixels(8, 3).slice(0, 48),
          ...plain(drawnParameters(parameters, 2)),
        },
      );
      trained.forEach(({ parameter }, i) => {
        const gradient = results[`d${i}`]!;
        expect(gradient.length, parameter.name).toBe(sizeOf(parameter.shape));
        expect(gradient.every(Number.isFinite), parameter.name).toBe(true);
        expect(
          gradient.some((value) => value !== 0),
          parameter.name,
        ).toBe(true);
      });
    },
  );
});

describe('parameters', () => {
  const { parameters } = trainingNetwork({ ...OPTIONS, blocks: [1] });
  const declared = parameters.entries().map(({ parameter }) => parameter);

  it('are declared in one order', () => {
    expect(
      declared.map(({ name, kind, isDecayed }) => `${name} ${kind}${isDecayed ? ' decayed' : ''}`),
    ).toEqual([
      'stem.convolution.weight trained decayed',
      'stem.normalization.scale trained',
      'stem.normalization.bias trained',
      'stem.normalization.mean statistic',
      'stem.normalization.variance statistic',
      ...[
        'convolution1',
        'normalization1',
        'convolution2',
        'normalization2',
        'shortcut',
        'shortcutNormalization',
      ].flatMap((layer) =>
        /normalization/i.test(layer)
          ? ['scale trained', 'bias trained', 'mean statistic', 'variance statistic'].map(
              (of) => `stage1.block1.${layer}.${of}`,
            )
          : [`stage1.block1.${layer}.weight trained decayed`],
      ),
      'embedding.weight trained decayed',
      'embedding.normalization.scale trained',
      'embedding.normalization.bias trained',
      'embedding.normalization.mean statistic',
      'embedding.normalization.variance statistic',
      'attributes.weight trained decayed',
      'attributes.bias trained',
    ]);
  });

  it('start with the variance of He et al., and constants', () => {
    const context: NetworkContext = {
      parameters: new DeclaredParameters(),
      mode: 'training',
      statistics: {},
    };
    convolutionLayer(context, 'c', input('x', 'float32', [1, 16, 8, 8]), 64);
    linearLayer(context, 'l', input('x', 'float32', [1, 100]), 200, { gain: 0.1, bias: true });
    normalizationLayer(context, 'n', input('x', 'float32', [2, 4]), 'batch');
    const entries = (context.parameters as DeclaredParameters).entries();
    const values = initializeParameters(
      entries.map(({ parameter }) => parameter),
      Random.from(1),
    );
    const variance = (name: string) =>
      values[name]!.reduce((sum, x) => sum + x * x, 0) / values[name]!.length;
    expect(variance('c.weight') / (2 / (16 * 9))).toBeCloseTo(1, 1);
    expect(variance('l.weight') / (0.01 / 100)).toBeCloseTo(1, 1);
    expect([...values['l.bias']!]).toEqual(new Array(200).fill(0));
    expect([...values['n.scale']!, ...values['n.variance']!]).toEqual(new Array(8).fill(1));
    expect([...values['n.bias']!, ...values['n.mean']!]).toEqual(new Array(8).fill(0));
  });

  it('are the same for one seed, and others for another', () => {
    const first = initializeParameters(declared, Random.from(1));
    expect(initializeParameters(declared, Random.from(1))).toEqual(first);
    expect(initializeParameters(declared, Random.from(2))).not.toEqual(first);
  });

  it('one name has one shape, and one value', () => {
    const source = new DeclaredParameters();
    const of = (shape: number[]) => ({
      name: 'w',
      shape,
      initializer: { kind: 'constant', value: 0 } as const,
      kind: 'trained' as const,
      isDecayed: false,
    });
    expect(source.get(of([2]))).toBe(source.get(of([2])));
    expect(() => source.get(of([3]))).toThrow(GraphError);
    expect(() => source.get(of([3]))).toThrow("'w' must have one shape, got [2] and [3].");
    expect(() => new FixedParameters({}).get(of([2]))).toThrow("a value for 'w' is required, got none.");
    expect(() => new FixedParameters({ w: new Float32Array(3) }).get(of([2]))).toThrow(ShapeError);
  });
});

describe('inference', () => {
  it.each([
    ['batch', 'flatten'],
    ['batch', 'average'],
    ['group', 'flatten'],
    ['none', 'flatten'],
  ] as const)(
    '%s, %s: with the batch statistics as running ones it is the training graph',
    async (normalization, pooling) => {
      const options = { ...OPTIONS, normalization, pooling };
      const { parameters, context, pixels, outputs } = trainingNetwork(options);
      const values = drawnParameters(parameters, 5);
      const numbers = drawnPixels(8, 6);
      // Running statistics that start as 0 are 5 % of the batch's after a step.
      const statisticNames = Object.keys(context.statistics);
      const zeroed = { ...values };
      for (const name of statisticNames) zeroed[name] = new Float32Array(values[name]!.length);
      const trained = await runValues(
        [pixels, ...parameters.entries().map(({ value }) => value)],
        {
          image_embeds: outputs.embeddings,
          logits: outputs.attributeLogits as Value,
          feature_map: outputs.featureMap,
          ...Object.fromEntries(statisticNames.map((name) => [`next.${name}`, context.statistics[name]!])),
        },
        { pixels: numbers, ...plain(zeroed) },
      );
      const running = { ...values };
      for (const name of statisticNames)
        running[name] = Float32Array.from(trained[`next.${name}`]!, (x) => x / 0.05);

      const size = options.inputSize;
      const batch = input('pixel_values', 'float32', ['N', 3, size, size]);
      const fixed = multitaskNetwork(
        { parameters: new FixedParameters(running), mode: 'inference', statistics: {} },
        batch,
        ATTRIBUTES,
        options,
      );
      const model = writeModel(
        buildGraph([batch], {
          image_embeds: fixed.embeddings,
          logits: fixed.attributeLogits as Value,
          feature_map: fixed.featureMap,
        }),
      );
      const session = await Session.create(model, { threads: 1 });
      const run = async (first: number, count: number) => {
        const pixelCount = 3 * size * size;
        const data = Float32Array.from(numbers.slice(first * pixelCount, (first + count) * pixelCount));
        return session.run({ pixel_values: floatTensor(data, [count, 3, size, size]) });
      };
      try {
        const whole = await run(0, 8);
        const part = await run(2, 3);
        for (const name of ['image_embeds', 'logits', 'feature_map']) {
          const rows = [...(whole[name]!.data as Float32Array)];
          expectNear(rows, trained[name]!, 1e-4, name);
          const width = rows.length / 8;
          expectNear(part[name]!.data as Float32Array, rows.slice(2 * width, 5 * width), 1e-6, name);
        }
      } finally {
        await session.close();
      }
    },
  );
});

describe('layers', () => {
  it('normalizePictures: bytes to planes in [−1, 1]', async () => {
    const pictures = input('pictures', 'uint8', [1, 2, 1, 3]);
    const y = normalizePictures(pictures);
    expect(y.shape).toEqual([1, 3, 2, 1]);
    const session = await Session.create(writeModel(buildGraph([pictures], { y })), { threads: 1 });
    const bytes = Uint8Array.of(0, 51, 255, 102, 204, 127);
    const results = await session.run({ pictures: { dataType: 'uint8', shape: [1, 2, 1, 3], data: bytes } });
    await session.close();
    const wanted = [0, 102, 51, 204, 255, 127].map((byte) => (byte / 255 - 0.5) / 0.5);
    expectNear(results.y!.data as Float32Array, wanted);
  });

  it('unitLength: rows of length 1, a zero row stays zero and has a finite gradient', async () => {
    const x = input('x', 'float32', [3, 2]);
    const y = unitLength(x);
    const results = await runValues(
      [x],
      { y, dx: gradients(reduceSum(y, 'all'), [x])[0] as Value },
      {
        x: [3, 4, 0, 0, -1e-3, 0],
      },
    );
    expectNear(results.y, [0.6, 0.8, 0, 0, -1, 0], 1e-5);
    expect(results.dx!.every(Number.isFinite)).toBe(true);
  });

  it('attributeProbabilities: softmax within single attributes, a sigmoid for each value of others', async () => {
    const logits = input('logits', 'float32', [1, 5]);
    const y = attributeProbabilities(logits, [
      { kind: 'single', offset: 0, size: 3 },
      { kind: 'multi', offset: 3, size: 2 },
    ]);
    const results = await runValues(
      [logits],
      { y },
      { logits: [0, Math.log(2), Math.log(5), 0, Math.log(3)] },
    );
    expectNear(results.y, [1 / 8, 2 / 8, 5 / 8, 0.5, 0.75]);
  });

  it('residualNetwork: blocks that are not named are one', () => {
    const parameters = new DeclaredParameters();
    const x = input('x', 'float32', [2, 3, 16, 16]);
    residualNetwork({ parameters, mode: 'training', statistics: {} }, x, {
      widths: [8, 8, 8],
      blocks: [],
      normalization: 'none',
    });
    expect(parameters.entries().map(({ parameter }) => parameter.name)).toEqual([
      'stem.convolution.weight',
      'stage1.block1.convolution1.weight',
      'stage1.block1.convolution2.weight',
      'stage2.block1.convolution1.weight',
      'stage2.block1.convolution2.weight',
    ]);
  });
});
