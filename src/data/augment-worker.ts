/**
 * The worker thread of the loader: turns requests (a step and its rows) into batches of augmented pictures, one
 * after another. A view depends on (seed, step, position in the batch) and on nothing else.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DataError, errorMessage, Random } from '../util/index.js';
import { type AugmentationOptions, augmentPicture, premultiplyAlpha } from './augment.js';
import type { DecodeOptions } from './decode.js';
import { decodeInto, type PictureProblem, type PictureRow } from './decode-rows.js';
import { groupOfPlace } from './sampler.js';

export interface WorkerSetup {
  /** All pictures, [rows, S, S, 4] premultiplied; or the rows to decode them from when they are too many. */
  readonly source: { readonly pixels: SharedArrayBuffer } | { readonly rows: readonly PictureRow[] };
  readonly sourceSize: number;
  readonly size: number;
  readonly picturesPerItem: number;
  /** P·K, places of items in a batch; behind them lie pairs. Default: all. */
  readonly itemPlaces?: number;
  readonly augmentation: AugmentationOptions;
  readonly fit: DecodeOptions['fit'];
  readonly seed: number;
}

export interface WorkerRequest {
  readonly step: number;
  readonly rows: Int32Array;
}

/** Instead of a request: finish what was begun, drop what was not, and end. */
export const CLOSE = 'close';

export type WorkerResponse =
  | { readonly step: number; readonly batch: Omit<WorkerBatch, 'step'> }
  | { readonly step: number; readonly error: string };

export interface WorkerBatch {
  readonly step: number;
  /** The rows that were asked for, but for unreadable ones, whose place another row of the batch has taken. */
  readonly rows: Int32Array;
  /** [B, H, H, 3] */
  readonly pictures: Uint8Array<ArrayBuffer>;
  readonly problems: readonly PictureProblem[];
}

/** Makes one batch; what the thread does with each request. Exported for tests. */
export async function makeBatch(
  setup: WorkerSetup,
  { step, rows: asked }: WorkerRequest,
): Promise<WorkerBatch> {
  const { sourceSize, size, augmentation, seed } = setup;
  const rows = Int32Array.from(asked);
  const sourceBytes = sourceSize * sourceSize * 4;
  const pictures = new Uint8Array(rows.length * size * size * 3);
  let problems: readonly PictureProblem[] = [];
  let sourceAt: (position: number) => Uint8Array;
  if ('pixels' in setup.source) {
    const { pixels } = setup.source;
    sourceAt = (position) => new Uint8Array(pixels, rows[position]! * sourceBytes, sourceBytes);
  } else {
    const decoded = await decodeBatch(setup, setup.source.rows, rows);
    problems = decoded.problems;
    sourceAt = decoded.sourceAt;
  }
  const mirrored = { ...augmentation, flipProbability: 1 - augmentation.flipProbability };
  for (let position = 0; position < rows.length; position++) {
    const random = Random.from(seed, AUGMENTATION_STREAM, step, position);
    const item = groupOfPlace(position, setup.picturesPerItem, setup.itemPlaces ?? rows.length);
    const isItemFlipped =
      Random.from(seed, ITEM_STREAM, step, item).uniform() < augmentation.itemFlipProbability;
    augmentPicture(
      sourceAt(position),
      sourceSize,
      isItemFlipped ? mirrored : augmentation,
      random,
      pictures,
      position * size * size * 3,
      size,
    );
  }
  return { step, rows, pictures, problems };
}

// --- internal ---

const AUGMENTATION_STREAM = 3;
const ITEM_STREAM = 4;

/** Decodes the different rows of a batch. Where one cannot be read, `rows` is changed to one that can. */
async function decodeBatch(
  setup: WorkerSetup,
  all: readonly PictureRow[],
  rows: Int32Array,
): Promise<{ sourceAt: (position: number) => Uint8Array; problems: readonly PictureProblem[] }> {
  const { sourceSize, fit, picturesPerItem } = setup;
  const different = [...new Set(rows)];
  const bytes = sourceSize * sourceSize * 4;
  const pixels = new Uint8Array(different.length * bytes);
  const found = await decodeInto(
    different.map((row) => all[row]!),
    pixels,
    4,
    { size: sourceSize, ...(fit === undefined ? {} : { fit }) },
  );
  premultiplyAlpha(pixels);
  const problems = found.map((problem) => ({ ...problem, row: different[problem.row]! }));
  const bad = new Set(problems.map((problem) => problem.row));
  if (bad.size === different.length) {
    throw new DataError(`no picture of the batch can be read; the first: ${problems[0]?.message}`);
  }
  if (bad.size > 0) {
    const asked = Int32Array.from(rows);
    for (let position = 0; position < rows.length; position++) {
      if (!bad.has(asked[position]!)) continue;
      const start = position - (position % picturesPerItem);
      const order = [...asked.subarray(start, start + picturesPerItem), ...asked.subarray(start), ...asked];
      rows[position] = order.find((row) => !bad.has(row))!;
    }
  }
  const place = new Map(different.map((row, index) => [row, index * bytes]));
  return {
    problems,
    sourceAt: (position) => {
      const start = place.get(rows[position]!)!;
      return pixels.subarray(start, start + bytes);
    },
  };
}

function serve(setup: WorkerSetup): void {
  const port = parentPort!;
  let last = Promise.resolve();
  let isClosing = false;
  port.on('message', (request: WorkerRequest | typeof CLOSE) => {
    if (request === CLOSE) {
      // Not terminated from outside: a decoder may be at work on this thread's memory.
      isClosing = true;
      last = last.then(() => port.close());
      return;
    }
    last = last.then(async () => {
      if (isClosing) return;
      try {
        const { step, ...batch } = await makeBatch(setup, request);
        const response: WorkerResponse = { step, batch };
        port.postMessage(response, [batch.pictures.buffer]);
      } catch (error) {
        const response: WorkerResponse = { step: request.step, error: errorMessage(error) };
        port.postMessage(response);
      }
    });
  });
}

/** True in the thread that the loader starts; false where the module is merely imported. */
if (parentPort !== null && (workerData as { role?: unknown } | null)?.role === 'semblance-augment') {
  serve((workerData as { setup: WorkerSetup }).setup);
}
