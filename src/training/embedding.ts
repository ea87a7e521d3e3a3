/**
 * Embeds pictures that are already decoded, or the cached outputs of a frozen prefix, to judge a model while it trains.
 */
import { DEFAULT_PIXEL_NORMALIZATION, type PixelNormalization } from '../models/index.js';
import { floatTensor, Session, type SessionOptions, type Tensor } from '../onnx/index.js';

/** What a model makes of N pictures. */
export interface Embedded {
  /** [N, D] */
  readonly embeddings: Float32Array;
  /** Probabilities [N, A]; A may be 0. */
  readonly attributes: Float32Array;
  /** D */
  readonly dimension: number;
}

/**
 * Embeds decoded pictures.
 * @param onnxModel an exported model, see `buildInferenceGraph`
 * @param pictures uint8 [N, S, S, 3]
 * @param size S
 */
export async function embedPictures(
  onnxModel: Uint8Array,
  pictures: Uint8Array,
  size: number,
  {
    normalization = DEFAULT_PIXEL_NORMALIZATION,
    ...options
  }: SessionOptions & { normalization?: PixelNormalization } = {},
): Promise<Embedded> {
  const plane = size * size;
  return embedBlocks(onnxModel, pictures.length / (3 * plane), options, async (start, count) => {
    const block = pictures.subarray(start * 3 * plane, (start + count) * 3 * plane);
    return {
      pixel_values: floatTensor(normalizePlanes(block, plane, normalization), [count, 3, size, size]),
    };
  });
}

/**
 * Embeds the cached outputs of a frozen prefix.
 * @param onnxModel the rest of the network, see `buildInferenceGraph`
 * @param total N
 * @param shape of one picture's features
 * @param read features of pictures `start` to `start + count`, float32 [count, …shape]
 */
export async function embedFeatures(
  onnxModel: Uint8Array,
  total: number,
  shape: readonly number[],
  read: (start: number, count: number) => Promise<Float32Array>,
  options: SessionOptions = {},
): Promise<Embedded> {
  return embedBlocks(onnxModel, total, options, async (start, count) => ({
    features: floatTensor(await read(start, count), [count, ...shape]),
  }));
}

// --- internal ---

const BLOCK = 64;

async function embedBlocks(
  onnxModel: Uint8Array,
  total: number,
  options: SessionOptions,
  feedsOf: (start: number, count: number) => Promise<Record<string, Tensor>>,
): Promise<Embedded> {
  const session = await Session.create(onnxModel, options);
  const outputs = ['image_embeds', 'attributes'].filter((name) => session.outputNames.includes(name));
  const collected: Record<string, Float32Array> = {};
  let dimension = 0;
  try {
    for (let start = 0; start < total; start += BLOCK) {
      const results = await session.run(await feedsOf(start, Math.min(BLOCK, total - start)), outputs);
      for (const name of outputs) {
        const tensor = results[name];
        if (tensor === undefined) continue;
        const width = tensor.shape[1] as number;
        if (name === 'image_embeds') dimension = width;
        collected[name] ??= new Float32Array(total * width);
        collected[name].set(tensor.data as Float32Array, start * width);
      }
    }
  } finally {
    await session.close();
  }
  return {
    embeddings: collected.image_embeds ?? new Float32Array(0),
    attributes: collected.attributes ?? new Float32Array(0),
    dimension,
  };
}

/** uint8 [N, S, S, 3] to normalised float32 [N, 3, S, S] */
function normalizePlanes(
  pictures: Uint8Array,
  plane: number,
  { mean, std }: PixelNormalization,
): Float32Array {
  const pixels = new Float32Array(pictures.length);
  for (let start = 0; start < pictures.length; start += 3 * plane) {
    for (let channel = 0; channel < 3; channel++) {
      const slope = 1 / (255 * (std[channel] as number));
      const offset = (mean[channel] as number) / (std[channel] as number);
      const target = start + channel * plane;
      for (let i = 0; i < plane; i++)
        pixels[target + i] = (pictures[start + 3 * i + channel] as number) * slope - offset;
    }
  }
  return pixels;
}
