import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, tinyBundle, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { writeBundle } from './bundle.js';
import { decodePixels, type EmbeddedBatch, type Embedder, openEmbedder } from './embedder.js';

let root = '';
let embedder: Embedder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-embedder-'));
  embedder = await openEmbedder(await writeTinyBundle(root), { threads: 1, batchSize: 4 });
});
afterAll(async () => {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
});

const colours = Array.from({ length: 10 }, (_, n) => [25 * n, 255 - 20 * n, 7 * n] as const);

/** What the model must say of a plain colour, worked out here. */
function expected([r, g, b]: readonly [number, number, number]) {
  const [red, green, blue] = [r / 255, g / 255, b / 255];
  const planes = [red, green, blue].flatMap((x) => [x - 0.1, x - 0.1, x - 0.1, x - 0.1]);
  const length = Math.hypot(...planes);
  const exponentials = [red, green, blue].map((x) => Math.exp(10 * x));
  const sum = exponentials.reduce((x, y) => x + y);
  const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));
  return {
    embedding: planes.map((x) => x / length),
    attributes: [
      ...exponentials.map((x) => x / sum),
      sigmoid(20 * ((red + green + blue) / 3 - 0.5)),
      sigmoid(20 * (red - blue)),
    ],
  };
}

function expectClose(found: Float32Array, wanted: readonly number[]) {
  expect(found.length).toBe(wanted.length);
  found.forEach((x, i) => {
    expect(x).toBeCloseTo(wanted[i] as number, 4);
  });
}

async function all(batches: AsyncIterable<EmbeddedBatch>) {
  const found: EmbeddedBatch[] = [];
  for await (const batch of batches) found.push(batch);
  return found;
}

describe('openEmbedder', () => {
  it('embeds batches in order, the last one short', async () => {
    const pictures = await Promise.all(colours.map((colour) => plainPicture(colour)));
    const batches = await all(embedder.embed(pictures));
    expect(batches.map(({ indices }) => indices)).toEqual([
      [0, 1, 2, 3],
      [4, 5, 6, 7],
      [8, 9],
    ]);
    for (const { indices, embeddings, attributes } of batches)
      indices.forEach((index, i) => {
        const wanted = expected(colours[index] as (typeof colours)[number]);
        expectClose(embeddings.subarray(i * 12, i * 12 + 12), wanted.embedding);
        expectClose(attributes.subarray(i * 5, i * 5 + 5), wanted.attributes);
      });
    const one = await embedder.embedOne(pictures[3] as Uint8Array);
    expect(one.embedding).toEqual(batches[0]?.embeddings.slice(36, 48));
  });

  it('reports unreadable pictures and goes on', async () => {
    const good = await plainPicture([10, 20, 200]);
    const bad = new TextEncoder().encode('no picture');
    const batches = await all(embedder.embed([bad, good, 'missing.png', bad, bad, bad, bad, bad, good]));
    expect(batches.map(({ indices }) => indices)).toEqual([[1], [], [8]]);
    expect(batches.flatMap(({ failures }) => failures.map(({ index }) => index))).toEqual([
      0, 2, 3, 4, 5, 6, 7,
    ]);
    expect(batches[0]?.failures[1]?.reason).toMatch(/missing\.png: cannot be read: no such file/);
    expect(batches[2]?.embeddings).toEqual(batches[0]?.embeddings);
    await expect(embedder.embedOne(bad)).rejects.toThrow(/not a picture/);
  });

  it('takes any iterable, none at all, and stops when told or left', async () => {
    const picture = await plainPicture([1, 2, 3]);
    expect(await all(embedder.embed([]))).toEqual([]);
    let taken = 0;
    async function* endless() {
      for (;;) {
        taken++;
        yield picture;
      }
    }
    for await (const batch of embedder.embed(endless())) {
      expect(batch.indices).toEqual([0, 1, 2, 3]);
      break;
    }
    expect(taken).toBeLessThanOrEqual(12);
    const controller = new AbortController();
    const run = (async () => {
      for await (const _ of embedder.embed(endless(), { signal: controller.signal })) controller.abort();
    })();
    await expect(run).rejects.toThrow(/abort/i);
  });

  it('embeds a box of a file alone', async () => {
    const path = join(root, 'halves.png');
    const left = await sharp(await plainPicture([250, 10, 10])).extend({ right: 16, background: '#0a0afa' });
    await left.png().toFile(path);
    const box = { left: 16, top: 0, right: 32, bottom: 16 };
    const half = await embedder.embedOne({ path, box });
    expectClose(half.embedding, expected([10, 10, 250]).embedding);
    expect((await embedder.embedOne({ path })).embedding).toEqual((await embedder.embedOne(path)).embedding);
    await expect(embedder.embedOne({ path, box: { ...box, left: 40, right: 50 } })).rejects.toThrow(
      /box: must lie/,
    );
  });

  it('passes on what the source of pictures throws', async () => {
    async function* broken() {
      yield await plainPicture([1, 2, 3]);
      throw new Error('the list ended early');
    }
    await expect(all(embedder.embed(broken()))).rejects.toThrow('the list ended early');
  });

  it('refuses a model whose outputs are not a bundle’s', async () => {
    const content = tinyBundle();
    const wrong = join(root, 'wrong');
    const attributes = [
      ...content.card.schema.attributes,
      { name: 'more', kind: 'single' as const, values: ['a', 'b'] },
    ];
    await writeBundle(wrong, {
      ...content,
      card: { ...content.card, schema: { ...content.card.schema, attributes } },
    });
    const opened = await openEmbedder(wrong);
    await expect(opened.embedOne(await plainPicture([1, 2, 3]))).rejects.toThrow(
      /output 'attributes' must be float32 \[1, 7\].*got \[1, 5\]/,
    );
    await opened.close();
    await expect(openEmbedder(wrong, { batchSize: 0 })).rejects.toThrow(/batchSize/);
  });
});

describe('decodePixels', () => {
  it('is (x / 255 − mean) / std by plane', async () => {
    const { preprocessing } = tinyBundle();
    const pixels = await decodePixels(await plainPicture([51, 102, 255]), {
      ...preprocessing,
      mean: [0.1, 0.2, 0.3],
      std: [0.5, 0.25, 2],
    });
    expect(pixels.length).toBe(3 * 64);
    expectClose(pixels.subarray(0, 1), [0.2]);
    expectClose(pixels.subarray(64, 65), [0.8]);
    expectClose(pixels.subarray(191), [0.35]);
  });
});

const badImages = join(import.meta.dirname, '../../../shared/data/bad-images');
describe.skipIf(!existsSync(badImages))(
  'pictures of the wild (skipped where the development data is absent)',
  () => {
    it('each file is embedded or reported, and no name does harm', async () => {
      const names = (await readdir(badImages, { recursive: true, withFileTypes: true })).filter((e) =>
        e.isFile(),
      );
      const files = names.map((entry) => join(entry.parentPath, entry.name));
      const batches = await all(embedder.embed(files));
      const read = batches.flatMap(({ indices }) => indices.map((index) => files[index] as string));
      const failed = batches.flatMap(({ failures }) => failures);
      expect(read.length + failed.length).toBe(files.length);
      for (const file of files.filter((path) => path.includes(join('bad-images', 'names'))))
        expect(read).toContain(file);
      for (const { reason } of failed) expect(reason).not.toMatch(/\n/);
    });
  },
);
