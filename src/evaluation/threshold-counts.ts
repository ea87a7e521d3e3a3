/**
 * How many of a query's similarities reach each of some thresholds, in one pass and without sorting the gallery: the
 * thresholds are those of the relevant pictures, and ranks are all that metrics ask of the others.
 */

/** Counts against up to `capacity` thresholds; buffers are kept between calls. */
export class ThresholdCounts {
  /** From high to low; the caller fills the first `count`. */
  readonly thresholds: Float64Array;
  /** After `run`: for each threshold the number of values that are at least as large. */
  readonly atLeast: Int32Array;
  readonly #first = new Int32Array(MOST_STEPS + 2);
  readonly #sizes = new Int32Array(MOST_STEPS + 2);
  readonly #isShared = new Uint8Array(MOST_STEPS + 2);
  #stepOf = new Uint16Array();
  #kept = new Float64Array();

  constructor(capacity: number) {
    this.thresholds = new Float64Array(capacity);
    this.atLeast = new Int32Array(capacity + 1);
  }

  /**
   * Fills `atLeast` from the values `[start, end)`. −∞ is never counted.
   * @param count how many thresholds, at least 1.
   * @returns the place of a NaN, or −1.
   */
  run(values: Float32Array | Float64Array, start: number, end: number, count: number): number {
    const { atLeast, thresholds } = this;
    atLeast.fill(0, 0, count);
    const highest = thresholds[0]!;
    const lowest = thresholds[count - 1]!;
    const nan =
      count <= LINEAR || highest === lowest
        ? this.#few(values, start, end, count)
        : this.#many(values, start, end, count);
    for (let k = 1; k < count; k++) atLeast[k]! += atLeast[k - 1]!;
    return nan;
  }

  #few(values: Float32Array | Float64Array, start: number, end: number, count: number): number {
    const { atLeast, thresholds } = this;
    const lowest = thresholds[count - 1]!;
    let nan = -1;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      if (value >= lowest) {
        let k = count - 1;
        while (k > 0 && value >= thresholds[k - 1]!) k--;
        atLeast[k]!++;
      } else if (Number.isNaN(value)) nan = i;
    }
    return nan;
  }

  /**
   * Sorts the values into equal steps between the thresholds: of a step without a threshold their number is enough, and
   * the few of the others are compared. Which step a value falls in decides no branch; a search, whose every branch is a
   * guess, takes several times as long.
   */
  #many(values: Float32Array | Float64Array, start: number, end: number, count: number): number {
    const { atLeast, thresholds } = this;
    const n = end - start;
    let head = Math.min(HEAD, count - 2); // the largest often lie apart and would make the steps of the others wide
    while (head > 0 && thresholds[head - 1] === thresholds[head]) head--;
    const highest = thresholds[head]!;
    const steps = Math.min(MOST_STEPS, STEPS_PER_THRESHOLD * count, 4 * n + 1);
    const scale = (steps - 1) / (highest - thresholds[count - 1]!);
    if (!Number.isFinite(scale)) return this.#halving(values, start, end, count);
    const above = steps;
    const below = steps + 1;
    if (this.#stepOf.length < n) {
      this.#stepOf = new Uint16Array(n);
      this.#kept = new Float64Array(n + 1);
    }
    const stepOf = this.#stepOf;
    const kept = this.#kept;
    const sizes = this.#sizes.fill(0, 0, steps + 2);
    const isShared = this.#isShared.fill(0, 0, steps + 2);
    const first = this.#first;
    isShared[above] = 1;
    for (let k = count - 1; k >= head; k--) {
      const step = ((highest - thresholds[k]!) * scale) | 0;
      isShared[step] = 1;
      first[step] = k;
    }
    let nan = -1;
    for (let i = 0; i < n; i++) {
      const place = (highest - values[start + i]!) * scale;
      let step = place | 0;
      if (!(place >= 0 && place < steps)) {
        if (Number.isNaN(place)) nan = start + i;
        step = place < 0 ? above : below;
      }
      stepOf[i] = step;
      sizes[step]!++;
    }
    let held = 0;
    for (let i = 0; i < n; i++) {
      kept[held] = values[start + i]!;
      held += isShared[stepOf[i]!]!; // 0 or 1: the next value takes the place of one that is not kept
    }
    let next = head;
    for (let step = 0; step < steps; step++) {
      if (isShared[step] === 0) atLeast[next]! += sizes[step]!;
      else while (next < count && (((highest - thresholds[next]!) * scale) | 0) === step) next++;
    }
    for (let i = 0; i < held; i++) {
      const value = kept[i]!;
      let k = value > highest ? 0 : first[((highest - value) * scale) | 0]!;
      while (k < count && value < thresholds[k]!) k++;
      atLeast[k]!++;
    }
    return nan;
  }

  #halving(values: Float32Array | Float64Array, start: number, end: number, count: number): number {
    const { atLeast, thresholds } = this;
    const lowest = thresholds[count - 1]!;
    let nan = -1;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      if (value >= lowest) {
        let low = 0;
        let high = count - 1;
        while (low < high) {
          const middle = (low + high) >> 1;
          if (value >= thresholds[middle]!) high = middle;
          else low = middle + 1;
        }
        atLeast[low]!++;
      } else if (Number.isNaN(value)) nan = i;
    }
    return nan;
  }
}

// --- internal ---

/** Up to so many thresholds a plain walk is quickest. */
const LINEAR = 12;
/** Thresholds that are walked instead of stepped through. */
const HEAD = 32;
const STEPS_PER_THRESHOLD = 16;
/** With two more they fit 16 bits. */
const MOST_STEPS = 2 ** 16 - 2;
