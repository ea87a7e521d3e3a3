import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import { type DecodedPicture, decodePicture } from './decode.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-decode-'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

/** 4 × 2: left half red, right half blue. */
const twoColours = sharp(
  Buffer.from([...Array(2)].flatMap(() => [255, 0, 0, 255, 0, 0, 0, 0, 255, 0, 0, 255])),
  {
    raw: { width: 4, height: 2, channels: 3 },
  },
);

const pixel = (picture: DecodedPicture, x: number, y: number): number[] => {
  const at = (y * picture.width + x) * picture.channels;
  return [...picture.data.subarray(at, at + picture.channels)];
};

describe('decodePicture', () => {
  it.each(['png', 'webp', 'tiff', 'gif', 'avif', 'jpeg'] as const)(
    'decodes %s from bytes',
    async (format) => {
      const bytes = await twoColours
        .clone()
        .resize(32, 16, { kernel: 'nearest' })
        .toFormat(format, { quality: 100 })
        .toBuffer();
      const picture = await decodePicture(bytes);
      expect([picture.width, picture.height, picture.channels, picture.data.length]).toEqual([
        32,
        16,
        3,
        32 * 16 * 3,
      ]);
      const [r, g, b] = pixel(picture, 4, 8);
      expect([r! > 240, g! < 15, b! < 15]).toEqual([true, true, true]);
    },
  );

  it('fits by cover, contain with background, and fill', async () => {
    const bytes = await twoColours.clone().resize(40, 20, { kernel: 'nearest' }).png().toBuffer();
    const at = async (fit: 'cover' | 'contain' | 'fill') =>
      decodePicture(bytes, { size: 20, fit, background: [0, 255, 0] });
    expect(pixel(await at('cover'), 2, 1)).toEqual([255, 0, 0]);
    expect(pixel(await at('contain'), 2, 1)).toEqual([0, 255, 0]);
    expect(pixel(await at('contain'), 2, 10)).toEqual([255, 0, 0]);
    expect(pixel(await at('fill'), 18, 1)).toEqual([0, 0, 255]);
  });

  it('flattens on the stated background, or keeps alpha', async () => {
    const bytes = await sharp({
      create: { width: 2, height: 2, channels: 4, background: { r: 9, g: 9, b: 9, alpha: 0 } },
    })
      .png()
      .toBuffer();
    expect(pixel(await decodePicture(bytes), 0, 0)).toEqual([255, 255, 255]);
    expect(pixel(await decodePicture(bytes, { background: [1, 2, 3] }), 0, 0)).toEqual([1, 2, 3]);
    expect(pixel(await decodePicture(bytes, { keepAlpha: true }), 0, 0)[3]).toBe(0);
  });

  it('pads transparently where alpha is kept', async () => {
    const bytes = await twoColours.clone().resize(40, 20, { kernel: 'nearest' }).jpeg().toBuffer();
    const picture = await decodePicture(bytes, { size: 20, fit: 'contain', keepAlpha: true });
    expect(picture.channels).toBe(4);
    expect(pixel(picture, 2, 0)[3]).toBe(0);
    expect(pixel(picture, 2, 10)[3]).toBe(255);
  });

  it('cuts out a box, and what reaches beyond the picture is cut off', async () => {
    const bytes = await twoColours.clone().resize(40, 20, { kernel: 'nearest' }).png().toBuffer();
    const picture = await decodePicture(bytes, { box: { left: 30, top: 5, right: 99, bottom: 15 } });
    expect([picture.width, picture.height, pixel(picture, 0, 0)]).toEqual([10, 10, [0, 0, 255]]);
    await expect(decodePicture(bytes, { box: { left: 50, top: 0, right: 60, bottom: 5 } })).rejects.toThrow(
      'box',
    );
  });

  it.each([
    ['no file', async () => join(folder, 'none.jpg'), /none\.jpg: cannot be read: no such file/],
    ['a folder', async () => folder, /is not a file/],
    ['a PDF', async () => Buffer.from('%PDF-1.7\n'), /picture: is a PDF, not a picture/],
    ['an archive', async () => Buffer.from([0x50, 0x4b, 3, 4, 0, 0]), /is a ZIP archive/],
    ['HEIC', async () => Buffer.from('\0\0\0\x18ftypheic\0\0\0\0mif1heic', 'latin1'), /is HEIC/],
    [
      'SVG behind a byte order mark',
      async () => Buffer.from('\uFEFF<?xml version="1.0"?><svg/>'.replace('/>', ' />')),
      /is SVG/,
    ],
    ['HTML', async () => Buffer.from('<!DOCTYPE html><p>404'), /is HTML/],
    ['noise', async () => Buffer.from([1, 2, 3, 200, 250, 0]), /is of an unknown kind/],
    [
      'a truncated WebP',
      async () => (await twoColours.clone().resize(64).webp().toBuffer()).subarray(0, 30),
      /(truncated|corrupt) WebP/,
    ],
    [
      'a truncated GIF',
      async () => (await twoColours.clone().resize(64).gif().toBuffer()).subarray(0, 40),
      /(truncated|corrupt) GIF/,
    ],
    [
      'a truncated AVIF',
      async () => (await twoColours.clone().resize(64).avif().toBuffer()).subarray(0, 200),
      /(truncated|corrupt) AVIF/,
    ],
    [
      'a truncated TIFF',
      async () => (await twoColours.clone().resize(64).tiff().toBuffer()).subarray(0, 40),
      /(truncated|corrupt) TIFF/,
    ],
  ])('refuses %s on one line', async (_, make, message) => {
    const error = await decodePicture(await make()).catch((thrown: unknown) => thrown);
    expect(error).toBeInstanceOf(DataError);
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('\n');
  });

  it('holds the limits of bytes and pixels', async () => {
    const bytes = await twoColours.clone().resize(64).png().toBuffer();
    const path = join(folder, 'limits.png');
    await writeFile(path, bytes);
    await expect(decodePicture(path, { maximumBytes: 20 })).rejects.toThrow(/too large: at most 20 bytes/);
    await expect(decodePicture(bytes, { maximumBytes: 20 })).rejects.toThrow(/too large/);
    await expect(decodePicture(path, { maximumPixels: 100 })).rejects.toThrow(/too many pixels: at most 100/);
  });

  it('reads names with a line break, a question mark, a quote or a backslash', async () => {
    const bytes = await twoColours.clone().png().toBuffer();
    for (const name of ['a\nb.png', 'a?b.png', 'a"b.png', 'a\\b.png']) {
      await writeFile(join(folder, name), bytes);
      expect((await decodePicture(join(folder, name))).width).toBe(4);
    }
  });
});

