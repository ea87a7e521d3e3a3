import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { type ObjectStorage, startObjectStorage } from '../../test/conformance/object-storage.js';
import { writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type TinyCatalog, writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { openEmbedder } from '../bundle/index.js';
import { openCatalog, readDescription, whileWriting, writeDescription } from './catalog.js';
import { sweepStores } from './generations.js';
import { LiveCatalog } from './live-catalog.js';
import { objectCatalogs } from './object-catalog.js';
import { indexCatalog } from './reindexing.js';
import { removeRecords } from './removal.js';
import { connectObjectStorage } from './stores/lance-connection.js';

let storage: ObjectStorage;
let root = '';
let tiny: TinyCatalog;
beforeAll(async () => {
  storage = await startObjectStorage();
  for (const [name, value] of Object.entries(storage.environment)) vi.stubEnv(name, value);
  root = await mkdtemp(join(tmpdir(), 'semblance-object-catalog-'));
  tiny = await writeTinyCatalog(root);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await storage.stop();
  await rm(root, { recursive: true, force: true });
});

const attributes = ['hue', 'tags', 'price'];
async function index(location: string, count = 15, model = tiny.model) {
  const embedder = await openEmbedder(model, { threads: 1 });
  try {
    return await indexCatalog({
      directory: location,
      embedder,
      data: { rows: tiny.rows.slice(0, count), attributes },
      prune: true,
    });
  } finally {
    await embedder.close();
  }
}

/** As another process would have written it. */
async function leaseOfAnother(location: string, secondsAgo: number): Promise<void> {
  const renewedAt = new Date(Date.now() - 1000 * secondsAgo).toISOString();
  const connection = await connectObjectStorage(location);
  await connection.createTable('writer', [
    { key: 'another', value: JSON.stringify({ host: 'elsewhere', pid: 7, renewedAt }) },
  ]);
  connection.close();
}

it('holds what the same catalogue in a folder holds', async () => {
  const location = `${storage.bucket}/clothes/all`;
  await expect(openCatalog(location)).rejects.toThrow(/there is no catalogue/);
  expect(await index(location)).toMatchObject({ embedded: 15, total: 15 });
  expect(await index(`${location}/`, 12)).toMatchObject({ embedded: 0, removed: 3, total: 12 });
  const [there, here] = [await openCatalog(location), await openCatalog(tiny.catalog)];
  const ids = tiny.rows.slice(0, 12).map(({ relativePath }) => relativePath);
  const wanted = await here.store.get(ids);
  (await there.store.get(ids)).forEach((record, n) => {
    expect(record?.fields).toEqual(wanted[n]?.fields);
    expect([...(record?.vector ?? [])]).toEqual([...(wanted[n]?.vector ?? [])]);
  });
  await there.close();
  await here.close();
  expect(await removeRecords(location, [ids[0] as string])).toEqual([ids[0]]);
}, 120_000);

it('a server follows to another model, and what was before goes when nobody can read it any more', async () => {
  const location = `${storage.bucket}/models`;
  await index(location);
  const live = await LiveCatalog.open(location, { threads: 1, pollMs: 0 });
  const old = live.current.catalog.description.store;
  const held = live.acquire();
  await index(location, 15, await writeTinyBundle(join(root, 'second'), { offset: -0.4 }));
  expect(await live.refresh()).toBe(true);
  expect(live.current.catalog.description.store).not.toBe(old);
  expect(await held.generation.catalog.store.count()).toBe(15);
  held.release();
  expect(await live.use(({ catalog }) => catalog.store.count())).toBe(15);
  await live.close();
  const { description } = await readDescription(location);
  const retiredAt = new Date(0).toISOString();
  await writeDescription(location, { ...description, previous: { store: old, retiredAt } });
  const tablesOf = async (store: string) => {
    const connection = await connectObjectStorage(`${location}/${store}`);
    const table = await connection.openTable('pictures').catch(() => undefined);
    return table === undefined ? 0 : await table.countRows();
  };
  expect(await sweepStores(location)).toEqual([]); // by nobody who only reads
  expect(await tablesOf(old)).toBe(15);
  expect(await whileWriting(location, () => sweepStores(location))).toEqual([old]);
  expect(await tablesOf(old)).toBe(0);
  expect(await tablesOf(description.store)).toBe(15);
}, 120_000);

it('has one writer: a second is refused, one that was killed is followed', async () => {
  const location = `${storage.bucket}/writers`;
  await index(location, 3);
  await leaseOfAnother(location, 10);
  const refused = await index(location).catch((error: unknown) => error);
  expect(String(refused)).toMatch(/only one process may write, and process 7 on elsewhere does/);
  const connection = await connectObjectStorage(location);
  await connection.dropTable('writer');
  await leaseOfAnother(location, 200);
  expect(await index(location)).toMatchObject({ embedded: 12, total: 15 });
  // Within a process changes take turns, and afterwards the way is free.
  const order: number[] = [];
  await Promise.all(
    [1, 2, 3].map((n) =>
      whileWriting(location, async () => {
        order.push(n);
        await new Promise((resolve) => setTimeout(resolve, 20));
        order.push(n);
      }),
    ),
  );
  expect(order.filter((n, i) => i % 2 === 0 && order[i + 1] === n)).toHaveLength(3);
  await expect(connection.openTable('writer')).rejects.toThrow(/not found/);
  // One that lost it to another, e.g. a machine that slept, writes no more.
  const held = await objectCatalogs.holdWriting?.(location);
  await connection.dropTable('writer');
  await leaseOfAnother(location, 0);
  const lost = removeRecords(location, [tiny.rows[0]?.relativePath as string]);
  await expect(lost).rejects.toThrow(/another took over meanwhile/);
  await held?.release();
  expect(await connection.openTable('writer').then((table) => table.countRows())).toBe(1);
  connection.close();
}, 120_000);

it('says in one line what is wrong, and no key', async () => {
  for (const location of ['s3://shop', 's3://shop/', 's3://shop/a?b', 's3://shop/../b', 's3://shop/a#b'])
    await expect(openCatalog(location)).rejects.toThrow(/must read s3:\/\/bucket\/path/);
  vi.stubEnv('AWS_ACCESS_KEY_ID', 'key-of-mine');
  const error = (await openCatalog('s3://elsewhere/a').catch((thrown: unknown) => thrown)) as Error;
  vi.stubEnv('AWS_ACCESS_KEY_ID', storage.environment.AWS_ACCESS_KEY_ID as string);
  expect(error.message).toMatch(/^s3:\/\/elsewhere\/a: the object storage says: /);
  expect(error.message).not.toMatch(/key-of-mine|\n/);
}, 60_000);
