import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type TinyOptions, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import {
  batchNormalization,
  clip,
  concat,
  constant,
  convolution,
  globalAveragePool,
  matmul,
  power,
  relu,
  reshape,
  scale,
  slice,
  unitLength,
  type Value,
} from '../graph/index.js';
import { DataError, Random } from '../util/index.js';
import { decodePixels, type Embedder, openEmbedder } from './embedder.js';
import { openExplainer, type PositionContributions, positionPairs } from './explainer.js';

let root = '';
const open: { close(): Promise<void> }[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-explainer-'));
});
afterAll(async () => {
  for (const one of open) await one.close();
  await rm(root, { recursive: true, force: true });
});

let cases = 0;
async function explainerOf(options: TinyOptions = {}) {
  const embedder = await openEmbedder(await writeTinyBundle(join(root, `case-${cases++}`), options), {
    threads: 1,
  });
  const explainer = await openExplainer(embedder, { threads: 1, cells: 4 });
  open.push(explainer, embedder);
  return { embedder, explainer };
}

/** A PNG of noise. */
async function noise(seed: number, width = 24, height = 24): Promise<Uint8Array> {
  const random = Random.from(seed);
  const data = Uint8Array.from({ length: width * height * 3 }, () => random.integer(256));
  return await sharp(data, { raw: { width, height, channels: 3 } })
    .png()
    .toBuffer();
}

/** Weights that are drawn. */
function weights(shape: readonly number[], seed: number): Value {
  const random = Random.from(seed);
  return constant(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => random.normal() / 3),
    shape,
  );
}

/** pixels [N, 3, 8, 8] → [N, 6, 4, 4], rectified. */
const layer = (pixels: Value) =>
  relu(convolution(pixels, weights([6, 3, 3, 3], 1), undefined, { stride: 2, padding: 1 }));

/** Global average pooling, a linear layer, batch normalisation of inference, unit length: D = 20. */
function pooledNetwork(pixels: Value) {
  const featureMap = layer(pixels);
  return {
    embeddings: unitLength(normalizedLinear(reshape(globalAveragePool(featureMap), [0, 6]))),
    featureMap,
  };
}

function normalizedLinear(features: Value, size = 20): Value {
  const width = Number(features.shape[1]);
  const row = (seed: number) => weights([size], seed);
  const variance = constant(
    Float32Array.from({ length: size }, (_, d) => 0.2 + (d % 3)),
    [size],
  );
  return batchNormalization(matmul(features, weights([width, size], 2)), row(3), row(4), row(5), variance);
}

/** Parts that are scaled to unit length each. */
function partsNetwork(pixels: Value) {
  const featureMap = layer(pixels);
  const flat = normalizedLinear(reshape(featureMap, [0, 96]), 30);
  const part = (start: number, end: number, weight: number) =>
    scale(unitLength(slice(flat, [{ axis: 1, start, end }])), Math.sqrt(weight));
  return { embeddings: concat([part(0, 7, 0.5), part(7, 16, 0.2), part(16, 30, 0.3)], 1), featureMap };
}

/** Generalised mean pooling with exponent 3. */
function generalizedMeanNetwork(pixels: Value) {
  const featureMap = layer(pixels);
  const cubes = power(clip(featureMap, 1e-6, undefined), constant(3, []));
  const mean = power(reshape(globalAveragePool(cubes), [0, 6]), constant(1 / 3, []));
  return { embeddings: unitLength(matmul(mean, weights([6, 20], 6))), featureMap };
}

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);
const cosineOf = async (embedder: Embedder, a: Uint8Array, b: Uint8Array) => {
  const [x, y] = [(await embedder.embedOne(a)).embedding, (await embedder.embedOne(b)).embedding];
  return sum(x.map((value, d) => value * y[d]!));
};

