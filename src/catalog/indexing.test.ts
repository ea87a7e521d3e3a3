import { mkdir, mkdtemp, readdir, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { openCatalog, openCatalogForIndexing } from './catalog.js';
import { indexEntries, indexPictures } from './indexing.js';
import { entryOfRecord } from './picture-entries.js';
import { searchByPicture } from './search.js';
import type { StoredRecord } from './store.js';

let root = '';
let embedder: Embedder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-catalog-'));
  embedder = await openEmbedder(await writeTinyBundle(root), { threads: 1, batchSize: 4 });
});
afterAll(async () => {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
});

let cases = 0;
/** Twelve plain pictures in a new folder: four shades each of red, green and blue; an item is a colour and a shade. */
async function shades() {
  const folder = join(root, `case-${cases++}`);
  await mkdir(join(folder, 'pictures'), { recursive: true });
  const rows: ManifestRow[] = [];
  for (const [c, hue] of ['red', 'green', 'blue'].entries())
    for (const shade of [0, 1, 2, 3]) {
      const colour = [0, 1, 2].map((channel) => (channel === c ? 255 - 20 * shade : 15 * shade));
      const relativePath = `pictures/${hue}, "${shade}".png`;
      const path = join(folder, relativePath);
      await writeFile(path, await plainPicture(colour as [number, number, number]));
      rows.push({
        path,
        relativePath,
        itemId: `${hue}-${shade}`,
        split: 'test',
        source: shade % 2 === 0 ? 'even' : undefined,
        sourceGroup: shade % 2 === 0 ? 'even' : undefined,
        attributes: { hue: [hue], shade: [String(shade)] },
        line: rows.length + 2,
      });
    }
  return { folder, catalogFolder: join(folder, 'catalog'), rows };
}

const attributes = ['hue', 'shade'];

async function index(
  catalogFolder: string,
  rows: readonly ManifestRow[],
  using = embedder,
  signal?: AbortSignal,
) {
  const { catalog, publish } = await openCatalogForIndexing(catalogFolder, using.bundle, { attributes });
  try {
    const report = await indexPictures({ embedder: using, rows, store: catalog.store, chunkSize: 5, signal });
    await publish();
    return report;
  } finally {
    await catalog.close();
  }
}

