/**
 * Losses on proxies against naive loops in float64 and closed forms.
 */
import { describe, expect, it } from 'vitest';
import { centralDifferences, expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { gradients, input, int64, type Value } from '../graph/index.js';
import { GraphError, Random, ShapeError } from '../util/index.js';
import { type MetricLoss, normalizedSoftmaxLoss, proxyAnchorLoss } from './index.js';

type Rows = readonly (readonly number[])[];
/** The same loss by a loop. */
type Naive = (embeddings: Rows, items: readonly number[], proxies: Rows) => number;

const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, x, i) => sum + x * b[i]!, 0);
const toProxy = (embedding: readonly number[], proxy: readonly number[]) =>
  dot(embedding, proxy) / Math.sqrt(dot(proxy, proxy) + 1e-12);
const mean = (values: readonly number[]) =>
  values.length === 0 ? 0 : values.reduce((sum, x) => sum + x, 0) / values.length;

const naiveSoftmax =
  (temperature: number, labelSmoothing: number): Naive =>
  (embeddings, items, proxies) =>
    mean(
      embeddings.map((embedding, i) => {
        const logits = proxies.map((proxy) => toProxy(embedding, proxy) / temperature);
        const total = Math.log(logits.reduce((sum, z) => sum + Math.exp(z), 0));
        return logits.reduce((loss, z, c) => {
          const target = (c === items[i] ? 1 - labelSmoothing : 0) + labelSmoothing / proxies.length;
          return loss - target * (z - total);
        }, 0);
      }),
    );

const naiveAnchor =
  (alpha: number, margin: number): Naive =>
  (embeddings, items, proxies) => {
    const positive: number[] = [];
    const negative: number[] = [];
    proxies.forEach((proxy, c) => {
      let own = 0;
      let others = 0;
      embeddings.forEach((embedding, i) => {
        const s = toProxy(embedding, proxy);
        if (items[i] === c) own += Math.exp(-alpha * (s - margin));
        else others += Math.exp(alpha * (s + margin));
      });
      if (items.includes(c)) positive.push(Math.log(1 + own));
      negative.push(Math.log(1 + others));
    });
    return mean(positive) + mean(negative);
  };

const LOSSES: readonly (readonly [name: string, loss: MetricLoss, naive: Naive])[] = [
  ['normalised softmax', normalizedSoftmaxLoss(), naiveSoftmax(0.05, 0)],
  [
    'normalised softmax, smoothed labels',
    normalizedSoftmaxLoss({ temperature: 0.3, labelSmoothing: 0.2 }),
    naiveSoftmax(0.3, 0.2),
  ],
  ['proxy-anchor', proxyAnchorLoss(), naiveAnchor(32, 0.1)],
  ['proxy-anchor, other constants', proxyAnchorLoss({ alpha: 5, margin: 0.3 }), naiveAnchor(5, 0.3)],
];

interface Batch {
  readonly embeddings: Rows;
  readonly items: readonly number[];
  readonly proxies: Rows;
}

function drawn(items: readonly number[], classes: number, dimension: number, seed: number): Batch {
  const random = Random.from(seed);
  const row = () => Array.from({ length: dimension }, () => Math.fround(random.normal()));
  const unit = (x: readonly number[]) => x.map((value) => Math.fround(value / Math.hypot(...x)));
  return {
    items,
    embeddings: items.map(() => unit(row())),
    proxies: Array.from({ length: classes }, row),
  };
}

async function evaluate(loss: MetricLoss, { embeddings, items, proxies }: Batch) {
  const x = input('embeddings', 'float32', [embeddings.length, embeddings[0]!.length]);
  const p = input('proxies', 'float32', [proxies.length, proxies[0]!.length]);
  const y = loss({ embeddings: x, itemIds: int64(items), proxies: p });
  const [dx, dp] = gradients(y, [x, p]) as [Value, Value];
  const results = await runValues(
    [x, p],
    { y, dx, dp },
    { embeddings: embeddings.flat(), proxies: proxies.flat() },
  );
  return { loss: results.y?.[0] ?? Number.NaN, dx: results.dx ?? [], dp: results.dp ?? [] };
}

