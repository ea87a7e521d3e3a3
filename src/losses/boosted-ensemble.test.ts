/**
 * The boosted ensemble against a naive loop in float64, and in closed forms.
 */
import { describe, expect, it } from 'vitest';
import { centralDifferences, expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { constant, gradients, input, int64, type Value } from '../graph/index.js';
import { Random, ShapeError } from '../util/index.js';
import {
  binomialDevianceLoss,
  boostedEnsembleLoss,
  ensembleLearners,
  growingSizes,
  type MetricLoss,
} from './index.js';

type Rows = readonly (readonly number[])[];
interface Constants {
  readonly alpha: number;
  readonly beta: number;
  readonly negativeCost: number;
}

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
const softplus = (x: number) => Math.max(0, x) + Math.log1p(Math.exp(-Math.abs(x)));

/**
 * The loss by a loop over learners and pairs; the first `anchors` rows are the batch.
 * @param boostedAt where the weights of pairs are taken, which carry no gradient
 */
function naive(
  rows: Rows,
  boostedAt: Rows,
  items: readonly number[],
  sizes: readonly number[],
  { alpha, beta, negativeCost }: Constants,
  anchors = items.length,
): number {
  const M = sizes.length;
  const cosines = (of: Rows, i: number, j: number) => {
    let offset = 0;
    return sizes.map((size, m) => {
      const [a, b] = [of[i]!, of[j]!].map((row) => row.slice(offset, offset + size)) as [number[], number[]];
      offset += size;
      return dot(a, b) / ((2 * (m + 1)) / (M * (M + 1)));
    });
  };
  let loss = 0;
  for (let m = 0; m < M; m++) {
    const sums = { positive: 0, negative: 0 };
    const counts = { positive: 0, negative: 0 };
    for (let i = 0; i < anchors; i++)
      for (let j = 0; j < items.length; j++) {
        if (i === j) continue;
        const kind = items[i] === items[j] ? 'positive' : 'negative';
        const slope = kind === 'positive' ? -alpha : alpha * negativeCost;
        let ensemble = 0;
        cosines(boostedAt, i, j).forEach((s, n) => {
          if (n < m) ensemble = (1 - 2 / (n + 2)) * ensemble + (2 / (n + 2)) * s;
        });
        const weight = m === 0 ? 1 : sigmoid(slope * (ensemble - beta));
        sums[kind] += weight * softplus(slope * (cosines(rows, i, j)[m]! - beta));
        counts[kind]++;
      }
    for (const kind of ['positive', 'negative'] as const)
      if (counts[kind] > 0) loss += sums[kind] / counts[kind];
  }
  return loss / M;
}

/** Rows whose parts are of length 1 times the root of their weight. */
function embeddingsOf(count: number, sizes: readonly number[], random: Random): Rows {
  return Array.from({ length: count }, () =>
    ensembleLearners(sizes).flatMap(({ size, weight }) => {
      const part = Array.from({ length: size }, () => random.normal());
      const length = Math.hypot(...part);
      return part.map((x) => Math.fround((Math.sqrt(weight) * x) / length));
    }),
  );
}

async function evaluate(
  loss: MetricLoss,
  rows: Rows,
  items: readonly number[],
  memory?: { rows: Rows; items: readonly number[] },
) {
  const width = rows[0]!.length;
  const x = input('embeddings', 'float32', [rows.length, width]);
  const y = loss({
    embeddings: x,
    itemIds: int64(items),
    ...(memory === undefined
      ? {}
      : {
          memory: {
            embeddings: constant(memory.rows.flat(), [memory.rows.length, width]),
            itemIds: int64(memory.items),
            isFilled: constant(new Float32Array(memory.rows.length).fill(1), [memory.rows.length]),
          },
        }),
  });
  const results = await runValues([x], { y, dx: gradients(y, [x])[0] as Value }, { embeddings: rows.flat() });
  return { loss: results.y?.[0] ?? Number.NaN, gradient: results.dx ?? [] };
}

const CONSTANTS: Constants = { alpha: 2, beta: 0.5, negativeCost: 25 };

describe('boostedEnsembleLoss', () => {
  it.each<[readonly number[], readonly number[], Constants]>([
    [[2, 3, 4], [1, 1, 2, 2, 3, 3], CONSTANTS],
    [[3, 3], [7, 9, 7, 9, 8], { alpha: 1.5, beta: 0.2, negativeCost: 4 }],
    [[1, 2, 3, 4], [1, 1, 1, 1], CONSTANTS],
    [[2, 2], [1, 2, 3], CONSTANTS],
  ])('learners of %j, items %j: value and gradient as a loop', async (sizes, items, constants) => {
    const rows = embeddingsOf(items.length, sizes, Random.from(3));
    const got = await evaluate(boostedEnsembleLoss({ sizes, ...constants }), rows, items);
    const width = rows[0]!.length;
    const f = (flat: readonly number[]) =>
      naive(
        rows.map((_, i) => flat.slice(i * width, (i + 1) * width)),
        rows,
        items,
        sizes,
        constants,
      );
    expectNear([got.loss], [f(rows.flat())]);
    expectNear(got.gradient, centralDifferences(f, rows.flat(), 1e-6), 1e-4, 'gradient');
  });

  it('with a memory as a loop over batch and memory', async () => {
    const sizes = [2, 4];
    const rows = embeddingsOf(4, sizes, Random.from(4));
    const memory = { rows: embeddingsOf(5, sizes, Random.from(5)), items: [2, 1, 9, 9, 2] };
    const items = [1, 1, 2, 2];
    const all = [...rows, ...memory.rows];
    const { loss } = await evaluate(boostedEnsembleLoss({ sizes }), rows, items, memory);
    expectNear([loss], [naive(all, all, [...items, ...memory.items], sizes, CONSTANTS, 4)]);
  });

  it('of one learner is binomial deviance', async () => {
    const items = [1, 1, 2, 2, 3];
    const rows = embeddingsOf(5, [6], Random.from(6));
    const constants = { alpha: 1.7, beta: 0.4, negativeCost: 12 };
    const one = await evaluate(boostedEnsembleLoss({ sizes: [6], ...constants }), rows, items);
    const plain = await evaluate(binomialDevianceLoss(constants), rows, items);
    expectNear([one.loss], [plain.loss]);
    expectNear(one.gradient, plain.gradient);
  });

  it.each([
    ['identical', [[0.6, 0.8]]],
    ['zero', [[0, 0]]],
  ])('%s embeddings: finite', async (_, [row]) => {
    const { loss, gradient } = await evaluate(
      boostedEnsembleLoss({ sizes: [1, 1] }),
      [row!, row!, row!],
      [1, 1, 2],
    );
    expect([loss, ...gradient].every(Number.isFinite)).toBe(true);
  });

  it('asks for sizes that add up to D', () => {
    const inputs = { embeddings: input('e', 'float32', [2, 5]), itemIds: int64([0, 1]) };
    expect(() => boostedEnsembleLoss({ sizes: [2, 4] })(inputs)).toThrow(ShapeError);
    expect(() => boostedEnsembleLoss({ sizes: [2, 4] })(inputs)).toThrow(
      'boostedEnsembleLoss: sizes of learners must add up to D = 5, got 2 + 4 = 6.',
    );
  });
});

describe('learners', () => {
  it('weigh what the recursion of shrinkages gives, and add up to 1', () => {
    for (const count of [1, 2, 3, 7]) {
      const learners = ensembleLearners(new Array(count).fill(2));
      // The ensemble's cosine of learners whose cosines are 1 for one and 0 for the others is that one's weight.
      learners.forEach(({ weight, offset }, wanted) => {
        let ensemble = 0;
        for (let m = 1; m <= count; m++) {
          const eta = 2 / (m + 1);
          ensemble = (1 - eta) * ensemble + eta * (m - 1 === wanted ? 1 : 0);
        }
        expect(weight).toBeCloseTo(ensemble, 12);
        expect(offset).toBe(2 * wanted);
      });
      expect(learners.reduce((sum, { weight }) => sum + weight, 0)).toBeCloseTo(1, 12);
    }
  });

  it.each([
    [6, 3, [1, 2, 3]],
    [512, 3, [85, 171, 256]],
    [256, 1, [256]],
    [8, 3, [1, 3, 4]],
    [10, 4, [1, 2, 3, 4]],
  ])('%d coordinates over %d learners grow to %j', (dimension, count, sizes) => {
    expect(growingSizes(dimension, count)).toEqual(sizes);
  });
});
