/**
 * The one ranking behind every retrieval metric. For each query the gallery is ordered once by similarity and walked
 * once a level; what the metrics need of a query is only the ranks of its relevant pictures.
 *
 * Ties are pessimistic: among equal similarities the irrelevant come first, so a constant embedding scores what the
 * worst order would. A query's own row is left out by its index, never as "the first hit". Work goes in blocks of
 * queries: memory is the gallery, one block of similarities (at most 32 MB) and a few numbers a query.
 * Letters: N rows, D embedding size, Q queries, G gallery rows, R relevant pictures of a query.
 */
import { setImmediate } from 'node:timers/promises';
import { DataError, ShapeError, type StartProgress, silentProgress } from '../util/index.js';
import { DescendingOrder } from './descending-order.js';
import { dotProducts, gatherRows, type SimilarityBlock } from './similarity.js';

/** Labels of the N rows at one level: any integers with −1 for unknown, or any texts with '' for unknown. */
export type Labels = Int32Array | readonly string[];

export interface RankingOptions {
  /** [N, D], row-major; rows of unit length make the dot product the cosine. */
  embeddings: Float32Array;
  /** D. */
  dimension: number;
  /** Labels by the level's name. A picture is relevant at a level when it agrees there; unknown never agrees. */
  levels: Readonly<Record<string, Labels>>;
  /** Rows that ask. */
  queryRows: Int32Array;
  /** Rows that answer. */
  galleryRows: Int32Array;
  /** When given, what shares the query's group is left out of its gallery (other pictures by the same source). */
  excludeGroups?: Labels | undefined;
  /** Faster dot products; default the plain loop. */
  similarity?: SimilarityBlock | undefined;
  /**
   * Similarities closer than this count as equal. Default 0 with the plain loop, which gives equal vectors equal
   * similarities; 1e-6 with `similarity`, since matrix products round differently at the edges of their tiles.
   */
  tieTolerance?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

/** Metrics of single queries at one level, in the order of `queryRows`; NaN where nothing is relevant. */
export interface QueryMetrics {
  /** 1-based rank of the first relevant picture; Recall@K is 1 where it is at most K. */
  firstRank: Float64Array;
  /** Mean average precision at R: `Σ_{k ≤ R} rel(k)·precision(k) / R` (Musgrave et al., arXiv 2003.08505). */
  mapAtR: Float64Array;
  /** Share of relevant pictures among the first R. */
  rPrecision: Float64Array;
  /** Average precision over the whole ranking. */
  averagePrecision: Float64Array;
}

/**
 * Ranks the gallery for each query and returns each query's metrics at each level.
 * @throws ShapeError where lengths disagree, DataError where an embedding or a similarity is not finite.
 */
export async function rankQueries(options: RankingOptions): Promise<Record<string, QueryMetrics>> {
  const { embeddings, dimension, queryRows, galleryRows, signal } = options;
  const rows = checkRows('rankQueries', embeddings, dimension);
  const levels = Object.entries(options.levels).map(([name, labels]) => ({
    name,
    codes: encodeLabels(`rankQueries: level '${name}'`, labels, rows),
    metrics: emptyMetrics(queryRows.length),
  }));
  const groups =
    options.excludeGroups === undefined
      ? undefined
      : encodeLabels('rankQueries: excludeGroups', options.excludeGroups, rows);
  checkFinite('rankQueries', embeddings, dimension, queryRows);
  checkFinite('rankQueries', embeddings, dimension, galleryRows);

  const similarity = options.similarity ?? dotProducts;
  const tolerance = options.tieTolerance ?? (options.similarity === undefined ? 0 : 1e-6);
  const gallery = gatherRows(embeddings, galleryRows, dimension);
  const G = galleryRows.length;
  const block = Math.max(1, Math.min(BLOCK_QUERIES, Math.floor(BLOCK_SIMILARITIES / Math.max(1, G))));
  const order = new DescendingOrder(G);
  const progress = (options.progress ?? silentProgress)('ranking', queryRows.length);
  try {
    for (let start = 0; start < queryRows.length; start += block) {
      signal?.throwIfAborted();
      const blockRows = queryRows.subarray(start, start + block);
      const queries = gatherRows(embeddings, blockRows, dimension);
      const similarities = G === 0 ? new Float32Array() : await similarity(queries, gallery, dimension);
      if (similarities.length !== blockRows.length * G) {
        throw new ShapeError(
          `rankQueries: similarity must return [Q, G] = [${blockRows.length}, ${G}], got ${similarities.length} values. Return one value for each query and gallery row.`,
        );
      }
      for (let place = 0; place < blockRows.length; place++) {
        const row = blockRows[place]!;
        const count = fillCandidates(order, similarities, place * G, row, galleryRows, groups);
        order.sort(count);
        for (const { codes, metrics } of levels) {
          walk(order, count, codes, codes[row]!, tolerance, metrics, start + place);
        }
      }
      progress.update(Math.min(start + block, queryRows.length));
      await setImmediate(); // lets signals and timers in between two blocks
    }
  } finally {
    progress.stop();
  }
  return Object.fromEntries(levels.map(({ name, metrics }) => [name, metrics]));
}

/** Labels as integers, −1 for unknown; equal labels get equal integers. */
export function encodeLabels(where: string, labels: Labels, rows: number): Int32Array {
  if (labels.length !== rows) {
    throw new ShapeError(
      `${where}: labels must have shape [N] = [${rows}], got [${labels.length}]. Give one label for each row of the embeddings.`,
    );
  }
  if (labels instanceof Int32Array) return labels;
  const codes = new Map<string, number>([['', -1]]);
  return Int32Array.from(labels, (label) => {
    const known = codes.get(label);
    if (known !== undefined) return known;
    const code = codes.size - 1;
    codes.set(label, code);
    return code;
  });
}

/** The number of rows N of `embeddings` [N, D]. @throws ShapeError when its length is no multiple of D. */
export function checkRows(where: string, embeddings: Float32Array, dimension: number): number {
  const rows = embeddings.length / dimension;
  if (!(Number.isInteger(dimension) && dimension > 0 && Number.isInteger(rows))) {
    throw new ShapeError(
      `${where}: embeddings must have shape [N, dimension], got ${embeddings.length} values with dimension ${dimension}. Pass the embedding size of the model.`,
    );
  }
  return rows;
}

/** @throws DataError naming the first of `rows` whose embedding holds NaN or infinity. */
export function checkFinite(
  where: string,
  embeddings: Float32Array,
  dimension: number,
  rows: Int32Array,
): void {
  for (const row of rows) {
    for (let i = row * dimension; i < (row + 1) * dimension; i++) {
      if (Number.isFinite(embeddings[i])) continue;
      throw new DataError(
        `${where}: embeddings must be finite, got ${embeddings[i]} in row ${row}, column ${i - row * dimension}. Look at that picture and at the model.`,
      );
    }
  }
}

// --- internal ---

const BLOCK_QUERIES = 256;
const BLOCK_SIMILARITIES = 8 * 2 ** 20; // 32 MB

function emptyMetrics(queries: number): QueryMetrics {
  const blank = () => new Float64Array(queries).fill(Number.NaN);
  return { firstRank: blank(), mapAtR: blank(), rPrecision: blank(), averagePrecision: blank() };
}

/** Puts the similarities of what the query may find into `order`, with gallery rows as payload. */
function fillCandidates(
  order: DescendingOrder,
  similarities: Float32Array,
  offset: number,
  query: number,
  galleryRows: Int32Array,
  groups: Int32Array | undefined,
): number {
  const { values, payload } = order;
  const ownGroup = groups === undefined ? -1 : groups[query]!;
  let count = 0;
  for (let g = 0; g < galleryRows.length; g++) {
    const row = galleryRows[g]!;
    if (row === query) continue;
    if (ownGroup >= 0 && groups![row] === ownGroup) continue;
    const value = similarities[offset + g]!;
    if (Number.isNaN(value)) {
      throw new DataError(
        `rankQueries: similarities must be numbers, got NaN between rows ${query} and ${row}. Check the similarity function.`,
      );
    }
    values[count] = value;
    payload[count] = row;
    count++;
  }
  return count;
}

/**
 * Finds the ranks of the relevant pictures and writes the query's metrics. The k-th relevant picture has rank
 * k + (irrelevant ones at least as similar): one pointer goes along the relevant, one runs ahead over the ties.
 */
function walk(
  order: DescendingOrder,
  count: number,
  codes: Int32Array,
  label: number,
  tolerance: number,
  metrics: QueryMetrics,
  query: number,
): void {
  if (label < 0) return;
  const { values, payload } = order;
  let R = 0;
  for (let i = 0; i < count; i++) if (codes[payload[i]!] === label) R++;
  if (R === 0) return;
  let found = 0;
  let irrelevant = 0;
  let ahead = 0;
  let foundInR = 0;
  let precisionInR = 0;
  let precision = 0;
  for (let i = 0; found < R; i++) {
    if (codes[payload[i]!] !== label) continue;
    const bound = values[i]! - tolerance;
    while (ahead < count && values[ahead]! >= bound) {
      if (codes[payload[ahead]!] !== label) irrelevant++;
      ahead++;
    }
    found++;
    const rank = found + irrelevant;
    if (found === 1) metrics.firstRank[query] = rank;
    precision += found / rank;
    if (rank <= R) {
      foundInR++;
      precisionInR += found / rank;
    }
  }
  metrics.mapAtR[query] = precisionInR / R;
  metrics.rPrecision[query] = foundInR / R;
  metrics.averagePrecision[query] = precision / R;
}
