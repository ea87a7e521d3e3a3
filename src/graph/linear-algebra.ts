/**
 * Matrix products. Transposes are written out: onnxruntime folds them into the product.
 */
import { ShapeError } from '../util/index.js';
import { scale } from './elementwise.js';
import { apply, type Dimension, formatShape, type Operator, sizeOf, staticShape, type Value } from './ir.js';
import { reshapeExactly, transpose } from './movement.js';
import { broadcastShapes, required, sameDataType, sumTo } from './shapes.js';

/** Matrix product of the last two axes; leading axes broadcast. `[…, M, K] · […, K, N] → […, M, N]` */
export const matmul = (a: Value, b: Value): Value => apply(MatMul, [a, b]);

/** Swaps the last two axes. */
export const matrixTranspose = (x: Value): Value => {
  const order = x.shape.map((_, axis) => axis);
  order.splice(-2, 2, x.rank - 1, x.rank - 2);
  return transpose(x, order);
};

// --- operators ---

const MatMul: Operator = {
  name: 'MatMul',
  infer(inputs) {
    const a = required(inputs[0], 'MatMul', 0);
    const b = required(inputs[1], 'MatMul', 1);
    const dataType = sameDataType(inputs, 'MatMul');
    const left: readonly Dimension[] = a.rank === 1 ? [1, ...a.shape] : a.shape;
    const right: readonly Dimension[] = b.rank === 1 ? [...b.shape, 1] : b.shape;
    if (a.rank === 0 || b.rank === 0 || left[left.length - 1] !== right[right.length - 2]) {
      throw new ShapeError(
        `MatMul: the inner dimensions must agree, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`,
      );
    }
    const shape = [
      ...broadcastShapes(left.slice(0, -2), right.slice(0, -2), 'MatMul'),
      ...(a.rank === 1 ? [] : [left[left.length - 2] as Dimension]),
      ...(b.rank === 1 ? [] : [right[right.length - 1] as Dimension]),
    ];
    return [{ dataType, shape }];
  },
  vjp({ inputs, outputGradients, isNeeded }) {
    const [a, b] = inputs as [Value, Value];
    const aShape = staticShape(a, 'MatMul');
    const bShape = staticShape(b, 'MatMul');
    const left = a.rank === 1 ? reshapeExactly(a, [1, ...aShape]) : a;
    const right = b.rank === 1 ? reshapeExactly(b, [...bShape, 1]) : b;
    const batch = broadcastShapes(left.shape.slice(0, -2), right.shape.slice(0, -2), 'MatMul') as number[];
    const rows = left.shape[left.rank - 2] as number;
    const inner = left.shape[left.rank - 1] as number;
    const columns = right.shape[right.rank - 1] as number;
    const g = reshapeExactly(outputGradients[0] as Value, [...batch, rows, columns]);
    const gradientA = () => reshapeExactly(sumTo(matmul(g, matrixTranspose(right)), left.shape), aShape);
    const gradientB = () => {
      // One matrix for the whole batch: a single large product instead of a batch of small ones and their sum.
      if (right.rank === 2 && left.rank > 2) {
        const allRows = sizeOf(batch) * rows;
        const flatA = reshapeExactly(left, [allRows, inner]);
        const flatG = reshapeExactly(g, [allRows, columns]);
        return reshapeExactly(matmul(matrixTranspose(flatA), flatG), bShape);
      }
      return reshapeExactly(sumTo(matmul(matrixTranspose(left), g), right.shape), bShape);
    };
    return [isNeeded[0] ? gradientA() : undefined, isNeeded[1] ? gradientB() : undefined];
  },
};

/** `alpha · A' · B' + beta · C`, where `'` transposes when asked. */
const Gemm: Operator = {
  name: 'Gemm',
  infer(inputs, attributes) {
    const a = required(inputs[0], 'Gemm', 0);
    const b = required(inputs[1], 'Gemm', 1);
    const dataType = sameDataType(inputs, 'Gemm');
    const [rows, innerA] = attributes.transA === 1 ? [a.shape[1], a.shape[0]] : a.shape;
    const [innerB, columns] = attributes.transB === 1 ? [b.shape[1], b.shape[0]] : b.shape;
    if (a.rank !== 2 || b.rank !== 2 || innerA !== innerB) {
      throw new ShapeError(
        `Gemm: inputs must be matrices with one inner size, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`,
      );
    }
    const shape = [rows as Dimension, columns as Dimension];
    const c = inputs[2];
    if (c !== undefined && formatShape(broadcastShapes(shape, c.shape, 'Gemm')) !== formatShape(shape)) {
      throw new ShapeError(
        `Gemm: the third input must broadcast to ${formatShape(shape)}, got ${formatShape(c.shape)}.`,
      );
    }
    return [{ dataType, shape }];
  },
  vjp({ inputs, attributes, outputGradients, isNeeded }) {
    const [a, b, c] = inputs as [Value, Value, Value | undefined];
    const alpha = Number(attributes.alpha ?? 1);
    const beta = Number(attributes.beta ?? 1);
    const g = outputGradients[0] as Value;
    const isTransposed = { a: attributes.transA === 1, b: attributes.transB === 1 };
    // The product that gives the gradient as the input lies, so that no large matrix is transposed.
    const gradientA = () =>
      isTransposed.a
        ? matmul(isTransposed.b ? matrixTranspose(b) : b, matrixTranspose(g))
        : matmul(g, isTransposed.b ? b : matrixTranspose(b));
    const gradientB = () =>
      isTransposed.b
        ? matmul(matrixTranspose(g), isTransposed.a ? matrixTranspose(a) : a)
        : matmul(isTransposed.a ? a : matrixTranspose(a), g);
    return [
      isNeeded[0] ? scale(gradientA(), alpha) : undefined,
      isNeeded[1] ? scale(gradientB(), alpha) : undefined,
      isNeeded[2] && c !== undefined ? sumTo(scale(g, beta), c.shape) : undefined,
    ];
  },
};

export const linearAlgebraOperators = { MatMul, Gemm } satisfies Record<string, Operator>;
