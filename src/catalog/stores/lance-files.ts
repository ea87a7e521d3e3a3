/**
 * The files of a Lance table in a folder: those that LanceDB writes without syncing them are synced here, and what killed
 * writers left is removed.
 */
import type { Dirent } from 'node:fs';
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * A folder whose new files are synced, then the folders that hold them. LanceDB makes files for its own user only; whoever may
 * read a folder is to read what is in it, so they get the folder's permissions.
 */
export class SyncedFolder {
  readonly #folder: string;
  /** The files that were there and synced at the last look. */
  #files = new Set<string>();

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** @returns the files synced now, relative to the folder. */
  async syncNew(): Promise<string[]> {
    const mode = (await stat(this.#folder)).mode & 0o666;
    const files = new Set<string>();
    const [added, changed]: [string[], string[]] = [[], []];
    /** @returns whether something was synced below */
    const visit = async (folder: string): Promise<boolean> => {
      let isChanged = false;
      for (const entry of await entriesOf(folder)) {
        const path = join(folder, entry.name);
        if (entry.isDirectory()) {
          if (await visit(path)) isChanged = true;
          // The hint of the newest version is the one file that is written over in place.
        } else if (this.#files.has(path) && entry.name !== 'latest_version_hint.json') files.add(path);
        else if (entry.isFile() && (await sync(path, isWindows ? 'r+' : 'r', mode))) {
          files.add(path);
          added.push(path.slice(this.#folder.length + 1));
          isChanged = true;
        }
      }
      if (isChanged) changed.push(folder);
      return isChanged;
    };
    await visit(this.#folder);
    if (!isWindows) for (const path of changed) await sync(path, 'r');
    this.#files = files;
    return added;
  }
}

/**
 * Removes what is left of a table whose making did not come to its first version, of a process that was killed or a disk that
 * was full: it would stand in the way for good. Where there is any data it is left.
 * @returns whether it was so
 */
export async function removeUnmade(folder: string): Promise<boolean> {
  const versions = await entriesOf(join(folder, '_versions'));
  if (versions.some(({ name }) => name.endsWith('.manifest'))) return false;
  if ((await entriesOf(join(folder, 'data'))).length > 0) return false;
  await rm(folder, { recursive: true, force: true });
  return true;
}

/** Removes what killed writers left half-written, which LanceDB itself never does. */
export async function removeAbandoned(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    if (!entry.isFile() || !entry.name.startsWith('.tmp')) continue;
    const path = join(entry.parentPath, entry.name);
    const found = await stat(path).catch(() => undefined);
    if (found !== undefined && Date.now() - found.mtimeMs > ABANDONED_MS) await rm(path, { force: true });
  }
}

// --- internal ---

/** A file must be open for writing to be synced there, and a folder cannot be opened. */
const isWindows = process.platform === 'win32';
/** How old a file of LanceDB's that never got its name is, in milliseconds, before its writer counts as dead. */
const ABANDONED_MS = 3_600_000;

/** What a folder holds; nothing where there is none. */
async function entriesOf(folder: string): Promise<Dirent[]> {
  return await readdir(folder, { withFileTypes: true }).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw error;
  });
}

/**
 * @param mode permissions that the file is to have, where this user may give them
 * @returns whether there was something to sync; a file that is gone again was of no matter.
 */
async function sync(path: string, flags: 'r' | 'r+', mode?: number): Promise<boolean> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, flags);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    if (mode !== undefined && ((await handle.stat()).mode & 0o777) !== mode)
      await handle.chmod(mode).catch(() => {});
    await handle.sync();
  } finally {
    await handle.close();
  }
  return true;
}
