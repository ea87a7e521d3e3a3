/**
 * Soft-binomial deviance: binomial deviance in which the semantic similarity g of a pair's attributes says how much the
 * pair weighs, and how close a negative pair may stay:
 *
 * `mean_P u·softplus(−α(s − β)) + mean_N v·softplus(αC(s − β − δ·g))`
 * with `u = 1 + κp(1 − g)` and `v = 1 + κn·g`, each normalised to mean 1 over its pairs.
 *
 * Our reconstruction after Manandhar, Bastan, Yap, "Semantic Granularity Metric Learning for Visual Search",
 * arXiv 1911.06047; the exact formula was not available to us.
 */
import { add, multiply, scale, shift, softplus, subtract, type Value } from '../graph/index.js';
import { GraphError, ShapeError } from '../util/index.js';
import type { BinomialDevianceOptions } from './binomial-deviance.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, weightedMean } from './pairs.js';

export interface SoftBinomialDevianceOptions extends BinomialDevianceOptions {
  /** κp ≥ 0: extra weight of positive pairs whose attributes look different. Default 0. */
  readonly positiveLink?: number;
  /** κn ≥ 0: extra weight of negative pairs that share attributes. Default 1. */
  readonly negativeLink?: number;
  /** δ ≥ 0: how much closer, in cosine, negatives of one look may stay than strangers. Default 0. */
  readonly slack?: number;
}

/**
 * With all three knobs at zero this is binomial deviance, to the last bit.
 * @throws GraphError when built without a semantic similarity although a knob is not zero.
 * @throws ShapeError when the similarity is not [B, B].
 */
export function softBinomialDevianceLoss(options: SoftBinomialDevianceOptions = {}): MetricLoss {
  const { alpha = 2, beta = 0.5, negativeCost = 25, negativeWeight = 1 } = options;
  const { positiveLink = 0, negativeLink = 1, slack = 0 } = options;
  return ({ embeddings, itemIds, semanticSimilarity }) => {
    const { similarity, positive, negative } = batchPairs(embeddings, itemIds, 'softBinomialDevianceLoss');
    const semantic = (): Value => {
      if (semanticSimilarity === undefined) {
        throw new GraphError(
          'softBinomialDevianceLoss: a semantic similarity is required, got none. Give attributes, or set all links to 0.',
        );
      }
      const [batch] = embeddings.shape;
      if (semanticSimilarity.shape.join() !== `${batch},${batch}`) {
        throw new ShapeError(
          `softBinomialDevianceLoss: semantic similarity must have shape [B, B] = [${batch}, ${batch}], got [${semanticSimilarity.shape.join(', ')}].`,
        );
      }
      return semanticSimilarity;
    };
    // weightedMean divides by the sum of weights: the normalisation of u and v to mean 1.
    const positiveWeight =
      positiveLink === 0
        ? positive
        : multiply(positive, shift(scale(semantic(), -positiveLink), 1 + positiveLink));
    const negativePairWeight =
      negativeLink === 0 ? negative : multiply(negative, shift(scale(semantic(), negativeLink), 1));
    const distance = shift(similarity, -beta);
    const negativeDistance = slack === 0 ? distance : subtract(distance, scale(semantic(), slack));
    const attraction = weightedMean(softplus(scale(distance, -alpha)), positiveWeight);
    const repulsion = weightedMean(
      softplus(scale(negativeDistance, alpha * negativeCost)),
      negativePairWeight,
    );
    return add(attraction, scale(repulsion, negativeWeight));
  };
}
