/**
 * Convolution and its transpose over `[N, C, …]`; one or two spatial axes where a gradient is asked for.
 * The gradient of a convolution has several forms that compute the same thing at very different speeds; they are in
 * `convolution-gradients.ts`.
 */
import { ShapeError } from '../util/index.js';
import { convolutionInputGradient, convolutionWeightGradient } from './convolution-gradients.js';
import {
  type Attributes,
  apply,
  type Dimension,
  formatShape,
  type Operator,
  staticShape,
  type Value,
} from './ir.js';
import { reshapeExactly } from './movement.js';
import { sumByChannel } from './reduction.js';
import { required, sameDataType } from './shapes.js';
import {
  type AxisWindow,
  axisWindows,
  explicitAttributes,
  lowerAutomaticPadding,
  perAxis,
  reachOf,
  requireSpatial,
  windowGeometry,
} from './windows.js';

export interface ConvolutionOptions {
  /** Distance of the windows, for both axes. Default 1. */
  readonly stride?: number;
  /** Zeros around the picture on each side. Default 0. */
  readonly padding?: number;
  /** Channel groups. Default 1. */
  readonly group?: number;
}

/**
 * Convolution: `[N, C, H, W]` by weights `[O, C / group, Kh, Kw]` and an optional bias `[O]` → `[N, O, H', W']`.
 */
export const convolution = (
  x: Value,
  weight: Value,
  bias?: Value,
  { stride = 1, padding = 0, group = 1 }: ConvolutionOptions = {},
): Value =>
  apply(Conv, bias === undefined ? [x, weight] : [x, weight, bias], {
    strides: [stride, stride],
    pads: [padding, padding, padding, padding],
    dilations: [1, 1],
    group,
  });

// --- operators ---

type Inputs = readonly (Value | undefined)[];

function requireBias(bias: Value | undefined, channels: number, name: string): void {
  if (bias !== undefined && formatShape(bias.shape) !== formatShape([channels])) {
    throw new ShapeError(`${name}: the bias must have shape [${channels}], got ${formatShape(bias.shape)}.`);
  }
}

/** The kernel's spatial sizes, which the weights say and `kernel_shape` may say again. */
function kernelOf(x: Value, weight: Value, attributes: Attributes, name: string): readonly number[] {
  const shape = staticShape(weight, name);
  if (shape.length !== x.rank) {
    throw new ShapeError(
      `${name}: weights must have rank ${x.rank} for input ${formatShape(x.shape)}, got ${formatShape(shape)}.`,
    );
  }
  const kernel = shape.slice(2);
  const stated = attributes.kernel_shape;
  if (stated !== undefined && String(stated) !== String(kernel)) {
    throw new ShapeError(`${name}: kernel_shape must be that of the weights [${kernel}], got [${stated}].`);
  }
  return kernel;
}

/** A rank-3 tensor as pictures of one row: `[A, B, L] → [A, B, 1, L]`; others stay. */
function asPicture(x: Value, name: string): Value {
  const shape = staticShape(x, name);
  if (shape.length !== 3) return x;
  return reshapeExactly(x, [shape[0] as number, shape[1] as number, 1, shape[2] as number]);
}

function convolutionWindows(inputs: Inputs, attributes: Attributes): readonly AxisWindow[] {
  const x = requireSpatial(inputs[0], 'Conv');
  const weight = required(inputs[1], 'Conv', 1);
  return axisWindows(attributes, 'Conv', x.shape.slice(2), kernelOf(x, weight, attributes, 'Conv'));
}

const Conv: Operator = {
  name: 'Conv',
  infer(inputs, attributes) {
    const windows = convolutionWindows(inputs, attributes);
    const [x, weight] = inputs as [Value, Value];
    const [outChannels, channels] = staticShape(weight, 'Conv') as [number, number];
    const group = Number(attributes.group ?? 1);
    if (x.shape[1] !== channels * group || outChannels % group !== 0) {
      throw new ShapeError(
        `Conv: weights must have shape [O, C / group, …] for input ${formatShape(x.shape)} and group ${group}, got ${formatShape(weight.shape)}.`,
      );
    }
    requireBias(inputs[2], outChannels, 'Conv');
    const counts = windows.map(({ count }) => count);
    return [
      { dataType: sameDataType(inputs, 'Conv'), shape: [x.shape[0] as Dimension, outChannels, ...counts] },
    ];
  },
  vjp({ inputs, attributes, outputGradients, isNeeded }) {
    const [x, weight] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const group = Number(attributes.group ?? 1);
    const geometry = windowGeometry(convolutionWindows(inputs, attributes), group, 'Conv');
    const [pictures, kernels, flatG] = [x, weight, g].map((value) => asPicture(value, 'Conv')) as [
      Value,
      Value,
      Value,
    ];
    const like = (gradient: Value, value: Value) =>
      value.rank === 3 ? reshapeExactly(gradient, staticShape(value, 'Conv')) : gradient;
    return [
      isNeeded[0]
        ? like(convolutionInputGradient(flatG, kernels, staticShape(pictures, 'Conv'), geometry), x)
        : undefined,
      isNeeded[1]
        ? like(convolutionWeightGradient(flatG, pictures, staticShape(kernels, 'Conv'), geometry), weight)
        : undefined,
      isNeeded[2] ? sumByChannel(g) : undefined,
    ];
  },
  lower: lowerAutomaticPadding(convolutionWindows),
};