const rowsOf = (flat: readonly number[], width: number): Rows =>
  Array.from({ length: flat.length / width }, (_, i) => flat.slice(i * width, (i + 1) * width));

describe.each(LOSSES)('%s', (_, loss, naive) => {
  it.each([
    ['every class in the batch', drawn([0, 0, 1, 1, 2, 2], 3, 4, 1)],
    ['few of many classes', drawn([5, 1, 5, 1, 0], 9, 3, 2)],
    ['one picture a class', drawn([2, 0, 1], 3, 2, 3)],
    ['one class', drawn([0, 0], 1, 3, 4)],
    ['one picture', drawn([1], 2, 3, 5)],
  ])('value and gradients as a loop: %s', async (_name, batch) => {
    const { embeddings, items, proxies } = batch;
    const width = embeddings[0]!.length;
    const got = await evaluate(loss, batch);
    expectNear([got.loss], [naive(embeddings, items, proxies)]);
    const byEmbedding = (flat: readonly number[]) => naive(rowsOf(flat, width), items, proxies);
    expectNear(got.dx, centralDifferences(byEmbedding, embeddings.flat(), 1e-6), 1e-4, 'by embeddings');
    const byProxy = (flat: readonly number[]) => naive(embeddings, items, rowsOf(flat, width));
    expectNear(got.dp, centralDifferences(byProxy, proxies.flat(), 1e-6), 1e-4, 'by proxies');
  });

  it.each([
    [
      'identical embeddings',
      {
        ...drawn([0, 1, 2], 3, 2, 6),
        embeddings: [
          [1, 0],
          [1, 0],
          [1, 0],
        ],
      },
    ],
    [
      'embeddings on the wrong proxies',
      {
        items: [0, 1],
        embeddings: [
          [0, 1],
          [1, 0],
        ],
        proxies: [
          [1, 0],
          [0, 1],
        ],
      },
    ],
    [
      'proxies and embeddings of zeros',
      {
        items: [0, 1],
        embeddings: [
          [0, 0],
          [0, 0],
        ],
        proxies: [
          [0, 0],
          [0, 0],
        ],
      },
    ],
  ])('%s: finite', async (_name, batch) => {
    const { loss: value, dx, dp } = await evaluate(loss, batch);
    expect([value, ...dx, ...dp].every(Number.isFinite), [value, ...dx, ...dp].join()).toBe(true);
  });

  it('says what it needs', () => {
    const embeddings = input('e', 'float32', [2, 3]);
    const itemIds = int64([0, 1]);
    expect(() => loss({ embeddings, itemIds })).toThrow(GraphError);
    expect(() => loss({ embeddings, itemIds })).toThrow(/Loss: proxies are required, got none\./);
    const proxies = input('p', 'float32', [5, 4]);
    expect(() => loss({ embeddings, itemIds, proxies })).toThrow(ShapeError);
    expect(() => loss({ embeddings, itemIds, proxies })).toThrow(
      /proxies must have shape \[C, D\] = \[C, 3\], got \[5, 4\]\./,
    );
  });
});

it('the normalised softmax of C equal proxies is log C', async () => {
  const batch = {
    items: [0, 3],
    embeddings: [
      [0.6, 0.8],
      [1, 0],
    ],
    proxies: [
      [2, 1],
      [2, 1],
      [2, 1],
      [2, 1],
    ],
  };
  expectNear([(await evaluate(normalizedSoftmaxLoss(), batch)).loss], [Math.log(4)]);
});

it('a steepness at which e^(αs) overflows float32 gives the hinge that it tends to', async () => {
  const batch = {
    items: [0],
    embeddings: [[0, 1]],
    proxies: [
      [1, 0],
      [0, 1],
    ],
  };
  const { loss, dx } = await evaluate(proxyAnchorLoss({ alpha: 1000, margin: 0.1 }), batch);
  // own: α(0.1 − 0); other, the mean over two proxies: α(1 + 0.1) / 2
  expectNear([loss / 1000], [0.1 + 0.55]);
  expectNear(dx, [-1000, 500]);
});
