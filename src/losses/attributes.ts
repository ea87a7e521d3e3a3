/**
 * The attribute loss: cross-entropy of single-valued attributes, binary cross-entropy of multi-valued ones, each a mean
 * over the pictures whose value is known; then the mean over attributes.
 *
 * Letters: B batch, A attribute values, K attributes.
 */

import type { AttributeBlock } from '../granularity/index.js';
import {
  add,
  logSoftmax,
  multiply,
  negate,
  reduceMean,
  reduceSum,
  reshape,
  scale,
  slice,
  softplus,
  subtract,
  type Value,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { weightedMean } from './pairs.js';

export interface AttributeLossOptions {
  /** Share of the probability spread evenly over a single-valued attribute's values (Szegedy et al. 2016). Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * @param logits [B, A]
 * @param labels 0 or 1 [B, A]
 * @param known 1 where the attribute is known, else 0 [B, K]
 * @returns a scalar; an attribute that no picture of the batch knows adds 0
 * @throws GraphError when there are no attributes.
 */
export function attributeLoss(
  logits: Value,
  labels: Value,
  known: Value,
  blocks: readonly AttributeBlock[],
  { labelSmoothing = 0 }: AttributeLossOptions = {},
): Value {
  if (blocks.length === 0)
    throw new GraphError('attributeLoss: at least one attribute is required, got none.');
  const batch = logits.shape[0] as number;
  const losses = blocks.map(({ kind, offset, size }, index) => {
    const range = [{ axis: 1, start: offset, end: offset + size }];
    const z = slice(logits, range);
    const y = slice(labels, range);
    const isKnown = reshape(slice(known, [{ axis: 1, start: index, end: index + 1 }]), [batch]);
    const each = kind === 'single' ? crossEntropy(z, y, labelSmoothing) : binaryCrossEntropy(z, y);
    return weightedMean(each, isKnown);
  });
  return scale(losses.reduce(add), 1 / blocks.length);
}

// --- internal ---

/** `−Σ y·log softmax(z)` a picture [B] */
function crossEntropy(z: Value, y: Value, labelSmoothing: number): Value {
  const logProbabilities = logSoftmax(z, 1);
  const ofLabel = reduceSum(multiply(logProbabilities, y), [1]);
  if (labelSmoothing === 0) return negate(ofLabel);
  const ofAll = reduceMean(logProbabilities, [1]);
  return negate(add(scale(ofLabel, 1 - labelSmoothing), scale(ofAll, labelSmoothing)));
}

/** `softplus(z) − y·z`, the mean over values, a picture [B] */
function binaryCrossEntropy(z: Value, y: Value): Value {
  return reduceMean(subtract(softplus(z), multiply(y, z)), [1]);
}
