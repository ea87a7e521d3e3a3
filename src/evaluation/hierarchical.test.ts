import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  averageSetIntersection,
  correlationOfRanks,
  hierarchicalAp,
  meanRanks,
  ndcg,
  ndcgOfLevels,
} from './hierarchical.js';

/** A whole ranking as the functions take it: levels and ranks of what is relevant. */
const relevantOf = (ranking: readonly number[]) =>
  [
    ranking.filter((level) => level > 0),
    ranking.flatMap((level, place) => (level > 0 ? [place + 1] : [])),
  ] as const;

const spearman = (a: readonly number[], b: readonly number[]) => {
  const ranks = (values: readonly number[]) => {
    const places = [...values.keys()].sort((x, y) => values[x]! - values[y]!);
    const into = new Float64Array(values.length);
    meanRanks(
      places.map((place) => values[place]!),
      places,
      places.length,
      into,
    );
    return into;
  };
  return correlationOfRanks(ranks(a), ranks(b));
};

describe('worked by hand', () => {
  it('H-AP of levels 1, 0, 2', () => {
    // k = 1: Hrank 1/2, over 1. k = 3: 1 + min(1, 1/2) = 3/2, over 3. Σ rel = 3/2.
    expect(hierarchicalAp(...relevantOf([1, 0, 2]))).toBeCloseTo((0.5 + 0.5) / 1.5, 12);
    expect(hierarchicalAp(...relevantOf([2, 1, 0]))).toBe(1);
    expect(hierarchicalAp(...relevantOf([0, 0]))).toBe(0);
  });

  it('ASI of levels 1, 0, 2', () => {
    // ideal 2, 1: depth 1 finds none of {2}; depth 2 finds {1} of {2, 1}.
    expect(averageSetIntersection(...relevantOf([1, 0, 2]))).toBeCloseTo((0 + 1 / 2) / 2, 12);
    expect(averageSetIntersection(...relevantOf([2, 1, 0]))).toBe(1);
    expect(averageSetIntersection(...relevantOf([]))).toBe(0);
  });

  it('nDCG@2 of gains 1, 0, 3', () => {
    expect(ndcg([1, 0], [3, 1])).toBeCloseTo(1 / (3 + 1 / Math.log2(3)), 12);
    expect(ndcg([3, 1], [3, 1])).toBe(1);
    expect(ndcg([0, 0], [0, 0])).toBe(0);
    const levels = relevantOf([1, 0, 2]);
    expect(ndcgOfLevels(...levels, 2, 2)).toBeCloseTo(1 / (3 + 1 / Math.log2(3)), 12);
    expect(ndcgOfLevels(...levels)).toBeCloseTo((1 + 3 / 2) / (3 + 1 / Math.log2(3)), 12);
    expect(ndcgOfLevels(...relevantOf([2, 1]))).toBe(1);
    expect(ndcgOfLevels([], [])).toBe(0);
  });

  it('Spearman: one exchange among five, ties sharing ranks, no order', () => {
    expect(spearman([1, 2, 3, 4, 5], [10, 20, 40, 30, 50])).toBeCloseTo(1 - (6 * 2) / (5 * 24), 12);
    expect(spearman([1, 2, 2, 3], [1, 2, 2, 3])).toBeCloseTo(1, 12);
    expect(spearman([1, 2, 3], [3, 2, 1])).toBeCloseTo(-1, 12);
    expect(spearman([1, 1, 1], [1, 2, 3])).toBeNaN();
  });
});

it('H-AP of right and wrong is average precision', () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { minLength: 1, maxLength: 30 }), (relevant) => {
      const R = relevant.filter(Boolean).length;
      const precisions = relevant.map((isRelevant, i) =>
        isRelevant ? relevant.slice(0, i + 1).filter(Boolean).length / (i + 1) : 0,
      );
      const expected = R === 0 ? 0 : precisions.reduce((sum, value) => sum + value, 0) / R;
      expect(hierarchicalAp(...relevantOf(relevant.map(Number)))).toBeCloseTo(expected, 12);
    }),
  );
});
