/**
 * Isotonic regression: the non-decreasing function with the least weighted squared error, by pooling adjacent violators
 * (Ayer, Brunk, Ewing, Reid & Silverman, 1955), and the piecewise linear curve through its blocks' centres (centred
 * isotonic regression: Oron & Flournoy, 2017, arXiv 1701.05964), which has no jumps and is strictly monotone between blocks.
 */
import { ShapeError } from '../util/index.js';

/** Neighbouring samples that got one value. */
export interface IsotonicBlock {
  /** Weighted mean of x. */
  readonly x: number;
  /** Weighted mean of y, larger than that of the block before. */
  readonly y: number;
  readonly weight: number;
  /** The samples `[start, end)`. */
  readonly start: number;
  readonly end: number;
}

/** A piecewise linear, non-decreasing curve: `[x, y]` with rising x; constant beyond the first and the last. */
export type MonotoneCurve = readonly (readonly [number, number])[];

/**
 * Fits y as a non-decreasing function of x.
 * @param x [N], rising; equal neighbours get one value.
 * @param y [N]
 * @param weights [N], at least 0; a sample of weight 0 decides nothing and is in no block.
 * @returns the blocks, from small to large; none where all weights are 0.
 * @throws ShapeError when lengths differ, RangeError when x falls.
 */
export function isotonicRegression(
  x: ArrayLike<number>,
  y: ArrayLike<number>,
  weights: ArrayLike<number>,
): IsotonicBlock[] {
  if (x.length !== y.length || x.length !== weights.length)
    throw new ShapeError(
      `isotonicRegression: x, y and weights must have one length, got ${x.length}, ${y.length} and ${weights.length}`,
    );
  const blocks: Pooled[] = [];
  let before = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < x.length; ) {
    const at = x[i]!;
    if (!(at >= before)) throw new RangeError(`isotonicRegression: x must rise, got ${at} after ${before}`);
    // Equal x are one sample, pooled with the blocks before only when it is whole.
    const sample: Pooled = { weight: 0, sumX: 0, sumY: 0, start: i, end: i };
    for (; i < x.length && x[i] === at; i++) {
      sample.weight += weights[i]!;
      sample.sumX += weights[i]! * at;
      sample.sumY += weights[i]! * y[i]!;
    }
    sample.end = i;
    before = at;
    if (sample.weight === 0) continue;
    blocks.push(sample);
    while (blocks.length > 1 && mean(blocks.at(-2)!) >= mean(blocks.at(-1)!)) pool(blocks);
  }
  return blocks.map(({ weight, sumX, sumY, start, end }) => ({
    x: sumX / weight,
    y: sumY / weight,
    weight,
    start,
    end,
  }));
}

/**
 * Joins neighbouring blocks, each time those that change the fit least, until at most `most` are left.
 * @param most at least 1
 */
export function mergedBlocks(blocks: readonly IsotonicBlock[], most: number): IsotonicBlock[] {
  const left = [...blocks];
  while (left.length > Math.max(1, most)) {
    let best = 0;
    let least = Number.POSITIVE_INFINITY;
    for (let i = 0; i + 1 < left.length; i++) {
      const [a, b] = [left[i]!, left[i + 1]!];
      const cost = ((a.weight * b.weight) / (a.weight + b.weight)) * (a.y - b.y) ** 2;
      if (cost < least) [best, least] = [i, cost];
    }
    const [a, b] = [left[best]!, left[best + 1]!];
    const weight = a.weight + b.weight;
    left.splice(best, 2, {
      x: (a.weight * a.x + b.weight * b.x) / weight,
      y: (a.weight * a.y + b.weight * b.y) / weight,
      weight,
      start: a.start,
      end: b.end,
    });
  }
  return left;
}

/** The curve's value at x. @throws RangeError when the curve has no point. */
export function curveValue(curve: MonotoneCurve, x: number): number {
  const [first, last] = [curve[0], curve.at(-1)];
  if (first === undefined || last === undefined)
    throw new RangeError('curveValue: the curve must have a point, got none');
  if (Number.isNaN(x)) return Number.NaN;
  if (x <= first[0]) return first[1];
  if (x >= last[0]) return last[1];
  let [low, high] = [0, curve.length - 1];
  while (high - low > 1) {
    const middle = (low + high) >> 1;
    if (curve[middle]![0] <= x) low = middle;
    else high = middle;
  }
  const [[x0, y0], [x1, y1]] = [curve[low]!, curve[high]!];
  return y0 + ((y1 - y0) * (x - x0)) / (x1 - x0);
}

/** The smallest x from which the curve is at least y; −∞ when it always is, +∞ when it never is. */
export function curveArgument(curve: MonotoneCurve, y: number): number {
  if (curve.length === 0 || curve[0]![1] >= y) return curve.length === 0 ? Infinity : -Infinity;
  for (let i = 1; i < curve.length; i++) {
    const [[x0, y0], [x1, y1]] = [curve[i - 1]!, curve[i]!];
    if (y1 >= y) return x0 + ((x1 - x0) * (y - y0)) / (y1 - y0);
  }
  return Number.POSITIVE_INFINITY;
}

// --- internal ---

interface Pooled {
  weight: number;
  sumX: number;
  sumY: number;
  start: number;
  end: number;
}

const mean = ({ sumY, weight }: Pooled): number => sumY / weight;

/** Joins the last two blocks. */
function pool(blocks: Pooled[]): void {
  const last = blocks.pop()!;
  const before = blocks.at(-1)!;
  before.weight += last.weight;
  before.sumX += last.sumX;
  before.sumY += last.sumY;
  before.end = last.end;
}
