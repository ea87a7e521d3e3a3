import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import {
  mkdir,
  mkdtemp,
  open,
  readdir,
  readFile,
  rm,
  stat,
  truncate,
  utimes,
  writeFile,
} from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { canMount } from '../../test/support/small-disk.js';
import { Random, sha256 } from '../util/index.js';
import { type FeatureCache, type FeatureCacheOptions, openFeatureCache } from './feature-cache.js';
import { clearFeatureCaches, listFeatureCaches } from './feature-cache-spaces.js';

const LENGTH = 48;
const RECORD_BYTES = LENGTH * 4;
const ENTRY_BYTES = 44;
let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-features-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

const keyOf = (i: number) => sha256(`picture ${i}`);
const keysOf = (...numbers: number[]) => numbers.map(keyOf);
const valuesOf = (...numbers: number[]) => {
  const values = numbers.map((i) => {
    const random = Random.from(i);
    return Array.from({ length: LENGTH }, () => random.normal() * 10);
  });
  return Float32Array.from(values.flat());
};
const openAt = (folder: string, changes: Partial<FeatureCacheOptions> = {}): Promise<FeatureCache> =>
  openFeatureCache({
    root: join(root, folder),
    prefix: 'p',
    transform: 't',
    shape: [3, 4, 4],
    ...changes,
  });
const range = (count: number) => Array.from({ length: count }, (_, i) => i);

/** A closed cache of pictures 0 to count − 1 in one segment. @returns its folder */
async function filled(folder: string, count: number): Promise<string> {
  const cache = await openAt(folder);
  await cache.append(keysOf(...range(count)), valuesOf(...range(count)));
  await cache.close();
  return cache.directory;
}

/** Reads pictures 0 to count − 1: those found must be right to the bit. @returns the missing ones */
async function missingOf(cache: FeatureCache, count: number): Promise<number[]> {
  const { values, missing } = await cache.read(keysOf(...range(count)));
  for (const i of range(count)) {
    if (missing.includes(i)) continue;
    expect(values.subarray(i * LENGTH, (i + 1) * LENGTH)).toEqual(valuesOf(i));
  }
  return missing;
}

describe('feature cache', () => {
  it('gives back what was put in, in any order, also after opening again', async () => {
    const cache = await openAt('plain');
    expect(cache.has(keyOf(0))).toBe(false);
    await Promise.all([
      cache.append(keysOf(0, 1, 2), valuesOf(0, 1, 2)),
      cache.append(keysOf(3), valuesOf(3)),
      cache.append([], new Float32Array(0)),
    ]);
    expect((await cache.read(keysOf(3, 0, 9, 3))).missing).toEqual([2]);
    expect((await cache.read(keysOf(3, 0, 3))).values).toEqual(valuesOf(3, 0, 3));
    expect(cache.statistics()).toEqual({
      bytes: 4 * (RECORD_BYTES + ENTRY_BYTES),
      records: 4,
      hits: 6,
      misses: 1,
      damaged: 0,
    });
    await cache.close();
    await cache.close();
    await expect(cache.read(keysOf(0))).rejects.toThrow('closed');
    const again = await openAt('plain');
    expect(await missingOf(again, 5)).toEqual([4]);
    await again.append(keysOf(4), valuesOf(4));
    expect(await missingOf(again, 5)).toEqual([]);
    await again.close();
  });

  it.each([
    ['another prefix', { prefix: 'q' }],
    ['another transform', { transform: 'u' }],
    ['another shape of the same length', { shape: [48] }],
    ['another precision', { precision: 'float16' as const }],
  ])('%s does not hit', async (name, changes) => {
    await filled(name, 2);
    const other = await openAt(name, changes);
    expect(other.has(keyOf(0))).toBe(false);
    expect((await other.read(keysOf(0, 1))).missing).toEqual([0, 1]);
    await other.append(keysOf(0), valuesOf(1));
    await other.close();
    const first = await openAt(name);
    expect(await missingOf(first, 2)).toEqual([]);
    await first.close();
  });

  it('float16: within 4.9e-4, half the space, and refused where it cannot hold a number', async () => {
    const cache = await openAt('half', { precision: 'float16' });
    await cache.append(keysOf(0, 1), valuesOf(0, 1));
    await expect(cache.append(keysOf(2), new Float32Array(LENGTH).fill(70_000))).rejects.toThrow(
      'within ±65504 to be stored as float16, got 70000',
    );
    await cache.close();
    const again = await openAt('half', { precision: 'float16' });
    const { values, missing } = await again.read(keysOf(0, 1));
    expect(missing).toEqual([]);
    const wanted = valuesOf(0, 1);
    for (const [i, value] of values.entries()) {
      expect(Math.abs(value - wanted[i]!)).toBeLessThanOrEqual(4.9e-4 * Math.abs(wanted[i]!));
    }
    expect(again.statistics().bytes).toBe(2 * (RECORD_BYTES / 2 + ENTRY_BYTES));
    await again.close();
  });

  it('refuses wrong sizes and keys', async () => {
    const cache = await openAt('wrong');
    expect(() => cache.append(keysOf(0), new Float32Array(3))).toThrow('1 × 48 numbers are required, got 3');
    await expect(cache.append(['abc'], valuesOf(0))).rejects.toThrow("64 hexadecimal digits, got 'abc'");
    await expect(cache.read(keysOf(0), new Float32Array(1))).rejects.toThrow('1 × 48 numbers is required');
    expect(cache.isWritable).toBe(true);
    await cache.close();
    await expect(openAt('wrong', { shape: [0] })).rejects.toThrow('whole numbers from 1, got [0]');
    await writeFile(join(root, 'a-file'), '');
    await expect(openAt('a-file')).rejects.toThrow(/the feature cache cannot be written: .*Choose another/);
  });
});

