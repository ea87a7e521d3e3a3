import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { ReliabilityCounter } from './reliability.js';

const counted = (cases: readonly (readonly [number, boolean, number?])[]) => {
  const counter = new ReliabilityCounter();
  for (const [probability, happened, weight] of cases) counter.add(probability, happened, weight);
  return counter.result();
};

describe('ReliabilityCounter', () => {
  it('is 0 where what is said happens, and the distance where it does not', () => {
    const fine = counted([...Array(3).fill([0.75, true]), [0.75, false]]);
    expect(fine).toMatchObject({ cases: 4, expectedError: 0, expectedErrorEqualWeight: 0 });
    expect(fine?.bins).toEqual([{ probability: 0.75, share: 0.75, weight: 1 }]);
    // Half is said to be at 0.9 and is at 1; half at 0.1 and is at 0.5.
    const off = counted([
      [0.9, true],
      [0.9, true],
      [0.1, true],
      [0.1, false],
    ]);
    expect(off?.expectedError).toBeCloseTo(0.5 * 0.1 + 0.5 * 0.4, 12);
    expect(off?.expectedErrorEqualWeight).toBeCloseTo(0.25, 12);
    expect(counted([])).toBeUndefined();
  });

  it('takes a weight as so many cases', () => {
    const a = counted([
      [0.31, true, 3],
      [0.9, false, 2],
      [1, true, 1],
    ]);
    const b = counted([...Array(3).fill([0.31, true]), ...Array(2).fill([0.9, false]), [1, true]]);
    expect(a).toEqual({ ...b, cases: 3 });
  });

  it('is what a loop over fifteen bins says', () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.boolean()), { minLength: 1 }),
        (cases) => {
          let error = 0;
          for (let bin = 0; bin < 15; bin++) {
            const here = cases.filter(([p]) => Math.min(14, Math.floor(p * 15)) === bin);
            error += Math.abs(here.reduce((sum, [p, happened]) => sum + p - Number(happened), 0));
          }
          expect(counted(cases)?.expectedError).toBeCloseTo(error / cases.length, 9);
        },
      ),
    );
  });

  it('has bins of equal weight where probabilities crowd', () => {
    // 150 cases in one bin of equal width; what is said is right on the whole, and wrong for each half.
    const cases = Array.from({ length: 150 }, (_, i) => [0.61 + i / 4000, i < 75] as const);
    const result = counted(cases);
    const sum = cases.reduce((total, [p, happened]) => total + p - Number(happened), 0);
    expect(result?.bins).toHaveLength(1);
    expect(result?.expectedError).toBeCloseTo(Math.abs(sum) / 150, 9);
    expect(result?.expectedErrorEqualWeight).toBeGreaterThan(0.45);
  });
});
