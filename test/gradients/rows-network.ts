/** Rows of the gradient table: convolution and normalisation. */
import * as graph from '../../src/graph/index.js';
import { type Attributes, apply, operators } from '../../src/graph/index.js';
import {
  array,
  at,
  convolution,
  convolutionGradients,
  elementwise,
  make,
  mean,
  type NdArray,
  reduce,
  resolveWindows,
  variance,
  type Windows,
} from './reference.js';
import { float, given, type InputSpec, type Row } from './row.js';

/** Name, input, weights, windows. Odd sizes so that the last window does not always reach the end. */
export const CONVOLUTIONS: readonly (readonly [string, readonly number[], readonly number[], Windows])[] = [
  ['3x3', [2, 5, 7, 6], [4, 5, 3, 3], { padding: 1 }],
  ['3x3 without padding', [2, 5, 5, 7], [4, 5, 3, 3], {}],
  ['3x3 padded by 2', [1, 5, 4, 5], [3, 5, 3, 3], { padding: 2 }],
  ['3x3 stride 2, reaches the end', [2, 5, 7, 9], [4, 5, 3, 3], { stride: 2, padding: 1 }],
  ['3x3 stride 2, does not', [2, 5, 8, 6], [4, 5, 3, 3], { stride: 2, padding: 1 }],
  ['3x3 stride 2 without padding, does not', [2, 5, 8, 10], [4, 5, 3, 3], { stride: 2 }],
  ['3x3 stride 3', [1, 5, 10, 8], [2, 5, 3, 3], { stride: 3, padding: 1 }],
  ['1x1', [2, 6, 5, 4], [3, 6, 1, 1], {}],
  ['1x1 stride 2', [2, 6, 5, 6], [3, 6, 1, 1], { stride: 2 }],
  ['1x1 padded', [1, 6, 3, 4], [3, 6, 1, 1], { padding: 1 }],
  ['5x5', [1, 5, 6, 7], [3, 5, 5, 5], { padding: 2 }],
  ['5x5 stride 2', [1, 5, 9, 8], [3, 5, 5, 5], { stride: 2, padding: 2 }],
  ['patches of 4', [2, 3, 8, 12], [6, 3, 4, 4], { stride: 4 }],
  ['patches of 4, pixels left over', [2, 3, 9, 11], [6, 3, 4, 4], { stride: 4 }],
  ['patches of 4 of many channels, pixels left over', [1, 6, 10, 9], [3, 6, 4, 4], { stride: 4 }],
  ['three channels', [2, 3, 7, 6], [4, 3, 3, 3], { padding: 1 }],
  ['three channels, stride 2, reaches the end', [2, 3, 7, 7], [4, 3, 3, 3], { stride: 2, padding: 1 }],
  ['three channels, stride 2, does not', [2, 3, 8, 8], [4, 3, 3, 3], { stride: 2, padding: 1 }],
  ['three channels, stride 2 without padding, does not', [2, 3, 8, 6], [4, 3, 3, 3], { stride: 2 }],
  ['one channel, stride 3 and 2 pixels left over', [2, 1, 8, 11], [2, 1, 3, 3], { stride: 3 }],
  ['dilated', [1, 5, 9, 8], [3, 5, 3, 3], { dilation: 2, padding: 2 }],
  ['dilated, strided, three channels', [1, 3, 10, 9], [3, 3, 3, 3], { dilation: 2, stride: 2, padding: 1 }],
  ['two groups', [2, 6, 5, 6], [4, 3, 3, 3], { group: 2, padding: 1 }],
  ['two groups, stride 2', [2, 6, 6, 5], [4, 3, 3, 3], { group: 2, padding: 1, stride: 2 }],
  ['two groups of one input channel each', [1, 2, 5, 5], [6, 1, 3, 3], { group: 2, padding: 1 }],
  ['depthwise', [2, 4, 6, 5], [4, 1, 3, 3], { group: 4, padding: 1 }],
  ['depthwise, long lines', [2, 2, 4, 61], [2, 1, 3, 3], { group: 2, padding: 1 }],
  ['depthwise, long lines, stride 2', [1, 2, 5, 122], [2, 1, 3, 5], { group: 2, padding: 2, stride: 2 }],
  [
    'long lines of two groups, dilated',
    [1, 4, 5, 90],
    [2, 2, 2, 3],
    { group: 2, padding: [0, 1, 2, 0], dilation: [1, 2] },
  ],
  ['depthwise, stride 2', [2, 4, 6, 5], [4, 1, 3, 3], { group: 4, padding: 1, stride: 2 }],
  ['depthwise, two outputs a channel', [1, 3, 5, 4], [6, 1, 3, 3], { group: 3, padding: 1 }],
  ['a window as large as the picture', [2, 5, 3, 4], [2, 5, 3, 4], {}],
  ['one pixel', [2, 5, 1, 1], [3, 5, 3, 3], { padding: 1 }],
  ['no two sides padded alike', [2, 5, 6, 7], [3, 5, 3, 3], { padding: [0, 1, 2, 1] }],
  [
    'no two sides padded alike, strided',
    [2, 5, 6, 7],
    [3, 5, 3, 3],
    { padding: [0, 1, 2, 1], stride: [2, 1] },
  ],
  [
    'wide kernel, tall stride, dilated one way',
    [1, 5, 9, 8],
    [2, 5, 2, 3],
    { stride: [3, 1], dilation: [1, 2] },
  ],
  ['groups, no two sides padded alike', [1, 4, 6, 5], [4, 2, 3, 2], { padding: [2, 0, 1, 1], group: 2 }],
  ['wide enough for the turned form', [1, 5, 21, 20], [2, 5, 3, 3], { padding: 1 }],
  ['wide, two groups', [1, 4, 20, 21], [2, 2, 3, 3], { padding: 1, group: 2 }],
  ['wide, padded by more than the kernel less one', [1, 5, 20, 20], [2, 5, 1, 1], { padding: 1 }],
];

