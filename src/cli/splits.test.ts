import { describe, expect, it } from 'vitest';
import type { ManifestRow, Split } from '../data/index.js';
import { DataError } from '../util/index.js';
import { rowsOfSplit, SPLIT_CHOICES, type SplitChoice } from './splits.js';

const row = (split: Split): ManifestRow => ({
  path: `/${split}.png`,
  relativePath: `${split}.png`,
  itemId: split,
  split,
  source: undefined,
  sourceGroup: undefined,
  attributes: {},
  line: 2,
});
const rows = (['train', 'val', 'query', 'gallery', 'test'] as const).map(row);

describe('rowsOfSplit', () => {
  const expected: Record<SplitChoice, Split[]> = {
    all: ['train', 'val', 'query', 'gallery', 'test'],
    test: ['query', 'gallery', 'test'],
    gallery: ['gallery', 'test'],
    query: ['query', 'test'],
    train: ['train'],
    val: ['val'],
  };

  it.each(SPLIT_CHOICES)('%s', (split) => {
    expect(rowsOfSplit(rows, split).map((found) => found.split)).toEqual(expected[split]);
  });

  it('says which splits there are where the one asked for is empty', () => {
    const call = () => rowsOfSplit(rows.slice(0, 2), 'test', 'shop.csv');
    expect(call).toThrow(DataError);
    expect(call).toThrow("shop.csv: no picture is in the split 'test', only in train, val. Choose another");
  });
});
