/**
 * Locks between processes: a file that says who holds it. A holder that is gone counts for nothing, whether it ended,
 * was killed, or was another process of the same number; one on another machine counts as gone when it has not
 * touched its file for a minute. A stale file is only removed under a second lock, so two that find it cannot both
 * take it.
 *
 * Who waits measures that minute by a clock of its own, from the first look on: clocks of machines differ, and are set.
 */
import { randomBytes } from 'node:crypto';
import { open, readFile, rm, stat, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { dirname } from 'node:path';
import { DataError, errorMessage, StorageError } from './errors.js';
import { makeFolder } from './files.js';
import { stopwatch } from './progress.js';

export interface ProcessLock {
  /** Names another process of this machine as the holder, e.g. one that this one started. */
  handTo(process: number): Promise<void>;
  /** Twice does no harm. */
  release(): Promise<void>;
}

export interface LockHolder {
  /** The number of the process. */
  readonly process: number;
  readonly host: string;
}

/** Of work that takes its turn. */
export interface WaitOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once of the process that is waited for; of a short write after two seconds. */
  readonly onWait?: ((holder: LockHolder) => void) | undefined;
}

/** Milliseconds that a short write may wait without a word. */
export const PATIENCE_MS = 2000;

/**
 * Takes a lock, when whoever holds it has let go or is gone. Waiting is not first come, first served.
 * @param file made, with its folder, and removed again
 * @param options.onWait told once, of the first holder that is waited for
 * @param options.tellAfterMs milliseconds of waiting before `onWait` is told. Default 0.
 * @param options.pollMs milliseconds between two looks. Default 50.
 * @throws what `signal` was aborted with; StorageError when the file cannot be written
 */
export async function acquireLock(
  file: string,
  options: WaitOptions & { readonly tellAfterMs?: number; readonly pollMs?: number } = {},
): Promise<ProcessLock> {
  const { signal, onWait, tellAfterMs = 0, pollMs = 50 } = options;
  const token = randomBytes(9).toString('base64url');
  // Before the file is there: else another caller in this process may see the file first, and take it for a dead one's.
  ownTokens.add(token);
  try {
    const silence = new Silence();
    const waited = stopwatch();
    for (let isTold = false; ; ) {
      signal?.throwIfAborted();
      if (await create(file, content(process.pid, token))) return new Held(file, token);
      const found = await look(file);
      if (found === undefined) continue;
      if (found.state === 'gone' || silence.isLongOf(found)) await removeStale(file, found);
      else {
        if (!isTold && found.holder !== undefined && waited() * 1000 >= tellAfterMs) {
          onWait?.(found.holder);
          isTold = true;
        }
        await new Promise((resolve) => setTimeout(resolve, pollMs));
      }
    }
  } catch (error) {
    ownTokens.delete(token);
    throw error;
  }
}

/** Who holds a lock. @returns undefined when nobody does, or only somebody who is gone */
export async function lockHolder(file: string): Promise<LockHolder | undefined> {
  const found = await look(file);
  if (found === undefined || found.state === 'gone') return undefined;
  return found.state === 'held' || Math.abs(found.ageMs) < SILENCE_MS ? found.holder : undefined;
}

// --- internal ---

const HEARTBEAT_MS = 10_000;
/** A file of another machine that was not touched for so long is stale. */
const SILENCE_MS = 60_000;
/** A file without content is being written, unless it was so for longer than this. */
const WRITING_MS = 2000;

/** Tokens of the locks that this process holds: its number alone may be that of an earlier process. */
const ownTokens = new Set<string>();

class Held implements ProcessLock {
  readonly #file: string;
  readonly #token: string;
  readonly #heartbeat: NodeJS.Timeout;

