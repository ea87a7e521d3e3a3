import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { rmSync, writeFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import { type ManifestRow, readManifest, writeManifest } from '../data/index.js';
import { storedVectors } from '../granularity/index.js';
import { openCatalog } from './catalog.js';
import { exportCatalog, importCatalog } from './catalog-export.js';
import { LiveCatalog, type LiveEvent } from './live-catalog.js';
import { recordPicture } from './record-picture.js';
import { type IndexCatalogOptions, indexCatalog } from './reindexing.js';
import { searchByPicture } from './search.js';

let root = '';
let models: { first: Embedder; second: Embedder };
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-reindexing-'));
  const open = async (name: string, offset: number) =>
    await openEmbedder(await writeTinyBundle(join(root, name), { offset }), { threads: 1, batchSize: 4 });
  models = { first: await open('first', -0.1), second: await open('second', -0.4) };
});
afterAll(async () => {
  await models.first.close();
  await models.second.close();
  await rm(root, { recursive: true, force: true });
});

let cases = 0;
async function newData(count = 24) {
  const folder = join(root, `case-${cases++}`);
  await mkdir(folder, { recursive: true });
  const entries = [];
  for (let n = 0; n < count; n++) {
    const relativePath = `${String(n).padStart(2, '0')}.png`;
    await writeFile(
      join(folder, relativePath),
      await plainPicture([(n * 37) % 256, (n * 91) % 256, (n * 151) % 256]),
    );
    entries.push({
      relativePath,
      itemId: `item-${n >> 1}`,
      split: 'test' as const,
      attributes: { hue: [n % 2 === 0 ? 'red' : 'blue'], price: [String(n)] },
    });
  }
  const manifest = join(folder, 'manifest.csv');
  await writeManifest(manifest, entries);
  const { rows } = await readManifest(manifest);
  return { folder, manifest, rows, directory: join(folder, 'catalog') };
}

const ATTRIBUTES = ['hue', 'price'];

async function index(
  directory: string,
  embedder: Embedder,
  rows?: readonly ManifestRow[],
  options: Partial<IndexCatalogOptions> = {},
) {
  const data = rows === undefined ? undefined : { rows, attributes: ATTRIBUTES };
  return await indexCatalog({ directory, embedder, data, chunkSize: 4, ...options });
}

/** Every record's fields; each vector is compared with what the model gives its picture alone. */
async function checkedRecords(directory: string, embedder: Embedder) {
  const catalog = await openCatalog(directory);
  try {
    expect(catalog.description.model.vectorHash).toBe(embedder.bundle.vectorHash);
    const found = new Map<string, Readonly<Record<string, readonly string[]>>>();
    for await (const records of catalog.store.scan())
      for (const record of records) {
        const { embedding, attributes } = await embedder.embedOne(recordPicture(record));
        const own = storedVectors(embedder.bundle.card.schema, embedder.dimension, {
          embeddings: embedding,
          attributes,
        });
        own.forEach((x, i) => void expect(record.vector[i], record.id).toBeCloseTo(x, 5));
        found.set(record.id, record.fields);
      }
    return found;
  } finally {
    await catalog.close();
  }
}

/** The embedder, with work of ours done before each batch is handed on. */
function pausing(embedder: Embedder, between: (batch: number) => Promise<void>): Embedder {
  return {
    ...embedder,
    async *embed(pictures, options) {
      let batch = 0;
      for await (const embedded of embedder.embed(pictures, options)) {
        await between(batch++);
        yield embedded;
      }
    },
  };
}

