/**
 * Metric losses against naive loops over pairs and triplets in float64, and against closed forms.
 */
import { describe, expect, it } from 'vitest';
import { centralDifferences, expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { constant, gradients, input, int64, shift, type Value } from '../graph/index.js';
import { GraphError, Random, ShapeError } from '../util/index.js';
import {
  binomialDevianceLoss,
  contrastiveLoss,
  type MetricLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from './index.js';

type Rows = readonly (readonly number[])[];
/** The same loss by a loop. */
type Naive = (embeddings: Rows, items: readonly number[], semantic: Rows) => number;

const cosine = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const squaredDistance = (a: readonly number[], b: readonly number[]) => Math.max(0, 2 - 2 * cosine(a, b));
const softplus = (x: number) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
const weightedMean = (terms: readonly (readonly [value: number, weight: number])[]) => {
  const total = terms.reduce((sum, [, weight]) => sum + weight, 0);
  return total === 0 ? 0 : terms.reduce((sum, [value, weight]) => sum + value * weight, 0) / total;
};

/** A mean over positive pairs plus a mean over negative ones. */
const overPairs =
  (
    positive: (a: readonly number[], b: readonly number[], g: number) => readonly [number, number],
    negative: (a: readonly number[], b: readonly number[], g: number) => readonly [number, number],
    negativeWeight = 1,
  ): Naive =>
  (embeddings, items, semantic) => {
    const terms: Record<'positive' | 'negative', (readonly [number, number])[]> = {
      positive: [],
      negative: [],
    };
    embeddings.forEach((a, i) => {
      embeddings.forEach((b, j) => {
        if (i === j) return;
        const g = semantic[i]![j]!;
        if (items[i] === items[j]) terms.positive.push(positive(a, b, g));
        else terms.negative.push(negative(a, b, g));
      });
    });
    return weightedMean(terms.positive) + negativeWeight * weightedMean(terms.negative);
  };

const naiveContrastive = (margin: number) =>
  overPairs(
    (a, b) => [squaredDistance(a, b), 1],
    (a, b) => [Math.max(0, margin - Math.sqrt(squaredDistance(a, b) + 1e-12)) ** 2, 1],
  );

const naiveSoft = ({
  alpha = 2,
  beta = 0.5,
  negativeCost = 25,
  negativeWeight = 1,
  positiveLink = 0,
  negativeLink = 0,
  slack = 0,
}) =>
  overPairs(
    (a, b, g) => [softplus(-alpha * (cosine(a, b) - beta)), 1 + positiveLink * (1 - g)],
    (a, b, g) => [softplus(alpha * negativeCost * (cosine(a, b) - beta - slack * g)), 1 + negativeLink * g],
    negativeWeight,
  );

const naiveTriplet =
  (margin: number, mining: 'semi-hard' | 'batch-hard' | 'all'): Naive =>
  (embeddings, items) => {
    const terms: (readonly [number, number])[] = [];
    embeddings.forEach((anchor, a) => {
      const ofAnchor: { positive: number; negative: number }[] = [];
      embeddings.forEach((positive, p) => {
        if (p === a || items[p] !== items[a]) return;
        embeddings.forEach((negative, n) => {
          if (items[n] === items[a]) return;
          ofAnchor.push({
            positive: squaredDistance(anchor, positive),
            negative: squaredDistance(anchor, negative),
          });
        });
      });
      if (mining === 'batch-hard') {
        if (ofAnchor.length === 0) return;
        const farthest = Math.max(...ofAnchor.map(({ positive }) => positive));
        const nearest = Math.min(...ofAnchor.map(({ negative }) => negative));
        terms.push([Math.max(0, farthest - nearest + margin), 1]);
        return;
      }
      for (const { positive, negative } of ofAnchor) {
        const isKept = mining === 'all' || (positive < negative && negative < positive + margin);
        if (isKept) terms.push([Math.max(0, positive - negative + margin), 1]);
      }
    });
    return weightedMean(terms);
  };

const SOFT_OPTIONS = [
  { negativeLink: 1 },
  { negativeLink: 0, positiveLink: 2 },
  { negativeLink: 0, slack: 0.3 },
  {
    negativeLink: 1.5,
    positiveLink: 0.5,
    slack: 0.2,
    negativeWeight: 2,
    alpha: 3,
    beta: 0.4,
    negativeCost: 10,
  },
];

const LOSSES: readonly (readonly [name: string, loss: MetricLoss, naive: Naive])[] = [
  ['contrastive', contrastiveLoss(), naiveContrastive(1)],
  ['contrastive, margin 1.6', contrastiveLoss({ margin: 1.6 }), naiveContrastive(1.6)],
  ['triplet, all', tripletLoss({ mining: 'all', margin: 0.3 }), naiveTriplet(0.3, 'all')],
  ['triplet, semi-hard', tripletLoss(), naiveTriplet(0.2, 'semi-hard')],
  ['triplet, semi-hard, margin 1', tripletLoss({ margin: 1 }), naiveTriplet(1, 'semi-hard')],
  ['triplet, batch-hard', tripletLoss({ mining: 'batch-hard' }), naiveTriplet(0.2, 'batch-hard')],
  ['binomial deviance', binomialDevianceLoss(), naiveSoft({})],
  [
    'binomial deviance, all options',
    binomialDevianceLoss({ alpha: 1.5, beta: 0.3, negativeCost: 8, negativeWeight: 3 }),
    naiveSoft({ alpha: 1.5, beta: 0.3, negativeCost: 8, negativeWeight: 3 }),
  ],
  ['soft-binomial deviance, defaults', softBinomialDevianceLoss(), naiveSoft({ negativeLink: 1 })],
  ...SOFT_OPTIONS.map(
    (options) =>
      [
        `soft-binomial deviance ${JSON.stringify(options)}`,
        softBinomialDevianceLoss(options),
        naiveSoft(options),
      ] as const,
  ),
];

interface Batch {
  readonly embeddings: Rows;
  readonly items: readonly number[];
  readonly semantic: Rows;
}

const angles = (degrees: readonly number[]): Rows =>
  degrees.map((angle) => [
    Math.fround(Math.cos((angle * Math.PI) / 180)),
    Math.fround(Math.sin((angle * Math.PI) / 180)),
  ]);

function semanticOf(count: number, random: Random): Rows {
  const g = Array.from({ length: count }, () => new Array<number>(count).fill(1));
  for (let i = 0; i < count; i++)
    for (let j = 0; j < i; j++) g[i]![j] = g[j]![i] = Math.fround(random.uniform());
  return g;
}

function randomBatch(items: readonly number[], dimension: number, seed: number): Batch {
  const random = Random.from(seed);
  const embeddings = items.map(() => {
    const row = Array.from({ length: dimension }, () => random.normal());
    const length = Math.hypot(...row);
    return row.map((x) => Math.fround(x / length));
  });
  return { embeddings, items, semantic: semanticOf(items.length, random) };
}

const onCircle = (degrees: readonly number[], items: readonly number[]): Batch => ({
  embeddings: angles(degrees),
  items,
  semantic: semanticOf(items.length, Random.from(5)),
});

async function evaluate(loss: MetricLoss, { embeddings, items, semantic }: Batch) {
  const count = embeddings.length;
  const dimension = embeddings[0]!.length;
  const x = input('embeddings', 'float32', [count, dimension]);
  const value = loss({
    embeddings: x,
    itemIds: int64(items),
    semanticSimilarity: constant(semantic.flat(), [count, count]),
  });
  const gradient = gradients(value, [x])[0] as Value;
  // One added to the loss keeps a loss that is constant from being an output without a node.
  const { shifted, dx } = await runValues(
    [x],
    { shifted: shift(value, 0), dx: gradient },
    { embeddings: embeddings.flat() },
  );
  return { loss: shifted?.[0] ?? Number.NaN, gradient: dx ?? [] };
}

describe.each(LOSSES)('%s', (_, loss, naive) => {
  it.each([
    ['a handful on a circle', onCircle([0, 20, 95, 140, 260], [1, 1, 2, 2, 3])],
    ['close items on a circle', onCircle([0, 31, 20, 44, 63, 75], [4, 4, 9, 9, 9, 4])],
    ['random, seed 1', randomBatch([0, 0, 0, 1, 1, 1, 2, 2, 2], 4, 1)],
    ['random, ids out of order and large, seed 2', randomBatch([7, 1e9, 7, 3, 1e9, 3, 8, 7], 3, 2)],
  ])('value and gradient as a loop: %s', async (_name, batch) => {
    const { items, semantic, embeddings } = batch;
    const dimension = embeddings[0]!.length;
    const f = (flat: readonly number[]) =>
      naive(
        items.map((_item, i) => flat.slice(i * dimension, (i + 1) * dimension)),
        items,
        semantic,
      );
    const got = await evaluate(loss, batch);
    expectNear([got.loss], [f(embeddings.flat())]);
    expectNear(got.gradient, centralDifferences(f, embeddings.flat(), 1e-6), 1e-4, 'gradient');
  });

  it.each([
    ['no positive pair', onCircle([0, 50, 100], [1, 2, 3])],
    ['no negative pair', onCircle([0, 50, 100], [1, 1, 1])],
    ['one picture', onCircle([30], [1])],
  ])('%s: the part that has none is 0', async (_name, batch) => {
    const { loss: value, gradient } = await evaluate(loss, batch);
    expectNear([value], [naive(batch.embeddings, batch.items, batch.semantic)]);
    expect(gradient.every(Number.isFinite)).toBe(true);
    if (batch.items.length === 1) {
      expect(value).toBe(0);
      expect(gradient.map(Math.abs)).toEqual([0, 0]);
    }
  });

  it.each([
    ['all embeddings identical', onCircle([40, 40, 40, 40], [1, 1, 2, 2])],
    ['cosines of exactly 1 and −1', onCircle([0, 0, 180, 180], [1, 2, 1, 2])],
    [
      'zero embeddings',
      {
        ...onCircle([0, 0, 0], [1, 1, 2]),
        embeddings: [
          [0, 0],
          [0, 0],
          [0, 0],
        ],
      },
    ],
  ])('%s: finite', async (_name, batch) => {
    const { loss: value, gradient } = await evaluate(loss, batch);
    expect(Number.isFinite(value)).toBe(true);
    expect(gradient.every(Number.isFinite), gradient.join()).toBe(true);
  });
});

describe('closed forms', () => {
  const pair = (degrees: readonly number[], items: readonly number[]) => onCircle(degrees, items);
  const ln = (x: number) => Math.log1p(Math.exp(x));

  it.each([
    ['two identical pictures of one item', binomialDevianceLoss(), pair([0, 0], [1, 1]), ln(-1)],
    ['two opposite pictures of one item', binomialDevianceLoss(), pair([0, 180], [1, 1]), ln(3)],
    ['two identical pictures of two items', binomialDevianceLoss(), pair([0, 0], [1, 2]), ln(25)],
    ['two opposite pictures of two items', binomialDevianceLoss(), pair([0, 180], [1, 2]), ln(-75)],
    ['contrastive, identical, one item', contrastiveLoss(), pair([0, 0], [1, 1]), 0],
    ['contrastive, opposite, one item', contrastiveLoss(), pair([0, 180], [1, 1]), 4],
    ['contrastive, identical, two items', contrastiveLoss(), pair([0, 0], [1, 2]), 1],
    ['contrastive, opposite, two items', contrastiveLoss(), pair([0, 180], [1, 2]), 0],
    [
      'triplet, positive opposite, negative identical',
      tripletLoss({ mining: 'all', margin: 0.5 }),
      pair([0, 180, 0], [1, 1, 2]),
      (4.5 + 0.5) / 2,
    ],
    [
      'batch-hard, the same',
      tripletLoss({ mining: 'batch-hard', margin: 0.5 }),
      pair([0, 180, 0], [1, 1, 2]),
      (4.5 + 0.5) / 2,
    ],
    ['semi-hard keeps none of these', tripletLoss({ margin: 0.5 }), pair([0, 180, 0], [1, 1, 2]), 0],
  ] as const)('%s', async (_name, loss, batch, expected) => {
    expectNear([(await evaluate(loss, batch)).loss], [expected]);
  });
});

describe('soft-binomial deviance', () => {
  const off = { positiveLink: 0, negativeLink: 0, slack: 0 };

  it.each([1, 2, 3])('with all knobs at zero is binomial deviance to the last bit, seed %i', async (seed) => {
    const batch = randomBatch([0, 0, 1, 1, 2, 2, 3, 3], 6, seed);
    const constants = { alpha: 1.7, beta: 0.45, negativeCost: 21, negativeWeight: 1.3 };
    expect(await evaluate(softBinomialDevianceLoss({ ...constants, ...off }), batch)).toEqual(
      await evaluate(binomialDevianceLoss(constants), batch),
    );
  });

  it('needs no semantic similarity then, and asks for one otherwise', () => {
    const inputs = { embeddings: input('e', 'float32', [2, 2]), itemIds: int64([0, 1]) };
    expect(softBinomialDevianceLoss(off)(inputs).shape).toEqual([]);
    for (const knob of ['positiveLink', 'negativeLink', 'slack'] as const) {
      const build = () => softBinomialDevianceLoss({ ...off, [knob]: 0.1 })(inputs);
      expect(build).toThrow(GraphError);
      expect(build).toThrow(/a semantic similarity is required, got none/);
    }
  });

  it('refuses a similarity that would be broadcast', () => {
    const inputs = { embeddings: input('e', 'float32', [2, 2]), itemIds: int64([0, 1]) };
    expect(() =>
      softBinomialDevianceLoss()({ ...inputs, semanticSimilarity: constant([1, 1], [2, 1]) }),
    ).toThrow('softBinomialDevianceLoss: semantic similarity must have shape [B, B] = [2, 2], got [2, 1].');
  });

  it('gives a pair of weight u its share: equal weights change nothing', async () => {
    const batch = randomBatch([0, 0, 1, 1], 3, 4);
    const even = { ...batch, semantic: batch.semantic.map((row) => row.map(() => 0.25)) };
    const plain = await evaluate(binomialDevianceLoss(), even);
    const weighted = await evaluate(softBinomialDevianceLoss({ positiveLink: 3, negativeLink: 2 }), even);
    expectNear([weighted.loss], [plain.loss]);
    expectNear(weighted.gradient, plain.gradient);
  });
});

describe('shapes that do not fit', () => {
  it.each([
    ['binomialDevianceLoss', binomialDevianceLoss()],
    ['softBinomialDevianceLoss', softBinomialDevianceLoss()],
    ['contrastiveLoss', contrastiveLoss()],
    ['tripletLoss', tripletLoss()],
  ])('%s says what it got', (name, loss) => {
    const embeddings = input('e', 'float32', [3, 2]);
    expect(() => loss({ embeddings, itemIds: int64([0, 1]) })).toThrow(ShapeError);
    expect(() => loss({ embeddings, itemIds: int64([0, 1]) })).toThrow(
      `${name}: item ids must have shape [B] = [3], got [2].`,
    );
    const flat = input('e', 'float32', [3]);
    expect(() => loss({ embeddings: flat, itemIds: int64([0, 1, 2]) })).toThrow(
      `${name}: embeddings must have shape [B, D], got [3].`,
    );
  });
});
