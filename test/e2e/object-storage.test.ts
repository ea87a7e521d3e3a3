/** A catalogue in object storage by the command line: one machine indexes, others search and serve. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import { writeManifest } from '../../src/data/index.js';
import { type ObjectStorage, startObjectStorage } from '../conformance/object-storage.js';
import { semblance } from '../support/command-line.js';
import { type ServedPage, servePage } from '../support/served-page.js';
import { type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';

let storage: ObjectStorage;
let root = '';
let tiny: TinyCatalog;
let served: ServedPage | undefined;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-object-storage-'));
  vi.stubEnv('XDG_DATA_HOME', join(root, 'data'));
  storage = await startObjectStorage();
  for (const [name, value] of Object.entries(storage.environment)) vi.stubEnv(name, value);
  tiny = await writeTinyCatalog(root);
  await writeManifest(join(root, 'all.csv'), tiny.rows);
  await writeManifest(join(root, 'some.csv'), tiny.rows.slice(0, 12));
});
afterAll(async () => {
  await served?.close();
  await storage.stop();
  vi.unstubAllEnvs();
  await rm(root, { recursive: true, force: true });
});

it('index, search and serve', async () => {
  const catalog = `${storage.bucket}/clothes`;
  const index = (data: string) =>
    semblance(['index', '--catalog', catalog, '--model', tiny.model, '--data', join(root, data), '--json']);
  const first = await index('some.csv');
  expect(first.stderr).not.toMatch(/S3RVER/);
  expect([first.code, JSON.parse(first.stdout).embedded]).toEqual([0, 12]);

  const picture = tiny.rows[0]?.path as string;
  const found = await semblance(['search', picture, '--catalog', catalog, '--json']);
  expect(found.code).toBe(0);
  const ofFolder = await semblance(['search', picture, '--catalog', tiny.catalog, '--json']);
  const ids = (text: string): string[] => JSON.parse(text).hits.map(({ id }: { id: string }) => id);
  const wanted = ids(ofFolder.stdout).filter((id) =>
    tiny.rows.slice(0, 12).some((r) => r.relativePath === id),
  );
  expect(ids(found.stdout).slice(0, 5)).toEqual(wanted.slice(0, 5));

  served = await servePage({ catalog });
  const { address } = served;
  const search = async () => {
    const example = { id: tiny.rows[0]?.relativePath };
    const answer = await fetch(`${address}/v1/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ examples: [example], limit: 50 }),
    });
    return ((await answer.json()) as { hits: { id: string }[] }).hits.map(({ id }) => id);
  };
  expect((await search()).length).toBeGreaterThanOrEqual(11);
  const image = await fetch(
    `${address}/v1/pictures/${encodeURIComponent(tiny.rows[1]?.relativePath as string)}/image`,
  );
  expect(image.status).toBe(200);
  const refused = await fetch(`${address}/v1/pictures/x`, { method: 'DELETE' });
  expect(refused.status).toBe(403);

  // What another machine indexes is seen with the next search.
  const before = (await search()).length;
  expect((await index('all.csv')).code).toBe(0);
  expect(await search()).toHaveLength(before + 3);
});
