/**
 * Files that are whole or absent: written beside their place, synced to disk and renamed over it; then the folder is
 * synced too, without which the new name may be lost with the power. (The packages for this do not sync the folder,
 * and leave a file behind for every process that was killed.)
 *
 * The name of an unfinished file tells machine and process, so that whoever writes the same file next removes what a
 * killed process left, and never what another one is writing.
 */
import { createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, open, readdir, readFile, realpath, rename, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { basename, dirname, join, resolve } from 'node:path';
import { DataError, errorMessage, StorageError } from './errors.js';

/**
 * Writes a file so that a reader, or a machine that loses power, sees the old content or the new one, never a part; what
 * was written is on the disk when the promise resolves. Makes the folder if it is missing. Of two writes of one file at
 * a time, in one process or in two, one is there in the end. A link is followed.
 * @param options.mode permissions of the file; absent: those of the one that is there, or what the system gives a new one
 * @throws StorageError naming the file when it cannot be written (full disk, no permission); the old content stays.
 */
export async function writeFileAtomic(
  path: string,
  data: string | Uint8Array,
  options: { readonly mode?: number } = {},
): Promise<void> {
  try {
    await makeFolder(dirname(path));
    const target = await realpath(path).catch(() => path);
    const unfinished = `${target}.${MACHINE}-${process.pid}-${TOKEN}-${counter++}.unfinished`;
    try {
      const mode =
        options.mode ??
        (await stat(target).then(
          (status) => status.mode & 0o777,
          () => 0o666,
        ));
      const handle = await open(unfinished, 'wx', mode);
      try {
        await handle.writeFile(data);
        await handle.sync();
      } finally {
        await handle.close();
      }
      await rename(unfinished, target);
    } catch (error) {
      await rm(unfinished, { force: true }).catch(() => {});
      throw error;
    }
    await syncFolder(dirname(target));
    await removeUnfinished(target);
  } catch (error) {
    throw new StorageError(error, { file: path });
  }
}

/** Syncs a folder to the disk: names that were made, changed or removed in it. Does nothing where that cannot be. */
export async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // a folder cannot be opened there
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/**
 * Makes a folder, with those above it, and syncs the folders that the new names are in: what is synced in a folder is lost
 * with the power when the folder's own name is.
 */
export async function makeFolder(path: string): Promise<void> {
  const first = await mkdir(path, { recursive: true }).catch(async (error) => {
    throw await reasonWhyNot(path, error);
  });
  if (first === undefined) return;
  const top = dirname(resolve(first));
  for (let at = dirname(resolve(path)); ; at = dirname(at)) {
    await syncFolder(at);
    if (at === top || at === dirname(at)) return;
  }
}

/** Writes a value as indented JSON, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Reads a JSON file.
 * @throws DataError naming the file when it is missing or is not JSON.
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`is not valid JSON: ${errorMessage(error)}`, { file: path, cause: error });
  }
}

/** SHA-256 of a text or bytes, as 64 hexadecimal digits. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** SHA-256 of a file's content, streamed. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

/** Sets a file's times to the present, so that it counts as used last. */
export async function touch(path: string): Promise<void> {
  const present = new Date();
  await utimes(path, present, present);
}

/**
 * Whether a file is one that `writeFileAtomic` did not finish, of a process that is gone. One of another machine counts as
 * left when it is a day old.
 */
export async function isLeftUnfinished(path: string): Promise<boolean> {
  const [, machine, number, token] = UNFINISHED.exec(/[^.]*\.unfinished$/.exec(path)?.[0] ?? '') ?? [];
  if (token === undefined || token === TOKEN) return false;
  if (machine !== MACHINE) return await isOlder(path, OTHERS_AGE_MS);
  // Another thread of this process, or an earlier process of its number.
  if (Number(number) === process.pid) return await isOlder(path, THREADS_AGE_MS);
  return !isRunning(Number(number));
}

// --- internal ---

/** Node says that a folder is not there where the file system is read-only: what the first missing one's own making says. */
async function reasonWhyNot(path: string, error: NodeJS.ErrnoException): Promise<unknown> {
  if (error.code !== 'ENOENT') return error;
  for (let missing = resolve(path); missing !== dirname(missing); missing = dirname(missing)) {
    const reason = await mkdir(missing).then(
      () => error,
      (own: NodeJS.ErrnoException) => own,
    );
    if (reason.code !== 'ENOENT') return reason;
  }
  return error;
}

/** Of this machine, or of this container; in the names of unfinished files. */
const MACHINE = sha256(hostname()).slice(0, 6);
/** An unfinished file of another machine, whose processes are not known here, is removed when it is older. */
const OTHERS_AGE_MS = 24 * 3600_000;
/** One that may be of another thread of this process. */
const THREADS_AGE_MS = 60_000;
/** Tells this process from an earlier one of the same number, as in a container that was started again. */
const TOKEN = randomBytes(4).toString('hex');
let counter = 0;

/** The end of an unfinished file's name: machine, process, token, number. */
const UNFINISHED = /^([0-9a-f]{6})-(\d+)-([0-9a-f]{8})-\d+\.unfinished$/;

/** Removes what processes that are gone left beside a file. What cannot be removed does no harm. */
async function removeUnfinished(target: string): Promise<void> {
  const folder = dirname(target);
  const start = `${basename(target)}.`;
  for (const name of await readdir(folder).catch(() => [])) {
    if (!name.startsWith(start) || !UNFINISHED.test(name.slice(start.length))) continue;
    const path = join(folder, name);
    if (await isLeftUnfinished(path)) await rm(path, { force: true }).catch(() => {});
  }
}

function isRunning(number: number): boolean {
  try {
    process.kill(number, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // there, but somebody else's
  }
}

async function isOlder(path: string, milliseconds: number): Promise<boolean> {
  return await stat(path).then(
    ({ mtimeMs }) => Date.now() - mtimeMs > milliseconds,
    () => false,
  );
}
