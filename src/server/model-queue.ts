/**
 * The way to the model: so many pictures at a time, so many waiting, and a plain answer beyond. What a client no longer
 * waits for is dropped before its turn.
 *
 * A queue that takes a burst up makes everybody slow when more comes than can be done for long: it is always full, and who is
 * accepted waits for all of it. So when some have waited without a break for a while, no more may wait than are worked on, until
 * the queue has been empty again. (After Maurer, "Fail at Scale", ACM Queue 13(8), 2015; there the time in the queue is
 * shortened, here its length.)
 */
import pLimit, { type LimitFunction } from 'p-limit';
import { stopwatch } from '../util/index.js';
import { tooBusy } from './errors.js';

export class ModelQueue {
  readonly #limit: LimitFunction;
  readonly #maximumWaiting: number;
  readonly #what: string;
  readonly #burstMs: number;
  /** Runs while works wait. */
  #standing: (() => number) | undefined;
  #refused = 0;

  /**
   * @param options.concurrent works at a time, from 1 on.
   * @param options.waiting works that may wait beyond those, from 0 on.
   * @param options.what the pictures wait for, as a client is told. Default `for the model`.
   * @param options.burstMs milliseconds for which so many may wait without a break. Default 500.
   */
  constructor(options: {
    readonly concurrent: number;
    readonly waiting: number;
    readonly burstMs?: number;
    readonly what?: string;
  }) {
    this.#limit = pLimit(options.concurrent);
    this.#maximumWaiting = options.waiting;
    this.#what = options.what ?? 'for the model';
    this.#burstMs = options.burstMs ?? 500;
  }

  /** Works that run or wait. */
  get length(): number {
    return this.#limit.activeCount + this.#limit.pendingCount;
  }

  /** Works that were refused since the start. */
  get refused(): number {
    return this.#refused;
  }

  /** Whether more comes than can be done, and has for a while. */
  get isOverloaded(): boolean {
    return this.#standing !== undefined && this.#standing() * 1000 > this.#burstMs;
  }

  /** @throws HttpError `too-busy` when a work would be refused now */
  requireRoom(): void {
    const { concurrency } = this.#limit;
    const waiting = this.isOverloaded ? Math.min(concurrency, this.#maximumWaiting) : this.#maximumWaiting;
    if (this.length < concurrency + waiting) return;
    this.#refused++;
    throw tooBusy(`${this.length} pictures are waiting ${this.#what}`);
  }

  /**
   * Runs work when its turn comes.
   * @param signal of the request; aborted, the work is not begun.
   * @param options.isPatient it waits however many wait, as a part of a request that was accepted long ago.
   * @throws HttpError `too-busy` at once when too many wait.
   */
  async run<T>(
    work: () => Promise<T>,
    signal?: AbortSignal,
    options: { readonly isPatient?: boolean } = {},
  ): Promise<T> {
    if (options.isPatient !== true) this.requireRoom();
    const done = this.#limit(async () => {
      if (this.#limit.pendingCount === 0) this.#standing = undefined;
      signal?.throwIfAborted();
      return await work();
    });
    if (this.length > this.#limit.concurrency) this.#standing ??= stopwatch();
    return await done;
  }
}
