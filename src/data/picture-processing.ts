/**
 * Opening a picture for the decoder, within limits. All that decodes pictures from outside goes through here.
 * Invariants: the bytes decide what a file is, not its name, and no file that is not one of the six formats reaches the
 * decoder; the decoder sees bytes, never a path (it would follow references to files beside it); pixels and memory are
 * limited on the header, before anything is decoded; the first frame only; any warning of the decoder is an error,
 * because a half-grey picture would train and search like a real one.
 *
 * SVG is never read, not in a catalogue either: it is a program for a renderer, which can refer to other files and has no
 * size of its own. (Emoji that a data set holds as SVG are drawn when it is imported.)
 */
import sharp, { type Metadata, type Sharp } from 'sharp';
import { DataError, errorMessage } from '../util/index.js';
import { type PictureFormat, sniffContent } from './picture-formats.js';
import type { PictureSize } from './region.js';

export interface PictureLimits {
  /** Refuse pictures of more pixels, on the header, before decoding. Default 100,000,000. */
  maximumPixels?: number;
  /**
   * Refuse pictures that need more bytes of memory to be decoded, as far as the header tells: formats that are decoded as
   * a whole (AVIF, progressive JPEG, interlaced PNG, WebP) may have fewer pixels than others. Default 450 MB: 30 million
   * pixels of an AVIF, 37 million of a TIFF, 75 million of a progressive JPEG.
   */
  maximumMemory?: number;
  /** Refuse larger files, before reading. Default 100 MB. */
  maximumBytes?: number;
  /**
   * Give up after so long; whole seconds. Default 20. The decoder looks at the clock with some formats only: what bounds
   * the time of all are pixels and memory.
   */
  timeoutSeconds?: number;
}

export const MAXIMUM_BYTES = 100_000_000;

// For the whole process. The decoder would keep its last hundred pictures, each with all that its format's own decoder holds:
// eight progressive JPEGs of two kilobytes that declare 49 million pixels took 2.4 GB. None is asked for twice.
sharp.cache(false);

/**
 * Opens a picture and does something with it.
 * @param use gets a fresh pipeline, and may be called a second time with another where the first found a large picture
 * @returns what `use` gave
 * @throws DataError: empty, too large, not a JPEG, PNG, WebP, GIF, AVIF or TIFF, truncated, corrupt, or what `use` threw
 */
export async function processPicture<T>(
  bytes: Uint8Array,
  options: PictureLimits & {
    /** How messages call it. Default `picture`. */
    readonly name?: string;
  },
  use: (picture: Sharp, format: PictureFormat) => Promise<T>,
): Promise<T> {
  const {
    maximumPixels = 100_000_000,
    maximumMemory = 450_000_000,
    maximumBytes = MAXIMUM_BYTES,
    timeoutSeconds = 20,
    name = 'picture',
  } = options;
  const fail = (message: string, cause?: unknown) => new DataError(message, { file: name, cause });
  if (bytes.length > maximumBytes) throw fail(tooLarge(bytes.length, maximumBytes));
  const content = sniffContent(bytes);
  if (!content.readable)
    throw fail(`is ${content.description}, not a picture: a JPEG, PNG, WebP, GIF, AVIF or TIFF is required`);
  const { format } = content;
  const open = (limitInputPixels: number) =>
    sharp(bytes, { failOn: 'warning', limitInputPixels, page: 0, pages: 1 }).timeout({
      seconds: timeoutSeconds,
    });
  // A picture that fits in memory whatever it is needs no second look at its header.
  const harmlessPixels = Math.floor(maximumMemory / HEAVIEST);
  const refuseSide = (side: number) => {
    if (side > MAXIMUM_SIDE)
      throw new DataError(
        `has a side that is too long: at most ${MAXIMUM_SIDE} pixels, got ${side}. Cut it up`,
      );
  };
  const refuseHeader = (metadata: Metadata) => {
    const { width, height } = metadata;
    if (width * height > maximumPixels) throw new DataError(tooManyPixels(maximumPixels));
    refuseSide(Math.max(width, height));
    const needed = neededMemory(format, metadata);
    if (needed > maximumMemory)
      throw new DataError(
        `needs too much memory: at most ${megabytes(maximumMemory)} MB are used for one picture, this ${format} needs ` +
          `about ${megabytes(needed)} MB. Scale it down`,
      );
  };
  try {
    try {
      if (format === 'TIFF') refuseHeader(await open(Number.MAX_SAFE_INTEGER).metadata());
      else if (format === 'PNG') refuseSide(pngSide(bytes));
      return await use(open(Math.min(harmlessPixels, maximumPixels)), format);
    } catch (error) {
      if (!isPixelLimit(error) || maximumPixels <= harmlessPixels) throw error;
      refuseHeader(await open(maximumPixels).metadata());
      return await use(open(maximumPixels), format);
    }
  } catch (error) {
    const message = errorMessage(error);
    throw fail(
      error instanceof DataError
        ? message
        : explainFailure(format, bytes, message, { maximumPixels, timeoutSeconds }),
      error,
    );
  }
}

