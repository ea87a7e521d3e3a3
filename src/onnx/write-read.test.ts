/** What is written is read again as the same graph, and computes the same. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../test/support/run-graph.js';
import {
  add,
  apply,
  averagePool,
  batchNormalization,
  batchNormalizationTraining,
  buildGraph,
  cast,
  clip,
  constant,
  convolution,
  exponential,
  type Graph,
  gather,
  globalAveragePool,
  gradients,
  groupNormalization,
  identity,
  input,
  int64,
  layerNormalization,
  logSoftmax,
  matmul,
  multiply,
  operators,
  pad,
  prepare,
  print,
  reduceMean,
  reduceSum,
  relu,
  reshape,
  slice,
  softmax,
  split,
  topK,
  type Value,
} from '../graph/index.js';
import { GraphError, Random } from '../util/index.js';
import { readModel } from './read.js';
import { Session } from './session.js';
import { writeModel } from './write.js';

const random = Random.from(5);
const numbers = (count: number) => Float32Array.from({ length: count }, () => random.between(-1, 1));

/** A small network with its loss and gradients: most operators, all kinds of attributes. */
function network(): Graph {
  const picture = input('picture', 'float32', [4, 3, 8, 8]);
  const kernel = input('kernel', 'float32', [6, 3, 3, 3]);
  const weight = constant(numbers(12 * 5), [12, 5], { name: 'head.weight' });
  const { y } = batchNormalizationTraining(
    convolution(picture, kernel, undefined, { stride: 2, padding: 1 }),
    constant(numbers(6)),
    constant(numbers(6)),
  );
  const features = reshape(averagePool(relu(y), 2), [4, -1]);
  const [left, right] = split(layerNormalization(features, constant(numbers(24))), [12, 12], 1) as [
    Value,
    Value,
  ];
  const logits = matmul(pad(slice(add(left, right), [{ axis: 1, end: 10 }]), [0, 0], [0, 2]), weight);
  const loss = reduceMean(gather(logSoftmax(logits), int64([1, 3]), 1), 'all');
  const [byKernel] = gradients(loss, [kernel]) as [Value];
  return buildGraph([picture, kernel], { loss, byKernel, best: topK(logits, 2).values });
}

const feeds = { picture: [...numbers(4 * 3 * 64)], kernel: [...numbers(6 * 27)] };

