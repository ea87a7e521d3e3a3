/**
 * Decoding: any file of six formats → upright sRGB, 8 bits a channel, of one size.
 * Invariants: the bytes decide what a file is, not its name; the whole file is read before the decoder sees it (a
 * decoder that is given a path may follow references to other files); any warning of the decoder is an error,
 * because a half-grey picture would train and search like a real one; every failure is a `DataError` that names
 * the picture and the cause on one line.
 */
import { open } from 'node:fs/promises';
import sharp, { type OutputInfo, type Sharp } from 'sharp';
import { DataError, errorMessage } from '../util/index.js';
import { sniffContent } from './picture-formats.js';
import { type PictureSize, type Region, regionPixels } from './region.js';

/** Red, green, blue, each 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

export interface DecodeOptions {
  /** Width and height of the result, pixels. Default: the picture's own size. */
  size?: number;
  /**
   * How a picture that is no square becomes one. `cover` fills the square and cuts off what stands out; `contain`
   * shows all of it and fills the rest with the background; `fill` distorts. Default `cover`.
   */
  fit?: 'cover' | 'contain' | 'fill';
  /** Colour under transparent parts and around a contained picture. Default white. Unused with `keepAlpha`. */
  background?: Colour;
  /** Four channels, RGBA (not premultiplied), instead of three. Default false. */
  keepAlpha?: boolean;
  /** Only this part of the upright picture; what reaches beyond the picture is cut off. Default: all of it. */
  box?: Region;
  /** Refuse pictures of more pixels, on the header, before decoding. Default 100,000,000. */
  maximumPixels?: number;
  /** Refuse larger files, before reading. Default 100 MB. */
  maximumBytes?: number;
  /** How messages call a picture given as bytes. Default `picture`. */
  name?: string;
}

export interface DecodedPicture {
  /** [height, width, channels] */
  readonly data: Uint8Array;
  readonly width: number;
  readonly height: number;
  readonly channels: 3 | 4;
}

/**
 * Decodes one picture: a file, or the bytes of one. Applies the EXIF orientation, takes the first frame, converts
 * grey, CMYK, 16-bit and colour-managed pictures to 8-bit sRGB.
 * @throws DataError: no such file, empty, too large, not a JPEG, PNG, WebP, GIF, AVIF or TIFF, truncated, corrupt
 */
export async function decodePicture(
  source: string | Uint8Array,
  options: DecodeOptions = {},
): Promise<DecodedPicture> {
  const {
    size,
    fit = 'cover',
    background = [255, 255, 255],
    keepAlpha = false,
    maximumPixels = 100_000_000,
    maximumBytes = MAXIMUM_BYTES,
  } = options;
  const name = typeof source === 'string' ? source : (options.name ?? 'picture');
  const fail = (message: string, cause?: unknown) => new DataError(message, { file: name, cause });
  const bytes = typeof source === 'string' ? await readPictureBytes(source, maximumBytes) : source;
  if (bytes.length > maximumBytes) throw fail(tooLarge(bytes.length, maximumBytes));
  const content = sniffContent(bytes);
  if (!content.readable) {
    throw fail(notAPicture(content.description));
  }
  const [r, g, b] = background;
  const colour = keepAlpha ? { r: 0, g: 0, b: 0, alpha: 0 } : { r, g, b };
  let picture = sharp(bytes, { failOn: 'warning', limitInputPixels: maximumPixels, page: 0, pages: 1 })
    .autoOrient()
    .toColourspace('srgb');
  if (options.box !== undefined) {
    const { width, height } = await uprightSize(picture, (error) => {
      throw fail(explainFailure(content.format, errorMessage(error), maximumPixels), error);
    });
    let box: ReturnType<typeof regionPixels>;
    try {
      box = regionPixels(options.box, { width, height });
    } catch (error) {
      throw fail(errorMessage(error), error);
    }
    const { left, top, right, bottom } = box;
    picture = picture.extract({ left, top, width: right - left, height: bottom - top });
  }
  if (keepAlpha) picture = picture.ensureAlpha();
  else if (content.format !== 'JPEG') picture = picture.flatten({ background: colour }); // a JPEG has no alpha
  if (size !== undefined) picture = picture.resize(size, size, { fit, background: colour });
  let data: Uint8Array;
  let info: OutputInfo;
  try {
    ({ data, info } = await picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true }));
  } catch (error) {
    throw fail(explainFailure(content.format, errorMessage(error), maximumPixels), error);
  }
  const channels = keepAlpha ? 4 : 3;
  if (info.channels !== channels) data = withChannels(data, info.channels, channels);
  return { data, width: info.width, height: info.height, channels };
}