describe('exact heat maps', () => {
  it.each([
    ['flattened', {}, [2, 2]],
    ['pooled, linear, normalised', { network: pooledNetwork }, [4, 4]],
    ['in parts of unit length', { network: partsNetwork }, [4, 4]],
  ] as const)(
    '%s: pairs of positions and both maps add up to the cosine',
    async (_, options, [width, height]) => {
      const { embedder, explainer } = await explainerOf(options);
      expect([explainer.method, explainer.note]).toEqual(['exact', undefined]);
      for (const seed of [1, 2, 3]) {
        const [a, b] = [await noise(seed), await noise(seed + 10)];
        const cosine = await cosineOf(embedder, a, b);
        const maps = await explainer.heatMaps(a, b);
        expect(maps).toMatchObject({ method: 'exact', query: { width, height }, hit: { width, height } });
        expect(maps.cosine).toBeCloseTo(cosine, 6);
        expect(Math.abs(maps.remainder)).toBeLessThan(1e-5);
        expect(Math.abs(sum(maps.query.values) - cosine)).toBeLessThan(1e-5);
        expect(Math.abs(sum(maps.hit.values) - cosine)).toBeLessThan(1e-5);
        const [one, other] = (await Promise.all([
          explainer.contributions(a),
          explainer.contributions(b),
        ])) as [PositionContributions, PositionContributions];
        const pairs = positionPairs(one, other);
        expect(Math.abs(sum(pairs) - cosine)).toBeLessThan(1e-5);
        const cells = width * height;
        maps.query.values.forEach((value, p) => {
          expect(value).toBeCloseTo(sum(pairs.subarray(p * cells, (p + 1) * cells)), 9);
        });
        maps.hit.values.forEach((value, q) => {
          expect(value).toBeCloseTo(sum(pairs.filter((__, i) => i % cells === q)), 9);
        });
      }
    },
  );

  it('closed form: of an average a channel and place, each place gives the products of its own', async () => {
    const { embedder, explainer } = await explainerOf({ offset: -0.25 });
    const pictures = [await noise(5), await noise(6)] as const;
    // u [3, 2, 2] of the tiny network: means of 4 × 4 pixels less a quarter.
    const [x, y] = await Promise.all(
      pictures.map(async (picture) => {
        const pixels = await decodePixels(picture, embedder.bundle.preprocessing);
        const u = Array.from({ length: 12 }, (_, i) => {
          const [channel, row, column] = [Math.floor(i / 4), Math.floor(i / 2) % 2, i % 2];
          let total = 0;
          for (let dy = 0; dy < 4; dy++)
            for (let dx = 0; dx < 4; dx++)
              total += pixels[channel * 64 + (4 * row + dy) * 8 + 4 * column + dx]!;
          return total / 16 - 0.25;
        });
        return { u, length: Math.hypot(...u) };
      }),
    );
    const { query } = await explainer.heatMaps(...pictures);
    // c_p: the means at p less the shift, of which each place has a quarter of all twelve.
    query.values.forEach((value, p) => {
      let expected = 0;
      for (let i = 0; i < 12; i++) {
        const own = (i % 4 === p ? x!.u[i]! + 0.25 : 0) - 0.25 / 4;
        expected += (own * y!.u[i]!) / (x!.length * y!.length);
      }
      expect(value).toBeCloseTo(expected, 5);
    });
  });

  it('a picture with itself: 1; symmetric; the matching corner is where the heat is', async () => {
    const { explainer } = await explainerOf({ network: partsNetwork });
    const a = await noise(1);
    const b = await noise(2);
    expect((await explainer.heatMaps(a, a)).cosine).toBeCloseTo(1, 5);
    const [there, back] = [await explainer.heatMaps(a, b), await explainer.heatMaps(b, a)];
    expect(there.query.values).toEqual(back.hit.values);
    expect(there.hit.values).toEqual(back.query.values);
    const tiny = await explainerOf({ offset: 0 });
    const corner = async (left: number, top: number, colour: string) =>
      await sharp({ create: { width: 16, height: 16, channels: 3, background: '#000' } })
        .composite([
          { input: { create: { width: 8, height: 8, channels: 3, background: colour } }, left, top },
        ])
        .png()
        .toBuffer();
    const { query, cosine } = await tiny.explainer.heatMaps(
      await corner(8, 0, '#f00'),
      await corner(8, 0, '#fa0'),
    );
    expect(query.values[1]).toBeCloseTo(cosine, 2); // a little leaks when a picture is scaled
  });

  it('says where on the picture a map lies: boxes and pictures that are cut to a square', async () => {
    const { explainer } = await explainerOf({ fit: 'cover' });
    const bytes = await noise(3, 48, 24);
    const { query, hit } = await explainer.heatMaps(bytes, {
      bytes,
      box: { left: 0.5, top: 0, right: 1, bottom: 0.5, unit: 'fraction' },
    });
    expect(query.picture).toEqual({ width: 48, height: 24 });
    expect(query.area).toEqual({ left: 0.25, top: 0, right: 0.75, bottom: 1 });
    expect(hit.area).toEqual({ left: 30 / 48, top: 0, right: 42 / 48, bottom: 0.5 });
  });
});

