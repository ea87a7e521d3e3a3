/** Asks the worker thread for views of pictures. Started at the first request; the process may end while none is under way. */
import type { Worker } from 'node:worker_threads';
import { DataError, startWorker } from '../util/index.js';
import type { PictureViews, ViewOptions } from './augmented-view.js';
import type { ViewBatch, ViewRequest, ViewResponse } from './view-worker.js';

export interface ViewMaker {
  /**
   * The views of the pictures, one picture after another.
   * @throws DataError when the thread ended; unreadable pictures are reported in the batch
   */
  make(pictures: readonly PictureViews[]): Promise<ViewBatch>;
  /** Ends the thread; what is under way is rejected. */
  close(): Promise<void>;
}

/** Views by these options, made on a thread of their own. */
export function createViewMaker(options: ViewOptions): ViewMaker {
  const pending = new Map<number, { resolve(batch: ViewBatch): void; reject(reason: unknown): void }>();
  let worker: Worker | undefined;
  let ended: Promise<void> = Promise.resolve();
  let failure: unknown;
  let nextId = 0;
  const fail = (reason: unknown) => {
    failure ??= reason;
    for (const { reject } of pending.values()) reject(failure);
    pending.clear();
    worker?.unref();
  };
  const start = () => {
    const started = startWorker(import.meta.url, 'view-worker', { role: 'semblance-views', options });
    started.unref();
    started.on('error', fail);
    started.on('message', (response: ViewResponse) => {
      const request = pending.get(response.id);
      pending.delete(response.id);
      if (pending.size === 0) started.unref();
      if ('error' in response) request?.reject(new DataError(response.error));
      else request?.resolve(response.batch);
    });
    ended = new Promise((resolve) => {
      started.on('exit', (code) => {
        fail(new DataError(`views: the worker thread ended with code ${code}`));
        resolve();
      });
    });
    return started;
  };
  return {
    make(pictures) {
      if (failure !== undefined) return Promise.reject(failure);
      worker ??= start();
      if (pending.size === 0) worker.ref();
      const request: ViewRequest = { id: nextId++, pictures };
      return new Promise((resolve, reject) => {
        pending.set(request.id, { resolve, reject });
        worker!.postMessage(request);
      });
    },
    async close() {
      fail(new DataError('views: closed'));
      worker?.ref();
      worker?.postMessage('close');
      await ended;
    },
  };
}
