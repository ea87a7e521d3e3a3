/** Adapters: the network as it came at the start, a matrix of low rank later, and merged where exported. */
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runGraph } from '../../test/support/run-graph.js';
import {
  apply,
  buildGraph,
  constant,
  input,
  matmul,
  type Node,
  operators,
  type Value,
} from '../graph/index.js';
import { Random } from '../util/index.js';
import { adaptedNode, isAdaptable } from './low-rank-adapters.js';
import { DeclaredParameters, FixedParameters, initializeParameters } from './parameters.js';

const random = Random.from(5);
const floats = (length: number) => Float32Array.from({ length }, () => random.between(-1, 1));
const nodeOf = (value: Value): Node => {
  if (value.origin.kind !== 'node') throw new Error('a node is required');
  return value.origin.node;
};

const rows = input('x', 'float32', [5, 6]);
const picture = input('x', 'float32', [2, 6, 4, 4]);
const numbers = (value: Value) => Array.from(floats(value.shape.reduce<number>((n, d) => n * Number(d), 1)));
const products: readonly (readonly [string, Value, Value])[] = [
  ['MatMul', rows, matmul(rows, constant(floats(18), [6, 3]))],
  ['Gemm', rows, apply(operators.Gemm, [rows, constant(floats(18), [6, 3]), constant(floats(3), [3])])],
  [
    'Gemm of a transposed matrix',
    rows,
    apply(operators.Gemm, [rows, constant(floats(18), [3, 6]), constant(floats(3), [3])], { transB: 1 }),
  ],
  [
    '1×1 convolution with a stride',
    picture,
    apply(operators.Conv, [picture, constant(floats(18), [3, 6, 1, 1]), constant(floats(3), [3])], {
      kernel_shape: [1, 1],
      strides: [2, 2],
    }),
  ],
];

describe.each(products)('%s', (_, x, y) => {
  const node = nodeOf(y);
  const options = { rank: 2, alpha: 3 };
  const feeds = numbers(x);

  it('starts as it came', async () => {
    const parameters = new DeclaredParameters();
    const context = { parameters, mode: 'training' as const, statistics: {} };
    const adapted = adaptedNode(context, node, node.inputs, 'a', options, 0.5);
    const entries = parameters.entries();
    const values = initializeParameters(
      entries.map(({ parameter }) => parameter),
      Random.from(1),
    );
    expect(entries.map(({ parameter }) => [parameter.name, parameter.learningRateScale])).toEqual([
      ['a.down', 0.5],
      ['a.up', 0.5],
    ]);
    expect(values['a.down']?.every((value) => value !== 0)).toBe(true);
    const results = await runGraph(buildGraph([x, ...entries.map(({ value }) => value)], { y, adapted }), {
      x: feeds,
      ...Object.fromEntries(Object.entries(values).map(([name, data]) => [name, [...data]])),
    });
    expectNear(results.adapted, results.y as number[], 1e-6);
  });

  it('merged, it is what training computed', async () => {
    const values = { 'a.down': floats(12), 'a.up': floats(6) };
    const parameters = new DeclaredParameters();
    const trained = adaptedNode(
      { parameters, mode: 'training', statistics: {} },
      node,
      node.inputs,
      'a',
      options,
      1,
    );
    const merged = adaptedNode(
      { parameters: new FixedParameters(values), mode: 'inference', statistics: {} },
      node,
      node.inputs,
      'a',
      options,
      1,
    );
    expect(nodeOf(merged).operator.name).toBe(node.operator.name);
    const results = await runGraph(
      buildGraph([x, ...parameters.entries().map(({ value }) => value)], { trained, merged, y }),
      { x: feeds, 'a.down': [...values['a.down']], 'a.up': [...values['a.up']] },
    );
    expectNear(results.merged, results.trained as number[], 1e-5);
    const moved = (results.y as number[]).some((value, i) => Math.abs(value - results.merged![i]!) > 0.01);
    expect(moved).toBe(true);
  });
});

describe('isAdaptable', () => {
  const w = input('w', 'float32', [6, 3]);
  it.each([
    ['a product of two computed matrices', matmul(rows, w)],
    ['a constant on the left', matmul(constant(floats(10), [2, 5]), rows)],
    ['a 3×3 convolution', apply(operators.Conv, [picture, constant(floats(54 * 3), [3, 6, 3, 3])])],
    [
      'a grouped convolution',
      apply(operators.Conv, [picture, constant(floats(12), [4, 3, 1, 1])], { group: 2 }),
    ],
    ['a scaled product', apply(operators.Gemm, [rows, constant(floats(18), [6, 3])], { alpha: 2 })],
  ])('not %s', (_, value) => {
    expect(isAdaptable(nodeOf(value))).toBe(false);
  });
});
