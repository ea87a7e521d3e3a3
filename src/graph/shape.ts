/**
 * Operators on shapes themselves: they read a shape, add and remove axes of size 1, or fill a shape that is computed.
 * Exporters chain them; what is known of their results when the graph is built is followed (`knownContent`).
 */
import { ShapeError } from '../util/index.js';
import { multiplyDimensions, productOf, subtractDimensions } from './dimensions.js';
import {
  type Attributes,
  apply,
  constantIntegers,
  type Dimension,
  formatShape,
  int64,
  knownContent,
  type Node,
  type Operator,
  staticShape,
  type Value,
} from './ir.js';
import { knownMovement, knownUnchanged, placesOf } from './known.js';
import { expandTo, reshapeExactly } from './movement.js';
import { reduceSum } from './reduction.js';
import { normalizeAxis, required } from './shapes.js';

/** The shape of a value, or axes `start` to `end` of it, as int64 [rank]. */
export const shapeOf = (x: Value, start = 0, end = x.rank): Value => apply(Shape, [x], { start, end });
/** Removes axes of size 1. */
export const squeeze = (x: Value, axes: readonly number[]): Value => apply(Squeeze, [x, int64(axes)]);
/** Adds axes of size 1, counted in the result. */
export const unsqueeze = (x: Value, axes: readonly number[]): Value => apply(Unsqueeze, [x, int64(axes)]);
/** A matrix: axes before `axis` times the others. */
export const flatten = (x: Value, axis = 1): Value => apply(Flatten, [x], { axis });
/** `start, start + step, …` before `end`: scalars of one data type. */
export const range = (start: Value, end: Value, step: Value): Value => apply(Range, [start, end, step]);
/** Repeats the whole `repeats[i]` times along axis i. */
export const tile = (x: Value, repeats: readonly number[]): Value => apply(Tile, [x, int64(repeats)]);
/**
 * A tensor of that shape (int64 [rank], constant or computed), filled with the one element of `fill`: what ONNX's
 * `ConstantOfShape` says, whose fill is an attribute. A reader gives its `value` as a constant; absent, it is a float32 0.
 */
export const constantOfShape = (shape: Value, fill: Value): Value =>
  expandTo(fill.rank === 0 ? fill : reshapeExactly(fill, []), shape);
/** The elements of the last two axes on and above (or below) diagonal `k`, zeros elsewhere. */
export const triangle = (x: Value, { upper = true, k = 0 } = {}): Value =>
  apply(Trilu, [x, int64Scalar(k)], { upper: upper ? 1 : 0 });

// --- operators ---

const int64Scalar = (k: number): Value => reshapeExactly(int64([k]), []);

function shapeBounds(rank: number, attributes: Attributes): [number, number] {
  const clamp = (axis: number) => Math.min(Math.max(axis < 0 ? axis + rank : axis, 0), rank);
  const start = clamp(Number(attributes.start ?? 0));
  return [start, Math.max(start, clamp(Number(attributes.end ?? rank)))];
}

const Shape: Operator = {
  name: 'Shape',
  infer([input], attributes) {
    const x = required(input, 'Shape', 0);
    const [start, end] = shapeBounds(x.rank, attributes);
    return [{ dataType: 'int64', shape: [end - start] }];
  },
  vjp: 'zero',
  known({ inputs, attributes }) {
    const { shape, rank } = inputs[0] as Value;
    return shape.slice(...shapeBounds(rank, attributes));
  },
};

const Size: Operator = {
  name: 'Size',
  infer([x]) {
    required(x, 'Size', 0);
    return [{ dataType: 'int64', shape: [] }];
  },
  vjp: 'zero',
  known: ({ inputs }) => [productOf((inputs[0] as Value).shape)],
};

function axesInput(value: Value | undefined, rank: number, where: string): number[] {
  const axes = constantIntegers(value);
  if (axes === undefined) {
    throw new ShapeError(`${where}: axes must be known when the graph is built, got a computed value.`);
  }
  return axes.map((axis) => normalizeAxis(axis, rank, where));
}

/** Gives the gradient the input's shape back. */
const toInputShape: Operator['vjp'] = ({ node, inputs, outputGradients }) => [
  reshapeExactly(outputGradients[0] as Value, staticShape(inputs[0] as Value, node.operator.name)),
];

const Squeeze: Operator = {
  name: 'Squeeze',
  infer([input, axesValue]) {
    const x = required(input, 'Squeeze', 0);
    const axes =
      axesValue === undefined
        ? x.shape.flatMap((size, axis) => (size === 1 ? [axis] : []))
        : axesInput(axesValue, x.rank, 'Squeeze');
    const wrong = axes.find((axis) => typeof x.shape[axis] === 'number' && x.shape[axis] !== 1);
    if (wrong !== undefined) {
      throw new ShapeError(`Squeeze: axis ${wrong} must have size 1, got ${formatShape(x.shape)}.`);
    }
    return [{ dataType: x.dataType, shape: x.shape.filter((_, axis) => !axes.includes(axis)) }];
  },
  vjp: toInputShape,
  known: knownUnchanged,
};

