import { describe, expect, it } from 'vitest';
import type { ManifestRow } from '../data/index.js';
import { retrievalLabels } from './judging.js';

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
