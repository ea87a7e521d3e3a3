/**
 * What every metric loss is: a function from a batch's embeddings and items to a scalar.
 */
import type { Value } from '../graph/index.js';

export interface MetricLossInputs {
  /** [B, D], rows of unit length */
  readonly embeddings: Value;
  /** [B] int64 */
  readonly itemIds: Value;
  /** φ(g) of all pairs [B, B] in [0, 1], without gradient; only losses that are linked to attributes need it. */
  readonly semanticSimilarity?: Value;
}

/** Builds the loss, a float32 scalar. */
export type MetricLoss = (inputs: MetricLossInputs) => Value;
