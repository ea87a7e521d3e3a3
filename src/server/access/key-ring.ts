/**
 * The keys of a file as a server sees them: what changes in the file counts at the next look, at most half a second later.
 * A file that is gone opens nothing, nor does one that cannot be read.
 */
import { timingSafeEqual } from 'node:crypto';
import { stat } from 'node:fs/promises';
import { stopwatch } from '../../util/index.js';
import { hashKey, idOfKey, isValid, readKeys, type StoredKey } from './keys.js';

export class KeyRing {
  readonly path: string;
  readonly #pollMs: number;
  #keys: ReadonlyMap<string, StoredKey> = new Map();
  #stamp: string | undefined;
  #sinceLook: (() => number) | undefined;
  #look: Promise<void> | undefined;

  /** @param options.pollMs milliseconds between two looks at the file. Default 500. */
  constructor(path: string, options: { readonly pollMs?: number } = {}) {
    this.path = path;
    this.#pollMs = options.pollMs ?? 500;
  }

  /**
   * The key behind a token. Takes as long for a wrong secret as for a right one.
   * @returns undefined when it is none, has ended, or was revoked
   * @throws DataError when the file cannot be read
   */
  async identify(token: string): Promise<StoredKey | undefined> {
    await this.#refresh();
    const key = this.#keys.get(idOfKey(token) ?? '');
    const isSame = timingSafeEqual(hashKey(token), key === undefined ? NOBODY : Buffer.from(key.hash, 'hex'));
    return key !== undefined && isSame && isValid(key) ? key : undefined;
  }

  /** Keys that open something now. @throws DataError when the file cannot be read */
  async validKeys(): Promise<StoredKey[]> {
    await this.#refresh();
    return [...this.#keys.values()].filter(isValid);
  }

  #refresh(): Promise<void> {
    if (this.#sinceLook !== undefined && this.#sinceLook() * 1000 < this.#pollMs) return Promise.resolve();
    this.#look ??= this.#read().finally(() => {
      this.#look = undefined;
    });
    return this.#look;
  }

  async #read(): Promise<void> {
    const clock = stopwatch();
    const stamp = await stat(this.path, { bigint: true }).then(
      ({ ino, size, mtimeNs }) => `${ino} ${size} ${mtimeNs}`,
      () => 'absent',
    );
    if (stamp !== this.#stamp) {
      this.#keys = new Map();
      this.#stamp = undefined;
      this.#keys = new Map((await readKeys(this.path)).map((key) => [key.id, key]));
      this.#stamp = stamp;
    }
    this.#sinceLook = clock;
  }
}

// --- internal ---

/** The hash of no key. */
const NOBODY = Buffer.alloc(32);
