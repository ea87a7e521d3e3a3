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
  divide,
  globalAveragePool,
  multiply,
  reduceSum,
  reshape,
  shift,
  sigmoid,
  slice,
  softmax,
  square,
  squareRoot,
  subtract,
  transpose,
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
}

/** Mean and deviation a channel (R, G, B) that pixel values in [0, 1] are normalised with. */
export const PIXEL_MEAN = [0.5, 0.5, 0.5] as const;
export const PIXEL_DEVIATION = [0.5, 0.5, 0.5] as const;

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
  /** [N, C, h, w] */
  readonly featureMap: Value;
}

/**
 * @param pixels normalised pictures [N, 3, H, W]
 * @param attributeCount A; 0 leaves the attribute head out
 * @throws ShapeError when the input size does not suit the backbone's strides.
 */
export function multitaskNetwork(
  context: NetworkContext,
  pixels: Value,
  attributeCount: number,
  options: MultitaskNetworkOptions,
): MultitaskOutputs {
  const reduction = 2 ** options.widths.length;
  if (options.inputSize % reduction !== 0) {
    throw new ShapeError(
      `multitaskNetwork: inputSize must be divisible by ${reduction} for ${options.widths.length} widths, got ${options.inputSize}.`,
    );
  }
  const featureMap = residualNetwork(context, pixels, options);
  const features = pooled(featureMap, options.pooling);
  const projected = linearLayer(context, 'embedding', features, options.embeddingSize);
  const normalized = normalizationLayer(
    context,
    'embedding.normalization',
    projected,
    options.normalization === 'none' ? 'none' : 'batch',
  );
  return {
    embeddings: unitLength(normalized),
    attributeLogits:
      attributeCount === 0
        ? undefined
        : linearLayer(context, 'attributes', features, attributeCount, { bias: true, gain: 0.1 }),
    featureMap,
  };
}

/** uint8 pictures [N, H, W, 3] to normalised floats [N, 3, H, W]. */
export function normalizePictures(pictures: Value): Value {
  const planes = cast(transpose(pictures, [0, 3, 1, 2]), 'float32');
  const perChannel = (values: readonly number[]) => constant(values, [1, 3, 1, 1]);
  const slope = perChannel(PIXEL_DEVIATION.map((deviation) => 1 / (255 * deviation)));
  const offset = perChannel(PIXEL_MEAN.map((mean, channel) => mean / (PIXEL_DEVIATION[channel] as number)));
  return subtract(multiply(planes, slope), offset);
}

/** Rows scaled to Euclidean length 1; a zero row stays zero. */
export function unitLength(x: Value): Value {
  const squares = reduceSum(square(x), [-1], { keepDimensions: true });
  return divide(x, squareRoot(shift(squares, 1e-12)));
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

// --- internal ---

function pooled(featureMap: Value, pooling: MultitaskNetworkOptions['pooling']): Value {
  const [, channels, height, width] = featureMap.shape as [unknown, number, number, number];
  if (pooling === 'average') return reshape(globalAveragePool(featureMap), [0, channels]);
  return reshape(featureMap, [0, channels * height * width]);
}
