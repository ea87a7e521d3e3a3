import { describe, expect, it } from 'vitest';
import { evaluatePairs, summariseMethod } from './index.js';

// Five pictures at these angles, worked by hand:
//   twemoji: sun 0°, moon 40°    noto: sun 10°, moon 25°    fluent-flat: sun 5°   fluent-3d: sun 41°, star 90°
const angles = [0, 40, 10, 25, 5, 41, 90];
const embeddings = Float32Array.from(
  angles.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
);
const items = ['sun', 'moon', 'sun', 'moon', 'sun', 'sun', 'star'];
const source = ['twemoji', 'twemoji', 'noto', 'noto', 'fluent-flat', 'fluent-3d', 'fluent-3d'];
const sourceGroup = ['twemoji', 'twemoji', 'noto', 'noto', 'fluent', 'fluent', 'fluent'];
const options = { embeddings, dimension: 2, source, sourceGroup };

describe('evaluatePairs', () => {
  it('asks each source for the items of each other design', async () => {
    const { pairs, meanRecallAt1, recallAt1OfRows } = await evaluatePairs({ ...options, items });
    expect(pairs).toEqual({
      'fluent-3d->noto': { recallAt1: 0, mapAtR: 0, queries: 1 }, // 41° is nearer to moon 25° than to sun 10°
      'fluent-3d->twemoji': { recallAt1: 0, mapAtR: 0, queries: 1 },
      'fluent-flat->noto': { recallAt1: 1, mapAtR: 1, queries: 1 },
      'fluent-flat->twemoji': { recallAt1: 1, mapAtR: 1, queries: 1 },
      'noto->fluent-3d': { recallAt1: 1, mapAtR: 1, queries: 1 }, // only the sun has a fellow there
      'noto->fluent-flat': { recallAt1: 1, mapAtR: 1, queries: 1 },
      'noto->twemoji': { recallAt1: 1, mapAtR: 1, queries: 2 },
      'twemoji->fluent-3d': { recallAt1: 1, mapAtR: 1, queries: 1 },
      'twemoji->fluent-flat': { recallAt1: 1, mapAtR: 1, queries: 1 },
      'twemoji->noto': { recallAt1: 1, mapAtR: 1, queries: 2 },
    });
    expect(meanRecallAt1).toBeCloseTo(0.8, 12);
    // By row: twemoji's sun is found in all three; fluent-3d's sun in none of two; nobody else has the star.
    expect(Array.from(recallAt1OfRows)).toEqual([1, 1, 1, 1, 1, 0, Number.NaN]);
  });

  it('one design makes no pair', async () => {
    const result = await evaluatePairs({ ...options, items, sourceGroup: source.map(() => 'one') });
    expect(result).toMatchObject({ pairs: {}, meanRecallAt1: undefined, meanMapAtR: undefined });
  });

  it('a source in two groups, and too many sources, are errors', async () => {
    const torn = [...sourceGroup.slice(0, 6), 'other'];
    await expect(evaluatePairs({ ...options, items, sourceGroup: torn })).rejects.toThrow(
      /'fluent-3d'.*row 6/,
    );
    const many = Array.from({ length: 33 }, (_, i) => `seller-${i}`);
    const rows = { embeddings: new Float32Array(66), dimension: 2, items: many, source: many };
    await expect(evaluatePairs(rows)).rejects.toThrow(/at most 32 sources, got 33/);
  });
});

describe('summariseMethod', () => {
  const levels = { item_id: items, group: items.map((item) => (item === 'sun' ? 'day' : 'night')) };

  it('with sources: the mean over pairs, and MAP@R with hits of others', async () => {
    const metrics = await summariseMethod({ ...options, levels, recallAt: [10] });
    expect(metrics.recallAt1).toBeCloseTo(0.8, 12);
    expect(Object.keys(metrics.byLevel)).toEqual(['item_id', 'group']);
    expect(metrics.mapAtR).toBe(metrics.byLevel.item_id!.mapAtR);
    expect(metrics.byLevel.item_id).toMatchObject({ recallAt10: 1, queries: 6, skipped: 1 });
    expect(metrics.pairs['twemoji->noto']!.recallAt1).toBe(1);
    expect(JSON.parse(JSON.stringify(metrics))).toEqual(metrics);
  });

  it('without sources, or with one: plain retrieval', async () => {
    const plain = await summariseMethod({ embeddings, dimension: 2, levels });
    expect(plain.pairs).toEqual({});
    expect(plain.recallAt1).toBe(plain.byLevel.item_id!.recallAt1);
    const oneSource = await summariseMethod({
      embeddings,
      dimension: 2,
      levels,
      source: items.map(() => 'a'),
    });
    expect(oneSource).toEqual(plain);
  });
});
