import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import {
  defaultLevelWeights,
  parseGranularity,
  partScores,
  queryVector,
  searchVectors,
  storedVectors,
  vectorLayout,
  weightsAt,
} from './blending.js';
import type { Schema } from './schema.js';

const schema: Schema = {
  attributes: [
    { name: 'tags', kind: 'multi', values: ['x', 'y', 'z'] },
    { name: 'kind', kind: 'single', values: ['a', 'b'] },
    { name: 'look', kind: 'single', values: ['p', 'q', 'r', 's'] },
  ],
  levels: ['item_id', 'look', 'kind'],
};
const layout = vectorLayout(schema, 4);
const norm = (x: ArrayLike<number>) => Math.sqrt(Array.from(x).reduce((sum, v) => sum + v * v, 0));
const dot = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, v, i) => sum + v * (b[i] ?? Number.NaN), 0);

describe('vectorLayout', () => {
  it('lays the parts one after another', () => {
    expect(layout).toEqual({
      parts: [
        { name: 'embedding', offset: 0, size: 4 },
        { name: 'attributes', offset: 4, size: 9 },
        { name: 'level:look', offset: 13, size: 4 },
        { name: 'level:kind', offset: 17, size: 2 },
      ],
      size: 19,
    });
    expect(vectorLayout({ attributes: [], levels: ['item_id'] }, 8).size).toBe(8);
  });
});

describe('storedVectors', () => {
  const embeddings = Float32Array.from([3, 0, 4, 0, 0, 0, 0, 2]);
  const attributes = Float32Array.from([0, 0, 0, 0.6, 0.8, 1, 0, 0, 0, 1, 1, 0, 0.5, 0.5, 0, 0, 0.3, 0.4]);
  const stored = storedVectors(schema, 4, { embeddings, attributes });

  it('gives every part unit length and every block of the attribute part equal weight', () => {
    for (const n of [0, 1])
      for (const part of layout.parts) {
        const start = n * layout.size + part.offset;
        expect(norm(stored.subarray(start, start + part.size))).toBeCloseTo(1, 6);
      }
    expect([...stored.subarray(0, 4)]).toEqual([0.6, 0, 0.8, 0].map(Math.fround));
    // The first picture has an empty tag block: the other two blocks share the part.
    expect(norm(stored.subarray(4, 7))).toBe(0);
    expect(norm(stored.subarray(7, 9))).toBeCloseTo(Math.SQRT1_2, 6);
    expect(norm(stored.subarray(9, 13))).toBeCloseTo(Math.SQRT1_2, 6);
    expect(stored[layout.size + 17 + 1]).toBeCloseTo(Math.SQRT1_2, 6);
  });

  it('refuses lengths that do not fit, and numbers that are none', () => {
    expect(() => storedVectors(schema, 4, { embeddings, attributes: attributes.subarray(1) })).toThrow(
      /must be \[N, 4\] and \[N, 9\], got 8 and 17/,
    );
    expect(() =>
      storedVectors(schema, 4, { embeddings: embeddings.map(() => Number.NaN), attributes }),
    ).toThrow(/must be finite/);
  });

  it('works without attributes', () => {
    const plain: Schema = { attributes: [], levels: ['item_id'] };
    const vectors = storedVectors(plain, 4, { embeddings, attributes: new Float32Array(0) });
    expect([...vectors]).toEqual([0.6, 0, 0.8, 0, 0, 0, 0, 1].map(Math.fround));
  });
});

