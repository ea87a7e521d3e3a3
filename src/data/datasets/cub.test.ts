import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, picture } from '../../../test/support/file-tree.js';
import { cubReader } from './cub.js';
import { importDataset } from './import-dataset.js';

const PATHS = [
  '001.Black_footed_Albatross/Black_Footed_Albatross_0046_18.jpg',
  '001.Black_footed_Albatross/Black_Footed_Albatross_0009_34.jpg',
  '002.Laysan_Albatross/Laysan_Albatross_0002_1027.jpg',
  '100.Brown_Pelican/Brown_Pelican_0122_94022.jpg',
  '101.White_Pelican/White_Pelican_0026_96847.jpg',
  '101.White_Pelican/White_Pelican_0073_96099.jpg',
];
const CLASS_OF = [1, 1, 2, 100, 101, 101];
const lines = (values: readonly string[]) => values.map((value, index) => `${index + 1} ${value}\n`).join('');
/** 312 attributes: three of the bill's shape, 309 of the wing's colour. */
const ATTRIBUTES = Array.from({ length: 312 }, (_, index) =>
  index < 3
    ? `has_bill_shape::${['curved_(up_or_down)', 'dagger', 'hooked'][index]}`
    : `has_wing_color::c${index}`,
);
const labelLines = (image: number, special: Readonly<Record<number, string>> = {}) =>
  ATTRIBUTES.map((_, index) => special[index + 1] ?? `${image} ${index + 1} 0 4 1.5`);
const LABELS = [
  ...labelLines(1, { 2: '1 2 1 3 2.09', 3: '1 3 1 1 2.09', 5: '1 5 1 4 0.4', 6: '1 6 1 4 0.4' }),
  ...labelLines(2, { 1: '2 1 1 4 0 1.509' }),
  ...labelLines(3, { 2: '3 2 1 1 9.0' }),
  ...labelLines(4).slice(0, 300),
  ...labelLines(5),
  ...labelLines(6, { 7: '6 7 2 4 1', 8: '6 999 1 4 1', 9: '6 9 1 7 1' }),
];
const ALBATROSS = '001.Black_footed_Albatross';
const TREE: FileTree = {
  'images.txt': lines(PATHS),
  'image_class_labels.txt': lines(CLASS_OF.map(String)),
  'classes.txt': `1 ${ALBATROSS}\n2 002.Laysan_Albatross\n100 100.Brown_Pelican\n101 101.White_Pelican\n`,
  'bounding_boxes.txt': '1 60.0 27.0 325.0 304.0\n2 139.0 30.0 153.0 264.0\n3 10 10 0 10\n',
  'train_test_split.txt': lines(['0', '1', '0', '1', '1', '0']),
  'attributes/image_attribute_labels.txt': `${LABELS.join('\n')}\n`,
  'attributes.txt': lines(ATTRIBUTES),
  '._images.txt': 'Mac OS X\0',
  ...Object.fromEntries(PATHS.map((path) => [`images/${path}`, picture])),
  [`images/${ALBATROSS}/._Black_Footed_Albatross_0046_18.jpg`]: 'Mac OS X',
};
const { tree, read } = datasetTrees(cubReader, TREE);

