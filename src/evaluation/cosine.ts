/** Rows of unit length, which make the dot product of two rows the cosine of their angle. */
import { DataError } from '../util/index.js';
import { checkRows } from './ranking.js';
import type { Embeddings } from './similarity.js';

export interface UnitRows {
  /** [N, D], each row of length 1, or 0 where the row was 0. */
  embeddings: Float64Array;
  /** Rows that are 0 throughout: they have no direction, so their cosine with every row is taken as 0. */
  zeroRows: number[];
}

/**
 * Divides each row by its length, in float64: dividing in float32 would tear exact duplicates of other length apart.
 * @param embeddings [N, D].
 * @param where names a row in an error, e.g. as file and line. Default: its number.
 * @throws DataError for a row that holds NaN or infinity.
 */
export function unitRows(
  embeddings: Embeddings,
  dimension: number,
  where: (row: number) => string = (row) => `row ${row}`,
): UnitRows {
  const rows = checkRows('unitRows', embeddings, dimension);
  const result = new Float64Array(embeddings.length);
  const zeroRows: number[] = [];
  for (let row = 0; row < rows; row++) {
    const start = row * dimension;
    let largest = 0; // divided out first, so that squares neither overflow nor vanish
    for (let d = 0; d < dimension; d++) {
      const value = embeddings[start + d]!;
      if (!Number.isFinite(value))
        throw new DataError(
          `embeddings: every number must be finite, got ${value} in ${where(row)}, column ${d}. Look at that picture and at the model.`,
        );
      largest = Math.max(largest, Math.abs(value));
    }
    if (largest === 0) {
      zeroRows.push(row);
      continue;
    }
    let squares = 0;
    for (let d = 0; d < dimension; d++) squares += (embeddings[start + d]! / largest) ** 2;
    const length = largest * Math.sqrt(squares);
    for (let d = 0; d < dimension; d++) result[start + d] = embeddings[start + d]! / length;
  }
  return { embeddings: result, zeroRows };
}
