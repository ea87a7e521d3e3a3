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
import { GraphError } from '../util/index.js';
import { squaredDistance } from './contrastive.js';
import type { MetricLoss } from './metric-loss.js';
import { batchPairs, weightedMean } from './pairs.js';

export interface TripletOptions {
  /** In squared distance. Default 0.2. */
  readonly margin?: number;
  /**
   * Which triplets count: `semi-hard` (default; all with a negative farther than the positive but within the margin),
   * `batch-hard` (one an anchor), or `all`. With a memory only `batch-hard` stays cheap.
   */
  readonly mining?: 'semi-hard' | 'batch-hard' | 'all';
}

/**
 * The mean over the triplets that the mining keeps; 0 where there is none. Positives and negatives are of the batch and the
 * memory.
 * @throws GraphError when there are more triplets than memory for them.
 */
export function tripletLoss({ margin = 0.2, mining = 'semi-hard' }: TripletOptions = {}): MetricLoss {
  return (inputs) => {
    const { similarity, positive, negative } = batchPairs(inputs, 'tripletLoss');
    const distance = squaredDistance(similarity);
    return mining === 'batch-hard'
      ? batchHard(distance, positive, negative, margin)
      : allTriplets(distance, positive, negative, margin, mining === 'semi-hard');
  };
}

// --- internal ---

/** More than any squared distance of unit vectors. */
const FAR = 8;
/** Of half a gigabyte a value of the graph. */
const MOST_TRIPLETS = 2 ** 27;

function batchHard(distance: Value, positive: Value, negative: Value, margin: number): Value {
  const farthestPositive = reduceMax(multiply(distance, positive), [1]);
  // What is no negative is moved far away.
  const nearestNegative = reduceMin(add(distance, shift(scale(negative, -FAR), FAR)), [1]);
  const hasBoth = multiply(reduceMax(positive, [1]), reduceMax(negative, [1]));
  return weightedMean(relu(shift(subtract(farthestPositive, nearestNegative), margin)), hasBoth);
}

/** [anchor, positive, negative] for all pictures: B·N² numbers, so for a few hundred pictures at most. */
function allTriplets(
  distance: Value,
  positive: Value,
  negative: Value,
  margin: number,
  isSemiHard: boolean,
): Value {
  const [batch, count] = distance.shape as readonly [number, number];
  if (batch * count * count > MOST_TRIPLETS) {
    throw new GraphError(
      `tripletLoss: at most ${MOST_TRIPLETS} triplets can be compared at once, got ${batch}·${count}² of a batch of ${batch} with ${count} pictures. Set loss.mining to 'batch-hard', or take fewer pictures or batches of memory.`,
    );
  }
  const gap = subtract(reshape(distance, [batch, count, 1]), reshape(distance, [batch, 1, count]));
  let kept = multiply(reshape(positive, [batch, count, 1]), reshape(negative, [batch, 1, count]));
  if (isSemiHard) {
    const fixed = stopGradient(gap);
    const isBetween = and(less(fixed, constant(0, [])), greater(fixed, constant(-margin, [])));
    kept = multiply(kept, cast(isBetween, 'float32'));
  }
  return weightedMean(relu(shift(gap, margin)), kept);
}
