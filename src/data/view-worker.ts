/**
 * The worker thread that makes views: while a model runs, which blocks the thread it was started from, this one goes on
 * decoding. Requests are answered one after another; within one, pictures are decoded in parallel.
 */
import { parentPort, workerData } from 'node:worker_threads';
import { DataError, errorMessage } from '../util/index.js';
import { makeViews, type PictureViews, type ViewOptions } from './augmented-view.js';
import { forEachInParallel } from './parallel.js';

export interface ViewRequest {
  readonly id: number;
  readonly pictures: readonly PictureViews[];
}

/** Pictures in the order of the request, their views one after another. */
export interface ViewBatch {
  /** [n, S, S, 3] without the views of unreadable pictures */
  readonly pixels: Uint8Array<ArrayBuffer>;
  /** `picture` is a position in the request. */
  readonly problems: readonly { readonly picture: number; readonly message: string }[];
}

export type ViewResponse =
  | { readonly id: number; readonly batch: ViewBatch }
  | { readonly id: number; readonly error: string };

/** Makes the views of pictures; what the thread does with each request. */
export async function makeViewBatch(
  pictures: readonly PictureViews[],
  options: ViewOptions,
): Promise<ViewBatch> {
  const viewBytes = options.size * options.size * 3;
  const starts: number[] = [];
  let total = 0;
  for (const { views } of pictures) {
    starts.push(total);
    total += views.length;
  }
  const pixels = new Uint8Array(total * viewBytes);
  const problems: { picture: number; message: string }[] = [];
  await forEachInParallel(pictures.length, async (picture) => {
    try {
      await makeViews(pictures[picture]!, options, pixels, starts[picture]! * viewBytes);
    } catch (error) {
      if (!(error instanceof DataError)) throw error;
      problems.push({ picture, message: errorMessage(error) });
    }
  });
  problems.sort((a, b) => a.picture - b.picture);
  if (problems.length === 0) return { pixels, problems };
  const bad = new Set(problems.map(({ picture }) => picture));
  let kept = 0;
  for (const [picture, { views }] of pictures.entries()) {
    if (bad.has(picture)) continue;
    const start = starts[picture]!;
    pixels.copyWithin(kept * viewBytes, start * viewBytes, (start + views.length) * viewBytes);
    kept += views.length;
  }
  return { pixels: pixels.slice(0, kept * viewBytes), problems };
}

// --- internal ---

function serve(options: ViewOptions): void {
  const port = parentPort!;
  let last = Promise.resolve();
  let isClosing = false;
  port.on('message', (request: ViewRequest | 'close') => {
    if (request === 'close') {
      // Not terminated from outside: a decoder may be at work on this thread's memory.
      isClosing = true;
      last = last.then(() => port.close());
      return;
    }
    last = last.then(async () => {
      if (isClosing) return;
      const { id, pictures } = request;
      try {
        const batch = await makeViewBatch(pictures, options);
        const response: ViewResponse = { id, batch };
        port.postMessage(response, [batch.pixels.buffer]);
      } catch (error) {
        const response: ViewResponse = { id, error: errorMessage(error) };
        port.postMessage(response);
      }
    });
  });
}

/** True in the thread that `createViewMaker` starts; false where the module is merely imported. */
if (parentPort !== null && (workerData as { role?: unknown } | null)?.role === 'semblance-views') {
  serve((workerData as { options: ViewOptions }).options);
}
