/**
 * Optimisers against plain TypeScript in float64 and against PyTorch (`test/golden/make-losses.py`).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { input, type Value } from '../graph/index.js';
import { Random } from '../util/index.js';
import { type AdamWOptions, adamW, clipByGlobalNorm, type Optimizer, type SgdOptions, sgd } from './index.js';

interface Run {
  readonly start: readonly number[];
  /** The gradient of each step. */
  readonly gradients: readonly (readonly number[])[];
  readonly learningRates: readonly number[];
  readonly isDecayed: boolean;
}

/** The parameters after each step, by the graph. */
async function byGraph(optimizer: Optimizer, { start, gradients, learningRates, isDecayed }: Run) {
  const shape = [start.length];
  const parameter = input('parameter', 'float32', shape);
  const gradient = input('gradient', 'float32', shape);
  const states = optimizer.stateNames.map((name) => input(name, 'float32', shape));
  const learningRate = input('learningRate', 'float32', []);
  const step = input('step', 'float32', []);
  const next = optimizer.update({ parameter, gradient, states, learningRate, step, isDecayed });
  const outputs: Record<string, Value> = { parameter_: next.parameter };
  next.states.forEach((state, i) => {
    outputs[`${optimizer.stateNames[i]}_`] = state;
  });
  const used = [parameter, gradient, ...states, learningRate, step];
  let now: Record<string, readonly number[]> = { parameter: start };
  for (const name of optimizer.stateNames) now[name] = start.map(() => 0);
  const after: (readonly number[])[] = [];
  for (const [index, ofStep] of gradients.entries()) {
    const results = await runValues(used, outputs, {
      ...now,
      gradient: ofStep,
      learningRate: [learningRates[index]!],
      step: [index + 1],
    });
    now = Object.fromEntries(Object.entries(results).map(([name, values]) => [name.slice(0, -1), values]));
    after.push(now.parameter!);
  }
  return after;
}

function plainAdamW(
  { beta1 = 0.9, beta2 = 0.999, epsilon = 1e-8, weightDecay = 0.01 }: AdamWOptions,
  { start, gradients, learningRates, isDecayed }: Run,
) {
  const p = [...start];
  const m = start.map(() => 0);
  const v = start.map(() => 0);
  return gradients.map((g, t) => {
    const lr = learningRates[t]!;
    for (let i = 0; i < p.length; i++) {
      m[i] = beta1 * m[i]! + (1 - beta1) * g[i]!;
      v[i] = beta2 * v[i]! + (1 - beta2) * g[i]! ** 2;
      const mean = m[i]! / (1 - beta1 ** (t + 1));
      const variance = v[i]! / (1 - beta2 ** (t + 1));
      const decay = isDecayed ? weightDecay * p[i]! : 0;
      p[i] = p[i]! - lr * (decay + mean / (Math.sqrt(variance) + epsilon));
    }
    return [...p];
  });
}

function plainSgd(
  { momentum = 0.9, weightDecay = 0 }: SgdOptions,
  { start, gradients, learningRates, isDecayed }: Run,
) {
  const p = [...start];
  const velocity = start.map(() => 0);
  return gradients.map((g, t) => {
    for (let i = 0; i < p.length; i++) {
      velocity[i] = momentum * velocity[i]! + g[i]! + (isDecayed ? weightDecay * p[i]! : 0);
      p[i] = p[i]! - learningRates[t]! * velocity[i]!;
    }
    return [...p];
  });
}

function drawn(isDecayed: boolean, seed = 1): Run {
  const random = Random.from(seed);
  const row = () => Array.from({ length: 7 }, () => Math.fround(random.normal()));
  return {
    start: row(),
    gradients: Array.from({ length: 5 }, row),
    learningRates: [0.01, 0.05, 0.1, 0.03, 0.002],
    isDecayed,
  };
}

