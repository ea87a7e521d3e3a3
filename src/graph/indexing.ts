/**
 * Operators that select by computed indices: gather, one-hot, largest elements.
 */
import { ShapeError } from '../util/index.js';
import { cast } from './elementwise.js';
import {
  apply,
  applyAll,
  constant,
  type Dimension,
  int64,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { matmul } from './linear-algebra.js';
import { reshapeExactly, transpose } from './movement.js';
import { normalizeAxis, required } from './shapes.js';

/** The slices of `x` along an axis that `indices` (int64) name. The gradient is dense. */
export const gather = (x: Value, indices: Value, axis = 0): Value =>
  apply(Gather, [x, indices], { axis: normalizeAxis(axis, x.rank, 'Gather') });

/**
 * For each index a vector with a one at its place: `[…] → […, depth]` float32. Negative indices count from the end;
 * an index outside gives zeros. Indices must have an axis.
 */
export const oneHot = (indices: Value, depth: number): Value =>
  apply(OneHot, [indices, int64([depth]), constant([0, 1])], { axis: -1 });

/** The index (int64) of the largest element along an axis, which is removed; at a tie the first. */
export const argMax = (x: Value, axis = -1): Value =>
  apply(ArgMax, [x], { axis: normalizeAxis(axis, x.rank, 'ArgMax'), keepdims: 0 });

/** The `k` largest elements along the last axis, in descending order, with their indices (int64). */
export const topK = (x: Value, k: number): { values: Value; indices: Value } => {
  const [values, indices] = applyAll(TopK, [x, int64([k])], { axis: -1, largest: 1, sorted: 1 }) as [
    Value,
    Value,
  ];
  return { values, indices };
};

// --- operators ---

const Gather: Operator = {
  name: 'Gather',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Gather', 0);
    const indices = required(inputs[1], 'Gather', 1);
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Gather');
    if (indices.dataType !== 'int64' && indices.dataType !== 'int32') {
      throw new ShapeError(`Gather: indices must be int64 or int32, got ${indices.dataType}.`);
    }
    return [
      {
        dataType: x.dataType,
        shape: [...x.shape.slice(0, axis), ...indices.shape, ...x.shape.slice(axis + 1)],
      },
    ];
  },
  /** One-hot rows times the gradient: rows that were taken several times add up. */
  vjp({ inputs, attributes, outputGradients }) {
    const [x, indices] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const shape = staticShape(x, 'Gather');
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Gather');
    const size = shape[axis] as number;
    const count = sizeOf(staticShape(indices, 'Gather'));
    const rest = shape.filter((_, i) => i !== axis);
    const taken = reshapeExactly(g, [...shape.slice(0, axis), count, ...shape.slice(axis + 1)]);
    const toFront = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)];
    const rows = reshapeExactly(transpose(taken, toFront), [count, sizeOf(rest)]);
    const selection = transpose(oneHot(reshapeExactly(cast(indices, 'int64'), [count]), size));
    const summed = reshapeExactly(matmul(selection, rows), [size, ...rest]);
    return [
      transpose(
        summed,
        shape.map((_, i) => toFront.indexOf(i)),
      ),
    ];
  },
};

const OneHot: Operator = {
  name: 'OneHot',
  infer(inputs, attributes) {
    const indices = required(inputs[0], 'OneHot', 0);
    const depth = required(inputs[1], 'OneHot', 1);
    const values = required(inputs[2], 'OneHot', 2);
    if (depth.origin.kind !== 'constant')
      throw new ShapeError('OneHot: the depth must be constant, got a computed value.');
    if (indices.rank === 0) throw new ShapeError('OneHot: indices must have an axis, got a scalar.');
    const axis = normalizeAxis(Number(attributes.axis ?? -1), indices.rank + 1, 'OneHot');
    const shape = [...indices.shape];
    shape.splice(axis, 0, Number(depth.origin.data[0]));
    return [{ dataType: values.dataType, shape }];
  },
  vjp: 'zero',
};

const ArgMax: Operator = {
  name: 'ArgMax',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'ArgMax', 0);
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'ArgMax');
    const shape =
      attributes.keepdims === 0
        ? x.shape.filter((_, i) => i !== axis)
        : x.shape.map((dimension, i) => (i === axis ? 1 : dimension));
    return [{ dataType: 'int64', shape }];
  },
  vjp: 'zero',
};

const TopK: Operator = {
  name: 'TopK',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'TopK', 0);
    const k = required(inputs[1], 'TopK', 1);
    if (k.origin.kind !== 'constant') throw new ShapeError('TopK: k must be constant, got a computed value.');
    const axis = normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'TopK');
    const count = Number(k.origin.data[0]);
    const size = x.shape[axis] as Dimension;
    if (count < 0 || (typeof size === 'number' && count > size)) {
      throw new ShapeError(`TopK: k must be in [0, ${size}], the size along axis ${axis}, got ${count}.`);
    }
    const shape = x.shape.map((dimension, i) => (i === axis ? count : dimension));
    return [
      { dataType: x.dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
  vjp: 'none',
};

export const indexingOperators = { Gather, OneHot, ArgMax, TopK } satisfies Record<string, Operator>;
