import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import { type ManifestEntry, readManifest, SPLITS, writeManifest } from './manifest.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-manifest-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

async function file(text: string, name = 'manifest.csv'): Promise<string> {
  const path = join(folder, name);
  await writeFile(path, text);
  return path;
}

describe('readManifest', () => {
  it('reads paths, sources, single and several values, and unknown cells', async () => {
    const path = await file(
      'path,item_id,split,source,source_group,colour,pattern\n' +
        'a.jpg,1,train,ann,studio,red|blue,\n' +
        'sub/b c.jpg,2,gallery,bob,,red,"dots, small"\n',
    );
    const { rows, attributeNames } = await readManifest(path);
    expect(attributeNames).toEqual(['colour', 'pattern']);
    expect(rows[0]).toEqual({
      path: join(folder, 'a.jpg'),
      relativePath: 'a.jpg',
      itemId: '1',
      split: 'train',
      source: 'ann',
      sourceGroup: 'studio',
      attributes: { colour: ['red', 'blue'], pattern: [] },
      line: 2,
    });
    expect(rows[1]).toMatchObject({
      path: join(folder, 'sub', 'b c.jpg'),
      sourceGroup: 'bob',
      attributes: { colour: ['red'], pattern: ['dots, small'] },
      line: 3,
    });
  });

  it('survives a byte order mark, CRLF, empty lines and a line break in a cell', async () => {
    const path = await file('\uFEFFpath,item_id,split\r\n\r\na.jpg,"x\ny",train\r\nb.jpg,z,val\r\n');
    const { rows } = await readManifest(path);
    expect(rows.map((row) => [row.itemId, row.split])).toEqual([
      ['x\ny', 'train'],
      ['z', 'val'],
    ]);
  });

  it('keeps names as they are: leading and trailing spaces, formula, hash, emoji', async () => {
    const names = [' both .jpg', '=formula.jpg', '#%20.jpg', '👗 dress.jpg', '-dash.jpg'];
    const path = await file(`path,item_id,split\n${names.map((name) => `${name},1,test\n`).join('')}`);
    expect((await readManifest(path)).rows.map((row) => row.relativePath)).toEqual(names);
  });

  it('reads JSON lines with lists, numbers, booleans and null', async () => {
    const path = await file(
      '{"path":"a.jpg","item_id":7,"split":"train","tags":["x","y|z"],"kids":false,"size":null}\n\n' +
        '{"path":"b.jpg","item_id":"8","split":"val"}\n',
      'm.jsonl',
    );
    const { rows, attributeNames } = await readManifest(path);
    expect(attributeNames).toEqual(['tags', 'kids', 'size']);
    expect(rows[0]).toMatchObject({
      itemId: '7',
      attributes: { tags: ['x', 'y', 'z'], kids: ['false'], size: [] },
    });
    expect(rows[1]).toMatchObject({ line: 3, attributes: { tags: [], kids: [], size: [] } });
  });

  it("reads Open Metric Learning's header", async () => {
    const path = await file(
      'label,path,split,is_query,is_gallery,category,x_1,x_2,y_1,y_2\n' +
        '0,a.jpg,train,,,hat,1,5,2,6\n' +
        '1,b.jpg,validation,True,True,hat,,,,\n' +
        '1,c.jpg,validation,True,False,shoe,,,,\n' +
        '1,d.jpg,validation,0,1,shoe,,,,\n',
    );
    const { rows, attributeNames } = await readManifest(path);
    expect(attributeNames).toEqual(['category']);
    expect(rows.map((row) => [row.itemId, row.split])).toEqual([
      ['0', 'train'],
      ['1', 'test'],
      ['1', 'query'],
      ['1', 'gallery'],
    ]);
    expect(rows[0]?.box).toEqual({ left: 1, right: 5, top: 2, bottom: 6 });
    expect(rows[1]?.box).toBeUndefined();
  });

  it.each([
    [
      'no path column',
      'item_id,split\n1,train\n',
      ":1: manifest: a column 'path' is required, got 'item_id', 'split'",
    ],
    ['no item column', 'path,split\na.jpg,train\n', ":1: manifest: a column 'item_id' is required"],
    ['no split column', 'path,item_id\na.jpg,1\n', ":1: manifest: a column 'split' is required"],
    [
      'unknown split',
      'path,item_id,split\na,1,train\nb,1,dev\n',
      ':3: split: one of train, val, query, gallery, test is',
    ],
    ['unknown OML split', 'path,label,split\na,1,val\n', ':2: split: one of train, validation is required'],
    [
      'OML without flags',
      'path,label,split\na,1,validation\n',
      ":2: manifest: rows of the split 'validation' require",
    ],
    ['empty path', 'path,item_id,split\n ,1,train\n', ':2: path: '],
    ['empty item', 'path,item_id,split\na,,train\n', ':2: item_id: '],
    ['no rows', 'path,item_id,split\n', 'at least one row'],
    ['empty file', '', 'a header line is required'],
    [
      'repeated column',
      'path,item_id,split,a,a\nx,1,train,,\n',
      ':1: manifest: every column needs a name of its own',
    ],
    ['nameless column', 'path,item_id,split,\nx,1,train,\n', 'column 4 has no name'],
    [
      'too few cells',
      'path,item_id,split,a\nx,1,train\n',
      ':2: manifest: a row must have 4 cells like the header, got 3',
    ],
    ['too many cells', 'path,item_id,split\nx,1,train,\n', ':2: manifest: a row must have 3 cells'],
    ['open quote', 'path,item_id,split\n"x,1,train\n', 'manifest is not valid CSV'],
    ['stray quote', 'path,item_id,split\nx"y"z,1,train\n', ':2: manifest is not valid CSV'],
    ['half a box', 'path,item_id,split,x_1,x_2,y_1,y_2\na,1,train,1,2,3,\n', ':2: box: '],
    ['box inside out', 'path,item_id,split,x_1,x_2,y_1,y_2\na,1,train,5,2,3,4\n', ':2: box: '],
  ])('refuses %s with file and line', async (_, text, message) => {
    const path = await file(text);
    const error = await readManifest(path).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toContain(message.startsWith(':') ? path + message : message);
    expect((error as Error).message).not.toContain('\n');
  });

  it.each([
    ['broken', '{"path":', ':1: manifest is not valid JSON'],
    ['no object', '[1]', ':1: manifest: a line must be a JSON object'],
    ['nested', '{"path":"a","item_id":"1","split":"train","x":{"y":1}}', ':1: x: text, a number'],
  ])('refuses JSON lines that are %s', async (_, text, message) => {
    await expect(readManifest(await file(text, 'm.jsonl'))).rejects.toThrow(message);
  });

  it('names a manifest that is missing', async () => {
    await expect(readManifest(join(folder, 'none.csv'))).rejects.toThrow(
      /none\.csv: manifest cannot be read/,
    );
  });
});

