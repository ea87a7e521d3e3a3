/**
 * Triplet loss on squared Euclidean distances of unit vectors: `max(0, d²(a, p) − d²(a, n) + margin)`.
 * Sources: Schroff, Kalenichenko, Philbin, "FaceNet", arXiv 1503.03832 (semi-hard negatives: farther than the positive
 * but within the margin); Hermans, Beyer, Leibe, arXiv 1703.07737 (batch-hard: each anchor's farthest positive and
 * nearest negative).
 */
import {
  add,
  and,
  cast,
  constant,
  greater,
  less,
  multiply,
  reduceMax,
  reduceMin,
  relu,
  reshape,
  scale,
  shift,
  stopGradient,
  subtract,
  type Value,
} from '../graph/index.js';
import { squaredDistance } from './contrastive.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, weightedMean } from './pairs.js';

export interface TripletOptions {
  /** In squared distance. Default 0.2. */
  readonly margin?: number;
  /**
   * Which triplets count: `semi-hard` (default; all with a negative farther than the positive but within the margin),
   * `batch-hard` (one an anchor), or `all`.
   */
  readonly mining?: 'semi-hard' | 'batch-hard' | 'all';
}

/** The mean over the triplets that the mining keeps; 0 where there is none. */
export function tripletLoss({ margin = 0.2, mining = 'semi-hard' }: TripletOptions = {}): MetricLoss {
  return ({ embeddings, itemIds }) => {
    const { similarity, positive, negative } = batchPairs(embeddings, itemIds, 'tripletLoss');
    const distance = squaredDistance(similarity);
    return mining === 'batch-hard'
      ? batchHard(distance, positive, negative, margin)
      : allTriplets(distance, positive, negative, margin, mining === 'semi-hard');
  };
}

// --- internal ---

/** More than any squared distance of unit vectors. */
const FAR = 8;

function batchHard(distance: Value, positive: Value, negative: Value, margin: number): Value {
  const farthestPositive = reduceMax(multiply(distance, positive), [1]);
  // What is no negative is moved far away.
  const nearestNegative = reduceMin(add(distance, shift(scale(negative, -FAR), FAR)), [1]);
  const hasBoth = multiply(reduceMax(positive, [1]), reduceMax(negative, [1]));
  return weightedMean(relu(shift(subtract(farthestPositive, nearestNegative), margin)), hasBoth);
}

/** [anchor, positive, negative] for the whole batch: B³ numbers, so for batches of a few hundred at most. */
function allTriplets(
  distance: Value,
  positive: Value,
  negative: Value,
  margin: number,
  isSemiHard: boolean,
): Value {
  const batch = distance.shape[0] as number;
  const gap = subtract(reshape(distance, [batch, batch, 1]), reshape(distance, [batch, 1, batch]));
  let kept = multiply(reshape(positive, [batch, batch, 1]), reshape(negative, [batch, 1, batch]));
  if (isSemiHard) {
    const fixed = stopGradient(gap);
    const isBetween = and(less(fixed, constant(0, [])), greater(fixed, constant(-margin, [])));
    kept = multiply(kept, cast(isBetween, 'float32'));
  }
  return weightedMean(relu(shift(gap, margin)), kept);
}