export const attributesOf = (windows: Windows): Attributes => ({ ...resolveWindows(windows) });

/** Padding that the operator works out: name, input, weights, what it comes to, attributes. */
const AUTOMATIC: readonly (readonly [string, readonly number[], readonly number[], Windows, Attributes])[] = [
  [
    'SAME_UPPER',
    [1, 2, 7, 6],
    [3, 2, 3, 2],
    { padding: [1, 0, 1, 1] },
    { auto_pad: 'SAME_UPPER', kernel_shape: [3, 2] },
  ],
  [
    'SAME_UPPER, stride 2',
    [1, 2, 6, 7],
    [3, 2, 3, 3],
    { stride: 2, padding: [0, 1, 1, 1] },
    { auto_pad: 'SAME_UPPER', strides: [2, 2] },
  ],
  [
    'SAME_LOWER, stride 2',
    [1, 2, 6, 7],
    [3, 2, 3, 3],
    { stride: 2, padding: [1, 1, 0, 1] },
    { auto_pad: 'SAME_LOWER', strides: [2, 2] },
  ],
  [
    'SAME_LOWER, dilated',
    [1, 2, 6, 7],
    [3, 2, 2, 2],
    { dilation: [3, 2], padding: [2, 1, 1, 1] },
    { auto_pad: 'SAME_LOWER', dilations: [3, 2] },
  ],
  [
    'VALID, whatever pads say',
    [1, 2, 6, 7],
    [3, 2, 3, 3],
    { stride: 2 },
    { auto_pad: 'VALID', strides: [2, 2] },
  ],
];

