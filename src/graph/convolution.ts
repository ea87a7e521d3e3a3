/**
 * Two-dimensional convolution and pooling over `[N, C, H, W]`.
 * The gradient of a convolution has several forms that compute the same thing at very different speeds; they are in
 * `convolution-gradients.ts`.
 */
import { GraphError, ShapeError } from '../util/index.js';
import { convolutionInputGradient, convolutionWeightGradient } from './convolution-gradients.js';
import { multiply } from './elementwise.js';
import {
  type Attributes,
  apply,
  constant,
  type Dimension,
  formatShape,
  type Operator,
  staticShape,
  type Value,
} from './ir.js';
import { matmul } from './linear-algebra.js';
import { expand, pad, reshape } from './movement.js';
import { reduceSum } from './reduction.js';
import { required, sameDataType } from './shapes.js';

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

/** Mean over windows of `size`×`size` at the same distance: `[N, C, H, W] → [N, C, H / size, W / size]`. */
export const averagePool = (x: Value, size: number): Value =>
  apply(AveragePool, [x], { kernel_shape: [size, size], strides: [size, size], pads: [0, 0, 0, 0] });

/** Mean over the whole picture: `[N, C, H, W] → [N, C, 1, 1]`. */
export const globalAveragePool = (x: Value): Value => apply(GlobalAveragePool, [x]);

/** Geometry of a window operator, read from a node's attributes. */
export interface WindowGeometry {
  readonly strides: readonly [number, number];
  /** top, left, bottom, right */
  readonly pads: readonly [number, number, number, number];
  readonly dilations: readonly [number, number];
  readonly group: number;
}

/** @throws GraphError for padding modes other than explicit. */
export function windowGeometry(attributes: Attributes, name: string): WindowGeometry {
  const mode = attributes.auto_pad ?? 'NOTSET';
  if (mode !== 'NOTSET') throw new GraphError(`${name}: auto_pad must be NOTSET, got ${mode}.`);
  const pair = (value: unknown, fallback: number): [number, number] =>
    Array.isArray(value) ? [Number(value[0]), Number(value[1])] : [fallback, fallback];
  const pads = (attributes.pads as readonly number[] | undefined) ?? [0, 0, 0, 0];
  return {
    strides: pair(attributes.strides, 1),
    dilations: pair(attributes.dilations, 1),
    pads: [pads[0] ?? 0, pads[1] ?? 0, pads[2] ?? 0, pads[3] ?? 0],
    group: Number(attributes.group ?? 1),
  };
}

// --- operators ---

function windowedSize(
  size: Dimension,
  kernel: number,
  axis: 0 | 1,
  { strides, pads, dilations }: WindowGeometry,
  name: string,
): number {
  if (typeof size !== 'number')
    throw new ShapeError(`${name}: height and width must be known, got '${size}'.`);
  const reach = dilations[axis] * (kernel - 1) + 1;
  const result = Math.floor((size + pads[axis] + (pads[axis + 2] as number) - reach) / strides[axis]) + 1;
  if (result < 1)
    throw new ShapeError(`${name}: the window must fit the picture, got ${reach} over ${size}.`);
  return result;
}

function requirePicture(value: Value | undefined, name: string): Value {
  const x = required(value, name, 0);
  if (x.rank !== 4)
    throw new ShapeError(`${name}: input must have shape [N, C, H, W], got ${formatShape(x.shape)}.`);
  return x;
}

function requireBias(bias: Value | undefined, channels: number, name: string): void {
  if (bias !== undefined && formatShape(bias.shape) !== formatShape([channels])) {
    throw new ShapeError(`${name}: the bias must have shape [${channels}], got ${formatShape(bias.shape)}.`);
  }
}

