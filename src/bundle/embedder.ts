/**
 * Runs a bundle's model on pictures: decode, normalise to float32 [N, 3, H, W], infer. The next batch is decoded
 * while one is inferred. An unreadable picture is reported in its batch and costs the others nothing.
 *
 * Letters: D embedding size, A attribute values, n pictures of a batch that could be read.
 */
import { type Box, type Colour, decodePicture } from '../data/index.js';
import { attributeCount } from '../granularity/index.js';
import { floatTensor, Session } from '../onnx/index.js';
import { DataError, errorMessage } from '../util/index.js';
import { type Bundle, readBundle } from './bundle.js';
import type { Preprocessing } from './format.js';

/** A picture: the path of a file, its bytes, or a file of which only a box counts. */
export type PictureSource = string | Uint8Array | { readonly path: string; readonly box?: Box | undefined };

/** The outputs for the pictures of a batch, in their order. */
export interface EmbeddedBatch {
  /** [n] positions in the input, ascending. */
  readonly indices: readonly number[];
  /** [n, D] of unit length. */
  readonly embeddings: Float32Array;
  /** [n, A] probabilities. */
  readonly attributes: Float32Array;
  /** Pictures of the batch that could not be read, with the reason on one line. */
  readonly failures: readonly { readonly index: number; readonly reason: string }[];
}

export interface Embedder {
  readonly bundle: Bundle;
  /** D */
  readonly dimension: number;
  /**
   * Embeds any number of pictures, a batch at a time.
   * @throws what `signal` was aborted with.
   */
  embed(
    pictures: Iterable<PictureSource> | AsyncIterable<PictureSource>,
    options?: { signal?: AbortSignal | undefined },
  ): AsyncGenerator<EmbeddedBatch>;
  /**
   * Embeds one picture.
   * @throws DataError when it cannot be read.
   */
  embedOne(picture: PictureSource): Promise<{ embedding: Float32Array; attributes: Float32Array }>;
  close(): Promise<void>;
}

/**
 * Reads a bundle and loads its model.
 * @param options.threads of the runtime, within an operator. Default: all cores.
 * @param options.batchSize pictures in a run. Default 32; more uses more memory and is hardly faster on a CPU.
 * @throws DataError when there is no bundle, or its model has other inputs or outputs than a bundle's.
 */
export async function openEmbedder(
  directory: string,
  options: { threads?: number; batchSize?: number } = {},
): Promise<Embedder> {
  const { threads, batchSize = 32 } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new DataError(`openEmbedder: batchSize must be a whole number from 1 on, got ${batchSize}`);
  const bundle = await readBundle(directory);
  const { dimension, schema } = bundle.card;
  const width = attributeCount(schema);
  const session = await Session.create(bundle.modelPath, threads === undefined ? {} : { threads });
  const outputs = width === 0 ? [EMBEDDINGS] : [EMBEDDINGS, ATTRIBUTES];
  for (const [kind, names, required] of [
    ['input', session.inputNames, [PIXELS]],
    ['output', session.outputNames, outputs],
  ] as const)
    for (const name of required)
      if (!names.includes(name))
        throw new DataError(`the model must have an ${kind} '${name}', got ${names.join(', ')}`, {
          file: bundle.modelPath,
        });

  const infer = async (pixels: Float32Array, count: number) => {
    const { size } = bundle.preprocessing;
    const results = await session.run({ [PIXELS]: floatTensor(pixels, [count, 3, size, size]) }, outputs);
    return {
      embeddings: floats(bundle, results[EMBEDDINGS], [count, dimension], EMBEDDINGS),
      attributes:
        width === 0 ? new Float32Array(0) : floats(bundle, results[ATTRIBUTES], [count, width], ATTRIBUTES),
    };
  };
  return {
    bundle,
    dimension,
    async *embed(pictures, { signal } = {}) {
      const source = batches(pictures, batchSize);
      const decodeNext = async () => {
        const { value: batch, done } = await source.next();
        return done === true
          ? undefined
          : await decodeBatch(batch.pictures, batch.start, bundle.preprocessing);
      };
      let upcoming = decodeNext();
      try {
        for (;;) {
          signal?.throwIfAborted();
          const batch = await upcoming;
          if (batch === undefined) return;
          upcoming = decodeNext();
          upcoming.catch(() => {}); // reported when it is awaited
          const { indices, failures, pixels } = batch;
          const results =
            indices.length === 0
              ? { embeddings: new Float32Array(0), attributes: new Float32Array(0) }
              : await infer(pixels, indices.length);
          yield { indices, failures, ...results };
        }
      } finally {
        await upcoming.catch(() => {});
        await source.return(undefined);
      }
    },
    async embedOne(picture) {
      const pixels = await decodePixels(picture, bundle.preprocessing);
      const { embeddings, attributes } = await infer(pixels, 1);
      return { embedding: embeddings, attributes };
    },
    async close() {
      await session.close();
    },
  };
}