describe('five steps as in plain TypeScript', () => {
  it.each<[AdamWOptions, boolean]>([
    [{}, true],
    [{ weightDecay: 0.5 }, true],
    [{ weightDecay: 0.5 }, false],
    [{ beta1: 0.5, beta2: 0.7, epsilon: 0.1, weightDecay: 0 }, true],
    [{ beta1: 0 }, true],
  ])('adamW %j, decayed: %s', async (options, isDecayed) => {
    const run = drawn(isDecayed);
    const after = await byGraph(adamW(options), run);
    plainAdamW(options, run).forEach((wanted, step) => {
      expectNear(after[step], wanted, 1e-5, `step ${step + 1}`);
    });
  });

  it.each<[SgdOptions, boolean]>([
    [{}, true],
    [{ momentum: 0 }, true],
    [{ momentum: 0.5, weightDecay: 0.2 }, true],
    [{ momentum: 0.5, weightDecay: 0.2 }, false],
  ])('sgd %j, decayed: %s', async (options, isDecayed) => {
    const run = drawn(isDecayed, 2);
    const after = await byGraph(sgd(options), run);
    plainSgd(options, run).forEach((wanted, step) => {
      expectNear(after[step], wanted, 1e-5, `step ${step + 1}`);
    });
  });

  it('a gradient of zeros moves nothing, and is no division by zero', async () => {
    const run = { ...drawn(false), gradients: [[0, 0, 0, 0, 0, 0, 0]] };
    expect(await byGraph(adamW(), run)).toEqual([run.start]);
    expect(await byGraph(sgd(), run)).toEqual([run.start]);
  });
});

describe('as in PyTorch', () => {
  interface Case {
    readonly optimizer: 'adamw' | 'sgd';
    readonly options: Readonly<Record<string, number>>;
    readonly learningRate: number;
    readonly after: readonly (readonly number[])[];
  }
  const file = new URL('../../test/golden/losses.json', import.meta.url);
  const { optimizers } = JSON.parse(readFileSync(file, 'utf8')) as { optimizers: Case[] };
  const sequence = (salt: number) =>
    Array.from({ length: 6 }, (_, i) => (((i * 37 + salt * 101) % 83) - 41) / 32);

  it.each(optimizers)('$optimizer $options', async ({ optimizer, options, learningRate, after }) => {
    const run = {
      start: sequence(1),
      gradients: after.map((_, step) => sequence(2 + step)),
      learningRates: after.map(() => learningRate),
      isDecayed: true,
    };
    const got = await byGraph(optimizer === 'adamw' ? adamW(options) : sgd(options), run);
    after.forEach((wanted, step) => {
      expectNear(got[step], wanted, 1e-5, `step ${step + 1}`);
    });
  });
});

describe('clipByGlobalNorm', () => {
  const a = input('a', 'float32', [2]);
  const b = input('b', 'float32', [1, 2]);
  const clip = async (limit: number, numbers: { a: number[]; b: number[] }) => {
    const { gradients, norm } = clipByGlobalNorm([a, b], limit);
    return runValues([a, b], { norm, a_: gradients[0] as Value, b_: gradients[1] as Value }, numbers);
  };

  it.each([
    ['over the limit', 2, 0.4],
    ['at the limit', 5, 1],
    ['under the limit', 6, 1],
  ])('%s', async (_, limit, factor) => {
    const { norm, a_, b_ } = await clip(limit, { a: [3, 0], b: [0, -4] });
    expectNear(norm, [5]);
    expectNear(a_, [3 * factor, 0]);
    expectNear(b_, [0, -4 * factor]);
  });

  it('leaves zeros zero', async () => {
    expect(await clip(1, { a: [0, 0], b: [0, 0] })).toEqual({ norm: [0], a_: [0, 0], b_: [0, 0] });
  });

  it('an infinite limit clips nothing', () => {
    expect(clipByGlobalNorm([a, b], Number.POSITIVE_INFINITY).gradients).toEqual([a, b]);
  });
});
