import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { averageSetIntersection, evaluateGraded, hierarchicalAp, ndcg, spearman } from './graded.js';

describe('worked by hand', () => {
  it('H-AP of gains 1/2, 0, 1', () => {
    // k = 1: Hrank 1/2, over 1. k = 3: 1 + min(1, 1/2) = 3/2, over 3. Σ rel = 3/2.
    expect(hierarchicalAp([0.5, 0, 1])).toBeCloseTo((0.5 + 0.5) / 1.5, 12);
    expect(hierarchicalAp([1, 0.5, 0])).toBe(1);
    expect(hierarchicalAp([0, 0])).toBe(0);
  });

  it('ASI of levels 1, 0, 2', () => {
    // ideal 2, 1: depth 1 finds none of {2}; depth 2 finds {1} of {2, 1}.
    expect(averageSetIntersection([1, 0, 2])).toBeCloseTo((0 + 1 / 2) / 2, 12);
    expect(averageSetIntersection([2, 1, 0])).toBe(1);
    expect(averageSetIntersection([])).toBe(0);
  });

  it('nDCG@2 of gains 1, 0, 3', () => {
    expect(ndcg([1, 0, 3], 2)).toBeCloseTo(1 / (3 + 1 / Math.log2(3)), 12);
    expect(ndcg([3, 1, 0], 2)).toBe(1);
    expect(ndcg([0, 0], 2)).toBe(0);
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
      expect(hierarchicalAp(relevant.map(Number))).toBeCloseTo(expected, 12);
    }),
  );
});

describe('evaluateGraded', () => {
  const at = (degrees: number[]) =>
    Float32Array.from(degrees.flatMap((a) => [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)]));
  const levels = { item: ['a', 'a', 'b', 'c'], kind: ['x', 'x', 'x', 'y'] };
  const attributes = [
    { colour: ['red'], tag: ['round', 'soft'] },
    { colour: ['red'], tag: ['round', 'soft'] },
    { colour: ['red'], tag: ['round'] },
    { colour: ['blue'], tag: [] },
  ];

  it('a perfect order is 1 throughout', () => {
    const result = evaluateGraded({
      embeddings: at([0, 1, 10, 60]),
      dimension: 2,
      levels,
      attributes,
      queryRows: Int32Array.from([0, 1]),
    });
    expect(result).toMatchObject({ hierarchicalAp: 1, asi: 1, ndcgOfLevels: 1, queries: 2 });
    expect(result.attributes!.ndcg).toBe(1);
    expect(result.attributes!.spearman).toBeCloseTo(1, 12);
  });

  it('a constant embedding gets the worst order; rows without anything relevant are left out', () => {
    const result = evaluateGraded({ embeddings: at([5, 5, 5, 5]), dimension: 2, levels });
    // Rows 0, 1: 0, 1/2, 1 → (1/4 + (1 + 1/2)/3) / (3/2) = 1/2. Row 2: 0, 1/2, 1/2 → (1/4 + 1/3) / 1.
    expect(result.hierarchicalAp).toBeCloseTo((1 / 2 + 1 / 2 + 7 / 12) / 3, 12);
    expect(result.queries).toBe(3);
    expect(result.attributes).toBeUndefined();
  });

  it('attributes that either does not know do not count', () => {
    const result = evaluateGraded({
      embeddings: at([0, 40, 10, 60]),
      dimension: 2,
      levels: { item: ['a', 'b', 'c', 'd'] },
      attributes: [{ colour: ['red'], tag: [] }, { colour: ['red'] }, { colour: ['blue'] }, { colour: [] }],
      queryRows: Int32Array.from([0]),
    });
    // Judged are rows 1 (gain 1) and 2 (gain 0); row 3 knows nothing in common. Row 2 comes first.
    expect(result.attributes).toMatchObject({ queries: 1, ndcg: 1 / Math.log2(3) });
    expect(result.attributes!.spearman).toBeCloseTo(-1, 12);
    expect(result.queries).toBe(0);
  });
});
