/**
 * The one ranking behind every retrieval metric. Metrics ask of a query only the ranks of its relevant pictures, so the
 * gallery is never sorted: the relevant ones are, and one pass over the similarities counts how many reach each.
 *
 * Ties are pessimistic: among equal similarities the irrelevant come first, so a constant embedding scores what the
 * worst order would. A query's own row is left out by its index, never as "the first hit". Work goes in blocks of
 * queries: memory is the gallery, one block of similarities (at most 64 MB) and a few numbers a query.
 * Letters: N rows, D embedding size, Q queries, G gallery rows, R relevant pictures of a query, L levels.
 */
import { setImmediate } from 'node:timers/promises';
import { DataError, ShapeError, type StartProgress, silentProgress } from '../util/index.js';
import { DescendingOrder } from './descending-order.js';
import { dotProducts, type Embeddings, gatherRows, type SimilarityBlock } from './similarity.js';
import { ThresholdCounts } from './threshold-counts.js';

/** Labels of the N rows at one level: any integers with −1 for unknown, or any texts with '' for unknown. */
export type Labels = Int32Array | readonly string[];

export interface RankingOptions {
  /** [N, D], row-major; rows of unit length make the dot product the cosine. */
  embeddings: Embeddings;
  /** D. */
  dimension: number;
  /**
   * Labels by the level's name, fine to coarse, at most 31. A picture is relevant at a level when it agrees there;
   * unknown never agrees.
   */
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
   * Similarities closer than this count as equal. Default 1e-12 with the plain loop, which sums in float64; 1e-6 with
   * `similarity`, since float32 products round differently at the edges of their tiles.
   */
  tieTolerance?: number | undefined;
  /** Called once a query with what is relevant to it, e.g. the `visit` of `gradedJudge`. */
  visit?: ((query: RankedQuery) => void) | undefined;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

/** The gallery of one query. Every array is overwritten for the next query. */
export interface RankedQuery {
  /** Place of the query in `queryRows`. */
  readonly place: number;
  /** Its row. */
  readonly query: number;
  /** Pictures that agree with it at some level; only so many of `levels` and `ranks` count. */
  readonly relevant: number;
  /** By rank: the finest level of agreement counted from the coarse end, L for the finest and 1 for the coarsest. */
  readonly levels: Uint8Array;
  /** Their 1-based ranks, rising: of equal similarities the lesser level comes first, the irrelevant before all. */
  readonly ranks: Int32Array;
  /** The whole gallery: similarities from `offset` on, one for each of `galleryRows`; −∞ is what is left out. */
  readonly similarities: Float32Array | Float64Array;
  readonly offset: number;
  readonly galleryRows: Int32Array;
  /** Similarities closer than this are equal. */
  readonly tieTolerance: number;
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
  const names = Object.keys(options.levels);
  if (names.length > MAXIMUM_LEVELS)
    throw new ShapeError(`rankQueries: levels must be at most ${MAXIMUM_LEVELS}, got ${names.length}.`);
  const levels = names.map((name) => ({
    name,
    members: membersByLabel(
      encodeLabels(`rankQueries: level '${name}'`, options.levels[name]!, rows),
      galleryRows,
    ),
    metrics: emptyMetrics(queryRows.length),
  }));
  const groups =
    options.excludeGroups === undefined
      ? undefined
      : membersByLabel(encodeLabels('rankQueries: excludeGroups', options.excludeGroups, rows), galleryRows);
  checkFinite('rankQueries', embeddings, dimension, queryRows);
  checkFinite('rankQueries', embeddings, dimension, galleryRows);