/**
 * Decodes a picture to what the model reads: float32 [3, size, size], `(x / 255 − mean) / std`.
 * @throws DataError when it cannot be read.
 */
export async function decodePixels(
  picture: PictureSource,
  preprocessing: Preprocessing,
): Promise<Float32Array> {
  const { size, fit, background, mean, std } = preprocessing;
  const [source, box] =
    typeof picture === 'string' || picture instanceof Uint8Array ? [picture] : [picture.path, picture.box];
  const { data } = await decodePicture(source, {
    size,
    fit,
    background: background as Colour,
    ...(box === undefined ? {} : { box }),
  });
  const plane = size * size;
  const pixels = new Float32Array(3 * plane);
  for (let channel = 0; channel < 3; channel++) {
    const scale = 1 / (255 * (std[channel] as number));
    const shift = (mean[channel] as number) / (std[channel] as number);
    for (let i = 0; i < plane; i++) pixels[channel * plane + i] = data[3 * i + channel]! * scale - shift;
  }
  return pixels;
}

// --- internal ---

const PIXELS = 'pixel_values';
const EMBEDDINGS = 'image_embeds';
const ATTRIBUTES = 'attributes';

async function* batches(
  pictures: Iterable<PictureSource> | AsyncIterable<PictureSource>,
  batchSize: number,
): AsyncGenerator<{ pictures: PictureSource[]; start: number }> {
  let [batch, start]: [PictureSource[], number] = [[], 0];
  for await (const picture of pictures) {
    batch.push(picture);
    if (batch.length < batchSize) continue;
    yield { pictures: batch, start };
    start += batch.length;
    batch = [];
  }
  if (batch.length > 0) yield { pictures: batch, start };
}

async function decodeBatch(pictures: readonly PictureSource[], start: number, preprocessing: Preprocessing) {
  const decoded = await Promise.allSettled(pictures.map((picture) => decodePixels(picture, preprocessing)));
  const indices: number[] = [];
  const failures: { index: number; reason: string }[] = [];
  const pixels = new Float32Array(3 * preprocessing.size ** 2 * decoded.length);
  decoded.forEach((result, i) => {
    const index = start + i;
    if (result.status === 'fulfilled') {
      pixels.set(result.value, indices.length * result.value.length);
      indices.push(index);
    } else if (result.reason instanceof DataError)
      failures.push({ index, reason: errorMessage(result.reason) });
    else throw result.reason;
  });
  return { indices, failures, pixels: pixels.subarray(0, 3 * preprocessing.size ** 2 * indices.length) };
}

function floats(
  bundle: Bundle,
  tensor: { shape: readonly number[]; data: unknown } | undefined,
  shape: readonly number[],
  name: string,
): Float32Array {
  const isRight = tensor?.shape.length === shape.length && shape.every((size, i) => tensor.shape[i] === size);
  if (!isRight || !(tensor?.data instanceof Float32Array))
    throw new DataError(
      `output '${name}' must be float32 [${shape.join(', ')}] as semblance.json says, got ` +
        `[${tensor?.shape.join(', ') ?? ''}]`,
      { file: bundle.modelPath },
    );
  return tensor.data;
}
