/**
 * Many pictures at once. One thread a picture and a few pictures at a time: libvips shares one picture among all
 * cores by default, which is slower for the small pictures of a data set.
 */
import sharp from 'sharp';

/**
 * Calls `work` for 0 … count − 1, a few at a time, begun in order. The first error ends it.
 * @param pipelines how many at a time. Default 4, the size of Node's thread pool.
 */
export async function forEachInParallel(
  count: number,
  work: (index: number) => Promise<void>,
  { pipelines = 4, signal }: { pipelines?: number; signal?: AbortSignal | undefined } = {},
): Promise<void> {
  let next = 0;
  const pipeline = async () => {
    while (next < count) {
      signal?.throwIfAborted();
      await work(next++);
    }
  };
  enter();
  try {
    const results = await Promise.allSettled(
      Array.from({ length: Math.min(pipelines, count) }, () => pipeline().catch(stop)),
    );
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  } finally {
    leave();
  }

  function stop(error: unknown): never {
    next = count;
    throw error;
  }
}

// --- internal ---

/** The setting belongs to the process: the first one in sets it, the last one out sets it back. */
let inside = 0;
let threadsBefore = 0;

function enter(): void {
  if (inside++ > 0) return;
  threadsBefore = sharp.concurrency();
  sharp.concurrency(1);
}

function leave(): void {
  if (--inside === 0) sharp.concurrency(threadsBefore);
}
