import { describe, expect, it } from 'vitest';
import { runGraph } from '../../test/support/run-graph.js';
import { gradients } from './autodiff.js';
import {
  add,
  divide,
  exponential,
  identity,
  multiply,
  negate,
  scale,
  stopGradient,
  subtract,
} from './elementwise.js';
import { applyAll, buildGraph, constant, type Graph, input, type Value } from './ir.js';
import { matmul } from './linear-algebra.js';
import { batchNormalizationTraining } from './normalization.js';
import { operators } from './operators.js';
import { lower, mergeDuplicates, prepare } from './passes.js';
import { print } from './print.js';
import { reduceSum } from './reduction.js';
import { substitute } from './rewrite.js';
import { verify } from './verify.js';

const x = input('x', 'float32', [4]);
const NUMBERS = { x: [0.5, -1, 2, 3] };
const namesOf = (graph: Graph) => graph.nodes.map(({ operator }) => operator.name);

describe('substitute', () => {
  it('computes the same from other values, with shapes inferred again', async () => {
    const open = input('open', 'float32', ['N', 2]);
    const w = constant([1, 2, 3, 4], [2, 2]);
    const y = exponential(matmul(open, w));
    const fixed = input('fixed', 'float32', [1, 2]);
    const v = input('v', 'float32', [2, 2]);
    const [z] = substitute(
      [y],
      new Map([
        [open, fixed],
        [w, v],
      ]),
    ) as [Value];
    expect(y.shape).toEqual(['N', 2]);
    expect(z.shape).toEqual([1, 2]);
    const results = await runGraph(buildGraph([fixed, v], { z }), { fixed: [1, -1], v: [1, 0, 1, 3] });
    expect(results.z?.[0]).toBeCloseTo(1, 6);
    expect(results.z?.[1]).toBeCloseTo(Math.exp(-3), 6);
  });

  it('leaves alone what does not change, and what stands behind a replacement', () => {
    const y = exponential(add(x, x));
    expect(substitute([y], new Map())).toEqual([y]);
    const middle = add(x, x);
    const [z] = substitute([negate(middle)], new Map([[middle, x]])) as [Value];
    expect(z.origin.kind === 'node' && z.origin.node.inputs).toEqual([x]);
  });
});

describe('mergeDuplicates', () => {
  it('computes once what is written twice', () => {
    const graph = buildGraph([x], { y: add(exponential(x), exponential(x)) });
    expect(namesOf(mergeDuplicates(graph))).toEqual(['Exp', 'Add']);
  });

  it('merges through chains, and constants by content', () => {
    const branch = () => scale(exponential(add(x, constant([1, 2, 3, 4]))), 2);
    const graph = mergeDuplicates(buildGraph([x], { y: multiply(branch(), branch()) }));
    expect(namesOf(graph)).toEqual(['Add', 'Exp', 'Mul', 'Mul']);
  });

  it('keeps apart what differs in operator, order, attributes, type or content', () => {
    const z = input('z', 'float32', [4]);
    const outputs = {
      a: subtract(x, z),
      b: subtract(z, x),
      c: add(x, constant(1)),
      d: add(x, constant([1])),
      e: add(x, constant(2)),
      f: applyAll(operators.Cast, [x], { to: 6 })[0] as Value,
      g: applyAll(operators.Cast, [x], { to: 7 })[0] as Value,
    };
    expect(mergeDuplicates(buildGraph([x, z], outputs)).nodes).toHaveLength(7);
  });

  it('keeps −0 apart from 0', async () => {
    const outputs = { positive: divide(x, constant(0)), negative: divide(x, constant(-0)) };
    const results = await runGraph(mergeDuplicates(buildGraph([x], outputs)), NUMBERS);
    expect(results.positive?.[0]).toBe(Infinity);
    expect(results.negative?.[0]).toBe(-Infinity);
  });

  it('keeps stopGradient apart from identity, so that it still stops', () => {
    const graph = mergeDuplicates(
      buildGraph([x], { y: reduceSum(add(identity(x), stopGradient(x)), 'all') }),
    );
    expect(namesOf(graph)).toEqual(['Identity', 'Identity', 'Add', 'ReduceSum']);
    const [byX] = gradients(graph.outputs[0]?.value as Value, [x]) as [Value];
    expect(byX.shape).toEqual([4]);
  });

  it('leaves results as they were', async () => {
    const y = multiply(exponential(x), add(exponential(x), constant([1, 1, 1, 1])));
    const loss = reduceSum(multiply(y, y), 'all');
    const graph = buildGraph([x], { loss, byX: gradients(loss, [x])[0] as Value });
    const merged = mergeDuplicates(graph);
    expect(merged.nodes.length).toBeLessThan(graph.nodes.length);
    expect(await runGraph(merged, NUMBERS)).toEqual(await runGraph(graph, NUMBERS));
  });

  it('changes nothing the second time', () => {
    const loss = reduceSum(multiply(exponential(x), exponential(x)), 'all');
    const once = prepare(buildGraph([x], { loss, byX: gradients(loss, [x])[0] as Value }));
    expect(print(prepare(once))).toBe(print(once));
  });
});

describe('lower', () => {
  const picture = input('picture', 'float32', [2, 3, 2, 2]);
  const weight = input('weight', 'float32', [3]);
  const bias = input('bias', 'float32', [3]);

  it('turns training batch normalisation, its statistics and its gradient into operators of the runtime', () => {
    const { y, mean, variance } = batchNormalizationTraining(picture, weight, bias);
    const loss = reduceSum(multiply(y, y), 'all');
    const [byPicture] = gradients(loss, [picture]) as [Value];
    const graph = verify(lower(buildGraph([picture, weight, bias], { y, mean, variance, byPicture })));
    for (const { operator, attributes } of graph.nodes) {
      if (operator.name === 'BatchNormalization') expect(attributes.training_mode).toBeUndefined();
    }
    expect(graph.outputs.map(({ value }) => value.shape)).toEqual([[2, 3, 2, 2], [3], [3], [2, 3, 2, 2]]);
  });

  it('shares the batch statistics between value and gradient', () => {
    const { y } = batchNormalizationTraining(picture, weight, bias);
    const g = input('g', 'float32', [2, 3, 2, 2]);
    const [byPicture] = gradients([y], [picture], [g]) as [Value];
    const count = (outputs: Record<string, Value>) =>
      prepare(buildGraph([picture, weight, bias, g], outputs)).nodes.length;
    expect(count({ y, byPicture })).toBe(count({ byPicture }) + 1); // only the normalisation itself is new
  });

  it('leaves other graphs as they are', () => {
    const graph = buildGraph([x], { y: exponential(x) });
    expect(lower(graph).nodes).toEqual(graph.nodes);
  });
});
