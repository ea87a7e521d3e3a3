/**
 * Operators that move elements without computing: reshape, transpose, expand, slice, pad, concatenate, split.
 * Their shapes, axes and bounds are inputs in ONNX; here they must be known when the graph is built (`knownContent`).
 */
import { ShapeError } from '../util/index.js';
import { addDimensions, divideDimensions, productOf, symbolicRange } from './dimensions.js';
import { add } from './elementwise.js';
import {
  apply,
  applyAll,
  constant,
  constantIntegers,
  type DataType,
  type Dimension,
  formatShape,
  int64,
  knownContent,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { knownMovement, knownUnchanged } from './known.js';
import { reduceSum } from './reduction.js';
import { broadcastShapes, normalizeAxis, required, sameDataType, sumTo } from './shapes.js';

/**
 * The same elements in another shape. One size may be −1 (whatever remains); 0 keeps the input's size at that place,
 * which is how a batch of unknown size is kept.
 */
export const reshape = (x: Value, shape: readonly number[]): Value => apply(Reshape, [x, int64(shape)]);

/** The same elements in exactly that shape, where 0 is a size like any other: what a gradient rule needs. */
export const reshapeExactly = (x: Value, shape: readonly number[]): Value =>
  shape.includes(0) ? apply(Reshape, [x, int64(shape)], { allowzero: 1 }) : reshape(x, shape);

/** Axes in another order: output axis i is input axis `order[i]`. Default: reversed. */
export const transpose = (x: Value, order?: readonly number[]): Value => {
  const permutation = order ?? x.shape.map((_, axis) => x.rank - 1 - axis);
  return permutation.every((axis, i) => axis === i) ? x : apply(Transpose, [x], { perm: permutation });
};

/** Repeats along axes of size 1 (and new leading axes) to the shape. */
export const expand = (x: Value, shape: readonly number[]): Value =>
  formatShape(x.shape) === formatShape(shape) ? x : apply(Expand, [x, int64(shape)]);

/** A tensor of zeros, which a file holds as one number. */
export const zeros = (dataType: DataType, shape: readonly number[]): Value =>
  expand(constant(0, [], { dataType }), shape);

/** Broadcasts to a shape that is a value: int64 [rank], known when the graph is built. */
export const expandTo = (x: Value, shape: Value): Value => apply(Expand, [x, shape]);

/** Joins along an axis. */
export const concat = (values: readonly Value[], axis: number): Value =>
  values.length === 1 ? (values[0] as Value) : apply(Concat, values, { axis });

export interface SliceRange {
  readonly axis: number;
  /** First index; negative counts from the end. Default 0. */
  readonly start?: number;
  /** Index after the last; negative counts from the end. Default: the end. */
  readonly end?: number;
  /** Distance of indices, positive. Default 1. */
  readonly step?: number;
}

/** A part along some axes. */
export const slice = (x: Value, ranges: readonly SliceRange[]): Value =>
  apply(Slice, [
    x,
    int64(ranges.map(({ start = 0 }) => start)),
    int64(ranges.map(({ end = Number.MAX_SAFE_INTEGER }) => end)),
    int64(ranges.map(({ axis }) => normalizeAxis(axis, x.rank, 'Slice'))),
    int64(ranges.map(({ step = 1 }) => step)),
  ]);

/** The elements along some axes in reverse order. */
export const reverse = (x: Value, axes: readonly number[]): Value =>
  apply(Slice, [
    x,
    int64(axes.map(() => -1)),
    int64(axes.map(() => -Number.MAX_SAFE_INTEGER)),
    int64(axes.map((axis) => normalizeAxis(axis, x.rank, 'Slice'))),
    int64(axes.map(() => -1)),
  ]);

/** Adds constant elements: `before[i]` and `after[i]` of them along axis i. */
export const pad = (x: Value, before: readonly number[], after: readonly number[], fill = 0): Value =>
  [...before, ...after].every((count) => count === 0)
    ? x
    : apply(Pad, [x, int64([...before, ...after]), constant(fill, [], { dataType: x.dataType })], {
        mode: 'constant',
      });

/** Cuts along an axis into parts of the given sizes. */
export const split = (x: Value, sizes: readonly number[], axis: number): readonly Value[] =>
  applyAll(Split, [x, int64(sizes)], { axis: normalizeAxis(axis, x.rank, 'Split') });

// --- operators ---

function constantInput(value: Value | undefined, name: string, what: string): number[] {
  const integers = constantIntegers(value);
  if (integers === undefined)
    throw new ShapeError(`${name}: ${what} must be known when the graph is built, got ${described(value)}.`);
  return integers;
}

/** The same, where names of sizes may be among the numbers. */
function knownInput(value: Value | undefined, name: string, what: string): readonly Dimension[] {
  const content = knownContent(value);
  if (content === undefined)
    throw new ShapeError(`${name}: ${what} must be known when the graph is built, got ${described(value)}.`);
  return content;
}

function described(value: Value | undefined): string {
  const content = knownContent(value);
  return content === undefined ? 'a computed value' : formatShape(content);
}

const Reshape: Operator = {
  name: 'Reshape',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Reshape', 0);
    const wanted = knownInput(inputs[1], 'Reshape', 'the shape');
    const shape: Dimension[] = wanted.map((size, axis) => {
      if (size !== 0 || attributes.allowzero === 1) return size;
      const kept = x.shape[axis];
      if (kept === undefined) {
        throw new ShapeError(
          `Reshape: a 0 keeps the size at its place, which ${formatShape(x.shape)} must have, got [${wanted.join(', ')}].`,
        );
      }
      return kept;
    });
    const fail = () =>
      new ShapeError(
        `Reshape: the number of elements must stay, got ${formatShape(x.shape)} to [${wanted.join(', ')}].`,
      );
    const size = productOf(x.shape);
    const hole = shape.indexOf(-1);
    if (hole >= 0) {
      const rest = productOf(shape.filter((_, axis) => axis !== hole));
      const remaining = rest === 0 ? 0 : divideDimensions(size, rest);
      if (remaining === undefined) throw fail();
      shape[hole] = remaining;
    } else if (productOf(shape) !== size) throw fail();
    return [{ dataType: x.dataType, shape }];
  },
  vjp({ inputs, outputGradients }) {
    return [reshapeExactly(outputGradients[0] as Value, staticShape(inputs[0] as Value, 'Reshape'))];
  },
  known: knownUnchanged,
};

