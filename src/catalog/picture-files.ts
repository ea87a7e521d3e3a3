/**
 * Pictures that a catalogue keeps itself: `pictures/<two digits>/<SHA-256>.<extension>`, so that thumbnails, reasons and
 * indexing with another model work for what came as bytes. A file is on the disk before its record is. Who removes
 * one holds the catalogue's write lock, as does who stores one together with its record.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join, relative, resolve, sep } from 'node:path';
import { sniffContent } from '../data/index.js';
import { DataError, sha256, writeFileAtomic } from '../util/index.js';
import { catalogFolder } from './catalog-folder.js';

/** The folder inside that of the catalogue. */
export const PICTURES_FOLDER = 'pictures';

/**
 * Where a picture of these bytes lies, or would, in a catalogue.
 * @returns the absolute path, and the hash of the bytes
 * @throws DataError when they are no picture
 */
export function keptPicture(
  directory: string,
  bytes: Uint8Array,
  name = 'picture',
): { path: string; hash: string } {
  const content = sniffContent(bytes);
  if (!content.readable) throw new DataError(`is ${content.description}, not a picture`, { file: name });
  const hash = sha256(bytes);
  const extension = EXTENSIONS[content.format];
  return {
    path: resolve(catalogFolder(directory), PICTURES_FOLDER, hash.slice(0, 2), `${hash}.${extension}`),
    hash,
  };
}

/** Stores the bytes of `keptPicture`, synced to the disk. A file that is there is kept. */
export async function keepPicture(path: string, bytes: Uint8Array): Promise<void> {
  const size = await stat(path).then(
    (status) => status.size,
    () => -1,
  );
  if (size !== bytes.length) await writeFileAtomic(path, bytes);
}

/** Whether a path is that of a picture which the catalogue keeps. */
export function isKept(directory: string, path: string): boolean {
  const inside = relative(resolve(catalogFolder(directory), PICTURES_FOLDER), path);
  return inside !== '' && !inside.startsWith('..') && /^[0-9a-f]{2}[\\/][0-9a-f]{64}\.\w+$/.test(inside);
}

/** Removes a kept picture; that it is gone is no failure. */
export async function removeKept(path: string): Promise<void> {
  await rm(path, { force: true });
}

/** The absolute paths of all that is in the folder of kept pictures. */
export async function keptPictures(directory: string): Promise<string[]> {
  const folder = resolve(catalogFolder(directory), PICTURES_FOLDER);
  const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
  return entries
    .filter((entry) => entry.isFile())
    .map((entry) => `${entry.parentPath}${sep}${entry.name}`)
    .map((path) => join(path))
    .sort();
}

// --- internal ---

const EXTENSIONS = { JPEG: 'jpg', PNG: 'png', WebP: 'webp', GIF: 'gif', AVIF: 'avif', TIFF: 'tif' } as const;
