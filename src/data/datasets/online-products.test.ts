import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, picture } from '../../../test/support/file-tree.js';
import { importDataset } from './import-dataset.js';
import { onlineProductsReader } from './online-products.js';

const HEADER = 'image_id class_id super_class_id path\n';
const TREE: FileTree = {
  'Ebay_train.txt':
    `${HEADER}1 1 1 bicycle_final/111085122871_0.JPG\n2 1 1 bicycle_final/111085122871_1.JPG\n` +
    '3 2 5 coffee_maker_final/110890561520_0.JPG\n4 2 5 coffee_maker_final/110890561520_1.JPG\n',
  'Ebay_test.txt':
    `${HEADER}59552 11319 1 bicycle_final/251952414262_0.JPG\n59553 11319 1 bicycle_final/251952414262_1.JPG\n` +
    '59554 11320 5 chair_final/251952414263_0.JPG\n59555 11320 1 bicycle_final/251952414262_1.JPG\n',
  ...Object.fromEntries(
    [
      'bicycle_final/111085122871_0.JPG',
      'bicycle_final/111085122871_1.JPG',
      'coffee_maker_final/110890561520_0.JPG',
      'coffee_maker_final/110890561520_1.JPG',
      'bicycle_final/251952414262_0.JPG',
      'bicycle_final/251952414262_1.JPG',
      'chair_final/251952414263_0.JPG',
    ].map((path) => [path, picture]),
  ),
};
const { tree, read } = datasetTrees(onlineProductsReader, TREE);

describe('the reader of Stanford Online Products', () => {
  it('reads products, splits and categories', async () => {
    const { rows, summary } = await read(await tree());
    expect(rows.map(({ itemId, split, attributes }) => [itemId, split, attributes.category![0]])).toEqual([
      ['1', 'train', 'bicycle'],
      ['1', 'train', 'bicycle'],
      ['2', 'train', 'coffee_maker'],
      ['2', 'train', 'coffee_maker'],
      ['11319', 'test', 'bicycle'],
      ['11319', 'test', 'bicycle'],
      ['11320', 'test', 'chair'],
    ]);
    expect(countsOf(summary)).toEqual({
      'pictures listed twice, with different items or splits; the first counts': 1,
      'test items have one picture, and so no match': 1,
    });
    expect(summary.protocol.recallAt).toEqual([1, 10, 100, 1000]);
    expect(summary.levels).toEqual(['category']);
  });

  it('reads lists without their header', async () => {
    const { rows, summary } = await read(
      await tree({ ...TREE, 'Ebay_train.txt': String(TREE['Ebay_train.txt']).replace(HEADER, '') }),
    );
    expect(rows).toHaveLength(7);
    expect(countsOf(summary)).toMatchObject({ 'listings have no header': 1 });
  });

  it.each([
    [
      '3 2 5 coffee',
      '3 x 5 coffee',
      "Ebay_train.txt:4: class_id: a whole number from 0 on is required, got 'x'",
    ],
    [
      '3 2 5 coffee_maker_final/110890561520_0.JPG',
      '3 2 5',
      'Ebay_train.txt:4: a row must have image, class',
    ],
  ])('refuses %j as %j, by its line', async (from, to, message) => {
    const folder = await tree({
      ...TREE,
      'Ebay_train.txt': String(TREE['Ebay_train.txt']).replace(from, to),
    });
    await expect(read(folder)).rejects.toThrow(message);
  });

  it('says which list is missing', async () => {
    const { 'Ebay_test.txt': _, ...files } = TREE;
    await expect(read(await tree(files))).rejects.toThrow('Ebay_test.txt: cannot be read: no such file');
  });

  it('survives damage', () =>
    expectToSurviveDamage(TREE, 'Ebay_train.txt', (root) =>
      importDataset(onlineProductsReader, root, { keepMissing: true }),
    ));
});