  constructor(file: string, token: string) {
    this.#file = file;
    this.#token = token;
    this.#heartbeat = setInterval(() => {
      const present = new Date();
      utimes(file, present, present).catch(() => {});
    }, HEARTBEAT_MS);
    this.#heartbeat.unref();
  }

  async handTo(other: number): Promise<void> {
    await writeFile(this.#file, content(other, this.#token));
  }

  async release(): Promise<void> {
    if (!ownTokens.has(this.#token)) return;
    clearInterval(this.#heartbeat);
    const text = await readFile(this.#file, 'utf8').catch(() => '');
    if (parse(text)?.token === this.#token) await rm(this.#file, { force: true });
    ownTokens.delete(this.#token);
  }
}

function content(process: number, token: string): string {
  return `${process}\n${hostname()}\n${token}\n`;
}

function parse(text: string): (LockHolder & { token: string }) | undefined {
  const [number = '', host = '', token = ''] = text.split('\n');
  return /^\d+$/.test(number) && Number(number) > 0
    ? { process: Number(number), host: host === '' ? hostname() : host, token }
    : undefined;
}

async function create(file: string, text: string): Promise<boolean> {
  for (let isSecond = false; ; isSecond = true) {
    try {
      const handle = await open(file, 'wx');
      try {
        await handle.writeFile(text);
        // A process that stood still since the file was made may have been taken for a dead one.
        const [own, there] = await Promise.all([handle.stat(), stat(file).catch(() => undefined)]);
        if (own.ino !== there?.ino) return false;
      } catch (error) {
        await rm(file, { force: true }).catch(() => {}); // without its content it would hold others up
        throw error;
      } finally {
        await handle.close();
      }
      return true;
    } catch (error) {
      const { code } = error as NodeJS.ErrnoException;
      if (code === 'EEXIST') return false;
      const failed =
        code === 'ENOENT' && !isSecond
          ? await makeFolder(dirname(file)).then(
              () => undefined,
              (reason: unknown) => reason,
            )
          : error;
      if (failed !== undefined) throw new StorageError(failed, { file });
    }
  }
}

/** What there is of a lock. */
interface Found {
  /** `silent`: whether its holder is there cannot be seen from here. */
  readonly state: 'held' | 'gone' | 'silent';
  /** Absent: the file has no content, for it is being written, or whoever wrote it was killed. */
  readonly holder?: LockHolder;
  /** Another whenever the file was written or touched. */
  readonly mark: string;
  readonly ageMs: number;
}

async function look(file: string): Promise<Found | undefined> {
  let text = '';
  let touchedAt = 0;
  try {
    text = await readFile(file, 'utf8');
    touchedAt = (await stat(file)).mtimeMs;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  const about = { mark: `${touchedAt} ${text}`, ageMs: Date.now() - touchedAt };
  const found = parse(text);
  if (found === undefined) return { state: 'silent', ...about };
  const { token, ...holder } = found;
  if (holder.host !== hostname()) return { state: 'silent', holder, ...about };
  const isHeld = ownTokens.has(token) || isAlive(holder.process);
  return { state: isHeld ? 'held' : 'gone', holder, ...about };
}

/** How long a file was seen unchanged. */
class Silence {
  #mark = '';
  #since = stopwatch();

  /** Whether a silent lock was so for too long. */
  isLongOf({ state, holder, mark }: Found): boolean {
    if (state !== 'silent') return false;
    if (mark !== this.#mark) {
      this.#mark = mark;
      this.#since = stopwatch();
    }
    return this.#since() * 1000 > (holder === undefined ? WRITING_MS : SILENCE_MS);
  }
}

async function removeStale(file: string, { mark }: Found): Promise<void> {
  const guard = `${file}.takeover`;
  if (!(await create(guard, ''))) {
    const age = await stat(guard).then(
      ({ mtimeMs }) => Math.abs(Date.now() - mtimeMs),
      () => 0,
    );
    if (age > WRITING_MS) await rm(guard, { force: true });
    return;
  }
  try {
    const found = await look(file);
    if (found?.state === 'gone' || found?.mark === mark) await rm(file, { force: true });
  } finally {
    await rm(guard, { force: true });
  }
}

function isAlive(pid: number): boolean {
  if (pid === process.pid) return false; // an earlier process of this number: the token is not one of ours
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM'; // there, but somebody else's
  }
}