describe('weightsAt', () => {
  const levelWeights = [
    [1, 0, 0, 0],
    [0.5, 0.5, 0, 0],
    [0, 0, 1, 3],
  ];

  it('passes through the levels and is linear between them', () => {
    expect(weightsAt(levelWeights, 0)).toEqual([1, 0, 0, 0]);
    expect(weightsAt(levelWeights, 0.5)).toEqual([0.5, 0.5, 0, 0]);
    expect(weightsAt(levelWeights, 0.25)).toEqual([0.75, 0.25, 0, 0]);
    expect(weightsAt(levelWeights, 1)).toEqual([0, 0, 0.25, 0.75]);
    expect(weightsAt([[2, 2]], 0.7)).toEqual([0.5, 0.5]);
  });

  it('adds up to 1 at every γ', () => {
    fc.assert(
      fc.property(fc.double({ min: 0, max: 1, noNaN: true }), (gamma) => {
        expect(weightsAt(levelWeights, gamma).reduce((a, b) => a + b)).toBeCloseTo(1, 12);
      }),
    );
  });

  it.each([
    [[], 0],
    [levelWeights, 1.1],
    [levelWeights, Number.NaN],
    [[[0, 0]], 0],
    [[[-1, 2]], 0],
    [[[1, 0], [1]], 0.5],
  ])('refuses %j at %d', (weights, gamma) => {
    expect(() => weightsAt(weights, gamma)).toThrow(DataError);
  });
});

describe('queryVector and partScores', () => {
  it('split the dot product into parts that add up, and the score of a picture with itself is 1', () => {
    const vectors = storedVectors(schema, 4, {
      embeddings: Float32Array.from([1, 2, 3, 4, 4, 3, 2, -1]),
      attributes: Float32Array.from({ length: 18 }, (_, i) => ((i * 7) % 10) / 10),
    });
    const [a, b] = [vectors.subarray(0, layout.size), vectors.subarray(layout.size)];
    for (const weights of defaultLevelWeights(schema, layout)) {
      const query = queryVector(layout, a, weights);
      expect(dot(query, a)).toBeCloseTo(1, 6);
      const parts = partScores(layout, query, b);
      expect(Object.values(parts).reduce((x, y) => x + y)).toBeCloseTo(dot(query, b), 6);
      layout.parts.forEach(({ name, offset, size }, part) => {
        const cosine = dot(a.subarray(offset, offset + size), b.subarray(offset, offset + size));
        expect(parts[name]).toBeCloseTo((weights[part] ?? Number.NaN) * cosine, 6);
      });
    }
  });

  it('give the same scores as vectors that hold the roots of the weights', () => {
    const vectors = storedVectors(schema, 4, {
      embeddings: Float32Array.from({ length: 12 }, (_, i) => ((i * 5) % 7) - 3),
      attributes: Float32Array.from({ length: 27 }, (_, i) => ((i * 7) % 11) / 11),
    });
    for (const weights of defaultLevelWeights(schema, layout)) {
      const compared = searchVectors(layout, vectors, weights);
      const row = (of: Float32Array, i: number) => of.subarray(i * layout.size, (i + 1) * layout.size);
      for (const [i, j] of [
        [0, 0],
        [0, 2],
        [2, 1],
      ] as const) {
        const score = dot(queryVector(layout, row(vectors, i), weights), row(vectors, j));
        expect(dot(row(compared, i), row(compared, j))).toBeCloseTo(score, 6);
      }
    }
  });

  it('refuse a vector of another size', () => {
    expect(() => queryVector(layout, new Float32Array(3), [1, 0, 0, 0])).toThrow(
      /must have 19 numbers.*got 3/,
    );
    expect(() => queryVector(layout, new Float32Array(19), [1])).toThrow(/one a part/);
  });
});

describe('parseGranularity', () => {
  it.each([
    ['item', 0],
    ['look', 0.5],
    ['category', 1],
    ['0.25', 0.25],
    [1, 1],
  ])('%s → %d', (value, gamma) => {
    expect(parseGranularity(value)).toBe(gamma);
  });

  it.each(['', ' ', 'kind', '1.5', '-0.1', 'NaN', 'toString'])("refuses '%s'", (value) => {
    expect(() => parseGranularity(value)).toThrow(/granularity: must be item, look, category or a number/);
  });
});
