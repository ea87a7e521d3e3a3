import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countsOf, datasetTrees } from '../../../test/support/dataset-trees.js';
import { expectToSurviveDamage, type FileTree, picture } from '../../../test/support/file-tree.js';
import { importDataset } from './import-dataset.js';
import { inaturalistReader } from './inaturalist.js';
import { readJsonMember } from './json-member.js';

const PATHS = [
  'train_val2018/Aves/2761/a.jpg',
  'train_val2018/Aves/2761/b.jpg',
  'train_val2018/Plantae/6000/c.jpg',
  'train_val2018/Plantae/6000/d.jpg',
  'train_val2018/Aves/2762/e.jpg',
  'train_val2018/Aves/2762/f.jpg',
];
const bird = (id: number, genus: string) => ({
  id,
  name: `Bird "${id}"`,
  supercategory: 'Aves',
  kingdom: 'Animalia',
  phylum: 'Chordata',
  class: 'Aves',
  order: 'Passeriformes',
  family: 'Corvidae',
  genus,
});
const CATEGORIES = [bird(2761, 'Corvus'), bird(2762, 'Pica'), { ...bird(6000, 'Rosa'), class: undefined }];
const TREE: FileTree = {
  'Inat_dataset_splits/Inaturalist_train_set1.txt': `${PATHS.slice(0, 4).join('\n')}\n`,
  'Inat_dataset_splits/Inaturalist_test_set1.txt': `${PATHS.slice(4).join('\r\n')}\r\n`,
  'train2018.json': JSON.stringify({
    info: { description: 'a "categories": [1] trap', categories: [] },
    images: [{ id: 1, file_name: PATHS[0] }],
    categories: CATEGORIES,
    annotations: [{ id: 1, category_id: 2761 }],
  }),
  ...Object.fromEntries(PATHS.map((path) => [path, picture])),
};
const { tree, read } = datasetTrees(inaturalistReader, TREE);

describe('the reader of iNaturalist 2018', () => {
  it('reads species, splits and the taxonomy as levels', async () => {
    const { rows, summary } = await read(await tree());
    expect(rows.map(({ itemId, split }) => `${itemId} ${split}`)).toEqual([
      '2761 train',
      '2761 train',
      '6000 train',
      '6000 train',
      '2762 test',
      '2762 test',
    ]);
    expect(rows[0]!.attributes).toEqual({
      genus: ['Corvus'],
      family: ['Corvidae'],
      order: ['Passeriformes'],
      class: ['Aves'],
      phylum: ['Chordata'],
      kingdom: ['Animalia'],
      supercategory: ['Aves'],
    });
    expect(rows[2]!.attributes).toMatchObject({ genus: [], supercategory: ['Plantae'] });
    expect(summary.levels).toEqual(['genus', 'family', 'order', 'class', 'phylum', 'kingdom']);
    expect(countsOf(summary)).toEqual({
      'categories have no whole taxonomy': 1,
      'species are not in the taxonomy': 1,
    });
    expect(summary.differences).toContain('test: 1 items are listed, 2452 are official');
  });

  it('takes the taxonomy from categories.json, and does without one', async () => {
    const { 'train2018.json': _, ...files } = TREE;
    const alone = await read(await tree({ ...files, 'categories.json': JSON.stringify(CATEGORIES) }));
    expect(alone.rows[0]!.attributes.genus).toEqual(['Corvus']);
    const without = await read(
      await tree({ ...files, 'train2018.json': '{"categories": [{"id": 1, "name": "1"}]}' }),
    );
    expect(without.summary.levels).toEqual(['supercategory']);
    expect(Object.keys(without.summary.attributes)).toEqual(['supercategory']);
  });

  it('refuses a line that is no path of a picture', async () => {
    const list = 'Inat_dataset_splits/Inaturalist_test_set1.txt';
    const folder = await tree({ ...TREE, [list]: 'train_val2018/Aves/2762/e.jpg\nhello\n' });
    await expect(read(folder)).rejects.toThrow(`${list}:2: a path such as train_val2018/Aves/2761/photo.jpg`);
  });

  it.each(['Inat_dataset_splits/Inaturalist_train_set1.txt', 'train2018.json'])(
    'survives damage to %s',
    (file) =>
      expectToSurviveDamage(TREE, file, (root) =>
        importDataset(inaturalistReader, root, { keepMissing: true }),
      ),
  );
});

describe('readJsonMember', () => {
  it('finds what JSON.parse finds', async () => {
    const root = await tree({});
    const file = join(root, 'x.json');
    await fc.assert(
      fc.asyncProperty(
        fc.dictionary(
          fc.constantFrom('a', 'wanted', 'wanted2', 'b"c', 'd\\', ''),
          fc.jsonValue({ maxDepth: 3 }),
        ),
        fc.constantFrom(undefined, 2),
        async (value, indent) => {
          await writeFile(file, JSON.stringify(value, null, indent));
          const expected = Object.hasOwn(value, 'wanted')
            ? JSON.parse(JSON.stringify(value)).wanted
            : undefined;
          expect(await readJsonMember(file, 'wanted')).toEqual(expected);
        },
      ),
      { numRuns: 200 },
    );
  });

  it('finds a member beyond the first megabytes, cut anywhere', async () => {
    const root = await tree({});
    for (const padding of [1 << 20, (1 << 20) - 9, (1 << 20) - 3, (2 << 20) + 1]) {
      const file = join(root, 'big.json');
      await writeFile(
        file,
        JSON.stringify({ before: 'x'.repeat(padding), wanted: ['é', 1], after: [{ wanted: 2 }] }),
      );
      expect(await readJsonMember(file, 'wanted')).toEqual(['é', 1]);
    }
  });

  it.each([
    ['[1]', undefined],
    ['{"wanted": 1', 'must hold a whole JSON object, got one that is cut off'],
    ['{"wanted": tru}', 'cannot be read as JSON'],
    ['hello', "cannot be read as JSON: a JSON object is required, got 'hello'"],
    ['', 'must hold a whole JSON object'],
  ])('of %j', async (content, message) => {
    const root = await tree({ 'x.json': content });
    const reading = readJsonMember(join(root, 'x.json'), 'wanted');
    if (message === undefined) expect(await reading).toBeUndefined();
    else await expect(reading).rejects.toThrow(message);
  });
});
