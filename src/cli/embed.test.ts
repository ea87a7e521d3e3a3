import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { asyncBufferFromFile, parquetMetadataAsync, parquetReadObjects } from 'hyparquet';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blots } from '../../test/support/pictures.js';
import { TINY_SCHEMA, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import { readNpy } from '../util/index.js';
import { embedToFile, pictureTable } from './embed.js';
import { main } from './program.js';

let root = '';
let pictures = '';
let manifest = '';
let model = '';
let embedder: Embedder;
const NAMES = ['a.png', 'b, with comma.png', join('deep', 'c.PNG'), 'größe "d".png'];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-embed-'));
  model = await writeTinyBundle(root);
  pictures = join(root, 'pictures');
  await mkdir(join(pictures, 'deep'), { recursive: true });
  for (const [i, name] of NAMES.entries()) await writeFile(join(pictures, name), await blots(i, 8));
  await writeFile(join(pictures, 'notes.txt'), 'no picture');
  await writeFile(join(pictures, '.hidden.png'), await blots(9, 8));
  manifest = join(root, 'manifest.csv');
  const rows = [
    'path,item_id,split,source,hue,tags',
    'pictures/a.png,one,train,me,red,bright|warm',
    'pictures/gone.png,two,train,me,blue,',
    `"pictures/b, with comma.png",two,test,,,warm`,
  ];
  await writeFile(manifest, `${rows.join('\n')}\n`);
  embedder = await openEmbedder(model, { threads: 1, batchSize: 2 });
});
afterAll(async () => {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
});
const fresh = () => mkdtemp(join(root, 'case-'));
const leftovers = async (folder: string) =>
  (await readdir(folder)).filter((name) => name.includes('unfinished'));

