/**
 * How sure a number is: over seeds (Student's t) and over queries (bootstrap). Queries whose value is NaN had nothing
 * to find and are left out. A comparison of two methods is paired: both answer the same queries.
 * Source of the bootstrap: Efron and Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals.
 */
import { mean, quantileSorted, sampleStandardDeviation } from 'simple-statistics';
import { DataError, type Random } from '../util/index.js';

export interface SeedInterval {
  mean: number;
  /** Half the width of the interval: `mean ± halfWidth`. Null for a single seed, which has no spread to measure. */
  halfWidth: number | null;
  /** Sample standard deviation; null for a single seed. */
  standardDeviation: number | null;
  seeds: number;
}

export interface BootstrapInterval {
  /** The value on the queries as they are. */
  mean: number;
  low: number;
  high: number;
  /** Queries that the mean is over. */
  queries: number;
}

export interface DifferenceInterval extends BootstrapInterval {
  /**
   * Two-sided: twice the share of resamples on the rarer side of 0, those at 0 on both, with one resample added to each
   * count (Davison and Hinkley 1997, 4.2), so that it is never 0.
   */
  pValue: number;
  /** Clusters that were drawn. */
  clusters: number;
}

export interface SeedDifference extends SeedInterval {
  /** Two-sided, of the paired t test; null for a single seed. */
  pValue: number | null;
}

export interface BootstrapOptions {
  /** Where resamples come from, e.g. `Random.from(seed)`. */
  random: Random;
  /** Number of resamples. Default 2000. */
  rounds?: number;
  /** Default 0.95. */
  confidence?: number;
  /**
   * Resamples whole clusters: one label a query, e.g. its item. Queries of one item succeed and fail together, so
   * an interval over single queries is too narrow. Default: each query for itself.
   */
  clusters?: ArrayLike<number | string>;
}

/**
 * Mean and Student-t interval of one figure over seeds.
 * @param confidence in (0, 1). Default 0.95.
 * @throws DataError when there is no value or one is not finite.
 */
export function meanOverSeeds(values: readonly number[], confidence = 0.95): SeedInterval {
  if (values.length === 0 || !values.every(Number.isFinite)) {
    throw new DataError(`meanOverSeeds: values must be finite numbers, got [${values.join(', ')}].`);
  }
  const centre = mean([...values]);
  if (values.length === 1) return { mean: centre, halfWidth: null, standardDeviation: null, seeds: 1 };
  const deviation = sampleStandardDeviation([...values]);
  const t = studentQuantile(0.5 + confidence / 2, values.length - 1);
  return {
    mean: centre,
    halfWidth: (t * deviation) / Math.sqrt(values.length),
    standardDeviation: deviation,
    seeds: values.length,
  };
}

/**
 * Mean, Student-t interval and t test of `a − b` over seeds that both methods have, in the same order. Where all
 * differences are equal the test has nothing to divide by: then p is 1 for a difference of 0, and 0 for another.
 * @param confidence in (0, 1). Default 0.95.
 * @throws DataError when lengths differ, there is no seed, or a value is not finite.
 */
export function differenceOverSeeds(
  a: readonly number[],
  b: readonly number[],
  confidence = 0.95,
): SeedDifference {
  if (a.length !== b.length) {
    throw new DataError(
      `differenceOverSeeds: both methods must have the same seeds, got ${a.length} and ${b.length} values.`,
    );
  }
  const interval = meanOverSeeds(
    a.map((value, i) => value - b[i]!),
    confidence,
  );
  const { mean: centre, standardDeviation, seeds } = interval;
  if (standardDeviation === null) return { ...interval, pValue: null };
  if (standardDeviation === 0) return { ...interval, pValue: centre === 0 ? 1 : 0 };
  const t = Math.abs(centre) / (standardDeviation / Math.sqrt(seeds));
  return { ...interval, pValue: Math.max(0, 2 * (1 - studentProbability(t, seeds - 1))) };
}

/**
 * p-values adjusted for how many there are, in the order given: the k-th smallest of m is multiplied by m − k + 1, never
 * less than one before it, at most 1. Source: Holm, A simple sequentially rejective multiple test procedure (1979).
 */
export function holmAdjusted(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((i, j) => pValues[i]! - pValues[j]! || i - j);
  const adjusted = new Array<number>(pValues.length);
  let largest = 0;
  order.forEach((i, rank) => {
    largest = Math.max(largest, Math.min(1, pValues[i]! * (pValues.length - rank)));
    adjusted[i] = largest;
  });
  return adjusted;
}

/** Percentile bootstrap interval of a mean over queries. @throws DataError when no query counts. */
export function bootstrapMean(values: ArrayLike<number>, options: BootstrapOptions): BootstrapInterval {
  return resample('bootstrapMean', Float64Array.from(values), options).interval;
}

