/**
 * The nearest pictures of some queries, and which queries went wrong worst: what the report shows.
 */
import { ShapeError } from '../util/index.js';
import { DescendingOrder } from './descending-order.js';
import { checkFinite, checkRows, encodeLabels, type Labels } from './ranking.js';
import { dotProducts, gatherRows } from './similarity.js';

export interface NeighbourOptions {
  /** [N, D], row-major; for a granularity, the weighted vectors `[e ; t ; c …]` of it. */
  embeddings: Float32Array;
  /** D. */
  dimension: number;
  /** Rows that ask. */
  queryRows: Int32Array;
  /** Rows that answer; default all. */
  galleryRows?: Int32Array | undefined;
  /** What shares the query's group (by its label) is left out, e.g. the source group. */
  excludeGroups?: Labels | undefined;
  /** Neighbours a query. Default 8; fewer are returned where the gallery is smaller. */
  k?: number | undefined;
}

export interface Neighbour {
  row: number;
  similarity: number;
}

/** The `k` most similar rows of each query, best first; ties by row. The query's own row is never among them. */
export function nearestNeighbours(options: NeighbourOptions): Neighbour[][] {
  const { embeddings, dimension, queryRows, k = 8 } = options;
  const rows = checkRows('nearestNeighbours', embeddings, dimension);
  if (!Number.isInteger(k) || k < 1)
    throw new ShapeError(`nearestNeighbours: k must be whole from 1, got ${k}.`);
  const galleryRows = options.galleryRows ?? Int32Array.from({ length: rows }, (_, row) => row);
  const groups =
    options.excludeGroups === undefined
      ? undefined
      : encodeLabels('nearestNeighbours: excludeGroups', options.excludeGroups, rows);
  checkFinite('nearestNeighbours', embeddings, dimension, queryRows);
  checkFinite('nearestNeighbours', embeddings, dimension, galleryRows);
  const gallery = gatherRows(embeddings, galleryRows, dimension);
  const order = new DescendingOrder(galleryRows.length);
  return Array.from(queryRows, (query) => {
    const own = embeddings.subarray(query * dimension, (query + 1) * dimension);
    const similarities = dotProducts(own, gallery, dimension);
    let count = 0;
    for (let g = 0; g < galleryRows.length; g++) {
      const row = galleryRows[g]!;
      if (row === query) continue;
      if (groups !== undefined && groups[query]! >= 0 && groups[row] === groups[query]) continue;
      order.values[count] = similarities[g]!;
      order.payload[count] = row;
      count++;
    }
    order.sort(count);
    return Array.from({ length: Math.min(k, count) }, (_, place) => ({
      row: order.payload[place]!,
      similarity: order.values[place]!,
    }));
  });
}

/**
 * Places in the list of queries whose first relevant picture came latest, worst first; ties by place. Queries found
 * at rank 1 and skipped ones are not among them.
 * @param firstRank as in `QueryMetrics`.
 */
export function worstQueries(
  firstRank: ArrayLike<number>,
  count: number,
): { query: number; firstRank: number }[] {
  return Array.from(firstRank, (rank, query) => ({ query, firstRank: rank }))
    .filter((entry) => entry.firstRank > 1)
    .sort((a, b) => b.firstRank - a.firstRank || a.query - b.query)
    .slice(0, count);
}