describe('semblance embed', () => {
  it('a folder to .npy: rows in the order of the CSV', async () => {
    const folder = await fresh();
    const table = await pictureTable([pictures]);
    const out = join(folder, 'new', 'e.npy');
    const { files, embedded } = await embedToFile(embedder, table, out);
    expect(files).toEqual([out, join(folder, 'new', 'e.csv')]);
    expect(embedded).toBe(4);
    const { shape, dataType, data } = await readNpy(out);
    expect([shape, dataType]).toEqual([[4, 12], 'float32']);
    const rows = parse(await readFile(join(folder, 'new', 'e.csv'))) as string[][];
    expect(rows).toEqual([
      ['path'],
      ...NAMES.map((name) => join(pictures, name))
        .sort()
        .map((path) => [path]),
    ]);
    for (const [n, [path]] of rows.slice(1).entries())
      expect(data.slice(12 * n, 12 * (n + 1))).toEqual((await embedder.embedOne(path as string)).embedding);
    expect(await leftovers(join(folder, 'new'))).toEqual([]);
  });

  it('a manifest with probabilities: what cannot be read is left out and listed', async () => {
    const folder = await fresh();
    const out = join(folder, 'e.npy');
    const { files, problems } = await embedToFile(embedder, await pictureTable([manifest]), out, {
      attributes: true,
    });
    expect(files.length).toBe(4);
    expect(problems).toEqual([expect.stringContaining('gone.png')]);
    const rows = parse(await readFile(join(folder, 'e.csv')), { columns: true }) as Record<string, string>[];
    expect(rows).toEqual([
      {
        path: 'pictures/a.png',
        item_id: 'one',
        split: 'train',
        source: 'me',
        hue: 'red',
        tags: 'bright|warm',
      },
      {
        path: 'pictures/b, with comma.png',
        item_id: 'two',
        split: 'test',
        source: '',
        hue: '',
        tags: 'warm',
      },
    ]);
    const probabilities = await readNpy(join(folder, 'e.attributes.npy'));
    expect(probabilities.shape).toEqual([2, 5]);
    const wanted = await embedder.embedOne(join(pictures, 'b, with comma.png'));
    expect(probabilities.data.slice(5)).toEqual(wanted.attributes);
    expect(JSON.parse(await readFile(join(folder, 'e.attributes.json'), 'utf8'))).toEqual(
      TINY_SCHEMA.attributes.flatMap(({ name, values }) => values.map((value) => `${name}=${value}`)),
    );
    const test = await pictureTable([manifest], 'test');
    expect(test.rows.length).toBe(1);
  });

  it('Parquet: text columns, lists of floats, what made them; more than one row group', async () => {
    const folder = await fresh();
    const out = join(folder, 'e.parquet');
    const { rows, columns } = await pictureTable([manifest]);
    const many = Array.from({ length: 2101 }, (_, i) => rows[i % 3 === 1 ? 0 : i % 3]!);
    expect((await embedToFile(embedder, { columns, rows: many }, out, { attributes: true })).files).toEqual([
      out,
    ]);
    const file = await asyncBufferFromFile(out);
    const { row_groups: groups, key_value_metadata: entries } = await parquetMetadataAsync(file);
    expect(groups.map(({ num_rows: count }) => Number(count))).toEqual([2048, 53]);
    expect(Object.fromEntries(entries?.map(({ key, value }) => [key, value]) ?? [])).toMatchObject({
      model: embedder.bundle.modelHash,
      variant: 'fp32',
      dimension: '12',
    });
    const got = await parquetReadObjects({ file });
    expect(got.length).toBe(2101);
    const a = await embedder.embedOne(join(pictures, 'a.png'));
    expect(got[0]).toEqual({
      path: 'pictures/a.png',
      item_id: 'one',
      split: 'train',
      source: 'me',
      hue: 'red',
      tags: 'bright|warm',
      embedding: [...a.embedding],
      probabilities: [...a.attributes],
    });
    const b = await embedder.embedOne(join(pictures, 'b, with comma.png'));
    expect(got[2098]).toMatchObject({ item_id: 'one', source: 'me' });
    expect(got[2099]).toMatchObject({ item_id: 'two' });
    expect(got[2]).toMatchObject({ item_id: 'two', source: null, hue: null, embedding: [...b.embedding] });
    expect(await leftovers(folder)).toEqual([]);
  });

  it.each(['e.npy', 'e.parquet'])(
    'stopped half way, %s leaves nothing, and what was there stays',
    async (name) => {
      const folder = await fresh();
      const out = join(folder, name);
      await writeFile(out, 'before');
      const controller = new AbortController();
      const progress = () => ({ update: () => controller.abort(new Error('stopped')), stop() {} });
      const table = await pictureTable([pictures]);
      const { signal } = controller;
      await expect(embedToFile(embedder, table, out, { progress, signal })).rejects.toThrow('stopped');
      expect(await readdir(folder)).toEqual([name]);
      expect(await readFile(out, 'utf8')).toBe('before');
    },
  );

  it('command line: usage, and one line for what is wrong', async () => {
    const folder = await fresh();
    const out = join(folder, 'e.npy');
    const embed = (...rest: string[]) => main(['embed', '--model', model, '--quiet', ...rest]);
    expect(await embed('--out', out, '--data', join(pictures, NAMES[0]!), join(pictures, 'deep'))).toBe(0);
    expect((await readNpy(out)).shape).toEqual([2, 12]);
    expect(await embed('--data', pictures, '--out', join(folder, 'e.txt'))).toBe(2);
    expect(await embed('--data', pictures, '--out', out, '--split', 'val')).toBe(2);
    expect(await embed('--data', pictures, manifest, '--out', out)).toBe(2);
    expect(await embed('--data', pictures, '--out', out, '--variant', 'fp8')).toBe(2);
    expect(await embed('--data', pictures, '--out', out, '--variant', 'int8')).toBe(1);
    expect(await embed('--data', join(root, 'nowhere'), '--out', out)).toBe(1);
    expect(await embed('--data', join(pictures, 'notes.txt'), '--out', join(folder, 'none.npy'))).toBe(1);
    expect(await readdir(folder)).toEqual(['e.csv', 'e.npy']);
  });
});
