/**
 * Normalised softmax: cross-entropy over the training classes of the cosines with their proxies, `softmax(s / T)`. A
 * class is an item, and its proxy a direction that is trained with the network.
 *
 * Source: Zhai & Wu, "Classification is a strong baseline for deep metric learning", BMVC 2019, arXiv 1811.12649,
 * equation 3; their layer normalisation of the embedding is the network's affair here.
 */
import { add, cast, logSoftmax, multiply, negate, reduceMean, reduceSum, scale } from '../graph/index.js';
import type { MetricLoss } from './metric-loss.js';
import { proxyPairs } from './proxies.js';

export interface NormalizedSoftmaxOptions {
  /** T over 0: the smaller, the harder the decision. Default 0.05. */
  readonly temperature?: number;
  /** Share of the probability spread evenly over the classes (Szegedy et al. 2016). Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * The mean over the pictures of the batch.
 * @throws GraphError when built without proxies.
 */
export function normalizedSoftmaxLoss(options: NormalizedSoftmaxOptions = {}): MetricLoss {
  const { temperature = 0.05, labelSmoothing = 0 } = options;
  return (inputs) => {
    const { similarity, isOwn } = proxyPairs(inputs, 'normalizedSoftmaxLoss');
    const logProbabilities = logSoftmax(scale(similarity, 1 / temperature), 1);
    const own = reduceSum(multiply(logProbabilities, cast(isOwn, 'float32')), [1]);
    if (labelSmoothing === 0) return negate(reduceMean(own, 'all'));
    const even = reduceMean(logProbabilities, [1]);
    return negate(reduceMean(add(scale(own, 1 - labelSmoothing), scale(even, labelSmoothing)), 'all'));
  };
}