/**
 * The windows of the convolution whose transpose a `ConvTranspose` is (so `size` is that of the output and `count` that
 * of the input), with `output_shape` and automatic padding resolved.
 */
function transposedWindows(inputs: Inputs, attributes: Attributes): readonly AxisWindow[] {
  const name = 'ConvTranspose';
  const x = requireSpatial(inputs[0], name);
  const kernel = kernelOf(x, required(inputs[1], name, 1), attributes, name);
  const rank = kernel.length;
  const list = (attribute: string, fallback: number) => perAxis(attributes, attribute, rank, fallback, name);
  const strides = list('strides', 1);
  const dilations = list('dilations', 1);
  const extra = list('output_padding', 0);
  const wanted = attributes.output_shape === undefined ? undefined : list('output_shape', 0);
  const pads = (attributes.pads as readonly number[] | undefined) ?? kernel.flatMap(() => [0, 0]);
  if (pads.length !== 2 * rank) {
    throw new ShapeError(`${name}: pads must have ${2 * rank} numbers, got [${pads}].`);
  }
  const mode = attributes.auto_pad ?? 'NOTSET';
  return kernel.map((size, axis) => {
    const count = x.shape[axis + 2] as Dimension;
    if (typeof count !== 'number') {
      throw new ShapeError(
        `${name}: spatial sizes must be known, got '${count}'. Read the model with a number in its place.`,
      );
    }
    const window = {
      kernel: size,
      stride: strides[axis] as number,
      dilation: dilations[axis] as number,
      count,
    };
    const full = (count - 1) * window.stride + reachOf(window) + (extra[axis] as number);
    const isSame = mode === 'SAME_UPPER' || mode === 'SAME_LOWER';
    const target = wanted?.[axis] ?? (isSame ? count * window.stride : undefined);
    if (target === undefined) {
      const isValid = mode === 'VALID';
      const before = isValid ? 0 : (pads[axis] as number);
      const after = isValid ? 0 : (pads[axis + rank] as number);
      return { ...window, before, after, size: full - before - after };
    }
    const total = full - target;
    if (total < 0) {
      throw new ShapeError(
        `${name}: the output must be at most ${full} along spatial axis ${axis}, got ${target}. Give output_padding.`,
      );
    }
    const before = mode === 'SAME_UPPER' ? Math.floor(total / 2) : Math.ceil(total / 2);
    return { ...window, before, after: total - before, size: target };
  });
}

/** The transpose of `Conv`: `[N, O, H', W']` by weights `[O, C / group, Kh, Kw]` → `[N, C, H, W]`. */
const ConvTranspose: Operator = {
  name: 'ConvTranspose',
  infer(inputs, attributes) {
    const windows = transposedWindows(inputs, attributes);
    const [x, weight] = inputs as [Value, Value];
    const [inChannels, channels] = staticShape(weight, 'ConvTranspose') as [number, number];
    const group = Number(attributes.group ?? 1);
    if (x.shape[1] !== inChannels || inChannels % group !== 0) {
      throw new ShapeError(
        `ConvTranspose: weights must have shape [${x.shape[1]}, C / group, …] for group ${group}, got ${formatShape(weight.shape)}.`,
      );
    }
    requireBias(inputs[2], channels * group, 'ConvTranspose');
    const sizes = windows.map(({ size }) => size);
    return [
      {
        dataType: sameDataType(inputs, 'ConvTranspose'),
        shape: [x.shape[0] as Dimension, channels * group, ...sizes],
      },
    ];
  },
  vjp({ inputs, attributes, outputGradients, isNeeded }) {
    const [x, weight] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const windows = transposedWindows(inputs, attributes);
    const group = Number(attributes.group ?? 1);
    const weightGradient = () => {
      const [pictures, kernels, flatG] = [x, weight, g].map((v) => asPicture(v, 'ConvTranspose')) as [
        Value,
        Value,
        Value,
      ];
      const gradient = convolutionWeightGradient(
        pictures,
        flatG,
        staticShape(kernels, 'ConvTranspose'),
        windowGeometry(windows, group, 'ConvTranspose'),
      );
      return weight.rank === 3 ? reshapeExactly(gradient, staticShape(weight, 'ConvTranspose')) : gradient;
    };
    return [
      isNeeded[0] ? apply(Conv, [g, weight], { ...explicitAttributes(windows), group }) : undefined,
      // A transposed convolution is a convolution with input and gradient in each other's place.
      isNeeded[1] ? weightGradient() : undefined,
      isNeeded[2] ? sumByChannel(g) : undefined,
    ];
  },
  lower({ operator, attributes }, inputs) {
    if ((attributes.auto_pad ?? 'NOTSET') === 'NOTSET' && attributes.output_shape === undefined)
      return undefined;
    const { auto_pad: _, output_shape: __, ...rest } = attributes;
    const windows = transposedWindows(inputs, attributes);
    return [apply(operator, inputs, { ...rest, ...explicitAttributes(windows) })];
  },
};

export const convolutionOperators = { Conv, ConvTranspose } satisfies Record<string, Operator>;
