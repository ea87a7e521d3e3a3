/**
 * What metric losses over the pairs of a batch share: cosines, masks of positive and negative pairs, masked means.
 * Pairs are ordered and i ≠ j.
 */
import {
  and,
  cast,
  constant,
  divide,
  equal,
  matmul,
  matrixTranspose,
  maximum,
  multiply,
  not,
  reduceSum,
  reshape,
  type Value,
} from '../graph/index.js';
import { ShapeError } from '../util/index.js';

export interface Pairs {
  /** Cosine similarity of the embeddings [B, B]. */
  readonly similarity: Value;
  /** 1 where i ≠ j are the same item, else 0 [B, B]. */
  readonly positive: Value;
  /** 1 where i and j are different items, else 0 [B, B]. */
  readonly negative: Value;
}

/**
 * @param embeddings [B, D], rows of unit length
 * @param itemIds [B] int64
 * @throws ShapeError when they have other ranks, or disagree on B.
 */
export function batchPairs(embeddings: Value, itemIds: Value, where: string): Pairs {
  if (embeddings.rank !== 2) {
    throw new ShapeError(
      `${where}: embeddings must have shape [B, D], got [${embeddings.shape.join(', ')}].`,
    );
  }
  const batch = embeddings.shape[0] as number;
  if (itemIds.rank !== 1 || itemIds.shape[0] !== batch) {
    throw new ShapeError(
      `${where}: item ids must have shape [B] = [${batch}], got [${itemIds.shape.join(', ')}].`,
    );
  }
  const isSame = equal(reshape(itemIds, [batch, 1]), reshape(itemIds, [1, batch]));
  const isSelf = new Uint8Array(batch * batch);
  for (let i = 0; i < batch; i++) isSelf[i * batch + i] = 1;
  const isOther = not(constant(isSelf, [batch, batch], { dataType: 'bool' }));
  return {
    similarity: matmul(embeddings, matrixTranspose(embeddings)),
    positive: cast(and(isSame, isOther), 'float32'),
    negative: cast(not(isSame), 'float32'),
  };
}

/** `Σ weight · x / Σ weight`, and 0 when the weights add up to 0. */
export function weightedMean(x: Value, weight: Value): Value {
  return divide(
    reduceSum(multiply(x, weight), 'all'),
    maximum(reduceSum(weight, 'all'), constant(1e-12, [])),
  );
}
