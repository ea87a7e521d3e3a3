/**
 * What earlier versions wrote is read, and what later ones write is refused in one line. `golden/catalog` was written by a commit
 * of before live catalogues, ranges and calibrations (`golden/make-catalog.sh`), with what that commit found in it.
 */
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readBundle } from '../src/bundle/index.js';
import { LiveCatalog, openCatalog, readExport, verifyCatalog } from '../src/catalog/index.js';
import { readKeys } from '../src/server/index.js';
import { sha256OfFile } from '../src/util/index.js';
import { TINY } from './support/command-line.js';
import { runMain } from './support/run-main.js';
import { plainPicture } from './support/tiny-bundle.js';

let root = '';
let [catalog, model] = ['', ''];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-old-'));
  await cp(join(import.meta.dirname, 'golden', 'catalog'), root, { recursive: true });
  [catalog, model] = [join(root, 'catalog'), join(root, 'model')];
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('a catalogue of an earlier version', () => {
  it('finds what was found then, with the same scores', async () => {
    const then = JSON.parse(await readFile(join(root, 'found.json'), 'utf8'));
    const { code, stdout, stderr } = await runMain(
      ...['search', '--catalog', catalog, '--model', model, join(root, 'pictures', 'red-1.png'), '--json'],
    );
    expect([code, stderr]).toEqual([0, '']);
    const plain = (hits: { id: string; score: number }[]) =>
      hits.map(({ id, score }) => ({ id, score: score.toFixed(5) }));
    expect(plain(JSON.parse(stdout).hits)).toEqual(plain(then.hits));
    expect(then.hits).toHaveLength(10);
  });

  it('is checked, indexed again, written, calibrated for and exported', async () => {
    // Its pictures and its model lie elsewhere now.
    const manifest = join(root, 'manifest.csv');
    const argv = ['index', '--model', model, '--data', manifest, '--catalog', catalog, '--quiet', '--json'];
    const indexed = await runMain(...argv);
    expect([indexed.code, indexed.stderr]).toEqual([0, '']);
    expect(JSON.parse(indexed.stdout)).toMatchObject({ embedded: 0, total: 12, failures: [] });
    expect(await verifyCatalog(catalog, { model })).toMatchObject({ pictures: 12, problems: [] });

    const live = await LiveCatalog.open(catalog, { threads: 1, pollMs: 0 });
    try {
      const picture = await plainPicture([10, 200, 90]);
      const attributes = { hue: ['green'], price: ['7'] };
      const [outcome] = await live.put([{ id: 'new', picture, itemId: 'new', attributes }]);
      expect(outcome?.status).toBe('added');
      expect(
        (await live.change('pictures/red-0.png', { attributes: { hue: ['blue'] } }))?.fields.hue,
      ).toEqual(['blue']);
      expect(await live.delete(['pictures/red-3.png'])).toEqual(['pictures/red-3.png']);
      await live.use(({ catalog: { store } }) => store.flush());
      expect(
        await live.use(({ catalog: { store } }) => store.count([{ column: 'hue', anyOf: ['blue'] }])),
      ).toBe(5);
    } finally {
      await live.close();
    }
    const calibrated = await runMain(
      ...[
        'calibrate',
        '--model',
        model,
        '--data',
        manifest,
        '--split',
        'test',
        '--catalog',
        catalog,
        '--quiet',
      ],
    );
    expect([calibrated.code, calibrated.stderr]).toEqual([0, '']);
    const out = join(root, 'export');
    expect((await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet')).code).toBe(0);
    expect((await readExport(out)).records).toBe(12);
    expect((await verifyCatalog(catalog, { model })).problems).toEqual([]);
  });

  it('of the first days is refused, with what to do', async () => {
    const folder = join(root, 'first');
    await cp(catalog, folder, { recursive: true });
    const description = JSON.parse(await readFile(join(folder, 'catalog.json'), 'utf8'));
    description.model = { directory: model, hash: description.model.vectorHash };
    await writeFile(join(folder, 'catalog.json'), JSON.stringify(description));
    await expect(openCatalog(folder)).rejects.toThrow(
      /first days of semblance[^\n]*Index into a new folder$/,
    );
  });
});

describe('what a newer version wrote', () => {
  const newer = /was written by a newer semblance: format 2, and this one reads up to 1\. Update semblance$/;

  async function raise(folder: string, file: string, key = 'formatVersion'): Promise<string> {
    const copy = join(root, `newer-${file}`);
    await cp(folder, copy, { recursive: true });
    const content = JSON.parse(await readFile(join(copy, file), 'utf8'));
    await writeFile(join(copy, file), JSON.stringify({ ...content, [key]: 2, unheardOf: {} }));
    return copy;
  }

  it('is refused in one line: catalogue, bundle, export, keys', async () => {
    await expect(openCatalog(await raise(catalog, 'catalog.json'))).rejects.toThrow(newer);
    await expect(readBundle(await raise(model, 'semblance.json'))).rejects.toThrow(newer);
    const out = join(root, 'to-raise');
    expect((await runMain('catalog', 'export', '--catalog', catalog, '--out', out, '--quiet')).code).toBe(0);
    await expect(readExport(await raise(out, 'export.json'))).rejects.toThrow(newer);
    const keys = join(root, 'keys.json');
    await writeFile(keys, JSON.stringify({ version: 2, keys: [] }));
    await expect(readKeys(keys)).rejects.toThrow(newer);
  });

  it('is not made over: neither by indexing nor by a repair', async () => {
    const folder = join(root, 'newer-catalog.json');
    const before = await readFile(join(folder, 'catalog.json'), 'utf8');
    const index = await runMain(
      ...['index', '--model', model, '--data', join(root, 'manifest.csv'), '--catalog', folder, '--quiet'],
    );
    expect([index.code, index.stderr]).toEqual([1, expect.stringMatching(/newer semblance/)]);
    const repair = await runMain('catalog', 'verify', '--catalog', folder, '--repair', '--quiet');
    expect(repair.code).toBe(1);
    expect(await readFile(join(folder, 'catalog.json'), 'utf8')).toBe(before);
  });

  it.each(['float32, as now', 'of another type'])(
    'a checkpoint is not gone on from, and stays as it is; its numbers are %s',
    async (type) => {
      const [data, out] = [join(root, 'to-train.csv'), join(root, type)];
      const lines = (await readFile(join(root, 'manifest.csv'), 'utf8')).split('\n');
      // An item a colour, of four pictures.
      await writeFile(data, lines.map((line) => line.replace(/-\d,test/, ',train')).join('\n'));
      const argv = [
        ...['train', '--data', data, '--out', out, ...TINY, '--set', 'batch.items=3', '--steps', '4'],
        ...['--set', 'checkpointEvery=2', '--threads', '1', '--quiet', '--no-report'],
      ];
      const trained = await runMain(...argv);
      expect([trained.code, trained.stderr]).toEqual([0, '']);
      const checkpoint = join(out, 'training', 'checkpoint.safetensors');
      const bytes = await readFile(checkpoint);
      const end = 8 + Number(bytes.readBigUInt64LE(0));
      const header = bytes
        .toString('latin1', 8, end)
        .replace('"semblance.format":"1"', '"semblance.format":"2"');
      bytes.write(type === 'of another type' ? header.replaceAll('"F32"', '"I32"') : header, 8, 'latin1');
      await writeFile(checkpoint, bytes);

      const content = async () => {
        const files = await readdir(out, { recursive: true, withFileTypes: true });
        const paths = files.filter((file) => file.isFile()).map((file) => join(file.parentPath, file.name));
        return await Promise.all(paths.sort().map(async (path) => [path, await sha256OfFile(path)]));
      };
      const before = await content();
      const { code, stderr } = await runMain(...argv);
      expect([code, stderr]).toEqual([
        1,
        `semblance: ${checkpoint}: the checkpoint was written by a newer semblance: format 2, and this one reads up to 1. Update semblance\n`,
      ]);
      expect(await content()).toEqual(before);
    },
  );
});
