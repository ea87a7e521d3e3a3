import fc from 'fast-check';
import { expect, it } from 'vitest';
import { ThresholdCounts } from './threshold-counts.js';

const anyNumber = fc.double({ noNaN: true, min: -1, max: 1 });
const manyTies = fc.constantFrom(-1, -0.5, 0, 0.25, 0.5, 1);
const crowded = fc.oneof(fc.constant(1), fc.double({ noNaN: true, min: 0, max: 1e-9 }));

it.each([
  ['spread', anyNumber],
  ['with many ties', manyTies],
  ['crowded at one end', crowded],
])('counts as filtering does: numbers %s', (_name, number) => {
  fc.assert(
    fc.property(
      fc.array(number, { minLength: 1, maxLength: 90 }),
      fc.array(number, { maxLength: 200 }),
      (thresholds, values) => {
        const counts = new ThresholdCounts(thresholds.length);
        thresholds.sort((a, b) => b - a);
        counts.thresholds.set(thresholds);
        const all = Float64Array.from([9, ...values, Number.NEGATIVE_INFINITY, 9]);
        expect(counts.run(all, 1, all.length - 1, thresholds.length)).toBe(-1);
        expect([...counts.atLeast.subarray(0, thresholds.length)]).toEqual(
          thresholds.map((threshold) => values.filter((value) => value >= threshold).length),
        );
      },
    ),
  );
});

it('says where a value is NaN', () => {
  for (const count of [1, 40]) {
    const counts = new ThresholdCounts(count);
    counts.thresholds.set(Array.from({ length: count }, (_, k) => 1 - k / 100));
    expect(counts.run(Float32Array.from([0, 1, Number.NaN, 1]), 0, 4, count)).toBe(2);
  }
});