const Transpose: Operator = {
  name: 'Transpose',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Transpose', 0);
    const order =
      (attributes.perm as readonly number[] | undefined) ?? x.shape.map((_, axis) => x.rank - 1 - axis);
    if ([...order].sort((a, b) => a - b).some((axis, i) => axis !== i) || order.length !== x.rank) {
      throw new ShapeError(
        `Transpose: the order must name each axis of ${formatShape(x.shape)} once, got [${order.join(', ')}].`,
      );
    }
    return [{ dataType: x.dataType, shape: order.map((axis) => x.shape[axis] as Dimension) }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const rank = (inputs[0] as Value).rank;
    const order =
      (attributes.perm as readonly number[] | undefined) ??
      Array.from({ length: rank }, (_, axis) => rank - 1 - axis);
    const inverse = order.map((_, axis) => order.indexOf(axis));
    return [transpose(outputGradients[0] as Value, inverse)];
  },
  known: knownMovement((index, { attributes }) => {
    const order = attributes.perm as readonly number[] | undefined;
    return index.map((_, axis) => index[order?.indexOf(axis) ?? index.length - 1 - axis] as number);
  }),
};

const Expand: Operator = {
  name: 'Expand',
  infer(inputs) {
    const x = required(inputs[0], 'Expand', 0);
    return [
      {
        dataType: x.dataType,
        shape: broadcastShapes(x.shape, knownInput(inputs[1], 'Expand', 'the shape'), 'Expand'),
      },
    ];
  },
  vjp({ inputs, outputGradients }) {
    return [sumTo(outputGradients[0] as Value, (inputs[0] as Value).shape)];
  },
  known: knownMovement((index, { inputs }) => {
    const { shape } = inputs[0] as Value;
    return shape.map((size, axis) =>
      size === 1 ? 0 : (index[index.length - shape.length + axis] as number),
    );
  }),
};

