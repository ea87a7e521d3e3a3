import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { embeddingMap } from './embedding-map.js';

/** Three tight bundles of directions. */
function bundles(perBundle: number, dimension: number): Float32Array {
  const random = Random.from(3);
  const centres = Array.from({ length: 3 }, () => Array.from({ length: dimension }, () => random.normal()));
  const rows = centres.flatMap((centre) =>
    Array.from({ length: perBundle }, () => {
      const own = centre.map((value) => value + 0.15 * random.normal());
      const length = Math.hypot(...own);
      return own.map((value) => value / length);
    }),
  );
  return Float32Array.from(rows.flat());
}

describe('embeddingMap', () => {
  const embeddings = bundles(30, 8);
  const map = (seed: number) => embeddingMap(embeddings, 8, { random: Random.from(seed), rounds: 200 });

  it('keeps what is alike together: the nearest place is of the same bundle', async () => {
    const places = await map(1);
    for (let a = 0; a < 90; a++) {
      let nearest = -1;
      let least = Number.POSITIVE_INFINITY;
      for (let b = 0; b < 90; b++) {
        const distance = Math.hypot(places[2 * a]! - places[2 * b]!, places[2 * a + 1]! - places[2 * b + 1]!);
        if (b !== a && distance < least) [nearest, least] = [b, distance];
      }
      expect(Math.floor(nearest / 30)).toBe(Math.floor(a / 30));
    }
  });

  it('fills the unit square along one side, and is the same at the same seed', async () => {
    const places = await map(1);
    const [x, y] = [0, 1].map((axis) => Array.from(places).filter((_, i) => i % 2 === axis)) as [
      number[],
      number[],
    ];
    for (const value of [...x, ...y]) {
      expect(value).toBeGreaterThanOrEqual(-1e-6);
      expect(value).toBeLessThanOrEqual(1 + 1e-6);
    }
    const spread = (values: number[]) => Math.max(...values) - Math.min(...values);
    expect(Math.max(spread(x), spread(y))).toBeCloseTo(1, 5);
    expect(await map(1)).toEqual(places);
    expect(await map(2)).not.toEqual(places);
  });

  it('stops when it is asked to, and refuses less than three', async () => {
    const signal = AbortSignal.abort(new Error('enough'));
    await expect(embeddingMap(embeddings, 8, { random: Random.from(1), signal })).rejects.toThrow('enough');
    await expect(embeddingMap(new Float32Array(16), 8, { random: Random.from(1) })).rejects.toThrow(
      'at least 3 rows, got 2',
    );
  });

  it('makes a map of three', async () => {
    const places = await embeddingMap(embeddings.slice(0, 24), 8, { random: Random.from(1), rounds: 10 });
    expect(places).toHaveLength(6);
    for (const value of places) expect(value).toBeTypeOf('number');
    expect(Array.from(places).every(Number.isFinite)).toBe(true);
  });
});
