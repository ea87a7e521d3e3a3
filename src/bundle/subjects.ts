/**
 * Proposals of what a picture is of: boxes that stand out from its border, to be offered as crops.
 *
 * The saliency of a place is the root of a product: how far the model's features there are from the median of the border's,
 * and how far its colour is from the border's colours. The features know what matters but are coarse; the colours have
 * the outline. What is over a threshold (Otsu's) hangs together in components, and their bounds are the boxes.
 *
 * Letters: G side of the grid of saliency, h × w positions of the feature map.
 */
import {
  type Box,
  decodePicture,
  pictureSize,
  type Region,
  readPictureBytes,
  regionPixels,
} from '../data/index.js';
import { decodePixels, type Embedder, type PictureSource, sourceParts } from './embedder.js';

/** A part of a picture that may be what it is of. */
export interface SubjectProposal {
  /** In fractions of the whole upright picture. */
  readonly region: Region & { readonly unit: 'fraction' };
  /** How much more salient it is inside than outside, times the root of its share of the picture: from 0 to 1. */
  readonly score: number;
}

/**
 * Proposes up to three boxes, the best first; none where nothing stands out or what does fills the picture.
 * @param picture where it has a box, proposals lie in it.
 * @throws DataError when it cannot be read.
 */
export async function proposeSubjects(
  embedder: Embedder,
  picture: PictureSource,
): Promise<SubjectProposal[]> {
  const { source, box, name, limits } = sourceParts(picture);
  const bytes = typeof source === 'string' ? await readPictureBytes(source) : source;
  const called = name ?? (typeof source === 'string' ? source : undefined);
  const named = { ...limits, ...(called === undefined ? {} : { name: called }) };
  const size = await pictureSize(bytes, named);
  const within =
    box === undefined ? { left: 0, top: 0, right: size.width, bottom: size.height } : regionPixels(box, size);
  const { background } = embedder.bundle.preprocessing;
  const { data } = await decodePicture(bytes, { size: GRID, fit: 'fill', background, box: within, ...named });
  const colour = scaled(colourContrast(data), LEAST_COLOUR);
  const feature = await featureContrast(embedder, { bytes, box: within, ...named });
  const both =
    feature === undefined
      ? colour
      : scaled(
          colour.map((value, i) => Math.sqrt(value * feature[i]!)),
          LEAST_BOTH,
        );
  // The colours alone as well: a subject between the positions of a coarse map is not lost.
  const found = [...components(both), ...(feature === undefined ? [] : components(colour))]
    .map((cells) => ({ cells, contrast: contrast(both, cells) }))
    .filter((one) => one.contrast >= LEAST_CONTRAST && area(one.cells) <= LARGEST_AREA * GRID * GRID)
    .map((one) => ({ cells: one.cells, score: (one.contrast * Math.sqrt(area(one.cells))) / GRID }))
    .sort((a, b) => b.score - a.score);
  const kept: typeof found = [];
  for (const one of found) {
    const isWorthwhile = kept.length < MOST_PROPOSALS && one.score >= WORTHWHILE * (kept[0]?.score ?? 0);
    if (isWorthwhile && kept.every((other) => overlap(one.cells, other.cells) < SAME)) kept.push(one);
  }
  return kept.map(({ cells, score }) => ({ region: inPicture(cells, within, size), score }));
}

// --- internal ---

/** G */
const GRID = 32;
const MOST_PROPOSALS = 3;
const LEAST_CONTRAST = 0.2;
/** Share of the best score. */
const WORTHWHILE = 0.33;
/** Of the picture; a larger box is no crop. */
const LARGEST_AREA = 0.9;
/** Share of the picture under which a component is a speck. */
const SMALLEST_AREA = 0.004;
/** Overlap (intersection over union) from which on two boxes are one. */
const SAME = 0.6;
/** A distance of colours (0 to 441) that is nothing to speak of. */
const LEAST_COLOUR = 40;
/** A distance of features, as a share of their length, that is nothing to speak of. */
const LEAST_FEATURE = 0.2;
/** A saliency, 0 to 1, that is nothing to speak of. */
const LEAST_BOTH = 0.6;
/** Rows of cells that count as border. */
const BORDER = 2;
/** The share of the border's cells that a colour must be unlike, so that a subject may touch the border. */
const BORDER_SHARE = 0.1;

/** The distance of each cell's colour to those of the border, [G, G, 3] → [G·G]: to the nearest tenth of them. */
function colourContrast(data: Uint8Array): Float64Array {
  const border = [...Array(GRID * GRID).keys()].filter((i) => isBorder(i, GRID, GRID, BORDER));
  const distances = new Float64Array(border.length);
  return Float64Array.from({ length: GRID * GRID }, (_, i) => {
    border.forEach((b, n) => {
      let sum = 0;
      for (let channel = 0; channel < 3; channel++)
        sum += (data[3 * i + channel]! - data[3 * b + channel]!) ** 2;
      distances[n] = Math.sqrt(sum);
    });
    return distances.sort()[Math.floor(BORDER_SHARE * border.length)]!;
  });
}

