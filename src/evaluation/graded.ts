/**
 * Metrics that know more than right and wrong: gains from levels (H-AP, ASI, nDCG) and from attributes (nDCG,
 * Spearman), which is what a semantic-granularity embedding claims and Recall@1 cannot show. Gains come from the
 * ground truth; predicted attributes never judge. Ties are pessimistic: of equal similarities the lesser gain first.
 */
import { sampleCorrelation } from 'simple-statistics';
import { ShapeError } from '../util/index.js';
import { checkFinite, checkRows, encodeLabels, type Labels } from './ranking.js';
import { dotProducts } from './similarity.js';

/** The attributes of a picture by name, each the list of its values; an empty list is unknown. */
export type AttributeSet = Readonly<Record<string, readonly string[]>>;

export interface GradedOptions {
  /** [N, D], row-major, rows of unit length. */
  embeddings: Float32Array;
  /** D. */
  dimension: number;
  /** Labels [N] by level, fine to coarse. */
  levels: Readonly<Record<string, Labels>>;
  /** [N]; with them the attribute metrics are computed. The item (finest level) must be known to judge them. */
  attributes?: readonly AttributeSet[] | undefined;
  /** Rows that ask; default all. All rows answer. */
  queryRows?: Int32Array | undefined;
  /** Depth k of nDCG@k. Default 10. */
  depth?: number | undefined;
  signal?: AbortSignal | undefined;
}

export interface GradedResult {
  /** Means over the queries that have anything relevant at any level. */
  hierarchicalAp: number;
  asi: number;
  /** Gain `2^level − 1`. */
  ndcgOfLevels: number;
  queries: number;
  /** With `attributes`: over pictures of other items; means over queries with known attributes. */
  attributes?: {
    /** nDCG@k with the Jaccard similarity of attributes as gain. */
    ndcg: number;
    /** Spearman's rank correlation of embedding similarity with it. */
    spearman: number;
    queries: number;
  };
}

/**
 * Graded metrics of the whole ranking of each query, leave-one-out. O(N log N) a query: for samples and test sets of
 * some ten thousand, not for millions.
 * @throws ShapeError where lengths disagree; DataError for NaN embeddings.
 */
export function evaluateGraded(options: GradedOptions): GradedResult {
  const { embeddings, dimension, attributes, depth = 10, signal } = options;
  const rows = checkRows('evaluateGraded', embeddings, dimension);
  if (attributes !== undefined && attributes.length !== rows) {
    throw new ShapeError(`evaluateGraded: attributes must be of N = ${rows} rows, got ${attributes.length}.`);
  }
  checkFinite(
    'evaluateGraded',
    embeddings,
    dimension,
    Int32Array.from({ length: rows }, (_, row) => row),
  );
  const levels = Object.entries(options.levels).map(([name, labels]) =>
    encodeLabels(`evaluateGraded: level '${name}'`, labels, rows),
  );
  const sets = attributes === undefined ? undefined : encodeAttributes(attributes);
  const level = { hierarchicalAp: 0, asi: 0, ndcg: 0, queries: 0 };
  const semantic = { ndcg: 0, spearman: 0, queries: 0 };
  for (const query of options.queryRows ?? Array.from({ length: rows }, (_, row) => row)) {
    signal?.throwIfAborted();
    const own = embeddings.subarray(query * dimension, (query + 1) * dimension);
    const similarities = dotProducts(own, embeddings, dimension);
    const others = Array.from({ length: rows }, (_, row) => row).filter((row) => row !== query);

    const depths = others.map((row) => agreement(levels, query, row));
    if (depths.some((agreed) => agreed > 0)) {
      const ranked = rankedGains(
        others.map((row) => similarities[row]!),
        depths,
      );
      level.hierarchicalAp += hierarchicalAp(ranked.map((agreed) => agreed / levels.length));
      level.asi += averageSetIntersection(ranked);
      level.ndcg += ndcg(
        ranked.map((agreed) => 2 ** agreed - 1),
        depth,
      );
      level.queries++;
    }
    if (sets === undefined) continue;
    const item = levels[0]!;
    const judged = others
      .filter((row) => item[row] !== item[query] || item[row]! < 0)
      .map((row) => ({ similarity: similarities[row]!, gain: jaccard(sets[query]!, sets[row]!) }))
      .filter((hit): hit is { similarity: number; gain: number } => hit.gain !== undefined);
    const alike = judged.map((hit) => hit.similarity);
    const gains = judged.map((hit) => hit.gain);
    const correlation = spearman(alike, gains);
    if (Number.isNaN(correlation)) continue; // nothing known, or all the same: no order to judge
    semantic.ndcg += ndcg(rankedGains(alike, gains), depth);
    semantic.spearman += correlation;
    semantic.queries++;
  }
  const over = Math.max(1, level.queries);
  const result: GradedResult = {
    hierarchicalAp: level.hierarchicalAp / over,
    asi: level.asi / over,
    ndcgOfLevels: level.ndcg / over,
    queries: level.queries,
  };
  if (sets !== undefined) {
    const judged = Math.max(1, semantic.queries);
    result.attributes = {
      ndcg: semantic.ndcg / judged,
      spearman: semantic.spearman / judged,
      queries: semantic.queries,
    };
  }
  return result;
}

