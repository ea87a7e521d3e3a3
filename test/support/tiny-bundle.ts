/**
 * A real bundle with a hand-made model, for tests of what uses bundles. A picture of 8×8 is averaged to 2×2: the
 * embedding is these 12 numbers (RGB planes) less 0.1, of unit length. Attributes: `hue` (red, green or blue: softmax of 10 × the
 * mean colour) and `tags` (bright, warm: sigmoids of mean − ½ and red − blue, each times 20).
 */
import { join } from 'node:path';
import sharp from 'sharp';
import { type BundleContent, writeBundle } from '../../src/bundle/index.js';
import {
  add,
  averagePool,
  buildGraph,
  concat,
  constant,
  divide,
  globalAveragePool,
  input,
  matmul,
  reduceL2,
  reshape,
  scale,
  shift,
  sigmoid,
  softmax,
  type Value,
} from '../../src/graph/index.js';
import { writeModel } from '../../src/onnx/index.js';

export const TINY_SCHEMA: BundleContent['card']['schema'] = {
  attributes: [
    { name: 'hue', kind: 'single', values: ['red', 'green', 'blue'] },
    { name: 'tags', kind: 'multi', values: ['bright', 'warm'] },
  ],
  levels: ['item_id', 'hue'],
};

export interface TinyOptions {
  /** Shifts the embedding, to make another model. Default −0.1. */
  readonly offset?: number;
  readonly fit?: 'cover' | 'contain' | 'fill';
  /** Another network in its place: from pictures [N, 3, 8, 8] to an embedding [N, D] and a map, if any. */
  readonly network?: (pixels: Value) => { embeddings: Value; featureMap?: Value };
}

export function tinyBundle({ offset = -0.1, fit = 'fill', network }: TinyOptions = {}): BundleContent {
  const pixels = input('pixel_values', 'float32', ['N', 3, 8, 8]);
  const { embeddings, featureMap } = (network ?? averages(offset))(pixels);
  const mean = reshape(globalAveragePool(pixels), [0, 3]);
  const tagWeights = constant([20 / 3, 20, 20 / 3, 0, 20 / 3, -20], [3, 2]);
  const tags = sigmoid(add(matmul(mean, tagWeights), constant([-10, 0], [2])));
  const attributes = concat([softmax(scale(mean, 10), 1), tags], 1);
  return {
    onnxModel: writeModel(
      buildGraph([pixels], {
        image_embeds: embeddings,
        attributes,
        ...(featureMap === undefined ? {} : { feature_map: featureMap }),
      }),
    ),
    card: {
      dimension: Number(embeddings.shape[1]),
      schema: TINY_SCHEMA,
      configuration: { epochs: 0 },
      metrics: { recallAt1: 0.5 },
      seeds: [1],
      versions: { semblance: '0.1.0' },
      dataHash: 'none',
    },
    preprocessing: { size: 8, fit, background: [255, 255, 255], mean: [0, 0, 0], std: [1, 1, 1] },
  };
}

/** Writes the bundle into `<root>/model` and returns that folder. */
export async function writeTinyBundle(root: string, options: TinyOptions = {}): Promise<string> {
  const directory = join(root, 'model');
  await writeBundle(directory, tinyBundle(options));
  return directory;
}

/** Averages over 2 × 2 places, shifted, of unit length. */
function averages(offset: number) {
  return (pixels: Value) => {
    const featureMap = averagePool(pixels, 4);
    const flat = shift(reshape(featureMap, [0, 12]), offset);
    return { embeddings: divide(flat, reduceL2(flat, [1], { keepDimensions: true })), featureMap };
  };
}

/** A PNG of one colour. */
export async function plainPicture(
  colour: readonly [number, number, number],
  { width = 16, height = 16 }: { width?: number; height?: number } = {},
): Promise<Uint8Array> {
  const [r, g, b] = colour;
  return await sharp({ create: { width, height, channels: 3, background: { r, g, b } } })
    .png()
    .toBuffer();
}
