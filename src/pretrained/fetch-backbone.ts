/**
 * Gets a backbone: a local file as it is, or one at an https address through a cache.
 *
 * A file in the cache is whole and of its pinned SHA-256: the one that the caller gives, else the one seen at the
 * first download. A download goes into a folder of its own; one that was cut is taken over, by renaming that folder,
 * by whoever comes next, so that two processes never write into one file. What is cached needs no network.
 */
import { mkdir, open, readdir, readFile, rename, rm, stat, truncate, writeFile } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import envPaths from 'env-paths';
import { externalFiles } from '../onnx/index.js';
import {
  DataError,
  errorMessage,
  type StartProgress,
  sha256,
  sha256OfFile,
  silentProgress,
  writeJson,
} from '../util/index.js';
import { addressOf, Interruption, requestFile, shownAddress } from './request.js';

export interface FetchOptions {
  /** The file must have this SHA-256 (64 hexadecimal digits). Default: as at the first download. */
  readonly sha256?: string | undefined;
  /** Where downloads are kept. Default: the system's place for caches, `semblance/backbones`. */
  readonly cacheDirectory?: string | undefined;
  /** Larger files are refused. Default 2 GiB, the limit of an ONNX file. */
  readonly maximumBytes?: number;
  /** A connection that brings nothing for so long is given up and asked again. Default 30,000. */
  readonly stallMs?: number;
  /** How often a connection is tried; each goes on where the last was cut. Default 4. */
  readonly attempts?: number;
  readonly signal?: AbortSignal | undefined;
  readonly progress?: StartProgress;
}

export interface FetchedBackbone {
  /** A file on this machine. */
  readonly path: string;
  readonly sha256: string;
  /** The path, or the address without secrets. */
  readonly source: string;
}

/**
 * Gets a backbone as a file.
 * @param source a path, a `file:` or an `https:` address; plain `http:` only of this machine
 * @throws DataError on one line: no such file, not found, no connection, another SHA-256 than wanted (both are named),
 *   too large, a web page instead of a model, a full disk. What was received stays for the next try.
 * @throws what `signal` was aborted with
 */
export async function fetchBackbone(source: string, options: FetchOptions = {}): Promise<FetchedBackbone> {
  const wanted = options.sha256?.toLowerCase();
  if (wanted !== undefined && !/^[0-9a-f]{64}$/.test(wanted))
    throw new DataError(`sha256: must be 64 hexadecimal digits, got '${options.sha256}'`);
  const address = addressOf(source);
  if (address === undefined || address.protocol === 'file:')
    return await localFile(address === undefined ? source : pathOf(address), wanted);
  const folder = join(
    options.cacheDirectory ?? join(envPaths('semblance', { suffix: '' }).cache, 'backbones'),
    sha256(address.href).slice(0, 16),
  );
  const path = join(folder, fileNameOf(address));
  const pinPath = join(folder, PIN);
  const pin = wanted ?? (await readPin(pinPath));
  const shown = shownAddress(address);
  if (pin !== undefined && (await isFile(path)) && (await sha256OfFile(path)) === pin)
    return { path, sha256: pin, source: shown };
  try {
    await mkdir(folder, { recursive: true });
  } catch (error) {
    throw new DataError(`cannot be made: ${errorMessage(error)}`, { file: folder, cause: error });
  }
  for (;;) {
    const partial = await claimPartial(folder, pin !== undefined);
    try {
      const { found, bytes, isResumed } = await download(address, partial, pin !== undefined, options);
      if (pin === undefined || found === pin) {
        await rename(join(partial.folder, DATA), path);
        await writeJson(pinPath, { source: shown, sha256: found, bytes });
        await rm(partial.folder, { recursive: true, force: true });
        return { path, sha256: found, source: shown };
      }
      await rm(partial.folder, { recursive: true, force: true });
      // After a resumed download it may be two halves of different files: once more from the start.
      if (!isResumed) throw wrongHash(shown, pin, found, bytes, wanted === undefined, folder);
    } catch (error) {
      await leavePartial(partial);
      throw error;
    }
  }
}

// --- internal ---

const PIN = 'source.json';
const DATA = 'data';
const STATE = 'state.json';
const LARGEST_BYTES = 2 ** 31;

