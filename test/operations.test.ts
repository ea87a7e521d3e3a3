/** What docs/operations.md promises: the dashboard's metrics exist, servers share a catalogue, a copy is a backup. */
import { cp, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { LiveCatalog } from '../src/catalog/index.js';
import { buildServer, type Server } from '../src/server/index.js';
import { runMain } from './support/run-main.js';
import { plainPicture } from './support/tiny-bundle.js';
import { openTinyServer, type TinyServer } from './support/tiny-server.js';

let tiny: TinyServer;
beforeAll(async () => {
  tiny = await openTinyServer();
});
afterAll(() => tiny.close());

async function put(server: Server, id: string): Promise<number> {
  const answer = await server.inject({
    method: 'PUT',
    url: `/v1/pictures/${id}`,
    payload: {
      picture: Buffer.from(await plainPicture([200, 10, 90])).toString('base64'),
      itemId: id,
      attributes: { hue: ['red'] },
    },
  });
  return answer.statusCode;
}

const has = async (server: Server, id: string) => (await server.inject(`/v1/pictures/${id}`)).statusCode;

it('shows only metrics that the server has', async () => {
  const dashboard = await readFile(join(import.meta.dirname, '../deploy/grafana-dashboard.json'), 'utf8');
  const names = new Set(dashboard.match(/\b(?:semblance|process|nodejs)_[a-z0-9_]+(?=[ [{",)])/g));
  names.delete('semblance_');
  expect(names.size).toBeGreaterThan(8);
  const { body } = await tiny.server.inject('/metrics');
  for (const name of names) {
    const family = name.replace(/_(bucket|sum|count)$/, '');
    expect(body, name).toMatch(new RegExp(`^# TYPE ${family} `, 'm'));
  }
});

it('lets two servers write one catalogue, and each sees what the other wrote', async () => {
  const live = await LiveCatalog.open(tiny.catalog, { threads: 1, pollMs: 0 });
  const other = await buildServer({ catalog: live });
  try {
    const ids = Array.from({ length: 6 }, (_, n) => `shared-${n}`);
    const answers = await Promise.all(ids.map((id, n) => put(n % 2 === 0 ? tiny.server : other, id)));
    expect(answers).toEqual(ids.map(() => 201));
    for (const id of ids) expect([await has(tiny.server, id), await has(other, id)], id).toEqual([200, 200]);
  } finally {
    await other.close();
    await live.close();
  }
});

it('is restored from a copy of its folder that was made while it was served', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'semblance-backup-'));
  try {
    expect(await put(tiny.server, 'before')).toBe(201);
    const copy = join(folder, 'catalog');
    await Promise.all([
      cp(tiny.catalog, copy, { recursive: true }),
      tiny.server.inject({ method: 'POST', url: '/v1/facets', payload: { columns: ['hue'] } }),
    ]);
    expect(await put(tiny.server, 'after')).toBe(201);
    const live = await LiveCatalog.open(copy, { model: tiny.model, threads: 1, pollMs: 0 });
    const restored = await buildServer({ catalog: live });
    try {
      expect([await has(restored, 'before'), await has(restored, 'after')]).toEqual([200, 404]);
      expect((await restored.inject('/v1/pictures/before/image')).statusCode).toBe(200);
      expect(await put(restored, 'later')).toBe(201);
    } finally {
      await restored.close();
      await live.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});

it('is restored from an export that was made while it was written: all of before, and the same searches', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'semblance-backup-'));
  try {
    const before = Array.from({ length: 8 }, (_, n) => `kept-${n}`);
    for (const id of before) expect(await put(tiny.server, id)).toBe(201);
    let isDone = false;
    const during: string[] = [];
    const writing = (async () => {
      for (let n = 0; !isDone; n++) {
        expect(await put(tiny.server, `during-${n}`)).toBe(201);
        during.push(`during-${n}`);
      }
    })();
    const [out, copy] = [join(folder, 'export'), join(folder, 'restored')];
    const exported = await runMain('catalog', 'export', '--catalog', tiny.catalog, '--out', out, '--quiet');
    isDone = true;
    await writing;
    expect([exported.code, exported.stderr]).toEqual([0, '']);
    expect(during.length).toBeGreaterThan(0);
    const imported = await runMain(
      'catalog',
      'import',
      out,
      '--catalog',
      copy,
      '--model',
      tiny.model,
      '--quiet',
    );
    expect([imported.code, imported.stderr]).toEqual([0, '']);
    for (const id of during) await tiny.server.inject({ method: 'DELETE', url: `/v1/pictures/${id}` });

    const live = await LiveCatalog.open(copy, { model: tiny.model, threads: 1, pollMs: 0 });
    const restored = await buildServer({ catalog: live });
    try {
      for (const id of during) await restored.inject({ method: 'DELETE', url: `/v1/pictures/${id}` });
      for (const id of before) expect(await has(restored, id), id).toBe(200);
      const { size } = await live.use(async ({ catalog: { store } }) => ({ size: await store.count() }));
      expect(size).toBe(await tiny.live.use(({ catalog: { store } }) => store.count()));
      for (const example of [{ id: 'kept-3' }, { id: tiny.rows[4]?.relativePath }]) {
        const [a, b] = await Promise.all(
          [tiny.server, restored].map((server) =>
            server.inject({ method: 'POST', url: '/v1/search', payload: { examples: [example], limit: 20 } }),
          ),
        );
        expect(b?.json().hits.length).toBeGreaterThan(10);
        expect(b?.json().hits).toEqual(a?.json().hits);
      }
    } finally {
      await restored.close();
      await live.close();
    }
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
});
