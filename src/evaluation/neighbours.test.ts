import { expect, it } from 'vitest';
import { nearestNeighbours, worstQueries } from './neighbours.js';

const angles = [0, 10, 25, 25, 90];
const embeddings = Float32Array.from(
  angles.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
);

it('finds the nearest, ties by row, never itself', () => {
  const options = { embeddings, dimension: 2, queryRows: Int32Array.from([0, 3]), k: 3 };
  const found = nearestNeighbours(options).map((hits) => hits.map((hit) => hit.row));
  expect(found).toEqual([
    [1, 2, 3],
    [2, 1, 0],
  ]);
  const [first] = nearestNeighbours(options);
  expect(first![0]!.similarity).toBeCloseTo(Math.cos((10 * Math.PI) / 180), 6);
});

it('keeps to the gallery and leaves the own group out', () => {
  const [hits] = nearestNeighbours({
    embeddings,
    dimension: 2,
    queryRows: Int32Array.from([0]),
    galleryRows: Int32Array.from([0, 1, 3, 4]),
    excludeGroups: ['a', 'a', 'b', 'b', 'c'],
  });
  expect(hits!.map((hit) => hit.row)).toEqual([3, 4]);
});

it('worstQueries: latest first, without the found and the skipped', () => {
  expect(worstQueries([1, 7, Number.NaN, 30, 7, 2], 3)).toEqual([
    { query: 3, firstRank: 30 },
    { query: 1, firstRank: 7 },
    { query: 4, firstRank: 7 },
  ]);
});
