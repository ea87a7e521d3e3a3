/** Several writers of one catalogue in a database: PGlite is one session, so these need a real server. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  NO_REAL_POSTGRES,
  startRealPostgres,
  type TestServer,
} from '../../test/conformance/postgres-server.js';
import { writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { type LockHolder, stopwatch } from '../util/index.js';
import { openCatalog, readDescription, whileWriting, writeDescription } from './catalog.js';
import { otherStores, sweepStores } from './generations.js';
import { LiveCatalog } from './live-catalog.js';
import { indexCatalog } from './reindexing.js';
import { type Database, openDatabase } from './stores/postgres-database.js';

if (NO_REAL_POSTGRES !== undefined) it.skip(`writers of a real PostgreSQL: ${NO_REAL_POSTGRES}`, () => {});

describe.runIf(NO_REAL_POSTGRES === undefined)('writers of one catalogue in a database', () => {
  let server: TestServer;
  let root = '';
  let model = '';
  let rows: readonly ManifestRow[] = [];
  let database: Database;
  beforeAll(async () => {
    server = await startRealPostgres();
    root = await mkdtemp(join(tmpdir(), 'semblance-postgres-writers-'));
    ({ model, rows } = await writeTinyCatalog(root));
    database = await openDatabase(server.url, { connections: 2 });
  }, 240_000);
  afterAll(async () => {
    await database?.close();
    await server?.stop();
    await rm(root, { recursive: true, force: true });
  });

  async function index(location: string, bundle = model): Promise<void> {
    const embedder = await openEmbedder(bundle, { threads: 1 });
    const data = { rows: rows.slice(0, 6), attributes: ['hue', 'tags', 'price'] };
    await indexCatalog({ directory: location, embedder, data });
    await embedder.close();
  }

  const tables = async () =>
    await database.query("SELECT tablename FROM pg_tables WHERE tablename LIKE 'records_%' ORDER BY 1");

  it('two that change different columns of one record at once lose neither change', async () => {
    const location = `${server.url}#turns`;
    await index(location);
    const servers = await Promise.all(
      [0, 1].map(() => LiveCatalog.open(location, { threads: 1, pollMs: 0 })),
    );
    const [first, second] = servers as [LiveCatalog, LiveCatalog];
    const id = (rows[0] as ManifestRow).relativePath;
    for (let n = 0; n < 30; n++) {
      await Promise.all([
        first.change(id, { attributes: { tags: [`tag ${n}`] } }),
        second.change(id, { attributes: { price: [`${n}`] } }),
      ]);
      const [record] = await first.current.catalog.store.get([id]);
      expect(record?.fields).toMatchObject({ tags: [`tag ${n}`], price: [`${n}`] });
    }
    await Promise.all(servers.map((live) => live.close()));
  }, 120_000);

  it('waits for its turn, and stops waiting when it is told to', async () => {
    const location = `${server.url}#waiting`;
    let go = () => {};
    const held = new Promise<void>((resolve) => {
      go = resolve;
    });
    const order: string[] = [];
    const first = whileWriting(location, async () => {
      order.push('first begins');
      await held;
      order.push('first ends');
    });
    await expect.poll(() => order.length).toBe(1);
    const second = whileWriting(location, async () => void order.push('second'));
    const stop = new AbortController();
    const third = whileWriting(location, async () => void order.push('third'), { signal: stop.signal });
    stop.abort(new Error('enough'));
    await expect(third).rejects.toThrow('enough');
    await whileWriting(`${server.url}#another`, async () => void order.push('another'));
    go();
    await Promise.all([first, second]);
    expect(order).toEqual(['first begins', 'another', 'first ends', 'second']);
  }, 60_000);

  it('says after two seconds for whom it waits, once', async () => {
    const location = `${server.url}#told`;
    let go = () => {};
    const begun = new Promise<void>((resolve) => {
      void whileWriting(location, () => {
        resolve();
        return new Promise<void>((end) => {
          go = end;
        });
      });
    });
    await begun;
    const told: LockHolder[] = [];
    const onWait = (holder: LockHolder) => told.push(holder);
    const waited = stopwatch();
    const second = whileWriting(location, async () => {}, { onWait });
    await whileWriting(`${server.url}#another`, async () => {}, { onWait });
    await expect.poll(() => told, { timeout: 20_000 }).toHaveLength(1);
    expect(waited()).toBeGreaterThan(1.9);
    await new Promise((resolve) => setTimeout(resolve, 1500));
    go();
    await second;
    expect(told).toEqual([{ process: process.pid, host: expect.stringMatching(/^[\w.-]+$/) }]);
  }, 60_000);

  it('a change whose connection breaks was not made at all, and the process lives', async () => {
    const location = `${server.url}#broken`;
    await index(location);
    const catalog = await openCatalog(location);
    const ids = rows.slice(0, 2).map(({ relativePath }) => relativePath) as [string, string];
    const other = new Client({ connectionString: server.url });
    await other.connect();
    const change = whileWriting(location, async () => {
      await catalog.store.delete([ids[0]]);
      await other.query(
        `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE state = 'idle in transaction'`,
      );
      await catalog.store.delete([ids[1]]);
    });
    await expect(change).rejects.toThrow(/the database says: .+/);
    await other.end();
    expect((await catalog.store.get(ids)).map((record) => record?.id)).toEqual(ids);
    await whileWriting(location, () => catalog.store.delete([ids[0]]));
    expect(await catalog.store.count()).toBe(5);
    await catalog.close();
  }, 60_000);

  it("drops a model's table once another has taken its place and nobody reads it", async () => {
    const location = `${server.url}#models`;
    const before = (await tables()).length;
    await index(location);
    const old = (await readDescription(location)).description.store;
    const live = await LiveCatalog.open(location, { threads: 1, pollMs: 0 });
    const held = live.acquire();
    await index(location, await writeTinyBundle(join(root, 'second'), { offset: -0.4 }));
    const { description } = await readDescription(location);
    expect(description.store).not.toBe(old);
    expect(await tables()).toHaveLength(before + 2);
    // As if it had been replaced longer ago than anybody reads without saying so.
    const retiredAt = new Date(0).toISOString();
    await writeDescription(location, { ...description, previous: { store: old, retiredAt } });
    expect(await otherStores(location)).toEqual([{ store: old, fate: 'read' }]);
    expect(await sweepStores(location)).toEqual([]);
    expect(await live.refresh()).toBe(true);
    expect(await held.generation.catalog.store.count()).toBe(6);
    held.release(); // the last request of the old model is done: the server that had it removes it
    await expect.poll(tables, { timeout: 20_000 }).toHaveLength(before + 1);
    expect(await live.use(({ catalog }) => catalog.store.count())).toBe(6);
    await live.close();
    expect(await database.query("SELECT 1 FROM semblance.stores WHERE name LIKE 'models/%'")).toHaveLength(1);
    expect(await database.query("SELECT 1 FROM semblance.readers WHERE store LIKE 'models/%'")).toEqual([]);
    // A reader that was killed says nothing any more.
    await index(location);
    const second = description.store;
    await database.query(
      "INSERT INTO semblance.readers VALUES (gen_random_uuid(), $1, now() - interval '30 s')",
      [`models/${second}`],
    );
    const back = (await readDescription(location)).description;
    await writeDescription(location, { ...back, previous: { store: second, retiredAt } });
    expect(await sweepStores(location)).toEqual([]);
    await database.query("UPDATE semblance.readers SET seen_at = now() - interval '2 min'");
    expect(await sweepStores(location)).toEqual([second]);
    expect(await tables()).toHaveLength(before + 1);
  }, 120_000);
});
