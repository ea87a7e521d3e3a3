/**
 * What every metric loss is: a function from a batch's embeddings and items to a scalar.
 */
import type { Value } from '../graph/index.js';

export interface MetricLossInputs {
  /** [B, D], rows of unit length */
  readonly embeddings: Value;
  /** [B] int64 */
  readonly itemIds: Value;
  /**
   * φ(g) of all pairs [B, N] in [0, 1], without gradient, N = B or, with a memory, B + M; only losses that are linked to
   * attributes need it.
   */
  readonly semanticSimilarity?: Value;
  /**
   * One row a training class [C, D], of any length: its direction stands for the class. Only losses on proxies need them;
   * item ids are then whole numbers from 0 to C − 1.
   */
  readonly proxies?: Value;
  /** Only losses over pairs look at it. */
  readonly memory?: PairMemory;
  /** What is known of single pairs of the batch, whatever the item ids say. Only losses over pairs look at it. */
  readonly verdicts?: PairVerdicts;
}

/** What people said of pairs of the batch: all three [B, B], symmetric, nothing on the diagonal. */
export interface PairVerdicts {
  /** Bool: where true the pair is what `positive` and `negative` say, elsewhere what the item ids say. */
  readonly isJudged: Value;
  /** 1 where a judged pair is a positive one, else 0. */
  readonly positive: Value;
  /** 1 where a judged pair is a negative one, else 0. Where both are 0 the pair counts as neither. */
  readonly negative: Value;
}

/**
 * Embeddings of past batches, which the batch's own are paired with as well: cross-batch memory (Wang, Zhang, Huang, Scott,
 * CVPR 2020, arXiv 1912.06798). Gradients flow through the batch's side of such a pair only.
 */
export interface PairMemory {
  /** [M, D], rows of unit length */
  readonly embeddings: Value;
  /** [M] int64 */
  readonly itemIds: Value;
  /** 1 where a row holds an embedding, 0 where it is still empty [M] */
  readonly isFilled: Value;
}

/** Builds the loss, a float32 scalar. */
export type MetricLoss = (inputs: MetricLossInputs) => Value;
