import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { curveArgument, curveValue, isotonicRegression, mergedBlocks } from './isotonic.js';

type Sample = readonly [y: number, weight: number];

/** The fit by its definition: over all ways to cut the samples into runs of one value, the least squared error. */
function exhaustive(samples: readonly Sample[]): { error: number; fit: number[] } {
  let best = { error: Number.POSITIVE_INFINITY, fit: [] as number[] };
  for (let cuts = 0; cuts < 2 ** (samples.length - 1); cuts++) {
    const fit: number[] = [];
    let [start, previous, isRising] = [0, Number.NEGATIVE_INFINITY, true];
    for (let end = 1; end <= samples.length; end++) {
      if (end < samples.length && (cuts & (1 << (end - 1))) === 0) continue;
      const run = samples.slice(start, end);
      const weight = run.reduce((sum, [, w]) => sum + w, 0);
      const value = run.reduce((sum, [y, w]) => sum + w * y, 0) / weight;
      isRising &&= value >= previous;
      [start, previous] = [end, value];
      fit.push(...run.map(() => value));
    }
    const error = samples.reduce((sum, [y, w], i) => sum + w * (y - fit[i]!) ** 2, 0);
    if (isRising && error < best.error) best = { error, fit };
  }
  return best;
}

const fitted = (samples: readonly Sample[]) =>
  isotonicRegression(
    samples.map((_, i) => i),
    samples.map(([y]) => y),
    samples.map(([, weight]) => weight),
  );
const spread = (blocks: ReturnType<typeof fitted>) =>
  blocks.flatMap(({ y, start, end }) => Array<number>(end - start).fill(y));

describe('isotonicRegression', () => {
  it('is the best of all non-decreasing fits', () => {
    const sample = fc.tuple(fc.integer({ min: -5, max: 5 }), fc.integer({ min: 1, max: 4 }));
    fc.assert(
      fc.property(fc.array(sample, { minLength: 1, maxLength: 9 }), (samples) => {
        const got = spread(fitted(samples));
        const { fit } = exhaustive(samples);
        got.forEach((value, i) => {
          expect(value).toBeCloseTo(fit[i]!, 9);
        });
      }),
    );
  });

  it('closed forms: rising stays, falling becomes the mean, one violator is pooled', () => {
    expect(spread(fitted([1, 2, 3].map((y) => [y, 1])))).toEqual([1, 2, 3]);
    expect(spread(fitted([3, 2, 1].map((y) => [y, 1])))).toEqual([2, 2, 2]);
    expect(fitted([1, 3, 2, 4].map((y) => [y, 1])).map(({ x, y }) => [x, y])).toEqual([
      [0, 1],
      [1.5, 2.5],
      [3, 4],
    ]);
    expect(
      spread(
        fitted([
          [2, 3],
          [0, 1],
        ]),
      ),
    ).toEqual([1.5, 1.5]);
  });

  it('gives equal x one value, and takes no notice of weight 0', () => {
    const blocks = isotonicRegression([0, 1, 1, 2], [0, 0, 1, 1], [1, 1, 1, 0]);
    expect(blocks.map(({ y }) => y)).toEqual([0, 0.5]);
    expect(isotonicRegression([], [], [])).toEqual([]);
  });

  it('refuses falling x and lengths that differ', () => {
    expect(() => isotonicRegression([1, 0], [0, 1], [1, 1])).toThrow(/x must rise, got 0 after 1/);
    expect(() => isotonicRegression([1], [0, 1], [1, 1])).toThrow(/one length/);
  });
});

describe('mergedBlocks', () => {
  it('keeps the mean and the order, and joins the most alike first', () => {
    const blocks = fitted([0, 1, 1.1, 5].map((y) => [y, 1]));
    const merged = mergedBlocks(blocks, 3);
    expect(merged.map(({ y }) => y)).toEqual([0, 1.05, 5]);
    expect(mergedBlocks(blocks, 1)).toEqual([{ x: 1.5, y: 7.1 / 4, weight: 4, start: 0, end: 4 }]);
  });
});

describe('curves', () => {
  const curve = [
    [0, 0.2],
    [1, 0.4],
    [3, 0.8],
  ] as const;

  it('are linear between points and constant beyond', () => {
    expect([-1, 0, 0.5, 1, 2, 3, 9].map((x) => curveValue(curve, x))).toEqual(
      [0.2, 0.2, 0.3, 0.4, 0.6, 0.8, 0.8].map((y) => expect.closeTo(y, 12)),
    );
  });

  it('have an argument for a value', () => {
    fc.assert(
      fc.property(fc.double({ min: 0.201, max: 0.8, noNaN: true }), (y) => {
        expect(curveValue(curve, curveArgument(curve, y))).toBeCloseTo(y, 12);
      }),
    );
    expect(curveArgument(curve, 0.2)).toBe(Number.NEGATIVE_INFINITY);
    expect(curveArgument(curve, 0.81)).toBe(Number.POSITIVE_INFINITY);
  });
});
