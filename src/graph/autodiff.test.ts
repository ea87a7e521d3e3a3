/** The walk: how gradients meet, stop, and are asked for. The rules themselves are in test/gradients. */
import { describe, expect, it } from 'vitest';
import { runValues } from '../../test/support/run-graph.js';
import { GraphError, ShapeError } from '../util/index.js';
import { sigmoid, softplus, tanh } from './activation.js';
import { gradients } from './autodiff.js';
import {
  add,
  cast,
  exponential,
  greater,
  logarithm,
  masked,
  multiply,
  power,
  scale,
  square,
  stopGradient,
} from './elementwise.js';
import { apply, buildGraph, constant, input, type Value } from './ir.js';
import { matmul } from './linear-algebra.js';
import { split } from './movement.js';
import { opaqueOperator } from './opaque.js';
import { reduceMean, reduceSum } from './reduction.js';

const x = input('x', 'float32', [3]);
const z = input('z', 'float32', [3]);
const NUMBERS = { x: [0.5, -1, 2], z: [1, 3, -2] };

const near = (got: readonly number[] | undefined, wanted: readonly number[]) => {
  expect(got?.length).toBe(wanted.length);
  wanted.forEach((number, i) => {
    expect(got?.[i]).toBeCloseTo(number, 4);
  });
};

async function gradientOf(loss: Value, target: Value = x): Promise<number[]> {
  const [gradient] = gradients(loss, [target]) as [Value];
  const { d } = await runValues([x, z], { d: gradient }, NUMBERS);
  return d as number[];
}

describe('gradients', () => {
  it('add up where a value is used twice', async () => {
    near(await gradientOf(reduceSum(multiply(x, x), 'all')), [1, -2, 4]);
    near(await gradientOf(reduceSum(add(x, x), 'all')), [2, 2, 2]);
  });

  it('add up where two ways meet again', async () => {
    // y = eˣ; Σ y·σ(y) : (σ(y) + y·σ(y)(1 − σ(y))) · y
    const y = exponential(x);
    near(
      await gradientOf(reduceSum(multiply(y, sigmoid(y)), 'all')),
      NUMBERS.x.map((number) => {
        const e = Math.exp(number);
        const s = 1 / (1 + Math.exp(-e));
        return (s + e * s * (1 - s)) * e;
      }),
    );
  });

  it('are exact over a chain of many diamonds', async () => {
    let y: Value = x;
    for (let i = 0; i < 40; i++) y = scale(add(y, y), 0.5); // 2⁴⁰ ways, but each node is walked once
    near(await gradientOf(reduceSum(y, 'all')), [1, 1, 1]);
  });

  it('do not overflow the stack on a deep graph', () => {
    let y: Value = x;
    for (let i = 0; i < 20_000; i++) y = tanh(y);
    const [gradient] = gradients(reduceSum(y, 'all'), [x]) as [Value];
    expect(gradient.shape).toEqual([3]);
  });

  it('are zeros for a target that is not reached', async () => {
    near(await gradientOf(reduceSum(x, 'all'), z), [0, 0, 0]);
    const scalar = input('s', 'float32', []);
    expect(gradients(reduceSum(x, 'all'), [scalar])[0]?.shape).toEqual([]);
  });

  it('stop at stopGradient, and pass beside it', async () => {
    near(await gradientOf(reduceSum(stopGradient(square(x)), 'all')), [0, 0, 0]);
    near(await gradientOf(reduceSum(multiply(x, stopGradient(x)), 'all')), NUMBERS.x);
  });

  it('stop at comparisons and integers', async () => {
    const mask = greater(x, constant(0));
    near(await gradientOf(reduceSum(masked(mask, x), 'all')), [1, 0, 1]);
    near(await gradientOf(reduceSum(cast(cast(x, 'int64'), 'float32'), 'all')), [0, 0, 0]);
  });

  it('by a value in the middle treat it as given', async () => {
    const y = square(x);
    const loss = reduceSum(multiply(y, y), 'all');
    near(
      await gradientOf(loss, y),
      NUMBERS.x.map((number) => 2 * number ** 2),
    );
  });

  it('by a value and by what it is made of, at once', async () => {
    const y = square(x);
    const [byY, byX, byZ] = gradients(reduceSum(multiply(y, z), 'all'), [y, x, z]) as [Value, Value, Value];
    const results = await runValues([x, z], { byY, byX, byZ }, NUMBERS);
    near(results.byY, NUMBERS.z);
    near(results.byX, [1, -6, -8]);
    near(results.byZ, [0.25, 1, 4]);
  });

  it('by the output itself are one', async () => {
    const loss = reduceSum(x, 'all');
    near(await gradientOf(loss, loss), [1]);
  });

  it('of several outputs add up, each weighted by its own gradient', async () => {
    const weights = input('w', 'float32', [3]);
    const [byX] = gradients([square(x), multiply(x, z)], [x], [weights, constant([1, 1, 1])]) as [Value];
    const { d } = await runValues([x, z, weights], { d: byX }, { ...NUMBERS, w: [1, 2, 3] });
    near(d, [1 + 1, -4 + 3, 12 - 2]);
  });

  it('of one output given twice count twice', async () => {
    const loss = reduceSum(x, 'all');
    const [byX] = gradients([loss, loss], [x]) as [Value];
    near((await runValues([x], { d: byX }, NUMBERS)).d, [2, 2, 2]);
  });

  it('pass a node of which only one output is used', async () => {
    const [, second] = split(x, [1, 2], 0) as [Value, Value];
    near(await gradientOf(reduceSum(square(second), 'all')), [0, -2, 4]);
  });

  it('do not build what no target needs', () => {
    const frozen = constant(new Float32Array(9), [3, 3]);
    const [byX] = gradients(reduceSum(matmul(x, frozen), 'all'), [x]) as [Value];
    const products = buildGraph([x], { byX }).nodes.filter(({ operator }) => operator.name === 'MatMul');
    expect(products.length).toBe(1);
  });

  it('of gradients are second derivatives', async () => {
    // f = Σ x³ + eˣ·z: ∂²f/∂x² = 6x + eˣ·z, ∂²f/∂x∂z = eˣ
    const f = reduceSum(add(power(x, constant(3)), multiply(exponential(x), z)), 'all');
    const [first] = gradients(f, [x]) as [Value];
    const [second, mixed] = gradients(reduceSum(first, 'all'), [x, z]) as [Value, Value];
    const results = await runValues([x, z], { second, mixed }, NUMBERS);
    near(
      results.second,
      NUMBERS.x.map((number, i) => 6 * number + Math.exp(number) * (NUMBERS.z[i] as number)),
    );
    near(results.mixed, NUMBERS.x.map(Math.exp));
  });

  it('of gradients go through reductions, products and broadcasts', async () => {
    // f = softplus(aᵀx)·mean(x): Hessian times ones, against differences of the first gradient in float64
    const a = constant([1, -2, 0.5]);
    const f = multiply(softplus(matmul(a, x)), reduceMean(x, 'all'));
    const [first] = gradients(f, [x]) as [Value];
    const [second] = gradients(reduceSum(first, 'all'), [x]) as [Value];
    const { d } = await runValues([x], { d: second }, NUMBERS);
    const exact = (at: readonly number[]) => {
      const dot = (at[0] as number) - 2 * (at[1] as number) + 0.5 * (at[2] as number);
      const average = ((at[0] as number) + (at[1] as number) + (at[2] as number)) / 3;
      const s = 1 / (1 + Math.exp(-dot));
      return [1, -2, 0.5].reduce(
        (total, slope) => total + slope * s * average + Math.log1p(Math.exp(dot)) / 3,
        0,
      );
    };
    near(
      d,
      [0, 1, 2].map((i) => {
        const moved = (sign: number) =>
          NUMBERS.x.map((number, j) => (i === j ? number + sign * 1e-5 : number));
        return (exact(moved(1)) - exact(moved(-1))) / 2e-5;
      }),
    );
  });
});