/** Width and height of an opened picture after its EXIF orientation. */
export async function uprightSize(picture: Sharp): Promise<PictureSize> {
  const { width, height } = (await picture.metadata()).autoOrient;
  return { width, height };
}

export function tooLarge(bytes: number, maximum: number): string {
  return `is too large: at most ${maximum} bytes are read, got ${bytes}`;
}

// --- internal ---

/**
 * Pixels. The decoder keeps whole rows, and many at a time: a PNG of a million pixels by 36 took 470 MB. The other formats
 * cannot have longer sides.
 */
const MAXIMUM_SIDE = 65_535;

/** The longer side that a PNG's header declares; what has no whole header is refused by the decoder. */
function pngSide(bytes: Uint8Array): number {
  if (bytes.length < 24) return 0;
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  return Math.max(view.getUint32(16), view.getUint32(20));
}

/** Bytes a pixel that decoding a picture takes at most, if it is no TIFF: an interlaced PNG of 16 bits and four channels. */
const HEAVIEST = 16;

/** Bytes of memory, measured for each format at 50 million pixels (docs/reliability.md). */
function neededMemory(format: PictureFormat, metadata: Metadata): number {
  const { width, height, channels, depth, isProgressive } = metadata;
  const sample = SAMPLE_BYTES[depth] ?? 1;
  const perPixel = {
    AVIF: 15,
    JPEG: isProgressive ? 2 * channels : channels,
    PNG: isProgressive ? 2 * channels * sample : channels * sample,
    WebP: 4,
    GIF: 4,
    TIFF: 4 * channels * sample, // it may be one strip
  }[format];
  return width * height * perPixel;
}

const SAMPLE_BYTES: Readonly<Record<string, number>> = {
  ushort: 2,
  short: 2,
  uint: 4,
  int: 4,
  float: 4,
  complex: 8,
  double: 8,
  dpcomplex: 16,
};

const isPixelLimit = (error: unknown) => /pixel limit/i.test(errorMessage(error));

const tooManyPixels = (maximum: number) =>
  `has too many pixels: at most ${maximum} are decoded. Scale it down`;

const megabytes = (bytes: number) => Math.ceil(bytes / 1e6);

/** One sentence for what the decoder says, whose own words differ by format and are sometimes "Unknown error". */
function explainFailure(
  format: PictureFormat,
  bytes: Uint8Array,
  message: string,
  { maximumPixels, timeoutSeconds }: { maximumPixels: number; timeoutSeconds: number },
): string {
  if (/pixel limit/i.test(message)) return tooManyPixels(maximumPixels);
  if (/^timeout: /i.test(message))
    return `takes too long: at most ${timeoutSeconds} seconds are spent on decoding. Scale it down`;
  const detail = (message.replace(DECODER_PREFIXES, '').split(/ Vips\w*: /)[0] ?? '').trim().slice(0, 160);
  const words = detail === '' ? '' : ` (${detail})`;
  const isTruncated =
    isCutOff(format, bytes) ||
    /premature|truncated|unexpected end|end of (file|data|stream)|not enough|out of data|EOF/i.test(message);
  if (isTruncated) return `is a truncated ${format}${words}`;
  return `is a corrupt ${format}${words}`;
}

const DECODER_PREFIXES =
  /^(Input buffer (has corrupt header|contains[^:]*): ?)?(Warning treated as error due to failOn setting ?)?(Vips\w*: )?/i;

/**
 * Whether a picture's own end is missing. The decoder keeps its words for the whole process, so those of one picture may
 * be lost while another is decoded.
 */
function isCutOff(format: PictureFormat, bytes: Uint8Array): boolean {
  const buffer = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const tail = buffer.subarray(-TAIL_BYTES);
  if (format === 'JPEG') return !tail.includes(JPEG_END);
  if (format === 'PNG') return !tail.includes('IEND', 0, 'latin1');
  if (format === 'GIF') return !tail.includes(GIF_END);
  if (format === 'WebP') return buffer.length >= 8 && buffer.readUInt32LE(4) + 8 > buffer.length;
  return false;
}

/** Some writers put bytes after the end. */
const TAIL_BYTES = 4096;
const JPEG_END = Buffer.from([0xff, 0xd9]);
const GIF_END = 0x3b;
