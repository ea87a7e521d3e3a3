/**
 * Whether probabilities are what happens: expected calibration error and the points of a reliability diagram, of weighted
 * cases (Guo, Pleiss, Sun & Weinberger, 2017, arXiv 1706.04599, equation 3: 15 bins of equal width; and with bins of equal
 * weight, which few or crowded probabilities do not leave empty: Nguyen & O'Connor, 2015, arXiv 1508.05154).
 */

/** One bin of a reliability diagram. */
export interface ReliabilityBin {
  /** Mean of what was said. */
  readonly probability: number;
  /** What share of it happened. */
  readonly share: number;
  /** What share of all cases it is, by weight. */
  readonly weight: number;
}

export interface Reliability {
  readonly cases: number;
  /** Mean distance of what was said and what happened over bins of equal width, from 0 to 1. */
  readonly expectedError: number;
  /** The same over bins of equal weight. */
  readonly expectedErrorEqualWeight: number;
  /** Those of equal width that are not empty, rising. */
  readonly bins: readonly ReliabilityBin[];
}

/** Bins of either kind. */
export const RELIABILITY_BINS = 15;

/** Gathers cases; of however many, it holds a few thousand numbers (probabilities are told apart to 1/CELLS). */
export class ReliabilityCounter {
  readonly #weight = new Float64Array(CELLS);
  readonly #said = new Float64Array(CELLS);
  readonly #happened = new Float64Array(CELLS);
  #cases = 0;

  /** @param probability from 0 to 1 @param weight what the case counts. Default 1. */
  add(probability: number, happened: boolean, weight = 1): void {
    const cell = Math.min(CELLS - 1, Math.floor(probability * CELLS));
    this.#weight[cell]! += weight;
    this.#said[cell]! += weight * probability;
    if (happened) this.#happened[cell]! += weight;
    this.#cases++;
  }

  /** @returns `undefined` without a case */
  result(): Reliability | undefined {
    if (this.#cases === 0) return undefined;
    const total = this.#weight.reduce((sum, weight) => sum + weight, 0);
    const equalWidth = this.#bins((cell) => Math.floor((cell * RELIABILITY_BINS) / CELLS));
    let before = 0;
    // A cell belongs where its middle lies; one that is heavier than a bin is a bin.
    const equalWeight = this.#bins((cell) => {
      const middle = before + this.#weight[cell]! / 2;
      before += this.#weight[cell]!;
      return Math.min(RELIABILITY_BINS - 1, Math.floor((middle * RELIABILITY_BINS) / total));
    });
    return {
      cases: this.#cases,
      expectedError: expectedError(equalWidth),
      expectedErrorEqualWeight: expectedError(equalWeight),
      bins: equalWidth,
    };
  }

  #bins(binOf: (cell: number) => number): ReliabilityBin[] {
    const sums = Array.from({ length: RELIABILITY_BINS }, () => ({ weight: 0, said: 0, happened: 0 }));
    for (let cell = 0; cell < CELLS; cell++) {
      const bin = sums[binOf(cell)]!;
      bin.weight += this.#weight[cell]!;
      bin.said += this.#said[cell]!;
      bin.happened += this.#happened[cell]!;
    }
    const total = sums.reduce((sum, { weight }) => sum + weight, 0);
    return sums
      .filter(({ weight }) => weight > 0)
      .map(({ weight, said, happened }) => ({
        probability: said / weight,
        share: happened / weight,
        weight: weight / total,
      }));
  }
}

// --- internal ---

/** A multiple of the bins, so that a bin is whole cells. */
const CELLS = 1000 * RELIABILITY_BINS;

function expectedError(bins: readonly ReliabilityBin[]): number {
  return bins.reduce(
    (sum, { probability, share, weight }) => sum + weight * Math.abs(probability - share),
    0,
  );
}