describe('heat maps by occlusion', () => {
  it.each([
    ['generalised mean pooling', generalizedMeanNetwork, /no sum over the positions/],
    ['no map', (pixels: Value) => ({ embeddings: pooledNetwork(pixels).embeddings }), /gives no feature map/],
    [
      'a map of one position',
      (pixels: Value) => {
        const features = globalAveragePool(layer(pixels));
        return { embeddings: unitLength(normalizedLinear(reshape(features, [0, 6]))), featureMap: features };
      },
      /one position only/,
    ],
    [
      'a map past which the embedding goes',
      (pixels: Value) => {
        const beside = matmul(reshape(pixels, [0, 192]), weights([192, 20], 8));
        const { featureMap } = pooledNetwork(pixels);
        return { embeddings: unitLength(beside), featureMap };
      },
      /not come from the feature map alone/,
    ],
  ] as const)('%s: each patch is what the cosine loses without it', async (_, network, reason) => {
    const { embedder, explainer } = await explainerOf({ network });
    expect(explainer.method).toBe('occlusion');
    expect(explainer.note).toMatch(reason);
    const [a, b] = [await noise(1), await noise(2)];
    const maps = await explainer.heatMaps(a, b);
    expect(maps).toMatchObject({ method: 'occlusion', query: { width: 4, height: 4 } });
    expect(maps.note).toBe(explainer.note);
    expect(await explainer.contributions(a)).toBeUndefined();
    // Naive: paint one patch of 2 × 2 pixels, embed, compare.
    const pixels = await decodePixels(a, embedder.bundle.preprocessing);
    const against = (await embedder.embedOne(b)).embedding;
    const cosine = await cosineOf(embedder, a, b);
    for (const cell of [0, 5, 11]) {
      const painted = pixels.slice();
      for (let channel = 0; channel < 3; channel++) {
        const border: number[] = [];
        for (let y = 0; y < 8; y++)
          for (let x = 0; x < 8; x++)
            if (x === 0 || y === 0 || x === 7 || y === 7) {
              const isCorner = (x === 0 || x === 7) && (y === 0 || y === 7);
              border.push(pixels[channel * 64 + 8 * y + x]!);
              if (isCorner) border.push(pixels[channel * 64 + 8 * y + x]!);
            }
        const colour = border.sort((p, q) => p - q)[16]!;
        for (const dy of [0, 1])
          for (const dx of [0, 1])
            painted[channel * 64 + 8 * (2 * Math.floor(cell / 4) + dy) + 2 * (cell % 4) + dx] = colour;
      }
      const { embeddings } = await embedder.embedPixels(painted, 1);
      const without = sum(embeddings.map((value, d) => value * against[d]!));
      expect(maps.query.values[cell]).toBeCloseTo(cosine - without, 5);
    }
    const misses = [maps.query, maps.hit].map(({ values }) => cosine - sum(values));
    const worst = Math.abs(misses[0]!) > Math.abs(misses[1]!) ? misses[0]! : misses[1]!;
    expect(maps.remainder).toBeCloseTo(worst, 5);
  });

  it('stops when it is told to, and says what cannot be read', async () => {
    const { explainer } = await explainerOf({ network: generalizedMeanNetwork });
    const picture = await noise(1);
    const reason = new Error('enough');
    await expect(explainer.heatMaps(picture, picture, { signal: AbortSignal.abort(reason) })).rejects.toBe(
      reason,
    );
    await expect(explainer.heatMaps(picture, 'nowhere.png')).rejects.toThrow(/nowhere\.png: cannot be read/);
    await expect(
      explainer.heatMaps({ bytes: new Uint8Array([1, 2]), name: 'upload' }, picture),
    ).rejects.toThrow(/^upload: is of an unknown kind/);
  });

  it('refuses a number of cells that is none', async () => {
    const { embedder } = await explainerOf();
    for (const cells of [0, 1.5, 9])
      await expect(openExplainer(embedder, { cells })).rejects.toThrow(DataError);
  });
});
