/**
 * What people said of hits: `feedback.jsonl` in the catalogue's folder, one JSON object a line, only ever appended to and
 * synced before it is acknowledged. The last line of a key counts; `{ key, deleted: true, at }` takes it back. The key is a
 * hash of query, hit and level: who changes their mind replaces what they said. Pictures that were uploaded are kept in
 * `feedback/`, named by their hash, and their `path` is relative to the catalogue; a record's is the record's own.
 * `semblance train --feedback` reads the file.
 */
import { type FileHandle, open, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { sha256, writeFileAtomic } from '../util/index.js';
import { type FeedbackEntry, feedbackEntry } from './contract.js';

export const FEEDBACK_FILE = 'feedback.jsonl';
export const FEEDBACK_FOLDER = 'feedback';

export class FeedbackLog {
  readonly #directory: string;
  /** By key, in the order of the last word. */
  readonly #entries: Map<string, FeedbackEntry>;
  #endsInLine: boolean;
  #lastWrite: Promise<unknown> = Promise.resolve();

  private constructor(directory: string, text: string) {
    this.#directory = directory;
    this.#entries = replay(text);
    this.#endsInLine = text === '' || text.endsWith('\n');
  }

  /** Reads what there is. A line that a crash cut off is skipped. */
  static async open(directory: string): Promise<FeedbackLog> {
    const text = await readFile(join(directory, FEEDBACK_FILE), 'utf8').catch((error) => {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return '';
      throw error;
    });
    return new FeedbackLog(directory, text);
  }

  get size(): number {
    return this.#entries.size;
  }

  /** The key of what is said of a hit. */
  static key(query: string, hit: string, level: string): string {
    return sha256(JSON.stringify([query, hit, level])).slice(0, 24);
  }

  /**
   * Adds an entry, or replaces that of its key.
   * @param picture the query's, to be kept where the entry says: `pictureName` of it
   */
  async add(entry: FeedbackEntry, picture?: Uint8Array): Promise<void> {
    await this.#inTurn(async () => {
      if (picture !== undefined) await writeFileAtomic(join(this.#directory, entry.query.path), picture);
      await this.#append(entry);
      this.#entries.delete(entry.key);
      this.#entries.set(entry.key, entry);
    });
  }

  /** Takes an entry back, and with it the picture that was kept for it alone. @returns whether there was one. */
  async delete(key: string, at: string): Promise<boolean> {
    if (!this.#entries.has(key)) return false;
    await this.#inTurn(async () => {
      await this.#append({ key, deleted: true, at });
      const path = this.#entries.get(key)?.query.path;
      this.#entries.delete(key);
      // Another server may have kept the same picture for an entry that is not known here.
      if (path?.startsWith(`${FEEDBACK_FOLDER}/`) === true && !(await this.#isUsed(path)))
        await rm(join(this.#directory, path), { force: true });
    });
    return true;
  }

  get(key: string): FeedbackEntry | undefined {
    return this.#entries.get(key);
  }

  /** All entries, the last word last. */
  all(): FeedbackEntry[] {
    return [...this.#entries.values()];
  }

  /**
   * A page of entries, the last word first.
   * @param before only those that were said before this one's turn; a key that is gone gives none.
   */
  page(limit: number, before?: { readonly at: string; readonly key: string }): FeedbackEntry[] {
    const page: FeedbackEntry[] = [];
    const newestFirst = [...this.#entries.values()].reverse();
    const start =
      before === undefined
        ? 0
        : newestFirst.findIndex(({ at, key }) => at < before.at || (at === before.at && key === before.key));
    if (start === -1) return page;
    const isItself = before !== undefined && newestFirst[start]?.key === before.key;
    return newestFirst.slice(start + (isItself ? 1 : 0)).slice(0, limit);
  }

  /** Where an uploaded picture is kept, relative to the catalogue. */
  static pictureName(bytes: Uint8Array, extension: string): string {
    return `${FEEDBACK_FOLDER}/${sha256(bytes).slice(0, 32)}.${extension}`;
  }

  /** Whether an entry that counts has a picture. */
  async #isUsed(path: string): Promise<boolean> {
    const entries = replay(await readFile(join(this.#directory, FEEDBACK_FILE), 'utf8'));
    return [...entries.values()].some(({ query }) => query.path === path);
  }

  async #append(line: object): Promise<void> {
    let handle: FileHandle | undefined;
    try {
      handle = await open(join(this.#directory, FEEDBACK_FILE), 'a');
      const start = this.#endsInLine ? '' : '\n';
      this.#endsInLine = false;
      await handle.appendFile(`${start}${JSON.stringify(line)}\n`);
      this.#endsInLine = true;
      await handle.sync();
    } finally {
      await handle?.close();
    }
  }

  #inTurn(write: () => Promise<void>): Promise<void> {
    const done = this.#lastWrite.then(write);
    this.#lastWrite = done.catch(() => {});
    return done;
  }
}

// --- internal ---

function replay(text: string): Map<string, FeedbackEntry> {
  const entries = new Map<string, FeedbackEntry>();
  for (const line of text.split('\n')) {
    const value = parse(line);
    if (value === undefined) continue;
    entries.delete(String(value.key));
    const entry = feedbackEntry.safeParse(value);
    if (entry.success) entries.set(entry.data.key, entry.data);
  }
  return entries;
}

function parse(line: string): { key?: unknown } | undefined {
  try {
    const value: unknown = JSON.parse(line);
    return typeof value === 'object' && value !== null ? value : undefined;
  } catch {
    return undefined;
  }
}
