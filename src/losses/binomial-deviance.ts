/**
 * Binomial deviance: `mean_P softplus(−α(s − β)) + mean_N softplus(αC(s − β))`.
 * Source: Yi, Lei, Li, "Deep metric learning for practical person re-identification", arXiv 1407.4979; constants as in
 * Ustinova & Lempitsky 2016 and Opitz et al. 2017 (BIER).
 */
import { add, scale, shift, softplus } from '../graph/index.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, weightedMean } from './pairs.js';

export interface BinomialDevianceOptions {
  /** Steepness, over 0. Default 2. */
  readonly alpha?: number;
  /** Cosine at which a pair counts as neither alike nor different. Default 0.5. */
  readonly beta?: number;
  /** How much steeper negatives are, since there are many more. Default 25. */
  readonly negativeCost?: number;
  /** Weight of the negative mean, for controlled comparisons. Default 1. */
  readonly negativeWeight?: number;
}

/** Binomial deviance over all ordered pairs i ≠ j of the batch, and of it with the memory; each mean is 0 where it has no pair. */
export function binomialDevianceLoss(options: BinomialDevianceOptions = {}): MetricLoss {
  const { alpha = 2, beta = 0.5, negativeCost = 25, negativeWeight = 1 } = options;
  return (inputs) => {
    const { similarity, positive, negative } = batchPairs(inputs, 'binomialDevianceLoss');
    const distance = shift(similarity, -beta);
    const attraction = weightedMean(softplus(scale(distance, -alpha)), positive);
    const repulsion = weightedMean(softplus(scale(distance, alpha * negativeCost)), negative);
    return add(attraction, scale(repulsion, negativeWeight));
  };
}
