import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { largeEmbeddingMap } from './large-embedding-map.js';

const [GROUPS, PER_GROUP, D] = [4, 50, 8];

/** Four bundles of directions, one after the other by turns. */
function bundles(): Float32Array {
  const random = Random.from(5);
  const centres = Array.from({ length: GROUPS }, () => Array.from({ length: D }, () => random.normal()));
  const rows = Array.from({ length: GROUPS * PER_GROUP }, (_, row) => {
    const own = (centres[row % GROUPS] as number[]).map((value) => value + 0.2 * random.normal());
    const length = Math.hypot(...own);
    return own.map((value) => value / length);
  });
  return Float32Array.from(rows.flat());
}

describe('largeEmbeddingMap', () => {
  const embeddings = bundles();

  it('places what UMAP did not see among what is like it', async () => {
    const places = await largeEmbeddingMap(embeddings, D, { sample: 60, rounds: 200, threads: 1 });
    expect(places).toHaveLength(2 * GROUPS * PER_GROUP);
    expect(Array.from(places).every((x) => x >= 0 && x <= 1)).toBe(true);
    for (let a = 0; a < GROUPS * PER_GROUP; a++) {
      const distance = (b: number) =>
        Math.hypot(places[2 * a]! - places[2 * b]!, places[2 * a + 1]! - places[2 * b + 1]!);
      const others = Array.from({ length: GROUPS * PER_GROUP }, (_, b) => b).filter((b) => b !== a);
      const nearest = others.reduce((best, b) => (distance(b) < distance(best) ? b : best));
      expect(nearest % GROUPS).toBe(a % GROUPS);
    }
  });

  it('is the same at the same seed', async () => {
    const map = (seed: number) =>
      largeEmbeddingMap(embeddings, D, { seed, sample: 30, rounds: 20, threads: 1 });
    expect(await map(1)).toEqual(await map(1));
    expect(await map(2)).not.toEqual(await map(1));
  });

  it('takes none, one and two', async () => {
    for (const [rows, places] of [
      [0, []],
      [1, [0.5, 0.5]],
      [2, [0, 0.5, 1, 0.5]],
    ] as const)
      expect(Array.from(await largeEmbeddingMap(embeddings.slice(0, rows * D), D))).toEqual(places);
    await expect(largeEmbeddingMap(embeddings, D, { sample: 2 })).rejects.toThrow(/from 3 on, got 2/);
  });
});