const badImages = resolve(import.meta.dirname, '../../../shared/data/bad-images');
const isAbsent = !existsSync(badImages);

describe.skipIf(isAbsent)(
  `the collection of bad pictures${isAbsent ? ' (skipped: not on this machine)' : ''}`,
  () => {
    let reference: DecodedPicture;
    beforeAll(async () => {
      if (!isAbsent) reference = await decodePicture(join(badImages, 'ok-reference.jpg'));
    });

    const meanError = (picture: DecodedPicture): number => {
      expect([picture.width, picture.height]).toEqual([160, 120]);
      let sum = 0;
      for (const [at, byte] of picture.data.entries()) sum += Math.abs(byte - reference.data[at]!);
      return sum / picture.data.length;
    };

    it.each([
      ['truncated.jpg', /truncated JPEG/],
      ['truncated-header.jpg', /truncated JPEG/],
      ['zero-byte.jpg', /empty file/],
      ['text-renamed.jpg', /is text, not a picture/],
      ['bad-crc-idat.png', /corrupt PNG/],
      ['bad-crc-ihdr.png', /corrupt PNG/],
      ['bomb-30000x30000.png', /too many pixels/],
      ['bomb-header-only.png', /too many pixels|side that is too long/],
      ['svg-external-entity.svg', /is SVG/],
      ['svg-external-reference.svg', /is SVG/],
      ['svg-entity-expansion.svg', /is SVG/],
      ['svg-named.jpg', /is SVG/],
      ['leading-garbage.jpg', /not a picture/],
    ])('refuses %s', async (name, message) => {
      const error = await decodePicture(join(badImages, name)).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(DataError);
      expect((error as Error).message).toMatch(message);
      expect((error as Error).message).toContain(join(badImages, name));
      expect((error as Error).message).not.toContain('\n');
    });

    it.each([
      ['png-named.jpg', 3],
      ['sixteen-bit.png', 3],
      ['cmyk.jpg', 25],
      ['exif-orientation-6.jpg', 3],
      ['trailing-garbage.jpg', 0],
    ])('decodes %s as the same scene', async (name, tolerance) => {
      expect(meanError(await decodePicture(join(badImages, name)))).toBeLessThanOrEqual(tolerance);
    });

    it.each(['grayscale.jpg', 'grayscale-alpha.png'])('decodes %s to three equal channels', async (name) => {
      const { data, channels } = await decodePicture(join(badImages, name));
      expect(channels).toBe(3);
      for (let at = 0; at < data.length; at += 3)
        expect(data[at] === data[at + 1] && data[at] === data[at + 2]).toBe(true);
      expect((await decodePicture(join(badImages, name), { keepAlpha: true })).channels).toBe(4);
    });

    it('decodes transparent.png on the stated background', async () => {
      expect(
        pixel(await decodePicture(join(badImages, 'transparent.png'), { background: [7, 8, 9] }), 0, 0),
      ).toEqual([7, 8, 9]);
    });

    it.each(['animated.gif', 'animated.webp'])('decodes the first frame of %s', async (name) => {
      const picture = await decodePicture(join(badImages, name));
      expect([picture.width, picture.height]).toEqual([64, 64]);
    });

    it.each(['one-pixel.png', 'one-pixel.jpg', 'extreme-aspect-8000x2.png'])(
      'decodes and resizes %s',
      async (name) => {
        for (const fit of ['cover', 'contain', 'fill'] as const) {
          const picture = await decodePicture(join(badImages, name), { size: 48, fit });
          expect([picture.width, picture.height, picture.data.length]).toEqual([48, 48, 48 * 48 * 3]);
        }
      },
    );

    it('decodes whatever the name is', async () => {
      const names = await readdir(join(badImages, 'names'));
      expect(names.length).toBeGreaterThan(15);
      for (const name of names) {
        const picture = await decodePicture(join(badImages, 'names', name));
        expect([name, picture.width, picture.height]).toEqual([name, 48, 36]);
      }
    });
  },
);
