import { describe, expect, it } from 'vitest';
import type { ManifestRow } from '../data/index.js';
import { attributeLabels, judge, judgePerQuery, retrievalLabels } from './judging.js';

const row = (itemId: string, kind: readonly string[], split: ManifestRow['split'] = 'test'): ManifestRow => ({
  path: `/${itemId}.png`,
  relativePath: `${itemId}.png`,
  itemId,
  split,
  source: undefined,
  sourceGroup: undefined,
  attributes: { kind },
  line: 2,
});

describe('retrievalLabels', () => {
  const schema = {
    attributes: [{ name: 'kind', kind: 'single' as const, values: ['x', 'y'] }],
    levels: ['item_id', 'kind'],
  };

  it('a row without a value of a level, or with several, is unknown there', () => {
    const rows = [row('a', ['x']), row('b', []), row('c', ['x', 'y'])];
    expect(retrievalLabels(rows, schema).levels).toEqual({ item_id: ['a', 'b', 'c'], kind: ['x', '', ''] });
  });

  it('only rows of query and gallery keep to one role', () => {
    const rows = (['query', 'gallery', 'test', 'val'] as const).map((split) => row('a', ['x'], split));
    expect(retrievalLabels(rows, schema).roles).toEqual(['query', 'gallery', 'both', 'both']);
  });
});

describe('attributeLabels', () => {
  it('a value that the schema does not have leaves a single attribute unknown and a multi one empty', () => {
    const schema = {
      attributes: [
        { name: 'kind', kind: 'single' as const, values: ['x', 'y'] },
        { name: 'tags', kind: 'multi' as const, values: ['round', 'soft'] },
      ],
      levels: ['item_id'],
    };
    const rows = [
      { ...row('a', ['x']), attributes: { kind: ['x'], tags: ['round', 'rare'], place: ['here'] } },
      { ...row('b', ['z']), attributes: { kind: ['z'], tags: ['rare'] } },
      { ...row('c', []), attributes: { kind: [], tags: [] } },
    ];
    expect(attributeLabels(rows, schema)).toEqual({
      attributes: [
        { kind: ['x'], tags: ['round'] },
        { kind: [], tags: [] },
        { kind: [], tags: [] },
      ],
      knownAttributes: [
        { kind: false, tags: true },
        { kind: false, tags: true },
        { kind: false, tags: false },
      ],
    });
  });
});

describe('judging', () => {
  const rows = [row('a', ['x']), row('a', ['x']), row('b', ['x']), row('c', ['y'])];
  const embeddings = Float32Array.from(
    [0, 5, 20, 80].flatMap((d) => [Math.cos(d / 57.3), Math.sin(d / 57.3)]),
  );
  const schema = {
    attributes: [{ name: 'kind', kind: 'single' as const, values: ['x', 'y'] }],
    levels: ['item_id', 'kind'],
  };

  it('gives graded figures and those of attributes', async () => {
    const figures = await judge({ rows, embeddings, dimension: 2 }, schema);
    expect(figures).toMatchObject({ recallAt1: 1, hap: 1, asi: 1, ndcg: 1, ndcgAt10: 1 });
    // Rows 0, 1, 2 have one of kind x and one of kind y to order; row 3 has none of its kind.
    expect(figures.attributes).toMatchObject({ ndcgAt10: 1, queries: 3, spearmanQueries: 3 });
  });

  it('figures of queries are in the order of the rows, NaN where there is nothing to find', async () => {
    const { figures, ...queries } = await judgePerQuery({ rows, embeddings, dimension: 2 }, schema);
    expect(queries.rows).toEqual([0, 1, 2, 3]);
    expect(Array.from(queries.recallAt1)).toEqual([1, 1, Number.NaN, Number.NaN]);
    expect(Array.from(queries.mapAtR)).toEqual([1, 1, Number.NaN, Number.NaN]);
    expect(Array.from(queries.attributeNdcgAt10)).toEqual([1, 1, 1, Number.NaN]);
    expect(figures.mapAtR).toBe(1);
  });
});
