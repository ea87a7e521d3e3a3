/**
 * Proxy-anchor loss: each proxy is an anchor that pulls the pictures of its class and pushes all others,
 * `mean_{p ∈ P⁺} log(1 + Σ_{x of p} e^(−α(s − δ))) + mean_{p} log(1 + Σ_{x not of p} e^(α(s + δ)))`,
 * P⁺ the proxies that have a picture in the batch, the second mean over all proxies.
 *
 * Source: Kim, Kim, Cho, Kwak, "Proxy anchor loss for deep metric learning", CVPR 2020, arXiv 2003.13911, equation 4.
 */
import { add, cast, not, reduceMax, reduceMean, scale, shift } from '../graph/index.js';
import type { MetricLoss } from './metric-loss.js';
import { logOnePlusSumExp, weightedMean } from './pairs.js';
import { proxyPairs } from './proxies.js';

export interface ProxyAnchorOptions {
  /** Steepness, over 0. Default 32. */
  readonly alpha?: number;
  /** δ, in cosine. Default 0.1. */
  readonly margin?: number;
}

/** @throws GraphError when built without proxies. */
export function proxyAnchorLoss({ alpha = 32, margin = 0.1 }: ProxyAnchorOptions = {}): MetricLoss {
  return (inputs) => {
    const { similarity, isOwn } = proxyPairs(inputs, 'proxyAnchorLoss');
    const hasPicture = reduceMax(cast(isOwn, 'float32'), [0]);
    const attraction = logOnePlusSumExp(scale(shift(similarity, -margin), -alpha), isOwn, 0);
    const repulsion = logOnePlusSumExp(scale(shift(similarity, margin), alpha), not(isOwn), 0);
    return add(weightedMean(attraction, hasPicture), reduceMean(repulsion, 'all'));
  };
}