/**
 * Width and height of a picture after its EXIF orientation, from its header.
 * @throws DataError as `decodePicture`, but not for what is wrong behind the header
 */
export async function pictureSize(
  source: string | Uint8Array,
  options: Pick<DecodeOptions, 'maximumPixels' | 'maximumBytes' | 'name'> = {},
): Promise<PictureSize> {
  const { maximumPixels = 100_000_000, maximumBytes = MAXIMUM_BYTES } = options;
  const name = typeof source === 'string' ? source : (options.name ?? 'picture');
  const bytes = typeof source === 'string' ? await readPictureBytes(source, maximumBytes) : source;
  const content = sniffContent(bytes);
  if (!content.readable) throw new DataError(notAPicture(content.description), { file: name });
  return await uprightSize(sharp(bytes, { limitInputPixels: maximumPixels, page: 0, pages: 1 }), (error) => {
    throw new DataError(explainFailure(content.format, errorMessage(error), maximumPixels), {
      file: name,
      cause: error,
    });
  });
}

/** Reads the file of a picture. @throws DataError: no such file, not a file, larger than `maximumBytes` */
export async function readPictureBytes(
  file: string,
  maximumBytes: number = MAXIMUM_BYTES,
): Promise<Uint8Array> {
  try {
    const handle = await open(file, 'r');
    try {
      const status = await handle.stat();
      if (!status.isFile()) throw new DataError('is not a file', { file });
      if (status.size > maximumBytes) throw new DataError(tooLarge(status.size, maximumBytes), { file });
      return await handle.readFile();
    } finally {
      await handle.close();
    }
  } catch (error) {
    if (error instanceof DataError) throw error;
    const code = error instanceof Error && 'code' in error ? error.code : undefined;
    const cause =
      code === 'ENOENT' ? 'no such file' : code === 'EACCES' ? 'no permission' : errorMessage(error);
    throw new DataError(`cannot be read: ${cause}`, { file, cause: error });
  }
}

// --- internal ---

const MAXIMUM_BYTES = 100_000_000;

const notAPicture = (description: string) =>
  `is ${description}, not a picture: a JPEG, PNG, WebP, GIF, AVIF or TIFF is required`;

async function uprightSize(picture: Sharp, onFailure: (error: unknown) => never): Promise<PictureSize> {
  try {
    const { width, height } = (await picture.metadata()).autoOrient;
    return { width, height };
  } catch (error) {
    return onFailure(error);
  }
}

function tooLarge(bytes: number, maximum: number): string {
  return `is too large: at most ${maximum} bytes are read, got ${bytes}`;
}

/** One sentence for what the decoder says, whose own words differ by format and are sometimes "Unknown error". */
function explainFailure(format: string, message: string, maximumPixels: number): string {
  if (/pixel limit/i.test(message)) {
    return `has too many pixels: at most ${maximumPixels} are decoded. Scale it down, or raise the limit if you trust it`;
  }
  const detail = (message.replace(DECODER_PREFIXES, '').split(/ Vips\w*: /)[0] ?? '').trim();
  const words = detail === '' ? '' : ` (${detail})`;
  if (
    /premature|truncated|unexpected end|end of (file|data|stream)|not enough|out of data|EOF/i.test(message)
  ) {
    return `is a truncated ${format}${words}`;
  }
  return `is a corrupt ${format}${words}`;
}

const DECODER_PREFIXES =
  /^(Input buffer (has corrupt header|contains[^:]*): ?)?(Warning treated as error due to failOn setting )?(Vips\w*: )?/i;

/** Grey → three equal channels, and with or without alpha, should the decoder have kept fewer than asked for. */
function withChannels(data: Uint8Array, from: number, to: 3 | 4): Uint8Array {
  const pixels = data.length / from;
  const result = new Uint8Array(pixels * to);
  const isGrey = from < 3;
  for (let pixel = 0; pixel < pixels; pixel++) {
    for (let channel = 0; channel < 3; channel++) {
      result[pixel * to + channel] = data[pixel * from + (isGrey ? 0 : channel)]!;
    }
    if (to === 4) result[pixel * to + 3] = from % 2 === 0 ? data[pixel * from + from - 1]! : 255;
  }
  return result;
}