/**
 * H-AP `Σ_k Hrank(k)/rank(k) / Σ rel`, with `Hrank(k) = rel(k) + Σ_{j before k} min(rel(k), rel(j))`, the sum over
 * relevant k. For gains of 0 and 1 it is average precision.
 * Source: Ramzi et al., Hierarchical Average Precision Training for Pertinent Image Retrieval, arXiv 2207.04873.
 * @param gains in ranking order, in [0, 1]; few different values (levels).
 * @returns 0 when nothing is relevant.
 */
export function hierarchicalAp(gains: ArrayLike<number>): number {
  const seen = new Map<number, number>();
  let sum = 0;
  let total = 0;
  for (let k = 0; k < gains.length; k++) {
    const gain = gains[k]!;
    if (gain > 0) {
      let hierarchicalRank = gain;
      for (const [other, count] of seen) hierarchicalRank += count * Math.min(gain, other);
      sum += hierarchicalRank / (k + 1);
      total += gain;
    }
    seen.set(gain, (seen.get(gain) ?? 0) + 1);
  }
  return total === 0 ? 0 : sum / total;
}

/**
 * ASI: the mean over depths n of the share of the ideal first n's levels found in the actual first n. Depths go to
 * the number of relevant pictures: beyond, it would rise by itself.
 * Source: Sun et al., Dynamic Metric Learning, arXiv 2103.11781.
 * @param levels in ranking order, 0 for irrelevant.
 * @returns 0 when nothing is relevant.
 */
export function averageSetIntersection(levels: ArrayLike<number>): number {
  const ideal = Array.from(levels).sort((a, b) => b - a);
  const relevant = ideal.filter((level) => level > 0).length;
  const found = new Map<number, number>();
  const wanted = new Map<number, number>();
  let sum = 0;
  for (let n = 0; n < relevant; n++) {
    found.set(levels[n]!, (found.get(levels[n]!) ?? 0) + 1);
    wanted.set(ideal[n]!, (wanted.get(ideal[n]!) ?? 0) + 1);
    let common = 0;
    for (const [level, count] of wanted) common += Math.min(count, found.get(level) ?? 0);
    sum += common / (n + 1);
  }
  return relevant === 0 ? 0 : sum / relevant;
}

/**
 * nDCG@k: `Σ_{r ≤ k} gain / log2(1 + r)` over the same of the ideal order.
 * Source: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002.
 * @param gains in ranking order.
 * @returns 0 when no gain is positive.
 */
export function ndcg(gains: ArrayLike<number>, depth: number): number {
  const ideal = Array.from(gains).sort((a, b) => b - a);
  const best = discounted(ideal, depth);
  return best === 0 ? 0 : discounted(gains, depth) / best;
}

/**
 * Spearman's rank correlation; equal values share the mean of their ranks.
 * @returns NaN when either side has fewer than two different values.
 */
export function spearman(a: readonly number[], b: readonly number[]): number {
  if (a.length < 2 || a.every((value) => value === a[0]) || b.every((value) => value === b[0]))
    return Number.NaN;
  return sampleCorrelation(meanRanks(a), meanRanks(b));
}

// --- internal ---

/** The finest level at which two rows agree, counted from the coarse end: L for the item, 1 for the coarsest, 0 none. */
function agreement(levels: readonly Int32Array[], query: number, row: number): number {
  const finest = levels.findIndex((codes) => codes[query]! >= 0 && codes[query] === codes[row]);
  return finest < 0 ? 0 : levels.length - finest;
}

function rankedGains(similarities: readonly number[], gains: readonly number[]): number[] {
  return similarities
    .map((similarity, i) => ({ similarity, gain: gains[i]! }))
    .sort((a, b) => b.similarity - a.similarity || a.gain - b.gain)
    .map(({ gain }) => gain);
}

function discounted(gains: ArrayLike<number>, depth: number): number {
  let sum = 0;
  for (let r = 1; r <= Math.min(depth, gains.length); r++) sum += gains[r - 1]! / Math.log2(1 + r);
  return sum;
}

function meanRanks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a]! - values[b]!);
  const ranks = new Array<number>(values.length).fill(0);
  for (let start = 0; start < order.length; ) {
    let end = start + 1;
    while (end < order.length && values[order[end]!] === values[order[start]!]) end++;
    for (let i = start; i < end; i++) ranks[order[i]!] = (start + end - 1) / 2;
    start = end;
  }
  return ranks;
}

/** A row's known attributes as sets of value numbers. */
type EncodedSet = readonly (ReadonlySet<number> | undefined)[];

function encodeAttributes(attributes: readonly AttributeSet[]): EncodedSet[] {
  const names = [...new Set(attributes.flatMap((row) => Object.keys(row)))];
  const codes = new Map<string, number>();
  const code = (value: string) => {
    if (!codes.has(value)) codes.set(value, codes.size);
    return codes.get(value)!;
  };
  return attributes.map((row) =>
    names.map((name) => {
      const values = row[name] ?? [];
      return values.length === 0 ? undefined : new Set(values.map((value) => code(`${name}\u0000${value}`)));
    }),
  );
}

/** Common values over all values, of the attributes that both know; undefined when there is none. */
function jaccard(a: EncodedSet, b: EncodedSet): number | undefined {
  let common = 0;
  let all = 0;
  for (let attribute = 0; attribute < a.length; attribute++) {
    const [left, right] = [a[attribute], b[attribute]];
    if (left === undefined || right === undefined) continue;
    let shared = 0;
    for (const value of left) if (right.has(value)) shared++;
    common += shared;
    all += left.size + right.size - shared;
  }
  return all === 0 ? undefined : common / all;
}
