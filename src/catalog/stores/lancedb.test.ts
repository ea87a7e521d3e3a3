import { spawn } from 'node:child_process';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { vectorStoreConformance } from '../../../test/conformance/vector-store.js';
import { filterSql, openLanceStore, syncNewFiles } from './lancedb.js';

vectorStoreConformance('lancedb', { open: openLanceStore, persistent: true });

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

  it('syncs exactly the files that are new', async () => {
    const directory = join(root, 'synced');
    const store = await openLanceStore(directory, { dimension: 2, columns: [] });
    const synced = new Set<string>();
    const first = await syncNewFiles(directory, synced);
    expect(first.some((file) => file.endsWith('.manifest'))).toBe(true);
    await store.upsert([{ id: 'a', vector: Float32Array.from([1, 0]), fields: {} }]);
    const second = await syncNewFiles(directory, synced);
    expect(second.filter((file) => file.endsWith('.manifest'))).toHaveLength(1);
    expect(second.filter((file) => file.endsWith('.lance'))).toHaveLength(1);
    const files = (await readdir(directory, { recursive: true, withFileTypes: true })).filter((entry) =>
      entry.isFile(),
    );
    expect(synced.size).toBe(files.length);
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