  const similarity = options.similarity ?? dotProducts;
  const tolerance = options.tieTolerance ?? (options.similarity === undefined ? 1e-12 : 1e-6);
  const gallery = gatherRows(embeddings, galleryRows, dimension);
  const G = galleryRows.length;
  const placeOf = new Int32Array(rows).fill(-1);
  for (let g = 0; g < G; g++) placeOf[galleryRows[g]!] = g;
  const block = Math.max(1, Math.min(BLOCK_QUERIES, Math.floor(BLOCK_SIMILARITIES / Math.max(1, G))));
  const relevant = new RelevantPictures(
    G,
    levels.map(({ members }) => members),
  );
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
      for (let i = 0; i < blockRows.length; i++) {
        const query = blockRows[i]!;
        const offset = i * G;
        if (placeOf[query]! >= 0) similarities[offset + placeOf[query]!] = -Infinity;
        groups?.forEach(query, (g) => {
          similarities[offset + g] = -Infinity;
        });
        const nan = relevant.rank(query, similarities, offset, tolerance);
        if (nan >= 0) {
          throw new DataError(
            `rankQueries: similarities must be numbers, got NaN between rows ${query} and ${galleryRows[nan]}. Check the similarity function.`,
          );
        }
        for (let level = 0; level < levels.length; level++)
          relevant.measure(level, tolerance, levels[level]!.metrics, start + i);
        if (options.visit === undefined) continue;
        relevant.rankAcrossLevels(tolerance);
        options.visit({
          place: start + i,
          query,
          relevant: relevant.count,
          levels: relevant.finest,
          ranks: relevant.ranks,
          similarities,
          offset,
          galleryRows,
          tieTolerance: tolerance,
        });
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
export function checkRows(where: string, embeddings: Embeddings, dimension: number): number {
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
  embeddings: Embeddings,
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

/** One bit each. */
const MAXIMUM_LEVELS = 31;
const BLOCK_QUERIES = 256;
const BLOCK_SIMILARITIES = 8 * 2 ** 20; // 32 MB of float32, 64 of float64

function emptyMetrics(queries: number): QueryMetrics {
  const blank = () => new Float64Array(queries).fill(Number.NaN);
  return { firstRank: blank(), mapAtR: blank(), rPrecision: blank(), averagePrecision: blank() };
}

/** Who of the gallery has which label. */
interface Members {
  /** Calls with the places in the gallery of all that share the row's label; not at all where it is unknown. */
  forEach(row: number, visit: (place: number) => void): void;
}

function membersByLabel(codes: Int32Array, galleryRows: Int32Array): Members {
  const dense = new Map<number, number>();
  const labelOf = Int32Array.from(codes, (code) => {
    if (code < 0) return -1;
    const known = dense.get(code);
    if (known !== undefined) return known;
    dense.set(code, dense.size);
    return dense.size - 1;
  });
  const starts = new Int32Array(dense.size + 1);
  for (const row of galleryRows) if (labelOf[row]! >= 0) starts[labelOf[row]! + 1]!++;
  for (let label = 0; label < dense.size; label++) starts[label + 1]! += starts[label]!;
  const places = new Int32Array(starts[dense.size]!);
  const next = starts.slice();
  for (let g = 0; g < galleryRows.length; g++) {
    const label = labelOf[galleryRows[g]!]!;
    if (label >= 0) places[next[label]!++] = g;
  }
  return {
    forEach(row, visit) {
      const label = labelOf[row]!;
      if (label < 0) return;
      for (let i = starts[label]!; i < starts[label + 1]!; i++) visit(places[i]!);
    },
  };
}

/** The pictures that agree with one query at any level, from the most similar down. */
class RelevantPictures {
  /** How many there are. */
  count = 0;
  /** After `rankAcrossLevels`, as `RankedQuery` has them. */
  readonly finest: Uint8Array;
  readonly ranks: Int32Array;
  readonly #levels: readonly Members[];
  readonly #order: DescendingOrder;
  readonly #counts: ThresholdCounts;
  /** By place in the gallery: at which levels it agrees, a bit each; 0 between two queries. */
  readonly #bits: Int32Array;
  /** In ranking order. */
  readonly #agreed: Int32Array;

  constructor(gallery: number, levels: readonly Members[]) {
    this.#levels = levels;
    this.#order = new DescendingOrder(gallery);
    this.#counts = new ThresholdCounts(gallery);
    this.#bits = new Int32Array(gallery);
    this.#agreed = new Int32Array(gallery);
    this.finest = new Uint8Array(gallery);
    this.ranks = new Int32Array(gallery);
  }

  /** Finds, sorts and counts. @returns the place in the gallery of a similarity that is NaN, or −1. */
  rank(query: number, similarities: Float32Array | Float64Array, offset: number, tolerance: number): number {
    const bits = this.#bits;
    const { values, payload } = this.#order;
    let count = 0;
    let nan = -1;
    this.#levels.forEach((members, level) => {
      members.forEach(query, (g) => {
        const value = similarities[offset + g]!;
        if (value === -Infinity) return;
        if (Number.isNaN(value)) nan = g;
        if (bits[g] === 0) {
          values[count] = value;
          payload[count] = g;
          count++;
        }
        bits[g]! |= 1 << level;
      });
    });
    this.count = count;
    if (count === 0 || nan >= 0) return nan;
    this.#order.sort(count);
    const { thresholds } = this.#counts;
    for (let k = 0; k < count; k++) {
      const g = payload[k]!;
      this.#agreed[k] = bits[g]!;
      bits[g] = 0;
      thresholds[k] = values[k]! - tolerance;
    }
    nan = this.#counts.run(similarities, offset, offset + bits.length, count);
    return nan < 0 ? -1 : nan - offset;
  }

  /**
   * Writes the query's metrics at one level. The k-th relevant picture has rank k + (irrelevant ones at least as
   * similar): one pointer goes along the relevant, one runs ahead over the ties.
   */
  measure(level: number, tolerance: number, metrics: QueryMetrics, place: number): void {
    const { count } = this;
    const { values } = this.#order;
    const { atLeast } = this.#counts;
    const agreed = this.#agreed;
    const bit = 1 << level;
    let R = 0;
    for (let k = 0; k < count; k++) if (agreed[k]! & bit) R++;
    if (R === 0) return;
    let found = 0;
    let ahead = 0;
    let relevantAhead = 0;
    let foundInR = 0;
    let precisionInR = 0;
    let precision = 0;
    for (let k = 0; k < count; k++) {
      if ((agreed[k]! & bit) === 0) continue;
      const bound = values[k]! - tolerance;
      for (; ahead < count && values[ahead]! >= bound; ahead++) if (agreed[ahead]! & bit) relevantAhead++;
      found++;
      const rank = found + atLeast[k]! - relevantAhead;
      if (found === 1) metrics.firstRank[place] = rank;
      precision += found / rank;
      if (rank <= R) {
        foundInR++;
        precisionInR += found / rank;
      }
    }
    metrics.mapAtR[place] = precisionInR / R;
    metrics.rPrecision[place] = foundInR / R;
    metrics.averagePrecision[place] = precision / R;
  }

  /** Fills `finest` and `ranks`. What is within the tolerance of the most similar of a run is one tie. */
  rankAcrossLevels(tolerance: number): void {
    const { count, finest, ranks } = this;
    const { values } = this.#order;
    const { atLeast } = this.#counts;
    const L = this.#levels.length;
    for (let k = 0; k < count; k++) finest[k] = L - (31 - Math.clz32(this.#agreed[k]! & -this.#agreed[k]!));
    let ahead = 0;
    for (let start = 0; start < count; ) {
      let end = start + 1;
      while (end < count && values[end]! >= values[start]! - tolerance) end++;
      if (end - start > 1) finest.subarray(start, end).sort();
      const bound = values[end - 1]! - tolerance;
      while (ahead < count && values[ahead]! >= bound) ahead++;
      const irrelevant = atLeast[end - 1]! - ahead;
      for (let k = start; k < end; k++) ranks[k] = k + 1 + irrelevant;
      start = end;
    }
  }
}
