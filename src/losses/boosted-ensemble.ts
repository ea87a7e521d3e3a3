/**
 * An ensemble within one embedding, boosted online: the embedding is divided into M learners, each of unit length, and each
 * learns most from the pairs that the learners before it get wrong,
 * `1/M · Σ_m [mean_P w_m·softplus(−α(s_m − β)) + mean_N w_m·softplus(αC(s_m − β))]`.
 *
 * `s_m` is the cosine of learner m alone, `S_m = (1 − η_m)S_{m−1} + η_m s_m` with `η_m = 2/(m + 1)` that of the first m
 * together; `w_1 = 1`, and `w_{m+1}` is the negative gradient of the deviance at `S_m` by its logit:
 * `sigmoid(−α(S_m − β))` for positive pairs and `sigmoid(αC(S_m − β))` for negative ones, without gradient. The cosine
 * of two whole embeddings is `S_M`.
 *
 * Source: Opitz, Waltner, Possegger, Bischof, "BIER: Boosting independent embeddings robustly", ICCV 2017, algorithm 1,
 * and arXiv 1801.04815, with its constants. Left out: the activation and adversarial losses that keep learners
 * independent (they act on activations before normalisation), and the initialisation that minimises the former; learners
 * differ by their random weights, their sizes and the boosting. The authors' evaluation scales learners by their size; here
 * they have the weights of algorithm 1. Positive pairs do not include a picture with itself.
 */
import {
  add,
  constant,
  multiply,
  scale,
  shift,
  sigmoid,
  slice,
  softplus,
  stopGradient,
  type Value,
} from '../graph/index.js';
import { ShapeError } from '../util/index.js';
import type { BinomialDevianceOptions } from './binomial-deviance.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, pairSimilarity, weightedMean } from './pairs.js';

export interface BoostedEnsembleOptions extends Omit<BinomialDevianceOptions, 'negativeWeight'> {
  /** Coordinates of each learner, in order; they add up to D. */
  readonly sizes: readonly number[];
}

/** A part of the embedding: its coordinates, and its share of the whole cosine. */
export interface Learner {
  readonly offset: number;
  readonly size: number;
  readonly weight: number;
}

/**
 * The learners of an ensemble. The whole embedding is each one's unit vector times the root of its weight
 * `η_m · Π_{n > m} (1 − η_n) = 2m / (M(M + 1))`; the weights add up to 1.
 */
export function ensembleLearners(sizes: readonly number[]): readonly Learner[] {
  const count = sizes.length;
  let offset = 0;
  return sizes.map((size, m) => {
    const learner = { offset, size, weight: (2 * (m + 1)) / (count * (count + 1)) };
    offset += size;
    return learner;
  });
}

/** Sizes of learners that grow in proportion to their number, 1 : 2 : … : count, and add up to the dimension. */
export function growingSizes(dimension: number, count: number): readonly number[] {
  const end = (m: number) => Math.round((dimension * m * (m + 1)) / (count * (count + 1)));
  return Array.from({ length: count }, (_, m) => end(m + 1) - end(m));
}

/**
 * Takes embeddings whose parts are `ensembleLearners` of the sizes.
 * @throws ShapeError when the sizes do not add up to D.
 */
export function boostedEnsembleLoss(options: BoostedEnsembleOptions): MetricLoss {
  const { sizes, alpha = 2, beta = 0.5, negativeCost = 25 } = options;
  return (inputs) => {
    const { positive, negative } = batchPairs(inputs, 'boostedEnsembleLoss');
    const dimension = sizes.reduce((sum, size) => sum + size, 0);
    if (dimension !== inputs.embeddings.shape[1]) {
      throw new ShapeError(
        `boostedEnsembleLoss: sizes of learners must add up to D = ${inputs.embeddings.shape[1]}, got ${sizes.join(' + ')} = ${dimension}.`,
      );
    }
    const positiveLogit = (s: Value) => scale(shift(s, -beta), -alpha);
    const negativeLogit = (s: Value) => scale(shift(s, -beta), alpha * negativeCost);
    let ensemble: Value | undefined;
    let total: Value = constant(0, []);
    ensembleLearners(sizes).forEach(({ offset, size, weight }, m) => {
      const part = (x: Value) => slice(x, [{ axis: 1, start: offset, end: offset + size }]);
      const past = inputs.memory?.embeddings;
      const s = scale(
        pairSimilarity(part(inputs.embeddings), past === undefined ? undefined : part(past)),
        1 / weight,
      );
      const mean = (logit: (s: Value) => Value, pairs: Value) => {
        const term = softplus(logit(s));
        // The mean is over all pairs, not over the sum of weights: what is well learnt already counts little.
        return weightedMean(ensemble === undefined ? term : multiply(term, sigmoid(logit(ensemble))), pairs);
      };
      total = add(total, add(mean(positiveLogit, positive), mean(negativeLogit, negative)));
      const eta = 2 / (m + 2);
      const fixed = stopGradient(s);
      ensemble = ensemble === undefined ? fixed : add(scale(ensemble, 1 - eta), scale(fixed, eta));
    });
    return scale(total, 1 / sizes.length);
  };
}