/** One spatial axis: as pictures of one row. */
const SEQUENCES: readonly (readonly [string, readonly number[], readonly number[], Windows, Attributes])[] = [
  ['sequence', [2, 3, 7], [4, 3, 3], { padding: [0, 1, 0, 1] }, { pads: [1, 1] }],
  [
    'sequence, stride 2, dilated, two groups',
    [2, 4, 11],
    [4, 2, 3],
    { stride: [1, 2], dilation: [1, 2], padding: [0, 1, 0, 2], group: 2 },
    { strides: [2], dilations: [2], pads: [1, 2], group: 2 },
  ],
  [
    'sequence, depthwise, SAME_UPPER',
    [2, 4, 6],
    [4, 1, 4],
    { padding: [0, 1, 0, 2], group: 4 },
    { auto_pad: 'SAME_UPPER', group: 4 },
  ],
];
const withRow = ({ shape, data }: NdArray): NdArray => ({
  shape: [...shape.slice(0, -1), 1, shape[shape.length - 1] as number],
  data,
});
const withoutRow = ({ shape, data }: NdArray): NdArray => ({ shape: shape.filter((_, i) => i !== 2), data });

/** The output of a transposed convolution is the gradient of a convolution by its input. */
function transposedConvolution(x: NdArray, weight: NdArray, windows: Windows, extra: number): NdArray {
  const { strides, pads, dilations, group } = resolveWindows(windows);
  const size = (axis: 0 | 1) =>
    ((x.shape[axis + 2] as number) - 1) * strides[axis] +
    dilations[axis] * ((weight.shape[axis + 2] as number) - 1) +
    1 +
    extra -
    pads[axis] -
    (pads[axis + 2] as number);
  const shape = [x.shape[0] as number, (weight.shape[1] as number) * group, size(0), size(1)];
  return convolutionGradients(
    make(shape, () => 0),
    weight,
    x,
    windows,
  ).input;
}

const TRANSPOSED: readonly (readonly [string, readonly number[], readonly number[], Windows, number])[] = [
  ['plain', [2, 3, 4, 5], [3, 2, 3, 3], {}, 0],
  ['padded', [1, 3, 4, 5], [3, 5, 3, 3], { padding: 1 }, 0],
  ['stride 2', [2, 3, 3, 4], [3, 5, 3, 3], { stride: 2, padding: 1 }, 0],
  ['stride 2, one more pixel', [2, 3, 3, 4], [3, 5, 3, 3], { stride: 2, padding: 1 }, 1],
  ['stride 2, one more pixel, three channels', [1, 4, 3, 4], [4, 3, 3, 3], { stride: 2, padding: 1 }, 1],
  ['two groups', [1, 4, 4, 3], [4, 3, 3, 3], { group: 2, padding: 1 }, 0],
  ['no two sides cut alike', [1, 3, 4, 5], [3, 5, 3, 2], { padding: [1, 0, 0, 1], stride: [2, 1] }, 0],
];

const axesButChannel = (rank: number) =>
  Array.from({ length: rank }, (_, axis) => axis).filter((axis) => axis !== 1);
const alongChannels = (x: NdArray, rank: number): NdArray => ({
  shape: Array.from({ length: rank }, (_, axis) => (axis === 1 ? x.data.length : 1)),
  data: x.data,
});

const standardize = (epsilon: number) =>
  elementwise(
    (x, average, spread, weight, bias) => ((x - average) / Math.sqrt(spread + epsilon)) * weight + bias,
  ) as (...arrays: NdArray[]) => NdArray;

function batchNormalized(x: NdArray, weight: NdArray, bias: NdArray, epsilon: number): NdArray {
  const rank = x.shape.length;
  const axes = axesButChannel(rank);
  return standardize(epsilon)(
    x,
    reduce(x, axes, true, mean),
    reduce(x, axes, true, variance),
    alongChannels(weight, rank),
    alongChannels(bias, rank),
  );
}

const NORMALIZED: readonly (readonly [string, readonly number[]])[] = [
  ['picture', [3, 4, 3, 2]],
  ['vectors', [6, 3]],
  ['one channel', [2, 1, 3, 3]],
  ['sequence', [3, 2, 4]],
];

const vector = (length: number, low = -1, high = 1): InputSpec => float([length], low, high);

function layerNormalized(x: NdArray, weight: NdArray, bias: NdArray, axis: number): NdArray {
  const axes = x.shape.flatMap((_, i) => (i >= axis ? [i] : []));
  return standardize(1e-5)(x, reduce(x, axes, true, mean), reduce(x, axes, true, variance), weight, bias);
}

