/**
 * The way to the model: so many pictures at a time, so many waiting, and a plain answer beyond. What a client no longer
 * waits for is dropped before its turn.
 */
import pLimit, { type LimitFunction } from 'p-limit';
import { HttpError } from './errors.js';

export class ModelQueue {
  readonly #limit: LimitFunction;
  readonly #maximumWaiting: number;

  /**
   * @param options.concurrent works at a time, from 1 on.
   * @param options.waiting works that may wait beyond those, from 0 on.
   */
  constructor(options: { readonly concurrent: number; readonly waiting: number }) {
    this.#limit = pLimit(options.concurrent);
    this.#maximumWaiting = options.waiting;
  }

  /** Works that run or wait. */
  get length(): number {
    return this.#limit.activeCount + this.#limit.pendingCount;
  }

  /**
   * Runs work when its turn comes.
   * @param signal of the request; aborted, the work is not begun.
   * @throws HttpError `too-busy` at once when too many wait.
   */
  async run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    if (this.length >= this.#limit.concurrency + this.#maximumWaiting)
      throw new HttpError('too-busy', `${this.length} pictures are waiting for the model. Try again`, {
        headers: { 'retry-after': '2' },
      });
    return await this.#limit(async () => {
      signal?.throwIfAborted();
      return await work();
    });
  }
}
