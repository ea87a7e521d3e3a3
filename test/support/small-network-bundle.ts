/**
 * A real bundle with a small convolutional network of random weights, for tests of what is done to weights: pictures of
 * 32×32, embeddings of 24 numbers, no attributes.
 */
import { join } from 'node:path';
import { writeBundle } from '../../src/bundle/index.js';
import {
  buildGraph,
  constant,
  convolution,
  divide,
  globalAveragePool,
  input,
  matmul,
  reduceL2,
  relu,
  reshape,
  sizeOf,
} from '../../src/graph/index.js';
import { writeModel } from '../../src/onnx/index.js';
import { Random } from '../../src/util/index.js';

/** Writes the bundle into `<root>/network` and returns that folder. */
export async function writeSmallNetworkBundle(root: string): Promise<string> {
  const random = Random.from(11);
  const weights = (name: string, shape: readonly number[], fanIn: number) =>
    constant(
      Float32Array.from({ length: sizeOf(shape) }, () => random.normal() / Math.sqrt(fanIn)),
      shape,
      { name },
    );
  const pixels = input('pixel_values', 'float32', ['N', 3, 32, 32]);
  const stem = relu(
    convolution(pixels, weights('stem', [32, 3, 3, 3], 27), undefined, { stride: 2, padding: 1 }),
  );
  const map = relu(
    convolution(stem, weights('body', [64, 32, 3, 3], 288), weights('body.bias', [64], 1), { stride: 2 }),
  );
  const pooled = reshape(globalAveragePool(map), [0, 64]);
  const projected = matmul(pooled, weights('head', [64, 24], 64));
  const embeddings = divide(projected, reduceL2(projected, [1], { keepDimensions: true }));
  const directory = join(root, 'network');
  await writeBundle(directory, {
    onnxModel: writeModel(buildGraph([pixels], { image_embeds: embeddings, feature_map: map })),
    card: {
      dimension: 24,
      schema: { attributes: [], levels: ['item_id'] },
      configuration: {},
      metrics: {},
      seeds: [11],
      versions: {},
    },
    preprocessing: {
      size: 32,
      fit: 'cover',
      background: [255, 255, 255],
      mean: [0.485, 0.456, 0.406],
      std: [0.229, 0.224, 0.225],
    },
  });
  return directory;
}
