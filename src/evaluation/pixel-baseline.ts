/**
 * The floor that a learned embedding must clear: the pixels themselves, shrunk, as a vector.
 * Letters: N pictures, H height, W width.
 */
import { ShapeError } from '../util/index.js';

export interface PixelOptions {
  /** H and W of the pictures. */
  height: number;
  width: number;
  /** Pictures shrink to `size` × `size`, averaging over areas. Default 16; larger sees detail, smaller forgives shifts. */
  size?: number;
}

/**
 * Embeds pictures as their shrunken pixels: area average, minus the picture's mean, scaled to unit length, so that the
 * dot product of two is their correlation. A picture of one colour becomes zeros: it is like nothing.
 * @param pictures [N, H, W, 3], RGB.
 * @returns `embeddings` [N, D], row-major, and D = size² · 3.
 * @throws ShapeError when the length does not fit H and W.
 */
export function pixelEmbeddings(
  pictures: Uint8Array,
  { height, width, size = 16 }: PixelOptions,
): { embeddings: Float32Array; dimension: number } {
  const bytes = height * width * 3;
  const N = pictures.length / bytes;
  if (!(Number.isInteger(N) && Number.isInteger(size) && size > 0)) {
    throw new ShapeError(
      `pixelEmbeddings: pictures must have shape [N, ${height}, ${width}, 3] and size be a whole number, got ${pictures.length} bytes and size ${size}.`,
    );
  }
  const dimension = size * size * 3;
  const embeddings = new Float32Array(N * dimension);
  const columns = areaWeights(width, size);
  const rows = areaWeights(height, size);
  for (let n = 0; n < N; n++) {
    const vector = embeddings.subarray(n * dimension, (n + 1) * dimension);
    shrink(pictures.subarray(n * bytes, (n + 1) * bytes), width, rows, columns, vector);
    centreAndScale(vector);
  }
  return { embeddings, dimension };
}

// --- internal ---

/** For each target cell the source cells it covers, with their shares (which sum to 1). */
interface Cover {
  first: number;
  shares: number[];
}

function areaWeights(source: number, target: number): Cover[] {
  const step = source / target;
  return Array.from({ length: target }, (_, cell) => {
    const [start, end] = [cell * step, (cell + 1) * step];
    const first = Math.floor(start);
    const last = Math.min(source, Math.ceil(end - 1e-9));
    const shares = [];
    for (let i = first; i < last; i++) shares.push((Math.min(i + 1, end) - Math.max(i, start)) / step);
    return { first, shares };
  });
}

function shrink(
  picture: Uint8Array,
  width: number,
  rows: readonly Cover[],
  columns: readonly Cover[],
  target: Float32Array,
): void {
  let place = 0;
  for (const row of rows) {
    for (const column of columns) {
      let red = 0;
      let green = 0;
      let blue = 0;
      for (const [dy, vertical] of row.shares.entries()) {
        let at = ((row.first + dy) * width + column.first) * 3;
        for (const horizontal of column.shares) {
          const share = vertical * horizontal;
          red += share * picture[at]!;
          green += share * picture[at + 1]!;
          blue += share * picture[at + 2]!;
          at += 3;
        }
      }
      target[place++] = red;
      target[place++] = green;
      target[place++] = blue;
    }
  }
}

function centreAndScale(vector: Float32Array): void {
  let mean = 0;
  for (const value of vector) mean += value / vector.length;
  let squares = 0;
  for (let i = 0; i < vector.length; i++) {
    const value = vector[i]! - mean;
    vector[i] = value;
    squares += value * value;
  }
  const length = Math.sqrt(squares);
  // Below a thousandth of a grey level a value, what is left is rounding of a picture of one colour.
  const scale = length < 1e-3 * Math.sqrt(vector.length) ? 0 : 1 / length;
  for (let i = 0; i < vector.length; i++) vector[i] = scale === 0 ? 0 : vector[i]! * scale;
}
