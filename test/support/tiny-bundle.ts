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
}

export function tinyBundle({ offset = -0.1, fit = 'fill' }: TinyOptions = {}): BundleContent {
  const pixels = input('pixel_values', 'float32', ['N', 3, 8, 8]);
  const map = averagePool(pixels, 4);
  const flat = shift(reshape(map, [0, 12]), offset);
  const embeddings = divide(flat, reduceL2(flat, [1], { keepDimensions: true }));
  const mean = reshape(globalAveragePool(pixels), [0, 3]);
  const tagWeights = constant([20 / 3, 20, 20 / 3, 0, 20 / 3, -20], [3, 2]);
  const tags = sigmoid(add(matmul(mean, tagWeights), constant([-10, 0], [2])));
  const attributes = concat([softmax(scale(mean, 10), 1), tags], 1);
  return {
    onnxModel: writeModel(buildGraph([pixels], { image_embeds: embeddings, attributes, feature_map: map })),
    card: {
      dimension: 12,
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
