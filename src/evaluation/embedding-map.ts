/**
 * A map of embeddings in the plane by UMAP (McInnes, Healy and Melville, arXiv 1802.03426), with our random numbers, so
 * that the same embeddings and seed give the same map. Neighbours are exact: for the few thousand points of a map that is
 * quicker than searching for them.
 */
import { setImmediate } from 'node:timers/promises';
import { type Random, ShapeError, type StartProgress, silentProgress } from '../util/index.js';
import { nearestNeighbours } from './neighbours.js';
import { checkRows } from './ranking.js';

export interface EmbeddingMapOptions {
  random: Random;
  /** Neighbours that a point is kept near. Default 15; fewer for fewer points. */
  neighbours?: number;
  /** Rounds of the layout. Default 300. */
  rounds?: number;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

/**
 * Places in the unit square, one a row; the longer side of the map fills it.
 * @param embeddings [N, D], rows of unit length; distances are cosine distances. N from 3 on; memory and time of the
 *   neighbours grow with its square.
 * @returns [N, 2]
 * @throws ShapeError for fewer than 3 rows.
 */
export async function embeddingMap(
  embeddings: Float32Array,
  dimension: number,
  { random, neighbours = 15, rounds = 300, signal, progress = silentProgress }: EmbeddingMapOptions,
): Promise<Float32Array> {
  const rows = checkRows('embeddingMap', embeddings, dimension);
  if (rows < 3) throw new ShapeError(`embeddingMap: there must be at least 3 rows, got ${rows}.`);
  const k = Math.min(neighbours, rows - 1);
  const found = nearestNeighbours({
    embeddings,
    dimension,
    queryRows: Int32Array.from({ length: rows }, (_, row) => row),
    k: k - 1,
  });
  const { UMAP } = await import('umap-js');
  const umap = new UMAP({ random: () => random.uniform(), nNeighbors: k, nEpochs: rounds });
  // A point is its own first neighbour there.
  umap.setPrecomputedKNN(
    found.map((list, row) => [row, ...list.map((neighbour) => neighbour.row)]),
    found.map((list) => [0, ...list.map(({ similarity }) => Math.max(0, 1 - similarity))]),
  );
  umap.initializeFit(
    Array.from({ length: rows }, (_, row) =>
      Array.from(embeddings.subarray(row * dimension, (row + 1) * dimension)),
    ),
  );
  const bar = progress('map', rounds);
  try {
    for (let round = 0; round < rounds; round++) {
      umap.step();
      if (round % 10 > 0) continue;
      bar.update(round);
      await setImmediate(); // lets signals in
      signal?.throwIfAborted();
    }
  } finally {
    bar.stop();
  }
  return inUnitSquare(umap.getEmbedding());
}

// --- internal ---

function inUnitSquare(points: readonly (readonly number[])[]): Float32Array {
  const bounds = [0, 1].map((axis) => {
    const values = points.map((point) => point[axis]!);
    return { low: Math.min(...values), high: Math.max(...values) };
  });
  const side = Math.max(...bounds.map(({ low, high }) => high - low)) || 1;
  return Float32Array.from(
    points.flatMap((point) =>
      bounds.map(({ low, high }, axis) => 0.5 + (point[axis]! - (low + high) / 2) / side),
    ),
  );
}
