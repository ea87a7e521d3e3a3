/**
 * A map of many embeddings: UMAP lays out a random sample, and every other row is placed among its nearest rows of the
 * sample. Neighbours among the sample are exact, so its size bounds time and memory; placing is one matrix product a block.
 *
 * Letters: N rows, D their size, M rows of the sample.
 */
import { setImmediate } from 'node:timers/promises';
import { Random, ShapeError, type StartProgress, silentProgress } from '../util/index.js';
import { embeddingMap } from './embedding-map.js';
import { runtimeProducts } from './products.js';
import { checkRows } from './ranking.js';
import { gatherRows } from './similarity.js';

export interface LargeEmbeddingMapOptions {
  /** Everything random follows from it. Default 0. */
  seed?: number;
  /** M, rows that UMAP lays out, from 3 on. Up to so many rows all are. Default 3000. */
  sample?: number;
  /** Neighbours that a point is kept near. Default 15. */
  neighbours?: number;
  /** Rounds of the layout. Default 300, and 200 for more than 1,000 rows. */
  rounds?: number;
  /** Threads of the matrix products. Default 2. */
  threads?: number;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

/**
 * Places in the unit square, one a row. The same rows, seed and number of threads give the same places.
 * @param embeddings [N, D], rows of unit length; distances are cosine distances. One row stands in the middle, two at
 *   the two ends.
 * @returns [N, 2], all in [0, 1]
 * @throws ShapeError when the rows are no whole rows, or the sample is less than 3; what `signal` was aborted with.
 */
export async function largeEmbeddingMap(
  embeddings: Float32Array,
  dimension: number,
  options: LargeEmbeddingMapOptions = {},
): Promise<Float32Array> {
  const { seed = 0, sample = 3000, threads = 2, neighbours, signal, progress } = options;
  const rows = checkRows('largeEmbeddingMap', embeddings, dimension);
  if (!Number.isInteger(sample) || sample < 3)
    throw new ShapeError(`largeEmbeddingMap: sample must be a whole number from 3 on, got ${sample}.`);
  if (rows < 3) return Float32Array.from([[], [0.5, 0.5], [0, 0.5, 1, 0.5]][rows] as number[]);
  const chosen =
    rows <= sample
      ? Int32Array.from({ length: rows }, (_, row) => row)
      : Int32Array.from(
          Random.from(seed, SAMPLE_STREAM)
            .shuffled(Array.from({ length: rows }, (_, row) => row))
            .slice(0, sample),
        ).sort();
  const own = gatherRows(embeddings, chosen, dimension);
  const places = await embeddingMap(own, dimension, {
    random: Random.from(seed, MAP_STREAM),
    ...(neighbours === undefined ? {} : { neighbours }),
    rounds: options.rounds ?? (chosen.length > 1000 ? 200 : 300),
    signal,
    progress,
  });
  for (let i = 0; i < places.length; i++) places[i] = inUnit(places[i]!);
  if (rows <= sample) return places;
  const result = new Float32Array(2 * rows);
  const isPlaced = new Uint8Array(rows);
  chosen.forEach((row, n) => {
    result.set(places.subarray(2 * n, 2 * n + 2), 2 * row);
    isPlaced[row] = 1;
  });
  await placeRest({ embeddings, dimension, own, places, result, isPlaced, seed, threads, signal, progress });
  return result;
}

// --- internal ---

const SAMPLE_STREAM = 41;
const MAP_STREAM = 42;
const JITTER_STREAM = 43;
const BLOCK_ROWS = 512;
/** Rows of the sample that a row is placed among. */
const NEAREST = 5;
/** Of the unit square: those further from the nearest one's place do not count, or a row would lie between two groups. */
const REACH = 0.04;
/** Standard deviation of a placed row's place, of the unit square: rows of one picture do not hide one another. */
const JITTER = 0.0015;

interface Rest {
  embeddings: Float32Array;
  dimension: number;
  /** [M, D] */
  own: Float32Array;
  /** [M, 2] */
  places: Float32Array;
  /** [N, 2]; the sample's places are in it. */
  result: Float32Array;
  isPlaced: Uint8Array;
  seed: number;
  threads: number;
  signal: AbortSignal | undefined;
  progress: StartProgress | undefined;
}

async function placeRest(rest: Rest): Promise<void> {
  const { embeddings, dimension, own, places, result, isPlaced, signal } = rest;
  const todo = Int32Array.from(isPlaced.keys()).filter((row) => isPlaced[row] === 0);
  const M = own.length / dimension;
  const random = Random.from(rest.seed, JITTER_STREAM);
  const products = await runtimeProducts(rest.threads);
  const bar = (rest.progress ?? silentProgress)('placing', todo.length);
  try {
    for (let start = 0; start < todo.length; start += BLOCK_ROWS) {
      const block = todo.subarray(start, start + BLOCK_ROWS);
      const similarities = await products.block(gatherRows(embeddings, block, dimension), own, dimension);
      block.forEach((row, n) => {
        const [x, y] = placeAmong(nearest(similarities.subarray(n * M, (n + 1) * M)), places);
        result[2 * row] = inUnit(x + JITTER * random.normal());
        result[2 * row + 1] = inUnit(y + JITTER * random.normal());
      });
      bar.update(Math.min(start + BLOCK_ROWS, todo.length));
      await setImmediate(); // lets signals in
      signal?.throwIfAborted();
    }
  } finally {
    bar.stop();
    await products.close();
  }
}

/** The largest similarities, largest first; ties by place. */
function nearest(similarities: Float32Array | Float64Array): { place: number; similarity: number }[] {
  const best: { place: number; similarity: number }[] = [];
  for (let place = 0; place < similarities.length; place++) {
    const similarity = similarities[place]!;
    if (best.length === NEAREST && similarity <= best[NEAREST - 1]!.similarity) continue;
    let at = best.length;
    while (at > 0 && best[at - 1]!.similarity < similarity) at--;
    best.splice(at, 0, { place, similarity });
    if (best.length > NEAREST) best.pop();
  }
  return best;
}

/** The mean of the neighbours' places around the nearest one's, the more alike the heavier. */
function placeAmong(
  neighbours: readonly { place: number; similarity: number }[],
  places: Float32Array,
): [number, number] {
  const first = neighbours[0]!;
  const [left, top] = [places[2 * first.place]!, places[2 * first.place + 1]!];
  const scale = Math.max(first.similarity - neighbours.at(-1)!.similarity, 1e-6) / 2;
  let [x, y, sum] = [0, 0, 0];
  for (const { place, similarity } of neighbours) {
    const [ownX, ownY] = [places[2 * place]!, places[2 * place + 1]!];
    if (Math.hypot(ownX - left, ownY - top) > REACH) continue;
    const weight = Math.exp((similarity - first.similarity) / scale);
    x += weight * ownX;
    y += weight * ownY;
    sum += weight;
  }
  return [x / sum, y / sum];
}

function inUnit(value: number): number {
  return Math.min(1, Math.max(0, value));
}
