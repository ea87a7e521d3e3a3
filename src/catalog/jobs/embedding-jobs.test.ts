import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  NO_REAL_POSTGRES,
  startPglite,
  startRealPostgres,
  type TestServer,
} from '../../../test/conformance/postgres-server.js';
import { type TinyCatalog, writeTinyCatalog } from '../../../test/support/tiny-catalog.js';
import { type Embedder, openEmbedder } from '../../bundle/index.js';
import type { ManifestRow } from '../../data/index.js';
import { sha256 } from '../../util/index.js';
import { openCatalog } from '../catalog.js';
import { EmbeddingJobs } from './embedding-jobs.js';

if (NO_REAL_POSTGRES !== undefined) it.skip(`jobs in a real PostgreSQL: ${NO_REAL_POSTGRES}`, () => {});

describe.each([
  { name: 'PGlite', start: startPglite },
  ...(NO_REAL_POSTGRES === undefined ? [{ name: 'a real PostgreSQL', start: startRealPostgres }] : []),
])('jobs in $name', ({ start }) => {
  let server: TestServer;
  let folder: string;
  let tiny: TinyCatalog;
  let embedder: Embedder;
  beforeAll(async () => {
    server = await start();
    folder = await mkdtemp(join(tmpdir(), 'semblance-jobs-'));
    tiny = await writeTinyCatalog(folder);
    embedder = await openEmbedder(tiny.model, { threads: 1 });
  }, 240_000);
  afterAll(async () => {
    await embedder.close();
    await server.stop();
    await rm(folder, { recursive: true, force: true });
  });

  const attributes = ['hue', 'tags', 'price'];

  it('fills a catalogue as `index` does, and sets aside what cannot be read', async () => {
    const broken: ManifestRow = {
      ...(tiny.rows[0] as ManifestRow),
      path: join(folder, 'broken.png'),
      relativePath: 'broken.png',
    };
    await writeFile(broken.path, 'no picture');
    const location = `${server.url}#all`;
    const jobs = await EmbeddingJobs.open(location);
    const added = await jobs.add({
      bundle: embedder.bundle,
      rows: [...tiny.rows, broken],
      attributes,
      picturesPerJob: 4,
    });
    expect(added).toEqual({ pictures: 16, jobs: 4 });
    expect(await jobs.progress()).toEqual({ total: 16, waiting: 16, active: 0, done: 0, setAside: 0 });
    const seen: number[] = [];
    expect(await jobs.work({ embedder, onProgress: ({ done }) => seen.push(done) })).toBe(15);
    expect(await jobs.progress()).toEqual({ total: 16, waiting: 0, active: 0, done: 15, setAside: 1 });
    expect(seen.every((done, n) => n === 0 || done >= (seen[n - 1] as number))).toBe(true);
    const [left] = await jobs.setAside();
    expect(left?.id).toBe('broken.png');
    expect(left?.reason).toMatch(/broken\.png/);

    const inDatabase = await openCatalog(location);
    const inFolder = await openCatalog(tiny.catalog);
    const ids = tiny.rows.map(({ relativePath }) => relativePath);
    const wanted = await inFolder.store.get(ids);
    (await inDatabase.store.get(ids)).forEach((record, n) => {
      expect(record?.fields).toEqual(wanted[n]?.fields);
      expect([...(record?.vector ?? [])]).toEqual([...(wanted[n]?.vector ?? [])]);
    });
    await inDatabase.close();
    await inFolder.close();

    // What is up to date is left alone.
    await jobs.add({ bundle: embedder.bundle, rows: tiny.rows, attributes });
    expect(await jobs.work({ embedder })).toBe(0);
    expect(await jobs.progress()).toMatchObject({ total: 15, done: 15, setAside: 0 });
    await jobs.close();
  }, 240_000);

  it('gives the jobs of dead workers to others, and sets aside the picture that kills them', async () => {
    const jobs = await EmbeddingJobs.open(`${server.url}#deadly`);
    const boss = new PgBoss({
      connectionString: server.url,
      schema: 'semblance_jobs',
      supervise: false,
      schedule: false,
      max: 1,
    });
    await boss.start();
    /** A worker that takes the only job of a queue and is never heard of again. */
    const die = async (queue: string) => {
      expect(await boss.fetch(queue)).toHaveLength(1);
      await sleep(1100);
      await boss.expire();
    };
    const [deadly, ...others] = tiny.rows.slice(0, 3) as [ManifestRow, ManifestRow, ManifestRow];
    const add = (rows: readonly ManifestRow[]) =>
      jobs.add({ bundle: embedder.bundle, rows, attributes, takeOverAfter: 1 });
    await add([deadly]);
    // Whoever looks at the queue changes nothing of that.
    const status = await EmbeddingJobs.open(`${server.url}#deadly`);
    await status.progress();
    await status.close();
    const queues = (await boss.getQueues()).map(({ name }) => name);
    const single = queues
      .filter((name) => name.endsWith('-single'))
      .find((name) => name.includes(sha256('deadly').slice(0, 16))) as string;
    const chunk = single.replace('-single', '');
    for (let death = 0; death < 3; death++) await die(chunk);
    await add(others);
    expect(await jobs.progress()).toMatchObject({ total: 3, done: 0, setAside: 0 });
    // A worker comes by, takes the job apart, and is told to stop.
    const stop = new AbortController();
    const asked = jobs.work({
      embedder,
      signal: stop.signal,
      onProgress: () => stop.abort(new Error('enough')),
    });
    await expect(asked).rejects.toThrow('enough');
    for (let death = 0; death < 2; death++) await die(single);
    expect(await jobs.work({ embedder })).toBe(2);
    expect(await jobs.progress()).toEqual({ total: 3, waiting: 0, active: 0, done: 2, setAside: 1 });
    expect((await jobs.setAside()).map(({ id }) => id)).toEqual([deadly.relativePath]);
    await boss.stop({ graceful: false, wait: true });
    await jobs.close();
  }, 240_000);

  it('holds nothing against a job whose workers were told to stop', async () => {
    const jobs = await EmbeddingJobs.open(`${server.url}#stopped`);
    await jobs.add({ bundle: embedder.bundle, rows: tiny.rows.slice(0, 1), attributes });
    for (let n = 0; n < 6; n++) {
      const stop = new AbortController();
      const stopped: Embedder = {
        ...embedder,
        embed(pictures, options) {
          stop.abort(new Error('stop'));
          return embedder.embed(pictures, options);
        },
      };
      await expect(jobs.work({ embedder: stopped, signal: stop.signal })).rejects.toThrow('stop');
      expect(await jobs.progress()).toEqual({ total: 1, waiting: 1, active: 0, done: 0, setAside: 0 });
    }
    expect(await jobs.work({ embedder })).toBe(1);
    expect(await jobs.progress()).toEqual({ total: 1, waiting: 0, active: 0, done: 1, setAside: 0 });
    await jobs.close();
  }, 240_000);

  it('refuses a catalogue in a folder', async () => {
    await expect(EmbeddingJobs.open(tiny.catalog)).rejects.toThrow(/a catalogue in a database is required/);
  });
});
