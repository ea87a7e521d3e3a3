import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import {
  bootstrapDifference,
  bootstrapMean,
  differenceOverSeeds,
  holmAdjusted,
  meanOverSeeds,
  recallOfQueries,
  studentQuantile,
} from './intervals.js';

describe('studentQuantile', () => {
  // From the printed tables of any statistics book.
  it.each([
    [0.975, 1, 12.706],
    [0.975, 2, 4.303],
    [0.975, 3, 3.182],
    [0.975, 4, 2.776],
    [0.975, 9, 2.262],
    [0.975, 30, 2.042],
    [0.95, 5, 2.015],
    [0.995, 7, 3.499],
  ])('at %f with %i degrees is %f', (probability, degrees, expected) => {
    expect(studentQuantile(probability, degrees)).toBeCloseTo(expected, 3);
  });
  it('of one half is 0; outside of its range it throws', () => {
    expect(studentQuantile(0.5, 3)).toBeCloseTo(0, 12);
    expect(() => studentQuantile(1, 3)).toThrow(/got 1 and 3/);
  });
});

describe('meanOverSeeds', () => {
  it('three seeds by hand: mean 0.5, deviation 0.02, t 4.303', () => {
    const { mean, halfWidth, standardDeviation } = meanOverSeeds([0.48, 0.5, 0.52]);
    expect(mean).toBeCloseTo(0.5, 12);
    expect(standardDeviation).toBeCloseTo(0.02, 12);
    expect(halfWidth).toBeCloseTo((4.30265 * 0.02) / Math.sqrt(3), 6);
  });
  it('one seed has no interval, none is an error', () => {
    expect(meanOverSeeds([0.4])).toEqual({ mean: 0.4, halfWidth: null, standardDeviation: null, seeds: 1 });
    expect(() => meanOverSeeds([])).toThrow(/finite/);
    expect(() => meanOverSeeds([0.1, Number.NaN])).toThrow(/NaN/);
  });
});

describe('bootstrap', () => {
  const hits = Float64Array.from({ length: 400 }, (_, q) => (q % 4 === 0 ? 0 : 1));

  it('agrees with the normal approximation on 400 queries at 0.75', () => {
    const { mean, low, high } = bootstrapMean(hits, { random: Random.from(1), rounds: 4000 });
    const halfWidth = 1.96 * Math.sqrt((0.75 * 0.25) / 400);
    expect(mean).toBe(0.75);
    expect(low).toBeCloseTo(0.75 - halfWidth, 2);
    expect(high).toBeCloseTo(0.75 + halfWidth, 2);
  });

  it('is the same for one seed and leaves skipped queries out', () => {
    const run = () => bootstrapMean([1, Number.NaN, 0, 1], { random: Random.from(3) });
    expect(run()).toEqual(run());
    expect(run()).toMatchObject({ mean: 2 / 3, queries: 3 });
    expect(() => bootstrapMean([Number.NaN], { random: Random.from(3) })).toThrow(/got none/);
  });

  it('clusters that fail together widen the interval', () => {
    const values = hits.map((_, q) => (Math.floor(q / 10) % 4 === 0 ? 0 : 1));
    const clusters = Int32Array.from(values, (_, q) => Math.floor(q / 10));
    const single = bootstrapMean(values, { random: Random.from(1) });
    const clustered = bootstrapMean(values, { random: Random.from(1), clusters });
    expect(clustered.mean).toBe(single.mean);
    expect(clustered.high - clustered.low).toBeGreaterThan(2.5 * (single.high - single.low));
  });

  it('a paired difference is sure where the two intervals overlap', () => {
    const better = Float64Array.from({ length: 200 }, (_, q) => ((q * 7919) % 200) / 200);
    const worse = better.map((value) => value - 0.01);
    const { mean, low, high } = bootstrapDifference(better, worse, { random: Random.from(2) });
    expect(mean).toBeCloseTo(0.01, 12);
    expect(low).toBeCloseTo(0.01, 12);
    expect(high).toBeCloseTo(0.01, 12);
    expect(() => bootstrapDifference([1], [1, 2], { random: Random.from(2) })).toThrow(/1 and 2/);
  });
});

it('recallOfQueries keeps skipped queries NaN', () => {
  expect([...recallOfQueries([1, 3, Number.NaN, 2], 2)]).toEqual([1, 0, Number.NaN, 1]);
});