describe('a damaged cache', () => {
  const COUNT = 5;
  it('cut off at every kind of place: what lies before is found, the rest is made again', async () => {
    const cuts: [file: string, bytes: number, missing: number[]][] = [
      ['1.records', 0, [0, 1, 2, 3, 4]],
      ['1.records', RECORD_BYTES - 1, [0, 1, 2, 3, 4]],
      ['1.records', 2 * RECORD_BYTES, [2, 3, 4]],
      ['1.records', 3 * RECORD_BYTES + 7, [3, 4]],
      ['1.records', COUNT * RECORD_BYTES - 1, [4]],
      ['1.keys', 0, [0, 1, 2, 3, 4]],
      ['1.keys', 3, [0, 1, 2, 3, 4]],
      ['1.keys', 2 * ENTRY_BYTES, [2, 3, 4]],
      ['1.keys', 2 * ENTRY_BYTES + 20, [2, 3, 4]],
      ['1.keys', COUNT * ENTRY_BYTES - 1, [4]],
    ];
    for (const [file, bytes, wanted] of cuts) {
      const folder = `cut-${file}-${bytes}`;
      const directory = await filled(folder, COUNT);
      await truncate(join(directory, file), bytes);
      const cache = await openAt(folder);
      expect(await missingOf(cache, COUNT), folder).toEqual(wanted);
      await cache.append(keysOf(...wanted), valuesOf(...wanted));
      await cache.close();
      const again = await openAt(folder);
      expect(await missingOf(again, COUNT)).toEqual([]);
      await again.close();
    }
  });

  it('with any one bit flipped: at most that record is lost, and never is a wrong one given', async () => {
    const directory = await filled('flipped', COUNT);
    const random = Random.from(11);
    for (const name of ['1.records', '1.keys']) {
      const file = join(directory, name);
      const intact = await readFile(file);
      const record = name === '1.records' ? RECORD_BYTES : ENTRY_BYTES;
      for (let trial = 0; trial < 60; trial++) {
        const at = random.integer(intact.length);
        const bytes = Buffer.from(intact);
        bytes[at]! ^= 1 << random.integer(8);
        await writeFile(file, bytes);
        const cache = await openAt('flipped');
        expect(await missingOf(cache, COUNT), `${name} at ${at}`).toEqual([Math.floor(at / record)]);
        expect(cache.statistics().damaged).toBe(1);
        expect(cache.has(keyOf(Math.floor(at / record)))).toBe(false);
        await cache.close();
      }
      await writeFile(file, intact);
    }
    await rm(join(directory, '1.records'));
    const cache = await openAt('flipped');
    expect(await missingOf(cache, COUNT)).toEqual([0, 1, 2, 3, 4]);
    await cache.close();
  });

  it('a record damaged while the cache is open is made again, and the new one wins', async () => {
    const directory = await filled('repaired', COUNT);
    const file = await open(join(directory, '1.records'), 'r+');
    await file.write(Buffer.alloc(4), 0, 4, 2 * RECORD_BYTES);
    await file.close();
    const cache = await openAt('repaired');
    expect(await missingOf(cache, COUNT)).toEqual([2]);
    await cache.append(keysOf(2), valuesOf(2));
    expect(await missingOf(cache, COUNT)).toEqual([]);
    await cache.close();
    const again = await openAt('repaired');
    expect(await missingOf(again, COUNT)).toEqual([]);
    await again.close();
  });
});

