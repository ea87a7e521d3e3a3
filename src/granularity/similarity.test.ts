/**
 * Semantic granularity similarity against a naive loop over pairs and attributes in float64.
 */
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { gradients, input, reduceSum, sigmoid, type Value } from '../graph/index.js';
import { GraphError, Random } from '../util/index.js';
import type { AttributeBlock } from './schema.js';
import {
  type SimilarityMapping,
  type SimilarityOptions,
  type SimilaritySource,
  semanticSimilarity,
} from './similarity.js';

const BLOCKS: readonly AttributeBlock[] = [
  { name: 'colour', kind: 'single', offset: 0, size: 3 },
  { name: 'tags', kind: 'multi', offset: 3, size: 4 },
  { name: 'shape', kind: 'single', offset: 7, size: 2 },
];
const WIDTH = 9;

interface Numbers {
  readonly labels: readonly number[];
  readonly known: readonly number[];
  readonly probabilities: readonly number[];
}

type Form = Omit<SimilarityOptions, 'source' | 'mapping'>;

/** The values of attribute k of every row, centred and weighted by rarity where the form says so. */
function prepared(values: readonly number[], known: readonly number[], k: number, form: Form): number[][] {
  const { offset, size, kind } = BLOCKS[k]!;
  const rows = known.length / BLOCKS.length;
  const blocks = Array.from({ length: rows }, (_, i) =>
    values.slice(i * WIDTH + offset, i * WIDTH + offset + size),
  );
  const isPresent = blocks.map(
    (block, i) => known[i * BLOCKS.length + k] === 1 && block.some((value) => value !== 0),
  );
  const present = blocks.filter((_, i) => isPresent[i]);
  const shares = Array.from({ length: size }, (_, v) =>
    present.length === 0 ? 0 : present.reduce((sum, block) => sum + block[v]!, 0) / present.length,
  );
  return blocks.map((block, i) => {
    if (!isPresent[i]) return [];
    return block.map((value, v) => {
      const isWeighted = form.rarity === true && kind === 'multi';
      const rarity = isWeighted ? Math.sqrt(1 - Math.log(Math.min(1, Math.max(1e-3, shares[v]!)))) : 1;
      return rarity * (value - (form.centred === true ? shares[v]! : 0));
    });
  });
}

/** Cosines of two rows' values of each attribute, averaged over the attributes that both have. */
function similarities(values: readonly number[], known: readonly number[], form: Form): number[] {
  const rows = known.length / BLOCKS.length;
  const blocks = BLOCKS.map((_, k) => prepared(values, known, k, form));
  return Array.from({ length: rows * rows }, (_, index) => {
    const [i, j] = [Math.floor(index / rows), index % rows];
    let sum = 0;
    let weights = 0;
    BLOCKS.forEach(({ name }, k) => {
      const [a, b] = [blocks[k]![i]!, blocks[k]![j]!];
      if (a.length === 0 || b.length === 0) return;
      const weight = form.attributes?.[name] ?? 1;
      const lengths = Math.max(1e-6, Math.hypot(...a)) * Math.max(1e-6, Math.hypot(...b));
      sum += (weight * a.reduce((dot, value, v) => dot + value * b[v]!, 0)) / lengths;
      weights += weight;
    });
    return weights === 0 ? 0 : Math.min(1, Math.max(0, sum / weights));
  });
}

function naive(
  { labels, known, probabilities }: Numbers,
  source: SimilaritySource,
  form: Form = {},
): number[] {
  const always = known.map(() => 1);
  if (source === 'labels') return similarities(labels, known, form);
  const predicted = similarities(probabilities, always, form);
  if (source === 'predicted') return predicted;
  const given = similarities(labels, known, form);
  return predicted.map((value, index) => (value + given[index]!) / 2);
}

async function evaluate(
  numbers: Numbers,
  source: SimilaritySource,
  mapping: SimilarityMapping,
  form: Form = {},
) {
  const count = numbers.labels.length / WIDTH;
  const labels = input('labels', 'float32', [count, WIDTH]);
  const known = input('known', 'float32', [count, BLOCKS.length]);
  const probabilities = input('probabilities', 'float32', [count, WIDTH]);
  const similarity = semanticSimilarity(labels, known, probabilities, BLOCKS, {
    source,
    mapping,
    ...form,
  });
  expect(similarity.shape).toEqual([count, count]);
  const used = source === 'labels' ? [labels, known] : [labels, known, probabilities];
  const given = Object.fromEntries(Object.entries(numbers).slice(0, used.length));
  return (await runValues(used, { similarity }, given)).similarity ?? [];
}

function drawn(count: number, seed: number): Numbers {
  const random = Random.from(seed);
  const labels: number[] = [];
  const known: number[] = [];
  const probabilities = Array.from({ length: count * WIDTH }, () => Math.fround(random.uniform()));
  for (let i = 0; i < count; i++) {
    for (const { kind, size } of BLOCKS) {
      const isKnown = random.integer(4) > 0;
      const chosen = random.integer(size);
      known.push(isKnown ? 1 : 0);
      for (let v = 0; v < size; v++) {
        labels.push(isKnown ? (kind === 'single' ? Number(v === chosen) : random.integer(2)) : 0);
      }
    }
  }
  return { labels, known, probabilities };
}

