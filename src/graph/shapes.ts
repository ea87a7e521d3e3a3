/**
 * Shape arithmetic that the operators share: broadcasting, axes, and undoing a broadcast in a gradient.
 */
import { ShapeError } from '../util/index.js';
import { type Dimension, formatShape, type Shape, type TensorType, type Value } from './ir.js';
import { reshapeExactly } from './movement.js';
import { reduceSum } from './reduction.js';

/**
 * The shape of two shapes broadcast as NumPy and ONNX do. A named dimension broadcasts with itself and with 1.
 * @throws ShapeError naming `where`.
 */
export function broadcastShapes(a: Shape, b: Shape, where: string): Shape {
  const rank = Math.max(a.length, b.length);
  const result: Dimension[] = [];
  for (let i = 0; i < rank; i++) {
    const left = a[a.length - rank + i] ?? 1;
    const right = b[b.length - rank + i] ?? 1;
    if (left === right || right === 1) result.push(left);
    else if (left === 1) result.push(right);
    else {
      throw new ShapeError(`${where}: shapes must broadcast, got ${formatShape(a)} and ${formatShape(b)}.`);
    }
  }
  return result;
}

/** Sums a gradient over the dimensions along which its value was broadcast, back to the value's shape. */
export function sumTo(gradient: Value, shape: Shape): Value {
  if (formatShape(gradient.shape) === formatShape(shape)) return gradient;
  const lead = gradient.rank - shape.length;
  const axes: number[] = [];
  gradient.shape.forEach((dimension, axis) => {
    if (axis < lead || (shape[axis - lead] === 1 && dimension !== 1)) axes.push(axis);
  });
  const summed = axes.length === 0 ? gradient : reduceSum(gradient, axes, { keepDimensions: true });
  return summed.rank === shape.length ? summed : reshapeExactly(summed, shape as readonly number[]);
}

/** An axis counted from the front. @throws ShapeError when it is outside the rank. */
export function normalizeAxis(axis: number, rank: number, where: string): number {
  const positive = axis < 0 ? axis + rank : axis;
  if (!Number.isInteger(axis) || positive < 0 || positive >= Math.max(rank, 1)) {
    throw new ShapeError(`${where}: the axis must be in [${-rank}, ${rank}), got ${axis}.`);
  }
  return positive;
}

/** @throws ShapeError when the inputs do not all have one data type. Returns it. */
export function sameDataType(
  inputs: readonly (TensorType | undefined)[],
  where: string,
): TensorType['dataType'] {
  const first = inputs[0]?.dataType;
  for (const value of inputs) {
    if (value !== undefined && value.dataType !== first) {
      throw new ShapeError(`${where}: inputs must have one data type, got ${first} and ${value.dataType}.`);
    }
  }
  return first as TensorType['dataType'];
}

/** @throws ShapeError when there are more than `count` inputs, for operators of which ONNX allows forms that are not built. */
export function atMost(inputs: readonly (Value | undefined)[], count: number, where: string): void {
  if (inputs.length > count) {
    throw new ShapeError(`${where}: there must be at most ${count} inputs, got ${inputs.length}.`);
  }
}

/** @throws ShapeError when an input is missing. */
export function required(value: Value | undefined, where: string, index: number): Value {
  if (value === undefined) throw new ShapeError(`${where}: input ${index} is required, got none.`);
  return value;
}
