import { copyFile, mkdtemp, open, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { StartProgress } from '../util/index.js';
import { artworkAugmentation, noAugmentation } from './augment.js';
import {
  hashPicture,
  isMirroredView,
  makeViews,
  type ViewOptions,
  viewKey,
  viewsHash,
} from './augmented-view.js';
import { type CachedFeatures, type CachedFeaturesOptions, cachedFeatures } from './cached-features.js';
import { decodePicture } from './decode.js';
import type { PictureProblem, PictureRow } from './decode-rows.js';
import { createFeatureLoader } from './feature-loader.js';

const S = 12;
const VIEW_BYTES = S * S * 3;
const CORRUPT = 4;
/** Rows 10 and 11 are the same picture. */
const items = Array.from({ length: 12 }, (_, row) => row >> 1);
let folder: string;
let rows: PictureRow[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-cached-'));
  rows = items.map((_, row) => ({ path: join(folder, `${row}.png`) }));
  for (const [row, { path }] of rows.entries()) {
    if (row === 11) {
      await copyFile(rows[10]!.path, path);
      continue;
    }
    const pixels = Buffer.alloc(24 * 20 * 3).map((_, i) => (i * (row + 3) * 7 + row * 20) % 256);
    const bytes = await sharp(pixels, { raw: { width: 24, height: 20, channels: 3 } })
      .png()
      .toBuffer();
    await writeFile(path, row === CORRUPT ? bytes.subarray(0, 60) : bytes);
  }
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const view: ViewOptions = { size: S, seed: 3 };

/** The sums of rows of pixels: features that are easy to tell from one another. */
const LENGTH = S;
function featuresOf(pixels: Uint8Array, count: number): Float32Array {
  const result = new Float32Array(count * LENGTH);
  const stride = VIEW_BYTES / LENGTH;
  for (let i = 0; i < result.length; i++) {
    for (let k = 0; k < stride; k++) result[i]! += pixels[i * stride + k]!;
  }
  return result;
}

/** Counts what is inferred. */
function counted(changes: Partial<CachedFeaturesOptions> = {}) {
  const counts = { views: 0, largest: 0 };
  const options: CachedFeaturesOptions = {
    views: 3,
    view,
    prefix: 'sums',
    shape: [LENGTH],
    batchSize: 5,
    cache: { root: join(folder, 'cache') },
    infer: async (pixels, count) => {
      expect(pixels.length).toBe(count * VIEW_BYTES);
      counts.views += count;
      counts.largest = Math.max(counts.largest, count);
      return featuresOf(pixels, count);
    },
    ...changes,
  };
  return { counts, options };
}

async function expected(row: number, number: number): Promise<Float32Array> {
  const { path } = rows[row]!;
  const pixels = new Uint8Array(VIEW_BYTES);
  await makeViews({ path, hash: await hashPicture(path), views: [number] }, view, pixels, 0);
  return featuresOf(pixels, 1);
}

async function expectRight(features: CachedFeatures, wanted: readonly (readonly [number, number])[]) {
  const { features: values, unreadable } = await features.read(
    wanted.map(([row]) => row),
    wanted.map(([, number]) => number),
  );
  expect(unreadable).toEqual([]);
  for (const [i, [row, number]] of wanted.entries()) {
    expect(values.subarray(i * LENGTH, (i + 1) * LENGTH)).toEqual(await expected(row, number));
  }
}

describe('views', () => {
  it('view 0 is the plain picture; others are augmented, differ, and are the same in any company', async () => {
    const { path } = rows[0]!;
    const hash = await hashPicture(path);
    const all = new Uint8Array(4 * VIEW_BYTES + 5);
    await makeViews({ path, hash, views: [2, 0, 1, 2] }, view, all, 5);
    const at = (i: number) => all.slice(5 + i * VIEW_BYTES, 5 + (i + 1) * VIEW_BYTES);
    expect(at(1)).toEqual(new Uint8Array((await decodePicture(path, { size: S })).data));
    expect(at(0)).toEqual(at(3));
    expect(at(0)).not.toEqual(at(1));
    expect(at(0)).not.toEqual(at(2));
    const alone = new Uint8Array(VIEW_BYTES);
    const copy = join(folder, 'copy.png');
    await copyFile(path, copy);
    await makeViews({ path: copy, hash, views: [2] }, view, alone, 0);
    expect(alone).toEqual(at(0));
    await makeViews({ path, hash, views: [2] }, { ...view, seed: 4 }, alone, 0);
    expect(alone).not.toEqual(at(0));
  });

  it('a picture that changed is refused', async () => {
    await expect(
      makeViews(
        { path: rows[0]!.path, hash: 'f'.repeat(64), views: [0] },
        view,
        new Uint8Array(VIEW_BYTES),
        0,
      ),
    ).rejects.toThrow(/0\.png: changed while it was in use/);
  });

  it('a mirrored view is the view of the other flip', async () => {
    const augmentation = { ...noAugmentation, itemFlipProbability: 0.5 };
    const options = { ...view, sourceSize: S, augmentation };
    const numbers = [1, 2, 3, 4, 5, 6, 7, 8];
    const mirrored = numbers.filter((number) => isMirroredView(options, number));
    expect(mirrored.length).toBeGreaterThan(0);
    expect(mirrored.length).toBeLessThan(8);
    expect(isMirroredView({ ...options, augmentation: { ...augmentation, itemFlipProbability: 1 } }, 0)).toBe(
      false,
    );
    const { path } = rows[2]!;
    const pixels = new Uint8Array(8 * VIEW_BYTES);
    await makeViews({ path, hash: await hashPicture(path), views: numbers }, options, pixels, 0);
    const plain = (await decodePicture(path, { size: S })).data;
    for (const [i, number] of numbers.entries()) {
      const got = pixels.subarray(i * VIEW_BYTES, (i + 1) * VIEW_BYTES);
      for (let pixel = 0; pixel < S * S; pixel++) {
        const x = pixel % S;
        const from = mirrored.includes(number) ? pixel - x + (S - 1 - x) : pixel;
        expect(got[pixel * 3]).toBe(plain[from * 3]);
      }
    }
  });

  it('everything that decides pixels is in the hash, and nothing that does not', () => {
    const base = viewsHash(view, 3);
    expect(viewsHash({ ...view, fit: 'cover', background: [255, 255, 255] }, 3)).toBe(base);
    expect(viewsHash(view, 4)).toBe(base);
    const changes: Partial<ViewOptions>[] = [
      { size: 13 },
      { fit: 'contain' },
      { background: [0, 0, 0] },
      { augmentation: artworkAugmentation },
      { sourceSize: 20 },
      { seed: 4 },
    ];
    const hashes = changes.map((change) => viewsHash({ ...view, ...change }, 3));
    expect(new Set([base, ...hashes]).size).toBe(changes.length + 1);
    const plain = viewsHash(view, 1);
    expect(viewsHash({ ...view, seed: 4, augmentation: artworkAugmentation }, 1)).toBe(plain);
    expect(viewsHash({ ...view, size: 13 }, 1)).not.toBe(plain);
    const hash = 'a'.repeat(64);
    const box = { left: 0, top: 0, right: 5, bottom: 5 };
    expect(new Set([viewKey({ hash }, 0), viewKey({ hash }, 1), viewKey({ hash, box }, 0)]).size).toBe(3);
  });
});

describe('cachedFeatures', () => {
  it('computes each view of each picture once, and reports the corrupt one', async () => {
    const problems: PictureProblem[] = [];
    const { counts, options } = counted({ onProblem: (problem) => problems.push(problem) });
    const features = await cachedFeatures(rows, options);
    expect([...features.kept]).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]);
    expect(problems.map(({ row }) => row)).toEqual([CORRUPT]);
    expect(problems[0]!.message).toMatch(/4\.png: is a (truncated|corrupt) PNG/);
    expect(counts).toEqual({ views: 10 * 3, largest: 5 });
    const all = [...features.kept].flatMap((row) => [0, 1, 2].map((number) => [row, number] as const));
    await expectRight(features, all.reverse());
    expect((await features.read([CORRUPT, 0], [0, 0])).unreadable).toEqual([0]);
    expect(counts.views).toBe(30);
    await features.close();

    const again = counted();
    const second = await cachedFeatures(rows, again.options);
    await expectRight(second, all);
    expect(again.counts.views).toBe(0);
    expect(second.statistics()).toMatchObject({ hits: all.length, misses: 0, records: 30 });
    await second.close();

    const more = counted({ views: 4 });
    await (await cachedFeatures(rows, more.options)).close();
    expect(more.counts.views).toBe(10);
    for (const changes of [{ prefix: 'other' }, { view: { ...view, seed: 9 } }]) {
      const other = counted(changes);
      await (await cachedFeatures(rows, other.options)).close();
      expect(other.counts.views).toBe(30);
    }
  });

  it('goes on where it was interrupted', async () => {
    const cache = { root: join(folder, 'interrupted') };
    const controller = new AbortController();
    const reason = new Error('stopped by hand');
    const first = counted({ cache, signal: controller.signal });
    const { infer } = first.options;
    await expect(
      cachedFeatures(rows, {
        ...first.options,
        infer: (pixels, count) => {
          if (first.counts.views >= 10) controller.abort(reason);
          return infer(pixels, count);
        },
      }),
    ).rejects.toBe(reason);
    expect(first.counts.views).toBe(12); // three batches of five, but for the corrupt picture's views
    const started: (number | undefined)[][] = [];
    const progress: StartProgress = (task, total, from) => {
      if (task === 'features') started.push([total, from]);
      return { update() {}, stop() {} };
    };
    const second = counted({ cache, progress });
    const features = await cachedFeatures(rows, second.options);
    expect(second.counts.views).toBeLessThanOrEqual(20);
    expect(second.counts.views).toBeGreaterThanOrEqual(15);
    expect(started).toEqual([[33, 33 - second.counts.views - 3]]);
    await features.close();
  });

  it('computes again what is damaged', async () => {
    const cache = { root: join(folder, 'damaged') };
    const first = await cachedFeatures(rows, counted({ cache }).options);
    await first.close();
    const file = await open(join(first.directory, '1.records'), 'r+');
    await file.write(Buffer.alloc(LENGTH * 4), 0, LENGTH * 4, 4 * LENGTH * 4); // row 1, view 1
    await file.close();
    const { counts, options } = counted({ cache });
    const features = await cachedFeatures(rows, options);
    const wanted = [
      [1, 1],
      [0, 0],
      [1, 1],
    ] as const;
    await expectRight(features, wanted);
    expect(counts.views).toBe(1);
    expect(features.statistics().damaged).toBe(1);
    await expectRight(features, wanted);
    expect(counts.views).toBe(1);
    await features.close();
  });

  it('goes on without the cache when it is full', async () => {
    const told: string[] = [];
    const { counts, options } = counted({
      cache: { root: join(folder, 'full'), limitBytes: 10 * (LENGTH * 4 + 44) },
      onFull: (reason) => told.push(reason),
    });
    const features = await cachedFeatures(rows, options);
    expect(told).toEqual([expect.stringMatching(/^feature cache: the limit of \d+ bytes is reached/)]);
    expect(counts.views).toBeLessThanOrEqual(20);
    const before = counts.views;
    await expectRight(features, [
      [9, 2],
      [0, 0],
      [8, 1],
    ]);
    expect(counts.views).toBe(before + 2);
    expect((await features.read([CORRUPT], [1])).unreadable).toEqual([0]);
    await features.close();
  });

  it('fails when nothing can be read, and when the network returns another size', async () => {
    await expect(cachedFeatures([rows[CORRUPT]!], counted().options)).rejects.toThrow(
      /none of 1 pictures can be read; the first: .*4\.png/,
    );
    await expect(cachedFeatures([{ path: join(folder, 'no.png') }], counted().options)).rejects.toThrow(
      /none of 1 pictures can be read; the first: .*no\.png: cannot be read: no such file/,
    );
    const { options } = counted({ infer: async () => new Float32Array(7), prefix: 'seven' });
    await expect(cachedFeatures(rows, options)).rejects.toThrow('infer must return 5 × [12] numbers, got 7');
    await expect(cachedFeatures(rows, counted({ views: 0 }).options)).rejects.toThrow(
      'views must be a whole number from 1, got 0',
    );
  });
});

