/**
 * Runs a bundle's model on pictures: decode, normalise to float32 [N, 3, H, W], infer. The next batch is decoded
 * while one is inferred. An unreadable picture is reported in its batch and costs the others nothing.
 *
 * Letters: D embedding size, A attribute values, n pictures of a batch that could be read.
 */
import { type Colour, decodePicture, type Region } from '../data/index.js';
import { attributeCount } from '../granularity/index.js';
import { floatTensor, type ModelVariant, Session, type Tensor } from '../onnx/index.js';
import { DataError, errorMessage } from '../util/index.js';
import { type Bundle, readBundle, variantPath } from './bundle.js';
import type { Preprocessing } from './format.js';

/** A picture: the path of a file, its bytes, or either with a box outside which nothing counts. */
export type PictureSource =
  | string
  | Uint8Array
  | { readonly path: string; readonly box?: Region | undefined }
  | {
      readonly bytes: Uint8Array;
      readonly box?: Region | undefined;
      /** How messages call it. Default `picture`. */
      readonly name?: string | undefined;
      /** Refuse more pixels before decoding. Default: as `decodePicture`. */
      readonly maximumPixels?: number | undefined;
    };

/** A picture source taken apart. */
export function sourceParts(picture: PictureSource): {
  readonly source: string | Uint8Array;
  readonly box: Region | undefined;
  readonly name: string | undefined;
  readonly limits: { readonly maximumPixels?: number };
} {
  if (typeof picture === 'string' || picture instanceof Uint8Array)
    return { source: picture, box: undefined, name: undefined, limits: {} };
  if ('path' in picture) return { source: picture.path, box: picture.box, name: undefined, limits: {} };
  const { bytes, box, name, maximumPixels } = picture;
  return { source: bytes, box, name, limits: maximumPixels === undefined ? {} : { maximumPixels } };
}

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
  readonly variant: ModelVariant;
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
  /**
   * Embeds pictures that are decoded already.
   * @param pixels [count, 3, size, size], from `decodePixels`
   * @param options.featureMap give the map of the last layer that has places, where the model has one
   */
  embedPixels(
    pixels: Float32Array,
    count: number,
    options?: { featureMap?: boolean },
  ): Promise<{
    embeddings: Float32Array;
    attributes: Float32Array;
    /** [count, C, h, w] */
    featureMap?: { readonly data: Float32Array; readonly shape: readonly number[] };
  }>;
  /** The model's file. */
  readonly modelPath: string;
  /** Whether the model gives a `feature_map`. */
  readonly hasFeatureMap: boolean;
  close(): Promise<void>;
}

/**
 * Reads a bundle and loads its model.
 * @param options.threads of the runtime, within an operator. Default: all cores.
 * @param options.spinning whether threads that have nothing to do keep their core for a while: one caller is served a little
 *   sooner, and whatever else the cores could do waits. Default true.
 * @param options.batchSize pictures in a run. Default 32; more uses more memory and is hardly faster on a CPU.
 * @param options.variant of the model. Default `fp32`. Vectors of all variants compare; `semblance.json` says how near
 *   they are.
 * @param options.modelPath another file with the same interface in the model's place, e.g. a variant to be measured
 * @throws DataError when there is no bundle, or its model has other inputs or outputs than a bundle's.
 */
export async function openEmbedder(
  directory: string,
  options: {
    threads?: number;
    spinning?: boolean;
    batchSize?: number;
    variant?: ModelVariant;
    modelPath?: string;
  } = {},
): Promise<Embedder> {
  const { threads, spinning = true, batchSize = 32, variant = 'fp32' } = options;
  if (!Number.isInteger(batchSize) || batchSize < 1)
    throw new DataError(`openEmbedder: batchSize must be a whole number from 1 on, got ${batchSize}`);
  const bundle = await readBundle(directory);
  const { dimension, schema } = bundle.card;
  const width = attributeCount(schema);
  const modelPath = options.modelPath ?? (await variantPath(bundle, variant));
  const session = await Session.create(modelPath, {
    spinning,
    ...(threads === undefined ? {} : { threads }),
  });
  const outputs = width === 0 ? [EMBEDDINGS] : [EMBEDDINGS, ATTRIBUTES];
  for (const [kind, names, required] of [
    ['input', session.inputNames, [PIXELS]],
    ['output', session.outputNames, outputs],
  ] as const)
    for (const name of required)
      if (!names.includes(name))
        throw new DataError(`the model must have an ${kind} '${name}', got ${names.join(', ')}`, {
          file: modelPath,
        });

  const { size } = bundle.preprocessing;
  const embedded = (results: Readonly<Record<string, Tensor>>, count: number) => ({
    embeddings: floats(bundle, results[EMBEDDINGS], [count, dimension], EMBEDDINGS),
    attributes:
      width === 0 ? new Float32Array(0) : floats(bundle, results[ATTRIBUTES], [count, width], ATTRIBUTES),
  });
  const run = async (pixels: Float32Array, count: number) => {
    const results = await session.run({ [PIXELS]: floatTensor(pixels, [count, 3, size, size]) }, outputs);
    return embedded(results, count);
  };
  const hasFeatureMap = session.outputNames.includes(FEATURE_MAP);
  const infer = async (pixels: Float32Array, count: number) => {
    if (variant !== 'int8' || count === 1) return await run(pixels, count);
    // Its integers are scaled by the range of all that is in a run: one by one, so that a picture's vector does not
    // depend on which pictures are beside it.
    const embeddings = new Float32Array(count * dimension);
    const attributes = new Float32Array(count * width);
    for (let n = 0; n < count; n++) {
      const one = await run(pixels.subarray(3 * size * size * n, 3 * size * size * (n + 1)), 1);
      embeddings.set(one.embeddings, n * dimension);
      attributes.set(one.attributes, n * width);
    }
    return { embeddings, attributes };
  };
  return {
    bundle,
    variant,
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
    async embedPixels(pixels, count, { featureMap = false } = {}) {
      if (pixels.length !== count * 3 * size * size)
        throw new DataError(
          `embedPixels: pixels must be [${count}, 3, ${size}, ${size}], got ${pixels.length} numbers`,
        );
      if (!featureMap || !hasFeatureMap) return await infer(pixels, count);
      const results = await session.run({ [PIXELS]: floatTensor(pixels, [count, 3, size, size]) }, [
        ...outputs,
        FEATURE_MAP,
      ]);
      const map = results[FEATURE_MAP];
      const isMap = map?.data instanceof Float32Array && map.shape.length === 4;
      return {
        ...embedded(results, count),
        ...(isMap ? { featureMap: { data: map.data as Float32Array, shape: map.shape } } : {}),
      };
    },
    modelPath,
    hasFeatureMap,
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
  const { source, box, name, limits } = sourceParts(picture);
  const { data } = await decodePicture(source, {
    size,
    fit,
    background: background as Colour,
    ...(box === undefined ? {} : { box }),
    ...(name === undefined ? {} : { name }),
    ...limits,
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
const FEATURE_MAP = 'feature_map';

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
