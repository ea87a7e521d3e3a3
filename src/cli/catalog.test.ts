import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parse } from 'csv-parse/sync';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type TinyCatalog, writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { fromSafeCell, openCatalog, toSafeCell } from '../catalog/index.js';
import { readManifest } from '../data/index.js';
import { readNpy } from '../util/index.js';

let root = '';
let tiny: TinyCatalog;
/** A copy of the catalogue for each test. */
let catalog = '';
let cases = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-catalog-command-'));
  tiny = await writeTinyCatalog(root);
});
beforeEach(async () => {
  catalog = join(root, `catalog-${cases++}`);
  await cp(tiny.catalog, catalog, { recursive: true });
});
afterAll(async () => await rm(root, { recursive: true, force: true }));

/** `semblance catalog NAME … --catalog <this one>`, which must end well. */
async function run(name: string, ...more: string[]): Promise<string> {
  const { code, stdout, stderr } = await runMain('catalog', name, '--catalog', catalog, ...more);
  expect(code, stderr).toBe(0);
  return stdout;
}

async function records(directory = catalog) {
  const opened = await openCatalog(directory);
  const found = [];
  for await (const batch of opened.store.scan()) found.push(...batch);
  await opened.close();
  return found;
}

describe('semblance catalog stats and list', () => {
  it('counts pictures, items, values and what is unknown', async () => {
    const statistics = JSON.parse(await run('stats', '--json'));
    expect(statistics).toMatchObject({ pictures: 15, items: 12, levels: ['item_id', 'hue'], hasMap: false });
    const column = (name: string) => statistics.columns.find((one: { name: string }) => one.name === name);
    expect(column('hue')).toMatchObject({ kind: 'single', distinct: 3, unknown: 0, numeric: null });
    expect(column('tags')).toMatchObject({ kind: 'multi', distinct: 1, unknown: 9 });
    expect(column('price')).toMatchObject({ kind: null, numeric: { minimum: 0, maximum: 24 } });
    expect(column('source')).toMatchObject({ distinct: 1, unknown: 6 });
    expect(statistics.bytes).toBeGreaterThan(15 * statistics.vectorSize * 4);
    expect(await run('stats')).toMatch(/15 pictures of 12 items/);
  });

  it('lists by id, filtered, in pages', async () => {
    const page = JSON.parse(await run('list', '--filter', 'hue=red', '--limit', '3', '--json'));
    expect(page).toMatchObject({ total: 5, next: 'pictures/red 2.png' });
    expect(page.pictures[1]).toMatchObject({ id: 'pictures/red 1.png', hue: ['red'], price: ['1'] });
    const rest = await run('list', '--filter', 'hue=red', '--after', page.next, '--ids');
    expect(rest).toBe('pictures/red 3.png\npictures/red 4.png\n');
    expect(await run('list', '--filter', 'hue=red')).toMatch(/5 of 5/);
    const all = JSON.parse(await run('list', '--filter', 'hue=red', '--limit', '5', '--json'));
    expect([all.pictures.length, all.next]).toEqual([5, null]);
  });
});