describe('indexCatalog', () => {
  it('swaps to another model while it is searched and written: no search fails or mixes, no write is lost', async () => {
    const { directory, rows } = await newData();
    await index(directory, models.first, rows);
    const events: LiveEvent[] = [];
    const live = await LiveCatalog.open(directory, {
      threads: 1,
      pollMs: 5,
      onEvent: (event) => events.push(event),
    });
    const bytes = await plainPicture([200, 10, 220]);
    await live.put([{ id: 'before', picture: bytes, itemId: 'mine', attributes: { hue: ['pink'] } }]);
    let isDone = false;
    const seen: { generation: string; score: number; first: string | undefined; asked: string }[] = [];
    const searching = (async () => {
      for (let n = 0; !isDone; n++) {
        const { path, relativePath } = rows[6 + (n % 12)] as ManifestRow;
        seen.push(
          await live.use(async ({ id, catalog, embedder }) => {
            const [hit] = await searchByPicture({ catalog, embedder, picture: path, k: 3 });
            return { generation: id, score: hit?.score ?? 0, first: hit?.id, asked: relativePath };
          }),
        );
        await new Promise((resolve) => setTimeout(resolve, 2));
      }
    })();
    const report = await index(
      directory,
      pausing(models.second, async (batch) => {
        // 00 to 03 are in the new store or about to be, the last ones are not yet.
        if (batch !== 3) return;
        await live.put([{ id: 'during', picture: await plainPicture([5, 5, 90]), itemId: 'mine' }]);
        await live.put([{ id: '00.png', picture: await plainPicture([250, 250, 0]), itemId: 'other' }]);
        await live.change('01.png', { attributes: { hue: ['green'] } });
        expect(await live.delete(['02.png', '23.png'])).toHaveLength(2);
      }),
      rows,
    );
    expect(report).toMatchObject({ swapped: true, followed: 5, total: 24, failures: [] });
    for (let n = 0; n < 500 && !events.some(({ kind }) => kind === 'switched'); n++)
      await new Promise((resolve) => setTimeout(resolve, 10));
    await new Promise((resolve) => setTimeout(resolve, 100));
    isDone = true;
    await searching;
    expect(events.filter(({ kind }) => kind === 'failed')).toEqual([]);
    expect(new Set(seen.map(({ generation }) => generation)).size).toBe(2);
    for (const { score, first, asked } of seen) {
      expect(score).toBeCloseTo(1, 4);
      expect(first).toBe(asked);
    }
    await live.close();
    const found = await checkedRecords(directory, models.second);
    const expected = [...rows.map(({ relativePath }) => relativePath), 'before', 'during'];
    expect([...found.keys()]).toEqual(expected.filter((id) => id !== '02.png' && id !== '23.png').sort());
    expect(found.get('before')).toMatchObject({ hue: ['pink'], item_id: ['mine'] });
    expect(found.get('00.png')).toMatchObject({ item_id: ['other'] });
    expect(found.get('01.png')).toMatchObject({ hue: ['green'], price: ['1'] });
  });

  it('embeds its own pictures with another model when there is no data', async () => {
    const { directory, rows } = await newData(6);
    await index(directory, models.first, rows);
    const before = await checkedRecords(directory, models.first);
    expect(await index(directory, models.second)).toMatchObject({ embedded: 6, swapped: true, total: 6 });
    expect(await checkedRecords(directory, models.second)).toEqual(before);
    expect(await index(directory, models.second)).toMatchObject({ unchanged: 6, swapped: false });
    const catalog = await openCatalog(directory);
    expect(catalog.store.numericColumns).toEqual(['price']);
    await catalog.close();
    await expect(index(join(root, 'nowhere'), models.first)).rejects.toThrow(/there is no catalogue/);
  });

  it('removes what left the data when it is asked to, with the same model and with another', async () => {
    const { directory, rows } = await newData(8);
    await index(directory, models.first, rows);
    expect(await index(directory, models.first, rows.slice(0, 6))).toMatchObject({ removed: 0, total: 8 });
    const pruned = { prune: true };
    expect(await index(directory, models.first, rows.slice(0, 6), pruned)).toMatchObject({
      removed: 2,
      unchanged: 6,
      total: 6,
    });
    expect(await index(directory, models.second, rows.slice(3), pruned)).toMatchObject({
      removed: 3,
      embedded: 5,
      total: 5,
    });
    expect([...(await checkedRecords(directory, models.second)).keys()]).toEqual(
      rows.slice(3).map(({ relativePath }) => relativePath),
    );
  });

  it('stays as it is where no picture can be read', async () => {
    const { directory, rows } = await newData(3);
    await index(directory, models.first, rows);
    for (const { path } of rows) await rm(path);
    await expect(index(directory, models.second)).rejects.toThrow(
      /no picture can be read, so the catalogue stays as it is.*00\.png/,
    );
    const catalog = await openCatalog(directory);
    expect(catalog.description.model.vectorHash).toBe(models.first.bundle.vectorHash);
    expect(await catalog.store.count()).toBe(3);
    await catalog.close();
  });

  it('index and import say for whom they wait, at their first step and at their last', async () => {
    const { folder, directory, rows } = await newData(3);
    await index(directory, models.first, rows);
    const catalog = await openCatalog(directory);
    await exportCatalog(catalog, join(folder, 'export'));
    await catalog.close();
    const lock = join(directory, 'locks', 'write.lock');
    const holder = { process: process.ppid, host: hostname() };
    const hold = () => writeFileSync(lock, `${holder.process}\n${holder.host}\ntoken\n`);
    const told: unknown[] = [];
    const onWait = (one: unknown) => {
      told.push(one);
      rmSync(lock);
    };
    hold();
    // Nothing is to be stored: what comes after the counting is the publishing.
    const startProgress = () => ({ update() {}, stop: hold });
    expect(await index(directory, models.first, rows, { onWait, startProgress })).toMatchObject({
      unchanged: 3,
    });
    expect(told).toEqual([holder, holder]);
    hold();
    const importing = {
      ...{ folder: join(folder, 'export'), directory, embedder: models.first, onWait },
      startProgress: () => ({ update: hold, stop() {} }),
    };
    expect(await importCatalog(importing)).toMatchObject({ imported: 3 });
    expect(told).toEqual([holder, holder, holder, holder]);
  });

  it('killed in the middle of another model, it is searched as before and goes on from what was stored', async () => {
    const { directory, rows, manifest } = await newData();
    await index(directory, models.first, rows);
    const before = await readFile(join(directory, 'catalog.json'), 'utf8');
    const child = spawn(
      process.execPath,
      [
        '--import',
        'tsx',
        fileURLToPath(new URL('../../test/support/index-child.ts', import.meta.url)),
        directory,
        models.second.bundle.directory,
        manifest,
        '16',
      ],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const [text] = await once(child.stdout, 'data');
    expect(String(text)).toBe('reached\n');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await readFile(join(directory, 'catalog.json'), 'utf8')).toBe(before);
    await checkedRecords(directory, models.first);
    // A picture that left the data since must not come along with what the killed run had stored.
    const report = await index(directory, models.second, rows.slice(1), { prune: true });
    expect(report.embedded + report.unchanged).toBe(23);
    expect(report.unchanged).toBeGreaterThanOrEqual(7);
    expect(report.embedded).toBeGreaterThanOrEqual(4);
    expect(report).toMatchObject({ removed: 1, total: 23, swapped: true });
    expect((await checkedRecords(directory, models.second)).has('00.png')).toBe(false);
  }, 120_000);
});