describe('writers', () => {
  it('two at once write a segment each, and both are found', async () => {
    const [a, b] = await Promise.all([openAt('two'), openAt('two')]);
    await Promise.all(range(20).map((i) => (i % 2 === 0 ? a : b).append(keysOf(i, 100), valuesOf(i, 100))));
    await Promise.all([a.close(), b.close()]);
    expect((await readdir(a.directory)).sort()).toEqual([
      '1.keys',
      '1.records',
      '2.keys',
      '2.records',
      'about.json',
    ]);
    const cache = await openAt('two');
    expect(await missingOf(cache, 20)).toEqual([]);
    expect(cache.statistics().records).toBe(21);
    await cache.close();
  });

  it('killed in the middle (SIGKILL): what was written is found, again and again', async () => {
    const here = new URL('.', import.meta.url);
    const script = join(root, 'writer.mjs');
    await writeFile(
      script,
      `import { openFeatureCache } from ${JSON.stringify(new URL('feature-cache.ts', here).href)};
import { sha256 } from ${JSON.stringify(new URL('../util/index.ts', here).href)};
const cache = await openFeatureCache({ root: process.argv[2], prefix: 'p', transform: 't', shape: [65536] });
const first = cache.statistics().records;
for (let i = first; ; i += 4) {
  const values = new Float32Array(4 * 65536);
  for (let k = 0; k < 4; k++) values.fill(i + k, k * 65536, (k + 1) * 65536);
  await cache.append([0, 1, 2, 3].map((k) => sha256(String(i + k))), values);
  process.stdout.write(i + 4 + '\\n');
}
`,
    );
    const tsx = createRequire(import.meta.url).resolve('tsx');
    const folder = join(root, 'killed');
    for (let round = 1; round <= 3; round++) {
      const child = spawn(process.execPath, ['--import', tsx, script, folder], {
        stdio: ['ignore', 'pipe', 'inherit'],
      });
      const written = await new Promise<number>((resolve) => {
        let last = 0;
        child.stdout.on('data', (data: Buffer) => {
          last = Number(data.toString().trim().split('\n').at(-1));
          if (last >= 20 * round) child.kill('SIGKILL');
        });
        child.on('exit', () => resolve(last));
      });
      expect(written).toBeGreaterThanOrEqual(20 * round);
      const cache = await openFeatureCache({ root: folder, prefix: 'p', transform: 't', shape: [65_536] });
      const keys = range(written).map((i) => sha256(String(i)));
      const { values, missing } = await cache.read(keys);
      expect(missing).toEqual([]);
      for (const i of range(written)) {
        expect(values[i * 65_536]).toBe(i);
        expect(values[(i + 1) * 65_536 - 1]).toBe(i);
      }
      await cache.close();
    }
  });
});

