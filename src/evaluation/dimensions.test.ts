import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { dimensionSteps, principalComponents, truncated } from './dimensions.js';

function randomUnit(rows: number, dimension: number, rank = dimension): Float32Array {
  const random = Random.from(rows, dimension, rank);
  const basis = Array.from({ length: rank }, () => Array.from({ length: dimension }, () => random.normal()));
  const result = new Float32Array(rows * dimension);
  for (let row = 0; row < rows; row++) {
    const weights = basis.map((_, i) => random.normal() / (i + 1));
    const own = Array.from({ length: dimension }, (_, d) =>
      basis.reduce((sum, direction, i) => sum + weights[i]! * direction[d]!, 0),
    );
    const length = Math.hypot(...own);
    own.forEach((value, d) => {
      result[row * dimension + d] = value / length;
    });
  }
  return result;
}

const dot = (x: Float32Array, d: number, a: number, b: number) => {
  let sum = 0;
  for (let i = 0; i < d; i++) sum += x[a * d + i]! * x[b * d + i]!;
  return sum;
};

describe('principalComponents', () => {
  it('keeps all dot products, and orders dimensions by their mean square', () => {
    const embeddings = randomUnit(40, 12);
    const { embeddings: turned, meanSquares } = principalComponents(embeddings, 12);
    for (let a = 0; a < 40; a += 7)
      for (let b = 0; b < 40; b += 3) expect(dot(turned, 12, a, b)).toBeCloseTo(dot(embeddings, 12, a, b), 5);
    for (let d = 0; d < 12; d++) {
      let square = 0;
      for (let row = 0; row < 40; row++) square += turned[row * 12 + d]! ** 2 / 40;
      expect(square).toBeCloseTo(meanSquares[d]!, 5);
      if (d > 0) expect(meanSquares[d]!).toBeLessThanOrEqual(meanSquares[d - 1]!);
    }
  });

  it('needs no more dimensions than the embeddings span', () => {
    const { meanSquares } = principalComponents(randomUnit(60, 16, 3), 16);
    expect(meanSquares[2]!).toBeGreaterThan(1e-3);
    for (const square of meanSquares.slice(3)) expect(square).toBeLessThan(1e-9);
  });
});

describe('truncated', () => {
  it('cuts off and scales to unit length; zeros stay zeros', () => {
    const cut = truncated(Float32Array.of(3, 4, 12, 0, 0, 1), 3, 2);
    expect(Array.from(cut)).toEqual([Math.fround(0.6), Math.fround(0.8), 0, 0]);
  });

  it.each([0, 4, 1.5])('refuses to keep %s of 3', (kept) => {
    expect(() => truncated(new Float32Array(6), 3, kept)).toThrow('from 1 to 3');
  });
});

it.each([
  [256, [2, 4, 8, 16, 32, 64, 128, 256]],
  [100, [2, 4, 8, 16, 32, 64, 100]],
  [2, [2]],
  [1, [1]],
])('steps of %s dimensions', (dimension, steps) => {
  expect(dimensionSteps(dimension)).toEqual(steps);
});
