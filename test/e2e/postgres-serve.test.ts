/** Two `semblance serve` processes over one catalogue in a real PostgreSQL. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openEmbedder } from '../../src/bundle/index.js';
import { indexCatalog } from '../../src/catalog/index.js';
import { NO_REAL_POSTGRES, startRealPostgres, type TestServer } from '../conformance/postgres-server.js';
import { type ServedPage, servePage } from '../support/served-page.js';
import { plainPicture } from '../support/tiny-bundle.js';
import { writeTinyCatalog } from '../support/tiny-catalog.js';

if (NO_REAL_POSTGRES !== undefined) it.skip(`two servers over PostgreSQL: ${NO_REAL_POSTGRES}`, () => {});

describe.runIf(NO_REAL_POSTGRES === undefined)('two servers over one catalogue in PostgreSQL', () => {
  let root = '';
  let database: TestServer;
  let first: ServedPage;
  let second: ServedPage;
  let known = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'semblance-postgres-serve-'));
    vi.stubEnv('XDG_DATA_HOME', join(root, 'data'));
    database = await startRealPostgres();
    const catalog = `${database.url}#shop`;
    const { model, rows } = await writeTinyCatalog(root);
    known = rows[0]?.relativePath as string;
    const embedder = await openEmbedder(model, { threads: 1 });
    await indexCatalog({
      directory: catalog,
      embedder,
      data: { rows, attributes: ['hue', 'tags', 'price'] },
    });
    await embedder.close();
    const flags = ['--rate-limit', '0'];
    [first, second] = await Promise.all([servePage({ catalog }, flags), servePage({ catalog }, flags)]);
  });
  afterAll(async () => {
    await first?.close();
    await second?.close();
    await database?.stop();
    vi.unstubAllEnvs();
    await rm(root, { recursive: true, force: true });
  });

  async function call(server: ServedPage, method: string, path: string, body?: object) {
    const answer = await fetch(`${server.address}/v1/${path}`, {
      method,
      headers: body === undefined ? {} : { 'content-type': 'application/json' },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    const text = await answer.text();
    return { status: answer.status, body: text === '' ? undefined : JSON.parse(text) };
  }
  const change = (server: ServedPage, attributes: Record<string, string[]>) =>
    call(server, 'PATCH', `pictures/${encodeURIComponent(known)}`, { attributes });
  const attributesOf = async (server: ServedPage) =>
    (await call(server, 'GET', `pictures/${encodeURIComponent(known)}`)).body.attributes;

  it('what is written through one is found through the other with its next request', async () => {
    const picture = Buffer.from(await plainPicture([9, 200, 180])).toString('base64');
    expect((await call(first, 'PUT', 'pictures/new', { itemId: 'new', picture })).status).toBe(201);
    const found = await call(second, 'POST', 'search', { examples: [{ picture }], limit: 3 });
    expect(found.body.hits[0].id).toBe('new');
    const shown = await fetch(`${second.address}/v1/pictures/new/image`);
    expect(Buffer.from(await shown.arrayBuffer()).toString('base64')).toBe(picture);
    expect((await call(second, 'DELETE', 'pictures/new')).status).toBe(204);
    expect((await call(first, 'GET', 'pictures/new')).status).toBe(404);
  });

  it('both may change one record at once', async () => {
    for (let n = 0; n < 10; n++) {
      const answers = await Promise.all([
        change(first, { tags: [`tag ${n}`] }),
        change(second, { price: [`${n}`] }),
      ]);
      expect(answers.map(({ status }) => status)).toEqual([200, 200]);
      for (const server of [first, second])
        expect(await attributesOf(server)).toMatchObject({ tags: [`tag ${n}`], price: [`${n}`] });
    }
  });

  it('one that is killed loses nothing that it acknowledged, and the other goes on at once', async () => {
    for (let round = 0; round < 5; round++) {
      let acknowledged = 0;
      const writing = (async () => {
        for (let n = 1; ; n++) {
          if ((await change(first, { price: [`${1000 * round + n}`] })).status !== 200) return;
          acknowledged = n;
        }
      })().catch(() => {}); // the connection of the request under way
      await expect.poll(() => acknowledged, { timeout: 30_000 }).toBeGreaterThan(5 + 3 * round);
      await first.kill();
      await writing;
      const [price] = (await attributesOf(second)).price;
      // What was under way may have been done as well.
      expect([1000 * round + acknowledged, 1000 * round + acknowledged + 1]).toContain(Number(price));
      const start = performance.now();
      expect((await change(second, { tags: [`round ${round}`] })).status).toBe(200);
      expect(performance.now() - start).toBeLessThan(5000);
      expect((await attributesOf(second)).tags).toEqual([`round ${round}`]);
      await first.restart();
      expect((await attributesOf(first)).tags).toEqual([`round ${round}`]);
    }
  });
});
