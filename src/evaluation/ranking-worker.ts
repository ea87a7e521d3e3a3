/** The worker thread that ranks a share of the queries; its products are onnxruntime's, on this thread alone. */
import { parentPort, workerData } from 'node:worker_threads';
import { errorMessage } from '../util/index.js';
import { runtimeProducts } from './products.js';
import { type RankedQueries, type RankOptions, rankHere } from './rank.js';

/** What can be sent to a thread: everything but functions. */
export type RankingShare = Omit<
  RankOptions,
  'embeddings' | 'similarity' | 'signal' | 'progress' | 'threads'
> & {
  /** Shared by the threads. */
  embeddings: Float32Array<SharedArrayBuffer>;
};

export type ShareMessage = { done: number } | { error: string } | { ranked: RankedQueries };

interface ThreadData {
  readonly role: 'semblance-ranking';
  readonly share: RankingShare;
}

// --- internal ---

async function main(share: RankingShare): Promise<void> {
  const send = (message: ShareMessage) => parentPort?.postMessage(message);
  const stop = new AbortController();
  parentPort?.once('message', () => stop.abort());
  const products = await runtimeProducts();
  try {
    const ranked = await rankHere({
      ...share,
      embeddings: new Float32Array(share.embeddings), // onnxruntime refuses shared memory
      similarity: products.block,
      signal: stop.signal,
      progress: () => ({ update: (done) => send({ done }), stop() {} }),
    });
    send({ ranked });
  } catch (error) {
    send({ error: errorMessage(error) });
  } finally {
    await products.close();
    parentPort?.close();
  }
}

const data = workerData as ThreadData | undefined;
if (data?.role === 'semblance-ranking') await main(data.share);
