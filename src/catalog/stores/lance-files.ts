/**
 * The files of a Lance table in a folder: those that LanceDB writes without syncing them are synced here, and what killed
 * writers left is removed.
 */
import { open, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';

/**
 * Syncs to disk the files below a folder that are not yet in `synced`, then the folders that hold them. LanceDB makes files
 * for its own user only; whoever may read a folder is to read what is in it, so they get the folder's permissions.
 * @returns the files synced now, relative to the folder.
 */
export async function syncNewFiles(folder: string, synced: Set<string>): Promise<string[]> {
  const added: string[] = [];
  const folders = new Set<string>();
  const mode = (await stat(folder)).mode & 0o666;
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    // The hint of the newest version is the one file that is written over in place.
    if (!entry.isFile() || (synced.has(path) && entry.name !== 'latest_version_hint.json')) continue;
    if (!(await sync(path, isWindows ? 'r+' : 'r', mode))) continue;
    synced.add(path);
    folders.add(entry.parentPath);
    added.push(path.slice(folder.length + 1));
  }
  if (added.length > 0) folders.add(folder);
  if (!isWindows) for (const path of folders) await sync(path, 'r');
  return added;
}

/**
 * Removes what is left of a table whose making did not come to its first version, of a process that was killed or a disk that
 * was full: it would stand in the way for good. Where there is any data it is left.
 * @returns whether it was so
 */
export async function removeUnmade(folder: string): Promise<boolean> {
  const namesIn = async (name: string) =>
    await readdir(join(folder, name)).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
  if ((await namesIn('_versions')).some((name) => name.endsWith('.manifest'))) return false;
  if ((await namesIn('data')).length > 0) return false;
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
