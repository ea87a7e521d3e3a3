import { describe, expect, it } from 'vitest';
import { evaluateRetrieval, type RetrievalOptions } from './index.js';

describe('graded metrics of rankings', () => {
  const at = (degrees: number[]) =>
    Float32Array.from(degrees.flatMap((a) => [Math.cos((a * Math.PI) / 180), Math.sin((a * Math.PI) / 180)]));
  const graded = async (options: Omit<RetrievalOptions, 'dimension'>) =>
    (await evaluateRetrieval({ ...options, dimension: 2, graded: true })).graded!;
  const levels = { item: ['a', 'a', 'b', 'c'], kind: ['x', 'x', 'x', 'y'] };
  const attributes = [
    { colour: ['red'], tag: ['round', 'soft'] },
    { colour: ['red'], tag: ['round', 'soft'] },
    { colour: ['red'], tag: ['round'] },
    { colour: ['blue'], tag: [] },
  ];

  it('a perfect order is 1 throughout', async () => {
    const result = await graded({
      embeddings: at([0, 1, 10, 60]),
      levels,
      attributes,
      roles: ['both', 'both', 'gallery', 'gallery'],
    });
    expect(result).toMatchObject({ hap: 1, asi: 1, ndcg: 1, ndcgAt10: 1, queries: 2 });
    expect(result.attributes!.ndcgAt10).toBe(1);
    expect(result.attributes!.spearman).toBeCloseTo(1, 12);
  });

  it('a constant embedding gets the worst order; rows without anything relevant are left out', async () => {
    const result = await graded({ embeddings: at([5, 5, 5, 5]), levels });
    // Rows 0, 1: 0, 1/2, 1 → (1/4 + (1 + 1/2)/3) / (3/2) = 1/2. Row 2: 0, 1/2, 1/2 → (1/4 + 1/3) / 1.
    expect(result.hap).toBeCloseTo((1 / 2 + 1 / 2 + 7 / 12) / 3, 12);
    expect(result.queries).toBe(3);
    expect(result.attributes).toBeUndefined();
  });

  it('a constant embedding tells no attributes apart: correlation 0, nDCG of the worst order', async () => {
    const result = await graded({ embeddings: at([5, 5, 5, 5]), levels, attributes });
    // Rows 0 and 1 judge rows 2 (2/3) and 3 (0); row 2 judges rows 0, 1 (2/3) and 3 (0); row 3 finds nothing alike.
    const two = 1 / Math.log2(3);
    const three = (two + 1 / 2) / (1 + two);
    expect(result.attributes).toMatchObject({ spearman: 0, queries: 3, spearmanQueries: 3 });
    expect(result.attributes!.ndcgAt10).toBeCloseTo((two + two + three) / 3, 12);
  });

  it('hits of the own source do not count where the ranking leaves them out', async () => {
    const result = await graded({
      embeddings: at([0, 1, 10, 60]),
      levels: { item: ['a', 'a', 'b', 'a'] },
      source: ['s', 's', 't', 't'],
      crossSource: true,
    });
    // Rows 0 and 1 find row 3 after row 2; row 3 finds both first; row 2 has nothing to find.
    expect(result.hap).toBeCloseTo((1 / 2 + 1 / 2 + 1) / 3, 12);
    expect(result.queries).toBe(3);
  });

  it('attributes that either does not know do not count', async () => {
    const result = await graded({
      embeddings: at([0, 40, 10, 60]),
      levels: { item: ['a', 'b', 'c', 'd'] },
      attributes: [{ colour: ['red'], tag: [] }, { colour: ['red'] }, { colour: ['blue'] }, { colour: [] }],
      roles: ['both', 'gallery', 'gallery', 'gallery'],
    });
    // Judged are rows 1 (gain 1) and 2 (gain 0); row 3 knows nothing in common. Row 2 comes first.
    expect(result.attributes).toMatchObject({ queries: 1, ndcgAt10: 1 / Math.log2(3) });
    expect(result.attributes!.spearman).toBeCloseTo(-1, 12);
    expect(result.queries).toBe(0);
  });
});
