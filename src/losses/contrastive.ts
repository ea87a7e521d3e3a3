/**
 * Contrastive loss on Euclidean distances: `mean_P d² + mean_N max(0, margin − d)²`.
 * Source: Hadsell, Chopra, LeCun, "Dimensionality reduction by learning an invariant mapping", CVPR 2006; there with
 * factors ½, and one mean over all pairs: separate means keep the few positives from drowning.
 */
import { add, clip, negate, relu, scale, shift, square, squareRoot, type Value } from '../graph/index.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, weightedMean } from './pairs.js';

export interface ContrastiveOptions {
  /** Euclidean distance beyond which a negative costs nothing; embeddings of unit length lie at most 2 apart. Default 1. */
  readonly margin?: number;
}

/** Contrastive loss over all ordered pairs i ≠ j of the batch, and of it with the memory. */
export function contrastiveLoss({ margin = 1 }: ContrastiveOptions = {}): MetricLoss {
  return (inputs) => {
    const { similarity, positive, negative } = batchPairs(inputs, 'contrastiveLoss');
    const squared = squaredDistance(similarity);
    const attraction = weightedMean(squared, positive);
    const shortfall = relu(shift(negate(squareRoot(shift(squared, 1e-12))), margin));
    return add(attraction, weightedMean(square(shortfall), negative));
  };
}

/** Squared Euclidean distance of unit vectors from their cosine: `2 − 2s`, not below zero. */
export function squaredDistance(similarity: Value): Value {
  return clip(shift(scale(similarity, -2), 2), 0, undefined);
}