/** A download that is not complete: its folder, and what was being received. */
interface Partial {
  readonly folder: string;
  /** `validator` is the ETag or the date of the file, which a server compares before it goes on. */
  readonly state: { readonly validator?: string | undefined } | undefined;
}

function pathOf(address: URL): string {
  try {
    return fileURLToPath(address);
  } catch (error) {
    throw new DataError(`must be the address of a file of this machine: ${errorMessage(error)}`, {
      file: address.href,
      cause: error,
    });
  }
}

async function localFile(path: string, wanted: string | undefined): Promise<FetchedBackbone> {
  let found: string;
  try {
    found = await sha256OfFile(path);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  if (wanted !== undefined && found !== wanted)
    throw new DataError(
      `the SHA-256 must be ${wanted}, got ${found}. Take the right file, or correct the hash`,
      {
        file: path,
      },
    );
  return { path, sha256: found, source: path };
}

/** Receives the file into the partial's folder, over several connections if need be. */
async function download(
  address: URL,
  partial: Partial,
  isPinned: boolean,
  options: FetchOptions,
): Promise<{ found: string; bytes: number; isResumed: boolean }> {
  const { attempts = 4, signal } = options;
  let state = partial.state;
  let isResumed = false;
  const data = join(partial.folder, DATA);
  const shown = shownAddress(address);
  for (let attempt = 1; ; attempt++) {
    try {
      const from = await receive(address, partial.folder, state, isPinned, options);
      isResumed = from > 0;
      break;
    } catch (error) {
      signal?.throwIfAborted();
      if (error instanceof DataError) throw error;
      if (!(error instanceof Interruption)) throw writeFailure(error, partial.folder);
      if (attempt >= attempts)
        throw new DataError(
          `${error.message}${attempts > 1 ? `, ${attempts} times` : ''}. Try again: what was received is kept`,
          { file: shown, cause: error },
        );
      state = await readState(partial.folder);
      await sleep(
        Math.min(8000, 250 * 2 ** (attempt - 1)),
        undefined,
        signal === undefined ? {} : { signal },
      );
    }
  }
  const { size: bytes } = await stat(data);
  const what = await fault(data);
  if (what !== undefined) {
    await rm(partial.folder, { recursive: true, force: true });
    throw new DataError(`must be an ONNX model in one file, got ${what}`, { file: shown });
  }
  return { found: await sha256OfFile(data), bytes, isResumed };
}

/** One connection. @returns from which byte on the server sent the file */
async function receive(
  address: URL,
  folder: string,
  state: Partial['state'],
  isPinned: boolean,
  options: FetchOptions,
): Promise<number> {
  const { maximumBytes = LARGEST_BYTES, stallMs = 30_000, signal, progress = silentProgress } = options;
  const data = join(folder, DATA);
  const shown = shownAddress(address);
  await mkdir(folder, { recursive: true });
  const canGoOn = state !== undefined && (state.validator !== undefined || isPinned);
  const from = canGoOn ? ((await sizeOfFile(data)) ?? 0) : 0;
  const response = await requestFile(address, { from, validator: state?.validator, stallMs, signal });
  const tooLarge = (bytes: number) =>
    new DataError(`must be at most ${maximumBytes} bytes, got ${bytes} or more`, { file: shown });
  try {
    if (response.total !== undefined && response.total > maximumBytes) throw tooLarge(response.total);
    await writeFile(join(folder, STATE), JSON.stringify({ validator: response.validator }));
    await truncate(data, response.from).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'ENOENT') throw error;
    });
    const bar =
      response.total === undefined
        ? undefined
        : progress('download kB', kilobytes(response.total), kilobytes(response.from));
    const handle = await open(data, 'a');
    let bytes = response.from;
    try {
      for await (const chunk of response.chunks) {
        bytes += chunk.length;
        if (bytes > maximumBytes) throw tooLarge(bytes);
        await handle.writeFile(chunk);
        bar?.update(kilobytes(bytes));
      }
      await handle.sync();
    } finally {
      bar?.stop();
      await handle.close();
    }
    if (response.total !== undefined && bytes < response.total)
      throw new Interruption(`the connection ended after ${bytes} of ${response.total} bytes`);
    return response.from;
  } finally {
    response.cancel();
  }
}

const kilobytes = (bytes: number) => Math.round(bytes / 1000);

