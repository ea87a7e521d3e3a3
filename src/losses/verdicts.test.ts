/**
 * Verdicts on single pairs in losses over pairs: against a naive loop in float64, and against other item ids.
 */
import { describe, expect, it } from 'vitest';
import { centralDifferences, expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { constant, gradients, greater, input, int64 } from '../graph/index.js';
import { Random, ShapeError } from '../util/index.js';
import {
  binomialDevianceLoss,
  boostedEnsembleLoss,
  contrastiveLoss,
  type MetricLoss,
  multiSimilarityLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from './index.js';

const DIMENSION = 4;
const ITEMS = [0, 0, 1, 1, 2, 2, 3];
const COUNT = ITEMS.length;

type Relation = 'positive' | 'negative' | 'neither' | 'as labels';

/** What is said of the unordered pairs i > j; nothing of the others. */
type Said = ReadonlyMap<string, Relation>;

const saidOf = (said: Said, i: number, j: number): Relation =>
  said.get(`${Math.max(i, j)} ${Math.min(i, j)}`) ?? 'as labels';

function masks(said: Said) {
  const all = Array.from({ length: COUNT * COUNT }, (_, at) =>
    saidOf(said, Math.floor(at / COUNT), at % COUNT),
  );
  return {
    judged: all.map((relation) => Number(relation !== 'as labels')),
    positive: all.map((relation) => Number(relation === 'positive')),
    negative: all.map((relation) => Number(relation === 'negative')),
  };
}

interface Batch {
  readonly embeddings: readonly number[];
  /** g of all pairs, [B·B] */
  readonly semantic: readonly number[];
}

function drawn(seed: number): Batch {
  const random = Random.from(seed);
  const embeddings = Array.from({ length: COUNT }, () => {
    const row = Array.from({ length: DIMENSION }, () => random.normal());
    const length = Math.hypot(...row);
    return row.map((x) => Math.fround(x / length));
  }).flat();
  const semantic = new Array<number>(COUNT * COUNT).fill(1);
  for (let i = 0; i < COUNT; i++)
    for (let j = 0; j < i; j++)
      semantic[i * COUNT + j] = semantic[j * COUNT + i] = Math.fround(random.uniform());
  return { embeddings, semantic };
}

async function evaluate(loss: MetricLoss, batch: Batch, items: readonly number[], said?: Said) {
  const square = [COUNT, COUNT];
  const embeddings = input('embeddings', 'float32', [COUNT, DIMENSION]);
  const semantic = input('semantic', 'float32', square);
  const judged = input('judged', 'float32', square);
  const positive = input('positive', 'float32', square);
  const negative = input('negative', 'float32', square);
  const value = loss({
    embeddings,
    itemIds: int64(items),
    semanticSimilarity: semantic,
    ...(said === undefined
      ? {}
      : { verdicts: { isJudged: greater(judged, constant(0.5, [])), positive, negative } }),
  });
  const [gradient] = gradients(value, [embeddings]);
  const inputs = [embeddings, semantic, ...(said === undefined ? [] : [judged, positive, negative])];
  const numbers = { ...batch, ...(said === undefined ? {} : masks(said)) };
  const results = await runValues(inputs, { value, gradient: gradient! }, numbers);
  return { value: results.value![0]!, gradient: results.gradient! };
}

const softplus = (x: number) => (x > 0 ? x + Math.log1p(Math.exp(-x)) : Math.log1p(Math.exp(x)));
const mean = (numbers: readonly number[]) =>
  numbers.length === 0 ? 0 : numbers.reduce((sum, x) => sum + x, 0) / numbers.length;

/** The pairs of an anchor i by what they count as, with their cosine and g (0 where somebody judged). */
function pairsOf(embeddings: readonly number[], semantic: readonly number[], said: Said, i: number) {
  const row = (at: number) => embeddings.slice(at * DIMENSION, (at + 1) * DIMENSION);
  const pairs = { positive: [] as [number, number][], negative: [] as [number, number][] };
  for (let j = 0; j < COUNT; j++) {
    if (i === j) continue;
    const cosine = row(i).reduce((sum, x, d) => sum + x * row(j)[d]!, 0);
    const told = saidOf(said, i, j);
    if (told === 'neither') continue;
    const isPositive = told === 'as labels' ? ITEMS[i] === ITEMS[j] : told === 'positive';
    const g = told === 'as labels' ? semantic[i * COUNT + j]! : 0;
    pairs[isPositive ? 'positive' : 'negative'].push([cosine, g]);
  }
  return pairs;
}

const ANCHORS = ITEMS.map((_, i) => i);

const naiveDeviance = (embeddings: readonly number[], semantic: readonly number[], said: Said) => {
  const all = ANCHORS.map((i) => pairsOf(embeddings, semantic, said, i));
  return (
    mean(all.flatMap(({ positive }) => positive.map(([s]) => softplus(-2 * (s - 0.5))))) +
    mean(all.flatMap(({ negative }) => negative.map(([s]) => softplus(50 * (s - 0.5)))))
  );
};

/** The defaults: log-sum-exp, κn = 1, δ = 0.15. */
const naiveSoft = (embeddings: readonly number[], semantic: readonly number[], said: Said) => {
  const all = ANCHORS.map((i) => pairsOf(embeddings, semantic, said, i));
  const positives = all.filter(({ positive }) => positive.length > 0);
  const negatives = all.filter(({ negative }) => negative.length > 0);
  return (
    mean(
      positives.map(({ positive }) =>
        Math.log1p(positive.reduce((sum, [s]) => sum + Math.exp(-2 * (s - 0.5)), 0)),
      ),
    ) /
      2 +
    mean(
      negatives.map(({ negative }) =>
        Math.log1p(negative.reduce((sum, [s, g]) => sum + (1 + g) * Math.exp(50 * (s - 0.5 - 0.15 * g)), 0)),
      ),
    ) /
      50
  );
};

/** Against labels and with them: 0 and 1 are one item, 2 and 4 are two. */
const SAID: Said = new Map<string, Relation>([
  ['4 2', 'positive'],
  ['1 0', 'negative'],
  ['5 0', 'negative'],
  ['6 3', 'neither'],
  ['3 2', 'neither'],
]);

const PAIR_LOSSES: readonly (readonly [string, MetricLoss])[] = [
  ['binomial deviance', binomialDevianceLoss()],
  ['soft-binomial deviance without links', softBinomialDevianceLoss({ negativeLink: 0, slack: 0 })],
  ['contrastive', contrastiveLoss()],
  ['triplet, semi-hard', tripletLoss()],
  ['triplet, batch-hard', tripletLoss({ mining: 'batch-hard' })],
  ['triplet, all', tripletLoss({ mining: 'all' })],
  ['multi-similarity', multiSimilarityLoss()],
  ['boosted ensemble', boostedEnsembleLoss({ sizes: [1, 3] })],
];

describe('verdicts on pairs', () => {
  it.each([1, 2, 3])('binomial deviance: as a loop, with its gradient, seed %i', async (seed) => {
    const batch = drawn(seed);
    const got = await evaluate(binomialDevianceLoss(), batch, ITEMS, SAID);
    const f = (x: readonly number[]) => naiveDeviance(x, batch.semantic, SAID);
    expectNear([got.value], [f(batch.embeddings)]);
    expectNear(got.gradient, centralDifferences(f, batch.embeddings), 1e-4, 'gradient');
  });

  it.each([1, 2, 3])('soft-binomial deviance: as a loop, with its gradient, seed %i', async (seed) => {
    const batch = drawn(seed);
    const got = await evaluate(softBinomialDevianceLoss(), batch, ITEMS, SAID);
    const f = (x: readonly number[]) => naiveSoft(x, batch.semantic, SAID);
    expectNear([got.value], [f(batch.embeddings)]);
    expectNear(got.gradient, centralDifferences(f, batch.embeddings), 1e-4, 'gradient');
  });

  it.each(PAIR_LOSSES)(
    '%s: verdicts that say other items are other item ids, to the bit',
    async (_, loss) => {
      const others = [0, 1, 0, 1, 2, 3, 3];
      const said = new Map<string, Relation>();
      others.forEach((item, i) => {
        for (let j = 0; j < i; j++) {
          const [now, labels] = [item === others[j], ITEMS[i] === ITEMS[j]];
          if (now !== labels) said.set(`${i} ${j}`, now ? 'positive' : 'negative');
        }
      });
      expect(said.size).toBeGreaterThan(5);
      const batch = drawn(5);
      const wanted = await evaluate(loss, batch, others);
      expect(await evaluate(loss, batch, ITEMS, said)).toEqual(wanted);
      expect(await evaluate(loss, batch, ITEMS)).not.toEqual(wanted);
    },
  );

  it.each([...PAIR_LOSSES, ['soft-binomial deviance', softBinomialDevianceLoss()] as const])(
    '%s: where nothing was said it is the loss without verdicts, to the bit',
    async (_, loss) => {
      const batch = drawn(6);
      expect(await evaluate(loss, batch, ITEMS, new Map())).toEqual(await evaluate(loss, batch, ITEMS));
    },
  );

  it('have one shape', () => {
    const embeddings = input('embeddings', 'float32', [COUNT, DIMENSION]);
    const square = constant(new Float32Array(COUNT * COUNT), [COUNT, COUNT]);
    const isJudged = constant(new Uint8Array(COUNT), [COUNT, 1], { dataType: 'bool' });
    expect(() =>
      binomialDevianceLoss()({
        embeddings,
        itemIds: int64(ITEMS),
        verdicts: { isJudged, positive: square, negative: square },
      }),
    ).toThrow(
      new ShapeError('binomialDevianceLoss: verdicts.isJudged must have shape [B, B] = [7, 7], got [7, 1].'),
    );
  });
});