describe('createFeatureLoader', () => {
  const sampler = { itemsPerBatch: 3, picturesPerItem: 3 };
  it('gives the same batches for (seed, step) in any order, with right features', async () => {
    const features = await cachedFeatures(rows, counted().options);
    const first = createFeatureLoader(features, items, { sampler, seed: 1 });
    const second = createFeatureLoader(features, items, { sampler, seed: 1, prefetch: 0 });
    const other = createFeatureLoader(features, items, { sampler, seed: 2 });
    const seen = new Set<number>();
    const batches = [];
    for (let step = 0; step < 6; step++) {
      const batch = await first.next(step);
      batches.push(batch);
      expect(batch.step).toBe(step);
      expect(batch.rows.includes(CORRUPT)).toBe(false);
      for (const number of batch.views) seen.add(number);
      const pairs = [...batch.rows].map((row, i) => [row, batch.views[i]!] as const);
      for (let at = 0; at < 9; at += 3) {
        expect(new Set([0, 1, 2].map((k) => items[batch.rows[at + k]!])).size).toBe(1);
        // Items have one or two pictures and are shown three: never twice the same view of one.
        expect(new Set(pairs.slice(at, at + 3).map(String)).size).toBe(3);
      }
      for (const [i, [row, number]] of pairs.entries()) {
        expect(batch.features.subarray(i * LENGTH, (i + 1) * LENGTH)).toEqual(await expected(row, number));
      }
    }
    expect([...seen].sort()).toEqual([0, 1, 2]);
    for (const step of [3, 0, 5]) expect(await second.next(step)).toEqual(batches[step]);
    expect((await other.next(0)).features).not.toEqual(batches[0]!.features);
    await Promise.all([first.close(), second.close(), other.close()]);
    await expect(first.next(0)).rejects.toThrow('feature loader: closed');
    await features.close();
  });

  it('shows all pictures of an item mirrored or none', async () => {
    const mirroring: ViewOptions = { ...view, augmentation: { ...noAugmentation, itemFlipProbability: 0.5 } };
    const features = await cachedFeatures(rows, counted({ view: mirroring, views: 6 }).options);
    const loader = createFeatureLoader(features, items, { sampler, seed: 1 });
    const kinds = new Set<boolean>();
    for (let step = 0; step < 8; step++) {
      const { views } = await loader.next(step);
      for (let at = 0; at < 9; at += 3) {
        const mirrored = new Set([...views.subarray(at, at + 3)].map((n) => isMirroredView(mirroring, n)));
        expect(mirrored.size).toBe(1);
        for (const value of mirrored) kinds.add(value);
      }
    }
    expect(kinds.size).toBe(2);
    await features.close();
  });

  it('shows another picture for one that is neither cached nor readable any more', async () => {
    const place = join(folder, 'gone.png');
    await copyFile(rows[0]!.path, place);
    const list = [{ path: place }, ...rows.slice(1, 4)];
    const features = await cachedFeatures(
      list,
      counted({ cache: { root: join(folder, 'gone'), limitBytes: 50 } }).options,
    );
    await rm(place);
    const loader = createFeatureLoader(features, [0, 0, 1, 1], {
      sampler: { itemsPerBatch: 2, picturesPerItem: 2 },
      seed: 1,
    });
    const batch = await loader.next(0);
    expect(batch.rows.includes(0)).toBe(false);
    for (const [i, row] of batch.rows.entries()) {
      const got = batch.features.subarray(i * LENGTH, (i + 1) * LENGTH);
      expect(got).toEqual(await expected(row, batch.views[i]!));
    }
    await loader.close();
    await features.close();
  });
});
