/**
 * What of a model lies between its feature map and its embedding, as a network of its own, and whether it is affine.
 *
 * If it is, up to the final unit length, an embedding is a sum over the positions of the map, and the cosine of two
 * pictures a sum over pairs of positions. Whether it is, is found out by running it: nothing of the head is known here.
 *
 * Letters: D embedding size, C channels, h × w positions, P = h·w.
 */
import {
  buildGraph,
  type Graph,
  input,
  simplify,
  substitute,
  topologicalOrder,
  type Value,
} from '../graph/index.js';
import { floatTensor, readModelFile, Session, writeModel } from '../onnx/index.js';
import { errorMessage, Random } from '../util/index.js';

/** The affine map from feature maps to embeddings before they are scaled to unit length. */
export interface EmbeddingHead {
  readonly channels: number;
  readonly height: number;
  readonly width: number;
  /**
   * The ranges of the embedding that are scaled by a number of their own each. One range [0, D), where the whole is
   * scaled to unit length.
   */
  readonly ranges: readonly { readonly start: number; readonly end: number }[];
  /**
   * Runs it.
   * @param maps [count, C, h, w]
   * @returns [count, D], not scaled
   */
  project(maps: Float32Array, count: number): Promise<Float32Array>;
  close(): Promise<void>;
}

/**
 * Reads the head of a model.
 * @param dimension D
 * @returns the head, or in a few words why there is none of which an embedding is a sum over positions
 */
export async function openEmbeddingHead(
  modelPath: string,
  dimension: number,
  options: { threads?: number } = {},
): Promise<EmbeddingHead | string> {
  let cut: Cut | string;
  try {
    cut = cutHead((await readModelFile(modelPath)).graph, dimension);
  } catch (error) {
    return `the model's file cannot be taken apart (${errorMessage(error)})`;
  }
  if (typeof cut === 'string') return cut;
  const session = await Session.create(writeModel(cut.graph), options);
  const { channels, height, width } = cut;
  const run = async (name: string, maps: Float32Array, count: number): Promise<Float32Array> => {
    const feeds = { [MAP]: floatTensor(maps, [count, channels, height, width]) };
    return (await session.run(feeds, [name]))[name]?.data as Float32Array;
  };
  for (const name of cut.candidates) {
    const ranges = await affineRanges(name, cut, run, dimension);
    if (ranges === undefined) continue;
    return {
      channels,
      height,
      width,
      ranges,
      project: (maps, count) => run(name, maps, count),
      close: () => session.close(),
    };
  }
  await session.close();
  return 'the embedding is no sum over the positions of the feature map';
}

// --- internal ---

const MAP = 'feature_map';
const EMBEDDINGS = 'image_embeds';

interface Cut {
  /** From `feature_map` to the candidates and `image_embeds`. */
  readonly graph: Graph;
  /** Names of outputs that may be the embedding before its unit length, the last first. */
  readonly candidates: readonly string[];
  readonly channels: number;
  readonly height: number;
  readonly width: number;
}

function cutHead(graph: Graph, dimension: number): Cut | string {
  const model = simplify(graph);
  const output = (name: string) => model.outputs.find((one) => one.name === name)?.value;
  const [map, embeddings] = [output(MAP), output(EMBEDDINGS)];
  if (map === undefined || embeddings === undefined) return 'the model gives no feature map';
  const [, channels, height, width] = map.shape;
  if (map.rank !== 4 || ![channels, height, width].every((size) => typeof size === 'number'))
    return `the sizes of the feature map are not known, only [${map.shape.join(', ')}]`;
  if (Number(height) * Number(width) < 2) return 'the feature map has one position only';
  const source = input(MAP, 'float32', ['N', ...map.shape.slice(1)]);
  const [embedding] = substitute([embeddings], new Map([[map, source]])) as readonly [Value];
  const nodes = topologicalOrder([embedding]);
  const operands = nodes.flatMap((node) => node.inputs);
  if (operands.some((value) => value?.origin.kind === 'input' && value !== source))
    return 'the embedding does not come from the feature map alone';
  const values = nodes
    .flatMap((node) => node.outputs)
    .filter((value) => value.dataType === 'float32' && value.rank === 2 && value.shape[1] === dimension)
    .reverse();
  if (!values.includes(embedding)) values.unshift(embedding);
  const names = new Map(values.map((value, i) => [`candidate_${i}`, value]));
  return {
    graph: buildGraph([source], { ...Object.fromEntries(names), [EMBEDDINGS]: embedding }),
    candidates: [...names.keys()],
    channels: Number(channels),
    height: Number(height),
    width: Number(width),
  };
}

