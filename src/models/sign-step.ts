/**
 * A step of a bounded attack on pictures: along the sign of a gradient, then back to what is allowed. Once is the fast
 * gradient sign method (Goodfellow, Shlens, Szegedy, arXiv 1412.6572), repeated it is projected gradient descent (Madry et
 * al., arXiv 1706.06083).
 */
import {
  add,
  constant,
  maximum,
  minimum,
  multiply,
  sign,
  stopGradient,
  subtract,
  type Value,
} from '../graph/index.js';
import type { PixelNormalization } from './multitask-network.js';

export interface SignStep {
  /** Where the step starts, normalised pictures [N, 3, H, W]. */
  readonly from: Value;
  /** What the result stays near to [N, 3, H, W]. */
  readonly clean: Value;
  /** Of what shall grow, by `from` [N, 3, H, W]; only its sign counts. */
  readonly gradient: Value;
  /** Length of the step along every pixel, scalar, in units of the range [0, 1] of pixels; negative descends. */
  readonly stepSize: Value;
  /** ε: how far a pixel may be from the clean one, scalar, in the same units. */
  readonly epsilon: Value;
  readonly normalization: PixelNormalization;
}

/**
 * `clip(from + stepSize · sign(gradient))` to within ε of the clean picture and to colours that exist (0 to 1 before
 * normalisation), all in units of normalised pictures. With ε = 0 it is the clean picture to the bit.
 * @returns [N, 3, H, W], without gradient
 */
export function signStep({ from, clean, gradient, stepSize, epsilon, normalization }: SignStep): Value {
  const { mean, std } = normalization;
  const perChannel = (value: (channel: number) => number) => constant([0, 1, 2].map(value), [1, 3, 1, 1]);
  const perUnit = perChannel((channel) => 1 / std[channel]!);
  const black = perChannel((channel) => -mean[channel]! / std[channel]!);
  const white = perChannel((channel) => (1 - mean[channel]!) / std[channel]!);
  const bound = multiply(epsilon, perUnit);
  // Rounding may put a clean pixel just beyond black or white: it is allowed all the same.
  const lower = minimum(clean, maximum(subtract(clean, bound), black));
  const upper = maximum(clean, minimum(add(clean, bound), white));
  const moved = add(from, multiply(multiply(stepSize, perUnit), sign(gradient)));
  return stopGradient(minimum(maximum(moved, lower), upper));
}
