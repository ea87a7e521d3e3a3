/**
 * Heat maps: where in two pictures their cosine comes from.
 *
 * Exact, where the embedding before its unit length is affine in the feature map F (global average pooling or flattening
 * and a linear layer, batch normalisation of inference …): u(F) = Σ_p (u(F at p alone) − u(0)) + u(0). With u(0) shared
 * equally over the P positions and each part divided by the length of u(F), the embedding is e = Σ_p c_p, and
 * cos(e, e′) = Σ_p Σ_q c_p·c′_q: a matrix over pairs of positions that adds up. Its sums over q, c_p·e′, are the first
 * picture's heat map; those over p the second's.
 *
 * Elsewhere: by occlusion. What the cosine loses when a patch of one picture is painted in the colour of its border;
 * such differences need not add up, and `remainder` says by how much they do not.
 *
 * Letters: D embedding size, P = h·w positions, p and q positions, S the model's input size.
 */
import {
  type Box,
  inFractions,
  type PictureSize,
  pictureSize,
  readPictureBytes,
  shownArea,
} from '../data/index.js';
import { DataError } from '../util/index.js';
import { decodePixels, type Embedder, type PictureSource, sourceParts } from './embedder.js';
import { type EmbeddingHead, openEmbeddingHead, rangeScale } from './embedding-head.js';

/** What one picture's positions give to a cosine. */
export interface HeatMap {
  /** Cells a row; rows. */
  readonly width: number;
  readonly height: number;
  /** [height · width] row by row. Negative: speaks against. In units of the cosine. */
  readonly values: readonly number[];
  /**
   * The part of the upright picture that the whole map lies over, in fractions of its sides. Beyond 0 to 1 where the model
   * sees a background around the picture.
   */
  readonly area: Box;
  /** Pixels, upright. */
  readonly picture: PictureSize;
}

export interface HeatMaps {
  readonly method: 'exact' | 'occlusion';
  /** Why not exact. */
  readonly note?: string;
  readonly query: HeatMap;
  readonly hit: HeatMap;
  /** Of the two embeddings. */
  readonly cosine: number;
  /** The cosine less the sum of a map: of that map where it is larger. Rounding only, where exact. */
  readonly remainder: number;
}

/** The embedding of a picture as a sum over positions. */
export interface PositionContributions {
  /** Cells a row; rows. */
  readonly width: number;
  readonly height: number;
  /** [P, D]; the sum over positions is the embedding. */
  readonly values: Float64Array;
  /** [D] of unit length. */
  readonly embedding: Float32Array;
}

export interface Explainer {
  readonly method: 'exact' | 'occlusion';
  /** Why not exact. */
  readonly note: string | undefined;
  /**
   * The heat maps of two pictures.
   * @throws DataError when one cannot be read; what `signal` was aborted with.
   */
  heatMaps(
    query: PictureSource,
    hit: PictureSource,
    options?: { signal?: AbortSignal | undefined },
  ): Promise<HeatMaps>;
  /**
   * The embedding as a sum over positions; nothing where the method is occlusion.
   * @throws DataError when the picture cannot be read.
   */
  contributions(picture: PictureSource): Promise<PositionContributions | undefined>;
  /** Frees what is its own; the embedder stays open. */
  close(): Promise<void>;
}

/**
 * Makes heat maps with an embedder's model.
 * @param options.cells rows and columns of a heat map by occlusion, each a run of the model. Default 8.
 * @param options.threads of the runtime. Default: all cores.
 */
export async function openExplainer(
  embedder: Embedder,
  options: { cells?: number; threads?: number } = {},
): Promise<Explainer> {
  const { cells = 8, threads } = options;
  const { size } = embedder.bundle.preprocessing;
  if (!Number.isInteger(cells) || cells < 1 || cells > size)
    throw new DataError(`openExplainer: cells must be a whole number from 1 to ${size}, got ${cells}`);
  const head = await openEmbeddingHead(
    embedder.modelPath,
    embedder.dimension,
    threads === undefined ? {} : { threads },
  );
  const refusal = typeof head === 'string' ? head : undefined;
  const contributionsOf = async (picture: PreparedPicture) =>
    typeof head === 'string' ? undefined : await positionContributions(embedder, head, picture);
  return {
    method: refusal === undefined ? 'exact' : 'occlusion',
    note: refusal,
    async heatMaps(query, hit, { signal } = {}) {
      const [first, second] = [await prepare(embedder, query), await prepare(embedder, hit)];
      signal?.throwIfAborted();
      const one = await contributionsOf(first);
      const other = await contributionsOf(second);
      if (one !== undefined && other !== undefined) return exactMaps(one, other, first, second);
      const note = refusal ?? 'the embedding is no sum over the positions of this picture’s feature map';
      return await occlusionMaps(embedder, first, second, { cells, note, signal });
    },
    contributions: async (picture) => await contributionsOf(await prepare(embedder, picture)),
    async close() {
      if (typeof head !== 'string') await head.close();
    },
  };
}

