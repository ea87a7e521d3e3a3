/**
 * `semblance attributes`, and what of a picture it is about: upright by its EXIF orientation, boxes of the upright picture,
 * transparent parts on the model's background.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture, TINY_SCHEMA, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { openEmbedder, openExplainer, type PictureSource } from '../bundle/index.js';

let root = '';
let model = '';
const file = (name: string) => join(root, name);
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-attributes-'));
  model = await writeTinyBundle(root, { fit: 'cover' });
  await writeFile(file('red.png'), await plainPicture([250, 0, 0]));
  // 40 × 24: four quarters of four colours.
  const upright = await sharp({ create: { width: 40, height: 24, channels: 3, background: '#204060' } })
    .composite(
      (['#e01010', '#10c020', '#f0e030'] as const).map((background, i) => ({
        input: { create: { width: 20, height: 12, channels: 3 as const, background } },
        left: 20 * (i % 2),
        top: 12 * Math.floor(i / 2),
      })),
    )
    .png()
    .toBuffer();
  const jpeg = { quality: 100, chromaSubsampling: '4:4:4' };
  await sharp(upright).jpeg(jpeg).toFile(file('upright.jpg'));
  // Orientation 6: the stored picture is to be turned by a quarter, clockwise. So it is stored turned back.
  await sharp(upright).rotate(270).withMetadata({ orientation: 6 }).jpeg(jpeg).toFile(file('turned.jpg'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

describe('semblance attributes', () => {
  it('says the probabilities of the values, as the model gives them', async () => {
    const { code, stdout, stderr } = await runMain(
      ...['attributes', file('red.png'), '--model', model, '--values', '2', '--json'],
    );
    expect([code, stderr]).toEqual([0, '']);
    const [{ picture, attributes }] = JSON.parse(stdout);
    expect(picture).toBe(file('red.png'));
    expect(attributes.map(({ name }: { name: string }) => name)).toEqual(
      TINY_SCHEMA.attributes.map(({ name }) => name),
    );
    const embedder = await openEmbedder(model, { threads: 1 });
    const { attributes: given } = await embedder.embedOne(file('red.png'));
    await embedder.close();
    let offset = 0;
    TINY_SCHEMA.attributes.forEach(({ values }, n) => {
      const wanted = values.map((value, v) => ({ value, probability: given[offset + v]! }));
      wanted.sort((a, b) => b.probability - a.probability);
      expect(attributes[n].values).toEqual(wanted.slice(0, 2));
      offset += values.length;
    });
    const table = await runMain('attributes', file('red.png'), '--model', model, '--subjects');
    expect(table.stdout).toMatch(/hue +│ red +│ +[01]\.\d{3}/);
    expect(table.stdout).toContain('nothing stands out as a subject\n');
  });

  it('needs a model, and a picture that can be read', async () => {
    expect(await runMain('attributes', file('red.png'))).toMatchObject({
      code: 2,
      stderr: 'semblance: attributes: --model or --catalog is required, got neither\n',
    });
    const gone = await runMain('attributes', file('gone.png'), '--model', model);
    expect([gone.code, gone.stdout]).toEqual([1, '']);
    expect(gone.stderr).toContain('gone.png');
  });
});

describe('what a model sees of a picture', () => {
  const embedded = async (picture: PictureSource) => {
    const embedder = await openEmbedder(model, { threads: 1 });
    try {
      return (await embedder.embedOne(picture)).embedding;
    } finally {
      await embedder.close();
    }
  };
  const largestDifference = (a: Float32Array, b: Float32Array) =>
    Math.max(...a.map((x, i) => Math.abs(x - b[i]!)));

  it('a picture that EXIF turns is the upright one, and boxes are of the upright one', async () => {
    const boxes = [undefined, { left: 20, top: 0, right: 40, bottom: 12 }] as const;
    for (const box of boxes) {
      const of = (name: string) => embedded(box === undefined ? file(name) : { path: file(name), box });
      // JPEG stores the two in other blocks: not the same bits, but the same picture.
      expect(largestDifference(await of('turned.jpg'), await of('upright.jpg'))).toBeLessThan(0.02);
    }
    // As stored it would be another picture, and the box another part of it.
    await sharp(file('turned.jpg')).withMetadata({ orientation: 1 }).toFile(file('stored.jpg'));
    expect(
      largestDifference(await embedded(file('stored.jpg')), await embedded(file('upright.jpg'))),
    ).toBeGreaterThan(0.1);
    const [green, corner] = [
      await embedded(await plainPicture([16, 192, 32])),
      await embedded({ path: file('turned.jpg'), box: { left: 22, top: 2, right: 38, bottom: 10 } }),
    ];
    expect(largestDifference(green, corner)).toBeLessThan(0.02);
  });

  it('transparent parts are the background of the model: white, whatever colour lies hidden there', async () => {
    const holed = async (hidden: number) => {
      const data = Buffer.alloc(24 * 24 * 4);
      for (let i = 0; i < 24 * 24; i++) {
        const isHole = i % 24 < 12;
        data.set(isHole ? [hidden, 255 - hidden, hidden, 0] : [200, 30, 30, 255], 4 * i);
      }
      return sharp(data, { raw: { width: 24, height: 24, channels: 4 } })
        .png()
        .toBuffer();
    };
    const solid = await sharp({ create: { width: 24, height: 24, channels: 3, background: '#ffffff' } })
      .composite([
        {
          input: { create: { width: 12, height: 24, channels: 3, background: { r: 200, g: 30, b: 30 } } },
          left: 12,
          top: 0,
        },
      ])
      .png()
      .toBuffer();
    const wanted = await embedded(solid);
    for (const hidden of [0, 255]) expect(await embedded(await holed(hidden))).toEqual(wanted);
    // The heat map lies over the same part of the picture, and says the same.
    const embedder = await openEmbedder(model, { threads: 1 });
    const explainer = await openExplainer(embedder, { threads: 1 });
    const other = await plainPicture([250, 240, 240]);
    const maps = async (query: Uint8Array) => explainer.heatMaps(query, other);
    expect(await maps(await holed(0))).toEqual(await maps(solid));
    expect((await maps(solid)).query.area).toEqual({ left: 0, top: 0, right: 1, bottom: 1 });
    await explainer.close();
    await embedder.close();
  });
});