const Concat: Operator = {
  name: 'Concat',
  infer(inputs, attributes) {
    const first = required(inputs[0], 'Concat', 0);
    const axis = normalizeAxis(Number(attributes.axis), first.rank, 'Concat');
    const shape = [...first.shape];
    for (let i = 1; i < inputs.length; i++) {
      const value = required(inputs[i], 'Concat', i);
      const fits =
        value.rank === first.rank &&
        value.shape.every((size, other) => other === axis || size === first.shape[other]);
      if (!fits) {
        throw new ShapeError(
          `Concat: shapes must agree outside axis ${axis}, got ${formatShape(first.shape)} and ${formatShape(value.shape)}.`,
        );
      }
      shape[axis] = addDimensions(shape[axis] as Dimension, value.shape[axis] as Dimension);
    }
    return [{ dataType: sameDataType(inputs, 'Concat'), shape }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const values = inputs as readonly Value[];
    const axis = normalizeAxis(Number(attributes.axis), (values[0] as Value).rank, 'Concat');
    return split(
      outputGradients[0] as Value,
      values.map((value) => staticShape(value, 'Concat')[axis] as number),
      axis,
    );
  },
  known({ inputs, attributes }, contents) {
    if (contents.includes(undefined)) return undefined;
    const values = inputs as readonly Value[];
    const axis = normalizeAxis(Number(attributes.axis), (values[0] as Value).rank, 'Concat');
    const sizes = values.map(({ shape }) => sizeOf((shape as readonly number[]).slice(axis)));
    const rows = sizeOf(((values[0] as Value).shape as readonly number[]).slice(0, axis));
    return Array.from({ length: rows }, (_, row) =>
      contents.flatMap((content, i) => {
        const size = sizes[i] as number;
        return (content as readonly Dimension[]).slice(row * size, (row + 1) * size);
      }),
    ).flat();
  },
};

/** A slice's first index and number of elements along an axis, as ONNX clamps them. */
function resolveRange(
  size: number,
  start: number,
  end: number,
  step: number,
): { first: number; count: number } {
  const clamp = (index: number, low: number, high: number) => Math.min(Math.max(index, low), high);
  const fromFront = (index: number) => (index < 0 ? index + size : index);
  if (step > 0) {
    const first = clamp(fromFront(start), 0, size);
    const last = clamp(fromFront(end), 0, size);
    return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
  }
  const first = clamp(fromFront(start), 0, size - 1);
  const last = clamp(fromFront(end), -1, size - 1);
  return { first, count: Math.max(0, Math.ceil((last - first) / step)) };
}

interface ResolvedSlice {
  readonly axis: number;
  readonly size: Dimension;
  readonly first: number;
  readonly count: Dimension;
  readonly step: number;
}

function resolveSlice(inputs: readonly (Value | undefined)[]): ResolvedSlice[] {
  const x = required(inputs[0], 'Slice', 0);
  const starts = knownInput(inputs[1], 'Slice', 'starts');
  const ends = knownInput(inputs[2], 'Slice', 'ends');
  const axes = inputs[3] === undefined ? starts.map((_, i) => i) : constantInput(inputs[3], 'Slice', 'axes');
  const steps = inputs[4] === undefined ? starts.map(() => 1) : constantInput(inputs[4], 'Slice', 'steps');
  if (ends.length !== starts.length || axes.length !== starts.length || steps.length !== starts.length) {
    throw new ShapeError(
      `Slice: starts, ends, axes and steps must have one length, got ${starts.length}, ${ends.length}, ${axes.length} and ${steps.length}.`,
    );
  }
  if (steps.includes(0)) throw new ShapeError('Slice: steps must not be 0, got 0.');
  return axes.map((given, i) => {
    const axis = normalizeAxis(given, x.rank, 'Slice');
    const size = x.shape[axis] as Dimension;
    const start = starts[i] as Dimension;
    const end = ends[i] as Dimension;
    const step = steps[i] as number;
    if (typeof size === 'number' && typeof start === 'number' && typeof end === 'number') {
      return { axis, size, step, ...resolveRange(size, start, end, step) };
    }
    const count = symbolicRange(size, start, end, step);
    if (count === undefined) {
      throw new ShapeError(
        `Slice: the size along axis ${axis} must be known where steps are not 1, got '${size}'.`,
      );
    }
    return { axis, size, step, first: Number.NaN, count };
  });
}

const Slice: Operator = {
  name: 'Slice',
  infer(inputs) {
    const x = required(inputs[0], 'Slice', 0);
    const shape = [...x.shape];
    for (const { axis, count } of resolveSlice(inputs)) shape[axis] = count;
    return [{ dataType: x.dataType, shape }];
  },
  /** Puts the gradient back between zeros: for steps over one, each element first gets zeros behind it. */
  vjp({ inputs, outputGradients }) {
    const x = inputs[0] as Value;
    const shape = staticShape(x, 'Slice');
    const zeros = () => shape.map(() => 0);
    let gradient = outputGradients[0] as Value;
    for (const { axis, first, count: given, step } of resolveSlice(inputs)) {
      const size = shape[axis] as number;
      const count = given as number;
      if (count === 0) return [expand(constant(0, [], { dataType: x.dataType }), shape)];
      let lowest = first;
      if (step < 0) {
        gradient = reverse(gradient, [axis]);
        lowest = first + (count - 1) * step;
      }
      const stride = Math.abs(step);
      if (stride > 1) {
        const shape = staticShape(gradient, 'Slice');
        const withUnit = [...shape.slice(0, axis + 1), 1, ...shape.slice(axis + 1)];
        const after = withUnit.map((_, i) => (i === axis + 1 ? stride - 1 : 0));
        gradient = reshape(
          pad(
            reshape(gradient, withUnit),
            withUnit.map(() => 0),
            after,
          ),
          shape.map((length, i) => (i === axis ? length * stride : length)),
        );
      }
      const before = zeros();
      const after = zeros();
      before[axis] = lowest;
      after[axis] = size - lowest - (gradient.shape[axis] as number); // negative where the last zeros pass the end
      gradient = pad(gradient, before, after);
    }
    return [gradient];
  },
  known: knownMovement((index, { inputs }) => {
    const from = [...index];
    for (const { axis, first, step } of resolveSlice(inputs))
      from[axis] = first + (index[axis] as number) * step;
    return from;
  }),
};

/** Elements before and after each axis: with the input `axes` (opset 18), only those axes are told. */
function padsOf(inputs: readonly (Value | undefined)[], rank: number): { low: number[]; high: number[] } {
  const pads = constantInput(inputs[1], 'Pad', 'pads');
  const axes =
    inputs[3] === undefined
      ? Array.from({ length: rank }, (_, axis) => axis)
      : constantInput(inputs[3], 'Pad', 'axes').map((axis) => normalizeAxis(axis, rank, 'Pad'));
  if (pads.length !== 2 * axes.length) {
    throw new ShapeError(
      `Pad: pads must have ${2 * axes.length} numbers for ${axes.length} axes, got ${pads.length}.`,
    );
  }
  const low = Array.from({ length: rank }, () => 0);
  const high = [...low];
  axes.forEach((axis, i) => {
    low[axis] = pads[i] as number;
    high[axis] = pads[i + axes.length] as number;
  });
  return { low, high };
}

const Pad: Operator = {
  name: 'Pad',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Pad', 0);
    const mode = attributes.mode ?? 'constant';
    if (mode !== 'constant' && mode !== 'reflect' && mode !== 'edge') {
      throw new ShapeError(`Pad: the mode must be 'constant', 'reflect' or 'edge', got '${mode}'.`);
    }
    const { low, high } = padsOf(inputs, x.rank);
    const shape = x.shape.map((size, axis) => {
      const [before, after] = [low[axis] as number, high[axis] as number];
      const extra = before + after;
      if (before === 0 && after === 0) return size;
      if (typeof size !== 'number') {
        throw new ShapeError(`Pad: the size along axis ${axis} must be known, got '${size}'.`);
      }
      if (size + extra < 0) {
        throw new ShapeError(`Pad: axis ${axis} must not lose more than its size ${size}, got ${extra}.`);
      }
      if (mode !== 'constant' && Math.min(before, after) < 0) {
        throw new ShapeError(
          `Pad: mode '${mode}' must not take elements away, got ${Math.min(before, after)}.`,
        );
      }
      const most = mode === 'reflect' ? size - 1 : mode === 'edge' && size === 0 ? 0 : Infinity;
      if (Math.max(before, after) > most) {
        throw new ShapeError(
          `Pad: mode '${mode}' must add at most ${most} along axis ${axis} of size ${size}, got ${Math.max(before, after)}.`,
        );
      }
      return size + extra;
    });
    return [{ dataType: x.dataType, shape }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const x = inputs[0] as Value;
    const shape = staticShape(x, 'Pad');
    const { low, high } = padsOf(inputs, x.rank);
    let g = outputGradients[0] as Value;
    // Negative pads cut; the gradient of a cut is a pad.
    shape.forEach((size, axis) => {
      const [before, after] = [low[axis] as number, high[axis] as number];
      if (before === 0 && after === 0) return;
      const length = g.shape[axis] as number;
      const inner = slice(g, [{ axis, start: Math.max(before, 0), end: length - Math.max(after, 0) }]);
      const sum = [padAxis(inner, axis, Math.max(-before, 0), Math.max(-after, 0))];
      if (attributes.mode === 'reflect' || attributes.mode === 'edge') {
        const isEdge = attributes.mode === 'edge';
        const copied = (part: Value, first: number) => {
          const folded = isEdge ? reduceSum(part, [axis], { keepDimensions: true }) : reverse(part, [axis]);
          return padAxis(folded, axis, first, size - first - (folded.shape[axis] as number));
        };
        if (before > 0) sum.push(copied(slice(g, [{ axis, end: before }]), isEdge ? 0 : 1));
        if (after > 0) {
          sum.push(copied(slice(g, [{ axis, start: length - after }]), isEdge ? size - 1 : size - 1 - after));
        }
      }
      g = sum.reduce(add);
    });
    return [g];
  },
};

const padAxis = (x: Value, axis: number, before: number, after: number): Value =>
  pad(
    x,
    x.shape.map((_, i) => (i === axis ? before : 0)),
    x.shape.map((_, i) => (i === axis ? after : 0)),
  );

const Split: Operator = {
  name: 'Split',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Split', 0);
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Split');
    const size = x.shape[axis];
    if (typeof size !== 'number') {
      throw new ShapeError(`Split: the size along axis ${axis} must be known, got '${size}'.`);
    }
    const count = Number(attributes.num_outputs ?? 0);
    if (inputs[1] === undefined && !(count >= 1 && count <= size)) {
      throw new ShapeError(`Split: sizes, or num_outputs in [1, ${size}], must be given, got ${count}.`);
    }
    const sizes =
      inputs[1] === undefined
        ? Array.from({ length: count }, (_, i) => {
            const chunk = Math.ceil(size / count);
            return Math.min(chunk, size - i * chunk);
          })
        : constantInput(inputs[1], 'Split', 'sizes');
    if (sizes.some((part) => part < 0) || sizes.reduce((sum, part) => sum + part, 0) !== size) {
      throw new ShapeError(
        `Split: sizes must be 0 or more and add up to ${size}, got [${sizes.join(', ')}].`,
      );
    }
    return sizes.map((part) => ({
      dataType: x.dataType,
      shape: x.shape.map((dimension, i) => (i === axis ? part : dimension)),
    }));
  },
  vjp({ inputs, outputs, attributes, outputGradients }) {
    const x = inputs[0] as Value;
    const axis = normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'Split');
    const parts = outputs.map(
      (output, i) =>
        outputGradients[i] ??
        expand(constant(0, [], { dataType: output.dataType }), staticShape(output, 'Split')),
    );
    return [concat(parts, axis)];
  },
};

export const movementOperators = {
  Reshape,
  Transpose,
  Expand,
  Concat,
  Slice,
  Pad,
  Split,
} satisfies Record<string, Operator>;
