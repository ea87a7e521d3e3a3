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
  multiSimilarityLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from './index.js';

type Rows = readonly (readonly number[])[];
/** The same loss by a loop. The first `anchors` embeddings (default: all) are the batch, the others the memory. */
type Naive = (embeddings: Rows, items: readonly number[], semantic: Rows, anchors?: number) => number;

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
  (embeddings, items, semantic, anchors = items.length) => {
    const terms: Record<'positive' | 'negative', (readonly [number, number])[]> = {
      positive: [],
      negative: [],
    };
    embeddings.slice(0, anchors).forEach((a, i) => {
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

interface SoftOptions {
  alpha?: number;
  beta?: number;
  negativeCost?: number;
  negativeWeight?: number;
  positiveLink?: number;
  negativeLink?: number;
  slack?: number;
  attraction?: number;
  aggregation?: 'pairs' | 'anchors' | 'log-sum-exp';
}

/** One side of soft-binomial deviance: `logit` and `weight` of each pair, anchor by anchor. */
function aggregated(
  anchors: readonly (readonly (readonly [number, number])[])[],
  aggregation: string,
): number {
  const deviances = (pairs: readonly (readonly [number, number])[]) =>
    pairs.map(([logit, weight]) => [softplus(logit), weight] as const);
  const withPairs = anchors.filter((pairs) => pairs.length > 0);
  if (aggregation === 'pairs') return weightedMean(deviances(anchors.flat()));
  if (aggregation === 'anchors')
    return weightedMean(withPairs.map((pairs) => [weightedMean(deviances(pairs)), 1] as const));
  return weightedMean(
    withPairs.map((pairs) => {
      const sum = pairs.reduce((total, [logit, weight]) => total + weight * Math.exp(logit), 0);
      return [Math.log1p(sum), 1] as const;
    }),
  );
}

const naiveSoft = ({
  alpha = 2,
  beta = 0.5,
  negativeCost = 25,
  negativeWeight = 1,
  positiveLink = 0,
  negativeLink = 0,
  slack = 0,
  attraction = 0,
  aggregation = 'pairs',
}: SoftOptions): Naive => {
  const isNormalised = aggregation === 'log-sum-exp';
  return (embeddings, items, semantic, anchors = items.length) => {
    const positives: [number, number][][] = [];
    const negatives: [number, number][][] = [];
    const drawn: [number, number][] = [];
    embeddings.slice(0, anchors).forEach((a, i) => {
      positives.push([]);
      negatives.push([]);
      embeddings.forEach((b, j) => {
        if (i === j) return;
        const g = semantic[i]![j]!;
        const s = cosine(a, b) - beta;
        if (items[i] === items[j]) positives[i]!.push([-alpha * s, 1 + positiveLink * (1 - g)]);
        else {
          negatives[i]!.push([alpha * negativeCost * (s - slack * g), 1 + negativeLink * g]);
          drawn.push([softplus(-alpha * s), g]);
        }
      });
    });
    return (
      aggregated(positives, aggregation) / (isNormalised ? alpha : 1) +
      (negativeWeight * aggregated(negatives, aggregation)) / (isNormalised ? alpha * negativeCost : 1) +
      attraction * weightedMean(drawn)
    );
  };
};

const naiveTriplet =
  (margin: number, mining: 'semi-hard' | 'batch-hard' | 'all'): Naive =>
  (embeddings, items, _semantic, anchors = items.length) => {
    const terms: (readonly [number, number])[] = [];
    embeddings.slice(0, anchors).forEach((anchor, a) => {
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

const naiveMultiSimilarity =
  ({ alpha = 2, beta = 50, base = 0.5, mining = true, epsilon = 0.1 }): Naive =>
  (embeddings, items, _semantic, anchors = items.length) => {
    const ofAnchor = embeddings.slice(0, anchors).map((anchor, i) => {
      const others = embeddings.flatMap((other, j) =>
        i === j ? [] : [{ s: cosine(anchor, other), isSame: items[i] === items[j] }],
      );
      let positives = others.filter(({ isSame }) => isSame).map(({ s }) => s);
      let negatives = others.filter(({ isSame }) => !isSame).map(({ s }) => s);
      if (mining) {
        if (positives.length === 0 || negatives.length === 0) return 0;
        const [farthest, nearest] = [Math.min(...positives), Math.max(...negatives)];
        negatives = negatives.filter((s) => s > farthest - epsilon);
        positives = positives.filter((s) => s < nearest + epsilon);
      }
      const sum = (values: readonly number[], slope: number) =>
        values.reduce((total, s) => total + Math.exp(slope * (s - base)), 0);
      return Math.log(1 + sum(positives, -alpha)) / alpha + Math.log(1 + sum(negatives, beta)) / beta;
    });
    return ofAnchor.reduce((total, x) => total + x, 0) / anchors;
  };

const SOFT_OPTIONS: readonly SoftOptions[] = [
  { negativeLink: 1, slack: 0, aggregation: 'anchors' },
  { negativeLink: 0, slack: 0, aggregation: 'log-sum-exp' },
  { negativeLink: 2, positiveLink: 1, slack: 0.2, aggregation: 'log-sum-exp', negativeWeight: 0.5 },
  { negativeLink: 0, slack: 0, attraction: 0.4, aggregation: 'pairs' },
  { negativeLink: 1, slack: 0, aggregation: 'pairs' },
  { negativeLink: 0, positiveLink: 2, slack: 0, aggregation: 'pairs' },
  { negativeLink: 0, slack: 0.3, aggregation: 'pairs' },
  {
    negativeLink: 1.5,
    positiveLink: 0.5,
    slack: 0.2,
    negativeWeight: 2,
    alpha: 3,
    beta: 0.4,
    negativeCost: 10,
    aggregation: 'pairs',
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
  ['multi-similarity', multiSimilarityLoss(), naiveMultiSimilarity({})],
  [
    'multi-similarity, all pairs',
    multiSimilarityLoss({ mining: false }),
    naiveMultiSimilarity({ mining: false }),
  ],
  [
    'multi-similarity, all options',
    multiSimilarityLoss({ alpha: 3, beta: 20, base: 0.2, epsilon: 0.4 }),
    naiveMultiSimilarity({ alpha: 3, beta: 20, base: 0.2, epsilon: 0.4 }),
  ],
  [
    'soft-binomial deviance, defaults',
    softBinomialDevianceLoss(),
    naiveSoft({ negativeLink: 1, slack: 0.15, aggregation: 'log-sum-exp' }),
  ],
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

interface Memory {
  readonly embeddings: Rows;
  readonly items: readonly number[];
  readonly isFilled: readonly number[];
}

async function evaluate(loss: MetricLoss, { embeddings, items, semantic }: Batch, memory?: Memory) {
  const count = embeddings.length;
  const dimension = embeddings[0]!.length;
  const x = input('embeddings', 'float32', [count, dimension]);
  const value = loss({
    embeddings: x,
    itemIds: int64(items),
    semanticSimilarity: constant(semantic.flat(), [count, semantic[0]!.length]),
    ...(memory === undefined
      ? {}
      : {
          memory: {
            embeddings: constant(memory.embeddings.flat(), [memory.items.length, dimension]),
            itemIds: int64(memory.items),
            isFilled: constant(memory.isFilled, [memory.items.length]),
          },
        }),
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

describe.each(LOSSES)('%s with a memory', (_, loss, naive) => {
  it.each([
    ['some rows empty', [1, 1, 0, 1, 0, 1, 1]],
    ['all rows full', [1, 1, 1, 1, 1, 1, 1]],
    ['all rows empty', [0, 0, 0, 0, 0, 0, 0]],
  ])('as a loop over batch and memory: %s', async (_name, isFilled) => {
    const items = [0, 0, 1, 1, 2, 7];
    const memory = { ...randomBatch([1, 7, 0, 5, 2, 5, 7], 3, 12), isFilled };
    const count = items.length + memory.items.length;
    const batch = { ...randomBatch(items, 3, 11), semantic: semanticOf(count, Random.from(13)).slice(0, 6) };
    const columns = [...items, ...memory.items].flatMap((_item, j) =>
      j < items.length || isFilled[j - items.length] === 1 ? [j] : [],
    );
    const kept = <T>(values: readonly T[]) => columns.map((j) => values[j]!);
    const f = (flat: readonly number[]) =>
      naive(
        kept([...items.map((_item, i) => flat.slice(3 * i, 3 * i + 3)), ...memory.embeddings]),
        kept([...items, ...memory.items]),
        batch.semantic.map(kept),
        items.length,
      );
    const got = await evaluate(loss, batch, memory);
    const at = batch.embeddings.flat();
    expectNear([got.loss], [f(at)]);
    expectNear(got.gradient, centralDifferences(f, at, 1e-6), 1e-4, 'gradient');
    if (!isFilled.includes(1)) {
      const alone = { ...batch, semantic: batch.semantic.map((row) => row.slice(0, 6)) };
      const without = await evaluate(loss, alone);
      expectNear([got.loss], [without.loss], 1e-6);
      expectNear(got.gradient, without.gradient, 1e-6);
    }
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
    [
      'multi-similarity without mining, identical, one item',
      multiSimilarityLoss({ mining: false }),
      pair([0, 0], [1, 1]),
      Math.log1p(Math.exp(-1)) / 2,
    ],
    ['multi-similarity mines no anchor without negatives', multiSimilarityLoss(), pair([0, 0], [1, 1]), 0],
    ['semi-hard keeps none of these', tripletLoss({ margin: 0.5 }), pair([0, 180, 0], [1, 1, 2]), 0],
  ] as const)('%s', async (_name, loss, batch, expected) => {
    expectNear([(await evaluate(loss, batch)).loss], [expected]);
  });
});

describe('soft-binomial deviance', () => {
  const off = { positiveLink: 0, negativeLink: 0, slack: 0, aggregation: 'pairs' } as const;

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
    for (const knob of ['positiveLink', 'negativeLink', 'slack', 'attraction'] as const) {
      const build = () => softBinomialDevianceLoss({ ...off, [knob]: 0.1 })(inputs);
      expect(build).toThrow(GraphError);
      expect(build).toThrow(/a semantic similarity is required, got none/);
    }
  });

  it('refuses a similarity that would be broadcast', () => {
    const inputs = { embeddings: input('e', 'float32', [2, 2]), itemIds: int64([0, 1]) };
    expect(() =>
      softBinomialDevianceLoss()({ ...inputs, semanticSimilarity: constant([1, 1], [2, 1]) }),
    ).toThrow('softBinomialDevianceLoss: semantic similarity must have shape [B, N] = [2, 2], got [2, 1].');
  });

  it('gives a pair of weight u its share: equal weights change nothing', async () => {
    const batch = randomBatch([0, 0, 1, 1], 3, 4);
    const even = { ...batch, semantic: batch.semantic.map((row) => row.map(() => 0.25)) };
    const plain = await evaluate(binomialDevianceLoss(), even);
    const weighted = await evaluate(
      softBinomialDevianceLoss({ positiveLink: 3, negativeLink: 2, slack: 0, aggregation: 'pairs' }),
      even,
    );
    expectNear([weighted.loss], [plain.loss]);
    expectNear(weighted.gradient, plain.gradient);
  });
});

it('triplets that would not fit into memory are refused when the graph is built', () => {
  const inputs = {
    embeddings: input('e', 'float32', [128, 2]),
    itemIds: int64(Array.from({ length: 128 }, (_, i) => i)),
    memory: {
      embeddings: input('m', 'float32', [8192, 2]),
      itemIds: input('i', 'int64', [8192]),
      isFilled: input('f', 'float32', [8192]),
    },
  };
  expect(() => tripletLoss()(inputs)).toThrow(GraphError);
  expect(() => tripletLoss()(inputs)).toThrow(/got 128·8320² of .*\. Set loss\.mining to 'batch-hard'/);
  expect(tripletLoss({ mining: 'batch-hard' })(inputs).shape).toEqual([]);
});

describe('shapes that do not fit', () => {
  it.each([
    ['binomialDevianceLoss', binomialDevianceLoss()],
    ['softBinomialDevianceLoss', softBinomialDevianceLoss()],
    ['contrastiveLoss', contrastiveLoss()],
    ['tripletLoss', tripletLoss()],
    ['multiSimilarityLoss', multiSimilarityLoss()],
  ])('%s says what it got', (name, loss) => {
    const embeddings = input('e', 'float32', [3, 2]);
    expect(() => loss({ embeddings, itemIds: int64([0, 1]) })).toThrow(ShapeError);
    expect(() => loss({ embeddings, itemIds: int64([0, 1]) })).toThrow(
      `${name}: item ids must have shape [B] = [3], got [2].`,
    );
    const flat = input('e', 'float32', [3]);
    const memory = { embeddings, itemIds: int64([0, 1]), isFilled: constant([1, 1, 1], [3]) };
    expect(() => loss({ embeddings, itemIds: int64([0, 1, 2]), memory })).toThrow(
      `${name}: the memory's item ids must have shape [M] = [3], got [2].`,
    );
    expect(() => loss({ embeddings: flat, itemIds: int64([0, 1, 2]) })).toThrow(
      `${name}: embeddings must have shape [B, D], got [3].`,
    );
  });
});
