/**
 * Pooling over the spatial axes of `[N, C, …]`.
 *
 * The gradient of a maximum goes to the first element of its window that attains it, row by row, as in PyTorch. Average
 * pooling is linear and separable, so its gradient is a product with a constant matrix an axis.
 */
import { ShapeError } from '../util/index.js';
import { hardSigmoid } from './activation.js';
import { axisMatrix, productAlongAxis, transposedMatrix } from './axis-product.js';
import { add, equal, masked, multiply, scale, subtract } from './elementwise.js';
import { argMax, gather } from './indexing.js';
import {
  type Attributes,
  apply,
  constant,
  type Dimension,
  int64,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { matmul } from './linear-algebra.js';
import { expand, pad, reshape, reshapeExactly } from './movement.js';
import { scatterElements } from './scatter.js';
import {
  type AxisWindow,
  axisWindows,
  explicitAttributes,
  lowerAutomaticPadding,
  reachOf,
  requireSpatial,
} from './windows.js';

/** Mean over windows of `size`×`size` at the same distance: `[N, C, H, W] → [N, C, H / size, W / size]`. */
export const averagePool = (x: Value, size: number): Value =>
  apply(AveragePool, [x], { kernel_shape: [size, size], strides: [size, size], pads: [0, 0, 0, 0] });

/** Mean over the whole picture: `[N, C, H, W] → [N, C, 1, 1]`. */
export const globalAveragePool = (x: Value): Value => apply(GlobalAveragePool, [x]);

/** Ways to compute the gradient of max pooling; each is exact where it may be used. */
export type MaxPoolGradientForm = 'unpool' | 'shifts' | 'scatter';

/** Whether a form may be used: `unpool` where windows do not overlap, `shifts` where they move by one element. */
export function isMaxPoolGradientFor(form: MaxPoolGradientForm, windows: readonly AxisWindow[]): boolean {
  if (form === 'unpool') return windows.every((window) => window.stride >= reachOf(window));
  return form === 'scatter' || windows.every(({ stride }) => stride === 1);
}

/**
 * Gradient of max pooling by its input.
 * @param g gradient of the output [N, C, …]
 * @param x input [N, C, …]
 * @param outputs the pooling's maxima and their flat indices into x, both of g's shape
 * @param windows along each spatial axis
 * @param form which way; default: the fastest that may be used.
 * @returns of x's shape
 */
export function maxPoolGradient(
  g: Value,
  x: Value,
  outputs: readonly Value[],
  windows: readonly AxisWindow[],
  form: MaxPoolGradientForm = MAX_POOL_FORMS.find((known) => isMaxPoolGradientFor(known, windows)) ??
    'scatter',
): Value {
  const [maxima, indices] = outputs as readonly [Value, Value];
  return MAX_POOL_GRADIENTS[form](g, x, maxima, indices, windows);
}

// --- max pooling ---

type Inputs = readonly (Value | undefined)[];

function poolingWindows(name: string): (inputs: Inputs, attributes: Attributes) => readonly AxisWindow[] {
  return (inputs, attributes) => {
    const x = requireSpatial(inputs[0], name);
    const spatial = x.shape.slice(2);
    const kernel = attributes.kernel_shape;
    if (!Array.isArray(kernel) || kernel.length !== spatial.length) {
      throw new ShapeError(`${name}: kernel_shape must have ${spatial.length} sizes, got [${kernel}].`);
    }
    return axisWindows(attributes, name, spatial, kernel as readonly number[]);
  };
}

const pooledShape = (x: Value, windows: readonly AxisWindow[]): Dimension[] => [
  ...x.shape.slice(0, 2),
  ...windows.map(({ count }) => count),
];

const maxPoolWindows = poolingWindows('MaxPool');

/** Second output: for each maximum its index in the flattened input. */
const MaxPool: Operator = {
  name: 'MaxPool',
  optionalOutputs: true,
  infer(inputs, attributes) {
    const windows = maxPoolWindows(inputs, attributes);
    const x = inputs[0] as Value;
    if ((attributes.storage_order ?? 0) !== 0) {
      throw new ShapeError(`MaxPool: storage_order must be 0 (row by row), got ${attributes.storage_order}.`);
    }
    const shape = pooledShape(x, windows);
    return [
      { dataType: x.dataType, shape },
      { dataType: 'int64', shape },
    ];
  },
  vjp({ inputs, outputs, attributes, outputGradients }) {
    const g = outputGradients[0];
    if (g === undefined) return [];
    return [maxPoolGradient(g, inputs[0] as Value, outputs, maxPoolWindows(inputs, attributes))];
  },
  lower: lowerAutomaticPadding(maxPoolWindows),
};

/** `unpool` is several times faster than `shifts`, and that than `scatter`, which one thread runs. */
const MAX_POOL_FORMS: readonly MaxPoolGradientForm[] = ['unpool', 'shifts', 'scatter'];

type MaxPoolGradient = (
  g: Value,
  x: Value,
  maxima: Value,
  indices: Value,
  windows: readonly AxisWindow[],
) => Value;

const MAX_POOL_GRADIENTS: Readonly<Record<MaxPoolGradientForm, MaxPoolGradient>> = {
  /** No element is the maximum of two windows: each gradient is put in its place. */
  unpool(g, x, _maxima, indices, windows) {
    const ones = windows.map(() => 1);
    return apply(MaxUnpool, [g, indices, int64(staticShape(x, 'MaxPool'))], {
      kernel_shape: ones,
      strides: ones,
    });
  },

  scatter(g, x, _maxima, indices) {
    const shape = staticShape(x, 'MaxPool');
    const zeros = expand(constant(0, [1], { dataType: x.dataType }), [sizeOf(shape)]);
    const flat = (value: Value) => reshapeExactly(value, [sizeOf(staticShape(value, 'MaxPool'))]);
    const sum = scatterElements(zeros, flat(indices), flat(g), { reduction: 'add' });
    return reshapeExactly(sum, shape);
  },

  /**
   * Pooling one axis after another, the last first, so that among equal maxima the first row and then the first column
   * is found; then axis by axis back. Each offset of the window is a shift, which takes what it attains of the gradient
   * that earlier offsets left. Uses only operators that run with all threads, and the pooling without indices.
   */
  shifts(g, x, maxima, _indices, windows) {
    const stages: { axis: number; window: AxisWindow; input: Value }[] = [];
    let pooled = x;
    for (let axis = windows.length - 1; axis >= 0; axis--) {
      const window = windows[axis] as AxisWindow;
      if (window.kernel === 1 && window.before === 0 && window.after === 0) continue;
      stages.push({ axis: axis + 2, window, input: pooled });
      const alone = windows.map((other, i) => (i === axis ? other : single(other, i < axis)));
      pooled = apply(MaxPool, [pooled], {
        kernel_shape: alone.map(({ kernel }) => kernel),
        ...explicitAttributes(alone),
      });
    }
    let gradient = g;
    let output = maxima;
    for (const { axis, window, input } of stages.reverse()) {
      gradient = shiftedMaximumGradient(gradient, input, output, axis, window);
      output = input;
    }
    return gradient;
  },
};

/** A window of one element: over the input's axis where it has not been pooled yet, else over the output's. */
const single = ({ size, count }: AxisWindow, isBefore: boolean): AxisWindow => ({
  size: isBefore ? size : count,
  kernel: 1,
  stride: 1,
  dilation: 1,
  before: 0,
  after: 0,
  count: isBefore ? size : count,
});

const LOWEST = -3.4028234663852886e38;
/** So steep that differences of normal numbers give 0, and none gives 1. `HardSigmoid` runs with all threads. */
const isEqual = (a: Value, b: Value): Value => hardSigmoid(subtract(a, b), -1e38, 1);

function shiftedMaximumGradient(
  g: Value,
  input: Value,
  output: Value,
  axis: number,
  { size, kernel, dilation, before, count }: AxisWindow,
): Value {
  const along = (amount: number) => input.shape.map((_, i) => (i === axis ? amount : 0));
  let rest = g;
  let total: Value | undefined;
  for (let offset = 0; offset < kernel; offset++) {
    const lead = before - offset * dilation;
    let taken = rest; // what no earlier offset attains, the last does
    if (offset < kernel - 1) {
      const shifted = pad(input, along(lead), along(count - size - lead), LOWEST);
      taken = multiply(rest, isEqual(output, shifted));
      rest = subtract(rest, taken);
    }
    const placed = pad(taken, along(-lead), along(size - count + lead));
    total = total === undefined ? placed : add(total, placed);
  }
  return total as Value;
}

/** Puts each element of the first input at its flat index in zeros of the shape that the third input says. */
const MaxUnpool: Operator = {
  name: 'MaxUnpool',
  infer(inputs) {
    const shape =
      inputs[2]?.origin.kind === 'constant' ? Array.from(inputs[2].origin.data, Number) : undefined;
    if (shape === undefined) throw new ShapeError('MaxUnpool: the output shape must be constant, got none.');
    return [{ dataType: (inputs[0] as Value).dataType, shape }];
  },
  vjp: ({ inputs, outputGradients }) => [takeFlat(outputGradients[0] as Value, inputs[1] as Value)],
};

/** The elements of a tensor at flat indices. */
const takeFlat = (x: Value, indices: Value): Value =>
  gather(reshapeExactly(x, [sizeOf(staticShape(x, 'MaxPool'))]), indices, 0);

// --- average pooling ---

const averagePoolWindows = poolingWindows('AveragePool');

const AveragePool: Operator = {
  name: 'AveragePool',
  infer(inputs, attributes) {
    const windows = averagePoolWindows(inputs, attributes);
    if (windows.some(({ dilation }) => dilation !== 1)) {
      throw new ShapeError(
        `AveragePool: dilations must be 1, got [${attributes.dilations}]. Write it as a depthwise convolution.`,
      );
    }
    const x = inputs[0] as Value;
    return [{ dataType: x.dataType, shape: pooledShape(x, windows) }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const g = outputGradients[0] as Value;
    const windows = averagePoolWindows(inputs, attributes);
    const isTiling = windows.every(
      ({ kernel, stride, before, size, count }) =>
        stride === kernel && before === 0 && count * kernel <= size,
    );
    if (isTiling && windows.length === 2) return [spread(g, windows)];
    const includesPadding = attributes.count_include_pad === 1;
    return [
      windows.reduceRight(
        (gradient, window, axis) =>
          productAlongAxis(gradient, transposedMatrix(meanMatrix(window, includesPadding)), axis + 2),
        g,
      ),
    ];
  },
  lower: lowerAutomaticPadding(averagePoolWindows),
};

/** The share that each element has in each window's mean: [count, size]. */
function meanMatrix(
  { size, kernel, stride, before, after, count }: AxisWindow,
  includesPadding: boolean,
): ReturnType<typeof axisMatrix> {
  return axisMatrix(count, size, (row, column) => {
    const start = row * stride - before;
    const end = Math.min(start + kernel, size + after);
    if (column < start || column >= end) return 0;
    return 1 / (includesPadding ? end - start : Math.min(end, size) - Math.max(start, 0));
  });
}

/**
 * Without overlap or padding each element of a window gets an equal share. Each row of windows times a 0-1 matrix gives
 * all the rows of pixels under it: one product, which onnxruntime does several times faster than a broadcast over six
 * axes.
 */
function spread(g: Value, [vertical, horizontal]: readonly AxisWindow[]): Value {
  const [batch, channels, rows, columns] = staticShape(g, 'AveragePool') as [number, number, number, number];
  const { kernel: kernelHeight, size: height } = vertical as AxisWindow;
  const { kernel: kernelWidth, size: width } = horizontal as AxisWindow;
  const coveredWidth = columns * kernelWidth;
  const spreading = new Float32Array(columns * kernelHeight * coveredWidth);
  for (let column = 0; column < columns; column++) {
    for (let a = 0; a < kernelHeight; a++) {
      const start = (column * kernelHeight + a) * coveredWidth + column * kernelWidth;
      spreading.fill(1 / (kernelHeight * kernelWidth), start, start + kernelWidth);
    }
  }
  const rowsOfWindows = reshape(g, [batch * channels * rows, columns]);
  const pixels = reshape(matmul(rowsOfWindows, constant(spreading, [columns, kernelHeight * coveredWidth])), [
    batch,
    channels,
    rows * kernelHeight,
    coveredWidth,
  ]);
  return pad(pixels, [0, 0, 0, 0], [0, 0, height - rows * kernelHeight, width - coveredWidth]);
}

// --- global pooling ---

function globalShape(value: Value | undefined, name: string): Dimension[] {
  const x = requireSpatial(value, name);
  return x.shape.map((dimension, axis) => (axis < 2 ? dimension : 1));
}

const GlobalAveragePool: Operator = {
  name: 'GlobalAveragePool',
  infer([x]) {
    return [{ dataType: (x as Value).dataType, shape: globalShape(x, 'GlobalAveragePool') }];
  },
  vjp({ inputs, outputGradients }) {
    const shape = staticShape(inputs[0] as Value, 'GlobalAveragePool');
    return [expand(scale(outputGradients[0] as Value, 1 / sizeOf(shape.slice(2))), shape)];
  },
};

/** Among equal maxima the first gets the gradient. */
const GlobalMaxPool: Operator = {
  name: 'GlobalMaxPool',
  infer([x]) {
    return [{ dataType: (x as Value).dataType, shape: globalShape(x, 'GlobalMaxPool') }];
  },
  vjp({ inputs, outputGradients }) {
    const x = inputs[0] as Value;
    const shape = staticShape(x, 'GlobalMaxPool');
    const lead = shape.slice(0, 2);
    const count = sizeOf(shape.slice(2));
    const first = reshapeExactly(argMax(reshapeExactly(x, [...lead, count]), 2), [...lead, 1]);
    const places = int64(Array.from({ length: count }, (_, place) => place));
    const g = reshapeExactly(outputGradients[0] as Value, [...lead, 1]);
    return [reshapeExactly(masked(equal(first, places), g), shape)];
  },
};

export const poolingOperators = {
  MaxPool,
  AveragePool,
  GlobalAveragePool,
  GlobalMaxPool,
} satisfies Record<string, Operator>;
