/**
 * Where a dataset lies on disk. The folder that was given may be one or two levels too high or too low; pictures may
 * stand under several folders, be missing, or differ from their listing in upper and lower case.
 */
import { readdir, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve, sep } from 'node:path';
import { DataError } from '../../util/index.js';

/** A dataset's folder, and the file or folder that it was recognised by. */
export interface FoundRoot {
  /** Absolute. */
  readonly root: string;
  /** As given to `findRoot`. */
  readonly marker: string;
}

/**
 * Finds the folder that holds one of the markers: the folder given, one of the two above it, or one of those up to two
 * levels below it. A file that is a marker itself may be given too, or any file where the dataset is one file.
 * @param markers relative paths of files (or folders) that tell the dataset, the surest first: a later one counts only
 *   where no earlier one is found. None: the folder given is it.
 * @throws DataError when there is no such folder, or several below the one given
 */
export async function findRoot(
  directory: string,
  markers: readonly string[],
  title: string,
  { acceptsAnyFile = false }: { acceptsAnyFile?: boolean } = {},
): Promise<FoundRoot> {
  const given = resolve(directory);
  if (acceptsAnyFile && (await isFile(given))) return { root: dirname(given), marker: basename(given) };
  for (const marker of markers) {
    const isMarker = given.split(sep).join('/').endsWith(`/${marker}`);
    if (isMarker && (await exists(given)))
      return { root: resolve(given, ...marker.split('/').map(() => '..')), marker };
  }
  if (!(await isFolder(given))) {
    throw new DataError(`${title}: an existing folder is required, got none of this name`, {
      file: directory,
    });
  }
  if (markers.length === 0) return { root: given, marker: '' };
  let below: readonly string[] | undefined;
  for (const marker of markers) {
    for (const root of [given, dirname(given), dirname(dirname(given))]) {
      if (await exists(join(root, marker))) return { root, marker };
    }
    below ??= await foldersBelow(given);
    const found: string[] = [];
    for (const root of below) if (await exists(join(root, marker))) found.push(root);
    if (found.length > 1) {
      throw new DataError(
        `${title}: one '${marker}' is required, got ${found.length}, in ` +
          `${found.map((root) => relative(given, root)).join(' and ')}. Name one of these folders`,
        { file: directory },
      );
    }
    if (found[0] !== undefined) return { root: found[0], marker };
  }
  throw new DataError(
    `${title}: a folder with ${markers.map((marker) => `'${marker}'`).join(' or ')} is required, got none here, above ` +
      'or two levels below. Unpack the dataset there, or name its folder',
    { file: directory },
  );
}

/** Which of these files are there, first of all. @returns its absolute path */
export async function firstExisting(
  root: string,
  candidates: readonly string[],
): Promise<string | undefined> {
  for (const candidate of candidates) {
    const file = join(root, candidate);
    if (await exists(file)) return file;
  }
  return undefined;
}

/** Which pictures are on disk, asked of folder listings (a question a file would take minutes on a network drive). */
export class PictureFolder {
  readonly #root: string;
  readonly #listings = new Map<string, Promise<{ names: Set<string>; byLowerCase: Map<string, string> }>>();
  readonly #folders = new Map<string, Promise<string | undefined>>();

  /** @param root absolute */
  constructor(root: string) {
    this.#root = root;
  }

  /**
   * The real name of a file or folder.
   * @param path relative to the root, forward slashes
   * @returns the path as it is on disk, which may differ in upper and lower case; undefined when there is none
   */
  async locate(path: string): Promise<string | undefined> {
    const slash = path.lastIndexOf('/');
    const folder = slash < 0 ? '' : await this.#folder(path.slice(0, slash));
    if (folder === undefined) return undefined;
    const { names, byLowerCase } = await this.#listing(folder);
    const name = path.slice(slash + 1);
    const real = names.has(name) ? name : byLowerCase.get(name.toLowerCase());
    if (real === undefined) return undefined;
    return folder === '' ? real : `${folder}/${real}`;
  }

  #folder(path: string): Promise<string | undefined> {
    const known = this.#folders.get(path);
    if (known !== undefined) return known;
    const found = this.locate(path);
    this.#folders.set(path, found);
    return found;
  }

  #listing(folder: string): Promise<{ names: Set<string>; byLowerCase: Map<string, string> }> {
    const known = this.#listings.get(folder);
    if (known !== undefined) return known;
    const listing = readdir(join(this.#root, folder))
      .catch(() => [])
      .then((names) => ({
        names: new Set(names),
        byLowerCase: new Map(names.map((name) => [name.toLowerCase(), name])),
      }));
    this.#listings.set(folder, listing);
    return listing;
  }
}

/**
 * The folder that listed paths are relative to: the candidate under which most of a sample of them are found.
 * @param candidates relative to `root`, `''` for the root itself; the first wins a tie
 */
export async function findPictureBase(
  root: string,
  candidates: readonly string[],
  paths: readonly string[],
): Promise<string> {
  const step = Math.max(1, Math.floor(paths.length / SAMPLE_SIZE));
  const sample = paths.filter((_, index) => index % step === 0);
  let best = candidates[0]!;
  let most = 0;
  for (const candidate of candidates) {
    const folder = new PictureFolder(join(root, candidate));
    let found = 0;
    for (const path of sample) if ((await folder.locate(path)) !== undefined) found++;
    if (found > most) [best, most] = [candidate, found];
  }
  return best;
}

/** Files that unpacking leaves behind and that are no data: `._name` of macOS, thumbnails, hidden files. */
export function isLitter(name: string): boolean {
  return name.startsWith('.') || name === '__MACOSX' || name === 'Thumbs.db' || name === 'desktop.ini';
}

/** Whether there is a file or folder. */
export async function exists(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}

// --- internal ---

const SAMPLE_SIZE = 60;
/** A folder of pictures can hold ten thousand folders: no dataset's own folder stands among so many. */
const MOST_FOLDERS = 100;

async function isFolder(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isDirectory(),
    () => false,
  );
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}

async function foldersBelow(root: string): Promise<readonly string[]> {
  const children = async (folder: string) => {
    const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
    const folders = entries.filter((entry) => entry.isDirectory() && !isLitter(entry.name));
    return folders.length > MOST_FOLDERS ? [] : folders.map((entry) => join(folder, entry.name)).sort();
  };
  const first = await children(root);
  const second = await Promise.all(first.map(children));
  return [...first, ...second.flat()];
}
