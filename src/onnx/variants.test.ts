/** Smaller variants, run and held against plain TypeScript. */
import { describe, expect, it } from 'vitest';
import {
  apply,
  buildGraph,
  constant,
  convolution,
  type Graph,
  input,
  matmul,
  operators,
  sizeOf,
  type Value,
} from '../graph/index.js';
import { packageVersion, Random } from '../util/index.js';
import { withHalfPrecisionWeights } from './half-precision.js';
import { modelHeader } from './header.js';
import { quantizeDynamically } from './quantize.js';
import { readModel } from './read.js';
import { Session } from './session.js';
import { smallerModel } from './variants.js';
import { writeModel } from './write.js';

const random = Random.from(5);
const draw = (shape: readonly number[], size = 1) =>
  Float32Array.from({ length: sizeOf(shape) }, () => size * random.between(-1, 1));
const names = (graph: Graph) => graph.nodes.map(({ operator }) => operator.name).sort();

async function run(model: Uint8Array, data: Float32Array, shape: readonly number[]): Promise<Float32Array> {
  const session = await Session.create(model, { threads: 1 });
  const { y } = await session.run({ x: { dataType: 'float32', shape, data } });
  await session.close();
  return y?.data as Float32Array;
}

/** What uint8 makes of a tensor. */
function asBytes(x: Float32Array): number[] {
  const [low, high] = [Math.min(0, ...x), Math.max(0, ...x)];
  const scale = (high - low) / 255;
  const zero = Math.round(-low / scale);
  return Array.from(x, (e) => (Math.max(0, Math.min(255, Math.round(e / scale) + zero)) - zero) * scale);
}

/** What n symmetric integers make of weights whose channel is `channelOf(i)`. */
function asIntegers(w: Float32Array, channelOf: (i: number) => number, integer: number): number[] {
  const largest = new Map<number, number>();
  w.forEach((e, i) => {
    largest.set(channelOf(i), Math.max(largest.get(channelOf(i)) ?? 0, Math.abs(e)));
  });
  return Array.from(w, (e, i) => {
    const step = (largest.get(channelOf(i)) ?? 0) / integer;
    return step === 0 ? 0 : Math.round(e / step) * step;
  });
}

function expectClose(got: Float32Array, wanted: readonly number[], tolerance: number): void {
  expect(got.length).toBe(wanted.length);
  const size = Math.max(...wanted.map(Math.abs));
  const worst = Math.max(...wanted.map((x, i) => Math.abs(x - got[i]!)));
  expect(worst / size).toBeLessThan(tolerance);
}

function product(x: ArrayLike<number>, w: ArrayLike<number>, [M, K, N]: readonly [number, number, number]) {
  return Array.from({ length: M * N }, (_, i) => {
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[Math.floor(i / N) * K + k]! * w[k * N + (i % N)]!;
    return sum;
  });
}

describe('int8', () => {
  const [M, K, N] = [5, 40, 30] as const;
  const weights = draw([K, N]);
  for (let k = 0; k < K; k++) weights[k * N + 3] = 0; // a channel of zeros has no scale
  for (let k = 0; k < K; k++) weights[k * N + 4]! *= 100;
  const data = draw([M, K]);
  const x = input('x', 'float32', ['M', K]);
  const weight = constant(weights, [K, N], { name: 'w' });

  it('MatMul is what the rounded factors give, and near what they were', async () => {
    const { graph, quantized, kept } = quantizeDynamically(buildGraph([x], { y: matmul(x, weight) }));
    expect([quantized, kept]).toEqual([1, 0]);
    expect(names(graph)).toEqual(['Cast', 'DynamicQuantizeLinear', 'MatMulInteger', 'Mul', 'Mul']);
    const got = await run(writeModel(graph), data, [M, K]);
    const rounded = product(
      asBytes(data),
      asIntegers(weights, (i) => i % N, 63),
      [M, K, N],
    );
    expectClose(got, rounded, 1e-5);
    expectClose(got, product(data, weights, [M, K, N]), 0.02);
    expect([...got].filter((_, i) => i % N === 3)).toEqual([0, 0, 0, 0, 0]);
  });

  it('Gemm: transposed, scaled, with a scaled bias', async () => {
    const turned = new Float32Array(N * K);
    for (let k = 0; k < K; k++) for (let n = 0; n < N; n++) turned[n * K + k] = weights[k * N + n]!;
    const bias = draw([N]);
    const y = apply(operators.Gemm, [x, constant(turned, [N, K]), constant(bias, [N])], {
      transB: 1,
      alpha: 0.5,
      beta: -2,
    });
    const { graph, quantized } = quantizeDynamically(buildGraph([x], { y }));
    expect(quantized).toBe(1);
    expect(names(graph)).toContain('MatMulInteger');
    const got = await run(writeModel(graph), data, [M, K]);
    const rounded = product(
      asBytes(data),
      asIntegers(weights, (i) => i % N, 63),
      [M, K, N],
    );
    expectClose(
      got,
      rounded.map((e, i) => 0.5 * e - 2 * bias[i % N]!),
      1e-5,
    );
  });

  it('extremes do not overflow: all weights and inputs at their largest', async () => {
    const ones = constant(new Float32Array(1024 * 2).fill(1), [1024, 2]);
    const wide = input('x', 'float32', ['M', 1024]);
    const { graph } = quantizeDynamically(buildGraph([wide], { y: matmul(wide, ones) }));
    const got = await run(writeModel(graph), new Float32Array(1024).fill(3), [1, 1024]);
    expectClose(got, [3072, 3072], 1e-5);
  });

  it('Conv: padded, strided, with a bias; not the depthwise, the first or the small ones', async () => {
    const shape = [2, 8, 7, 6] as const;
    const kernel = draw([16, 8, 3, 3]);
    const bias = draw([16]);
    const picture = draw(shape);
    const build = (integers: ArrayLike<number>) => {
      const p = input('x', 'float32', shape);
      const w = constant(Float32Array.from(integers), [16, 8, 3, 3], { name: 'kernel' });
      return buildGraph([p], { y: convolution(p, w, constant(bias, [16]), { padding: 1, stride: 2 }) });
    };
    const { graph, quantized } = quantizeDynamically(build(kernel));
    expect(quantized).toBe(1);
    const got = await run(writeModel(graph), picture, shape);
    const rounded = build(asIntegers(kernel, (i) => Math.floor(i / 72), 127));
    expectClose(got, [...(await run(writeModel(rounded), Float32Array.from(asBytes(picture)), shape))], 1e-5);
    expectClose(got, [...(await run(writeModel(build(kernel)), picture, shape))], 0.02);

    const p = input('x', 'float32', [1, 3, 8, 8]);
    const first = convolution(p, constant(draw([64, 3, 3, 3]), [64, 3, 3, 3]));
    const depthwise = convolution(first, constant(draw([64, 1, 5, 5]), [64, 1, 5, 5]), undefined, {
      group: 64,
    });
    const small = convolution(depthwise, constant(draw([4, 64, 1, 1]), [4, 64, 1, 1]));
    expect(quantizeDynamically(buildGraph([p], { y: small }))).toMatchObject({ quantized: 0, kept: 3 });
  });

  it('a product of two computed values is left', () => {
    const a = input('x', 'float32', [40, 40]);
    expect(quantizeDynamically(buildGraph([a], { y: matmul(a, a) }))).toMatchObject({
      quantized: 0,
      kept: 0,
    });
  });
});