describe('semblance catalog add and remove', () => {
  it('adds files with what is known of them, and says which are no pictures', async () => {
    const file = join(root, 'new.png');
    await writeFile(file, await plainPicture([9, 8, 7]));
    const added = await run(
      'add',
      file,
      '--item',
      'x',
      '--attribute',
      'tags=warm',
      '--attribute',
      'tags=odd',
    );
    expect(added).toMatch(/1 added, 0 replaced, 0 not added/);
    const listed = JSON.parse(await run('list', '--filter', 'item_id=x', '--json')).pictures;
    expect(listed).toMatchObject([{ id: file, path: [file], tags: ['warm', 'odd'] }]);
    await run('add', file, '--id', 'kept', '--copy', '--quiet');
    const [kept] = (await records()).filter(({ id }) => id === 'kept');
    expect(kept?.fields.path?.[0]).toContain(join(catalog, 'pictures'));
    const bad = join(root, 'bad.png');
    await writeFile(bad, 'no picture');
    const failed = await runMain('catalog', 'add', file, bad, '--catalog', catalog, '--quiet');
    expect(failed).toMatchObject({
      code: 1,
      stdout: expect.stringMatching(/0 added, 1 replaced, 1 not added/),
    });
    expect(failed.stderr).toMatch(/bad\.png.*not a picture/);
  });

  it('shows names without what would steer the terminal', async () => {
    const file = join(root, 'plain.png');
    await writeFile(file, await plainPicture([9, 8, 7]));
    await run('add', file, '--id', 'a\u001b[2J\u009b', '--item', 'x\u0007', '--quiet');
    const shown = await run('list', '--filter', 'path=*');
    expect(shown).not.toMatch(/(?!\n)\p{Cc}/u);
  });

  it('removes by id and by filter, after asking, and the kept picture with its last record', async () => {
    const file = join(root, 'kept.png');
    await writeFile(file, await plainPicture([90, 8, 7]));
    await run('add', file, '--id', 'kept', '--copy', '--quiet');
    const asked = await runMain('catalog', 'remove', 'kept', '--catalog', catalog);
    expect(asked).toMatchObject({ code: 2, stderr: expect.stringMatching(/nobody to ask. Add --yes/) });
    const unknown = await runMain('catalog', 'remove', 'kept', 'nothing', '--catalog', catalog, '--yes');
    expect(unknown).toMatchObject({
      code: 1,
      stderr: expect.stringMatching(/got 'nothing'. Nothing was removed/),
    });
    expect(await run('remove', '--filter', 'hue=red', '--dry-run')).toMatch(/5 would be removed/);
    expect(await records()).toHaveLength(16);
    await run('remove', 'kept', '--yes', '--quiet');
    expect((await readdir(join(catalog, 'pictures'), { recursive: true })).join()).not.toMatch(/png/);
    const gone = JSON.parse(await run('remove', '--filter', 'hue=red', '--yes', '--json', '--quiet'));
    expect(gone.ids).toHaveLength(5);
    expect((await records()).map(({ id }) => id).join()).not.toMatch(/red/);
    expect((await runMain('catalog', 'remove', '--catalog', catalog)).code).toBe(2);
  });
});

