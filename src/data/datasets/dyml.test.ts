import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, picture } from '../../../test/support/file-tree.js';
import { dymlReader } from './dyml.js';
import { importDataset } from './import-dataset.js';

const benchmark = (level: string): FileTree => ({
  [`bmk_${level}/query.csv`]: 'fname, labels0.jpg, 3\n1.jpg, 4\n',
  [`bmk_${level}/gallery.csv`]: 'fname, labels0.jpg, 3\n1.jpg, 3\n2.jpg, 4\n',
  [`bmk_${level}/query/0.jpg`]: picture,
  [`bmk_${level}/query/1.jpg`]: picture,
  [`bmk_${level}/gallery/0.jpg`]: picture,
  [`bmk_${level}/gallery/1.jpg`]: picture,
  [`bmk_${level}/gallery/2.jpg`]: picture,
});
const TRAINING: FileTree = {
  'train/label.csv':
    'fname, coarse_id, middle_id, fine_id0.jpg, 0, 1, 10\n1.jpg, 0, 1, 10\n2.jpg, 0, 2, 11\n3.jpg, 0, 2, 11\n',
  'train/imgs/0.jpg': picture,
  'train/imgs/1.jpg': picture,
  'train/imgs/2.jpg': picture,
  'train/imgs/3.jpg': picture,
};
const TREE: FileTree = { ...TRAINING, ...benchmark('fine'), ...benchmark('coarse') };
const PRODUCT: FileTree = {
  ...TRAINING,
  'mini-bmk_all_in_one/label.csv': 'fname, coarse_id, middle_id, fine_id0.jpg, 0, 0, 0\n1.jpg, 0, 0, 0\n',
  'mini-bmk_all_in_one/imgs/0.jpg': picture,
  'mini-bmk_all_in_one/imgs/1.jpg': picture,
};
const { tree, read } = datasetTrees(dymlReader, TREE);

describe('the reader of DyML', () => {
  it('reads the row that the header is glued to, and levels', async () => {
    const { rows, summary } = await read(await tree());
    expect(rows.map(({ relativePath, itemId, split }) => `${relativePath} ${itemId} ${split}`)).toEqual([
      'train/imgs/0.jpg train-10 train',
      'train/imgs/1.jpg train-10 train',
      'train/imgs/2.jpg train-11 train',
      'train/imgs/3.jpg train-11 train',
      'bmk_fine/query/0.jpg fine-3 query',
      'bmk_fine/query/1.jpg fine-4 query',
      'bmk_fine/gallery/0.jpg fine-3 gallery',
      'bmk_fine/gallery/1.jpg fine-3 gallery',
      'bmk_fine/gallery/2.jpg fine-4 gallery',
    ]);
    expect(rows[0]!.attributes).toEqual({ middle: ['train-1'], coarse: ['train-0'] });
    expect(summary.levels).toEqual(['middle', 'coarse']);
    expect(countsOf(summary)).toEqual({});
  });

  it('reads another benchmark, and headers on a line of their own', async () => {
    const files = Object.fromEntries(
      Object.entries(TREE).map(([path, content]) => [
        path,
        typeof content === 'string' ? content.replace(/(labels|fine_id)0\.jpg/, '$1\n0.jpg') : content,
      ]),
    );
    const { rows } = await read(await tree(files), { benchmark: 'coarse' });
    expect(rows).toHaveLength(9);
    expect(rows[4]).toMatchObject({ relativePath: 'bmk_coarse/query/0.jpg', itemId: 'coarse-3' });
    await expect(read(await tree(), { benchmark: 'middle' })).rejects.toThrow(
      "the benchmark's bmk_middle/query.csv is required, got none",
    );
  });

  it('reads all levels at once of Product', async () => {
    const { rows, summary } = await read(await tree(PRODUCT));
    expect(rows[4]).toMatchObject({
      relativePath: 'mini-bmk_all_in_one/imgs/0.jpg',
      itemId: 'test-0',
      split: 'test',
      attributes: { middle: ['test-0'], coarse: ['test-0'] },
    });
    expect(summary.protocol.judged).toBe('leave one out at every level');
  });

  it.each([
    [
      'fine_id0.jpg',
      'fine0.jpg',
      "train/label.csv:1: the header must be 'fname, coarse_id, middle_id, fine_id', got",
    ],
    ['1.jpg, 0, 1, 10', '1.jpg, 0, 1', 'train/label.csv:2: a row must have 4 cells, got 3'],
    [
      '1.jpg, 0, 1, 10',
      '1.jpg, 0, one, 10',
      "train/label.csv:2: middle_id: a whole number from 0 on is required, got 'one'",
    ],
  ])('refuses %j as %j, by its line', async (from, to, message) => {
    const folder = await tree({
      ...TREE,
      'train/label.csv': String(TREE['train/label.csv']).replace(from, to),
    });
    await expect(read(folder)).rejects.toThrow(message);
  });

  it.each(['train/label.csv', 'bmk_fine/query.csv'])('survives damage to %s', (file) =>
    expectToSurviveDamage(TREE, file, (root) => importDataset(dymlReader, root, { keepMissing: true })),
  );
});
