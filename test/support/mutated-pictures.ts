/**
 * Damaged pictures, for the decoder: small ones of all formats made here, changed at random in their bytes, their chunks,
 * their length fields, their declared size or their first bytes. A case is a function of (seed, number).
 */
import { crc32 } from 'node:zlib';
import sharp, { type Sharp } from 'sharp';
import { decodePicture, pictureSize, processPicture } from '../../src/data/index.js';
import { DataError, Random } from '../../src/util/index.js';

export interface SeedPicture {
  readonly format: string;
  readonly bytes: Uint8Array;
}

/** Pictures that between them use most of what the formats can hold. */
export async function seedPictures(): Promise<SeedPicture[]> {
  const [width, height] = [48, 36];
  const pixels = Buffer.from(
    Array.from(
      { length: width * height * 4 },
      (_, i) => [i % 251, (i >> 6) % 256, (i * 7) % 256, 255 - (i % 128)][i % 4]!,
    ),
  );
  const rgba = () => sharp(pixels, { raw: { width, height, channels: 4 } });
  const rgb = () => rgba().removeAlpha();
  const frames = () =>
    sharp(Buffer.concat([pixels, pixels, pixels]), {
      raw: { width, height: 3 * height, channels: 4, pageHeight: height },
    });
  const make: readonly (readonly [string, () => Sharp])[] = [
    ['jpeg', () => rgb().jpeg()],
    ['jpeg progressive', () => rgb().jpeg({ progressive: true, chromaSubsampling: '4:4:4' })],
    ['jpeg grey, turned', () => rgb().greyscale().jpeg().withMetadata({ orientation: 6 })],
    ['jpeg cmyk', () => rgb().toColourspace('cmyk').jpeg()],
    [
      'jpeg with profile',
      () =>
        rgb()
          .jpeg()
          .withIccProfile('p3')
          .withExif({ IFD0: { Copyright: 'nobody' } }),
    ],
    ['png', () => rgba().png()],
    ['png interlaced', () => rgba().png({ progressive: true })],
    ['png palette', () => rgb().png({ palette: true })],
    ['png 16 bit', () => rgba().toColourspace('rgb16').png().withMetadata({ orientation: 8 })],
    ['webp', () => rgba().webp()],
    ['webp lossless', () => rgba().webp({ lossless: true })],
    ['webp animated', () => frames().webp({ loop: 0 })],
    ['gif', () => rgba().gif()],
    ['gif animated', () => frames().gif()],
    ['avif', () => rgba().avif({ effort: 0 })],
    ['avif lossless', () => rgb().avif({ effort: 0, lossless: true })],
    ['tiff lzw', () => rgba().tiff({ compression: 'lzw' })],
    ['tiff deflate', () => rgb().tiff({ compression: 'deflate', predictor: 'horizontal' })],
    ['tiff tiled', () => rgb().tiff({ compression: 'none', tile: true, tileWidth: 16, tileHeight: 16 })],
    ['tiff jpeg', () => rgb().tiff({ compression: 'jpeg' })],
    ['tiff 16 bit', () => rgba().toColourspace('rgb16').tiff({ compression: 'lzw' })],
    ['tiff bigtiff pyramid', () => rgb().tiff({ bigtiff: true, pyramid: true, tile: true })],
  ];
  const made = await Promise.all(
    make.map(async ([format, draw]) => ({ format, bytes: new Uint8Array(await draw().toBuffer()) })),
  );
  const svg =
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" width="9000" height="9000">' +
    '<image href="file:///etc/hostname" width="9" height="9"/><rect width="8" height="8" fill="red"/></svg>';
  return [...made, { format: 'svg', bytes: Buffer.from(svg) }];
}

/** A picture with one to three changes at random. */
export function mutatePicture(pictures: readonly SeedPicture[], seed: number, number: number) {
  const draw = Random.from(seed, number);
  const { format, bytes: original } = pictures[draw.integer(pictures.length)] as SeedPicture;
  let bytes = Uint8Array.from(original);
  const kinds: string[] = [];
  const changes = [1, 1, 1, 2, 3][draw.integer(5)] as number;
  for (let i = 0; i < changes; i++) {
    const kind = MUTATIONS[draw.integer(MUTATIONS.length)] as Mutation;
    kinds.push(kind.name);
    if (bytes.length > 0) bytes = kind(bytes, draw, pictures);
  }
  return { format, kinds, bytes };
}

/** What became of a picture. */
export interface Outcome {
  readonly kind: 'decoded' | 'refused' | 'crashed';
  readonly message: string;
}