describe('semblance catalog export and import', () => {
  it('goes out and comes back the same, without the model, also elsewhere', async () => {
    const file = join(root, 'odd.png');
    await writeFile(file, await plainPicture([200, 8, 107]));
    await run(
      'add',
      file,
      '--id',
      'odd#1,1,6,6',
      '--item',
      '=HYPERLINK("x")',
      '--attribute',
      'hue=a|b',
      '--quiet',
    );
    const out = join(root, `export-${cases}`);
    expect(await run('export', '--out', out)).toMatch(/16 pictures/);
    expect((await readdir(out)).sort()).toEqual(
      ['export.json', 'manifest.csv', 'pictures', 'records.jsonl', 'vectors.npy'].sort(),
    );
    const cells = parse(await readFile(join(out, 'manifest.csv'), 'utf8'), { columns: true }) as Record<
      string,
      string
    >[];
    expect(cells.map((row) => row.item_id)).toContain(`'=HYPERLINK("x")`);
    expect(cells.flatMap(Object.values).filter((cell) => /^[=+@-]/.test(cell))).toEqual([]);
    const { rows } = await readManifest(join(out, 'manifest.csv'));
    expect(rows).toHaveLength(16);
    expect(rows.find(({ box }) => box !== undefined)?.box).toEqual({ left: 1, top: 1, right: 6, bottom: 6 });
    const before = await records();
    const { shape, data } = await readNpy(join(out, 'vectors.npy'));
    expect(shape).toEqual([16, before[0]?.vector.length]);
    expect(Array.from(data as Float32Array)).toEqual(before.flatMap(({ vector }) => Array.from(vector)));

    const copy = join(root, `copy-${cases}`);
    const again = await runMain('catalog', 'import', out, '--catalog', copy, '--quiet');
    expect(again, again.stderr).toMatchObject({ code: 0, stdout: `${copy}: 16 pictures (16 imported)\n` });
    const after = await records(copy);
    for (const [n, record] of after.entries()) {
      expect(record.id).toBe(before[n]?.id);
      expect(record.vector).toEqual(before[n]?.vector);
      expect(record.fields.path?.[0]).toContain(join(copy, 'pictures'));
      expect({ ...record.fields, path: [] }).toEqual({ ...before[n]?.fields, path: [] });
    }
    const opened = [await openCatalog(catalog), await openCatalog(copy)] as const;
    expect(opened[1].store.numericColumns).toEqual(opened[0].store.numericColumns);
    for (const one of opened) await one.close();
  });

  it('embeds again with another model or without vectors, and refuses a catalogue of another model', async () => {
    const out = join(root, `export-${cases}`);
    await run('export', '--out', out, '--filter', 'hue=red,green', '--quiet');
    const other = await writeTinyBundle(join(root, `other-${cases}`), { offset: -0.4 });
    const copy = join(root, `copy-${cases}`);
    const imported = await runMain(
      'catalog',
      'import',
      out,
      '--catalog',
      copy,
      '--model',
      other,
      '--quiet',
      '--json',
    );
    expect(JSON.parse(imported.stdout)).toMatchObject({
      imported: 10,
      embedded: 10,
      total: 10,
      failures: [],
    });
    const refused = await runMain('catalog', 'import', out, '--catalog', copy, '--quiet');
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/must have the same model/) });
    const twice = await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet');
    expect(twice).toMatchObject({ code: 1, stderr: expect.stringMatching(/new folder/) });
    await rm(join(out, 'export.json'));
    expect((await runMain('catalog', 'import', out, '--catalog', join(root, 'no'), '--quiet')).code).toBe(1);
  });

  it('counts what it could not take once', async () => {
    const out = join(root, `export-${cases}`);
    await run('export', '--out', out, '--no-vectors', '--filter', 'hue=red', '--quiet');
    const [damaged] = await readdir(join(out, 'pictures'));
    await writeFile(join(out, 'pictures', String(damaged)), 'no picture');
    const copy = join(root, `copy-${cases}`);
    const report = JSON.parse(
      (await runMain('catalog', 'import', out, '--catalog', copy, '--quiet', '--json')).stdout,
    );
    expect(report).toMatchObject({ imported: 4, embedded: 4, total: 4 });
    expect(report.failures).toHaveLength(1);
  });

  it('names the pictures where they are when they are not copied', async () => {
    const out = join(root, `export-${cases}`);
    await run('export', '--out', out, '--no-pictures', '--no-vectors', '--quiet');
    expect((await readdir(out)).sort()).toEqual(['export.json', 'manifest.csv', 'records.jsonl']);
    const { rows } = await readManifest(join(out, 'manifest.csv'));
    expect(rows.map(({ path }) => path).sort()).toEqual(tiny.rows.map(({ path }) => path).sort());
  });

  it.each([
    ['=1+1', "'=1+1"],
    ['+a', "'+a"],
    ['-5', '-5'],
    ['-5e3', '-5e3'],
    ['-a', "'-a"],
    ['@x', "'@x"],
    ['\t=x', "'\t=x"],
    ["'quoted", "''quoted"],
    ['＝1', "'＝1"],
    ['plain', 'plain'],
    ['', ''],
  ])('a cell %j is written %j, and read back', (text, cell) => {
    expect(toSafeCell(text)).toBe(cell);
    expect(fromSafeCell(cell)).toBe(text);
  });
});