interface PairedTest {
  a: number[];
  b: number[];
  low: number;
  high: number;
  pValue: number;
}

describe('differenceOverSeeds', () => {
  const golden = JSON.parse(
    readFileSync(join(import.meta.dirname, '../../test/golden/paired-tests.json'), 'utf8'),
  ) as PairedTest[];
  it.each(golden)('is the paired t test of scipy: $a against $b', ({ a, b, low, high, pValue }) => {
    const difference = differenceOverSeeds(a, b);
    expect(difference.mean - difference.halfWidth!).toBeCloseTo(low, 10);
    expect(difference.mean + difference.halfWidth!).toBeCloseTo(high, 10);
    expect(difference.pValue).toBeCloseTo(pValue, 10);
  });
  it('one seed has a difference and no test; equal differences decide without one', () => {
    expect(differenceOverSeeds([0.5], [0.25])).toMatchObject({ mean: 0.25, halfWidth: null, pValue: null });
    expect(differenceOverSeeds([0.5, 0.75], [0.25, 0.5])).toMatchObject({ halfWidth: 0, pValue: 0 });
    expect(differenceOverSeeds([0.5, 0.75], [0.5, 0.75])).toMatchObject({ mean: 0, pValue: 1 });
  });
  it('other numbers of seeds are an error', () => {
    expect(() => differenceOverSeeds([1, 2], [1])).toThrow(/same seeds, got 2 and 1 values/);
  });
});

describe('holmAdjusted', () => {
  it('by hand: 0.01·4, 0.03·3, then not less than that, 0.5·1', () => {
    const adjusted = holmAdjusted([0.03, 0.01, 0.5, 0.04]);
    [0.09, 0.04, 0.5, 0.09].forEach((wanted, i) => {
      expect(adjusted[i]).toBeCloseTo(wanted, 12);
    });
  });
  it('is never above 1, and nothing of nothing', () => {
    expect(holmAdjusted([0.9, 0.8])).toEqual([1, 1]);
    expect(holmAdjusted([])).toEqual([]);
  });
});

describe('bootstrapDifference of clusters', () => {
  const random = Random.from(3);
  const items = Array.from({ length: 120 }, (_, q) => `item ${Math.floor(q / 3)}`);
  const shared = Array.from({ length: 40 }, () => random.normal());
  const a = items.map((_, q) => 0.3 + 0.2 * shared[Math.floor(q / 3)]! + 0.02 * random.normal());
  const b = items.map(() => 0.02 * random.normal());

  it('draws whole items: as an independent loop over lists of queries does, in interval and p', () => {
    const got = bootstrapDifference(a, b, { random: Random.from(5), rounds: 4000, clusters: items });
    const drawing = Random.from(99);
    const means = Array.from({ length: 4000 }, () => {
      const drawn: number[] = [];
      for (let i = 0; i < 40; i++) {
        const item = `item ${drawing.integer(40)}`;
        items.forEach((name, q) => {
          if (name === item) drawn.push(a[q]! - b[q]!);
        });
      }
      return drawn.reduce((sum, value) => sum + value, 0) / drawn.length;
    }).sort((x, y) => x - y);
    expect(got.clusters).toBe(40);
    expect(got.queries).toBe(120);
    expect(Math.abs(got.low - means[100]!)).toBeLessThan(0.01);
    expect(Math.abs(got.high - means[3899]!)).toBeLessThan(0.01);
    // Nowhere near 0: the rarer side has no resample, and the p-value is that of one added.
    expect(got.pValue).toBeCloseTo(2 / 4001, 12);
  });
  it('p of a difference that is half on each side is near 1, and agrees with the interval about 0', () => {
    const centre = a.reduce((sum, value, q) => sum + value - b[q]!, 0) / 120;
    const p = (shift: number) =>
      bootstrapDifference(
        a.map((value) => value - centre + shift),
        b,
        { random: Random.from(5), rounds: 4000, clusters: items },
      );
    expect(p(0).pValue).toBeGreaterThan(0.9);
    for (const shift of [0.01, 0.03, 0.05, 0.06, 0.07, 0.08, 0.1]) {
      const { low, pValue } = p(shift);
      expect(pValue < 0.05, `shift ${shift}: low ${low}, p ${pValue}`).toBe(low > 0);
    }
  });
  it('two equal methods differ by nothing: p is 1', () => {
    expect(bootstrapDifference(a, a, { random: Random.from(1), clusters: items }).pValue).toBe(1);
  });
});
