/**
 * Soft-binomial deviance: binomial deviance in which the semantic similarity g of a pair's attributes says how much the
 * pair weighs, and how close a negative pair may stay:
 *
 * `mean_P u·softplus(−α(s − β)) + mean_N v·softplus(αC(s − β − δ·g))`
 * with `u = 1 + κp(1 − g)` and `v = 1 + κn·g`, each normalised to mean 1 over its pairs. To it may come an attraction
 * of negatives by their similarity, `τ·mean_N g·softplus(−α(s − β))`, and the means may be taken anchor by anchor.
 *
 * Our reconstruction after Manandhar, Bastan, Yap, "Semantic Granularity Metric Learning for Visual Search",
 * arXiv 1911.06047; the exact formula was not available to us.
 */
import {
  add,
  constant,
  multiply,
  scale,
  shift,
  softplus,
  subtract,
  type Value,
  where,
} from '../graph/index.js';
import { GraphError, ShapeError } from '../util/index.js';
import type { BinomialDevianceOptions } from './binomial-deviance.js';
import type { MetricLoss } from './metric-loss.js';
import { aggregatedSoftplus, batchPairs, type PairAggregation, weightedMean } from './pairs.js';

export interface SoftBinomialDevianceOptions extends BinomialDevianceOptions {
  /** κp ≥ 0: extra weight of positive pairs whose attributes look different. Default 0. */
  readonly positiveLink?: number;
  /** κn ≥ 0: extra weight of negative pairs that share attributes. Default 1. */
  readonly negativeLink?: number;
  /** δ ≥ 0: how much closer, in cosine, negatives of one look may stay than strangers. Default 0.15. */
  readonly slack?: number;
  /** τ ≥ 0: how strongly negatives are drawn to each other, in the measure of their similarity. Default 0. */
  readonly attraction?: number;
  /**
   * How pairs are averaged; see `aggregatedSoftplus`. With `log-sum-exp` each side is divided by its steepness, as in
   * multi-similarity loss, of which this is then the form with semantic weights and margins. Default `log-sum-exp`.
   */
  readonly aggregation?: PairAggregation;
}

/**
 * With all links at zero and `pairs` this is binomial deviance, to the last bit. In pairs with a verdict g counts as 0: a
 * negative one has no slack, whatever attributes it shares.
 * @throws GraphError when built without a semantic similarity although a knob is not zero.
 * @throws ShapeError when the similarity is not [B, N], N = B + M.
 */
export function softBinomialDevianceLoss(options: SoftBinomialDevianceOptions = {}): MetricLoss {
  const { alpha = 2, beta = 0.5, negativeCost = 25, negativeWeight = 1 } = options;
  const {
    positiveLink = 0,
    negativeLink = 1,
    slack = 0.15,
    attraction = 0,
    aggregation = 'log-sum-exp',
  } = options;
  return (inputs) => {
    const { semanticSimilarity } = inputs;
    const { similarity, positive, negative, isJudged } = batchPairs(inputs, 'softBinomialDevianceLoss');
    const semantic = (): Value => {
      if (semanticSimilarity === undefined) {
        throw new GraphError(
          'softBinomialDevianceLoss: a semantic similarity is required, got none. Give attributes, or set all links to 0.',
        );
      }
      if (semanticSimilarity.shape.join() !== similarity.shape.join()) {
        throw new ShapeError(
          `softBinomialDevianceLoss: semantic similarity must have shape [B, N] = [${similarity.shape.join(', ')}], got [${semanticSimilarity.shape.join(', ')}].`,
        );
      }
      // Attributes excuse nothing in a pair that somebody judged.
      return isJudged === undefined
        ? semanticSimilarity
        : where(isJudged, constant(0, []), semanticSimilarity);
    };
    // Means divide by the sum of weights: the normalisation of u and v to mean 1. A log-sum-exp takes them as they are.
    const positiveWeight =
      positiveLink === 0
        ? positive
        : multiply(positive, shift(scale(semantic(), -positiveLink), 1 + positiveLink));
    const negativePairWeight =
      negativeLink === 0 ? negative : multiply(negative, shift(scale(semantic(), negativeLink), 1));
    const distance = shift(similarity, -beta);
    const negativeDistance = slack === 0 ? distance : subtract(distance, scale(semantic(), slack));
    const isNormalised = aggregation === 'log-sum-exp';
    const positiveSide = aggregatedSoftplus(scale(distance, -alpha), positiveWeight, aggregation);
    const negativeSide = aggregatedSoftplus(
      scale(negativeDistance, alpha * negativeCost),
      negativePairWeight,
      aggregation,
    );
    const loss = add(
      isNormalised ? scale(positiveSide, 1 / alpha) : positiveSide,
      scale(negativeSide, isNormalised ? negativeWeight / (alpha * negativeCost) : negativeWeight),
    );
    if (attraction === 0) return loss;
    const drawn = weightedMean(softplus(scale(distance, -alpha)), multiply(negative, semantic()));
    return add(loss, scale(drawn, attraction));
  };
}
