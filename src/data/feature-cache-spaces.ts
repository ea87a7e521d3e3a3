/**
 * The folders of the feature cache: one a (prefix, transform, shape, precision), described by its `about.json`, whose
 * time is that of the last use. Removal is of whole folders, those used longest ago first.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import envPaths from 'env-paths';
import { DataError, errorMessage, sha256, touch, writeJson } from '../util/index.js';

/** What decides the content of a folder. */
export interface FeatureSpace {
  readonly prefix: string;
  readonly transform: string;
  readonly shape: readonly number[];
  readonly precision: 'float32' | 'float16';
}

export interface FeatureSpaceFolder extends FeatureSpace {
  readonly directory: string;
  /** On disk. */
  readonly bytes: number;
  readonly records: number;
  /** Milliseconds since 1970. */
  readonly lastUsed: number;
}

/** Where the features are kept unless another place is given. */
export function defaultFeatureCacheRoot(): string {
  return join(envPaths('semblance', { suffix: '' }).cache, 'features');
}

/** Makes the folder of a space if it is missing, and marks it as used. `leaveSpace` must follow. */
export async function openSpace(
  space: FeatureSpace,
  root: string = defaultFeatureCacheRoot(),
): Promise<{ directory: string; root: string }> {
  const { prefix, transform, shape, precision } = space;
  const about = { version: VERSION, prefix, transform, shape, precision };
  const directory = join(root, sha256(JSON.stringify(about)).slice(0, 32));
  try {
    await mkdir(directory, { recursive: true });
    const file = join(directory, ABOUT);
    if (await exists(file)) await touch(file);
    else await writeJson(file, about);
  } catch (error) {
    throw new DataError(
      `the feature cache cannot be written: ${errorMessage(error)}. Choose another folder`,
      {
        file: directory,
        cause: error,
      },
    );
  }
  inUse.set(directory, (inUse.get(directory) ?? 0) + 1);
  return { directory, root };
}

/** Tells that a folder from `openSpace` is no longer in use. */
export function leaveSpace(directory: string): void {
  const users = inUse.get(directory) ?? 0;
  if (users > 1) inUse.set(directory, users - 1);
  else inUse.delete(directory);
}

/** The folders of the cache, the one used last first. Other files and folders are left out. */
export async function listFeatureCaches(
  root: string = defaultFeatureCacheRoot(),
): Promise<readonly FeatureSpaceFolder[]> {
  const folders: FeatureSpaceFolder[] = [];
  for (const name of await namesIn(root)) {
    if (!/^[0-9a-f]{32}$/.test(name)) continue;
    const directory = join(root, name);
    try {
      const about = JSON.parse(await readFile(join(directory, ABOUT), 'utf8')) as FeatureSpace;
      const { prefix, transform, shape, precision } = about;
      const lastUsed = (await stat(join(directory, ABOUT))).mtimeMs;
      const recordBytes = shape.reduce((product, size) => product * size, precision === 'float16' ? 2 : 4);
      let [bytes, records] = [0, 0];
      for (const file of await namesIn(directory)) {
        const { size } = await stat(join(directory, file));
        bytes += size;
        if (file.endsWith('.records')) records += Math.floor(size / recordBytes);
      }
      folders.push({ prefix, transform, shape, precision, directory, bytes, records, lastUsed });
    } catch {
      // Half made, half removed, or not ours: nothing to tell of it.
    }
  }
  return folders.sort((a, b) => b.lastUsed - a.lastUsed || (a.directory < b.directory ? -1 : 1));
}

/**
 * Removes folders of the cache, those used longest ago first, and nothing else under `root`.
 * @param downToBytes stops when no more than so many bytes are left. Default 0: all go.
 * @returns the folders that were removed
 */
export async function clearFeatureCaches(
  root: string = defaultFeatureCacheRoot(),
  downToBytes = 0,
): Promise<readonly FeatureSpaceFolder[]> {
  const folders = await listFeatureCaches(root);
  const removed: FeatureSpaceFolder[] = [];
  let total = folders.reduce((sum, { bytes }) => sum + bytes, 0);
  for (const folder of [...folders].reverse()) {
    if (total <= downToBytes) break;
    await rm(folder.directory, { recursive: true, force: true });
    total -= folder.bytes;
    removed.push(folder);
  }
  return removed;
}

/**
 * Removes folders used longest ago, never one that this process has open, until the cache is within its limit.
 * @param own the folder that more is to be written to
 * @param ownBytes what it is to hold
 * @returns bytes of the other folders that are left
 */
export async function makeRoom(
  root: string,
  own: string,
  ownBytes: number,
  limitBytes: number,
): Promise<number> {
  const others = (await listFeatureCaches(root)).filter(({ directory }) => directory !== own);
  let left = others.reduce((sum, { bytes }) => sum + bytes, 0);
  if (ownBytes > limitBytes) return left; // removing the others would not help
  for (const { directory, bytes } of others.reverse()) {
    if (ownBytes + left <= limitBytes) break;
    if (inUse.has(directory)) continue;
    await rm(directory, { recursive: true, force: true });
    left -= bytes;
  }
  return left;
}

// --- internal ---

/** How often each folder is open in this process. */
const inUse = new Map<string, number>();

const ABOUT = 'about.json';
/** Of the layout on disk. */
const VERSION = 1;

async function namesIn(directory: string): Promise<string[]> {
  try {
    return (await readdir(directory)).sort();
  } catch {
    return [];
  }
}

async function exists(file: string): Promise<boolean> {
  try {
    await stat(file);
    return true;
  } catch {
    return false;
  }
}
