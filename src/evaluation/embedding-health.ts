/**
 * How embeddings lie on the sphere, whatever they are used for: whether pictures of one item are near (alignment),
 * whether all of them fill the room (uniformity, the spectrum), and whether some picture is everybody's neighbour
 * (hubness). No figure of these is better the larger it is: they explain what the retrieval metrics say.
 *
 * Letters: N rows, D embedding size.
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { checkRows, encodeLabels, type Labels } from './ranking.js';
import { dotProducts, type Embeddings, gatherRows } from './similarity.js';

export interface HealthOptions {
  /** [N, D], rows of unit length; rows of zeros have no direction and do not count. */
  embeddings: Embeddings;
  /** D. */
  dimension: number;
  /** [N] items; '' or −1 is unknown, and such a row makes no pair. */
  items: Labels;
}

/** Null where there is no pair, or no row, to measure. */
export interface EmbeddingHealth {
  /** Mean of `‖x − y‖²` over pairs of one item, from 0 to 4. Wang and Isola, arXiv 2005.10242, with α = 2. */
  alignment: number | null;
  /** `log mean exp(−2‖x − y‖²)` over all pairs, at most 0; the lower, the more evenly spread. The same, with t = 2. */
  uniformity: number | null;
  /** Mean cosine of pairs of one item, and of pairs of two. */
  cosine: { positives: number | null; negatives: number | null };
  /**
   * `exp(H)` of the singular values of the centred rows, scaled to add up to 1: how many directions are used, from 1 to
   * D. Values below 10⁻⁶ of the largest count as 0. Roy and Vetterli, EUSIPCO 2007.
   */
  effectiveRank: number | null;
  /**
   * `KL(uniform ‖ those shares)`: 0 when all directions are used alike. Shares below 10⁻⁹ count as that. Roth et al.,
   * arXiv 2002.08473.
   */
  spectralDecay: number | null;
  /** How many principal directions hold 50, 90 and 99 % of the variance. */
  directions: { '50%': number; '90%': number; '99%': number } | null;
  /**
   * Skewness of how often a row is among the 10 nearest of another: about 0 without hubs, from 1 on they show.
   * Radovanović et al., JMLR 11, 2010.
   */
  hubness: number | null;
  /** Rows that count. */
  rows: number;
  /** Rows of zeros. */
  zeroRows: number;
}

/**
 * Measures all rows, queries and gallery alike. Alignment and cosines are over all pairs; uniformity and hubness, which
 * need each pair by itself, over at most 2,048 evenly spaced rows; the spectrum where D is above 512, over at most 1,024.
 */
export function embeddingHealth({ embeddings, dimension, items }: HealthOptions): EmbeddingHealth {
  const all = checkRows('embeddingHealth', embeddings, dimension);
  const codes = encodeLabels('embeddingHealth: items', items, all);
  const rows = Int32Array.from({ length: all }, (_, row) => row).filter((row) =>
    embeddings.subarray(row * dimension, (row + 1) * dimension).some((value) => value !== 0),
  );
  const cosine = pairCosines(embeddings, dimension, codes, rows);
  return {
    alignment: cosine.positives === null ? null : 2 - 2 * cosine.positives,
    cosine,
    ...pairwise(gatherRows(embeddings, evenlySpaced(rows, PAIRWISE_ROWS), dimension), dimension),
    ...spectrum(embeddings, dimension, rows),
    rows: rows.length,
    zeroRows: all - rows.length,
  };
}

// --- internal ---

const PAIRWISE_ROWS = 2048;
const NEIGHBOURS = 10;
const LARGEST_COVARIANCE = 512;
const SPECTRUM_ROWS = 1024;
const LEAST_SHARE = 1e-9;
/** Of the largest: what is below is rounding. */
const LEAST_SINGULAR_VALUE = 1e-6;

function evenlySpaced(rows: Int32Array, most: number): Int32Array {
  if (rows.length <= most) return rows;
  return Int32Array.from({ length: most }, (_, i) => rows[Math.floor((i * rows.length) / most)]!);
}

/** From sums alone: `Σ_{i ≠ j} x_i·x_j = ‖Σ x‖² − Σ ‖x‖²`, over each item and over all. */
function pairCosines(
  embeddings: Embeddings,
  dimension: number,
  codes: Int32Array,
  rows: Int32Array,
): EmbeddingHealth['cosine'] {
  const total = new Float64Array(dimension);
  const sums = new Map<number, { sum: Float64Array; count: number; squares: number }>();
  for (const row of rows) {
    const code = codes[row]!;
    if (code < 0) continue;
    let item = sums.get(code);
    if (item === undefined) {
      item = { sum: new Float64Array(dimension), count: 0, squares: 0 };
      sums.set(code, item);
    }
    item.count++;
    for (let d = 0; d < dimension; d++) {
      const value = embeddings[row * dimension + d]!;
      item.sum[d]! += value;
      total[d]! += value;
      item.squares += value * value;
    }
  }
  let [known, positivePairs, positives, sameItem] = [0, 0, 0, 0];
  for (const { sum, count, squares: own } of sums.values()) {
    known += count;
    positivePairs += count * (count - 1);
    positives += squareOf(sum) - own;
    sameItem += squareOf(sum);
  }
  const negativePairs = known * (known - 1) - positivePairs;
  return {
    positives: positivePairs === 0 ? null : positives / positivePairs,
    negatives: negativePairs === 0 ? null : (squareOf(total) - sameItem) / negativePairs,
  };
}

