/**
 * Figures of one ranking with more than right and wrong in it: H-AP, ASI, nDCG and Spearman's rank correlation. The
 * relevant pictures are given from the first down, by level (1 the coarsest, L the finest agreement) and 1-based rank;
 * whatever is not listed is irrelevant. Who makes the list breaks ties pessimistically: the lesser level first.
 */

/**
 * H-AP `Σ_k Hrank(k)/rank(k) / Σ rel`, with `Hrank(k) = rel(k) + Σ_{j before k} min(rel(k), rel(j))`, the sum over
 * relevant k and `rel` = level / L. With one level it is average precision; a factor on `rel` changes nothing.
 * Source: Ramzi et al., Hierarchical Average Precision Training for Pertinent Image Retrieval, arXiv 2207.04873.
 * @param count how many of the arrays count; default all, as in the following.
 * @returns 0 when nothing is relevant.
 */
export function hierarchicalAp(
  levels: ArrayLike<number>,
  ranks: ArrayLike<number>,
  count = levels.length,
): number {
  const seen: number[] = []; // by level
  let sum = 0;
  let total = 0;
  for (let k = 0; k < count; k++) {
    const level = levels[k]!;
    while (seen.length <= level) seen.push(0);
    let hierarchicalRank = level;
    for (let other = 1; other < seen.length; other++)
      hierarchicalRank += seen[other]! * Math.min(level, other);
    sum += hierarchicalRank / ranks[k]!;
    total += level;
    seen[level]!++;
  }
  return total === 0 ? 0 : sum / total;
}

/**
 * ASI: the mean over depths n of the share of the ideal first n's levels found in the actual first n. Depths go to
 * the number of relevant pictures: beyond, it would rise by itself.
 * Source: Sun et al., Dynamic Metric Learning, arXiv 2103.11781.
 * @returns 0 when nothing is relevant.
 */
export function averageSetIntersection(
  levels: ArrayLike<number>,
  ranks: ArrayLike<number>,
  count = levels.length,
): number {
  const left = countLevels(levels, count); // of the ideal order, from the finest
  const found = left.map(() => 0);
  const wanted = left.map(() => 0);
  let best = left.length - 1;
  let next = 0;
  let common = 0; // Σ over levels of min(found, wanted)
  let sum = 0;
  for (let n = 1; n <= count; n++) {
    if (next < count && ranks[next] === n) {
      const level = levels[next++]!;
      if (found[level]! < wanted[level]!) common++;
      found[level]!++;
    }
    while (left[best] === 0) best--;
    left[best]!--;
    if (wanted[best]! < found[best]!) common++;
    wanted[best]!++;
    sum += common / n;
  }
  return count === 0 ? 0 : sum / count;
}

/**
 * nDCG@k of levels: `Σ_{rank ≤ k} (2^level − 1) / log2(1 + rank)` over the same of the ideal order.
 * Source: Järvelin and Kekäläinen, ACM TOIS 20(4), 2002; the gain is Burges et al.'s, ICML 2005.
 * @param depth k. Default: the whole ranking.
 * @returns 0 when nothing is relevant.
 */
export function ndcgOfLevels(
  levels: ArrayLike<number>,
  ranks: ArrayLike<number>,
  count = levels.length,
  depth = Number.POSITIVE_INFINITY,
): number {
  let sum = 0;
  for (let k = 0; k < count && ranks[k]! <= depth; k++) sum += (2 ** levels[k]! - 1) / log2Of(1 + ranks[k]!);
  let best = 0;
  let rank = 1;
  const counts = countLevels(levels, count);
  for (let level = counts.length - 1; level > 0; level--) {
    const end = Math.min(depth, rank + counts[level]! - 1);
    for (; rank <= end; rank++) best += (2 ** level - 1) / log2Of(1 + rank);
  }
  return best === 0 ? 0 : sum / best;
}

/**
 * nDCG@k of any gains: `Σ_{r ≤ k} gain / log2(1 + r)` over the same of the ideal order.
 * @param gains of the first k in ranking order.
 * @param idealGains the k largest of all, falling.
 * @returns 0 when no gain is positive.
 */
export function ndcg(gains: ArrayLike<number>, idealGains: ArrayLike<number>): number {
  const best = discounted(idealGains);
  return best === 0 ? 0 : discounted(gains) / best;
}

/**
 * Spearman's rank correlation: Pearson's of the ranks, equal values sharing the mean of theirs.
 * @param a, b ranks as `meanRanks` gives them, [n] each.
 * @returns NaN where all ranks of a side are equal.
 */
export function correlationOfRanks(a: ArrayLike<number>, b: ArrayLike<number>, count = a.length): number {
  const mean = (count + 1) / 2; // of ranks, whatever the ties
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < count; i++) {
    const x = a[i]! - mean;
    const y = b[i]! - mean;
    ab += x * y;
    aa += x * x;
    bb += y * y;
  }
  return ab / Math.sqrt(aa * bb);
}

/** Writes the 1-based ranks of sorted values into `into`, which `places` says the place in; ties share their mean. */
export function meanRanks(
  sorted: ArrayLike<number>,
  places: ArrayLike<number>,
  count: number,
  into: Float64Array,
): void {
  for (let start = 0; start < count; ) {
    let end = start + 1;
    while (end < count && sorted[end] === sorted[start]) end++;
    for (let i = start; i < end; i++) into[places[i]!] = (start + 1 + end) / 2;
    start = end;
  }
}

// --- internal ---

function countLevels(levels: ArrayLike<number>, count: number): number[] {
  const counts = [0];
  for (let k = 0; k < count; k++) {
    while (counts.length <= levels[k]!) counts.push(0);
    counts[levels[k]!]!++;
  }
  return counts;
}

/** Logarithms are most of the cost of a long nDCG. */
const LOGARITHMS = Float64Array.from({ length: 2 ** 14 }, (_, n) => Math.log2(n));

function log2Of(n: number): number {
  return n < LOGARITHMS.length ? LOGARITHMS[n]! : Math.log2(n);
}

function discounted(gains: ArrayLike<number>): number {
  let sum = 0;
  for (let r = 1; r <= gains.length; r++) sum += gains[r - 1]! / log2Of(1 + r);
  return sum;
}
