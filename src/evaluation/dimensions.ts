/**
 * Shorter embeddings: the first dimensions as they are, and the principal components, which are the best that a rotation
 * can do in the sense of least squares. A network's dimensions come in no order, so the first d of D are like any d; the
 * principal components say how many directions the embeddings really use.
 *
 * Letters: N rows, D embedding size, d dimensions that are kept.
 */
import { EigenvalueDecomposition, Matrix } from 'ml-matrix';
import { checkRows } from './ranking.js';

/**
 * The first d dimensions of each row, scaled to unit length again; a row of zeros stays.
 * @param embeddings [N, D]
 * @returns [N, d]
 */
export function truncated(embeddings: Float32Array, dimension: number, kept: number): Float32Array {
  const rows = checkRows('truncated', embeddings, dimension);
  if (!(Number.isInteger(kept) && kept >= 1 && kept <= dimension))
    throw new RangeError(`truncated: kept must be a whole number from 1 to ${dimension}, got ${kept}.`);
  const result = new Float32Array(rows * kept);
  for (let row = 0; row < rows; row++) {
    let square = 0;
    for (let d = 0; d < kept; d++) square += embeddings[row * dimension + d]! ** 2;
    const scale = square === 0 ? 0 : 1 / Math.sqrt(square);
    for (let d = 0; d < kept; d++) result[row * kept + d] = scale * embeddings[row * dimension + d]!;
  }
  return result;
}

/**
 * Turns rows so that dimensions come in falling order of their mean square. Not centred: with all D, dot products are
 * what they were.
 * @param embeddings [N, D]
 * @returns the turned rows [N, D], and the mean square of each dimension [D].
 */
export function principalComponents(
  embeddings: Float32Array,
  dimension: number,
): { embeddings: Float32Array; meanSquares: Float64Array } {
  const rows = checkRows('principalComponents', embeddings, dimension);
  const moments = new Float64Array(dimension * dimension);
  for (let row = 0; row < rows; row++) {
    const own = embeddings.subarray(row * dimension, (row + 1) * dimension);
    for (let i = 0; i < dimension; i++) {
      const x = own[i]! / rows;
      for (let j = i; j < dimension; j++) moments[i * dimension + j]! += x * own[j]!;
    }
  }
  const matrix = Matrix.zeros(dimension, dimension);
  for (let i = 0; i < dimension; i++) {
    for (let j = i; j < dimension; j++) {
      matrix.set(i, j, moments[i * dimension + j]!);
      matrix.set(j, i, moments[i * dimension + j]!);
    }
  }
  const { realEigenvalues, eigenvectorMatrix } = new EigenvalueDecomposition(matrix, {
    assumeSymmetric: true,
  });
  const order = realEigenvalues.map((_, i) => i).sort((a, b) => realEigenvalues[b]! - realEigenvalues[a]!);
  const turned = new Float32Array(rows * dimension);
  order.forEach((column, d) => {
    const direction = Float64Array.from(eigenvectorMatrix.getColumn(column));
    for (let row = 0; row < rows; row++) {
      let sum = 0;
      for (let i = 0; i < dimension; i++) sum += direction[i]! * embeddings[row * dimension + i]!;
      turned[row * dimension + d] = sum;
    }
  });
  return {
    embeddings: turned,
    meanSquares: Float64Array.from(order, (column) => Math.max(0, realEigenvalues[column]!)),
  };
}

/** 2, 4, 8, … up to D, and D itself. */
export function dimensionSteps(dimension: number): number[] {
  const steps: number[] = [];
  for (let d = 2; d < dimension; d *= 2) steps.push(d);
  return [...steps, dimension];
}
