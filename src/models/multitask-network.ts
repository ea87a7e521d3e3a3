/**
 * The multitask network: one backbone whose features give an embedding of unit length and the logits of attributes.
 *
 * Source: Manandhar, Bastan, Yap, "Semantic Granularity Metric Learning for Visual Search", arXiv 1911.06047; the
 * backbone and the batch normalisation before the unit length are ours.
 */
import {
  cast,
  concat,
  constant,
  globalAveragePool,
  multiply,
  reshape,
  scale,
  sigmoid,
  slice,
  softmax,
  subtract,
  transpose,
  unitLength,
  type Value,
} from '../graph/index.js';
import { ShapeError } from '../util/index.js';
import { linearLayer, type NetworkContext, normalizationLayer } from './layers.js';
import { type ResidualNetworkOptions, residualNetwork } from './residual-network.js';

export interface MultitaskNetworkOptions extends ResidualNetworkOptions {
  /** Height and width of the pictures in pixels; divisible by `2^widths.length`. */
  readonly inputSize: number;
  /** D, the length of the embedding. */
  readonly embeddingSize: number;
  /**
   * What the heads see: the whole flattened feature map, which keeps the layout (good for drawings and products on a
   * plain ground), or its mean over positions.
   */
  readonly pooling: 'flatten' | 'average';
  /**
   * Parts of the embedding, in order, that are scaled to unit length each and then by the root of their weight; sizes add
   * up to D and weights to 1, so that the whole is of unit length too. Default: one part.
   */
  readonly parts?: readonly EmbeddingPart[];
}

export interface EmbeddingPart {
  readonly size: number;
  readonly weight: number;
}

/** Mean and deviation a channel (R, G, B) that pixel values in [0, 1] are normalised with. */
export interface PixelNormalization {
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** That of networks that are trained from scratch: [0, 1] to [−1, 1]. */
export const DEFAULT_PIXEL_NORMALIZATION: PixelNormalization = {
  mean: [0.5, 0.5, 0.5],
  std: [0.5, 0.5, 0.5],
};

/** What a backbone makes of pictures. */
export interface BackboneOutputs {
  /** [N, F], what the heads see */
  readonly features: Value;
  /** [N, C, h, w]; absent where a backbone has no map of positions */
  readonly featureMap?: Value | undefined;
}

/** A block of the attribute vector: columns `[offset, offset + size)`. */
export interface AttributeBlockShape {
  readonly kind: 'single' | 'multi';
  readonly offset: number;
  readonly size: number;
}

export interface MultitaskOutputs {
  /** [N, D], each row of unit length */
  readonly embeddings: Value;
  /** [N, A]; absent when there are no attributes */
  readonly attributeLogits: Value | undefined;
  /** [N, C, h, w]; absent where the backbone has none */
  readonly featureMap: Value | undefined;
}

/**
 * The network that is trained from scratch: a residual network and the heads.
 * @param pixels normalised pictures [N, 3, H, W]
 * @param attributeCount A; 0 leaves the attribute head out
 * @throws ShapeError when the input size does not suit the backbone's strides.
 */
export function multitaskNetwork(
  context: NetworkContext,
  pixels: Value,
  attributeCount: number,
  options: MultitaskNetworkOptions,
): MultitaskOutputs & { readonly featureMap: Value } {
  const reduction = 2 ** options.widths.length;
  if (options.inputSize % reduction !== 0) {
    throw new ShapeError(
      `multitaskNetwork: inputSize must be divisible by ${reduction} for ${options.widths.length} widths, got ${options.inputSize}.`,
    );
  }
  const featureMap = residualNetwork(context, pixels, options);
  const features = pooledFeatures(featureMap, options.pooling);
  return { ...multitaskHeads(context, { features, featureMap }, attributeCount, options), featureMap };
}

/**
 * The heads on a backbone's features: a linear embedding, batch-normalised and scaled to unit length, and a linear map to
 * the logits of attributes.
 * @param attributeCount A; 0 leaves the attribute head out
 */
export function multitaskHeads(
  context: NetworkContext,
  { features, featureMap }: BackboneOutputs,
  attributeCount: number,
  options: Pick<MultitaskNetworkOptions, 'embeddingSize' | 'normalization' | 'parts'>,
): MultitaskOutputs {
  const projected = linearLayer(context, 'embedding', features, options.embeddingSize);
  const normalized = normalizationLayer(
    context,
    'embedding.normalization',
    projected,
    options.normalization === 'none' ? 'none' : 'batch',
  );
  return {
    embeddings: options.parts === undefined ? unitLength(normalized) : unitParts(normalized, options.parts),
    attributeLogits:
      attributeCount === 0
        ? undefined
        : linearLayer(context, 'attributes', features, attributeCount, { bias: true, gain: 0.1 }),
    featureMap,
  };
}

/** uint8 pictures [N, H, W, 3] to normalised floats [N, 3, H, W]. */
export function normalizePictures(
  pictures: Value,
  { mean, std }: PixelNormalization = DEFAULT_PIXEL_NORMALIZATION,
): Value {
  const planes = cast(transpose(pictures, [0, 3, 1, 2]), 'float32');
  const perChannel = (values: readonly number[]) => constant(values, [1, 3, 1, 1]);
  const slope = perChannel(std.map((deviation) => 1 / (255 * deviation)));
  const offset = perChannel(mean.map((value, channel) => value / (std[channel] as number)));
  return subtract(multiply(planes, slope), offset);
}

/** Logits [N, A] to probabilities [N, A]: softmax within single-valued blocks, sigmoid within multi-valued ones. */
export function attributeProbabilities(logits: Value, blocks: readonly AttributeBlockShape[]): Value {
  return concat(
    blocks.map(({ kind, offset, size }) => {
      const block = slice(logits, [{ axis: 1, start: offset, end: offset + size }]);
      return kind === 'single' ? softmax(block) : sigmoid(block);
    }),
    1,
  );
}

/** A feature map [N, C, h, w] as features: its mean over positions [N, C], or all of it [N, C·h·w]. */
export function pooledFeatures(featureMap: Value, pooling: MultitaskNetworkOptions['pooling']): Value {
  const [, channels, height, width] = featureMap.shape as [unknown, number, number, number];
  if (pooling === 'average') return reshape(globalAveragePool(featureMap), [0, channels]);
  return reshape(featureMap, [0, channels * height * width]);
}

// --- internal ---

/** Each part scaled to the root of its weight. */
function unitParts(x: Value, parts: readonly EmbeddingPart[]): Value {
  const size = parts.reduce((sum, part) => sum + part.size, 0);
  if (size !== x.shape[1]) {
    throw new ShapeError(
      `multitaskHeads: sizes of parts must add up to the embedding's ${x.shape[1]}, got ${parts.map((part) => part.size).join(' + ')} = ${size}.`,
    );
  }
  let offset = 0;
  return concat(
    parts.map((part) => {
      const range = { axis: 1, start: offset, end: offset + part.size };
      offset += part.size;
      return scale(unitLength(slice(x, [range])), Math.sqrt(part.weight));
    }),
    1,
  );
}
