import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vectorStoreConformance } from '../../../test/conformance/vector-store.js';
import { Random } from '../../util/index.js';
import type { Filter } from '../filter.js';
import type { VectorStore } from '../store.js';
import { SyncedFolder } from './lance-files.js';
import { filterSql } from './lance-sql.js';
import { openLanceStore } from './lancedb.js';
import { openMemoryStore } from './memory.js';

vectorStoreConformance('lancedb, scanning', {
  open: (directory, shape) => openLanceStore(directory, shape, { inMemory: 'never' }),
  persistent: true,
});
vectorStoreConformance('lancedb, in memory', {
  open: (directory, shape) => openLanceStore(directory, shape, { inMemory: 'always' }),
  persistent: true,
});

describe('lancedb', () => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'semblance-lance-'));
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it.each([[5]])('kill -9 after acknowledgement %d loses nothing', async (killAfter) => {
    const directory = join(root, `killed-${killAfter}`);
    const child = spawn(
      process.execPath,
      ['--import', 'tsx', join(import.meta.dirname, '../../../test/conformance/lance-writer.ts'), directory],
      { stdio: ['ignore', 'pipe', 'inherit'] },
    );
    const exited = new Promise((resolve) => child.once('exit', resolve));
    let acknowledged = -1;
    for await (const line of createInterface({ input: child.stdout })) {
      acknowledged = Number(line.split(' ')[1]);
      if (acknowledged === killAfter) setImmediate(() => child.kill('SIGKILL'));
    }
    await exited;
    expect(child.signalCode).toBe('SIGKILL');
    const store = await openLanceStore(directory, { dimension: 4, columns: ['kind'] });
    const count = await store.count();
    expect(count % 10).toBe(0);
    expect(count).toBeGreaterThanOrEqual(10 * (acknowledged + 1));
    for (let batch = 0; batch <= acknowledged; batch++)
      expect(await store.count([{ column: 'kind', anyOf: [`batch-${batch}`] }])).toBe(10);
    await store.upsert([{ id: 'after', vector: Float32Array.from([1, 2, 3, 4]), fields: {} }]);
    expect(await store.count()).toBe(count + 1);
    await store.close();
  });

  it('what is held in memory follows every write, of this process or another, and compaction', async () => {
    const shape = { dimension: 3, columns: ['kind', 'price'], numericColumns: ['price'] };
    const directory = join(root, 'mirrored');
    const writer = await openLanceStore(directory, shape, { inMemory: 'always' });
    const reader = await openLanceStore(directory, shape, { inMemory: 'always' });
    const reference = openMemoryStore(shape);
    const random = Random.from(1);
    const ids = Array.from({ length: 120 }, (_, n) => `id-${n}`);
    const some = (count: number) =>
      Array.from({ length: count }, () => ids[random.integer(ids.length)] as string);
    for (let round = 0; round < 30; round++) {
      const records = some(round === 0 ? 200 : 1 + random.integer(12)).map((id) => ({
        id,
        vector: Float32Array.from({ length: 3 }, () => random.normal()),
        fields: {
          kind: [`kind-${random.integer(4)}`],
          price: random.uniform() < 0.5 ? [] : [`${random.integer(9)}`],
        },
      }));
      await writer.upsert(records);
      await reference.upsert(records);
      if (round % 3 === 0) {
        const gone = some(5);
        expect(await writer.delete(gone)).toBe(await reference.delete(gone));
      }
      if (round % 7 === 6) await writer.flush();
      const query = Float32Array.from({ length: 3 }, () => random.normal());
      const filter = [
        {
          or: [
            { column: 'kind', anyOf: ['kind-1'] },
            { column: 'price', from: 4 },
          ],
        },
      ];
      for (const store of [writer, reader]) {
        for (const options of [{ k: 7 }, { k: 200 }, { k: 5, filter }])
          expect(await store.search(query, options)).toEqual(await reference.search(query, options));
        expect(await store.count(filter)).toBe(await reference.count(filter));
        expect(await store.facets(['kind', 'price'], filter)).toEqual(
          await reference.facets(['kind', 'price'], filter),
        );
        expect(await store.get(ids)).toEqual(await reference.get(ids));
      }
    }
    await writer.close();
    await reader.close();
  });

  it('answers many searches at once, each as if it were alone', async () => {
    const shape = { dimension: 16, columns: ['kind'] };
    const store = await openLanceStore(join(root, 'at-once'), shape, { inMemory: 'always' });
    const reference = openMemoryStore(shape);
    const random = Random.from(2);
    const vector = () => Float32Array.from({ length: 16 }, () => random.normal());
    const records = Array.from({ length: 500 }, (_, n) => ({
      id: `${n}`,
      vector: vector(),
      fields: { kind: [`${n % 10}`] },
    }));
    await store.upsert(records);
    await reference.upsert(records);
    const asked = Array.from({ length: 100 }, (_, n) => ({
      vector: vector(),
      k: 1 + (n % 20),
      filter:
        n % 3 === 0
          ? [{ column: 'kind', anyOf: ['3'] }]
          : n % 3 === 1
            ? [{ column: 'kind', noneOf: ['3'] }]
            : [],
    }));
    const answers = await Promise.all(asked.map(({ vector, ...options }) => store.search(vector, options)));
    for (const [n, { vector, ...options }] of asked.entries())
      expect(answers[n]).toEqual(await reference.search(vector, options));
    await store.close();
  });

  it('scans where the records do not fit into the memory they may take', async () => {
    const shape = { dimension: 16, columns: [] };
    const store = await openLanceStore(join(root, 'large'), shape, {
      inMemory: 'always',
      memoryLimit: 16 * 4 * 9,
    });
    const records = Array.from({ length: 10 }, (_, n) => ({
      id: `${n}`,
      vector: new Float32Array(16).fill(n),
      fields: {},
    }));
    await store.upsert(records);
    await store.warm();
    expect(
      (await store.search(new Float32Array(16).fill(1), { k: 2 })).map(({ record }) => record.id),
    ).toEqual(['9', '8']);
    await store.close();
  });

  it.each([
    { kind: 'ivf-flat', partitions: 8, probes: 8 },
    { kind: 'hnsw-sq', ef: 600 },
    { kind: 'hnsw-sq', ef: 1 },
  ] as const)(
    'with an index ($kind) finds the nearest, under filters, what is new and not what is gone',
    async (plan) => {
      const shape = { dimension: 8, columns: ['kind', 'price', 'path'], numericColumns: ['price'] };
      const directory = join(root, JSON.stringify(plan).replace(/\W+/g, '-'));
      const store = await openLanceStore(directory, shape, { inMemory: 'never' });
      const reference = openMemoryStore(shape);
      const random = Random.from(3);
      const records = (count: number, prefix: string) =>
        Array.from({ length: count }, (_, n) => ({
          id: `${prefix}${n}`,
          vector: Float32Array.from({ length: 8 }, () => random.normal()),
          fields: {
            kind: [`${random.integer(100)}`],
            price: [`${random.integer(50)}`],
            path: [`/${prefix}${n}`],
          },
        }));
      const both = async (action: (store: VectorStore) => Promise<unknown>) => {
        await action(store);
        await action(reference);
      };
      const first = records(600, 'a');
      await both((one) => one.upsert(first));
      await store.buildIndex(plan);
      expect(await store.indexState()).toMatchObject({ plan, indexed: 600, unindexed: 0 });
      const filters: Filter[] = [
        [],
        [{ column: 'kind', anyOf: ['7'] }],
        [{ column: 'kind', noneOf: ['7', '8'] }],
        [{ column: 'kind', known: true }],
        [
          {
            or: [{ column: 'price', from: 10, to: 12 }, { not: { column: 'kind', anyOf: ['1', '2', '3'] } }],
          },
        ],
        [{ column: 'price', to: 3 }],
      ];
      const recall = async (searched: VectorStore) => {
        let [found, wanted] = [0, 0];
        for (const filter of filters) {
          expect(await searched.count(filter)).toBe(await reference.count(filter));
          for (let n = 0; n < 5; n++) {
            const query = Float32Array.from({ length: 8 }, (_, i) => (i < 4 ? 1 : n / 4) * random.normal());
            const expected = await reference.search(query, { k: 10, filter });
            const hits = await searched.search(query, { k: 10, filter });
            expect(hits).toHaveLength(expected.length);
            expect(await searched.search(query, { k: 10, filter, exact: true })).toEqual(expected);
            const ids = new Set(hits.map(({ record }) => record.id));
            wanted += expected.length;
            found += expected.filter(({ record }) => ids.has(record.id)).length;
          }
        }
        return found / wanted;
      };
      const least = plan.kind === 'ivf-flat' ? 1 : plan.ef === 1 ? 0.6 : 0.97;
      expect(await recall(store)).toBeGreaterThanOrEqual(least);
      const second = records(40, 'b');
      await both((one) => one.upsert(second));
      await both((one) => one.delete(first.slice(0, 100).map(({ id }) => id)));
      expect(await recall(store)).toBeGreaterThanOrEqual(least);
      const [fresh] = second as [(typeof second)[number]];
      expect(
        (
          await store.search(
            fresh.vector.map((x) => 9 * x),
            { k: 1 },
          )
        )[0]?.record.id,
      ).toBe((await reference.search(fresh.vector, { k: 1 }))[0]?.record.id);
      await store.flush();
      expect(await store.indexState()).toMatchObject({ indexed: 540, unindexed: 0 });
      await store.close();
      const again = await openLanceStore(directory, shape);
      expect((await again.indexState()).plan).toEqual(plan);
      expect(await recall(again)).toBeGreaterThanOrEqual(least);
      await again.buildIndex({ kind: 'exact' });
      expect(await again.indexState()).toEqual({
        plan: { kind: 'exact' },
        indexed: 0,
        unindexed: 540,
        bytes: 0,
      });
      expect(await recall(again)).toBe(1);
      await again.close();
    },
  );

  it('a plan that cannot be read is one clear error, and what it says to do helps', async () => {
    const directory = join(root, 'odd-plan');
    const shape = { dimension: 3, columns: [] };
    await (await openLanceStore(directory, shape)).close();
    await writeFile(join(directory, 'index-plan.json'), '{"kind":"of later days"}');
    const message = await openLanceStore(directory, shape).catch(({ message }: Error) => message);
    expect(message).toMatch(
      /^\S+index-plan\.json: the plan of the index cannot be read\. Delete the file, and run/,
    );
    await rm(/^(.*?): /.exec(String(message))?.[1] ?? '');
    await (await openLanceStore(directory, shape)).close();
  });

  it('follows an index that another process builds, and drops', async () => {
    const directory = join(root, 'followed');
    const shape = { dimension: 8, columns: [] };
    const [reader, builder] = [
      await openLanceStore(directory, shape),
      await openLanceStore(directory, shape),
    ];
    const random = Random.from(5);
    const vector = () => Float32Array.from({ length: 8 }, () => random.normal());
    await builder.upsert(
      Array.from({ length: 400 }, (_, n) => ({ id: `${n}`, vector: vector(), fields: {} })),
    );
    const queries = Array.from({ length: 10 }, vector);
    const found = (store: VectorStore, exact = false) =>
      Promise.all(queries.map((query) => store.search(query, { k: 10, exact })));
    const exact = await found(reader);
    expect(await found(reader, true)).toEqual(exact);
    const plan = { kind: 'ivf-flat', partitions: 16, probes: 1 } as const;
    await builder.buildIndex(plan);
    const byIndex = await found(builder);
    expect(byIndex).not.toEqual(exact);
    await expect.poll(() => found(reader), { timeout: 10_000 }).toEqual(byIndex);
    expect(await reader.indexState()).toMatchObject({ plan, indexed: 400 });
    await builder.buildIndex({ kind: 'exact' });
    await expect.poll(() => found(reader), { timeout: 10_000 }).toEqual(exact);
    await Promise.all([reader.close(), builder.close()]);
  });

  it('syncs exactly the files that are new', async () => {
    const directory = join(root, 'synced');
    const store = await openLanceStore(directory, { dimension: 2, columns: [] });
    const synced = new SyncedFolder(directory);
    const first = await synced.syncNew();
    expect(first.some((file) => file.endsWith('.manifest'))).toBe(true);
    await store.upsert([{ id: 'a', vector: Float32Array.from([1, 0]), fields: {} }]);
    const second = await synced.syncNew();
    expect(second.filter((file) => file.endsWith('.manifest'))).toHaveLength(1);
    expect(second.filter((file) => file.endsWith('.lance'))).toHaveLength(1);
    const files = (await readdir(directory, { recursive: true, withFileTypes: true }))
      .filter((entry) => entry.isFile())
      .map(({ parentPath, name }) => join(parentPath, name).slice(directory.length + 1));
    const hint = (name: string) => name.endsWith('latest_version_hint.json');
    expect([...first, ...second].filter((name) => !hint(name)).sort()).toEqual(
      files.filter((name) => !hint(name)).sort(),
    );
    expect(second.filter(hint)).toHaveLength(1);
    await store.close();
  });

  it('removes what a writer that was killed left half-written an hour ago', async () => {
    const directory = join(root, 'abandoned');
    const store = await openLanceStore(directory, { dimension: 2, columns: [] });
    await store.upsert([{ id: 'a', vector: Float32Array.from([1, 0]), fields: {} }]);
    const data = join(directory, 'pictures.lance', 'data');
    await writeFile(join(data, '.tmpOld'), 'half');
    await writeFile(join(data, '.tmpNew'), 'half');
    const before = Date.now() / 1000 - 2 * 3600;
    await utimes(join(data, '.tmpOld'), before, before);
    await store.flush();
    expect((await readdir(data)).filter((name) => name.startsWith('.tmp'))).toEqual(['.tmpNew']);
    expect(await store.count()).toBe(1);
    await store.close();
  });

  it('a folder that cannot be made is one clear error', async () => {
    const file = join(root, 'a-file');
    await writeFile(file, 'not a folder');
    await expect(openLanceStore(file, { dimension: 2, columns: [] })).rejects.toThrow(
      /a-file: the store cannot be/,
    );
  });

  it('writes filters as SQL', () => {
    expect(filterSql([])).toBeUndefined();
    expect(
      filterSql([
        { column: 'kind', anyOf: ["it's", 'x'] },
        { column: 'id', noneOf: ['y'] },
      ]),
    ).toBe(
      "array_has_any(`kind`, make_array('it''s', 'x')) AND NOT array_has_any(`x_6964`, make_array('y'))",
    );
  });
});