function groupNormalized(x: NdArray, weight: NdArray, bias: NdArray, groups: number): NdArray {
  const [batch, channels, height, width] = x.shape as [number, number, number, number];
  const grouped = { shape: [batch, groups, channels / groups, height, width], data: x.data };
  const axes = [2, 3, 4];
  const normalized = elementwise((a, b, c) => (a - b) / Math.sqrt(c + 1e-5))(
    grouped,
    reduce(grouped, axes, true, mean),
    reduce(grouped, axes, true, variance),
  );
  return elementwise((a, b, c) => a * b + c)(
    { shape: x.shape, data: normalized.data },
    alongChannels(weight, 4),
    alongChannels(bias, 4),
  );
}

export const networkRows: readonly Row[] = [
  ...CONVOLUTIONS.map(
    ([name, inputShape, weightShape, windows]): Row => ({
      operator: 'Conv',
      name,
      inputs: [float(inputShape), float(weightShape)],
      build: (...values) => apply(operators.Conv, values, attributesOf(windows)),
      reference: (x, weight) => convolution(x, weight, undefined, windows),
    }),
  ),
  {
    operator: 'Conv',
    name: 'with a bias',
    inputs: [float([2, 5, 4, 4]), float([3, 5, 3, 3]), float([3])],
    build: (x, weight, bias) => graph.convolution(x, weight, bias, { padding: 1 }),
    reference: (x, weight, bias) => convolution(x, weight, bias, { padding: 1 }),
  },
  {
    operator: 'Conv',
    name: 'attributes left out',
    inputs: [float([1, 5, 4, 4]), float([2, 5, 2, 2])],
    build: (...values) => apply(operators.Conv, values),
    reference: (x, weight) => convolution(x, weight, undefined, {}),
  },
  ...AUTOMATIC.map(
    ([name, inputShape, weightShape, windows, attributes]): Row => ({
      operator: 'Conv',
      name,
      inputs: [float(inputShape), float(weightShape)],
      build: (...values) => apply(operators.Conv, values, attributes),
      reference: (x, weight) => convolution(x, weight, undefined, windows),
    }),
  ),
  ...SEQUENCES.map(
    ([name, inputShape, weightShape, windows, attributes]): Row => ({
      operator: 'Conv',
      name,
      inputs: [float(inputShape), float(weightShape), float([weightShape[0] as number])],
      build: (...values) => apply(operators.Conv, values, attributes),
      reference: (x, weight, bias) => withoutRow(convolution(withRow(x), withRow(weight), bias, windows)),
    }),
  ),
  {
    operator: 'Conv',
    name: 'volume: no gradient',
    inputs: [float([1, 2, 3, 4, 3]), float([2, 2, 1, 1, 1])],
    build: (...values) => apply(operators.Conv, values),
    reference: (x, weight) => {
      const flat = { shape: [1, 2, 12, 3], data: x.data };
      const y = convolution(flat, { shape: [2, 2, 1, 1], data: weight.data }, undefined, {});
      return { shape: [1, 2, 3, 4, 3], data: y.data };
    },
    gradient: 'none',
  },
  {
    operator: 'ConvTranspose',
    name: 'sequence, stride 2',
    inputs: [float([2, 3, 4]), float([3, 2, 3]), float([2])],
    build: (...values) => apply(operators.ConvTranspose, values, { strides: [2], pads: [1, 0] }),
    reference: (x, weight, bias) =>
      elementwise((a, b) => a + b)(
        withoutRow(
          transposedConvolution(withRow(x), withRow(weight), { stride: [1, 2], padding: [0, 1, 0, 0] }, 0),
        ),
        { shape: [2, 1], data: bias.data },
      ),
  },
  ...(
    [
      ['output_shape', { output_shape: [6, 8] }, [1, 1, 0, 0]],
      ['SAME_UPPER', { auto_pad: 'SAME_UPPER' }, [0, 0, 1, 1]],
      ['SAME_LOWER', { auto_pad: 'SAME_LOWER' }, [1, 1, 0, 0]],
      ['output_shape, SAME_UPPER', { auto_pad: 'SAME_UPPER', output_shape: [5, 8] }, [1, 0, 1, 1]],
      ['VALID', { auto_pad: 'VALID' }, [0, 0, 0, 0]],
    ] as const
  ).map(
    ([name, attributes, padding]): Row => ({
      operator: 'ConvTranspose',
      name,
      inputs: [float([1, 2, 3, 4]), float([2, 3, 3, 3])],
      build: (...values) => apply(operators.ConvTranspose, values, { ...attributes, strides: [2, 2] }),
      reference: (x, weight) => transposedConvolution(x, weight, { stride: 2, padding }, 0),
    }),
  ),
  ...TRANSPOSED.map(
    ([name, inputShape, weightShape, windows, extra]): Row => ({
      operator: 'ConvTranspose',
      name,
      inputs: [float(inputShape), float(weightShape)],
      build: (...values) =>
        apply(operators.ConvTranspose, values, { ...attributesOf(windows), output_padding: [extra, extra] }),
      reference: (x, weight) => transposedConvolution(x, weight, windows, extra),
    }),
  ),
  ...NORMALIZED.flatMap(([name, shape]): Row[] => {
    const channels = shape[1] as number;
    const parameters = [vector(channels, 0.5, 2), vector(channels)];
    return [
      {
        operator: 'BatchNormalization',
        name: `inference, ${name}`,
        inputs: [float(shape), ...parameters, vector(channels), vector(channels, 0.5, 2)],
        build: (...values) => apply(operators.BatchNormalization, values, { epsilon: 1e-3 }),
        reference: (x, weight, bias, average, spread) =>
          standardize(1e-3)(x, ...[average, spread, weight, bias].map((v) => alongChannels(v, shape.length))),
      },
      {
        operator: 'BatchNormalization',
        name: `training, ${name}`,
        inputs: [float(shape, -1, 2), ...parameters],
        build: (x, weight, bias) => graph.batchNormalizationTraining(x, weight, bias).y,
        reference: (x, weight, bias) => batchNormalized(x, weight, bias, 1e-5),
      },
    ];
  }),
  ...(['mean', 'variance'] as const).map(
    (statistic): Row => ({
      operator: 'BatchNormalization',
      name: `training, the batch's ${statistic}`,
      inputs: [float([3, 4, 3, 2], -1, 2), vector(4), vector(4)],
      build: (x, weight, bias) => graph.batchNormalizationTraining(x, weight, bias)[statistic],
      reference: (x) => reduce(x, [0, 2, 3], false, statistic === 'mean' ? mean : variance),
      gradient: 'none',
    }),
  ),
  {
    operator: 'BatchNormalization',
    name: 'training, a constant channel: no NaN',
    inputs: [given([2, 1, 2, 2], [3, 3, 3, 3, 3, 3, 3, 3]), vector(1), vector(1)],
    build: (x, weight, bias) => graph.batchNormalizationTraining(x, weight, bias).y,
    reference: (x, weight, bias) => batchNormalized(x, weight, bias, 1e-5),
    gradient: [Array.from({ length: 8 }, () => 0), [0], [8]],
    tolerance: 1e-3, // the slope is 300, so that x · slope and mean · slope cancel
  },
  {
    operator: 'BatchNormalization',
    name: 'training, mean ten times the deviation',
    inputs: [float([4, 2, 4, 4], 9, 11), vector(2, 0.5, 2), vector(2)],
    build: (x, weight, bias) => graph.batchNormalizationTraining(x, weight, bias).y,
    reference: (x, weight, bias) => batchNormalized(x, weight, bias, 1e-5),
    tolerance: 1e-4, // E[x²] − E[x]² cancels
  },
  ...(
    [
      ['vectors', [4, 6], 1],
      ['sequence', [2, 3, 5], 2],
      ['two axes', [2, 3, 5], 1],
      ['all axes', [3, 4], 0],
      ['one vector', [8], 0],
    ] as const
  ).flatMap(([name, shape, axis]): Row[] => {
    const normalized = shape.slice(axis);
    return [
      {
        operator: 'LayerNormalization',
        name,
        inputs: [float(shape, -1, 2), float(normalized, 0.5, 2), float(normalized)],
        build: (x, weight, bias) => graph.layerNormalization(x, weight, bias, axis),
        reference: (x, weight, bias) => layerNormalized(x, weight, bias, axis),
      },
      {
        operator: 'LayerNormalization',
        name: `${name}, no bias, negative axis`,
        inputs: [float(shape, -1, 2), float(normalized, 0.5, 2)],
        build: (x, weight) => graph.layerNormalization(x, weight, undefined, axis - shape.length),
        reference: (x, weight) => layerNormalized(x, weight, array([], [0]), axis),
      },
    ];
  }),
  {
    operator: 'LayerNormalization',
    name: 'far from zero, and constant',
    inputs: [given([2, 4], [1000, 1001, 1002, 1003, 7, 7, 7, 7]), vector(4), vector(4)],
    build: (x, weight, bias) => graph.layerNormalization(x, weight, bias),
    reference: (x, weight, bias) => layerNormalized(x, weight, bias, 1),
    tolerance: 1e-4,
  },
  ...[1, 2, 4].flatMap((groups) =>
    [4, groups].map(
      (count): Row => ({
        operator: 'GroupNormalization',
        name: `group normalisation in ${groups}, ${count} scales`,
        inputs: [float([2, 4, 3, 2], -1, 2), vector(count, 0.5, 2), vector(count)],
        build: (x, weight, bias) => graph.groupNormalization(x, weight, bias, groups),
        reference: (x, weight, bias) => {
          const perChannel = ({ data }: NdArray) =>
            make([4], ([c]) => data[Math.floor(((c as number) * count) / 4)] as number);
          return groupNormalized(x, perChannel(weight), perChannel(bias), groups);
        },
      }),
    ),
  ),
  {
    operator: 'GroupNormalization',
    name: 'sequence',
    inputs: [float([2, 4, 3], -1, 2), vector(4, 0.5, 2), vector(4)],
    build: (x, weight, bias) => graph.groupNormalization(x, weight, bias, 2),
    reference: (x, weight, bias) => withoutRow(groupNormalized(withRow(x), weight, bias, 2)),
  },
  ...[
    [2, 3, 4, 2],
    [1, 2, 5],
  ].map(
    (shape): Row => ({
      operator: 'InstanceNormalization',
      name: `[${shape}]`,
      inputs: [float(shape, -1, 2), vector(shape[1] as number, 0.5, 2), vector(shape[1] as number)],
      build: (x, weight, bias) => graph.instanceNormalization(x, weight, bias, 1e-3),
      reference: (x, weight, bias) => {
        const axes = shape.flatMap((_, axis) => (axis > 1 ? [axis] : []));
        return standardize(1e-3)(
          x,
          reduce(x, axes, true, mean),
          reduce(x, axes, true, variance),
          alongChannels(weight, shape.length),
          alongChannels(bias, shape.length),
        );
      },
    }),
  ),
  ...[1, 3, 5].map(
    (size): Row => ({
      operator: 'LRN',
      name: `over ${size}`,
      inputs: [float([2, 6, 3, 2], -2, 2)],
      build: (x) => apply(operators.LRN, [x], { size, alpha: 0.7, beta: 0.6, bias: 1.5 }),
      reference: (x) =>
        make(x.shape, ([n, c, ...place]) => {
          let squares = 0;
          for (let i = (1 - size) / 2; i <= (size - 1) / 2; i++) {
            const channel = (c as number) + i;
            if (channel >= 0 && channel < 6) squares += at(x, [n as number, channel, ...place]) ** 2;
          }
          return at(x, [n as number, c as number, ...place]) / (1.5 + (0.7 / size) * squares) ** 0.6;
        }),
    }),
  ),
];
