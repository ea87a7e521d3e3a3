/**
 * Gradients of plain TypeScript functions in float64, for tests: what a graph's gradient is compared with.
 */
import { expect } from 'vitest';

/** Central differences of a function at a point, one number a coordinate. */
export function centralDifferences(
  f: (x: readonly number[]) => number,
  at: readonly number[],
  width = 1e-5,
): number[] {
  return at.map((_, i) => {
    const moved = (by: number) => f(at.map((value, j) => (j === i ? value + by : value)));
    return (moved(width) - moved(-width)) / (2 * width);
  });
}

/** Every element within `tolerance` times the largest element wanted (at least 1). */
export function expectNear(
  got: ArrayLike<number> | undefined,
  wanted: readonly number[],
  tolerance = 1e-5,
  what = 'value',
): void {
  expect(got?.length, `${what}: count`).toBe(wanted.length);
  const largest = Math.max(1, ...wanted.map(Math.abs));
  wanted.forEach((number, i) => {
    const difference = Math.abs((got?.[i] ?? Number.NaN) - number);
    expect(difference, `${what}, element ${i}: ${got?.[i]} for ${number}`).toBeLessThanOrEqual(
      tolerance * largest,
    );
  });
}
