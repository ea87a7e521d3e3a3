/**
 * Operators that select by indices, constant or computed: gather, one-hot, largest elements.
 */
import { ShapeError } from '../util/index.js';
import { cast } from './elementwise.js';
import {
  apply,
  applyAll,
  constant,
  constantIntegers,
  type Dimension,
  int64,
  knownContent,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { flatten, knownMovement } from './known.js';
import { matmul } from './linear-algebra.js';
import { expand, pad, reshapeExactly, transpose, zeros } from './movement.js';
import { scatterElements } from './scatter.js';
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

/** The index (int64) of the smallest element along an axis, which is removed; at a tie the first. */
export const argMin = (x: Value, axis = -1): Value =>
  apply(ArgMin, [x], { axis: normalizeAxis(axis, x.rank, 'ArgMin'), keepdims: 0 });

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
  vjp({ inputs, attributes, outputGradients }) {
    const [x, indices] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const shape = staticShape(x, 'Gather');
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Gather');
    const count = sizeOf(staticShape(indices, 'Gather'));
    const taken = reshapeExactly(g, [...shape.slice(0, axis), count, ...shape.slice(axis + 1)]);
    const known = constantIntegers(indices)?.map((i) => (i < 0 ? i + (shape[axis] as number) : i));
    const moved = known && putBack(taken, known, axis, shape[axis] as number);
    if (moved !== undefined) return [moved];
    const toFront = [axis, ...shape.map((_, i) => i).filter((i) => i !== axis)];
    const rest = shape.filter((_, i) => i !== axis);
    const rows = reshapeExactly(transpose(taken, toFront), [count, sizeOf(rest)]);
    const flat = reshapeExactly(cast(indices, 'int64'), [count]);
    const summed = reshapeExactly(sumRows(rows, flat, shape[axis] as number), [
      shape[axis] as number,
      ...rest,
    ]);
    return [
      transpose(
        summed,
        shape.map((_, i) => toFront.indexOf(i)),
      ),
    ];
  },
  known: knownMovement((index, { inputs, attributes }, [, indices]) => {
    const [x, places] = inputs as [Value, Value];
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Gather');
    const which = index.slice(axis, axis + places.rank);
    const taken = indices?.[flatten(which, places.shape as readonly number[])];
    if (typeof taken !== 'number') return undefined;
    const fromFront = taken < 0 ? taken + (x.shape[axis] as number) : taken;
    return [...index.slice(0, axis), fromFront, ...index.slice(axis + places.rank)];
  }),
};

/**
 * Slices (along `axis`) that were taken from different places, back at them among zeros: a run of places needs only
 * zeros around it, others one more selection. `undefined` when a place occurs twice.
 */
function putBack(taken: Value, places: readonly number[], axis: number, size: number): Value | undefined {
  if (new Set(places).size !== places.length || places.length === 0) return undefined;
  const first = places[0] as number;
  const around = (before: number, after: number) =>
    pad(
      taken,
      taken.shape.map((_, i) => (i === axis ? before : 0)),
      taken.shape.map((_, i) => (i === axis ? after : 0)),
    );
  if (places.every((place, i) => place === first + i)) return around(first, size - first - places.length);
  const isAll = places.length === size;
  const sources = Array.from({ length: size }, (_, place) => {
    const source = places.indexOf(place);
    return source < 0 ? places.length : source; // the zeros behind all that was taken
  });
  return gather(isAll ? taken : around(0, 1), int64(sources), axis);
}

/** A matrix product with one-hot rows is the faster way up to about this many elements of theirs. */
const LARGEST_ONE_HOT = 2 ** 21;

/** `[count, …] → [size, …]`: rows added up at the places that `indices` (int64 [count]) name. */
export function sumRows(rows: Value, indices: Value, size: number): Value {
  const [count, width] = rows.shape as readonly [number, number];
  if (count * size <= LARGEST_ONE_HOT) {
    return matmul(transpose(cast(oneHot(indices, size), rows.dataType)), rows);
  }
  const places = expand(reshapeExactly(indices, [count, 1]), [count, width]);
  return scatterElements(zeros(rows.dataType, [size, width]), places, rows, { axis: 0, reduction: 'add' });
}

const OneHot: Operator = {
  name: 'OneHot',
  infer(inputs, attributes) {
    const indices = required(inputs[0], 'OneHot', 0);
    const depth = required(inputs[1], 'OneHot', 1);
    const values = required(inputs[2], 'OneHot', 2);
    const size = knownContent(depth)?.[0];
    if (size === undefined) {
      throw new ShapeError('OneHot: the depth must be known when the graph is built, got a computed value.');
    }
    if (indices.rank === 0) throw new ShapeError('OneHot: indices must have an axis, got a scalar.');
    const axis = normalizeAxis(Number(attributes.axis ?? -1), indices.rank + 1, 'OneHot');
    const shape = [...indices.shape];
    shape.splice(axis, 0, size);
    return [{ dataType: values.dataType, shape }];
  },
  vjp: 'zero',
};

function extremePlace(name: string): Operator {
  return {
    name,
    infer(inputs, attributes) {
      const x = required(inputs[0], name, 0);
      const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, name);
      const shape =
        attributes.keepdims === 0
          ? x.shape.filter((_, i) => i !== axis)
          : x.shape.map((dimension, i) => (i === axis ? 1 : dimension));
      return [{ dataType: 'int64', shape }];
    },
    vjp: 'zero',
  };
}
const ArgMax = extremePlace('ArgMax');
const ArgMin = extremePlace('ArgMin');

const TopK: Operator = {
  name: 'TopK',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'TopK', 0);
    const k = required(inputs[1], 'TopK', 1);
    const count = constantIntegers(k)?.[0];
    if (count === undefined) {
      throw new ShapeError('TopK: k must be known when the graph is built, got a computed value.');
    }
    const axis = normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'TopK');
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
  /** Back at the places that the second output names. */
  vjp({ inputs, outputs, attributes, outputGradients }) {
    const x = inputs[0] as Value;
    const axis = normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'TopK');
    const none = zeros(x.dataType, staticShape(x, 'TopK'));
    return [scatterElements(none, outputs[1] as Value, outputGradients[0] as Value, { axis })];
  },
};

export const indexingOperators = { Gather, OneHot, ArgMax, ArgMin, TopK } satisfies Record<string, Operator>;
