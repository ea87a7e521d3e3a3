import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { shadeOf, type TinyCatalog, writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { acquireLock, type StartProgress, sha256 } from '../util/index.js';
import { type Catalog, openCatalog, openCatalogForIndexing } from './catalog.js';
import { LiveCatalog } from './live-catalog.js';
import { applyChange, applyRemoval, embedPictures, storePictures } from './record-writes.js';
import { verifyCatalog } from './verification.js';

let root = '';
let tiny: TinyCatalog;
let catalog = '';
let cases = 0;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-verification-'));
  tiny = await writeTinyCatalog(root);
});
beforeEach(async () => {
  catalog = join(root, `catalog-${cases++}`);
  await cp(tiny.catalog, catalog, { recursive: true });
});
afterAll(async () => await rm(root, { recursive: true, force: true }));

async function opened<T>(work: (catalog: Catalog) => Promise<T>): Promise<T> {
  const one = await openCatalog(catalog);
  try {
    return await work(one);
  } finally {
    await one.close();
  }
}

/** Finds exactly these problems; mends them; finds none after. */
async function findsAndMends(expected: readonly [kind: string, subject: string | RegExp][]) {
  const shown = expected.map(([kind, subject]) => ({
    kind,
    subject: typeof subject === 'string' ? subject : expect.stringMatching(subject),
    detail: expect.any(String),
  }));
  const found = await verifyCatalog(catalog);
  expect(found.problems).toEqual(shown.map((problem) => ({ ...problem, repaired: false })));
  const mended = await verifyCatalog(catalog, { repair: true });
  expect(mended.problems).toEqual(shown.map((problem) => ({ ...problem, repaired: true })));
  expect((await verifyCatalog(catalog)).problems).toEqual([]);
}

const first = 'pictures/red 0.png';

