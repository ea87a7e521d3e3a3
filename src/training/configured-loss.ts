/**
 * What a configuration's `loss` means to the training step: the loss itself, what it looks at, and what it trains beside the
 * network.
 */
import { clip, multiply, scale, type Value } from '../graph/index.js';
import {
  binomialDevianceLoss,
  boostedEnsembleLoss,
  contrastiveLoss,
  ensembleLearners,
  growingSizes,
  type MetricLoss,
  multiSimilarityLoss,
  normalizedSoftmaxLoss,
  proxyAnchorLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from '../losses/index.js';
import type { multitaskHeads, Parameter } from '../models/index.js';
import { DataError } from '../util/index.js';
import type { TrainingConfiguration } from './configuration.js';

/** Name of the trained directions that losses on proxies keep, one a training class; a model is exported without them. */
export const PROXIES = 'proxies';

/** The metric loss that a configuration names. */
export function metricLossOf(configuration: TrainingConfiguration): MetricLoss {
  const { loss } = configuration;
  switch (loss.kind) {
    case 'soft-binomial-deviance':
      return softBinomialDevianceLoss(loss);
    case 'binomial-deviance':
      return binomialDevianceLoss(loss);
    case 'contrastive':
      return contrastiveLoss(loss);
    case 'triplet':
      return tripletLoss(loss);
    case 'multi-similarity':
      return multiSimilarityLoss(loss);
    case 'boosted-ensemble':
      return boostedEnsembleLoss({ ...loss, sizes: learnerSizes(configuration) });
    case 'normalized-softmax':
      return normalizedSoftmaxLoss(loss);
    case 'proxy-anchor':
      return proxyAnchorLoss(loss);
  }
}

/** What the heads are made from; a boosted ensemble divides the embedding. */
export function headOptionsOf(configuration: TrainingConfiguration): Parameters<typeof multitaskHeads>[3] {
  const { network, loss } = configuration;
  if (loss.kind !== 'boosted-ensemble') return network;
  return { ...network, parts: ensembleLearners(learnerSizes(configuration)) };
}

/** Whether the metric loss looks at attributes. */
export function usesAttributes({ loss }: TrainingConfiguration): boolean {
  return (
    loss.kind === 'soft-binomial-deviance' &&
    (loss.positiveLink > 0 || loss.negativeLink > 0 || loss.slack > 0 || loss.attraction > 0)
  );
}

/** Whether the metric loss looks at the attributes that the network predicts. */
export function usesPredictions({ loss }: TrainingConfiguration): boolean {
  return loss.kind === 'soft-binomial-deviance' && loss.source !== 'labels';
}

/** The proxies [C, D] of a loss that has them, rows of length about 1. Only their direction counts, so they do not decay. */
export function proxiesOf(
  { loss, network }: TrainingConfiguration,
  classes: number | undefined,
): Parameter | undefined {
  if (loss.kind !== 'normalized-softmax' && loss.kind !== 'proxy-anchor') return undefined;
  if (classes === undefined) {
    throw new DataError(
      `train: the loss '${loss.kind}' needs the number of training classes, got none. Give classes`,
    );
  }
  return {
    name: PROXIES,
    shape: [classes, network.embeddingSize],
    initializer: { kind: 'normal', fanIn: network.embeddingSize, gain: 1 },
    kind: 'trained',
    isDecayed: false,
    learningRateScale: loss.proxyLearningRateScale,
  };
}

/** The similarity as it counts at a step: growing from 0 where the loss has a ramp. */
export function ramped(similarity: Value, step: Value, { loss }: TrainingConfiguration): Value {
  if (loss.kind !== 'soft-binomial-deviance' || loss.rampSteps === 0) return similarity;
  return multiply(similarity, clip(scale(step, 1 / loss.rampSteps), 0, 1));
}

// --- internal ---

/** Of a boosted ensemble: the coordinates of each learner. */
function learnerSizes({ loss, network: { embeddingSize } }: TrainingConfiguration): readonly number[] {
  if (loss.kind !== 'boosted-ensemble') return [embeddingSize];
  return typeof loss.learners === 'number' ? growingSizes(embeddingSize, loss.learners) : loss.learners;
}
