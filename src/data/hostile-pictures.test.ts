/** Pictures that are made to break a decoder, and a few hundred damaged ones. `npm run fuzz` does twenty thousand. */
import { crc32, deflateSync } from 'node:zlib';
import sharp from 'sharp';
import { describe, expect, it } from 'vitest';
import { attempt, mutatePicture, seedPictures } from '../../test/support/mutated-pictures.js';
import { DataError } from '../util/index.js';
import { decodePicture, pictureSize, processPicture } from './index.js';

const refusal = async (work: Promise<unknown>): Promise<string> => {
  const error = await work.then(
    () => new Error('it was decoded'),
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(DataError);
  expect((error as Error).message).not.toContain('\n');
  return (error as Error).message;
};

const svg = (attributes: string, content: string) =>
  `<svg xmlns="http://www.w3.org/2000/svg" ${attributes}>${content}</svg>`;

describe('what is no picture', () => {
  const drawing = svg('width="50" height="50"', '<rect width="50" height="50" fill="red"/>');

  it.each([
    ['an SVG', drawing],
    ['an SVG that begins like an AVIF', `<!--ftypavif-->${drawing}`],
    ['an SVG that begins like a HEIC with a compatible brand', `<!--ftypmif1avif    -->${drawing}`],
    ['an SVG behind white space', `\n\n   ${drawing}`],
    ['an entity that reads a file', `<!DOCTYPE svg [<!ENTITY x SYSTEM "file:///etc/hostname">]>${drawing}`],
    ['a billion laughs', `<!DOCTYPE svg [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]>${drawing}`],
  ])('refuses %s', async (_, text) => {
    // The decoder itself would draw the plain one: the refusal is ours.
    expect(await refusal(decodePicture(Buffer.from(text)))).toMatch(/not a picture/);
    expect(await refusal(pictureSize(Buffer.from(text)))).toMatch(/not a picture/);
  });

  it.each([
    ['a ZIP archive', [0x50, 0x4b, 3, 4]],
    ['a gzip archive', [0x1f, 0x8b, 8]],
    ['a 7z archive', [0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c]],
    ['a RAR archive', [0x52, 0x61, 0x72, 0x21, 0x1a, 0x07]],
    ['a bzip2 archive', [0x42, 0x5a, 0x68, 0x39]],
    ['an xz archive', [0xfd, 0x37, 0x7a, 0x58, 0x5a, 0]],
    ['a zstd archive', [0x28, 0xb5, 0x2f, 0xfd]],
    ['a tar archive', [...Buffer.alloc(257), ...Buffer.from('ustar')]],
  ])('refuses %s by name', async (what, bytes) => {
    expect(await refusal(decodePicture(Buffer.from(bytes)))).toContain(what);
  });
});

describe('limits before decoding', () => {
  it('refuses a PNG of 900 million pixels and one of 2 billion a side, and allocates nothing', async () => {
    const before = process.memoryUsage.rss();
    for (const [width, height] of [
      [30_000, 30_000],
      [2_000_000_000, 2_000_000_000],
    ] as const)
      expect(await refusal(decodePicture(pngHeader(width, height)))).toMatch(
        /too many pixels|side that is too long/,
      );
    expect(process.memoryUsage.rss() - before).toBeLessThan(100e6);
  });

  it('refuses a format that is decoded as a whole by its memory, where another of as many pixels is decoded', async () => {
    const square = sharp({ create: { width: 640, height: 640, channels: 3, background: '#c03020' } });
    const limits = { maximumMemory: 2_000_000 };
    const avif = await square.clone().avif({ effort: 0 }).toBuffer();
    expect(await refusal(decodePicture(avif, limits))).toMatch(
      /needs too much memory: at most 2 MB are used for one picture, this AVIF needs about 7 MB\. Scale it down/,
    );
    const progressive = await square.clone().jpeg({ progressive: true }).toBuffer();
    expect(await refusal(decodePicture(progressive, limits))).toMatch(/this JPEG needs about 3 MB/);
    for (const bytes of [await square.clone().jpeg().toBuffer(), await square.clone().webp().toBuffer()])
      expect((await decodePicture(bytes, { ...limits, size: 8 })).data.length).toBe(8 * 8 * 3);
  });

  it('refuses a side that no row of the decoder should have', async () => {
    expect(await refusal(decodePicture(pngHeader(1_000_000, 3)))).toMatch(
      /a side that is too long: at most 65535 pixels, got 1000000/,
    );
    const wide = await sharp({ create: { width: 66_000, height: 1, channels: 3, background: '#fff' } })
      .tiff({ compression: 'lzw' })
      .toBuffer();
    expect(await refusal(decodePicture(wide))).toMatch(/a side that is too long/);
  });

  it('keeps the limit of pixels above that of harmless ones', async () => {
    const bytes = await sharp({ create: { width: 640, height: 640, channels: 3, background: '#c03020' } })
      .jpeg()
      .toBuffer();
    const limits = { maximumMemory: 2_000_000, maximumPixels: 300_000 };
    expect(await refusal(decodePicture(bytes, limits))).toMatch(/too many pixels: at most 300000/);
  });

  it('says so when the decoder gave up for the time', async () => {
    const bytes = await sharp({ create: { width: 4, height: 4, channels: 3, background: '#808080' } })
      .png()
      .toBuffer();
    const slow = processPicture(bytes, { timeoutSeconds: 1 }, () =>
      Promise.reject(new Error('timeout: 45% complete')),
    );
    expect(await refusal(slow)).toMatch(/takes too long: at most 1 seconds/);
  });
});

it('keeps nothing of pictures that it refused or decoded', async () => {
  const small = await sharp({ create: { width: 48, height: 36, channels: 3, background: '#c03020' } })
    .jpeg({ progressive: true, chromaSubsampling: '4:4:4' })
    .toBuffer();
  const frame = small.indexOf(Buffer.from([0xff, 0xc2]));
  small.writeUInt16BE(6000, frame + 5);
  small.writeUInt16BE(6000, frame + 7);
  const before = process.memoryUsage.rss();
  for (let i = 0; i < 4; i++) {
    const bytes = Buffer.concat([small, Buffer.from([i])]);
    await refusal(decodePicture(bytes, { size: 32 }));
  }
  // Each takes 216 MB while it is decoded.
  expect(process.memoryUsage.rss() - before).toBeLessThan(300e6);
});

describe('awkward but sound pictures', () => {
  it('takes the first frame of animations, and the first page of a TIFF', async () => {
    const frames = Buffer.concat([Buffer.alloc(8 * 8 * 3, 200), Buffer.alloc(8 * 8 * 3, 20)]);
    const strip = () => sharp(frames, { raw: { width: 8, height: 16, channels: 3, pageHeight: 8 } });
    for (const bytes of [
      await strip().gif().toBuffer(),
      await strip().webp({ lossless: true }).toBuffer(),
      await strip().tiff().toBuffer(),
    ]) {
      const { width, height, data } = await decodePicture(bytes);
      expect([width, height, data[0]! > 150]).toEqual([8, 8, true]);
    }
  });

  it('resizes what is 1 × 1, or 8000 × 2, to no side of 0', async () => {
    for (const [width, height] of [
      [1, 1],
      [8000, 2],
      [2, 8000],
    ] as const) {
      const bytes = await sharp({ create: { width, height, channels: 3, background: '#3060c0' } })
        .png()
        .toBuffer();
      for (const fit of ['cover', 'contain', 'fill'] as const)
        expect((await decodePicture(bytes, { size: 24, fit })).data.length).toBe(24 * 24 * 3);
    }
  });
});

it('decodes or refuses damaged pictures', { timeout: 120_000 }, async () => {
  const pictures = await seedPictures();
  for (const { format, bytes } of pictures)
    expect([format, (await attempt(bytes)).kind]).toEqual([format, format === 'svg' ? 'refused' : 'decoded']);
  const counts = { decoded: 0, refused: 0, crashed: 0 };
  for (let number = 0; number < 300; number++) {
    const { format, kinds, bytes } = mutatePicture(pictures, 7, number);
    const { kind, message } = await attempt(bytes);
    counts[kind]++;
    expect(kind, `case ${number}: ${format}, ${kinds.join(' and ')}: ${message}`).not.toBe('crashed');
  }
  // Damage that the decoder always sees, or never, would be no test.
  expect(Math.min(counts.decoded, counts.refused)).toBeGreaterThan(20);
});

/** A PNG whose header declares a size, with a few bytes of pixels. */
function pngHeader(width: number, height: number): Buffer {
  const chunk = (type: string, content: Buffer) => {
    const body = Buffer.concat([Buffer.from(type), content]);
    const frame = Buffer.alloc(8);
    frame.writeUInt32BE(content.length, 0);
    frame.writeUInt32BE(crc32(body), 4);
    return Buffer.concat([frame.subarray(0, 4), body, frame.subarray(4)]);
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([1, 0, 0, 0, 0], 8);
  const signature = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
  return Buffer.concat([
    signature,
    chunk('IHDR', header),
    chunk('IDAT', deflateSync(Buffer.alloc(4000))),
    chunk('IEND', Buffer.alloc(0)),
  ]);
}
