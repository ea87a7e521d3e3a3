/**
 * Embeds pictures that are already decoded, to judge a model while it trains.
 */
import { PIXEL_DEVIATION, PIXEL_MEAN } from '../models/index.js';
import { floatTensor, Session, type SessionOptions } from '../onnx/index.js';

/**
 * @param onnxModel an exported model, see `buildInferenceGraph`
 * @param pictures uint8 [N, S, S, 3]
 * @param size S
 * @returns the embeddings [N, D] and attribute probabilities [N, A] (A may be 0)
 */
export async function embedPictures(
  onnxModel: Uint8Array,
  pictures: Uint8Array,
  size: number,
  options: SessionOptions = {},
): Promise<{ embeddings: Float32Array; attributes: Float32Array; dimension: number }> {
  const session = await Session.create(onnxModel, options);
  const plane = size * size;
  const count = pictures.length / (3 * plane);
  const outputs = ['image_embeds', 'attributes'].filter((name) => session.outputNames.includes(name));
  const collected: Record<string, Float32Array> = {};
  let dimension = 0;
  try {
    for (let start = 0; start < count; start += BLOCK) {
      const block = Math.min(BLOCK, count - start);
      const pixels = normalizePlanes(
        pictures.subarray(start * 3 * plane, (start + block) * 3 * plane),
        plane,
      );
      const results = await session.run(
        { pixel_values: floatTensor(pixels, [block, 3, size, size]) },
        outputs,
      );
      for (const name of outputs) {
        const tensor = results[name];
        if (tensor === undefined) continue;
        const width = tensor.shape[1] as number;
        if (name === 'image_embeds') dimension = width;
        collected[name] ??= new Float32Array(count * width);
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

// --- internal ---

const BLOCK = 64;

/** uint8 [N, S, S, 3] to normalised float32 [N, 3, S, S] */
function normalizePlanes(pictures: Uint8Array, plane: number): Float32Array {
  const pixels = new Float32Array(pictures.length);
  for (let start = 0; start < pictures.length; start += 3 * plane) {
    for (let channel = 0; channel < 3; channel++) {
      const slope = 1 / (255 * (PIXEL_DEVIATION[channel] as number));
      const offset = (PIXEL_MEAN[channel] as number) / (PIXEL_DEVIATION[channel] as number);
      const target = start + channel * plane;
      for (let i = 0; i < plane; i++)
        pixels[target + i] = (pictures[start + 3 * i + channel] as number) * slope - offset;
    }
  }
  return pixels;
}
