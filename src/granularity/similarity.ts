/**
 * Semantic granularity similarity: how alike the attributes of two pictures are, as part of the training graph.
 *
 * Our reconstruction after Manandhar, Bastan, Yap, arXiv 1911.06047 (the exact formula was not available to us):
 * `g_ij` is the mean over attributes of the cosine of the two pictures' value vectors, over the attributes that both
 * have. No gradient flows into it.
 *
 * Letters: B batch, A attribute values, K attributes.
 */
import {
  add,
  cast,
  clip,
  concat,
  constant,
  divide,
  greater,
  matmul,
  matrixTranspose,
  maximum,
  multiply,
  power,
  reduceSum,
  scalarLike,
  scale,
  shift,
  sigmoid,
  slice,
  square,
  squareRoot,
  stopGradient,
  type Value,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';
import type { AttributeBlock } from './schema.js';

/** Where the attributes of a picture are taken from. */
export type SimilaritySource = 'predicted' | 'labels' | 'blend';

/** A monotone map φ of the similarity in [0, 1] to [0, 1]. */
export type SimilarityMapping =
  | { readonly kind: 'identity' }
  /** `g^exponent`; over 1 it keeps only the very alike. */
  | { readonly kind: 'power'; readonly exponent: number }
  /** `1 / (1 + e^(−slope · (g − middle)))` */
  | { readonly kind: 'logistic'; readonly slope: number; readonly middle: number };

export interface SimilarityOptions {
  /**
   * `labels` (default): the given attributes. `predicted`: the network's probabilities, which also covers unknown
   * values but says little early in training. `blend`: the mean of both.
   */
  readonly source: SimilaritySource;
  /** Default identity. */
  readonly mapping: SimilarityMapping;
}

/**
 * φ(g) for all pairs of a batch.
 * @param labels 0 or 1 [B, A]
 * @param known 1 where the attribute is known [B, K]
 * @param probabilities the network's [B, A]; needed for `predicted` and `blend`
 * @returns [B, B] in [0, 1]; 0 (before the mapping) where there is no attribute that both pictures have
 * @throws GraphError when there are no attributes, or no probabilities although the source needs them.
 */
export function semanticSimilarity(
  labels: Value,
  known: Value,
  probabilities: Value | undefined,
  blocks: readonly AttributeBlock[],
  { source, mapping }: SimilarityOptions,
): Value {
  if (blocks.length === 0) {
    throw new GraphError('semanticSimilarity: at least one attribute is required, got none.');
  }
  let similarity: Value;
  if (source === 'labels') similarity = blockSimilarity(labels, known, blocks);
  else {
    if (probabilities === undefined) {
      throw new GraphError(
        `semanticSimilarity: predicted attributes are required for source '${source}', got none. Set attributeWeight over 0, or source to 'labels'.`,
      );
    }
    const predicted = stopGradient(probabilities);
    const always = multiply(known, scalarLike(known, 0));
    const fromPredicted = blockSimilarity(predicted, shift(always, 1), blocks);
    similarity =
      source === 'predicted'
        ? fromPredicted
        : scale(add(fromPredicted, blockSimilarity(labels, known, blocks)), 0.5);
  }
  return applyMapping(clip(similarity, 0, 1), mapping);
}

// --- internal ---

/** Mean over the attributes that both pictures have of the cosine of their values. */
function blockSimilarity(values: Value, known: Value, blocks: readonly AttributeBlock[]): Value {
  const units: Value[] = [];
  const present: Value[] = [];
  blocks.forEach(({ offset, size }, index) => {
    const block = slice(values, [{ axis: 1, start: offset, end: offset + size }]);
    const length = squareRoot(reduceSum(square(block), [1], { keepDimensions: true }));
    const isKnown = slice(known, [{ axis: 1, start: index, end: index + 1 }]);
    const isPresent = multiply(isKnown, cast(greater(length, constant(0, [])), 'float32'));
    units.push(multiply(divide(block, maximum(length, constant(1e-6, []))), isPresent));
    present.push(isPresent);
  });
  const together = (parts: readonly Value[]) => {
    const joined = concat(parts, 1);
    return matmul(joined, matrixTranspose(joined));
  };
  return divide(together(units), maximum(together(present), constant(1, [])));
}

function applyMapping(similarity: Value, mapping: SimilarityMapping): Value {
  switch (mapping.kind) {
    case 'identity':
      return similarity;
    case 'power':
      return power(similarity, constant(mapping.exponent, []));
    case 'logistic':
      return sigmoid(scale(shift(similarity, -mapping.middle), mapping.slope));
  }
}