describe('writeModel, then readModel', () => {
  it('gives the same graph', () => {
    const graph = network();
    expect(print(readModel(writeModel(graph)).graph)).toBe(print(prepare(graph)));
  });

  it('gives the same results, to the bit', async () => {
    const graph = network();
    expect(await runGraph(readModel(writeModel(graph)).graph, feeds)).toEqual(await runGraph(graph, feeds));
  });

  it('gives the same again when written again', () => {
    const once = readModel(writeModel(network())).graph;
    const twice = readModel(writeModel(once)).graph;
    expect(print(twice)).toBe(print(once));
  });

  it('writes the same bytes for the same graph', () => {
    const x = input('x', 'float32', [2]);
    const write = () => writeModel(buildGraph([x], { y: add(exponential(x), constant([1, 2])) }));
    expect(write()).toEqual(write());
  });

  it('gives a graph that can be differentiated', async () => {
    const x = input('x', 'float32', [3]);
    const { graph } = readModel(writeModel(buildGraph([x], { y: reduceSum(multiply(x, x), 'all') })));
    const inputs = graph.inputs.map(({ value }) => value);
    const [byX] = gradients(graph.outputs[0]?.value as Value, inputs) as [Value];
    expect(await runGraph(buildGraph(inputs, { byX }), { x: [1, 2, 3] })).toEqual({ byX: [2, 4, 6] });
  });

  it('keeps metadata, producer and operator set', () => {
    const x = input('x', 'float32', [1]);
    const metadata = { schema: '{"é": 1}', empty: '' };
    const model = readModel(writeModel(buildGraph([x], { y: relu(x) }), { metadata }));
    expect(model.metadata).toEqual(metadata);
    expect(model.opsetVersion).toBe(18);
    expect(model.producer).toMatch(/^semblance /);
  });

  it('keeps constants of every data type, empty ones too', () => {
    const constants = {
      float32: constant([1.5, -0, Infinity, Number.NaN, 1e-45]),
      float16: constant(Uint16Array.from([0x3c00, 0xfc00]), [2], { dataType: 'float16' }),
      int64: constant(BigInt64Array.from([2n ** 63n - 1n, -(2n ** 63n)]), [2], { dataType: 'int64' }),
      int32: constant([-(2 ** 31), 2 ** 31 - 1], [2], { dataType: 'int32' }),
      uint8: constant([0, 255], [1, 2], { dataType: 'uint8' }),
      bool: constant([1, 0, 1], [3, 1], { dataType: 'bool' }),
      empty: constant([], [0, 3]),
      scalar: constant(7),
    };
    const outputs = Object.fromEntries(
      Object.entries(constants).map(([name, value]) => [name, identity(value)]),
    );
    const { graph } = readModel(writeModel(buildGraph([], outputs)));
    graph.outputs.forEach(({ name, value }) => {
      const original = constants[name as keyof typeof constants];
      const { origin } = value;
      const source = origin.kind === 'node' ? (origin.node.inputs[0] as Value) : value;
      expect(source.shape, name).toEqual(original.shape);
      expect(source.dataType, name).toBe(original.dataType);
      expect(source.origin.kind === 'constant' && source.origin.data, name).toEqual(
        original.origin.kind === 'constant' && original.origin.data,
      );
    });
  });

  it('keeps small epsilons as they were written', () => {
    const x = input('x', 'float32', [2, 3]);
    const y = layerNormalization(x, constant([1, 1, 1]), undefined, -1, 1e-5);
    expect(print(readModel(writeModel(buildGraph([x], { y }))).graph)).toContain('epsilon=0.00001)');
  });

  it('keeps named sizes, in any number of pictures', async () => {
    const x = input('x', 'float32', ['N', 3]);
    const graph = buildGraph([x], { y: softmax(add(x, constant([1, 2, 3]))), flat: reshape(x, [-1]) });
    const bytes = writeModel(graph);
    expect(print(readModel(bytes).graph)).toBe(print(prepare(graph)));
    const session = await Session.create(bytes, { threads: 1 });
    for (const batch of [1, 4, 0]) {
      const data = new Float32Array(batch * 3);
      const { y, flat } = await session.run({ x: { dataType: 'float32', shape: [batch, 3], data } });
      expect(y?.shape).toEqual([batch, 3]);
      expect(flat?.shape).toEqual([batch * 3]);
    }
    await session.close();
  });
});

describe('a network for any number of pictures', () => {
  it('gives each picture what it gets alone', async () => {
    const x = input('x', 'float32', ['N', 3, 8, 8]);
    const channels = (fill: number) => constant(new Float32Array(4).fill(fill));
    const kernel = constant(numbers(4 * 27), [4, 3, 3, 3]);
    const convolved = convolution(x, kernel, channels(0.1), { stride: 2, padding: 1 });
    const normalized = batchNormalization(convolved, channels(2), channels(0), channels(0.1), channels(3));
    const grouped = groupNormalization(relu(normalized), channels(1), channels(0.5), 2);
    const features = reshape(averagePool(grouped, 2), [0, -1]);
    const logits = matmul(features, constant(numbers(16 * 5), [16, 5]));
    const bytes = writeModel(buildGraph([x], { y: softmax(logits), pooled: globalAveragePool(grouped) }));
    const session = await Session.create(writeModel(readModel(bytes).graph), { threads: 1 });
    const run = (data: Float32Array) =>
      session.run({ x: { dataType: 'float32', shape: [data.length / 192, 3, 8, 8], data } });
    const pictures = numbers(3 * 192);
    const together = await run(pictures);
    expect(together.y?.shape).toEqual([3, 5]);
    expect(together.pooled?.shape).toEqual([3, 4, 1, 1]);
    for (let i = 0; i < 3; i++) {
      const alone = await run(pictures.slice(i * 192, (i + 1) * 192));
      [...(alone.y?.data ?? [])].forEach((number, j) => {
        expect(Number(number)).toBeCloseTo(Number(together.y?.data[i * 5 + j]), 5);
      });
    }
    await session.close();
  });
});