/**
 * The matrix over pairs of positions.
 * @returns [P, Q]; all of it adds up to the cosine, row p to the first picture's heat map at p.
 */
export function positionPairs(first: PositionContributions, second: PositionContributions): Float64Array {
  const [rows, columns] = [first.width * first.height, second.width * second.height];
  const dimension = first.embedding.length;
  const pairs = new Float64Array(rows * columns);
  for (let p = 0; p < rows; p++)
    for (let q = 0; q < columns; q++) {
      let sum = 0;
      for (let d = 0; d < dimension; d++)
        sum += first.values[p * dimension + d]! * second.values[q * dimension + d]!;
      pairs[p * columns + q] = sum;
    }
  return pairs;
}

// --- internal ---

interface PreparedPicture {
  /** [3, S, S] */
  readonly pixels: Float32Array;
  readonly size: PictureSize;
  /** Fractions. */
  readonly area: Box;
}

async function prepare(embedder: Embedder, picture: PictureSource): Promise<PreparedPicture> {
  const { source, box, name, limits } = sourceParts(picture);
  const { preprocessing } = embedder.bundle;
  const bytes = typeof source === 'string' ? await readPictureBytes(source) : source;
  const called = name ?? (typeof source === 'string' ? source : undefined);
  const pixels = await decodePixels({ bytes, box, name: called, ...limits }, preprocessing);
  const size = await pictureSize(bytes, limits);
  const { unit: _, ...area } = inFractions(shownArea(size, preprocessing.fit, box), size);
  return { pixels, size, area };
}

/** Elements of masked maps in one run of the head: 16 MB. */
const MOST_ELEMENTS = 4_000_000;
/** How far the parts may be from the whole, as a share of its length, before a head is not taken for affine. */
const TOLERANCE = 1e-3;

async function positionContributions(
  embedder: Embedder,
  head: EmbeddingHead,
  { pixels }: PreparedPicture,
): Promise<PositionContributions | undefined> {
  const { channels, height, width } = head;
  const { dimension } = embedder;
  const { embeddings: embedding, featureMap } = await embedder.embedPixels(pixels, 1, { featureMap: true });
  const positions = height * width;
  const elements = channels * positions;
  if (featureMap?.data.length !== elements) return undefined;
  const map = featureMap.data;
  // u(F) and u(0), then each position alone.
  const ends = new Float32Array(2 * elements);
  ends.set(map);
  const [whole, empty] = halves(await head.project(ends, 2), dimension);
  const values = new Float64Array(positions * dimension);
  const chunk = Math.max(1, Math.min(positions, Math.floor(MOST_ELEMENTS / elements)));
  for (let start = 0; start < positions; start += chunk) {
    const count = Math.min(chunk, positions - start);
    const masked = new Float32Array(count * elements);
    for (let n = 0; n < count; n++)
      for (let channel = 0; channel < channels; channel++) {
        const at = channel * positions + start + n;
        masked[n * elements + at] = map[at]!;
      }
    const projected = await head.project(masked, count);
    for (let n = 0; n < count; n++)
      for (let d = 0; d < dimension; d++)
        values[(start + n) * dimension + d] = projected[n * dimension + d]! - empty[d]!;
  }
  // What no position gives alone, u(0), is shared out equally, and rounding with it.
  const rest = Float64Array.from(whole);
  for (let p = 0; p < positions; p++)
    for (let d = 0; d < dimension; d++) rest[d]! -= values[p * dimension + d]!;
  const error = Math.hypot(...rest.map((value, d) => value - empty[d]!));
  if (!(error <= TOLERANCE * Math.hypot(...whole))) return undefined;
  for (let p = 0; p < positions; p++)
    for (let d = 0; d < dimension; d++) values[p * dimension + d]! += rest[d]! / positions;
  for (const { start, end } of head.ranges) {
    const scale = rangeScale(whole, embedding, start, end);
    for (let d = start; d < end; d++) {
      if (Math.abs(scale * whole[d]! - embedding[d]!) > TOLERANCE) return undefined;
      for (let p = 0; p < positions; p++) values[p * dimension + d]! *= scale;
    }
  }
  return { width, height, values, embedding };
}