describe('the limit', () => {
  const size = (count: number) => count * (RECORD_BYTES + ENTRY_BYTES);
  it('removes the folders used longest ago, and never its own', async () => {
    const place = join(root, 'limit');
    for (const [i, prefix] of ['oldest', 'middle', 'newest'].entries()) {
      const cache = await openFeatureCache({ root: place, prefix, transform: 't', shape: [LENGTH] });
      await cache.append(keysOf(...range(10)), valuesOf(...range(10)));
      await cache.close();
      await utimes(join(cache.directory, 'about.json'), 1000 + i, 1000 + i);
    }
    await writeFile(join(place, 'notes.txt'), 'not ours');
    const aboutBytes = (await listFeatureCaches(place))[0]!.bytes - size(10);
    const cache = await openFeatureCache({
      root: place,
      prefix: 'own',
      transform: 't',
      shape: [LENGTH],
      limitBytes: size(25) + 2 * (aboutBytes + 10),
    });
    const left = async () =>
      (await listFeatureCaches(place)).map(({ prefix, records }) => `${prefix} ${records}`);
    await cache.append(keysOf(...range(4)), valuesOf(...range(4)));
    expect(await left()).toEqual(['own 4', 'newest 10', 'middle 10']);
    await cache.append(keysOf(5, 6, 7), valuesOf(5, 6, 7));
    expect(await left()).toEqual(['own 7', 'newest 10']);
    await cache.close();
    expect((await clearFeatureCaches(place)).length).toBe(2);
    expect(await readdir(place)).toEqual(['notes.txt']);
    expect(await listFeatureCaches(join(place, 'nowhere'))).toEqual([]);
  });

  it('removes no folder that is open', async () => {
    const place = join(root, 'open');
    const openOf = (prefix: string) =>
      openFeatureCache({ root: place, prefix, transform: 't', shape: [LENGTH], limitBytes: size(15) });
    const [first, second] = [await openOf('first'), await openOf('second')];
    await first.append(keysOf(...range(10)), valuesOf(...range(10)));
    await second.append(keysOf(...range(10)), valuesOf(...range(10)));
    expect([first.isWritable, second.isWritable]).toEqual([true, false]);
    expect(await missingOf(first, 10)).toEqual([]);
    await Promise.all([first.close(), second.close()]);
    const third = await openOf('third');
    await third.append(keysOf(...range(10)), valuesOf(...range(10)));
    expect(third.isWritable).toBe(true);
    expect(await missingOf(third, 10)).toEqual([]);
    await third.close();
  });

  it('ends the writing where the cache alone is larger, and says so once', async () => {
    const told: string[] = [];
    const cache = await openAt('own-limit', { limitBytes: size(3), onFull: (reason) => told.push(reason) });
    await cache.append(keysOf(0, 1), valuesOf(0, 1));
    await cache.append(keysOf(2, 3), valuesOf(2, 3));
    await cache.append(keysOf(4), valuesOf(4));
    expect(cache.isWritable).toBe(false);
    expect(told).toEqual([
      `feature cache: the limit of ${size(3)} bytes is reached. What is missing is computed when it is needed`,
    ]);
    expect(await missingOf(cache, 5)).toEqual([2, 3, 4]);
    await cache.close();
  });
});

describe.skipIf(!canMount())('a full disk (skipped where this user may not mount a tmpfs)', () => {
  it('is told once; what was written stays, and what was not is missing', async () => {
    const directory = join(root, 'full');
    await mkdir(directory);
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=64k', 'tmpfs', directory]);
    try {
      const told: string[] = [];
      const cache = await openAt('full', { onFull: (reason) => told.push(reason) });
      for (let i = 0; i < 400; i++) await cache.append(keysOf(i), valuesOf(i));
      await cache.flush();
      expect(told).toEqual([
        expect.stringMatching(
          /^feature cache: cannot be written any more: ENOSPC: no space left on device[^\n]*needed$/,
        ),
      ]);
      const { records } = cache.statistics();
      expect(records).toBeGreaterThan(100);
      expect((await missingOf(cache, 400))[0]).toBe(records);
      await cache.close();
      const again = await openAt('full');
      expect((await missingOf(again, 400))[0]).toBe(records);
      expect((await stat(join(again.directory, '1.keys'))).size).toBeGreaterThanOrEqual(
        records * ENTRY_BYTES,
      );
      await again.close();
    } finally {
      execFileSync('umount', [directory]);
    }
    expect(existsSync(directory)).toBe(true);
  });
});