const Conv: Operator = {
  name: 'Conv',
  infer(inputs, attributes) {
    const x = requirePicture(inputs[0], 'Conv');
    const weight = required(inputs[1], 'Conv', 1);
    const geometry = windowGeometry(attributes, 'Conv');
    const [outChannels, channels, height, width] = staticShape(weight, 'Conv') as [
      number,
      number,
      number,
      number,
    ];
    if (weight.rank !== 4 || x.shape[1] !== channels * geometry.group || outChannels % geometry.group !== 0) {
      throw new ShapeError(
        `Conv: weights must have shape [O, C / group, Kh, Kw] for input ${formatShape(x.shape)} and group ${geometry.group}, got ${formatShape(weight.shape)}.`,
      );
    }
    requireBias(inputs[2], outChannels, 'Conv');
    return [
      {
        dataType: sameDataType(inputs, 'Conv'),
        shape: [
          x.shape[0] as Dimension,
          outChannels,
          windowedSize(x.shape[2] as Dimension, height, 0, geometry, 'Conv'),
          windowedSize(x.shape[3] as Dimension, width, 1, geometry, 'Conv'),
        ],
      },
    ];
  },
  vjp({ inputs, attributes, outputGradients, isNeeded }) {
    const [x, weight] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const geometry = windowGeometry(attributes, 'Conv');
    return [
      isNeeded[0] ? convolutionInputGradient(g, weight, staticShape(x, 'Conv'), geometry) : undefined,
      isNeeded[1] ? convolutionWeightGradient(g, x, staticShape(weight, 'Conv'), geometry) : undefined,
      isNeeded[2] ? reduceSum(g, [0, 2, 3]) : undefined,
    ];
  },
};

/** The transpose of `Conv`: `[N, O, H', W']` by weights `[O, C / group, Kh, Kw]` → `[N, C, H, W]`. */
const ConvTranspose: Operator = {
  name: 'ConvTranspose',
  infer(inputs, attributes) {
    const x = requirePicture(inputs[0], 'ConvTranspose');
    const weight = required(inputs[1], 'ConvTranspose', 1);
    const { strides, pads, dilations, group } = windowGeometry(attributes, 'ConvTranspose');
    const [inChannels, channels, ...kernel] = staticShape(weight, 'ConvTranspose') as [
      number,
      number,
      number,
      number,
    ];
    if (x.shape[1] !== inChannels) {
      throw new ShapeError(
        `ConvTranspose: weights must have shape [${x.shape[1]}, C / group, Kh, Kw], got ${formatShape(weight.shape)}.`,
      );
    }
    if (attributes.output_shape !== undefined) {
      throw new ShapeError('ConvTranspose: output_shape must be absent. Give pads and output_padding.');
    }
    requireBias(inputs[2], channels * group, 'ConvTranspose');
    const extra = (attributes.output_padding as readonly number[] | undefined) ?? [0, 0];
    const size = (axis: 0 | 1) =>
      ((staticShape(x, 'ConvTranspose')[axis + 2] as number) - 1) * strides[axis] +
      dilations[axis] * ((kernel[axis] as number) - 1) +
      1 +
      (extra[axis] as number) -
      pads[axis] -
      (pads[axis + 2] as number);
    return [
      {
        dataType: sameDataType(inputs, 'ConvTranspose'),
        shape: [x.shape[0] as Dimension, channels * group, size(0), size(1)],
      },
    ];
  },
  vjp({ inputs, attributes, outputGradients, isNeeded }) {
    const [x, weight] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    const geometry = windowGeometry(attributes, 'ConvTranspose');
    const { strides, pads, dilations, group } = geometry;
    return [
      isNeeded[0] ? apply(Conv, [g, weight], { strides, pads, dilations, group }) : undefined,
      // A transposed convolution is a convolution with input and gradient in each other's place.
      isNeeded[1]
        ? convolutionWeightGradient(x, g, staticShape(weight, 'ConvTranspose'), geometry)
        : undefined,
      isNeeded[2] ? reduceSum(g, [0, 2, 3]) : undefined,
    ];
  },
};

