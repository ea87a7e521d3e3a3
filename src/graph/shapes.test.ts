/** Shape errors are found when the graph is built, and say what is wrong. Shapes that fit are in test/gradients. */
import { describe, expect, it } from 'vitest';
import { ShapeError } from '../util/index.js';
import {
  add,
  apply,
  applyAll,
  argMax,
  batchNormalization,
  cast,
  concat,
  constant,
  convolution,
  expand,
  gather,
  groupNormalization,
  input,
  int64,
  layerNormalization,
  matmul,
  maximum,
  oneHot,
  operators,
  pad,
  reduceSum,
  reshape,
  type Shape,
  slice,
  softmax,
  split,
  topK,
  transpose,
  where,
} from './index.js';
import { broadcastShapes, normalizeAxis } from './shapes.js';

const value = (...shape: Shape) => input('x', 'float32', shape);
const integers = (...shape: Shape) => input('i', 'int64', shape);

const REFUSED: readonly (readonly [string, () => unknown, RegExp])[] = [
  [
    'sizes that do not broadcast',
    () => add(value(2, 3), value(4)),
    /Add: shapes must broadcast, got \[2, 3\] and \[4\]/,
  ],
  [
    'a named size with a number',
    () => add(value('N', 3), value(4, 3)),
    /must broadcast, got \[N, 3\] and \[4, 3\]/,
  ],
  ['two names', () => add(value('N'), value('M')), /must broadcast/],
  ['mixed data types', () => add(value(2), integers(2)), /one data type, got float32 and int64/],
  [
    'a sum of three',
    () => apply(operators.Add, [value(2), value(2), value(2)]),
    /Add: there must be at most 2 inputs, got 3/,
  ],
  ['a missing input', () => apply(operators.Add, [value(2)]), /Add: input 1 is required/],
  [
    'a condition that is no bool',
    () => where(value(2), value(2), value(2)),
    /condition must be bool, got float32 \[2\]/,
  ],
  ['an unknown type to cast to', () => apply(operators.Cast, [value(2)], { to: 99 }), /got number 99/],
  ['an axis outside', () => reduceSum(value(2, 3), [2]), /axis must be in \[-2, 2\), got 2/],
  ['an axis that is no integer', () => softmax(value(2, 3), 0.5), /got 0.5/],
  ['computed axes', () => apply(operators.ReduceSum, [value(2), integers(1)]), /axes must be known/],
  [
    'a reshape that loses elements',
    () => reshape(value(2, 3), [4]),
    /elements must stay, got \[2, 3\] to \[4\]/,
  ],
  ['a reshape with a remainder', () => reshape(value(2, 3), [4, -1]), /elements must stay/],
  [
    'a reshape that mixes a named size',
    () => reshape(value('N', 3), [6]),
    /elements must stay, got \[N, 3\]/,
  ],
  ['a kept size that is not there', () => reshape(value(6), [2, 3, 0]), /a 0 keeps the size at its place/],
  [
    'an order that repeats',
    () => transpose(value(2, 3), [0, 0]),
    /name each axis of \[2, 3\] once, got \[0, 0\]/,
  ],
  ['an expansion to another size', () => expand(value(2), [3]), /Expand: shapes must broadcast/],
  [
    'parts that differ',
    () => concat([value(2, 3), value(2, 4)], 0),
    /agree outside axis 0, got \[2, 3\] and \[2, 4\]/,
  ],
  ['a slice by 0', () => slice(value(4), [{ axis: 0, step: 0 }]), /steps must not be 0/],
  [
    'a slice of an unknown size',
    () => slice(value('N'), [{ axis: 0, end: 2, step: 2 }]),
    /axis 0 must be known where steps are not 1, got 'N'/,
  ],
  [
    'bounds of different lengths',
    () => apply(operators.Slice, [value(4), int64([0, 0]), int64([1])]),
    /one length, got 2, 1/,
  ],
  [
    'a pad that takes too much',
    () => pad(value(3), [-2], [-2]),
    /must not lose more than its size 3, got -4/,
  ],
  ['pads of another rank', () => pad(value(3, 3), [1], [1]), /must have 4 numbers for 2 axes, got 2/],
  [
    'pads that wrap around',
    () => apply(operators.Pad, [value(3), int64([1, 1])], { mode: 'wrap' }),
    /mode must be 'constant', 'reflect' or 'edge', got 'wrap'/,
  ],
  [
    'a reflection of more than there is',
    () => apply(operators.Pad, [value(3), int64([3, 0])], { mode: 'reflect' }),
    /must add at most 2 along axis 0 of size 3, got 3/,
  ],
  [
    'a reflection that cuts',
    () => apply(operators.Pad, [value(3), int64([1, -1])], { mode: 'reflect' }),
    /must not take elements away, got -1/,
  ],
  ['parts that do not add up', () => split(value(4), [1, 2], 0), /add up to 4, got \[1, 2\]/],
  ['a negative part', () => split(value(4), [5, -1], 0), /0 or more/],
  [
    'a split into a number of parts too many',
    () => applyAll(operators.Split, [value(4)], { num_outputs: 1e9 }),
    /num_outputs in \[1, 4\]/,
  ],
  [
    'inner sizes that differ',
    () => matmul(value(2, 3), value(4, 5)),
    /inner dimensions must agree, got \[2, 3\] and \[4, 5\]/,
  ],
  ['a product with a scalar', () => matmul(value(2, 3), value()), /MatMul/],
  [
    'batches that do not broadcast',
    () => matmul(value(2, 1, 3), value(3, 3, 1)),
    /MatMul: shapes must broadcast/,
  ],
  ['a Gemm of vectors', () => apply(operators.Gemm, [value(2), value(2)]), /must be matrices/],
  [
    'a Gemm bias that does not fit',
    () => apply(operators.Gemm, [value(2, 3), value(3, 4), value(3, 1, 1)]),
    /third input must broadcast to \[2, 4\]|must broadcast/,
  ],
  [
    'indices that are no integers',
    () => gather(value(2, 3), value(2)),
    /indices must be int64 or int32, got float32/,
  ],
  ['a scalar to one-hot', () => oneHot(integers(), 3), /indices must have an axis, got a scalar/],
  ['more than there are', () => topK(value(3), 4), /k must be in \[0, 3\].*got 4/],
  ['the largest along an axis outside', () => argMax(value(3), 1), /ArgMax: the axis/],
  [
    'no picture',
    () => convolution(value(3, 4), value(2, 3, 1, 1)),
    /must have shape \[N, C, …\] with 1 to 3 spatial axes, got \[3, 4\]/,
  ],
  [
    'other channels',
    () => convolution(value(1, 4, 5, 5), value(2, 3, 1, 1)),
    /Conv: weights must have shape/,
  ],
  [
    'a group that does not divide',
    () => convolution(value(1, 4, 5, 5), value(3, 2, 1, 1), undefined, { group: 2 }),
    /group 2/,
  ],
  [
    'a bias of another length',
    () => convolution(value(1, 3, 5, 5), value(2, 3, 1, 1), value(3)),
    /bias must have shape \[2\], got \[3\]/,
  ],
  [
    'a window larger than the picture',
    () => convolution(value(1, 3, 2, 5), value(2, 3, 3, 3)),
    /window must fit the picture, got 3 over 2/,
  ],
  [
    'a dilated mean',
    () => apply(operators.AveragePool, [value(1, 1, 5, 5)], { kernel_shape: [2, 2], dilations: [2, 1] }),
    /AveragePool: dilations must be 1, got \[2,1\]/,
  ],
  [
    'indices column by column',
    () => apply(operators.MaxPool, [value(1, 1, 5, 5)], { kernel_shape: [2, 2], storage_order: 1 }),
    /MaxPool: storage_order must be 0/,
  ],
  [
    'pads of another rank',
    () => apply(operators.Conv, [value(1, 3, 5, 5), value(2, 3, 3, 3)], { pads: [1, 1] }),
    /Conv: pads must have 4 numbers, got \[1,1\]/,
  ],
  [
    'a kernel that the weights do not have',
    () => apply(operators.Conv, [value(1, 3, 5, 5), value(2, 3, 3, 3)], { kernel_shape: [5, 5] }),
    /Conv: kernel_shape must be that of the weights \[3,3\], got \[5,5\]/,
  ],
  [
    'weights of another rank',
    () => apply(operators.Conv, [value(1, 3, 5), value(2, 3, 3, 3)]),
    /Conv: weights must have rank 3/,
  ],
  [
    'a padding mode that is not one',
    () => apply(operators.Conv, [value(1, 3, 5, 5), value(2, 3, 3, 3)], { auto_pad: 'SAME' }),
    /auto_pad must be NOTSET, VALID, SAME_UPPER or SAME_LOWER, got 'SAME'/,
  ],
  [
    'a transposed convolution cannot give so much',
    () => apply(operators.ConvTranspose, [value(1, 2, 3, 3), value(2, 1, 3, 3)], { output_shape: [9, 5] }),
    /ConvTranspose: the output must be at most 5 along spatial axis 0, got 9/,
  ],
  ['a pool without a size', () => apply(operators.AveragePool, [value(1, 1, 5, 5)]), /kernel_shape/],
  [
    'parameters of other channels',
    () => batchNormalization(value(2, 3), value(3), value(3), value(2), value(3)),
    /input 3 must have shape \[3\], got \[2\]/,
  ],
  [
    'running statistics inside the operator',
    () =>
      applyAll(operators.BatchNormalization, [value(2, 3), value(3), value(3), value(3), value(3)], {
        training_mode: 1,
      }),
    /momentum must be 0, got 0.9/,
  ],
  [
    'a scale that does not fit',
    () => layerNormalization(value(2, 3), value(2)),
    /LayerNormalization: input 1 must have shape \[3\], got \[2\]/,
  ],
  [
    'groups that do not divide',
    () => groupNormalization(value(1, 4, 2, 2), value(4), value(4), 3),
    /groups must divide the 4 channels, got 3/,
  ],
  [
    'elements that are not as many as the shape says',
    () => constant([1, 2, 3], [2, 2]),
    /must have 4 elements for shape \[2, 2\], got 3/,
  ],
];

