import { afterAll, beforeAll, expect, it } from 'vitest';
import { startPglite } from '../../test/conformance/postgres-server.js';
import { openCatalog, openDescribed, readDescription, writeDescription } from './catalog.js';
import { shardCatalog } from './sharding/index.js';

let pglite: Awaited<ReturnType<typeof startPglite>>;
beforeAll(async () => {
  pglite = await startPglite();
}, 240_000);
afterAll(async () => {
  await pglite.stop();
});

it('a catalogue in a database is found by its name, with its description and pictures', async () => {
  const shop = `${pglite.url}#shop`;
  await expect(openCatalog(shop)).rejects.toThrow(/there is no catalogue/);
  const description = {
    formatVersion: 1,
    model: { directory: 'model', vectorHash: 'abc' },
    dimension: 2,
    schema: {
      attributes: [{ name: 'kind', kind: 'single' as const, values: ['cat', 'dog'] }],
      levels: ['item_id', 'kind'],
    },
    levelWeights: [[1]],
    columns: ['path', 'kind'],
    numericColumns: [],
    store: 'vectors-0a',
  };
  await writeDescription(shop, description);
  expect((await readDescription(shop)).description).toEqual(description);
  const first = await openDescribed(shop, description);
  const vector = new Float32Array(first.layout.size).fill(1);
  await first.store.upsert([{ id: 'a.png', vector, fields: { kind: ['cat'] } }]);
  await first.close();
  const again = await openCatalog(shop);
  expect((await again.store.search(vector, { k: 3 })).map(({ record }) => record.id)).toEqual(['a.png']);
  await again.close();
  await expect(openCatalog(`${pglite.url}#other`)).rejects.toThrow(/there is no catalogue/);
});

it('refuses a password in the location, without saying it', async () => {
  const error = await openCatalog('postgres://me:s3cret@127.0.0.1/db').catch((thrown: unknown) => thrown);
  expect(String(error)).toMatch(/PGPASSWORD/);
  expect(String(error)).not.toContain('s3cret');
});

it('refuses to spread a catalogue where there is no Citus', async () => {
  await expect(shardCatalog(`${pglite.url}#shop`)).rejects.toThrow(
    /the database must have the extension Citus, got none\. .*CREATE EXTENSION citus$/,
  );
  await expect(shardCatalog('runs/demo/catalog')).rejects.toThrow(/a catalogue in a database is required/);
});