describe('gradients refuse', () => {
  const unknown = opaqueOperator({
    ...{ name: 'Winding', domain: 'example', version: 1, attributes: [] },
    ...{ inputTypes: [x], outputTypes: [x] },
  });

  it('an operator without a rule, by name', () => {
    const ask = () => gradients(reduceSum(apply(unknown, [x]), 'all'), [x]);
    expect(ask).toThrow(GraphError);
    expect(ask).toThrow(/^gradients: operator Winding must have a gradient rule/);
  });

  it('but not where no target is behind it', () => {
    const loss = reduceSum(multiply(apply(unknown, [z]), x), 'all');
    expect(gradients(loss, [x])).toHaveLength(1);
  });

  it('an output that is no scalar when no gradient arrives', () => {
    expect(() => gradients(square(x), [x])).toThrow(ShapeError);
    expect(() => gradients(square(x), [x])).toThrow(/must be a scalar, got shape \[3\]/);
  });

  it('an arriving gradient of another shape', () => {
    expect(() => gradients([square(x)], [x], [constant([1, 2])])).toThrow(
      /must have .*shape \[3\], got \[2\]/,
    );
  });

  it('a symbolic size where the rule must know it', () => {
    const batch = input('b', 'float32', ['N', 3]);
    expect(() => gradients(reduceMean(batch, 'all'), [batch])).toThrow(/shape must be known, got \[N, 3\]/);
  });

  it('logarithm at zero gives infinity, not an error', async () => {
    const { d } = await runValues(
      [x],
      { d: gradients(reduceSum(logarithm(square(x)), 'all'), [x])[0] as Value },
      { x: [0, 1, 2] },
    );
    expect(d?.slice(1)).toEqual([2, 1]);
    expect(Number.isFinite(d?.[0])).toBe(false);
  });
});
