/** A bundle is a transformers.js model folder as it stands: loaded by path, without the network. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { env, type ImageFeatureExtractionPipeline, LogLevel, pipeline } from '@huggingface/transformers';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEmbedder } from '../src/bundle/index.js';
import { exportVariants } from '../src/cli/export.js';
import type { ModelVariant } from '../src/onnx/index.js';
import { blots } from './support/pictures.js';
import { writeSmallNetworkBundle } from './support/small-network-bundle.js';
import { writeTinyBundle } from './support/tiny-bundle.js';

let root = '';
beforeAll(async () => {
  env.allowRemoteModels = false;
  env.allowLocalModels = true;
  env.logLevel = LogLevel.ERROR; // it warns that it does not know the model's type
  root = await mkdtemp(join(tmpdir(), 'semblance-transformers-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

async function features(
  directory: string,
  dtype: 'fp32' | 'fp16' | 'q8',
  picture: string,
): Promise<{ dims: number[]; data: number[] }> {
  const extract = (await pipeline('image-feature-extraction', directory, {
    dtype,
  })) as ImageFeatureExtractionPipeline;
  const { dims, data } = await extract(picture);
  await extract.dispose();
  return { dims, data: Array.from(data as Float32Array) };
}

async function ours(directory: string, variant: ModelVariant, picture: string): Promise<Float32Array> {
  const embedder = await openEmbedder(directory, { threads: 1, variant });
  try {
    return (await embedder.embedOne(picture)).embedding;
  } finally {
    await embedder.close();
  }
}

const largestDifference = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Math.max(...Array.from(a, (x, i) => Math.abs(x - b[i]!)));

describe('transformers.js', () => {
  it('gives the embeddings of our embedder, of each variant', async () => {
    const directory = await writeSmallNetworkBundle(root);
    await exportVariants(directory, ['fp16', 'int8']);
    const exact = join(root, 'exact.png');
    await writeFile(exact, await blots(3, 32));
    const whole = await features(directory, 'fp32', exact);
    expect(whole.dims).toEqual([1, 24]);
    for (const [dtype, variant] of [
      ['fp32', 'fp32'],
      ['fp16', 'fp16'],
      ['q8', 'int8'],
    ] as const) {
      const { data } = await features(directory, dtype, exact);
      expect(largestDifference(data, await ours(directory, variant, exact)), dtype).toBeLessThan(1e-4);
      // That it is another file, and a near one.
      if (dtype !== 'fp32') expect(largestDifference(data, whole.data), dtype).toBeGreaterThan(1e-6);
      expect(largestDifference(data, whole.data), dtype).toBeLessThan(0.05);
    }
    // Resized, the two resizers differ a little.
    const large = join(root, 'large.png');
    await writeFile(large, await blots(4, 150));
    const { data } = await features(directory, 'fp32', large);
    expect(largestDifference(data, await ours(directory, 'fp32', large))).toBeLessThan(0.02);
  });

  it.each(['cover', 'contain', 'fill'] as const)('reads the preprocessing of %s', async (fit) => {
    const directory = await writeTinyBundle(await mkdtemp(join(root, 'tiny-')), { fit });
    const picture = join(root, 'tiny.png');
    await writeFile(picture, await blots(5, 8));
    const { dims, data } = await features(directory, 'fp32', picture);
    expect(dims).toEqual([1, 12]);
    expect(largestDifference(data, await ours(directory, 'fp32', picture))).toBeLessThan(1e-4);
  });
});
