/**
 * Geometry of operators that move a window over spatial axes (convolution, pooling), read from a node's attributes.
 * Inputs are `[N, C, …]` with one, two or three spatial axes. Automatic padding and `ceil_mode` are resolved here, so
 * that everything else sees explicit sizes.
 */
import { ShapeError } from '../util/index.js';
import { type Attributes, apply, type Dimension, formatShape, type Node, type Value } from './ir.js';
import { required } from './shapes.js';

/** A window operator along one spatial axis. All sizes are in elements. */
export interface AxisWindow {
  /** Size of the input. */
  readonly size: number;
  readonly kernel: number;
  readonly stride: number;
  readonly dilation: number;
  /** Padding before the first element and after the last. */
  readonly before: number;
  readonly after: number;
  /** Number of windows: the size of the output. */
  readonly count: number;
}

/** Geometry of a two-dimensional window operator. */
export interface WindowGeometry {
  readonly strides: readonly [number, number];
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

/** From the first to behind the last element under a window, holes of dilation included. */
export const reachOf = ({ kernel, dilation }: Pick<AxisWindow, 'kernel' | 'dilation'>): number =>
  dilation * (kernel - 1) + 1;

/**
 * The windows along each spatial axis.
 * @param spatial sizes of the input's spatial axes
 * @param kernel size of the window along each
 * @throws ShapeError when an attribute has the wrong number of elements, a window does not fit, or a size is unknown.
 */
export function axisWindows(
  attributes: Attributes,
  name: string,
  spatial: readonly Dimension[],
  kernel: readonly number[],
): AxisWindow[] {
  const rank = spatial.length;
  const strides = perAxis(attributes, 'strides', rank, 1, name);
  const dilations = perAxis(attributes, 'dilations', rank, 1, name);
  const pads = listOf(attributes, 'pads', 2 * rank, 0, name);
  const mode = attributes.auto_pad ?? 'NOTSET';
  if (!['NOTSET', 'VALID', 'SAME_UPPER', 'SAME_LOWER'].includes(String(mode))) {
    throw new ShapeError(`${name}: auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got '${mode}'.`);
  }
  return spatial.map((size, axis) => {
    if (typeof size !== 'number') {
      throw new ShapeError(
        `${name}: spatial sizes must be known, got '${size}'. Read the model with a number in its place.`,
      );
    }
    const window = {
      size,
      kernel: kernel[axis] as number,
      stride: strides[axis] as number,
      dilation: dilations[axis] as number,
    };
    const reach = reachOf(window);
    if (mode === 'SAME_UPPER' || mode === 'SAME_LOWER') {
      const count = Math.ceil(size / window.stride);
      const total = Math.max(0, (count - 1) * window.stride + reach - size);
      const before = mode === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
      return { ...window, before, after: total - before, count };
    }
    const before = mode === 'VALID' ? 0 : (pads[axis] as number);
    const after = mode === 'VALID' ? 0 : (pads[axis + rank] as number);
    const steps = (size + before + after - reach) / window.stride;
    let count = Math.floor(steps) + 1;
    if (attributes.ceil_mode === 1) {
      count = Math.ceil(steps) + 1;
      // The last window must start on the picture or its padding in front.
      if ((count - 1) * window.stride >= size + before) count--;
    }
    if (steps < 0 || count < 1) {
      throw new ShapeError(
        `${name}: the window must fit the picture, got ${reach} over ${size + before + after}.`,
      );
    }
    return { ...window, before, after, count };
  });
}

/** Two-dimensional geometry. One spatial axis is seen as the columns of a picture of one row. */
export function windowGeometry(windows: readonly AxisWindow[], group: number, name: string): WindowGeometry {
  if (windows.length > 2) {
    throw new ShapeError(
      `${name}: a gradient is built for one or two spatial axes, got ${windows.length}. Freeze what is before it.`,
    );
  }
  const [rows, columns] = (windows.length === 1 ? [UNIT, ...windows] : windows) as [AxisWindow, AxisWindow];
  return {
    strides: [rows.stride, columns.stride],
    pads: [rows.before, columns.before, rows.after, columns.after],
    dilations: [rows.dilation, columns.dilation],
    group,
  };
}

/** The explicit attributes of windows: `strides`, `pads` and, where not all are 1, `dilations`. */
export const explicitAttributes = (windows: readonly AxisWindow[]): Attributes => ({
  strides: windows.map(({ stride }) => stride),
  ...(windows.some(({ dilation }) => dilation !== 1)
    ? { dilations: windows.map(({ dilation }) => dilation) }
    : {}),
  pads: [...windows.map(({ before }) => before), ...windows.map(({ after }) => after)],
});

/**
 * A `lower` rule that writes automatic padding as explicit padding, where runtimes differ from each other, and leaves
 * out dilations of 1, which `AveragePool` must not have before opset 19.
 */
export function lowerAutomaticPadding(
  windowsOf: (inputs: readonly (Value | undefined)[], attributes: Attributes) => readonly AxisWindow[],
): (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined {
  return ({ operator, attributes, outputs }, inputs) => {
    const isPlain = operator.name !== 'AveragePool' || attributes.dilations === undefined;
    if (isPlain && (attributes.auto_pad ?? 'NOTSET') === 'NOTSET') return undefined;
    const { auto_pad: mode, ceil_mode: ceilMode, dilations: _, ...rest } = attributes;
    const replaced = apply(operator, inputs, {
      ...rest,
      // "Same" padding says the number of windows by itself.
      ...(ceilMode === 1 && !String(mode).startsWith('SAME') ? { ceil_mode: 1 } : {}),
      ...explicitAttributes(windowsOf(inputs, attributes)),
    });
    const { origin } = replaced;
    return outputs.length === 1 || origin.kind !== 'node' ? [replaced] : origin.node.outputs;
  };
}

/** The first input, which must be `[N, C, …]` with a spatial axis. */
export function requireSpatial(value: Value | undefined, name: string): Value {
  const x = required(value, name, 0);
  if (x.rank < 3 || x.rank > 5) {
    throw new ShapeError(
      `${name}: input must have shape [N, C, …] with 1 to 3 spatial axes, got ${formatShape(x.shape)}.`,
    );
  }
  return x;
}

/** A list of one number a spatial axis. @throws ShapeError when it has another length. */
export const perAxis = (
  attributes: Attributes,
  attribute: string,
  rank: number,
  fallback: number,
  name: string,
): readonly number[] => listOf(attributes, attribute, rank, fallback, name);

// --- internal ---

const UNIT: AxisWindow = { size: 1, kernel: 1, stride: 1, dilation: 1, before: 0, after: 0, count: 1 };

function listOf(
  attributes: Attributes,
  attribute: string,
  length: number,
  fallback: number,
  name: string,
): readonly number[] {
  const given = attributes[attribute];
  if (given === undefined) return Array.from({ length }, () => fallback);
  if (!Array.isArray(given) || given.length !== length) {
    throw new ShapeError(`${name}: ${attribute} must have ${length} numbers, got [${given}].`);
  }
  return given as readonly number[];
}
