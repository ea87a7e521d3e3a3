/**
 * Linear maps along one axis, as products with constant matrices: what separable window operators (average pooling,
 * resizing) and their gradients are.
 */
import { constant, sizeOf, staticShape, type Value } from './ir.js';
import { matmul } from './linear-algebra.js';
import { reshapeExactly } from './movement.js';

/** A matrix that maps vectors of `columns` elements to vectors of `rows`; `data` row by row. */
export interface AxisMatrix {
  readonly rows: number;
  readonly columns: number;
  readonly data: Float32Array;
}

/** The matrix whose element (row, column) `element` gives. */
export function axisMatrix(
  rows: number,
  columns: number,
  element: (row: number, column: number) => number,
): AxisMatrix {
  const data = new Float32Array(rows * columns);
  for (let row = 0; row < rows; row++) {
    for (let column = 0; column < columns; column++) data[row * columns + column] = element(row, column);
  }
  return { rows, columns, data };
}

/** The same with rows and columns in each other's place. */
export const transposedMatrix = ({ rows, columns, data }: AxisMatrix): AxisMatrix =>
  axisMatrix(columns, rows, (row, column) => data[column * columns + row] as number);

/**
 * Replaces each vector along an axis by the matrix's product with it.
 * @param x shape known, size along `axis` the matrix's number of columns
 * @returns the same shape with the matrix's number of rows along `axis`
 */
export function productAlongAxis(x: Value, matrix: AxisMatrix, axis: number): Value {
  const shape = staticShape(x, 'productAlongAxis');
  const outer = sizeOf(shape.slice(0, axis));
  const inner = sizeOf(shape.slice(axis + 1));
  const result = [...shape.slice(0, axis), matrix.rows, ...shape.slice(axis + 1)];
  const asConstant = ({ rows, columns, data }: AxisMatrix) =>
    constant(data, [rows, columns], { dataType: 'float32' });
  if (inner === 1) {
    const vectors = reshapeExactly(x, [outer, matrix.columns]);
    return reshapeExactly(matmul(vectors, asConstant(transposedMatrix(matrix))), result);
  }
  const stacked = reshapeExactly(x, [outer, matrix.columns, inner]);
  return reshapeExactly(matmul(asConstant(matrix), stacked), result);
}