const AveragePool: Operator = {
  name: 'AveragePool',
  infer(inputs, attributes) {
    const x = requirePicture(inputs[0], 'AveragePool');
    const geometry = windowGeometry(attributes, 'AveragePool');
    const kernel = attributes.kernel_shape;
    if (!Array.isArray(kernel) || kernel.length !== 2) {
      throw new ShapeError(`AveragePool: kernel_shape must have 2 sizes, got ${kernel}.`);
    }
    if (attributes.ceil_mode === 1) {
      throw new ShapeError('AveragePool: ceil_mode must be 0, got 1. Pad the picture instead.');
    }
    return [
      {
        dataType: x.dataType,
        shape: [
          x.shape[0] as Dimension,
          x.shape[1] as Dimension,
          windowedSize(x.shape[2] as Dimension, kernel[0] as number, 0, geometry, 'AveragePool'),
          windowedSize(x.shape[3] as Dimension, kernel[1] as number, 1, geometry, 'AveragePool'),
        ],
      },
    ];
  },
  /** Without overlap or padding each element of a window gets an equal share. */
  vjp({ inputs, attributes, outputGradients }) {
    const x = inputs[0] as Value;
    const [batch, channels, height, width] = staticShape(x, 'AveragePool') as [
      number,
      number,
      number,
      number,
    ];
    const { strides, pads } = windowGeometry(attributes, 'AveragePool');
    const [kernelHeight, kernelWidth] = attributes.kernel_shape as readonly [number, number];
    if (strides[0] !== kernelHeight || strides[1] !== kernelWidth || pads.some((count) => count !== 0)) {
      throw new GraphError(
        `AveragePool: the gradient needs windows that neither overlap nor pad, got size ${kernelHeight}x${kernelWidth}, strides ${strides.join('x')}, pads ${pads.join(', ')}.`,
      );
    }
    const g = outputGradients[0] as Value;
    const [, , rows, columns] = staticShape(g, 'AveragePool') as [number, number, number, number];
    // Each row of windows times a 0-1 matrix gives all the rows of pixels under it: one product, which onnxruntime does
    // several times faster than a broadcast over six axes.
    const coveredWidth = columns * kernelWidth;
    const spreading = new Float32Array(columns * kernelHeight * coveredWidth);
    for (let column = 0; column < columns; column++) {
      for (let a = 0; a < kernelHeight; a++) {
        const start = (column * kernelHeight + a) * coveredWidth + column * kernelWidth;
        spreading.fill(1 / (kernelHeight * kernelWidth), start, start + kernelWidth);
      }
    }
    const rowsOfWindows = reshape(g, [batch * channels * rows, columns]);
    const spread = reshape(
      matmul(rowsOfWindows, constant(spreading, [columns, kernelHeight * coveredWidth])),
      [batch, channels, rows * kernelHeight, coveredWidth],
    );
    return [pad(spread, [0, 0, 0, 0], [0, 0, height - rows * kernelHeight, width - coveredWidth])];
  },
};

const GlobalAveragePool: Operator = {
  name: 'GlobalAveragePool',
  infer(inputs) {
    const x = requirePicture(inputs[0], 'GlobalAveragePool');
    return [{ dataType: x.dataType, shape: [x.shape[0] as Dimension, x.shape[1] as Dimension, 1, 1] }];
  },
  vjp({ inputs, outputGradients }) {
    const x = inputs[0] as Value;
    const [batch, channels, height, width] = staticShape(x, 'GlobalAveragePool') as [
      number,
      number,
      number,
      number,
    ];
    const share = multiply(outputGradients[0] as Value, constant(1 / (height * width), []));
    return [expand(share, [batch, channels, height, width])];
  },
};

export const convolutionOperators = {
  Conv,
  ConvTranspose,
  AveragePool,
  GlobalAveragePool,
} satisfies Record<string, Operator>;
