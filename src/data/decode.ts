/**
 * Decoding: any file of six formats → upright sRGB, 8 bits a channel, of one size.
 * Invariants: the whole file is read before the decoder sees it; what `processPicture` keeps, it keeps here too; every
 * failure is a `DataError` that names the picture and the cause on one line.
 */
import { open } from 'node:fs/promises';
import type { Sharp } from 'sharp';
import { DataError, errorMessage } from '../util/index.js';
import {
  MAXIMUM_BYTES,
  type PictureLimits,
  processPicture,
  tooLarge,
  uprightSize,
} from './picture-processing.js';
import { type PictureSize, type Region, regionPixels } from './region.js';

/** Red, green, blue, each 0 to 255. */
export type Colour = readonly [red: number, green: number, blue: number];

export interface DecodeOptions extends PictureLimits {
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
  const { size, fit = 'cover', background = [255, 255, 255], keepAlpha = false, box } = options;
  const [r, g, b] = background;
  const colour = keepAlpha ? { r: 0, g: 0, b: 0, alpha: 0 } : { r, g, b };
  return await withPicture(source, options, async (opened, format) => {
    let picture = opened.autoOrient().toColourspace('srgb');
    if (box !== undefined) {
      const { left, top, right, bottom } = regionPixels(box, await uprightSize(picture));
      picture = picture.extract({ left, top, width: right - left, height: bottom - top });
    }
    if (keepAlpha) picture = picture.ensureAlpha();
    else if (format !== 'JPEG') picture = picture.flatten({ background: colour }); // a JPEG has no alpha
    if (size !== undefined) picture = picture.resize(size, size, { fit, background: colour });
    const { data, info } = await picture.raw({ depth: 'uchar' }).toBuffer({ resolveWithObject: true });
    const channels = keepAlpha ? 4 : 3;
    return {
      data: info.channels === channels ? data : withChannels(data, info.channels, channels),
      width: info.width,
      height: info.height,
      channels,
    };
  });
}

/**
 * Width and height of a picture after its EXIF orientation, from its header.
 * @throws DataError as `decodePicture`, but not for what is wrong behind the header
 */
export async function pictureSize(
  source: string | Uint8Array,
  options: PictureLimits & Pick<DecodeOptions, 'name'> = {},
): Promise<PictureSize> {
  return await withPicture(source, options, (picture) => uprightSize(picture));
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

async function withPicture<T>(
  source: string | Uint8Array,
  options: PictureLimits & { name?: string },
  use: (picture: Sharp, format: string) => Promise<T>,
): Promise<T> {
  if (typeof source !== 'string') return await processPicture(source, options, use);
  const bytes = await readPictureBytes(source, options.maximumBytes);
  return await processPicture(bytes, { ...options, name: source }, use);
}

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