describe('verifyCatalog', () => {
  it('finds nothing where nothing is broken', async () => {
    expect(await verifyCatalog(catalog)).toEqual({ pictures: 15, problems: [], isMapStale: false });
    await expect(verifyCatalog(join(root, 'nowhere'))).rejects.toThrow(/there is no catalogue/);
  });

  it('embeds a picture that changed again', async () => {
    const path = tiny.rows[0]?.path as string;
    const before = await readFile(path);
    await writeFile(path, await plainPicture([1, 2, 250]));
    try {
      await findsAndMends([['changed-picture', first]]);
      const embedder = await openEmbedder(tiny.model, { threads: 1 });
      const { embedding } = await embedder.embedOne(path);
      await embedder.close();
      const vector = await opened(async ({ store }) => (await store.get([first]))[0]?.vector);
      embedding.forEach((x, i) => void expect(vector?.[i]).toBeCloseTo(x, 5));
    } finally {
      await writeFile(path, before);
    }
  });

  it('embeds again what is no unit vector, and gives the vector of before', async () => {
    const before = await opened(async ({ store }) => {
      const [record] = await store.get([first]);
      await store.upsert([
        { id: first, fields: record?.fields ?? {}, vector: record!.vector.map((x) => 2 * x) },
      ]);
      return record;
    });
    await findsAndMends([['vector', first]]);
    expect(await opened(async ({ store }) => (await store.get([first]))[0])).toEqual(before);
  });

  it('names missing pictures, keeps their records, and removes them when that is asked for', async () => {
    const path = tiny.rows[0]?.path as string;
    await rename(path, `${path}.away`);
    try {
      const missing = { kind: 'missing-picture', subject: first, repaired: false };
      expect((await verifyCatalog(catalog, { repair: true })).problems).toMatchObject([missing]);
      expect(await opened(({ store }) => store.count())).toBe(15);
      const answer = await runMain('catalog', 'verify', '--catalog', catalog, '--quiet');
      expect(answer).toMatchObject({
        code: 1,
        stderr: expect.stringMatching(/got 1 problem\. .*--remove-missing/),
      });
      expect(answer.stdout).toContain(`  ${first}: the picture is not there: ${path}`);
      const mended = await verifyCatalog(catalog, { repair: true, removeMissing: true });
      expect(mended.problems).toMatchObject([{ ...missing, repaired: true }]);
      expect(await opened(({ store }) => store.count())).toBe(14);
    } finally {
      await rename(`${path}.away`, path);
    }
  });

  it('restores catalog.json from the copy beside the vectors', async () => {
    const file = join(catalog, 'catalog.json');
    const before = await readFile(file, 'utf8');
    await writeFile(file, before.slice(0, 100));
    await expect(openCatalog(catalog)).rejects.toThrow(/catalog verify --repair/);
    await findsAndMends([['description', 'catalog.json']]);
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual(JSON.parse(before));
    await rm(file);
    await findsAndMends([['description', 'catalog.json']]);
  });

  it('removes what killed runs left: stores, unfinished files, kept pictures without a record, a broken map', async () => {
    const other = await openEmbedder(await writeTinyBundle(join(root, `other-${cases}`), { offset: -0.4 }));
    const unfinished = await openCatalogForIndexing(catalog, other.bundle, { attributes: [] });
    await unfinished.catalog.close();
    await other.close();
    const machine = sha256(hostname()).slice(0, 6);
    const name = `catalog.json.${machine}-99999999-00000000-1.unfinished`;
    await writeFile(join(catalog, name), '{');
    // Whether its process is gone only its machine knows.
    const elsewhere = 'catalog.json.000000-99999999-00000000-1.unfinished';
    await writeFile(join(catalog, elsewhere), '{');
    await mkdir(join(catalog, 'pictures', 'ab'), { recursive: true });
    await writeFile(join(catalog, 'pictures', 'ab', `${'ab'.repeat(32)}.png`), 'x');
    await writeFile(join(catalog, 'map.json'), '{}');
    await findsAndMends([
      ['map', 'map.json'],
      ['old-store', /^vectors-/],
      ['unfinished-file', name],
      ['unused-picture', /^pictures.ab.(ab){32}\.png$/],
    ]);
    const left = await readdir(catalog);
    expect(left.filter((entry) => entry.startsWith('vectors-'))).toHaveLength(1);
    expect(left).toContain(elsewhere);
  });

  it('finds kept pictures again after the catalogue has moved', async () => {
    const file = join(root, 'kept.png');
    await writeFile(file, await plainPicture([7, 70, 170]));
    await runMain('catalog', 'add', file, '--catalog', catalog, '--id', 'kept', '--copy', '--quiet');
    const moved = `${catalog}-moved`;
    await rename(catalog, moved);
    catalog = moved;
    await findsAndMends([['moved-picture', 'kept']]);
  });

  it('leaves alone what was written while it looked', async () => {
    const file = join(root, 'kept.png');
    await writeFile(file, await plainPicture([7, 70, 170]));
    await runMain('catalog', 'add', file, '--catalog', catalog, '--id', 'kept', '--copy', '--quiet');
    const moved = `${catalog}-moved`;
    await rename(catalog, moved);
    catalog = moved;
    const [missing, changed, deleted] = tiny.rows as [ManifestRow, ManifestRow, ManifestRow];
    await rename(missing.path, `${missing.path}.away`);
    const before = await readFile(changed.path);
    await writeFile(changed.path, await plainPicture([1, 2, 250]));
    const beforeDeleted = await readFile(deleted.path);
    await writeFile(deleted.path, await plainPicture([2, 1, 250]));
    const writer = await LiveCatalog.open(catalog, { pollMs: 0, threads: 1 });
    try {
      let looked = () => {};
      const hasLooked = new Promise<void>((resolve) => {
        looked = resolve;
      });
      const startProgress: StartProgress = (label) => ({
        update() {},
        stop: label === 'verifying' ? looked : () => {},
      });
      const lock = await acquireLock(join(catalog, 'locks', 'write.lock'));
      const verifying = verifyCatalog(catalog, { repair: true, removeMissing: true, startProgress });
      await hasLooked;
      // The writer's lock is the test's, so that the repair comes after these.
      await storePictures(
        writer.current.catalog,
        await embedPictures(writer.current, [
          { id: missing.relativePath, picture: await plainPicture([9, 9, 9]), itemId: 'again' },
        ]),
      );
      await applyChange(writer.current.catalog, changed.relativePath, { itemId: 'changed' });
      await applyChange(writer.current.catalog, 'kept', { itemId: 'changed' });
      await applyRemoval(writer.current.catalog, [deleted.relativePath]);
      await lock.release();
      await verifying;
    } finally {
      await writer.close();
      await rename(`${missing.path}.away`, missing.path);
      await writeFile(changed.path, before);
      await writeFile(deleted.path, beforeDeleted);
    }
    const ids = [missing.relativePath, changed.relativePath, 'kept', deleted.relativePath];
    const records = await opened(({ store }) => store.get(ids));
    expect(records.map((record) => record?.fields.item_id?.[0])).toEqual([
      'again',
      'changed',
      'changed',
      undefined,
    ]);
    expect(records[2]?.fields.path?.[0]).toContain(moved);
  });

  it('says when the store or the model is gone, and mends neither', async () => {
    const store = (await readdir(catalog)).find((name) => name.startsWith('vectors-')) as string;
    await rename(join(catalog, store), join(root, 'away'));
    const gone = { kind: 'store', subject: store, repaired: false };
    const report = await verifyCatalog(catalog, { repair: true });
    expect(report).toMatchObject({ pictures: null, problems: [gone] });
    await rename(join(root, 'away'), join(catalog, store));
    const { problems } = await verifyCatalog(catalog, { model: join(root, 'nowhere') });
    expect(problems).toMatchObject([{ kind: 'model', repaired: false }]);
  });
});

