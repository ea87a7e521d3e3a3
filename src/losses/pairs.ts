/**
 * What metric losses over pairs share: cosines, masks of positive and negative pairs, masked means. Pairs are ordered,
 * i ≠ j; the first picture is of the batch, the second of the batch or of the memory.
 *
 * Letters: B batch, M rows of the memory, D embedding size.
 */
import {
  add,
  and,
  cast,
  concat,
  constant,
  divide,
  equal,
  exponential,
  greater,
  logarithm,
  matmul,
  matrixTranspose,
  maximum,
  multiply,
  negate,
  not,
  reduceMax,
  reduceSum,
  reshape,
  softplus,
  stopGradient,
  subtract,
  type Value,
  where,
} from '../graph/index.js';
import { ShapeError } from '../util/index.js';
import type { MetricLossInputs, PairMemory, PairVerdicts } from './metric-loss.js';

/** Pairs of an anchor of the batch with the N pictures of the batch and the memory: N = B + M. */
export interface Pairs {
  /** Cosine similarity of the embeddings [B, N]. */
  readonly similarity: Value;
  /** 1 where two pictures are of the same item, else 0; never a picture with itself [B, N]. */
  readonly positive: Value;
  /** 1 where two pictures are of different items, else 0 [B, N]. */
  readonly negative: Value;
  /** Bool: where verdicts decided instead of the items [B, N]; absent without verdicts. */
  readonly isJudged?: Value;
}

/**
 * The batch's pairs, first with itself, then with the memory. Verdicts come before item ids.
 * @throws ShapeError when embeddings, item ids and verdicts have other ranks, or disagree on B, D or M.
 */
export function batchPairs(inputs: MetricLossInputs, name: string): Pairs {
  const { embeddings, itemIds, memory, verdicts } = inputs;
  const batch = checkBatch(embeddings, itemIds, name);
  const size = memory === undefined ? 0 : checkMemory(memory, Number(embeddings.shape[1]), name);
  if (verdicts !== undefined) checkVerdicts(verdicts, batch, name);
  const isSame = equal(reshape(itemIds, [batch, 1]), reshape(itemIds, [1, batch]));
  const isSelf = new Uint8Array(batch * batch);
  for (let i = 0; i < batch; i++) isSelf[i * batch + i] = 1;
  const isOther = not(constant(isSelf, [batch, batch], { dataType: 'bool' }));
  const similarity = pairSimilarity(embeddings, memory?.embeddings);
  const byItem = { positive: cast(and(isSame, isOther), 'float32'), negative: cast(not(isSame), 'float32') };
  const { positive, negative } =
    verdicts === undefined
      ? byItem
      : {
          positive: where(verdicts.isJudged, verdicts.positive, byItem.positive),
          negative: where(verdicts.isJudged, verdicts.negative, byItem.negative),
        };
  if (memory === undefined) {
    return {
      similarity,
      positive,
      negative,
      ...(verdicts === undefined ? {} : { isJudged: verdicts.isJudged }),
    };
  }
  const unjudged = constant(new Uint8Array(batch * size), [batch, size], { dataType: 'bool' });
  const isSameItem = equal(reshape(itemIds, [batch, 1]), reshape(memory.itemIds, [1, size]));
  const isFilled = reshape(memory.isFilled, [1, size]);
  return {
    similarity,
    positive: concat([positive, multiply(cast(isSameItem, 'float32'), isFilled)], 1),
    negative: concat([negative, multiply(cast(not(isSameItem), 'float32'), isFilled)], 1),
    ...(verdicts === undefined ? {} : { isJudged: concat([verdicts.isJudged, unjudged], 1) }),
  };
}

/**
 * Dot products of the batch's rows [B, D] with themselves and with those of a memory [M, D]: [B, N].
 */
export function pairSimilarity(embeddings: Value, past: Value | undefined): Value {
  const own = matmul(embeddings, matrixTranspose(embeddings));
  return past === undefined ? own : concat([own, matmul(embeddings, matrixTranspose(past))], 1);
}