const Unsqueeze: Operator = {
  name: 'Unsqueeze',
  infer([input, axesValue]) {
    const x = required(input, 'Unsqueeze', 0);
    const rank = x.rank + (axesValue?.shape[0] === undefined ? 0 : Number(axesValue.shape[0]));
    const axes = new Set(axesInput(axesValue, rank, 'Unsqueeze'));
    if (axes.size !== rank - x.rank) {
      throw new ShapeError(`Unsqueeze: axes must be different, got [${[...axes].join(', ')}] twice.`);
    }
    const kept = [...x.shape];
    const shape = Array.from({ length: rank }, (_, axis) =>
      axes.has(axis) ? 1 : (kept.shift() as Dimension),
    );
    return [{ dataType: x.dataType, shape }];
  },
  vjp: toInputShape,
  known: knownUnchanged,
};

const Flatten: Operator = {
  name: 'Flatten',
  infer([input], attributes) {
    const x = required(input, 'Flatten', 0);
    const given = Number(attributes.axis ?? 1);
    const axis = given === x.rank ? given : normalizeAxis(given, x.rank, 'Flatten');
    const shape = [productOf(x.shape.slice(0, axis)), productOf(x.shape.slice(axis))];
    return [{ dataType: x.dataType, shape }];
  },
  vjp: toInputShape,
  known: knownUnchanged,
};

const Range: Operator = {
  name: 'Range',
  infer(inputs) {
    const start = required(inputs[0], 'Range', 0);
    const [from, to, step] = inputs.map((value) => knownContent(value)?.[0]);
    if (from === undefined || to === undefined || typeof step !== 'number') {
      throw new ShapeError('Range: its bounds must be known when the graph is built, got computed values.');
    }
    let size: Dimension;
    if (typeof from === 'number' && typeof to === 'number') {
      size = Math.max(0, Math.ceil((to - from) / step));
    } else if (step === 1) size = subtractDimensions(to, from);
    else throw new ShapeError(`Range: the step of a range to ${to} must be 1, got ${step}.`);
    return [{ dataType: start.dataType, shape: [size] }];
  },
  vjp: 'none',
  known({ outputs }, [from, , step]) {
    const [start] = from ?? [];
    const [distance] = step ?? [];
    if (typeof start !== 'number' || typeof distance !== 'number') return undefined;
    return Array.from({ length: (outputs[0] as Value).shape[0] as number }, (_, i) => start + i * distance);
  },
};

const Tile: Operator = {
  name: 'Tile',
  infer([input, repeatsValue]) {
    const x = required(input, 'Tile', 0);
    const repeats = knownContent(repeatsValue);
    if (repeats?.length !== x.rank) {
      throw new ShapeError(
        `Tile: repeats must be known when the graph is built, one an axis of ${formatShape(x.shape)}, got ${repeats === undefined ? 'a computed value' : formatShape(repeats)}.`,
      );
    }
    const shape = x.shape.map((size, axis) => multiplyDimensions(size, repeats[axis] as Dimension));
    return [{ dataType: x.dataType, shape }];
  },
  /** Each axis as repeats times size, summed over the repeats. */
  vjp({ inputs, outputGradients }) {
    const [x, repeatsValue] = inputs as [Value, Value];
    const shape = staticShape(x, 'Tile');
    const repeats = constantIntegers(repeatsValue) as number[];
    const folded = shape.flatMap((size, axis) => [repeats[axis] as number, size]);
    const repeated = shape.map((_, axis) => 2 * axis).filter((axis) => folded[axis] !== 1);
    const parts = reshapeExactly(outputGradients[0] as Value, folded);
    return [reshapeExactly(reduceSum(parts, repeated), shape)];
  },
  known: knownMovement((index, { inputs }) =>
    index.map((i, axis) => i % Math.max(1, inputs[0]?.shape[axis] as number)),
  ),
};

/** The places of elements that are not 0, one a column: only of contents that are known when the graph is built. */
const NonZero: Operator = {
  name: 'NonZero',
  infer([input]) {
    const x = required(input, 'NonZero', 0);
    const count = constantIntegers(x)?.filter((element) => element !== 0).length;
    if (count === undefined) {
      throw new ShapeError(
        'NonZero: its input must be known when the graph is built, got a computed value: the shape of the result would depend on it.',
      );
    }
    return [{ dataType: 'int64', shape: [x.rank, count] }];
  },
  vjp: 'zero',
  known({ inputs }: Node, [content]) {
    const shape = (inputs[0] as Value).shape as readonly number[];
    const found = Array.from(placesOf(shape), (index) => [...index]).filter((_, i) => content?.[i] !== 0);
    return content && shape.flatMap((_, axis) => found.map((index) => index[axis] as number));
  },
};

const Trilu: Operator = {
  name: 'Trilu',
  infer([input]) {
    const x = required(input, 'Trilu', 0);
    if (x.rank < 2) throw new ShapeError(`Trilu: there must be two axes, got ${formatShape(x.shape)}.`);
    return [{ dataType: x.dataType, shape: x.shape }];
  },
  vjp: ({ inputs, attributes, outputGradients }) => [
    apply(Trilu, [outputGradients[0], inputs[1]], attributes),
  ],
};

export const shapeOperators = {
  Shape,
  Size,
  Squeeze,
  Unsqueeze,
  Flatten,
  Range,
  Tile,
  NonZero,
  Trilu,
} satisfies Record<string, Operator>;
