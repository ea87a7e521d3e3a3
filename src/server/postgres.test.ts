import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { startPglite } from '../../test/conformance/postgres-server.js';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { openEmbedder } from '../bundle/index.js';
import { catalogFolder, indexCatalog, LiveCatalog } from '../catalog/index.js';
import { sha256 } from '../util/index.js';
import { buildServer } from './server.js';

let pglite: Awaited<ReturnType<typeof startPglite>>;
let root = '';
beforeAll(async () => {
  pglite = await startPglite();
  root = await mkdtemp(join(tmpdir(), 'semblance-postgres-server-'));
  vi.stubEnv('XDG_DATA_HOME', join(root, 'data'));
}, 240_000);
afterAll(async () => {
  vi.unstubAllEnvs();
  await pglite.stop();
  await rm(root, { recursive: true, force: true });
});

it('keeps the pictures and the feedback of a catalogue in a database in a folder of its own', async () => {
  const directory = `${pglite.url}#shop`;
  const { model, rows } = await writeTinyCatalog(root);
  const embedder = await openEmbedder(model, { threads: 1 });
  await indexCatalog({
    directory,
    embedder,
    data: { rows: rows.slice(0, 6), attributes: ['hue', 'tags', 'price'] },
  });
  await embedder.close();
  const failures: string[] = [];
  const live = await LiveCatalog.open(directory, {
    threads: 1,
    pollMs: 0,
    onEvent: (event) => event.kind === 'failed' && failures.push(event.reason),
  });
  const server = await buildServer({ catalog: live });
  try {
    const bytes = Buffer.from(await plainPicture([7, 70, 170]));
    const picture = bytes.toString('base64');
    const payload = { itemId: 'new', picture };
    expect((await server.inject({ method: 'PUT', url: '/v1/pictures/new', payload })).statusCode).toBe(201);
    const image = await server.inject('/v1/pictures/new/image');
    expect(image.rawPayload.equals(bytes)).toBe(true);
    const folder = catalogFolder(directory);
    expect(folder.startsWith(join(root, 'data'))).toBe(true);
    const kept = join('pictures', sha256(bytes).slice(0, 2), `${sha256(bytes)}.png`);
    expect(existsSync(join(folder, kept))).toBe(true);

    const said = { example: { picture }, id: 'new', verdict: 'up' };
    const feedback = await server.inject({ method: 'POST', url: '/v1/feedback', payload: said });
    expect(feedback.statusCode).toBe(201);
    const shown = await server.inject(`/v1/feedback/${feedback.json().key}/image`);
    expect(shown.rawPayload.equals(bytes)).toBe(true);
    expect((await readdir(folder)).sort()).toEqual(['feedback', 'feedback.jsonl', 'pictures']);

    expect((await server.inject({ method: 'DELETE', url: '/v1/pictures/new' })).statusCode).toBe(204);
    expect(existsSync(join(folder, kept))).toBe(false);
  } finally {
    await server.close();
    await live.close();
  }
  expect(failures).toEqual([]);
  expect(existsSync('postgres:')).toBe(false);
}, 120_000);

it('another catalogue or database has another folder, whoever asks', () => {
  const folders = [
    'postgres://me@db/shop#clothes',
    'postgresql://you@db/shop#clothes',
    'postgres://me@db/shop#shoes',
    'postgres://me@db/other#clothes',
  ].map(catalogFolder);
  expect(folders[1]).toBe(folders[0]);
  expect(new Set(folders).size).toBe(3);
  expect(catalogFolder('runs/demo/catalog')).toBe('runs/demo/catalog');
});