describe('fp16', () => {
  it('rounds the weights and nothing else, and keeps what float16 cannot hold', async () => {
    const x = input('x', 'float32', ['M', 20]);
    const first = draw([20, 20], 100);
    const large = draw([20, 20], 1e6);
    const bias = draw([20], 1e-3);
    const build = (weights: Float32Array) => {
      const hidden = apply(operators.Add, [
        matmul(x, constant(weights, [20, 20], { name: 'first' })),
        constant(bias, [20]),
      ]);
      return buildGraph([x], { y: matmul(hidden, constant(large, [20, 20], { name: 'large' })) });
    };
    const { graph, converted, kept } = withHalfPrecisionWeights(build(first));
    expect([converted, kept]).toEqual([1, ['large']]);
    // Half precision has 11 significant bits.
    const rounded = first.map((e) => {
      const step = 2 ** (Math.floor(Math.log2(Math.abs(e))) - 10);
      return Math.round(e / step) * step;
    });
    const data = draw([3, 20]);
    const got = await run(writeModel(graph), data, [3, 20]);
    expect([...got]).toEqual([...(await run(writeModel(build(rounded)), data, [3, 20]))]);
    expect(writeModel(graph).length).toBeLessThan(writeModel(build(first)).length - 700);
  });
});

describe('smallerModel', () => {
  const x = input('x', 'float32', ['M', 64]);
  const graphOf = (w: Value) => buildGraph([x], { y: matmul(x, w) });
  const model = writeModel(graphOf(constant(draw([64, 64]), [64, 64], { name: 'layer.weight' })), {
    metadata: { origin: 'here' },
  });

  it('keeps names, metadata and interface, and says who wrote it', () => {
    for (const [variant, share] of [
      ['fp16', 0.6],
      ['int8', 0.4],
    ] as const) {
      const { bytes } = smallerModel(model, variant);
      expect(bytes.length).toBeLessThan(share * model.length);
      const { graph, metadata } = readModel(bytes);
      expect(metadata).toEqual({ origin: 'here', 'semblance.variant': variant });
      expect(graph.inputs.map(({ name }) => name)).toEqual(['x']);
      expect(graph.outputs.map(({ name }) => name)).toEqual(['y']);
      expect(modelHeader(bytes)).toEqual({
        irVersion: 8,
        opset: 18,
        producer: `semblance ${packageVersion()}`,
      });
    }
    expect(packageVersion()).toMatch(/^\d+\.\d+\.\d+/);
  });

  it('refuses what has nothing to make smaller', () => {
    const tiny = writeModel(buildGraph([input('x', 'float32', [2])], { y: constant([1, 2]) }));
    for (const variant of ['fp16', 'int8'] as const)
      expect(() => smallerModel(tiny, variant)).toThrow(/for (fp16|int8) the model must have .*, got none/);
    expect(() => smallerModel(new Uint8Array([1, 2, 3]), 'fp16')).toThrow(/must be an ONNX model/);
  });
});