describe('shapes that do not fit', () => {
  it.each(REFUSED)('%s', (_, build, message) => {
    expect(build).toThrow(ShapeError);
    expect(build).toThrow(message);
  });
});

describe('named sizes', () => {
  it.each([
    ['add', () => add(value('N', 3), value(3)), ['N', 3]],
    ['add to itself', () => add(value('N', 3), value('N', 1)), ['N', 3]],
    ['maximum with a scalar', () => maximum(value('N'), constant(0)), ['N']],
    ['reduce', () => reduceSum(value('N', 3), [0]), [3]],
    ['keep in a reshape', () => reshape(value('N', 2, 3), [0, -1]), ['N', 6]],
    ['flatten into a reshape', () => reshape(value('N', 2, 3), [-1, 3]), ['2*N', 3]],
    ['pass a reshape as the rest', () => reshape(value('N', 6), [-1, 6]), ['N', 6]],
    ['transpose', () => transpose(value('N', 'M')), ['M', 'N']],
    ['join', () => concat([value('N', 3), value('N', 4)], 1), ['N', 7]],
    ['join along the named axis', () => concat([value('N', 3), value(4, 3)], 0), ['N+4', 3]],
    ['multiply', () => matmul(value('N', 3), value(3, 4)), ['N', 4]],
    [
      'convolve',
      () => convolution(value('N', 3, 8, 8), value(4, 3, 3, 3), undefined, { stride: 2 }),
      ['N', 4, 3, 3],
    ],
    ['gather', () => gather(value(5, 2), integers('N')), ['N', 2]],
    ['one-hot', () => oneHot(integers('N'), 4), ['N', 4]],
    ['largest few', () => topK(value('N', 5), 2).values, ['N', 2]],
    ['cast', () => cast(value('N'), 'int64'), ['N']],
  ] as const)('%s', (_, build, shape) => {
    expect(build().shape).toEqual(shape);
  });
});

it('broadcastShapes takes the size that is not 1, even 0', () => {
  expect(broadcastShapes([], [], 'test')).toEqual([]);
  expect(broadcastShapes([1], [0], 'test')).toEqual([0]);
  expect(broadcastShapes([0, 3], [3], 'test')).toEqual([0, 3]);
  expect(broadcastShapes([4, 1], [2, 1, 3], 'test')).toEqual([2, 4, 3]);
  expect(() => broadcastShapes([0], [2], 'test')).toThrow(ShapeError);
});

it('normalizeAxis counts from the end', () => {
  expect(normalizeAxis(-1, 3, 'test')).toBe(2);
  expect(normalizeAxis(0, 3, 'test')).toBe(0);
  for (const axis of [3, -4, 1.5, Number.NaN]) {
    expect(() => normalizeAxis(axis, 3, 'test')).toThrow(ShapeError);
  }
});