/**
 * Percentile bootstrap interval of `mean(a − b)` over the queries that count in both. The two differ, at this
 * confidence, when the interval does not hold 0.
 * @throws DataError when lengths differ or no query counts in both.
 */
export function bootstrapDifference(
  a: ArrayLike<number>,
  b: ArrayLike<number>,
  options: BootstrapOptions,
): DifferenceInterval {
  if (a.length !== b.length) {
    throw new DataError(
      `bootstrapDifference: both methods must answer the same queries, got ${a.length} and ${b.length} values.`,
    );
  }
  const { interval, means, clusters } = resample(
    'bootstrapDifference',
    Float64Array.from({ length: a.length }, (_, q) => a[q]! - b[q]!),
    options,
  );
  const side = (isOn: (mean: number) => boolean) => (means.filter(isOn).length + 1) / (means.length + 1);
  const pValue = Math.min(
    1,
    2 *
      Math.min(
        side((m) => m <= 0),
        side((m) => m >= 0),
      ),
  );
  return { ...interval, pValue, clusters };
}

/** Recall@K of single queries (1, 0, or NaN for skipped ones) from their first ranks: what a bootstrap wants. */
export function recallOfQueries(firstRank: ArrayLike<number>, k: number): Float64Array {
  return Float64Array.from(firstRank, (rank) => (Number.isNaN(rank) ? Number.NaN : Number(rank <= k)));
}

/**
 * The value below which a Student-t variable lies with this probability, by bisection of the exact distribution for
 * whole degrees of freedom (Abramowitz and Stegun, 26.7.3 and 26.7.4).
 * @param probability in [0.5, 1).
 * @param degrees whole, at least 1.
 */
export function studentQuantile(probability: number, degrees: number): number {
  if (!(probability >= 0.5 && probability < 1 && Number.isInteger(degrees) && degrees >= 1)) {
    throw new RangeError(
      `studentQuantile: probability must be in [0.5, 1) and degrees whole from 1, got ${probability} and ${degrees}.`,
    );
  }
  let low = 0;
  let high = 1;
  while (studentProbability(high, degrees) < probability) high *= 2;
  for (let step = 0; step < 200 && low < high; step++) {
    const middle = (low + high) / 2;
    if (middle === low || middle === high) break;
    if (studentProbability(middle, degrees) < probability) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

// --- internal ---

/** P(T ≤ t) for t ≥ 0. */
function studentProbability(t: number, degrees: number): number {
  const angle = Math.atan(t / Math.sqrt(degrees));
  const [sine, cosine] = [Math.sin(angle), Math.cos(angle)];
  const isOdd = degrees % 2 === 1;
  let term = isOdd ? cosine : 1;
  let series = degrees === 1 ? 0 : term;
  for (let k = isOdd ? 3 : 2; k < degrees; k += 2) {
    term *= ((k - 1) / k) * cosine * cosine;
    series += term;
  }
  const within = isOdd ? (2 / Math.PI) * (angle + sine * series) : sine * series;
  return 0.5 + within / 2;
}

function resample(
  where: string,
  values: Float64Array,
  options: BootstrapOptions,
): { interval: BootstrapInterval; means: readonly number[]; clusters: number } {
  const { random, rounds = 2000, confidence = 0.95, clusters } = options;
  if (clusters !== undefined && clusters.length !== values.length) {
    throw new DataError(
      `${where}: clusters must hold one label a query (${values.length}), got ${clusters.length}.`,
    );
  }
  const sums = new Map<number | string, { sum: number; count: number }>();
  for (let q = 0; q < values.length; q++) {
    if (Number.isNaN(values[q])) continue;
    const label = clusters?.[q] ?? q;
    const cluster = sums.get(label) ?? { sum: 0, count: 0 };
    cluster.sum += values[q]!;
    cluster.count++;
    sums.set(label, cluster);
  }
  const all = [...sums.values()];
  if (all.length === 0) throw new DataError(`${where}: at least one query must have a value, got none.`);
  const means = Array.from({ length: rounds }, () => {
    let sum = 0;
    let count = 0;
    for (let draw = 0; draw < all.length; draw++) {
      const cluster = all[random.integer(all.length)]!;
      sum += cluster.sum;
      count += cluster.count;
    }
    return sum / count;
  }).sort((x, y) => x - y);
  const total = all.reduce((sum, cluster) => sum + cluster.sum, 0);
  const count = all.reduce((sum, cluster) => sum + cluster.count, 0);
  const interval = {
    mean: total / count,
    low: quantileSorted(means, (1 - confidence) / 2),
    high: quantileSorted(means, (1 + confidence) / 2),
    queries: count,
  };
  return { interval, means, clusters: all.length };
}
