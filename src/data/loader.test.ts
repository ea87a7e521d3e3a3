import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { noAugmentation } from './augment.js';
import { decodePicture } from './decode.js';
import { decodeAll, decodeBlocks, type PictureProblem, type PictureRow } from './decode-rows.js';
import { createLoader, type LoaderOptions } from './loader.js';

/** 12 flat pictures of 6 items; row 4 is corrupt. Red is 20 × its row. */
const CORRUPT = 4;
const items = Array.from({ length: 12 }, (_, row) => row >> 1);
let folder: string;
let rows: PictureRow[];
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-loader-'));
  rows = await Promise.all(
    items.map(async (_, row) => {
      const path = join(folder, `${row}.png`);
      const background = { r: row * 20, g: 100, b: 50 };
      const bytes = await sharp({ create: { width: 24, height: 20, channels: 3, background } })
        .png()
        .toBuffer();
      await writeFile(path, row === CORRUPT ? bytes.subarray(0, 60) : bytes);
      return { path };
    }),
  );
});
/** A picture that is black on the left and white on the right. */
beforeAll(async () => {
  const halves = Buffer.alloc(24 * 20 * 3, Uint8Array.from([...Array(36).fill(0), ...Array(36).fill(255)]));
  await sharp(halves, { raw: { width: 24, height: 20, channels: 3 } }).toFile(join(folder, 'halves.png'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

const options = (changes: Partial<LoaderOptions> = {}): LoaderOptions => ({
  size: 16,
  seed: 1,
  sampler: { itemsPerBatch: 3, picturesPerItem: 2 },
  ...changes,
});

describe('decodeBlocks and decodeAll', () => {
  it('leaves out and reports the one corrupt picture', async () => {
    const seen: PictureProblem[] = [];
    const { pictures, kept, problems } = await decodeAll(rows, {
      size: 8,
      blockSize: 5,
      onProblem: (problem) => seen.push(problem),
    });
    expect([...kept]).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]);
    expect(pictures.length).toBe(11 * 8 * 8 * 3);
    for (const [at, row] of kept.entries()) expect(pictures[at * 8 * 8 * 3]).toBe(row * 20);
    expect(problems).toEqual(seen);
    expect(problems[0]).toMatchObject({ row: CORRUPT, path: rows[CORRUPT]?.path });
    expect(problems[0]?.message).toMatch(/4\.png: is a (truncated|corrupt) PNG/);
  });

  it('gives the same pixels as decoding one by one, in blocks', async () => {
    const found: number[] = [];
    for await (const block of decodeBlocks(rows, { size: 8, blockSize: 3 })) {
      for (const [at, row] of block.rows.entries()) {
        found.push(row);
        const { data } = await decodePicture(rows[row]!.path, { size: 8 });
        expect(block.pictures.subarray(at * 192, at * 192 + 192)).toEqual(new Uint8Array(data));
      }
    }
    expect(found).toEqual([0, 1, 2, 3, 5, 6, 7, 8, 9, 10, 11]);
  });

  it('may be left early, aborted, or given nothing', async () => {
    for await (const block of decodeBlocks(rows, { size: 8, blockSize: 2 })) {
      expect(block.rows.length).toBe(2);
      break;
    }
    await expect(decodeAll(rows, { size: 8, signal: AbortSignal.abort(new Error('stop')) })).rejects.toThrow(
      'stop',
    );
    expect((await decodeAll([], { size: 8 })).kept.length).toBe(0);
  });

  it('fails when nothing can be read', async () => {
    await expect(decodeAll([rows[CORRUPT]!], { size: 8 })).rejects.toThrow(
      /none of 1 pictures can be read; the first/,
    );
  });
});

describe.each([
  ['in memory', 2e9],
  ['decoded when needed', 0],
])('createLoader, pictures %s', (_, memoryLimitBytes) => {
  it('delivers the pictures of its rows and never the corrupt one', async () => {
    const problems: PictureProblem[] = [];
    const onProblem = (problem: PictureProblem) => problems.push(problem);
    const loader = await createLoader(
      rows,
      items,
      options({ memoryLimitBytes, onProblem, augmentation: noAugmentation }),
    );
    try {
      expect(loader.inMemory).toBe(memoryLimitBytes > 0);
      for (let step = 0; step < 8; step++) {
        const batch = await loader.next(step);
        expect(batch.step).toBe(step);
        expect(batch.rows.length).toBe(6);
        expect(batch.rows.includes(CORRUPT)).toBe(false);
        for (const [position, row] of batch.rows.entries()) {
          const picture = batch.pictures.subarray(position * 768, position * 768 + 3);
          expect([...picture]).toEqual([row * 20, 100, 50]);
        }
        for (let at = 0; at < 6; at += 2) expect(items[batch.rows[at]!]).toBe(items[batch.rows[at + 1]!]);
      }
      expect(problems.map((problem) => problem.row)).toEqual([CORRUPT]);
    } finally {
      await loader.close();
    }
  });

  it('shows judged pairs behind the items, mirrored alike, and never one with the corrupt picture', async () => {
    const pairs = {
      count: 2,
      rows: [
        [0, 11],
        [CORRUPT, 6],
        [2, 9],
      ] as const,
    };
    const augmentation = { ...noAugmentation, itemFlipProbability: 0.5 };
    const loader = await createLoader(
      rows
        .map((row, index) => (index === 11 ? { path: join(folder, 'halves.png') } : row))
        .with(0, {
          path: join(folder, 'halves.png'),
        }),
      items.with(11, -1),
      options({ memoryLimitBytes, augmentation, sampler: { itemsPerBatch: 3, picturesPerItem: 3, pairs } }),
    );
    try {
      const sides = new Set<number>();
      for (let step = 0; step < 12; step++) {
        const batch = await loader.next(step);
        expect(batch.rows.length).toBe(13);
        expect(batch.rows.subarray(0, 9).includes(11)).toBe(false);
        expect(batch.rows.includes(CORRUPT)).toBe(false);
        for (const at of [9, 11]) {
          if (batch.rows[at] !== 0 || batch.rows[at + 1] !== 11) continue;
          const [one, other] = [at, at + 1].map((place) => batch.pictures[place * 768]!);
          expect(one).toBe(other);
          sides.add(one!);
        }
      }
      expect([...sides].sort()).toEqual([0, 255]);
    } finally {
      await loader.close();
    }
  });

  it('gives the same bytes for (seed, step) in any order of asking', async () => {
    const first = await createLoader(rows, items, options({ memoryLimitBytes, prefetch: 3 }));
    const second = await createLoader(rows, items, options({ memoryLimitBytes, prefetch: 0 }));
    const other = await createLoader(rows, items, options({ memoryLimitBytes, seed: 2 }));
    try {
      const inOrder = [];
      for (let step = 0; step < 5; step++) inOrder.push(await first.next(step));
      for (const step of [3, 0, 4, 1]) {
        expect(await second.next(step)).toEqual(inOrder[step]);
        expect((await other.next(step)).pictures).not.toEqual(inOrder[step]?.pictures);
      }
    } finally {
      await Promise.all([first.close(), second.close(), other.close()]);
    }
  });
});

describe('createLoader', () => {
  it('fails when nothing can be read, or too few items are left', async () => {
    await expect(createLoader([rows[CORRUPT]!], [0], options())).rejects.toThrow('none of 1 pictures');
    const few = { itemsPerBatch: 2, picturesPerItem: 2 };
    await expect(createLoader([rows[0]!, rows[CORRUPT]!], [0, 1], options({ sampler: few }))).rejects.toThrow(
      'at most the number of items with a readable picture, 1, got 2',
    );
    await expect(createLoader(rows, [0], options())).rejects.toThrow(
      'items must have one number a row, 12, got 1',
    );
  });

  it('fails when no picture of a batch can be read', async () => {
    const broken = options({ memoryLimitBytes: 0, sampler: { itemsPerBatch: 1, picturesPerItem: 2 } });
    const loader = await createLoader([rows[CORRUPT]!], [0], broken);
    await expect(loader.next(0)).rejects.toThrow(/no picture of the batch can be read/);
    await loader.close();
  });

  it('rejects what is under way when it is closed or aborted', async () => {
    const controller = new AbortController();
    const aborted = await createLoader(rows, items, options({ signal: controller.signal }));
    const stopped = aborted.next(0);
    controller.abort(new Error('stopped by hand'));
    await expect(stopped).rejects.toThrow('stopped by hand');
    await expect(aborted.next(1)).rejects.toThrow('stopped by hand');
    await aborted.close();
    const closed = await createLoader(rows, items, options());
    await closed.close();
    await expect(closed.next(0)).rejects.toThrow('loader: closed');
  });

  it('fills an item of one picture with other views of it', async () => {
    const loader = await createLoader(
      rows.slice(0, 2),
      [0, 1],
      options({ sampler: { itemsPerBatch: 2, picturesPerItem: 3 } }),
    );
    const { rows: chosen, pictures } = await loader.next(0);
    await loader.close();
    expect(new Set(chosen.subarray(0, 3)).size).toBe(1);
    expect(pictures.subarray(0, 768)).not.toEqual(pictures.subarray(768, 1536));
  });
});
