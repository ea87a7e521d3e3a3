import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import {
  bootstrapDifference,
  bootstrapMean,
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