/** The distance of the features to the median of the border's, on the grid, scaled to 0 to 1; none without a map. */
async function featureContrast(
  embedder: Embedder,
  picture: PictureSource,
): Promise<Float64Array | undefined> {
  if (!embedder.hasFeatureMap) return undefined;
  const pixels = await decodePixels(picture, { ...embedder.bundle.preprocessing, fit: 'fill' });
  const { featureMap } = await embedder.embedPixels(pixels, 1, { featureMap: true });
  if (featureMap === undefined) return undefined;
  const [, channels, height, width] = featureMap.shape as [number, number, number, number];
  if (height < 3 || width < 3) return undefined;
  const positions = height * width;
  const border = [...Array(positions).keys()].filter((p) => isBorder(p, width, height, 1));
  const distances = new Float64Array(positions);
  let length = 0;
  for (let channel = 0; channel < channels; channel++) {
    const plane = featureMap.data.subarray(channel * positions, (channel + 1) * positions);
    const median = border.map((p) => plane[p]!).sort((a, b) => a - b)[border.length >> 1]!;
    for (let p = 0; p < positions; p++) {
      distances[p]! += (plane[p]! - median) ** 2;
      length += plane[p]! ** 2 / positions;
    }
  }
  const onGrid = Float64Array.from({ length: GRID * GRID }, (_, i) =>
    between(distances, width, height, ((i % GRID) + 0.5) / GRID, (Math.floor(i / GRID) + 0.5) / GRID),
  );
  return scaled(onGrid, LEAST_FEATURE * Math.sqrt(length));
}

function isBorder(index: number, width: number, height: number, thickness: number): boolean {
  const [y, x] = [Math.floor(index / width), index % width];
  return x < thickness || y < thickness || x >= width - thickness || y >= height - thickness;
}

/** The root of squares at a point, linear between the middles of cells. */
function between(squares: Float64Array, width: number, height: number, u: number, v: number): number {
  const x = Math.min(Math.max(u * width - 0.5, 0), width - 1);
  const y = Math.min(Math.max(v * height - 0.5, 0), height - 1);
  const [left, top] = [Math.floor(x), Math.floor(y)];
  const [right, bottom] = [Math.min(left + 1, width - 1), Math.min(top + 1, height - 1)];
  const at = (row: number, column: number) => Math.sqrt(squares[row * width + column]!);
  const upper = at(top, left) * (1 - x + left) + at(top, right) * (x - left);
  const lower = at(bottom, left) * (1 - x + left) + at(bottom, right) * (x - left);
  return upper * (1 - y + top) + lower * (y - top);
}

/** To 0 to 1; where all is within `least`, not as far as 1, so that noise does not stand out. */
function scaled(values: Float64Array, least: number): Float64Array {
  let [low, high] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const value of values) {
    low = Math.min(low, value);
    high = Math.max(high, value);
  }
  const range = Math.max(high - low, least);
  return values.map((value) => (range === 0 ? 0 : (value - low) / range));
}

/** Bounds of what hangs together over Otsu's threshold, in cells. */
function components(saliency: Float64Array): Box[] {
  const threshold = otsuThreshold(saliency);
  const seen = new Uint8Array(saliency.length);
  const found: Box[] = [];
  for (let start = 0; start < saliency.length; start++) {
    if (seen[start] === 1 || saliency[start]! < threshold) continue;
    seen[start] = 1;
    const stack = [start];
    let [left, top, right, bottom] = [GRID, GRID, 0, 0];
    for (let cell = stack.pop(); cell !== undefined; cell = stack.pop()) {
      const [y, x] = [Math.floor(cell / GRID), cell % GRID];
      [left, top] = [Math.min(left, x), Math.min(top, y)];
      [right, bottom] = [Math.max(right, x + 1), Math.max(bottom, y + 1)];
      for (let row = Math.max(y - 1, 0); row <= Math.min(y + 1, GRID - 1); row++)
        for (let column = Math.max(x - 1, 0); column <= Math.min(x + 1, GRID - 1); column++) {
          const other = row * GRID + column;
          if (seen[other] === 1 || saliency[other]! < threshold) continue;
          seen[other] = 1;
          stack.push(other);
        }
    }
    const box = { left, top, right, bottom };
    if (area(box) >= SMALLEST_AREA * GRID * GRID) found.push(box);
  }
  return found;
}

/** The threshold that parts values from 0 to 1 into two groups whose means differ most (Otsu, 1979). */
function otsuThreshold(values: Float64Array): number {
  const sorted = values.slice().sort();
  const total = sorted.reduce((sum, value) => sum + value, 0);
  let [best, threshold, below] = [0, Number.POSITIVE_INFINITY, 0];
  for (let n = 1; n < sorted.length; n++) {
    below += sorted[n - 1]!;
    const above = sorted.length - n;
    const spread = n * above * (below / n - (total - below) / above) ** 2;
    if (spread > best) [best, threshold] = [spread, sorted[n]!];
  }
  return threshold;
}

/** Mean inside less mean outside. */
function contrast(saliency: Float64Array, { left, top, right, bottom }: Box): number {
  let [inside, all] = [0, 0];
  saliency.forEach((value, i) => {
    const [y, x] = [Math.floor(i / GRID), i % GRID];
    all += value;
    if (x >= left && x < right && y >= top && y < bottom) inside += value;
  });
  const count = (right - left) * (bottom - top);
  return inside / count - (count === saliency.length ? 0 : (all - inside) / (saliency.length - count));
}

const area = ({ left, top, right, bottom }: Box) => (right - left) * (bottom - top);

/** Intersection over union. */
function overlap(a: Box, b: Box): number {
  const width = Math.min(a.right, b.right) - Math.max(a.left, b.left);
  const height = Math.min(a.bottom, b.bottom) - Math.max(a.top, b.top);
  const shared = Math.max(0, width) * Math.max(0, height);
  return shared / (area(a) + area(b) - shared);
}

function inPicture(
  cells: Box,
  within: Box,
  { width, height }: { readonly width: number; readonly height: number },
): SubjectProposal['region'] {
  const x = (cell: number) => (within.left + (cell / GRID) * (within.right - within.left)) / width;
  const y = (cell: number) => (within.top + (cell / GRID) * (within.bottom - within.top)) / height;
  return {
    left: x(cells.left),
    top: y(cells.top),
    right: x(cells.right),
    bottom: y(cells.bottom),
    unit: 'fraction',
  };
}
