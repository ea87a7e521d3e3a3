/**
 * Multi-similarity loss, the mean over anchors i of
 * `1/α · log(1 + Σ_P e^(−α(s − λ))) + 1/β · log(1 + Σ_N e^(β(s − λ)))`:
 * a pair weighs more the more its similarity stands out among its anchor's.
 *
 * Source: Wang, Han, Huang, Dong, Scott, "Multi-similarity loss with general pair weighting for deep metric learning",
 * CVPR 2019, arXiv 1904.06627, equations 10 to 16; λ = 0.5 as in the authors' code (1 in the paper).
 */
import {
  add,
  and,
  constant,
  greater,
  less,
  reduceMax,
  reduceMean,
  reduceMin,
  scale,
  shift,
  stopGradient,
  type Value,
  where,
} from '../graph/index.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, logOnePlusSumExp } from './pairs.js';

export interface MultiSimilarityOptions {
  /** Steepness for positive pairs, over 0. Default 2. */
  readonly alpha?: number;
  /** Steepness for negative pairs, over 0. Default 50. */
  readonly beta?: number;
  /** λ, the cosine at which a pair counts as neither alike nor different. Default 0.5. */
  readonly base?: number;
  /**
   * Whether only informative pairs count: negatives nearer than the anchor's farthest positive, and positives farther
   * than its nearest negative, each by at least −epsilon. An anchor that lacks either kind of pair then adds 0.
   * Default true.
   */
  readonly mining?: boolean;
  /** By how much, in cosine, the mining is generous. Default 0.1. */
  readonly epsilon?: number;
}

/** Multi-similarity loss over the ordered pairs i ≠ j of the batch, and of it with the memory. */
export function multiSimilarityLoss(options: MultiSimilarityOptions = {}): MetricLoss {
  const { alpha = 2, beta = 50, base = 0.5, mining = true, epsilon = 0.1 } = options;
  return (inputs) => {
    const { similarity, positive, negative } = batchPairs(inputs, 'multiSimilarityLoss');
    let isPositive = greater(positive, constant(0, []));
    let isNegative = greater(negative, constant(0, []));
    if (mining) {
      const fixed = stopGradient(similarity);
      const farthestPositive = extreme(fixed, isPositive, 'lowest');
      const nearestNegative = extreme(fixed, isNegative, 'highest');
      isPositive = and(isPositive, less(fixed, shift(nearestNegative, epsilon)));
      isNegative = and(isNegative, greater(fixed, shift(farthestPositive, -epsilon)));
    }
    const distance = shift(similarity, -base);
    const attraction = scale(logOnePlusSumExp(scale(distance, -alpha), isPositive, 1), 1 / alpha);
    const repulsion = scale(logOnePlusSumExp(scale(distance, beta), isNegative, 1), 1 / beta);
    return reduceMean(add(attraction, repulsion), 'all');
  };
}

// --- internal ---

/** More than any difference of cosines. */
const BEYOND = 8;

/** The lowest or highest similarity of an anchor's pairs [B, 1]; beyond all cosines where it has none. */
function extreme(similarity: Value, isPair: Value, which: 'lowest' | 'highest'): Value {
  const options = { keepDimensions: true };
  return which === 'lowest'
    ? reduceMin(where(isPair, similarity, constant(BEYOND, [])), [1], options)
    : reduceMax(where(isPair, similarity, constant(-BEYOND, [])), [1], options);
}