function exactMaps(
  first: PositionContributions,
  second: PositionContributions,
  query: PreparedPicture,
  hit: PreparedPicture,
): HeatMaps {
  const cosine = dot(first.embedding, second.embedding);
  const maps = [againstWhole(first, second, query), againstWhole(second, first, hit)] as const;
  return { method: 'exact', query: maps[0], hit: maps[1], cosine, remainder: remainderOf(cosine, maps) };
}

/** Σ_q c_p·c′_q = c_p · Σ_q c′_q */
function againstWhole(
  { values, width, height, embedding }: PositionContributions,
  other: PositionContributions,
  picture: PreparedPicture,
): HeatMap {
  const dimension = embedding.length;
  const sum = new Float64Array(dimension);
  other.values.forEach((value, i) => {
    sum[i % dimension]! += value;
  });
  const shares = Array.from({ length: width * height }, (_, p) =>
    dot(values.subarray(p * dimension, (p + 1) * dimension), sum),
  );
  return { width, height, values: shares, area: picture.area, picture: picture.size };
}

async function occlusionMaps(
  embedder: Embedder,
  query: PreparedPicture,
  hit: PreparedPicture,
  options: { cells: number; note: string; signal: AbortSignal | undefined },
): Promise<HeatMaps> {
  const { cells, note, signal } = options;
  const [one, other] = [
    (await embedder.embedPixels(query.pixels, 1)).embeddings,
    (await embedder.embedPixels(hit.pixels, 1)).embeddings,
  ];
  const cosine = dot(one, other);
  const mapOf = async (picture: PreparedPicture, to: Float32Array): Promise<HeatMap> => {
    const values: number[] = [];
    // A few at a time, so that a large model does not need the memory of all patches at once.
    for (let start = 0; start < cells * cells; start += cells) {
      signal?.throwIfAborted();
      const elements = picture.pixels.length;
      const painted = new Float32Array(cells * elements);
      for (let n = 0; n < cells; n++) {
        const one = painted.subarray(n * elements, (n + 1) * elements);
        one.set(picture.pixels);
        paintPatch(one, embedder.bundle.preprocessing.size, cells, start + n);
      }
      const { embeddings } = await embedder.embedPixels(painted, cells);
      for (let n = 0; n < cells; n++)
        values.push(cosine - dot(embeddings.subarray(n * to.length, (n + 1) * to.length), to));
    }
    return { width: cells, height: cells, values, area: picture.area, picture: picture.size };
  };
  const maps = [await mapOf(query, other), await mapOf(hit, one)] as const;
  return {
    method: 'occlusion',
    note,
    query: maps[0],
    hit: maps[1],
    cosine,
    remainder: remainderOf(cosine, maps),
  };
}

/** Paints cell number `cell` of a grid with the median colour of the picture's border, [3, S, S] in place. */
function paintPatch(pixels: Float32Array, size: number, cells: number, cell: number): void {
  const [row, column] = [Math.floor(cell / cells), cell % cells];
  const bound = (index: number) => Math.round((index * size) / cells);
  for (let channel = 0; channel < 3; channel++) {
    const plane = pixels.subarray(channel * size * size, (channel + 1) * size * size);
    const colour = medianOfBorder(plane, size);
    for (let y = bound(row); y < bound(row + 1); y++)
      plane.fill(colour, y * size + bound(column), y * size + bound(column + 1));
  }
}

/** The median of the outermost pixels of a plane [S, S]. */
export function medianOfBorder(plane: Float32Array, size: number): number {
  const border: number[] = [];
  for (let i = 0; i < size; i++)
    border.push(plane[i]!, plane[(size - 1) * size + i]!, plane[i * size]!, plane[i * size + size - 1]!);
  return border.sort((a, b) => a - b)[border.length >> 1]!;
}

function remainderOf(cosine: number, maps: readonly HeatMap[]): number {
  return maps
    .map(({ values }) => cosine - values.reduce((sum, value) => sum + value, 0))
    .reduce((worst, one) => (Math.abs(one) > Math.abs(worst) ? one : worst), 0);
}

function dot(a: ArrayLike<number>, b: ArrayLike<number>): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += a[i]! * b[i]!;
  return sum;
}

function halves(values: Float32Array, dimension: number): [Float32Array, Float32Array] {
  return [values.subarray(0, dimension), values.subarray(dimension)];
}
