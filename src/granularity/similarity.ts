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
  logarithm,
  matmul,
  matrixTranspose,
  maximum,
  multiply,
  negate,
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
  subtract,
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
  /** How many pictures, the first, are compared with all. Default: all. */
  readonly anchors?: number;
  /**
   * Subtract the batch's mean from every value before the cosine, which is then cut at 0: what all pictures share says
   * nothing, and vague predictions are alike no longer. Default false.
   */
  readonly centred?: boolean;
  /**
   * Weigh the values of multi-valued attributes by their rarity in the batch, `√(1 + ln(1 / share of pictures))`.
   * Default false.
   */
  readonly rarity?: boolean;
  /** Weights of attributes in the mean, by name, at least 0. Default 1 each. */
  readonly attributes?: Readonly<Record<string, number>>;
}

/**
 * φ(g) for all pairs of a batch.
 * @param labels 0 or 1 [B, A]
 * @param known 1 where the attribute is known [B, K]
 * @param probabilities the network's [B, A]; needed for `predicted` and `blend`
 * @returns [anchors, B] in [0, 1]; 0 (before the mapping) where there is no attribute that both pictures have
 * @throws GraphError when there are no attributes, or no probabilities although the source needs them.
 */
export function semanticSimilarity(
  labels: Value,
  known: Value,
  probabilities: Value | undefined,
  blocks: readonly AttributeBlock[],
  options: SimilarityOptions,
): Value {
  const { source, mapping } = options;
  if (blocks.length === 0) {
    throw new GraphError('semanticSimilarity: at least one attribute is required, got none.');
  }
  let similarity: Value;
  if (source === 'labels') similarity = blockSimilarity(labels, known, blocks, options);
  else {
    if (probabilities === undefined) {
      throw new GraphError(
        `semanticSimilarity: predicted attributes are required for source '${source}', got none. Set attributeWeight over 0, or source to 'labels'.`,
      );
    }
    const predicted = stopGradient(probabilities);
    const always = multiply(known, scalarLike(known, 0));
    const fromPredicted = blockSimilarity(predicted, shift(always, 1), blocks, options);
    similarity =
      source === 'predicted'
        ? fromPredicted
        : scale(add(fromPredicted, blockSimilarity(labels, known, blocks, options)), 0.5);
  }
  return applyMapping(clip(similarity, 0, 1), mapping);
}

// --- internal ---

/** Keeps the logarithm finite of a value that no picture of the batch has. */
const SMALLEST_SHARE = 1e-3;
/** Sum of weights under which two pictures count as having no attribute in common. */
const SMALLEST_WEIGHT = 1e-6;

/** Weighted mean over the attributes that both pictures have of the cosine of their values. */
function blockSimilarity(
  values: Value,
  known: Value,
  blocks: readonly AttributeBlock[],
  options: SimilarityOptions,
): Value {
  const { anchors = Number(values.shape[0]), centred = false, rarity = false, attributes = {} } = options;
  const units: Value[] = [];
  const present: Value[] = [];
  blocks.forEach(({ name, kind, offset, size }, index) => {
    const weight = attributes[name] ?? 1;
    if (weight === 0) return;
    const given = slice(values, [{ axis: 1, start: offset, end: offset + size }]);
    const isKnown = slice(known, [{ axis: 1, start: index, end: index + 1 }]);
    const isPresent = multiply(isKnown, cast(greater(lengthOf(given), constant(0, [])), 'float32'));
    const share = () =>
      divide(
        reduceSum(multiply(given, isPresent), [0], { keepDimensions: true }),
        maximum(reduceSum(isPresent, [0], { keepDimensions: true }), constant(1, [])),
      );
    let block = given;
    if (centred) block = subtract(block, share());
    if (rarity && kind === 'multi')
      block = multiply(block, squareRoot(shift(negate(logarithm(clip(share(), SMALLEST_SHARE, 1))), 1)));
    const unit = divide(block, maximum(lengthOf(block), constant(1e-6, [])));
    units.push(scale(multiply(unit, isPresent), Math.sqrt(weight)));
    present.push(scale(isPresent, Math.sqrt(weight)));
  });
  if (units.length === 0) {
    throw new GraphError('semanticSimilarity: at least one attribute must weigh over 0, got none.');
  }
  const together = (parts: readonly Value[]) => {
    const joined = concat(parts, 1);
    const first = anchors === joined.shape[0] ? joined : slice(joined, [{ axis: 0, start: 0, end: anchors }]);
    return matmul(first, matrixTranspose(joined));
  };
  return divide(together(units), maximum(together(present), constant(SMALLEST_WEIGHT, [])));
}

const lengthOf = (block: Value): Value => squareRoot(reduceSum(square(block), [1], { keepDimensions: true }));

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