/**
 * Decodes as an index, a page and a region do; each must decode, or refuse in one line of ours. What is decoded must be a
 * picture of one of the six formats.
 */
export async function attempt(bytes: Uint8Array): Promise<Outcome> {
  const limits = { maximumPixels: 50_000_000 };
  const outcomes: Outcome[] = [];
  // One at a time: the memory that is measured is that of one.
  for (const decode of [
    async () => {
      const { data } = await decodePicture(bytes, { ...limits, size: 64, fit: 'contain' });
      if (data.length !== 64 * 64 * 3) throw new Error(`internal: ${data.length} bytes`);
    },
    async () => {
      const part = { left: 0, top: 0, right: 0.5, bottom: 0.5, unit: 'fraction' } as const;
      await decodePicture(bytes, { ...limits, size: 32, fit: 'fill', box: part, keepAlpha: true });
    },
    async () => {
      await pictureSize(bytes, limits);
      const format = await processPicture(bytes, limits, async (picture) => {
        const small = picture.clone().autoOrient().resize({ width: 64, withoutEnlargement: true });
        await small.webp().toBuffer();
        return (await picture.metadata()).format;
      });
      if (!FORMATS.includes(format)) throw new Error(`internal: decoded as ${format}`);
    },
  ])
    try {
      await decode();
      outcomes.push({ kind: 'decoded', message: '' });
    } catch (error) {
      const { message } = error as Error;
      const isOurs =
        error instanceof DataError && !/\n|internal: /.test(message) && message.startsWith('picture: ');
      outcomes.push({ kind: isOurs ? 'refused' : 'crashed', message });
    }
  return (
    outcomes.find(({ kind }) => kind === 'crashed') ??
    outcomes.find(({ kind }) => kind === 'refused') ??
    (outcomes[0] as Outcome)
  );
}

// --- internal ---

const FORMATS = ['jpeg', 'png', 'webp', 'gif', 'heif', 'avif', 'tiff'];

type Mutation = (
  bytes: Uint8Array,
  draw: Random,
  pictures: readonly SeedPicture[],
) => Uint8Array<ArrayBuffer>;

const EXTREMES = [
  0,
  1,
  2,
  3,
  127,
  255,
  256,
  4096,
  16_384,
  65_535,
  65_536,
  2 ** 24,
  2 ** 31 - 1,
  2 ** 31,
  2 ** 32 - 1,
];

const view = (bytes: Uint8Array) => new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);

/** Writes a number into two or four bytes, if there is room. */
function write(bytes: Uint8Array, at: number, value: number, size: 1 | 2 | 4, littleEndian: boolean): void {
  if (at < 0 || at + size > bytes.length) return;
  if (size === 1) bytes[at] = value;
  else if (size === 2) view(bytes).setUint16(at, value, littleEndian);
  else view(bytes).setUint32(at, value, littleEndian);
}

/** A place, more often near the beginning, where headers are. */
function place(bytes: Uint8Array, draw: Random): number {
  const end = draw.integer(2) === 0 ? Math.min(bytes.length, 200) : bytes.length;
  return draw.integer(Math.max(1, end));
}

function find(bytes: Uint8Array, text: string): number {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).indexOf(text, 0, 'latin1');
}

function flipBits(bytes: Uint8Array, draw: Random) {
  const changed = Uint8Array.from(bytes);
  for (let i = 0; i <= draw.integer(12); i++) {
    const at = place(changed, draw);
    changed[at] = (changed[at] as number) ^ (1 << draw.integer(8));
  }
  return changed;
}

const truncate: Mutation = (bytes, draw) =>
  Uint8Array.from(bytes.subarray(0, draw.integer(bytes.length + 1)));

const duplicateChunk: Mutation = (bytes, draw) => {
  const from = place(bytes, draw);
  const to = Math.min(bytes.length, from + 1 + draw.integer(200));
  const times = draw.integer(20) === 0 ? 500 : 1 + draw.integer(4);
  return Uint8Array.from(
    Buffer.concat([
      bytes.subarray(0, to),
      ...Array.from({ length: times }, () => bytes.subarray(from, to)),
      bytes.subarray(to),
    ]),
  );
};

const removeChunk: Mutation = (bytes, draw) => {
  const from = place(bytes, draw);
  return Uint8Array.from(
    Buffer.concat([bytes.subarray(0, from), bytes.subarray(from + 1 + draw.integer(64))]),
  );
};

