/**
 * Numbered views of a picture, so that what a frozen network makes of them can be kept: view 0 is the plain picture, as
 * search and evaluation see it; views from 1 are augmented. A view depends on (picture's bytes, box, options, seed,
 * number) and on nothing else: not on batch, order or process.
 */
import sharp from 'sharp';
import { DataError, Random, sha256 } from '../util/index.js';
import {
  type AugmentationOptions,
  augmentPicture,
  defaultAugmentation,
  premultiplyAlpha,
} from './augment.js';
import { type Colour, type DecodeOptions, decodePicture, readPictureBytes } from './decode.js';
import type { PictureRow } from './decode-rows.js';

/** Plain data. */
export interface ViewOptions {
  /** Width and height of a view, S, pixels. */
  size: number;
  /** How pictures become squares. Default `cover`. */
  fit?: DecodeOptions['fit'];
  /** Under transparent parts and around contained pictures in the plain view. Default white. */
  background?: Colour;
  /** Of views from 1. Default `defaultAugmentation`. `itemFlipProbability` mirrors whole views: see `isMirroredView`. */
  augmentation?: AugmentationOptions;
  /** Width and height that views from 1 are made of, pixels. Default 1.15 × `size`. */
  sourceSize?: number;
  /** Of views from 1. */
  seed: number;
}

/** A picture of which views are wanted. */
export interface PictureViews extends PictureRow {
  /** SHA-256 of the file's bytes, as `hashPicture` gives it. */
  readonly hash: string;
  readonly views: readonly number[];
}

/** SHA-256 of a picture's file. @throws DataError when it cannot be read */
export async function hashPicture(path: string): Promise<string> {
  return sha256(await readPictureBytes(path));
}

/**
 * Hash of everything that decides the pixels of the views beside picture and number of the view: options, seed and
 * the decoder's version. With `views` 1 there is only the plain view, on which augmentation and seed have no influence.
 */
export function viewsHash(options: ViewOptions, views: number): string {
  const { size, fit, background, augmentation, sourceSize, seed } = resolve(options);
  const plain = { version: VERSION, decoder: sharp.versions.vips, size, fit, background };
  const entries = Object.entries(augmentation).sort(([a], [b]) => (a < b ? -1 : 1));
  return sha256(JSON.stringify(views === 1 ? plain : { ...plain, entries, sourceSize, seed }));
}

/** What distinguishes one view from all others made with the same options: 64 hexadecimal digits. */
export function viewKey(picture: Pick<PictureViews, 'hash' | 'box'>, view: number): string {
  const { hash, box } = picture;
  const corners = box === undefined ? [] : [box.left, box.top, box.right, box.bottom];
  return sha256(JSON.stringify([hash, view, ...corners]));
}

/**
 * Whether a view shows its pictures mirrored as `itemFlipProbability` asks: the same for all pictures, so that a batch
 * can show all pictures of an item mirrored or none. View 0 never does.
 */
export function isMirroredView(options: Pick<ViewOptions, 'augmentation' | 'seed'>, view: number): boolean {
  const { itemFlipProbability } = options.augmentation ?? defaultAugmentation;
  return view > 0 && Random.from(options.seed, MIRROR_STREAM, view).uniform() < itemFlipProbability;
}

/**
 * Decodes a picture, once for all its augmented views, and writes its views one after another.
 * @param out receives [views.length, S, S, 3] from `offset` on
 * @throws DataError when the picture cannot be read, or is no longer the one of the hash
 */
export async function makeViews(
  picture: PictureViews,
  options: ViewOptions,
  out: Uint8Array,
  offset: number,
): Promise<void> {
  const { path, box, hash, views } = picture;
  const { size, fit, background, augmentation, sourceSize, seed } = resolve(options);
  const bytes = await readPictureBytes(path);
  if (sha256(bytes) !== hash) {
    throw new DataError('changed while it was in use. Leave the pictures alone during a run', { file: path });
  }
  const decoding = { fit, name: path, ...(box === undefined ? {} : { box }) };
  let source: Uint8Array | undefined;
  const viewBytes = size * size * 3;
  for (const [index, view] of views.entries()) {
    const at = offset + index * viewBytes;
    if (view === 0) {
      out.set((await decodePicture(bytes, { ...decoding, size, background })).data, at);
      continue;
    }
    if (source === undefined) {
      const decoded = await decodePicture(bytes, { ...decoding, size: sourceSize, keepAlpha: true });
      source = decoded.data;
      premultiplyAlpha(source);
    }
    const mirrored = { ...augmentation, flipProbability: 1 - augmentation.flipProbability };
    const random = Random.from(seed, VIEW_STREAM, view, ...wordsOf(viewKey(picture, view)));
    const chosen = isMirroredView(options, view) ? mirrored : augmentation;
    augmentPicture(source, sourceSize, chosen, random, out, at, size);
  }
}

// --- internal ---

/** Of how views are made; another one makes other hashes. */
const VERSION = 1;
const VIEW_STREAM = 5;
const MIRROR_STREAM = 6;

function resolve(options: ViewOptions) {
  const { size, fit = 'cover', background = [255, 255, 255] as const, seed } = options;
  const { augmentation = defaultAugmentation, sourceSize = Math.round(1.15 * size) } = options;
  return { size, fit, background, augmentation, sourceSize, seed };
}

/** 64 hexadecimal digits as eight 32-bit words. */
function wordsOf(hash: string): number[] {
  return Array.from({ length: 8 }, (_, i) => Number.parseInt(hash.slice(8 * i, 8 * i + 8), 16));
}