describe('indexPictures', () => {
  it('embeds what is new or changed, stores new labels, and skips the rest', async () => {
    const { catalogFolder, rows } = await shades();
    expect(await index(catalogFolder, rows.slice(0, 7))).toEqual({
      embedded: 7,
      relabelled: 0,
      unchanged: 0,
      failures: [],
    });
    await writeFile(rows[2]?.path as string, await plainPicture([9, 99, 9]));
    const relabelled = rows.map((row, n) => (n < 2 ? { ...row, attributes: { hue: ['other'] } } : row));
    expect(await index(catalogFolder, relabelled)).toEqual({
      embedded: 6,
      relabelled: 2,
      unchanged: 4,
      failures: [],
    });
    expect(await index(catalogFolder, relabelled)).toMatchObject({
      embedded: 0,
      relabelled: 0,
      unchanged: 12,
    });
    const catalog = await openCatalog(catalogFolder);
    expect(await catalog.store.facets(['hue', 'source'])).toEqual({
      hue: [
        { value: 'blue', count: 4 },
        { value: 'green', count: 4 },
        { value: 'other', count: 2 },
        { value: 'red', count: 2 },
      ],
      source: [{ value: 'even', count: 6 }],
    });
    await catalog.close();
  });

  it('reports unreadable pictures in the order of the rows, and tries them again next time', async () => {
    const { catalogFolder, rows } = await shades();
    await writeFile(rows[6]?.path as string, 'no picture');
    await unlink(rows[1]?.path as string);
    const report = await index(catalogFolder, rows);
    expect(report).toMatchObject({ embedded: 10, unchanged: 0 });
    expect(report.failures.map(({ id }) => id)).toEqual([rows[1]?.relativePath, rows[6]?.relativePath]);
    expect(report.failures[0]?.reason).toMatch(/cannot be read: .*no such file/);
    expect(report.failures[1]?.reason).toMatch(/not a picture/);
    await writeFile(rows[6]?.path as string, await plainPicture([1, 200, 1]));
    expect(await index(catalogFolder, rows)).toMatchObject({ embedded: 1, unchanged: 10 });
  });

  it('of a store’s own records, leaves those alone that were changed or deleted since they were read', async () => {
    const { catalogFolder, rows } = await shades();
    await index(catalogFolder, rows.slice(0, 3));
    const { store, close } = await openCatalog(catalogFolder);
    const records: StoredRecord[] = [];
    for await (const batch of store.scan({ vectors: false })) records.push(...batch);
    const [deleted, changed, same] = records as [StoredRecord, StoredRecord, StoredRecord];
    const [before] = await store.get([changed.id]);
    await store.upsert([{ ...before!, fields: { ...changed.fields, hue: ['meanwhile'] } }]);
    await store.delete([deleted.id]);
    const entries = records.map(entryOfRecord);
    await indexEntries({ embedder, store, entries, ofOwnRecords: true, always: true });
    const [gone, kept, again] = await store.get([deleted.id, changed.id, same.id]);
    expect([gone, kept?.fields.hue, again?.fields]).toEqual([undefined, ['meanwhile'], same.fields]);
    await indexEntries({ embedder, store, entries, ofOwnRecords: true });
    expect((await store.get([changed.id]))[0]?.fields.hue).toEqual(['meanwhile']);
    await close();
  });

  it('several boxes of one picture are several records', async () => {
    const { catalogFolder, rows } = await shades();
    const row = rows[0] as ManifestRow;
    const boxes = [0, 8].map((left) => ({ ...row, box: { left, top: 0, right: left + 8, bottom: 16 } }));
    const outside = { ...row, box: { left: 99, top: 0, right: 100, bottom: 16 } };
    const report = await index(catalogFolder, [row, ...boxes, outside]);
    expect(report).toMatchObject({ embedded: 3, failures: [{ id: 'pictures/red, "0".png#99,0,100,16' }] });
    const catalog = await openCatalog(catalogFolder);
    expect(await catalog.store.get(['pictures/red, "0".png#8,0,16,16'])).not.toContain(undefined);
    await catalog.close();
  });

  it('keeps what was stored when it is stopped, and goes on from there', async () => {
    const { catalogFolder, rows } = await shades();
    const controller = new AbortController();
    const { catalog } = await openCatalogForIndexing(catalogFolder, embedder.bundle, { attributes });
    const startProgress = () => ({
      update: (done: number) => {
        if (done >= 5) controller.abort(new Error('interrupted'));
      },
      stop() {},
    });
    await expect(
      indexPictures({
        embedder,
        rows,
        store: catalog.store,
        chunkSize: 5,
        signal: controller.signal,
        startProgress,
      }),
    ).rejects.toThrow('interrupted');
    expect(await catalog.store.count()).toBe(8);
    await catalog.close();
    expect(await index(catalogFolder, rows)).toMatchObject({ embedded: 4, unchanged: 8 });
  });

  it('another model fills a store of its own, which becomes the catalogue when it is whole', async () => {
    const { folder, catalogFolder, rows } = await shades();
    await index(catalogFolder, rows);
    const before = await readFile(join(catalogFolder, 'catalog.json'), 'utf8');
    const other = await openEmbedder(await writeTinyBundle(folder, { offset: -0.4 }), { threads: 1 });
    const stopped = await openCatalogForIndexing(catalogFolder, other.bundle, { attributes });
    await indexPictures({ embedder: other, rows: rows.slice(0, 3), store: stopped.catalog.store });
    await stopped.catalog.close();
    expect(await readFile(join(catalogFolder, 'catalog.json'), 'utf8')).toBe(before);
    expect((await readdir(catalogFolder)).length).toBe(3);
    expect(await index(catalogFolder, rows, other)).toMatchObject({ embedded: 9, unchanged: 3 });
    const catalog = await openCatalog(catalogFolder);
    expect(catalog.description.model.vectorHash).toBe(other.bundle.vectorHash);
    // The store of before stays for a while, for whoever has it open.
    const { previous, store } = catalog.description;
    expect(previous?.store).not.toBe(store);
    expect((await readdir(catalogFolder)).sort()).toEqual(
      ['catalog.json', previous?.store, store].sort((a, b) => String(a).localeCompare(String(b))),
    );
    await expect(searchByPicture({ catalog, embedder, picture: rows[0]?.path as string })).rejects.toThrow(
      /made with another model/,
    );
    await catalog.close();
    await other.close();
  });

  it('refuses new columns, names it keeps itself, and a missing catalogue', async () => {
    const { catalogFolder, rows } = await shades();
    await index(catalogFolder, rows.slice(0, 1));
    const open = (names: string[]) =>
      openCatalogForIndexing(catalogFolder, embedder.bundle, { attributes: names });
    await expect(open(['hue', 'price'])).rejects.toThrow(/no column 'price'. Index into a new folder/);
    await expect(open(['content_hash'])).rejects.toThrow(/must not be called 'content_hash'/);
    await expect(openCatalog(join(root, 'nowhere'))).rejects.toThrow(/there is no catalogue/);
  });
});

describe('searchByPicture', () => {
  it('finds the picture itself first, with score 1 and parts that add up', async () => {
    const { catalogFolder, rows } = await shades();
    await index(catalogFolder, rows);
    const catalog = await openCatalog(catalogFolder);
    for (const granularity of [0, 0.5, 1])
      for (const row of rows) {
        const [first, ...rest] = await searchByPicture({
          catalog,
          embedder,
          picture: row.path,
          granularity,
          k: 12,
        });
        expect(rest).toHaveLength(11);
        if (granularity < 1) expect(first?.itemId).toBe(row.itemId);
        expect(first?.score).toBeCloseTo(1, 3);
        expect(Object.values(first?.parts ?? {}).reduce((a, b) => a + b)).toBeCloseTo(
          first?.score as number,
          6,
        );
      }
    await catalog.close();
  });

  it('brings the same hue closer as granularity goes from item to category', async () => {
    const { catalogFolder, rows } = await shades();
    await index(catalogFolder, rows);
    const catalog = await openCatalog(catalogFolder);
    const margin = async (granularity: number) => {
      const picture = rows[3]?.path as string;
      const hits = await searchByPicture({ catalog, embedder, picture, granularity, k: 12 });
      const scores = (hue: string) =>
        hits.filter((hit) => hit.attributes.hue?.[0] === hue).map((hit) => hit.score);
      return Math.min(...scores('red')) - Math.max(...scores('green'), ...scores('blue'));
    };
    expect(await margin(1)).toBeGreaterThan(await margin(0));
    const filtered = await searchByPicture({
      catalog,
      embedder,
      picture: rows[0]?.path as string,
      filter: [
        { column: 'hue', anyOf: ['blue', 'green'] },
        { column: 'source', noneOf: ['even'] },
      ],
    });
    expect(filtered.map((hit) => hit.itemId).sort()).toEqual(['blue-1', 'blue-3', 'green-1', 'green-3']);
    expect(filtered[0]).toMatchObject({ rank: 1, source: undefined });
    await catalog.close();
  });
});