const editLength: Mutation = (bytes, draw) => {
  const changed = Uint8Array.from(bytes);
  const size = ([1, 2, 4] as const)[draw.integer(3)] as 1 | 2 | 4;
  write(
    changed,
    place(changed, draw),
    EXTREMES[draw.integer(EXTREMES.length)] as number,
    size,
    draw.integer(2) === 0,
  );
  return changed;
};

const swapHeader: Mutation = (bytes, draw, pictures) => {
  const other = (pictures[draw.integer(pictures.length)] as SeedPicture).bytes;
  const length = 1 + draw.integer(64);
  return Uint8Array.from(Buffer.concat([other.subarray(0, length), bytes.subarray(length)]));
};

const splice: Mutation = (bytes, draw, pictures) => {
  const other = (pictures[draw.integer(pictures.length)] as SeedPicture).bytes;
  return Uint8Array.from(
    Buffer.concat([bytes.subarray(0, place(bytes, draw)), other.subarray(draw.integer(other.length))]),
  );
};

/** The size that the header declares, in whichever format it is; checksums are put right, so that it is believed. */
function declareHuge(bytes: Uint8Array, draw: Random) {
  const changed = Uint8Array.from(bytes);
  const side = () => [65_500, 30_000, 16_383, 9000, 7000, 2 ** 31 - 1, 1, 0][draw.integer(8)] as number;
  const [width, height] = [side(), side()];
  if (changed[0] === 0x89) {
    write(changed, 16, width, 4, false);
    write(changed, 20, height, 4, false);
    write(changed, 29, crc32(changed.subarray(12, 29)), 4, false);
  } else if (changed[0] === 0xff) {
    for (const marker of ['\xff\xc0', '\xff\xc2']) {
      const at = find(changed, marker);
      if (at < 0) continue;
      write(changed, at + 5, height & 0xffff, 2, false);
      write(changed, at + 7, width & 0xffff, 2, false);
    }
  } else if (find(changed, 'GIF8') === 0) {
    for (const at of [6, find(changed, '\x2c') + 5]) {
      write(changed, at, width & 0xffff, 2, true);
      write(changed, at + 2, height & 0xffff, 2, true);
    }
  } else if (find(changed, 'WEBP') === 8) {
    const lossy = find(changed, 'VP8 ');
    if (lossy > 0) {
      write(changed, lossy + 14, width & 0x3fff, 2, true);
      write(changed, lossy + 16, height & 0x3fff, 2, true);
    }
    const lossless = find(changed, 'VP8L');
    if (lossless > 0)
      write(changed, lossless + 9, ((width & 0x3fff) | ((height & 0x3fff) << 14)) >>> 0, 4, true);
    const extended = find(changed, 'VP8X');
    if (extended > 0)
      for (const [at, value] of [
        [extended + 12, width],
        [extended + 15, height],
      ] as const) {
        write(changed, at, value & 0xffff, 2, true);
        write(changed, at + 2, (value >> 16) & 0xff, 1, true);
      }
  } else if (find(changed, 'ispe') > 0) {
    const at = find(changed, 'ispe');
    write(changed, at + 8, width, 4, false);
    write(changed, at + 12, height, 4, false);
  } else if (changed[0] === 0x49) {
    // A TIFF's entries are 12 bytes (20 in a BigTIFF) each: tag, type, count, value.
    for (let at = 8; at + 12 <= changed.length; at += 2) {
      const tag = view(changed).getUint16(at, true);
      const type = view(changed).getUint16(at + 2, true);
      const isOne = view(changed).getUint32(at + 4, true) === 1;
      if (!isOne || (type !== 3 && type !== 4)) continue;
      if (tag === 256) write(changed, at + 8, width, type === 3 ? 2 : 4, true);
      if (tag === 257 || tag === 278) write(changed, at + 8, height, type === 3 ? 2 : 4, true);
      if ((tag === 322 || tag === 323) && draw.integer(2) === 0)
        write(changed, at + 8, width & 0xfff0, type === 3 ? 2 : 4, true);
    }
  } else if (find(changed, '<svg') >= 0) {
    return Uint8Array.from(
      Buffer.from(`<!--ftypavif-->${Buffer.from(changed).toString('latin1')}`, 'latin1'),
    );
  }
  return changed;
}

const MUTATIONS: readonly Mutation[] = [
  flipBits,
  flipBits,
  truncate,
  duplicateChunk,
  removeChunk,
  editLength,
  editLength,
  swapHeader,
  splice,
  declareHuge,
  declareHuge,
];