/** How far from affine, as a share of the largest number, rounding may be. */
const TOLERANCE = 1e-4;
/** A map at which the affine map is looked at, between and beyond two others: x·A + y·B + (1 − x − y)·0. */
const MIXTURES = [
  [0.3, 0.7],
  [-0.5, 0.25],
  [2, -1.5],
] as const;

type Run = (name: string, maps: Float32Array, count: number) => Promise<Float32Array>;

/** The ranges of the embedding that are a multiple each of the candidate, if that is affine; else nothing. */
async function affineRanges(name: string, cut: Cut, run: Run, dimension: number) {
  const elements = cut.channels * cut.height * cut.width;
  const random = Random.from(20_260_101);
  const count = 3 + MIXTURES.length;
  const maps = new Float32Array(count * elements);
  for (let i = elements; i < 3 * elements; i++) maps[i] = random.normal();
  MIXTURES.forEach(([x, y], m) => {
    for (let i = 0; i < elements; i++)
      maps[(3 + m) * elements + i] = x * maps[elements + i]! + y * maps[2 * elements + i]!;
  });
  const projected = await run(name, maps, count);
  const embeddings = await run(EMBEDDINGS, maps, count);
  const at = (n: number, d: number) => projected[n * dimension + d]!;
  let largest = 0;
  let deviation = 0;
  for (let n = 0; n < count; n++)
    for (let d = 0; d < dimension; d++) largest = Math.max(largest, Math.abs(at(n, d)));
  MIXTURES.forEach(([x, y], m) => {
    for (let d = 0; d < dimension; d++) {
      const expected = x * at(1, d) + y * at(2, d) + (1 - x - y) * at(0, d);
      deviation = Math.max(deviation, Math.abs(at(3 + m, d) - expected));
    }
  });
  if (!(largest > 0) || !(deviation <= TOLERANCE * largest)) return undefined;
  return proportionalRanges(projected, embeddings, dimension, count);
}

/** Cuts [0, D) into the fewest ranges on which every embedding is a positive multiple of what was projected. */
function proportionalRanges(
  projected: Float32Array,
  embeddings: Float32Array,
  dimension: number,
  count: number,
): { start: number; end: number }[] | undefined {
  const ranges: { start: number; end: number }[] = [];
  const isProportional = (start: number, end: number) => {
    // Not the map of zeros: a head without shifts divides zero by zero there.
    for (let n = 1; n < count; n++) {
      const scale = rangeScale(projected, embeddings, n * dimension + start, n * dimension + end);
      for (let d = start; d < end; d++) {
        const difference = embeddings[n * dimension + d]! - scale * projected[n * dimension + d]!;
        if (!(Math.abs(difference) <= TOLERANCE)) return false;
      }
    }
    return true;
  };
  if (isProportional(0, dimension)) return [{ start: 0, end: dimension }];
  for (let start = 0; start < dimension; ) {
    if (!isProportional(start, start + 1)) return undefined;
    // Double while it holds, then halve the step: few ranges are long.
    let end = start + 1;
    for (let step = 1; step >= 1; ) {
      if (end + step <= dimension && isProportional(start, end + step)) {
        end += step;
        step *= 2;
      } else step = Math.floor(step / 2);
    }
    ranges.push({ start, end });
    if (ranges.length > MOST_RANGES) return undefined;
    start = end;
  }
  return ranges;
}

/** More, and it is no scaling by parts but something else that is not linear. */
const MOST_RANGES = 16;

/** The ratio of lengths of a range of two vectors; 0 where the second is zero. */
export function rangeScale(
  projected: ArrayLike<number>,
  embedding: ArrayLike<number>,
  start: number,
  end: number,
): number {
  let [of, by] = [0, 0];
  for (let i = start; i < end; i++) {
    of += embedding[i]! ** 2;
    by += projected[i]! ** 2;
  }
  return by === 0 ? 0 : Math.sqrt(of / by);
}
