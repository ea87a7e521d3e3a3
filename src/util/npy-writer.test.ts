import { mkdtemp, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readNpy } from './npy.js';
import { npyWriter } from './npy-writer.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-npy-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('npyWriter', () => {
  it('rows appended in parts are one array; its elements begin at a multiple of 64 bytes', async () => {
    const path = join(root, 'folder', 'a.npy');
    const writer = await npyWriter(path, 3);
    await writer.append(Float32Array.of(1, 2, 3, 4, 5, 6));
    await writer.append(new Float32Array(0));
    await writer.append(Float32Array.of(0, 7, 8, 9).subarray(1));
    expect(await readdir(join(root, 'folder'))).toEqual([expect.stringContaining('unfinished')]);
    await writer.finish();
    await writer.abandon();
    expect(await readNpy(path)).toEqual({
      shape: [3, 3],
      dataType: 'float32',
      data: Float32Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9),
    });
    expect((await stat(path)).size).toBe(128 + 36);
    expect(await readdir(join(root, 'folder'))).toEqual(['a.npy']);
  });

  it('no row is an array too; what is abandoned leaves nothing', async () => {
    const path = join(root, 'none.npy');
    await (await npyWriter(path, 4)).finish();
    expect((await readNpy(path)).shape).toEqual([0, 4]);
    const writer = await npyWriter(join(root, 'b.npy'), 2);
    await expect(writer.append(Float32Array.of(1))).rejects.toThrow(/b\.npy: npy: rows must have 2 elements/);
    await writer.abandon();
    expect((await readdir(root)).filter((name) => name.includes('b.npy'))).toEqual([]);
    await expect(npyWriter(join(path, 'c.npy'), 2)).rejects.toThrow(/c\.npy: cannot be written/);
  });
});
