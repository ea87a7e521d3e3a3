import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { type FileTree, picture } from '../../../test/support/file-tree.js';
import { carAttributes, carsReader } from './cars.js';

const golden = (name: string) => readFile(join(import.meta.dirname, '../../../test/golden/mat-files', name));
const TREE: FileTree = {
  'cars_annos.mat': await golden('cars.mat'),
  ...Object.fromEntries(Array.from({ length: 6 }, (_, index) => [`car_ims/00000${index + 1}.jpg`, picture])),
};
const { tree, read } = datasetTrees(carsReader, TREE);
const ITEMS = [
  '001.AM General Hummer SUV 2000',
  '001.AM General Hummer SUV 2000',
  '098.Make9 Model97 SUV 1995',
  '099.Dodge Ram Pickup 3500 Quad Cab 2009',
  '099.Dodge Ram Pickup 3500 Quad Cab 2009',
  '196.smart fortwo Convertible 2012',
];

describe('the reader of Cars196', () => {
  it('reads what SciPy wrote and splits by class', async () => {
    const { rows, summary } = await read(await tree(), { boxes: true });
    expect(rows.map(({ itemId }) => itemId)).toEqual(ITEMS);
    expect(rows.map(({ split }) => split)).toEqual(['train', 'train', 'train', 'test', 'test', 'test']);
    expect(rows[0]).toMatchObject({
      relativePath: 'car_ims/000001.jpg',
      attributes: { make: ['AM General'], body: ['SUV'], year: ['2000'] },
      box: { left: 112, top: 7, right: 853, bottom: 717 },
    });
    expect(countsOf(summary)).toEqual({
      'boxes are missing or empty': 1,
      'training items have one picture and make no positive pair': 1,
      'test items have one picture, and so no match': 1,
    });
    expect(summary.differences).toContain('train: 3 pictures are listed, 8054 are official');
  });

  it('reads a compressed file, and pictures beside it', async () => {
    const files = Object.fromEntries(Object.entries(TREE).map(([path, content]) => [path, content]));
    const { rows } = await read(
      await tree({ ...files, 'cars_annos.mat': await golden('cars-compressed.mat') }),
    );
    expect(rows.map(({ itemId }) => itemId)).toEqual(ITEMS);
  });

  it.each([
    ['devkit/', 'devkit/', ''],
    ['devkit/', '', ''],
    ['', '', ''],
  ])('reads the devkit in %j, its test labels in %j', async (devkit, testFolder) => {
    const files: FileTree = {
      [`${devkit}cars_meta.mat`]: await golden('devkit-meta.mat'),
      [`${devkit}cars_train_annos.mat`]: await golden('devkit-train.mat'),
      [`${testFolder}cars_test_annos_withlabels.mat`]: await golden('devkit-test.mat'),
      'cars_train/000001.jpg': picture,
      'cars_train/000002.jpg': picture,
      'cars_train/000003.jpg': picture,
      'cars_test/000004.jpg': picture,
      'cars_test/000005.jpg': picture,
      'cars_test/000006.jpg': picture,
    };
    const { rows } = await read(await tree(files));
    expect(rows.map(({ itemId }) => itemId)).toEqual(ITEMS);
    expect(rows[3]!.relativePath).toBe('cars_test/000004.jpg');
  });

  it('says what the devkit lacks', async () => {
    const folder = await tree({
      'cars_meta.mat': await golden('devkit-meta.mat'),
      'cars_train_annos.mat': await golden('devkit-train.mat'),
    });
    await expect(read(folder)).rejects.toThrow(
      'cars_test_annos_withlabels.mat is required beside cars_meta.mat',
    );
  });

  it('refuses a MAT-file of something else', async () => {
    const folder = await tree({ ...TREE, 'cars_annos.mat': await golden('kinds.mat') });
    await expect(read(folder)).rejects.toThrow("a cell array 'class_names' of texts is required, got none");
  });

  it.each([
    ['Ram C/V Cargo Van Minivan 2012', { make: ['Ram'], body: ['Minivan'], year: ['2012'] }],
    ['Aston Martin V8 Vantage Coupe 2012', { make: ['Aston Martin'], body: ['Coupe'], year: ['2012'] }],
    ['Ford F-450 Super Duty Crew Cab 2012', { make: ['Ford'], body: ['Pickup'], year: ['2012'] }],
    ['Acura Integra Type R 2001', { make: ['Acura'], body: [], year: ['2001'] }],
    ['Land Rover LR2 SUV', { make: ['Land Rover'], body: ['SUV'], year: [] }],
  ])('reads the name %j', (name, attributes) => {
    expect(carAttributes(name)).toEqual(attributes);
  });
});
