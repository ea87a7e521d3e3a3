import { mkdtemp, rm, utimes } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { openFeatureCache } from '../data/index.js';
import { sha256 } from '../util/index.js';
import { cacheCommand } from './cache.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-cache-command-'));
  for (const [i, prefix] of ['a'.repeat(64), 'b'.repeat(64)].entries()) {
    const cache = await openFeatureCache({ root, prefix, transform: 't', shape: [100, 7, 7] });
    const keys = Array.from({ length: 60 }, (_, key) => sha256(String(key)));
    await cache.append(keys, new Float32Array(60 * 4900));
    await cache.close();
    await utimes(join(cache.directory, 'about.json'), 1e9 + i, 1e9 + i);
  }
});
afterEach(() => rm(root, { recursive: true, force: true }));

async function run(...args: string[]): Promise<string> {
  let written = '';
  const spy = vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
    written += text;
    return true;
  });
  try {
    await cacheCommand()
      .exitOverride()
      .configureOutput({ writeErr() {} })
      .parseAsync([...args, '--folder', root], { from: 'user' });
  } finally {
    spy.mockRestore();
  }
  return written;
}

describe('semblance cache', () => {
  it('lists what there is, the folder used last first', async () => {
    const text = await run();
    expect(text).toMatch(
      /2001-09-09 01:46 │ bbbbbbbb │ 100×7×7 {2}│ float32 +│ +60 │ +1\.2 MB.*\n.*aaaaaaaa/,
    );
    expect(text).toContain(`120 records, 2.4 MB in ${root}\n`);
    expect(await run('list')).toBe(text);
  });

  it('clears what was used longest ago, or all', async () => {
    expect(await run('clear', '--down-to', '0.0015')).toBe(`removed 60 records, 1.2 MB from ${root}\n`);
    expect(await run()).toMatch(/bbbbbbbb[^\0]*\n60 records, 1\.2 MB/);
    expect(await run('clear')).toBe(`removed 60 records, 1.2 MB from ${root}\n`);
    expect(await run('list')).toBe(`0 records, 0 bytes in ${root}\n`);
  });

  it.each([
    [['purge'], /Allowed choices are list, clear/],
    [['clear', '--down-to', '-1'], /must be a number of gigabytes from 0 on/],
    [['clear', '--down-to', ''], /must be a number of gigabytes/],
  ])('refuses %j', async (args, message) => {
    await expect(run(...args)).rejects.toThrow(message);
    expect(await run()).toContain('120 records');
  });
});