/**
 * @returns B
 * @throws ShapeError when embeddings are not [B, D], or item ids not [B].
 */
export function checkBatch(embeddings: Value, itemIds: Value, where: string): number {
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
  return batch;
}

/** How the terms of pairs become one number. */
export type PairAggregation = 'pairs' | 'anchors' | 'log-sum-exp';

/**
 * The weighted mean of `softplus(logits)` over pairs, in one of three ways.
 *
 * - `pairs`: over all pairs at once, `Σ w·softplus(x) / Σ w`
 * - `anchors`: first over each anchor's pairs, then over the anchors that have any
 * - `log-sum-exp`: `softplus(log Σ_j w_ij·e^(x_ij))` of each anchor, then the mean over the anchors that have any: the
 *   hardest pairs rule, as in multi-similarity loss (Wang 2019, arXiv 1904.06627)
 * @param logits [B, M]
 * @param weight ≥ 0 [B, M]; 0 where there is no pair
 */
export function aggregatedSoftplus(logits: Value, weight: Value, aggregation: PairAggregation): Value {
  if (aggregation === 'pairs') return weightedMean(softplus(logits), weight);
  const sums = reduceSum(weight, [1]);
  const hasPairs = cast(greater(sums, constant(0, [])), 'float32');
  if (aggregation === 'anchors') {
    const means = divide(
      reduceSum(multiply(softplus(logits), weight), [1]),
      maximum(sums, constant(1e-12, [])),
    );
    return weightedMean(means, hasPairs);
  }
  const isPair = greater(weight, constant(0, []));
  const weighted = add(logits, logarithm(maximum(weight, constant(1e-12, []))));
  return weightedMean(logOnePlusSumExp(weighted, isPair, 1), hasPairs);
}

/** `Σ weight · x / Σ weight`, and 0 when the weights add up to 0. */
export function weightedMean(x: Value, weight: Value): Value {
  return divide(
    reduceSum(multiply(x, weight), 'all'),
    maximum(reduceSum(weight, 'all'), constant(1e-12, [])),
  );
}

/**
 * `log(1 + Σ e^z)` along an axis, over the elements that are kept; 0 where none is. No `z` overflows it.
 * @param z [B, N]
 * @param isKept bool [B, N]
 * @returns [B] for axis 1, [N] for axis 0
 */
export function logOnePlusSumExp(z: Value, isKept: Value, axis: 0 | 1): Value {
  const kept = where(isKept, z, constant(-1e9, []));
  const highest = stopGradient(maximum(reduceMax(kept, [axis], { keepDimensions: true }), constant(0, [])));
  const sum = reduceSum(exponential(subtract(kept, highest)), [axis]);
  const flat = reshape(highest, sum.shape.map(Number));
  return add(flat, logarithm(add(exponential(negate(flat)), sum)));
}

// --- internal ---

function checkVerdicts({ isJudged, positive, negative }: PairVerdicts, batch: number, where: string): void {
  for (const [name, { shape }] of Object.entries({ isJudged, positive, negative })) {
    if (shape.length !== 2 || shape[0] !== batch || shape[1] !== batch) {
      throw new ShapeError(
        `${where}: verdicts.${name} must have shape [B, B] = [${batch}, ${batch}], got [${shape.join(', ')}].`,
      );
    }
  }
}

/** @returns M */
function checkMemory(
  { embeddings, itemIds, isFilled }: PairMemory,
  dimension: number,
  where: string,
): number {
  const size = Number(embeddings.shape[0]);
  if (embeddings.rank !== 2 || embeddings.shape[1] !== dimension) {
    throw new ShapeError(
      `${where}: the memory's embeddings must have shape [M, D] = [M, ${dimension}], got [${embeddings.shape.join(', ')}].`,
    );
  }
  for (const [name, { shape }] of Object.entries({ 'item ids': itemIds, 'mask of rows': isFilled })) {
    if (shape.length !== 1 || shape[0] !== size) {
      throw new ShapeError(
        `${where}: the memory's ${name} must have shape [M] = [${size}], got [${shape.join(', ')}].`,
      );
    }
  }
  return size;
}
