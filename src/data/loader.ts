/**
 * The loader: batches of augmented pictures, made on a worker thread ahead of the training step.
 * All pictures are decoded once into shared memory where they fit, and otherwise when they are needed. A batch is a
 * function of (pictures, options, seed, step): not of timing, nor of which batches were asked for before.
 */
import type { Worker } from 'node:worker_threads';
import { DataError, type StartProgress, silentProgress, startWorker } from '../util/index.js';
import { type AugmentationOptions, defaultAugmentation, premultiplyAlpha } from './augment.js';
import type { WorkerRequest, WorkerResponse, WorkerSetup } from './augment-worker.js';
import type { DecodeOptions } from './decode.js';
import { decodeInto, type PictureProblem, type PictureRow, requireSome } from './decode-rows.js';
import { createKeptSampler, type SamplerOptions } from './sampler.js';

export interface LoaderOptions {
  /** Width and height of the pictures in a batch, pixels. */
  size: number;
  /** Items, pictures an item, look-alikes. `groupOf` is given item numbers, `sourceOf` and `pairs` rows, as passed in. */
  sampler: Omit<SamplerOptions, 'seed'>;
  seed: number;
  /** Default `defaultAugmentation`. */
  augmentation?: AugmentationOptions;
  /** Width and height in memory, pixels; larger than `size`, so that crops stay sharp. Default 1.15 × `size`. */
  sourceSize?: number;
  /** How pictures become squares. Default `cover`. */
  fit?: DecodeOptions['fit'];
  /** How many batches are made ahead. Default 3. */
  prefetch?: number;
  /** Decode all pictures once if they need at most so many bytes in memory. Default 2 GB. */
  memoryLimitBytes?: number;
  progress?: StartProgress;
  /** Called once for each unreadable picture. */
  onProblem?: (problem: PictureProblem) => void;
  signal?: AbortSignal;
}

/** B = items × pictures an item, and two a pair; H = `size`. */
export interface Batch {
  readonly step: number;
  /** [B] indices of the rows as passed in, item after item, then pair after pair. */
  readonly rows: Int32Array;
  /** [B, H, H, 3] RGB. The caller's own. */
  readonly pictures: Uint8Array;
}

export interface Loader {
  /** Indices of the rows in use; unreadable ones are missing (if pictures are decoded when needed: none yet). */
  readonly kept: Int32Array;
  readonly stepsPerEpoch: number;
  /** True when all pictures are in memory. */
  readonly inMemory: boolean;
  /** The batch of a step, from 0; and begins those of the steps after it. */
  next(step: number): Promise<Batch>;
  /** Ends the worker. Batches that were asked for and not yet delivered are rejected. */
  close(): Promise<void>;
}

/**
 * Decodes the pictures, if they fit in memory, and starts the worker.
 * @param rows training rows of a manifest
 * @param items item of each row, whole numbers from 0; −1 for a row that comes in pairs alone
 * @throws DataError when no picture can be read, or the readable ones are of too few items for a batch
 */
export async function createLoader(
  rows: readonly PictureRow[],
  items: ArrayLike<number>,
  options: LoaderOptions,
): Promise<Loader> {
  const {
    size,
    seed,
    augmentation = defaultAugmentation,
    sourceSize = Math.round(1.15 * size),
    prefetch = 3,
    memoryLimitBytes = 2_000_000_000,
    signal,
  } = options;
  if (rows.length !== items.length) {
    throw new DataError(
      `createLoader: items must have one number a row, ${rows.length}, got ${items.length}`,
    );
  }
  signal?.throwIfAborted();
  const neededBytes = rows.length * sourceSize * sourceSize * 4;
  const inMemory = neededBytes <= memoryLimitBytes;
  const reported = new Set<number>();
  const report = (problem: PictureProblem) => {
    if (reported.has(problem.row)) return;
    reported.add(problem.row);
    options.onProblem?.(problem);
  };
  let pixels: SharedArrayBuffer | undefined;
  if (inMemory) {
    pixels = new SharedArrayBuffer(neededBytes);
    const problems = await decodeRows(rows, new Uint8Array(pixels), sourceSize, options);
    for (const problem of problems) report(problem);
    requireSome(rows.length, problems);
  }
  const kept = Int32Array.from(rows.keys()).filter((row) => !reported.has(row));
  const sampler = createKeptSampler(kept, items, { ...options.sampler, seed });
  const setup: WorkerSetup = {
    source:
      pixels === undefined
        ? { rows: rows.map(({ path, box }) => ({ path, ...(box === undefined ? {} : { box }) })) }
        : { pixels },
    sourceSize,
    size,
    picturesPerItem: options.sampler.picturesPerItem,
    itemPlaces: options.sampler.itemsPerBatch * options.sampler.picturesPerItem,
    augmentation,
    fit: options.fit,
    seed,
  };
  const worker = startWorker(import.meta.url, 'augment-worker', { role: 'semblance-augment', setup });
  const requests = createRequests(worker, report);
  const onAbort = () => requests.fail(signal?.reason);
  signal?.addEventListener('abort', onAbort, { once: true });
  return {
    kept,
    stepsPerEpoch: sampler.stepsPerEpoch,
    inMemory,
    next(step) {
      requests.forgetOutside(step, step + prefetch);
      for (let ahead = step; ahead <= step + prefetch; ahead++) {
        if (requests.has(ahead)) continue;
        requests.send({ step: ahead, rows: sampler.batch(ahead).rows.map((index) => kept[index]!) });
      }
      return requests.take(step);
    },
    async close() {
      signal?.removeEventListener('abort', onAbort);
      await requests.close();
    },
  };
}

