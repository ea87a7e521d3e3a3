import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, makeTree, picture } from '../../../test/support/file-tree.js';
import { importDataset } from './import-dataset.js';
import { inshopReader } from './inshop.js';

const PARTITION = [
  '9',
  'image_name                                       item_id     evaluation_status',
  'img/WOMEN/Dresses/id_00000001/02_1_front.jpg     id_00000001 train',
  'img/WOMEN/Dresses/id_00000001/02_2_side.jpg      id_00000001 train',
  'img/WOMEN/Blouses_Shirts/id_00000001/03_1_front.jpg id_00000001 train   ',
  'img/MEN/Denim/id_00000002/01_1_front.jpg         id_00000002 train',
  'img/WOMEN/Dresses/id_00000003/01_1_front.jpg     id_00000003 query',
  'img/WOMEN/Dresses/id_00000003/01_2_side.jpg      id_00000003 gallery',
  'img/WOMEN/Dresses/id_00000003/04_4_full.jpg      id_00000003 gallery',
  'img/MEN/Denim/id_00000004/01_1_front.jpg         id_00000004 query',
  'img/MEN/Denim/id_00000004/01_7_additional.jpg    id_00000004 gallery',
].join('\n');
const PATHS = PARTITION.split('\n')
  .slice(2)
  .map((line) => line.split(/\s+/)[0]!);
const TREE: FileTree = {
  'Eval/list_eval_partition.txt': PARTITION,
  'Anno/list_attr_cloth.txt': '3\nattribute_name\nlong sleeve\nthe\nV-neck  line\n',
  'Anno/list_attr_items.txt':
    '4\nitem_id attribute_labels\n' +
    'id_00000001      1 -1   0\nid_00000002     -1 -1  -1\nid_00000001      1 -1   0\nid_00000003  1 -1 1\n',
  'Anno/list_bbox_inshop.txt':
    '2\nimage_name  clothes_type pose_type x_1 y_1 x_2 y_2\n' +
    `${PATHS[0]}   3   1   050  012  210  250\n${PATHS[3]} 2 1 7 7 7 90\n`,
  'Anno/list_color_cloth.txt': `2\nimage_name  color\n${PATHS[0]}      Dark red|wine\n${PATHS[1]}   Black\n`,
  ...Object.fromEntries(PATHS.map((path) => [path, picture])),
};

const { tree, read } = datasetTrees(inshopReader, TREE);