describe('semblance catalog duplicates', () => {
  it('finds the pairs that comparing all with all does, and shows them side by side', async () => {
    const copy = join(root, '<copy>.png');
    await writeFile(copy, await plainPicture(shadeOf(1, 2), { width: 24, height: 16 }));
    await runMain('catalog', 'add', copy, '--catalog', catalog, '--id', '<copy>', '--quiet');
    const records = await opened(async ({ store }) => {
      const found = [];
      for await (const batch of store.scan()) found.push(...batch);
      return found;
    });
    const size = (await opened(async ({ description }) => description)).dimension;
    const expected: string[] = [];
    for (const [n, a] of records.entries())
      for (const b of records.slice(n + 1)) {
        let cosine = 0;
        for (let i = 0; i < size; i++) cosine += Number(a.vector[i]) * Number(b.vector[i]);
        if (cosine >= 0.99)
          expected.push(`${a.id} ${b.id} ${a.fields.item_id?.[0] === b.fields.item_id?.[0]}`);
      }
    const out = join(root, 'sheet.html');
    const base = ['catalog', 'duplicates', '--catalog', catalog, '--threshold', '0.99', '--quiet'];
    const { stdout } = await runMain(...base, '--json', '--out', out);
    const { pairs, total } = JSON.parse(stdout);
    const text = (pair: { pictures: { id: string }[]; sameItem: boolean }) =>
      `${pair.pictures[0]?.id} ${pair.pictures[1]?.id} ${pair.sameItem}`;
    expect(pairs.map(text).sort()).toEqual(expected.sort());
    expect(total).toBe(expected.length);
    expect(pairs[0]).toMatchObject({
      pictures: [{ id: '<copy>' }, { id: 'pictures/green 2.png' }],
      sameItem: false,
    });
    expect(pairs[0].similarity).toBeCloseTo(1, 5);
    const html = await readFile(out, 'utf8');
    expect(html.match(/<section>/g)).toHaveLength(total);
    expect(html).toContain('src="data:image/webp;base64,');
    expect(html).not.toContain('<copy>');
    const same = JSON.parse((await runMain(...base, '--json', '--items', 'same')).stdout);
    const different = JSON.parse((await runMain(...base, '--json', '--items', 'different')).stdout);
    expect(same.total + different.total).toBe(total);
    expect(same.total).toBeGreaterThan(0);
    expect((await runMain(...base, '--limit', '1')).stdout).toMatch(/the first 1 shown/);
    expect((await runMain('catalog', 'duplicates', '--catalog', catalog, '--threshold', '2')).code).toBe(2);
  });
});