function squareOf(vector: Float64Array): number {
  let sum = 0;
  for (const value of vector) sum += value * value;
  return sum;
}

function pairwise(sample: Embeddings, dimension: number): Pick<EmbeddingHealth, 'uniformity' | 'hubness'> {
  const n = sample.length / dimension;
  if (n < 2) return { uniformity: null, hubness: null };
  const k = Math.min(NEIGHBOURS, n - 1);
  const occurrences = new Float64Array(n);
  const nearest = new Int32Array(k);
  let potential = 0;
  for (let i = 0; i < n; i++) {
    const cosines = dotProducts(sample.subarray(i * dimension, (i + 1) * dimension), sample, dimension);
    let held = 0; // the k nearest so far, nearest first; equal ones by row
    for (let j = 0; j < n; j++) {
      if (j === i) continue;
      const cosine = cosines[j]!;
      potential += Math.exp(-4 * (1 - cosine)); // −2 ‖x − y‖² of unit rows
      if (held === k && cosine <= cosines[nearest[k - 1]!]!) continue;
      let place = held < k ? held++ : k - 1;
      for (; place > 0 && cosines[nearest[place - 1]!]! < cosine; place--)
        nearest[place] = nearest[place - 1]!;
      nearest[place] = j;
    }
    for (const j of nearest) occurrences[j]!++;
  }
  return { uniformity: Math.log(potential / (n * (n - 1))), hubness: skewness(occurrences, k) };
}

/** Third standardised moment; null where all are equal. @param mean of the values */
function skewness(values: Float64Array, mean: number): number | null {
  let [second, third] = [0, 0];
  for (const value of values) {
    second += (value - mean) ** 2;
    third += (value - mean) ** 3;
  }
  if (second === 0) return null;
  return third / values.length / (second / values.length) ** 1.5;
}

function spectrum(
  embeddings: Embeddings,
  dimension: number,
  rows: Int32Array,
): Pick<EmbeddingHealth, 'effectiveRank' | 'spectralDecay' | 'directions'> {
  const used = dimension <= LARGEST_COVARIANCE ? rows : evenlySpaced(rows, SPECTRUM_ROWS);
  const variances = squaredSingularValues(gatherRows(embeddings, used, dimension), dimension);
  const singular = variances.map(Math.sqrt);
  const total = singular.reduce((sum, value) => sum + value, 0);
  // Rounding leaves about 10⁻¹⁶ of the squares, so 10⁻⁸ of the lengths: of rows that are all the same nothing is left.
  if (!(total > 1e-7 * used.length)) return { effectiveRank: null, spectralDecay: null, directions: null };
  let entropy = 0;
  let divergence = 0;
  for (const value of singular) {
    const share = value / total;
    if (share > 0) entropy -= share * Math.log(share);
    divergence -= Math.log(singular.length * Math.max(LEAST_SHARE, share)) / singular.length;
  }
  return {
    effectiveRank: Math.exp(entropy),
    spectralDecay: divergence,
    directions: {
      '50%': directionsFor(variances, 0.5),
      '90%': directionsFor(variances, 0.9),
      '99%': directionsFor(variances, 0.99),
    },
  };
}

function directionsFor(variances: readonly number[], share: number): number {
  const wanted = share * variances.reduce((sum, value) => sum + value, 0);
  let held = 0;
  let count = 0;
  while (count < variances.length && held < wanted * (1 - 1e-12)) held += variances[count++]!;
  return count;
}

/** Of the centred rows, the largest min(n, D) of them, falling: eigenvalues of the smaller of XᵀX and XXᵀ. */
function squaredSingularValues(sample: Embeddings, dimension: number): number[] {
  const n = sample.length / dimension;
  const centred = Float64Array.from(sample);
  for (let d = 0; d < dimension; d++) {
    let mean = 0;
    for (let row = 0; row < n; row++) mean += sample[row * dimension + d]! / n;
    for (let row = 0; row < n; row++) centred[row * dimension + d]! -= mean;
  }
  let [vectors, size, length] = [centred, n, dimension];
  if (dimension < n) {
    vectors = new Float64Array(centred.length);
    for (let row = 0; row < n; row++)
      for (let d = 0; d < dimension; d++) vectors[d * n + row] = centred[row * dimension + d]!;
    [size, length] = [dimension, n];
  }
  if (size === 0) return [];
  const products = dotProducts(vectors, vectors, length);
  const matrix = Matrix.from1DArray(size, size, products);
  const { realEigenvalues } = new EigenvalueDecomposition(matrix, { assumeSymmetric: true });
  const falling = realEigenvalues.sort((a, b) => b - a);
  return falling.map((value) => (value > LEAST_SINGULAR_VALUE ** 2 * falling[0]! ? value : 0));
}