describe('the reader of In-Shop', () => {
  it('reads pictures, items, splits and attributes', async () => {
    const folder = await tree();
    const { summary, rows } = await read(folder);
    expect(rows.map(({ relativePath }) => relativePath)).toEqual(PATHS);
    expect(rows.map(({ itemId, split }) => `${itemId.at(-1)} ${split}`)).toEqual([
      '1 train',
      '1 train',
      '1 train',
      '2 train',
      '3 query',
      '3 gallery',
      '3 gallery',
      '4 query',
      '4 gallery',
    ]);
    expect(rows[0]!.attributes).toEqual({
      category: ['Dresses'],
      gender: ['WOMEN'],
      clothes: ['full-body'],
      colour: ['Dark red/wine'],
      variant: ['id_00000001/02'],
      attributes: ['long sleeve'],
    });
    expect(rows[2]!.attributes).toMatchObject({ category: ['Blouses_Shirts'], variant: ['id_00000001/03'] });
    expect(rows[3]!.attributes.attributes).toEqual([]); // all of them no: nothing is known to be there
    expect(rows[4]!.attributes.attributes).toEqual(['long sleeve', 'V-neck line']);
    expect(rows[7]!.attributes.attributes).toEqual([]);
    expect(rows.every(({ box }) => box === undefined)).toBe(true);
    expect(summary.splits).toEqual({
      train: { pictures: 4, items: 2 },
      query: { pictures: 2, items: 2 },
      gallery: { pictures: 3, items: 2 },
    });
    expect(summary.protocol.recallAt).toEqual([1, 10, 20, 30, 40, 50]);
    expect(summary.differences).toContain('train: 4 pictures are listed, 25882 are official');
    expect(summary.differences).toHaveLength(6);
  });

  it('counts what is odd, a line a kind', async () => {
    const { summary } = await read(await tree());
    expect(countsOf(summary)).toEqual({
      'lines of attributes repeat an item': 1,
      'items have a line of attributes without any': 1,
      'boxes are empty or no boxes, and are ignored': 1,
      'items have no line of attributes': 1,
      'items occur under two categories': 1,
      'training items have one picture and make no positive pair': 1,
    });
  });

  it('writes boxes where they are asked for', async () => {
    const { rows } = await read(await tree(), { boxes: true });
    expect(rows[0]!.box).toEqual({ left: 50, top: 12, right: 210, bottom: 250 });
    expect(rows.slice(1).every(({ box }) => box === undefined)).toBe(true);
  });

  it.each([
    ['CRLF and a byte order mark', (text: string) => `\uFEFF${text.replaceAll('\n', '\r\n')}\r\n`],
    [
      'backslashes and ./',
      (text: string) => text.replace(/img\/\S+/g, (path) => `.\\${path.replaceAll('/', '\\')}`),
    ],
    ['blank lines', (text: string) => text.replaceAll('\n', '\n\n')],
  ])('reads %s', async (_, edit) => {
    const folder = await tree({ ...TREE, 'Eval/list_eval_partition.txt': edit(PARTITION) });
    expect((await read(folder)).rows.map(({ relativePath }) => relativePath)).toEqual(PATHS);
  });

  it.each([
    ['one level too high', (folder: string) => join(folder, '..'), 'in-shop/Clothes'],
    ['one level too low', (folder: string) => join(folder, 'Anno'), 'in-shop/Clothes'],
    ['in the folder of its listing', (folder: string) => join(folder, 'Eval'), 'in-shop/Clothes'],
    ['two levels too low', (folder: string) => join(folder, 'img', 'MEN'), 'in-shop/Clothes'],
  ])('finds a folder that was given %s', async (_, given, place) => {
    const outside = await tree({});
    const folder = await makeTree(TREE, join(outside, place));
    const { summary } = await read(given(folder));
    expect(summary.root).toBe(folder);
    expect(summary.notes[0]).toBe(`found in ${folder}`);
  });

  it('reads the layout with the listing at the root, attributes in a folder and pictures under Img', async () => {
    const moved = Object.fromEntries(
      Object.entries(TREE).map(([path, content]) => [
        path
          .replace('Eval/', '')
          .replace('Anno/list_attr', 'Anno/attributes/list_attr')
          .replace(/^img\//, 'Img/img/'),
        content,
      ]),
    );
    const { rows } = await read(await tree(moved));
    expect(rows[0]!.relativePath).toBe(`Img/${PATHS[0]}`);
    expect(rows[0]!.attributes.attributes).toEqual(['long sleeve']);
  });

  it('leaves out pictures that are not on disk, or keeps them', async () => {
    const { [PATHS[1]!]: _, ...files } = TREE;
    const folder = await tree(files);
    const { summary, rows } = await read(folder);
    expect(rows).toHaveLength(8);
    expect(countsOf(summary)['listed pictures are not on disk and are left out']).toBe(1);
    expect(summary.differences).toContain('train: 4 pictures are listed, 25882 are official');
    expect((await read(folder, { keepMissing: true })).rows).toHaveLength(9);
  });

  it('says where pictures belong when there are none', async () => {
    const { 'Eval/list_eval_partition.txt': listing } = TREE;
    const folder = await tree({ 'Eval/list_eval_partition.txt': listing! });
    await expect(read(folder)).rejects.toThrow(/none of 9 listed pictures is on disk, e\.g\. img.WOMEN/);
    expect((await read(folder, { keepMissing: true })).summary.notes).toContain(
      'no list_attr_cloth.txt: attributes are unknown',
    );
  });

  it('finds pictures whose ending differs in case', async () => {
    const { [PATHS[0]!]: _, ...files } = TREE;
    const { rows, summary } = await read(
      await tree({ ...files, [PATHS[0]!.replace('.jpg', '.JPG')]: picture }),
    );
    expect(rows[0]!.relativePath).toMatch(/02_1_front\.JPG$/);
    expect(countsOf(summary)['pictures differ from their listing in upper and lower case']).toBe(1);
  });

  it.each([
    ['train', 'trian', ":3: evaluation_status: one of train, query, gallery is required, got 'trian'"],
    ['     id_00000001 train', '', ':3: a row must have a picture, an item and train, query or gallery'],
    ['img/WOMEN', '../../etc/WOMEN', ':3: path: the place of a picture inside the dataset is required'],
    ['.jpg     id', '.jpg img/b.jpg id', ':3: a row must have one picture, got two'],
  ])('refuses a listing with %j as %j, by its line', async (from, to, message) => {
    const folder = await tree({ ...TREE, 'Eval/list_eval_partition.txt': PARTITION.replace(from, to) });
    await expect(read(folder)).rejects.toThrow(`list_eval_partition.txt${message}`);
  });

  it('refuses a folder without the dataset, and one that is not there', async () => {
    await expect(read(await tree({ 'readme.txt': 'x' }))).rejects.toThrow(
      "a folder with 'Eval/list_eval_partition.txt' or 'list_eval_partition.txt' is required",
    );
    await expect(read(join(await tree({}), 'gone'))).rejects.toThrow('an existing folder is required');
  });

  it('carves validation items out of training, the same every time', async () => {
    const folder = await tree();
    const { summary, rows } = await read(folder, { validationShare: 0.5 });
    expect(summary.splits.val?.items).toBe(1);
    expect(summary.splits.train?.items).toBe(1);
    expect((await read(folder, { validationShare: 0.5 })).rows).toEqual(rows);
    const official = (await read(folder)).rows;
    expect(rows.map(({ split }) => (split === 'val' ? 'train' : split))).toEqual(
      official.map(({ split }) => split),
    );
  });

  it.each(['Eval/list_eval_partition.txt', 'Anno/list_attr_items.txt', 'Anno/list_bbox_inshop.txt'])(
    'survives damage to %s',
    (file) =>
      expectToSurviveDamage(TREE, file, (root) => importDataset(inshopReader, root, { keepMissing: true })),
  );
});
