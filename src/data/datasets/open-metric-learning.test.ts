import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, picture } from '../../../test/support/file-tree.js';
import { importDataset } from './import-dataset.js';
import { openMetricLearningReader } from './open-metric-learning.js';

const TREE: FileTree = {
  'df.csv':
    'label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2\n' +
    '0,images/0.jpg,train,,,shoe,,,,\n0,images/1.jpg,train,,,shoe,1,4,0,5\n1,.\\images\\2.jpg,train,,,shoe,,,,\n' +
    '1,images/3.jpg,train,,,shoe,,,,\n7,images/4.jpg,validation,True,False,hat,,,,\n' +
    '7,images/5.jpg,validation,False,True,shoe,,,,\n8,images/6.jpg,validation,True,True,hat,,,,\n',
  ...Object.fromEntries(Array.from({ length: 7 }, (_, index) => [`images/${index}.jpg`, picture])),
};
const { tree, read } = datasetTrees(openMetricLearningReader, TREE);

describe("the reader of Open Metric Learning's CSV", () => {
  it('converts, from the folder or the file', async () => {
    const folder = await tree();
    const { rows, summary } = await read(folder);
    expect(rows.map(({ itemId, split }) => `${itemId} ${split}`)).toEqual([
      '0 train',
      '0 train',
      '1 train',
      '1 train',
      '7 query',
      '7 gallery',
      '8 test',
    ]);
    expect(rows[1]!.box).toEqual({ left: 1, top: 0, right: 4, bottom: 5 });
    expect(rows[2]!.relativePath).toBe('images/2.jpg');
    expect(countsOf(summary)).toEqual({
      'pictures have another category than their item': 1,
      'test items have one picture, and so no match': 1,
    });
    expect(summary.levels).toEqual(['category']);
    expect(summary.notes).toEqual([]);
    expect((await read(join(folder, 'df.csv'))).rows).toEqual(rows);
  });

  it('warns of a split of classification, in which items are on both sides', async () => {
    const csv = String(TREE['df.csv']).replaceAll('\n7,', '\n1,');
    const { summary } = await read(await tree({ ...TREE, 'df.csv': csv }));
    expect(summary.notes[0]).toMatch(
      /^1 of 2 judged labels are trained on: this is a split of classification/,
    );
    expect(countsOf(summary)).toMatchObject({ 'items are both in training and in test': 1 });
  });

  it('keeps an official split recoverable', async () => {
    const { summary } = await read(await tree(), { validationShare: 0.5 });
    expect(summary.splits).toMatchObject({ train: { items: 1 }, val: { items: 1 } });
    expect(summary.notes).toContain('splits train and val together are the official training part');
  });

  it('survives damage', () =>
    expectToSurviveDamage(TREE, 'df.csv', (root) =>
      importDataset(openMetricLearningReader, root, { keepMissing: true, out: join(root, 'out.csv') }),
    ));
});
