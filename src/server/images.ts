/**
 * Pictures of the catalogue for a screen: the file as it is, or a WebP of at most a given width, upright, and cut to the
 * record's box. What was scaled is kept in memory, least recently used first out; its key holds the picture's own hash, so
 * that a picture that changed is scaled again.
 */
import type { StoredRecord } from '../catalog/index.js';
import { processPicture, readPictureBytes, regionPixels, sniffContent, uprightSize } from '../data/index.js';
import { DataError } from '../util/index.js';
import { clientMessage, HttpError } from './errors.js';
import { ModelQueue } from './model-queue.js';
import { pictureFile } from './records.js';

export interface ServedImage {
  readonly bytes: Uint8Array;
  readonly type: string;
}

export class ImageMaker {
  readonly #cache = new Map<string, ServedImage>();
  readonly #maximumPixels: number;
  readonly #maximumBytes: number;
  /** A page asks for many pictures at a time, which is no overload. */
  readonly #queue = new ModelQueue({
    concurrent: 4,
    waiting: 256,
    burstMs: Number.POSITIVE_INFINITY,
    what: 'to be scaled',
  });
  #bytes = 0;

  /** @param options.cacheBytes of scaled pictures to keep. Default 64 MB. */
  constructor(options: { readonly maximumPixels: number; readonly cacheBytes?: number }) {
    this.#maximumPixels = options.maximumPixels;
    this.#maximumBytes = options.cacheBytes ?? 64_000_000;
  }

  /**
   * @param width pixels; absent: the file as it is, if browsers show its format.
   * @throws HttpError when the file is gone or is no picture any more
   */
  async image(record: Pick<StoredRecord, 'id' | 'fields'>, width: number | undefined): Promise<ServedImage> {
    const { path, box } = pictureFile(record);
    try {
      if (width === undefined) {
        const bytes = await readPictureBytes(path);
        const content = sniffContent(bytes);
        if (!content.readable)
          throw new DataError(`is ${content.description}, not a picture`, { file: path });
        const type = BROWSER_TYPES[content.format];
        if (type !== undefined && box === undefined) return { bytes, type };
        return await this.#queue.run(() => this.#scale(bytes, undefined, box));
      }
      const make = () => this.#queue.run(async () => this.#scale(await readPictureBytes(path), width, box));
      const hash = record.fields.content_hash?.[0];
      if (hash === undefined) return await make();
      return await this.#cached(`${hash} ${width} ${JSON.stringify(box ?? null)}`, make);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new HttpError('unreadable-picture', clientMessage(error, record.id.slice(0, 200)), {
        cause: error,
      });
    }
  }

  /**
   * Bytes from elsewhere as a WebP of at most a width: nothing of them is passed on as it came.
   * @throws HttpError when they are no picture
   */
  async rescaled(bytes: Uint8Array, width: number): Promise<ServedImage> {
    try {
      return await this.#scale(bytes, width, undefined);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      throw new HttpError('unreadable-picture', clientMessage(error, 'picture'), { cause: error });
    }
  }

  async #scale(
    bytes: Uint8Array,
    width: number | undefined,
    box: ReturnType<typeof pictureFile>['box'],
  ): Promise<ServedImage> {
    return await processPicture(bytes, { maximumPixels: this.#maximumPixels }, async (opened) => {
      let picture = opened.autoOrient();
      if (box !== undefined) {
        const { left, top, right, bottom } = regionPixels(box, await uprightSize(picture));
        picture = picture.extract({ left, top, width: right - left, height: bottom - top });
      }
      // A WebP has at most 16,383 pixels a side.
      picture = picture.resize({
        width: width ?? WEBP_SIDE,
        height: WEBP_SIDE,
        fit: 'inside',
        withoutEnlargement: true,
      });
      return { bytes: await picture.webp({ quality: 82 }).toBuffer(), type: 'image/webp' };
    });
  }

  async #cached(key: string, make: () => Promise<ServedImage>): Promise<ServedImage> {
    const known = this.#cache.get(key);
    if (known !== undefined) {
      this.#cache.delete(key);
      this.#cache.set(key, known);
      return known;
    }
    const image = await make();
    if (!this.#cache.has(key)) this.#bytes += image.bytes.length;
    this.#cache.set(key, image);
    for (const [oldest, { bytes }] of this.#cache) {
      if (this.#bytes <= this.#maximumBytes) break;
      this.#cache.delete(oldest);
      this.#bytes -= bytes.length;
    }
    return image;
  }
}

// --- internal ---

const WEBP_SIDE = 16_383;

const BROWSER_TYPES: Readonly<Record<string, string | undefined>> = {
  JPEG: 'image/jpeg',
  PNG: 'image/png',
  WebP: 'image/webp',
  GIF: 'image/gif',
  AVIF: 'image/avif',
};