describe('the reader of CUB-200-2011', () => {
  it('splits by class and ignores the split of classification', async () => {
    const { rows, summary } = await read(await tree());
    expect(rows.map(({ relativePath, itemId, split }) => [relativePath, itemId, split])).toEqual(
      PATHS.map((path, index) => [
        `images/${path}`,
        path.split('/')[0],
        CLASS_OF[index]! <= 100 ? 'train' : 'test',
      ]),
    );
    expect(rows.map(({ attributes }) => attributes.kind)).toEqual(
      ['Albatross', 'Albatross', 'Albatross', 'Pelican', 'Pelican', 'Pelican'].map((kind) => [kind]),
    );
    expect(summary.protocol.recallAt).toEqual([1, 2, 4, 8]);
    expect(summary.differences).toEqual([
      'train: 4 pictures are listed, 5864 are official',
      'train: 3 items are listed, 100 are official',
      'test: 2 pictures are listed, 5924 are official',
      'test: 1 items are listed, 100 are official',
    ]);
  });

  it('reads the attributes that are visible, takes four fields and counts what is odd', async () => {
    const { rows, summary } = await read(await tree());
    expect(rows[0]!.attributes).toMatchObject({ bill_shape: ['dagger'], wing_color: ['c4', 'c5'] });
    expect(rows[1]!.attributes.bill_shape).toEqual(['curved (up or down)']);
    expect(rows[2]!.attributes.bill_shape).toEqual([]); // not visible: unknown
    expect(countsOf(summary)).toEqual({
      'lines of boxes cannot be read and are ignored': 1,
      'lines of attributes have more or fewer fields than five; the first four count': 1,
      'lines of attributes are out of range and are ignored': 3,
      'pictures do not have 312 lines of attributes': 2,
      'training items have one picture and make no positive pair': 2,
    });
    expect(summary.anomalies.find(({ kind }) => kind.includes('range'))!.first).toBe(
      `line ${312 * 4 - 12 + 312 + 7}: 6 7 2 4 1`,
    );
  });

  it('turns corner, width and height into boxes', async () => {
    const { rows, summary } = await read(await tree(), { boxes: true });
    expect(rows[0]!.box).toEqual({ left: 60, top: 27, right: 385, bottom: 331 });
    expect(rows[2]!.box).toBeUndefined();
    expect(countsOf(summary)).toMatchObject({ 'lines of boxes cannot be read and are ignored': 1 });
  });

  it.each(['attributes/attributes.txt', '../attributes.txt'])('finds %s', async (place) => {
    const outside = await tree({ 'readme.txt': '' });
    const { 'attributes.txt': names, ...files } = TREE;
    const folder = join(outside, 'CUB_200_2011');
    await rename(await tree({ ...files, [place.replace('../', 'up/')]: names! }), folder);
    if (place.startsWith('..'))
      await rename(join(folder, 'up/attributes.txt'), join(outside, 'attributes.txt'));
    const { rows, summary } = await read(outside); // one level too high
    expect(summary.root).toBe(folder);
    expect(rows[0]!.attributes.bill_shape).toEqual(['dagger']);
  });

  it('reads without attributes, and from a folder one level too low', async () => {
    const { 'attributes/image_attribute_labels.txt': _, ...files } = TREE;
    const folder = await tree(files);
    const { summary } = await read(join(folder, 'images'));
    expect(summary.root).toBe(folder);
    expect(Object.keys(summary.attributes)).toEqual(['kind']);
    expect(summary.notes).toContain('no attributes/image_attribute_labels.txt: attributes are unknown');
  });

  it('keeps classes of a kind on one side of validation', async () => {
    const { rows } = await read(await tree(), { validationShare: 0.3 });
    const kinds = (split: string) =>
      new Set(rows.filter((row) => row.split === split).map((row) => row.attributes.kind![0]));
    expect([...kinds('train')].filter((kind) => kinds('val').has(kind))).toEqual([]);
    expect(kinds('val').size).toBe(1);
  });

  it.each([
    [
      'images.txt',
      '2 001',
      'two 001',
      "images.txt:2: image: a whole number from 1 on is required, got 'two'",
    ],
    ['images.txt', '2 001', '1 001', 'images.txt:2: image: every number must occur once, got 1 again'],
    [
      'image_class_labels.txt',
      '2 1\n',
      '',
      'images.txt:2: image 2 must have a line in image_class_labels.txt',
    ],
    [
      'image_class_labels.txt',
      '2 1\n',
      '2 77\n',
      'images.txt:2: image 2 must have a class of classes.txt, got 77',
    ],
    [
      'attributes.txt',
      'has_bill_shape::dagger',
      'dagger',
      'attributes.txt:2: attribute: a name and a value such as',
    ],
  ])('refuses %s with %j as %j, by its line', async (file, from, to, message) => {
    const folder = await tree({ ...TREE, [file]: String(TREE[file]).replace(from, to) });
    await expect(read(folder)).rejects.toThrow(message);
  });

  it.each(['images.txt', 'image_class_labels.txt', 'classes.txt', 'bounding_boxes.txt', 'attributes.txt'])(
    'survives damage to %s',
    (file) =>
      expectToSurviveDamage(TREE, file, (root) => importDataset(cubReader, root, { keepMissing: true }), {
        runs: 25,
      }),
  );
});
