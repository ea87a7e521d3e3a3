import { mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { type ObjectStorage, startObjectStorage } from '../../../test/conformance/object-storage.js';
import { connectLance, connectObjectStorage } from './lance-connection.js';
import { openLanceStore } from './lancedb.js';

let root = '';
let storage: ObjectStorage;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-lance-scan-'));
  storage = await startObjectStorage();
  for (const [name, value] of Object.entries(storage.environment)) vi.stubEnv(name, value);
});
afterAll(async () => {
  vi.unstubAllEnvs();
  await storage.stop();
  await rm(root, { recursive: true, force: true });
});

const IDS = ['a', 'b', 'c', 'd'];
const records = (ids: readonly string[], kind: string) =>
  ids.map((id) => ({ id, vector: Float32Array.from([1, 0]), fields: { kind: [kind] } }));

/** A scan of four records of which the first was read. */
async function startScan(address: string) {
  const store = await openLanceStore(address, { dimension: 2, columns: ['kind'] });
  await store.upsert(records(IDS, 'old'));
  const scan = store.scan({ batchSize: 1 });
  const { value: first } = await scan.next();
  return { store, scan, first: first ?? [] };
}

describe('a scan', () => {
  it.each([
    ['a folder', () => join(root, 'outlived'), async (at: string) => (await connectLance(at)).connection],
    ['object storage', () => `${storage.bucket}/outlived`, connectObjectStorage],
  ])('of %s outlives its version: what is left of it is read as it now is', async (_, place, connect) => {
    const { store, scan, first } = await startScan(place());
    await store.upsert(records(['b', 'e'], 'new'));
    await store.delete(['c']);
    const connection = await connect(place());
    const table = await connection.openTable('pictures');
    await table.optimize({ cleanupOlderThan: new Date(Date.now() + 1000) });
    const found = [...first];
    for await (const batch of scan) found.push(...batch);
    expect(found.map(({ id, fields }) => `${id} ${fields.kind}`)).toEqual(['a old', 'b new', 'd old']);
    table.close();
    connection.close();
    await store.close();
  });

  it('of a damaged file fails, although every record can be read as it now is', async () => {
    const directory = join(root, 'damaged');
    const { store, scan } = await startScan(directory);
    const data = join(directory, 'pictures.lance', 'data');
    const files = await readdir(data);
    await store.upsert(records(IDS, 'new'));
    for (const file of files) await truncate(join(data, file), 100);
    expect((await store.get(IDS)).map((record) => record?.fields.kind)).toEqual(IDS.map(() => ['new']));
    await expect(scan.next()).rejects.toThrow(/Invalid range/);
    await store.close();
  });

  it('of a file that is missing from the newest version fails', async () => {
    const directory = join(root, 'missing');
    const { store, scan } = await startScan(directory);
    await rm(join(directory, 'pictures.lance', 'data'), { recursive: true });
    await expect(scan.next()).rejects.toThrow(/not found/i);
    await store.close();
  });
});