function fileNameOf(address: URL): string {
  const last = (address.pathname.split('/').pop() ?? '').replace(/%[0-9a-f]{2}|[^\w.-]/gi, '_');
  return last === '' || last.startsWith('.') || last === PIN ? 'model.onnx' : last;
}

function wrongHash(
  shown: string,
  pin: string,
  found: string,
  bytes: number,
  isRecorded: boolean,
  folder: string,
): DataError {
  const advice = isRecorded
    ? `It was another file when it was first downloaded: give its new SHA-256, or delete ${folder} to accept it`
    : 'Correct the hash, or find the file that it belongs to';
  return new DataError(`the SHA-256 must be ${pin}, got ${found} (${bytes} bytes). ${advice}`, {
    file: shown,
  });
}

function writeFailure(error: unknown, folder: string): Error {
  const code = (error as NodeJS.ErrnoException).code;
  if (code === undefined) return error as Error;
  const reason = code === 'ENOSPC' ? 'the disk is full' : errorMessage(error);
  return new DataError(`cannot be written: ${reason}`, { file: folder, cause: error });
}

/** What is wrong with a file that should be a model, with what to do; `undefined` for one that can be read alone. */
async function fault(path: string): Promise<string | undefined> {
  const bytes = await readFile(path);
  const start = bytes.subarray(0, 64).toString('latin1').trimStart().toLowerCase();
  if (bytes.length === 0) return 'nothing. Correct the address';
  if (start.startsWith('<!doctype') || start.startsWith('<html'))
    return 'a web page. Give the address of the file itself (on Hugging Face /resolve/, not /blob/)';
  if (start.startsWith('version https://git-lfs'))
    return 'a pointer of Git LFS. Give the address of the file that it points to';
  try {
    const names = externalFiles(bytes);
    return names.length === 0
      ? undefined
      : `one whose weights are in ${names.slice(0, 3).join(', ')}${names.length > 3 ? ', …' : ''}, and only one file is downloaded. Download all of them into one folder and give the path`;
  } catch {
    return 'something else. Correct the address';
  }
}

// --- partial downloads ---

let partials = 0;

/** Holds the number of its process, so that others see whether it is still being written. */
function partialName(folder: string): string {
  return join(folder, `partial-${process.pid}-${partials++}`);
}

/** Takes over the largest download whose process is gone or has given up, or names a folder for a fresh one. */
async function claimPartial(folder: string, isPinned: boolean): Promise<Partial> {
  const mine = partialName(folder);
  const candidates: { name: string; bytes: number }[] = [];
  for (const name of await readdir(folder)) {
    const owner = /^partial-(\d+)-\d+$/.exec(name)?.[1];
    if (owner === undefined && !name.startsWith('left-')) continue;
    if (owner !== undefined && isAlive(Number(owner))) continue;
    candidates.push({ name, bytes: (await sizeOfFile(join(folder, name, DATA))) ?? 0 });
  }
  candidates.sort((a, b) => b.bytes - a.bytes);
  for (const { name } of candidates) {
    const isClaimed = await rename(join(folder, name), mine).then(
      () => true,
      () => false, // another process was quicker
    );
    if (!isClaimed) continue;
    const state = await readState(mine);
    if (state !== undefined && (state.validator !== undefined || isPinned)) return { folder: mine, state };
    await rm(mine, { recursive: true, force: true });
  }
  return { folder: mine, state: undefined };
}

/** Gives a download up to whoever comes next. */
async function leavePartial({ folder }: Partial): Promise<void> {
  await rename(folder, join(dirname(folder), basename(folder).replace(/^partial-/, 'left-'))).catch(() => {}); // deleted
}

async function readState(folder: string): Promise<Partial['state']> {
  try {
    const { validator } = JSON.parse(await readFile(join(folder, STATE), 'utf8')) as { validator?: unknown };
    return typeof validator === 'string' ? { validator } : {};
  } catch {
    return undefined;
  }
}

async function readPin(path: string): Promise<string | undefined> {
  try {
    const { sha256: pin } = JSON.parse(await readFile(path, 'utf8')) as { sha256?: unknown };
    return typeof pin === 'string' && /^[0-9a-f]{64}$/.test(pin) ? pin : undefined;
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

async function sizeOfFile(path: string): Promise<number | undefined> {
  return await stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}