const awkwardNames = resolve(import.meta.dirname, '../../../shared/data/bad-images/names');
const isAbsent = !existsSync(awkwardNames);

it.skipIf(isAbsent)(
  `awkward file names pass through${isAbsent ? ' (skipped: not on this machine)' : ''}`,
  async () => {
    const names = await readdir(awkwardNames);
    const entries = names.map(
      (name): ManifestEntry => ({
        relativePath: name,
        itemId: name,
        split: 'test',
        attributes: { name: [name] },
      }),
    );
    for (const format of ['csv', 'jsonl']) {
      const path = join(folder, `names.${format}`);
      await writeManifest(path, entries);
      const { rows } = await readManifest(path);
      expect(rows.map((row) => [row.relativePath, row.itemId])).toEqual(names.map((name) => [name, name]));
      for (const row of rows) expect(existsSync(join(awkwardNames, row.relativePath))).toBe(true);
    }
  },
);

describe('writeManifest', () => {
  const text = fc
    .string({ unit: 'grapheme', minLength: 1, maxLength: 12 })
    .filter((value) => value.trim() !== '');
  const value = text.map((raw) => raw.replaceAll('|', '').trim()).filter((raw) => raw !== '');
  const entry: fc.Arbitrary<ManifestEntry> = fc.record({
    relativePath: text,
    itemId: text,
    split: fc.constantFrom(...SPLITS),
    source: fc.option(text, { nil: undefined }),
    attributes: fc.record({ colour: fc.uniqueArray(value), 'a,b': fc.uniqueArray(value, { maxLength: 2 }) }),
  });

  it.each(['round.csv', 'round.jsonl'])('is read back as it was written: %s', async (name) => {
    await fc.assert(
      fc.asyncProperty(fc.array(entry, { minLength: 1, maxLength: 5 }), async (entries) => {
        const path = join(folder, name);
        await writeManifest(path, entries);
        const { rows } = await readManifest(path);
        const pick = ({ relativePath, itemId, split, source, attributes }: ManifestEntry) => {
          const known = Object.entries(attributes).filter(([, values]) => values.length > 0);
          return { relativePath, itemId, split, source, attributes: Object.fromEntries(known) };
        };
        expect(rows.map(pick)).toEqual(entries.map(pick));
        const bytes = await readFile(path);
        await writeManifest(path, rows);
        if (rows.every((row) => row.source === undefined)) expect(await readFile(path)).toEqual(bytes);
      }),
      { numRuns: 60 },
    );
  });

  it('refuses a value that holds the separator', async () => {
    const row: ManifestEntry = { relativePath: 'a', itemId: '1', split: 'train', attributes: { x: ['a|b'] } };
    await expect(writeManifest(join(folder, 'w.csv'), [row])).rejects.toThrow(
      "must not contain '|', got 'a|b'",
    );
  });

  it('refuses an attribute with the name of a reserved column', async () => {
    const row: ManifestEntry = {
      relativePath: 'a',
      itemId: '1',
      split: 'train',
      attributes: { source: ['x'] },
    };
    await expect(writeManifest(join(folder, 'w.csv'), [row])).rejects.toThrow('reserved');
  });
});
