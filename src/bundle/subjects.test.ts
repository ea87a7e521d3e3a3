import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { averagePool, reshape, unitLength, type Value } from '../graph/index.js';
import { Random } from '../util/index.js';
import { type Embedder, openEmbedder } from './embedder.js';
import { proposeSubjects } from './subjects.js';

let root = '';
const embedders: Record<string, Embedder> = {};
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-subjects-'));
  const network = (withMap: boolean) => (pixels: Value) => {
    const featureMap = averagePool(pixels, 2);
    const embeddings = unitLength(reshape(featureMap, [0, 48]));
    return withMap ? { embeddings, featureMap } : { embeddings };
  };
  for (const [name, withMap] of [
    ['with a feature map', true],
    ['without', false],
  ] as const)
    embedders[name] = await openEmbedder(
      await writeTinyBundle(join(root, name), { network: network(withMap), fit: 'cover' }),
      { threads: 1 },
    );
});
afterAll(async () => {
  for (const embedder of Object.values(embedders)) await embedder.close();
  await rm(root, { recursive: true, force: true });
});

interface Placed {
  readonly bytes: Uint8Array;
  readonly truth: readonly [left: number, top: number, right: number, bottom: number];
}

/** An ellipse of one colour at a drawn place of a ground that is plain, or noise around a colour far from it. */
async function placed(seed: number, noise: number): Promise<Placed> {
  const random = Random.from(seed);
  const [width, height] = [160 + random.integer(200), 160 + random.integer(200)];
  const ground = [0, 1, 2].map(() => 20 + random.integer(80));
  const data = Uint8Array.from({ length: 3 * width * height }, (_, i) =>
    Math.max(0, Math.min(255, ground[i % 3]! + noise * random.normal())),
  );
  const [w, h] = [width, height].map((side) => Math.round(side * random.between(0.25, 0.6))) as [
    number,
    number,
  ];
  const [left, top] = [random.integer(width - w), random.integer(height - h)];
  const colour = `rgb(${[0, 1, 2].map(() => 150 + random.integer(100)).join(',')})`;
  const svg = `<svg xmlns="http://www.w3.org/2000/svg" width="${w}" height="${h}"><ellipse cx="${w / 2}" cy="${h / 2}" rx="${w / 2}" ry="${h / 2}" fill="${colour}"/></svg>`;
  const bytes = await sharp(data, { raw: { width, height, channels: 3 } })
    .composite([{ input: Buffer.from(svg), left, top }])
    .png()
    .toBuffer();
  return { bytes, truth: [left / width, top / height, (left + w) / width, (top + h) / height] };
}

function intersectionOverUnion(
  { left, top, right, bottom }: { left: number; top: number; right: number; bottom: number },
  [x0, y0, x1, y1]: Placed['truth'],
): number {
  const shared =
    Math.max(0, Math.min(right, x1) - Math.max(left, x0)) *
    Math.max(0, Math.min(bottom, y1) - Math.max(top, y0));
  return shared / ((right - left) * (bottom - top) + (x1 - x0) * (y1 - y0) - shared);
}

describe('proposeSubjects', () => {
  it.each(['with a feature map', 'without'])(
    '%s: finds what lies on a plain and on a noisy ground',
    async (name) => {
      for (const noise of [0, 20]) {
        const found: number[] = [];
        for (let seed = 1; seed <= 12; seed++) {
          const { bytes, truth } = await placed(seed, noise);
          const proposals = await proposeSubjects(embedders[name]!, bytes);
          expect(proposals.length).toBeGreaterThanOrEqual(1);
          expect(proposals.length).toBeLessThanOrEqual(3);
          expect(proposals.map(({ score }) => score)).toEqual(
            proposals.map(({ score }) => score).sort((a, b) => b - a),
          );
          for (const { region, score } of proposals) {
            expect(score > 0 && score <= 1).toBe(true);
            expect(region.left >= 0 && region.left < region.right && region.right <= 1).toBe(true);
            expect(region.top >= 0 && region.top < region.bottom && region.bottom <= 1).toBe(true);
          }
          found.push(intersectionOverUnion(proposals[0]!.region, truth));
        }
        expect(found.reduce((sum, value) => sum + value, 0) / found.length).toBeGreaterThan(0.75);
        expect(Math.min(...found)).toBeGreaterThan(0.4);
      }
    },
  );

  it('nothing stands out of a plain picture, nor of faint noise', async () => {
    const random = Random.from(4);
    const faint = Uint8Array.from({ length: 3 * 64 * 64 }, () => 125 + random.integer(6));
    for (const bytes of [
      await plainPicture([200, 30, 40]),
      await sharp(faint, { raw: { width: 64, height: 64, channels: 3 } })
        .png()
        .toBuffer(),
    ])
      expect(await proposeSubjects(embedders['with a feature map']!, bytes)).toEqual([]);
  });

  it.each(['with a feature map', 'without'])(
    '%s: a small picture in a corner of a plain canvas is the first proposal',
    async (name) => {
      // Of several colours, like a photograph: two bars and a dot.
      const svg =
        '<svg xmlns="http://www.w3.org/2000/svg" width="60" height="60"><rect width="60" height="60" fill="#c33"/>' +
        '<rect y="12" width="60" height="14" fill="#2a6"/><circle cx="30" cy="44" r="12" fill="#fc4"/></svg>';
      const [side, pasted, margin] = [300, 60, 6];
      const far = side - pasted - margin;
      for (const [left, top] of [
        [margin, margin],
        [far, margin],
        [margin, far],
        [far, far],
      ] as const) {
        const bytes = await sharp({
          create: { width: side, height: side, channels: 3, background: '#e8e8e8' },
        })
          .composite([{ input: Buffer.from(svg), left, top }])
          .png()
          .toBuffer();
        const [first] = await proposeSubjects(embedders[name]!, bytes);
        const truth = [left, top, left + pasted, top + pasted].map((edge) => edge / side);
        expect(intersectionOverUnion(first!.region, truth as unknown as Placed['truth'])).toBeGreaterThan(
          0.7,
        );
      }
    },
  );

  it('two subjects are two proposals, in the upright picture', async () => {
    const dot = await plainPicture([250, 240, 30], { width: 40, height: 40 });
    const bytes = await sharp({ create: { width: 240, height: 160, channels: 3, background: '#224' } })
      .composite([
        { input: Buffer.from(dot), left: 30, top: 60 },
        { input: Buffer.from(dot), left: 170, top: 60 },
      ])
      .png()
      .withMetadata({ orientation: 6 }) // turned by a quarter, clockwise
      .toBuffer();
    const proposals = await proposeSubjects(embedders.without!, bytes);
    expect(proposals).toHaveLength(2);
    for (const { region } of proposals) {
      // Upright 160 × 240: the squares lie above each other, in the middle.
      expect((region.left + region.right) / 2).toBeCloseTo(0.5, 1);
      expect(Math.abs((region.top + region.bottom) / 2 - 0.5)).toBeCloseTo(70 / 240, 1);
    }
  });

  it('within a box only, in fractions of the whole', async () => {
    const { bytes, truth } = await placed(3, 0);
    const half = {
      left: 0,
      top: 0,
      right: Math.min(1, truth[2] + 0.05),
      bottom: 1,
      unit: 'fraction' as const,
    };
    const [first] = await proposeSubjects(embedders.without!, { bytes, box: half });
    expect(intersectionOverUnion(first!.region, truth)).toBeGreaterThan(0.6);
    await expect(
      proposeSubjects(embedders.without!, { bytes: new Uint8Array([1]), name: 'upload' }),
    ).rejects.toThrow(/^upload: /);
  });
});
