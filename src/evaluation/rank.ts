/**
 * Ranking and graded judging of the same queries, where it is best done: here with a plain loop in float64, or, when
 * there is much of it, on worker threads that take a share of the queries each. A thread computes its products with
 * onnxruntime and ranks them itself, so nothing waits for anything and no similarity leaves its thread.
 */
import { availableParallelism } from 'node:os';
import { DataError, silentProgress, startWorker } from '../util/index.js';
import { type GradedOptions, type GradedQueryMetrics, gradedJudge } from './graded.js';
import { checkFinite, checkRows, type QueryMetrics, type RankingOptions, rankQueries } from './ranking.js';
import type { RankingShare, ShareMessage } from './ranking-worker.js';

/** Products (queries × gallery rows × D) above which a plain loop takes longer than threads to start. */
export const LARGE_RANKING = 4e9;

export interface RankOptions
  extends Omit<RankingOptions, 'visit'>,
    Pick<GradedOptions, 'items' | 'attributes' | 'knownAttributes'> {
  /** Whether the graded figures are wanted too. Default false. */
  graded?: boolean | undefined;
  /** Threads where there is much to do. Default: all cores. */
  threads?: number | undefined;
  /** Products from which on threads do it. Default: `LARGE_RANKING`. */
  largeFrom?: number | undefined;
}

export interface RankedQueries {
  metrics: Record<string, QueryMetrics>;
  graded?: GradedQueryMetrics;
}

/** As `rankQueries`, with graded figures. @throws as `rankQueries` */
export async function rank(options: RankOptions): Promise<RankedQueries> {
  const { queryRows, galleryRows, dimension } = options;
  const products = queryRows.length * galleryRows.length * dimension;
  if (options.similarity !== undefined || products <= (options.largeFrom ?? LARGE_RANKING))
    return rankHere(options);
  return rankOnThreads(options);
}

/** In this thread. */
export async function rankHere(options: RankOptions): Promise<RankedQueries> {
  const rows = checkRows('rankQueries', options.embeddings, options.dimension);
  const judge = options.graded ? gradedJudge(rows, options.queryRows.length, options) : undefined;
  const metrics = await rankQueries({ ...options, visit: judge?.visit });
  return judge === undefined ? { metrics } : { metrics, graded: judge.metrics };
}

// --- internal ---

async function rankOnThreads(options: RankOptions): Promise<RankedQueries> {
  const { embeddings, dimension, queryRows, galleryRows, signal } = options;
  signal?.throwIfAborted();
  checkRows('rankQueries', embeddings, dimension);
  checkFinite('rankQueries', embeddings, dimension, queryRows);
  checkFinite('rankQueries', embeddings, dimension, galleryRows);
  const threads = Math.max(1, Math.min(options.threads ?? availableParallelism(), queryRows.length));
  const bar = (options.progress ?? silentProgress)('ranking', queryRows.length);
  const done = new Array<number>(threads).fill(0);
  const each = Math.ceil(queryRows.length / threads);
  const { similarity: _, signal: __, progress: ___, threads: ____, ...rest } = options;
  const shared = new Float32Array(new SharedArrayBuffer(4 * embeddings.length));
  shared.set(embeddings);
  const common = { ...rest, embeddings: shared };
  const abort = new AbortController();
  const stop = signal === undefined ? abort.signal : AbortSignal.any([abort.signal, signal]);
  try {
    const shares = await Promise.allSettled(
      done.map((_, thread) =>
        rankShare(
          { ...common, queryRows: queryRows.slice(thread * each, (thread + 1) * each) },
          stop,
          (count) => {
            done[thread] = count;
            bar.update(done.reduce((sum, value) => sum + value, 0));
          },
        ).catch((error) => {
          abort.abort(error); // the others' work is for nothing
          throw error;
        }),
      ),
    );
    signal?.throwIfAborted();
    stop.throwIfAborted();
    return joined(shares.map((share) => (share as PromiseFulfilledResult<RankedQueries>).value));
  } finally {
    bar.stop();
  }
}

/** Resolves when the thread has ended, which it does by itself: ending it within onnxruntime would end the process. */
async function rankShare(
  share: RankingShare,
  signal: AbortSignal,
  report: (done: number) => void,
): Promise<RankedQueries> {
  const worker = startWorker(import.meta.url, 'ranking-worker', { role: 'semblance-ranking', share });
  const stop = () => worker.postMessage('stop');
  signal.addEventListener('abort', stop);
  let ranked: RankedQueries | undefined;
  let failure: Error | undefined;
  worker.on('message', (message: ShareMessage) => {
    if ('done' in message) report(message.done);
    else if ('error' in message) failure = new DataError(message.error);
    else ranked = message.ranked;
  });
  worker.on('error', (error) => {
    failure = error as Error;
  });
  const code = await new Promise<number>((resolve) => worker.once('exit', resolve));
  signal.removeEventListener('abort', stop);
  signal.throwIfAborted();
  if (failure !== undefined) throw failure;
  if (ranked === undefined) throw new DataError(`ranking: the worker thread ended with code ${code}`);
  return ranked;
}

/** The figures of all queries, in the order of the shares. */
function joined(parts: readonly RankedQueries[]): RankedQueries {
  const [first] = parts as [RankedQueries];
  const metrics = Object.fromEntries(
    Object.keys(first.metrics).map((level) => [level, join(parts.map((part) => part.metrics[level]!))]),
  );
  if (first.graded === undefined) return { metrics };
  return { metrics, graded: join(parts.map((part) => part.graded!)) };
}

function join<Figures extends { [Name in keyof Figures]: Float64Array }>(parts: readonly Figures[]): Figures {
  const names = Object.keys(parts[0]!) as (keyof Figures)[];
  return Object.fromEntries(
    names.map((name) => [name, Float64Array.from(parts.flatMap((part) => Array.from(part[name])))]),
  ) as Figures;
}