describe('names', () => {
  const x = input('x', 'float32', [2]);

  it('may give an input, a constant, and one value twice as outputs', async () => {
    const y = exponential(x);
    const graph = buildGraph([x], { first: y, second: y, passed: x, fixed: constant([3, 4]) });
    const results = await runGraph(graph, { x: [0, 1] });
    expect(results.second).toEqual(results.first);
    expect(results.passed).toEqual([0, 1]);
    expect(results.fixed).toEqual([3, 4]);
    expect(readModel(writeModel(graph)).graph.outputs.map(({ name }) => name)).toEqual(Object.keys(results));
  });

  it('may give an input as the output of the same name', async () => {
    const graph = buildGraph([x], { x });
    expect(await runGraph(graph, { x: [5, 6] })).toEqual({ x: [5, 6] });
    expect(print(readModel(writeModel(graph)).graph)).toBe(print(graph));
  });

  it('of constants give way to inputs, outputs and each other', async () => {
    const named = (number: number, name: string) => constant([number, number], [2], { name });
    const total = [
      named(1, 'x'),
      named(2, 'y'),
      named(4, 'same'),
      named(8, 'same'),
      named(16, ''),
      named(32, 'v0'),
    ];
    const graph = buildGraph([x], { y: total.reduce<Value>(add, x) });
    expect(await runGraph(graph, { x: [0, 100] })).toEqual({ y: [63, 163] });
  });

  it('are kept for constants', () => {
    const weight = constant(numbers(4), [2, 2], { name: 'layer.0.weight' });
    const { graph } = readModel(writeModel(buildGraph([x], { y: matmul(x, weight) })));
    const origin = graph.nodes[0]?.inputs[1]?.origin;
    expect(origin?.kind === 'constant' && origin.name).toBe('layer.0.weight');
  });

  it('that are numbers keep the order of outputs', () => {
    const graph: Graph = {
      ...buildGraph([x], {}),
      nodes: buildGraph([x], { a: exponential(x) }).nodes,
      outputs: [],
    };
    const value = graph.nodes[0]?.outputs[0] as Value;
    const outputs = ['10', '2', 'a', '1'].map((name) => ({ name, value }));
    const read = readModel(writeModel({ ...graph, outputs })).graph;
    expect(read.outputs.map(({ name }) => name)).toEqual(['10', '2', 'a', '1']);
  });

  it('that clash or are empty are refused', () => {
    expect(() => writeModel(buildGraph([x], { x: exponential(x) }))).toThrow(GraphError);
    expect(() => writeModel(buildGraph([x], { '': exponential(x) }))).toThrow(GraphError);
  });
});

describe('absent inputs', () => {
  const x = input('x', 'float32', [3]);

  it('in the middle are written empty, at the end not at all', async () => {
    const graph = buildGraph([x], { above: clip(x, 0, undefined), below: clip(x, undefined, 0) });
    expect(await runGraph(readModel(writeModel(graph)).graph, { x: [-1, 0, 2] })).toEqual({
      above: [0, 0, 2],
      below: [-1, 0, 0],
    });
  });
});

it('operators of the file format that are read have attributes of the right kind', async () => {
  const a = input('a', 'float32', [2, 2]);
  const y = apply(operators.Gemm, [a, a], { alpha: 0.5, transB: 1 });
  const z = cast(apply(operators.ArgMax, [a], { axis: 1, keepdims: 0 }), 'float32');
  expect(await runGraph(readModel(writeModel(buildGraph([a], { y, z }))).graph, { a: [1, 2, 4, 3] })).toEqual(
    {
      y: [2.5, 5, 5, 12.5],
      z: [1, 0],
    },
  );
});