const identity: SimilarityMapping = { kind: 'identity' };

describe('semanticSimilarity', () => {
  describe.each<SimilaritySource>(['labels', 'predicted', 'blend'])('from %s', (source) => {
    it.each([1, 2, 3])('as a loop, in [0, 1], symmetric, seed %i', async (seed) => {
      const numbers = drawn(7, seed);
      const got = await evaluate(numbers, source, identity);
      expectNear(got, naive(numbers, source));
      got.forEach((value, index) => {
        expect(value).toBeGreaterThanOrEqual(0);
        expect(value).toBeLessThanOrEqual(1);
        expect(value).toBeCloseTo(got[(index % 7) * 7 + Math.floor(index / 7)]!, 6);
      });
    });
  });

  it.each<[string, Form]>([
    ['centred', { centred: true }],
    ['by rarity', { rarity: true }],
    ['with weights', { attributes: { colour: 3, shape: 0.5 } }],
    ['without an attribute', { attributes: { tags: 0 } }],
    ['all at once', { centred: true, rarity: true, attributes: { colour: 2, shape: 0 } }],
  ])('%s, as a loop', async (_, form) => {
    for (const source of ['labels', 'predicted'] as const) {
      const numbers = drawn(9, 5);
      expectNear(await evaluate(numbers, source, identity, form), naive(numbers, source, form), 1e-4);
    }
  });

  it('refuses weights that leave no attribute', async () => {
    await expect(
      evaluate(drawn(3, 6), 'labels', identity, { attributes: { colour: 0, tags: 0, shape: 0 } }),
    ).rejects.toThrow('at least one attribute must weigh over 0');
  });

  it.each<[SimilarityMapping, (g: number) => number]>([
    [{ kind: 'power', exponent: 2 }, (g) => g ** 2],
    [{ kind: 'power', exponent: 0.5 }, (g) => g ** 0.5],
    [{ kind: 'logistic', slope: 8, middle: 0.4 }, (g) => 1 / (1 + Math.exp(-8 * (g - 0.4)))],
  ])('mapped by %j', async (mapping, phi) => {
    const numbers = drawn(6, 4);
    const got = await evaluate(numbers, 'labels', mapping);
    expectNear(got, naive(numbers, 'labels').map(phi), 1e-3);
    expect(got.every((value) => value >= 0 && value <= 1)).toBe(true);
  });

  it('closed forms: equal, disjoint, half, unknown, an empty multi attribute', async () => {
    const rows = [
      // colour, tags, shape
      { labels: [1, 0, 0, 1, 1, 0, 0, 1, 0], known: [1, 1, 1] },
      { labels: [1, 0, 0, 1, 1, 0, 0, 1, 0], known: [1, 1, 1] },
      { labels: [0, 1, 0, 0, 0, 1, 1, 0, 1], known: [1, 1, 1] },
      { labels: [1, 0, 0, 1, 0, 1, 0, 0, 1], known: [1, 1, 1] },
      { labels: [0, 0, 0, 0, 0, 0, 0, 0, 0], known: [0, 0, 0] },
      { labels: [1, 0, 0, 0, 0, 0, 0, 0, 0], known: [1, 1, 0] },
    ];
    const numbers = {
      labels: rows.flatMap(({ labels }) => labels),
      known: rows.flatMap(({ known }) => known),
      probabilities: [],
    };
    const got = await evaluate({ ...numbers, probabilities: numbers.labels }, 'labels', identity);
    expectNear(got.slice(0, 6), [1, 1, 0, (1 + 0.5 + 0) / 3, 0, 1]);
    expectNear(got.slice(24, 30), [0, 0, 0, 0, 0, 0]);
  });

  it('no gradient flows into it', async () => {
    const logits = input('logits', 'float32', [2, WIDTH]);
    const labels = input('labels', 'float32', [2, WIDTH]);
    const known = input('known', 'float32', [2, BLOCKS.length]);
    const similarity = semanticSimilarity(labels, known, sigmoid(logits), BLOCKS, {
      source: 'predicted',
      mapping: identity,
    });
    const gradient = gradients(reduceSum(similarity, 'all'), [logits])[0] as Value;
    const { zero } = await runValues([], { zero: gradient }, {});
    expect(zero).toEqual(new Array(2 * WIDTH).fill(0));
  });

  it.each<SimilaritySource>(['predicted', 'blend'])('%s needs probabilities', (source) => {
    const labels = input('labels', 'float32', [2, WIDTH]);
    const known = input('known', 'float32', [2, BLOCKS.length]);
    const build = () => semanticSimilarity(labels, known, undefined, BLOCKS, { source, mapping: identity });
    expect(build).toThrow(GraphError);
    expect(build).toThrow(`predicted attributes are required for source '${source}', got none`);
  });

  it('needs attributes', () => {
    const none = input('none', 'float32', [2, 0]);
    const build = () =>
      semanticSimilarity(none, none, undefined, [], { source: 'labels', mapping: identity });
    expect(build).toThrow('semanticSimilarity: at least one attribute is required, got none.');
  });
});