// --- internal ---

/** As `CLOSE` of the worker's file, which is not imported here: it would be loaded on the main thread. */
const CLOSE = 'close';

async function decodeRows(
  rows: readonly PictureRow[],
  pixels: Uint8Array,
  size: number,
  options: LoaderOptions,
): Promise<readonly PictureProblem[]> {
  const { progress: start = silentProgress, fit, signal } = options;
  const progress = start('decoding', rows.length);
  let done = 0;
  try {
    const problems = await decodeInto(rows, pixels, 4, {
      size,
      onDecoded: () => progress.update(++done),
      ...(fit === undefined ? {} : { fit }),
      ...(signal === undefined ? {} : { signal }),
    });
    premultiplyAlpha(pixels);
    return problems;
  } finally {
    progress.stop();
  }
}

interface Requests {
  has(step: number): boolean;
  send(request: WorkerRequest): void;
  take(step: number): Promise<Batch>;
  forgetOutside(first: number, last: number): void;
  fail(reason: unknown): void;
  close(): Promise<void>;
}

/** Requests under way, by step. The process may end while none of them is waited for. */
function createRequests(worker: Worker, report: (problem: PictureProblem) => void): Requests {
  interface Pending {
    readonly promise: Promise<Batch>;
    resolve(batch: Batch): void;
    reject(reason: unknown): void;
  }
  const pending = new Map<number, Pending>();
  let failure: { reason: unknown } | undefined;
  let waiting = 0;
  const fail = (reason: unknown) => {
    failure ??= { reason };
    for (const { reject } of pending.values()) reject(failure.reason);
  };
  worker.unref();
  worker.on('error', fail);
  const ended = new Promise<void>((resolve) => {
    worker.on('exit', (code) => {
      fail(new DataError(`loader: the worker thread ended with code ${code}`));
      resolve();
    });
  });
  worker.on('message', (response: WorkerResponse) => {
    if ('error' in response) {
      pending.get(response.step)?.reject(new DataError(response.error));
      return;
    }
    const { rows, pictures, problems } = response.batch;
    for (const problem of problems) report(problem);
    pending.get(response.step)?.resolve({ step: response.step, rows, pictures });
  });
  return {
    has: (step) => pending.has(step),
    send(request) {
      let resolve!: Pending['resolve'];
      let reject!: Pending['reject'];
      const promise = new Promise<Batch>((onValue, onError) => {
        resolve = onValue;
        reject = onError;
      });
      promise.catch(() => {}); // a batch that nobody waits for yet may fail; whoever takes it is told
      pending.set(request.step, { promise, resolve, reject });
      if (failure === undefined) worker.postMessage(request);
      else reject(failure.reason);
    },
    async take(step) {
      if (waiting++ === 0) worker.ref();
      try {
        return await pending.get(step)!.promise;
      } finally {
        pending.delete(step);
        if (--waiting === 0) worker.unref();
      }
    },
    forgetOutside(first, last) {
      for (const step of [...pending.keys()]) if (step < first || step > last) pending.delete(step);
    },
    fail,
    close() {
      fail(new DataError('loader: closed'));
      worker.ref();
      worker.postMessage(CLOSE);
      return ended;
    },
  };
}
