import { symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { type FileTree, picture } from '../../../test/support/file-tree.js';
import { pictureFolderReader } from './picture-folder.js';

const items = (prefix: string, count: number, from = 0): FileTree =>
  Object.fromEntries(
    Array.from({ length: count }, (_, item) =>
      [0, 1].map((index) => [`${prefix}item ${item + from}/${index}.jpg`, picture] as const),
    ).flat(),
  );
const { tree, read } = datasetTrees(pictureFolderReader, {});

describe('the reader of a plain folder', () => {
  it('divides items by hash where there are no splits', async () => {
    const folder = await tree(items('', 40));
    const { summary, rows } = await read(folder, { validationShare: 0.2, testShare: 0.25 });
    expect(summary.splits).toMatchObject({ train: { items: 24 }, val: { items: 6 }, test: { items: 10 } });
    expect(summary.notes).toContain('no folders named like splits: items were divided by hash');
    const sides = new Map<string, Set<string>>();
    for (const { itemId, split } of rows) sides.set(itemId, (sides.get(itemId) ?? new Set()).add(split));
    expect([...sides.values()].every(({ size }) => size === 1)).toBe(true);
    expect((await read(folder, { validationShare: 0.2, testShare: 0.25 })).rows).toEqual(rows);
    expect((await read(folder, { testShare: 0 })).summary.splits).toEqual({
      train: { pictures: 80, items: 40 },
    });
  });

  it('reads split/item/picture, under the usual names of splits', async () => {
    const { rows, summary } = await read(
      await tree({
        ...items('Train/', 2),
        ...items('valid/', 1, 2),
        ...items('query/', 1, 3),
        ...items('gallery/', 1, 3),
      }),
    );
    expect(summary.splits).toMatchObject({
      train: { items: 2 },
      val: { items: 1 },
      query: { items: 1 },
      gallery: { items: 1 },
    });
    expect(rows.find(({ split }) => split === 'query')!.itemId).toBe('item 3');
    expect(summary.notes).toEqual([]);
  });

  it('reads kind/item/picture and split/kind/item/picture', async () => {
    const kinds = await read(await tree({ ...items('shoes/', 2), ...items('hats/', 2) }), { testShare: 0 });
    expect(kinds.rows[0]).toMatchObject({ itemId: 'hats/item 0', attributes: { kind: ['hats'] } });
    expect(kinds.summary.levels).toEqual(['kind']);
    const both = await read(await tree({ ...items('train/shoes/', 2), ...items('test/hats/', 2) }));
    expect(both.rows[0]).toMatchObject({
      itemId: 'hats/item 0',
      split: 'test',
      attributes: { kind: ['hats'] },
    });
  });

  it('takes a folder that was given too high, and refuses one that is too low', async () => {
    const folder = await tree({
      ...items('data/set/train/', 2),
      ...items('data/set/test/', 2, 2),
      'readme.txt': '',
    });
    const { summary, rows } = await read(folder);
    expect(summary.notes).toEqual([
      "everything stands in 'data', which is taken as the folder of the dataset",
      "everything stands in 'set', which is taken as the folder of the dataset",
    ]);
    expect(rows[0]!.relativePath).toBe('data/set/test/item 2/0.jpg');
    await expect(read(join(folder, 'data/set/train/item 0'))).rejects.toThrow(
      'pictures must stand in a folder for each item (item/picture.jpg), got pictures without one',
    );
  });

  it('passes over leftovers and other files, and counts them', async () => {
    const folder = await tree({
      ...items('', 2),
      'item 0/._0.jpg': 'x',
      '__MACOSX/item 0/0.jpg': picture,
      '.DS_Store': 'x',
      'item 0/notes.txt': 'x',
      'item 0/deeper/0.jpg': picture,
      'item 1/2.JPEG': picture,
    });
    const { rows, summary } = await read(folder, { testShare: 0 });
    expect(rows).toHaveLength(5);
    expect(countsOf(summary)).toEqual({
      'hidden files and leftovers of unpacking are passed over': 3,
      'files are no pictures by their names and are passed over': 1,
      'pictures stand at another depth than most and are left out': 1,
    });
  });

  it('follows links, and stops where they lead in circles', async () => {
    const folder = await tree(items('', 2));
    await symlink(folder, join(folder, 'item 0', 'circle'));
    await symlink(join(folder, 'gone.jpg'), join(folder, 'item 0', 'broken.jpg'));
    const { summary } = await read(folder, { testShare: 0 });
    expect(countsOf(summary)['folders are too deep and are passed over']).toBeGreaterThan(0);
  });

  it('reads names of every kind', async () => {
    const names = ['a,b', '"q"', 'ü', '日本', '=1+1', '-x', 'constructor', 'a;b'];
    const folder = await tree(Object.fromEntries(names.map((name) => [`${name}/${name}.jpg`, picture])));
    expect((await read(folder, { testShare: 0 })).rows.map(({ itemId }) => itemId).sort()).toEqual(
      [...names].sort(),
    );
  });

  it('refuses an empty folder', async () => {
    await expect(read(await tree({ 'a.txt': '' }))).rejects.toThrow(
      'pictures as item/picture.jpg are required, got none',
    );
  });
});
