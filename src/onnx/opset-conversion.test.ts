/** Every form that changed between opsets 7 and 21, against onnxruntime running the original file. */
import { describe, expect, it } from 'vitest';
import {
  attribute,
  expectSameResults,
  type Fields,
  floats,
  int64s,
  modelBytes,
  node,
  numbers,
} from '../../test/support/onnx-model.js';
import { sizeOf } from '../graph/index.js';
import { inferTypes } from './infer-types.js';
import { readModel } from './read.js';
import { floatTensor } from './session.js';

interface Row {
  readonly what: string;
  readonly opsets: readonly number[];
  readonly shape: readonly number[];
  readonly nodes: (opset: number) => readonly Fields[];
  readonly initializer?: readonly Fields[];
}

const single =
  (opType: string, attributes: readonly Fields[] = [], inputs: readonly string[] = []): (() => Fields[]) =>
  () => [node(opType, ['x', ...inputs], ['y'], attributes)];

const channels = (name: string, fill: number) => floats(name, [3], [fill, fill + 0.5, fill + 1]);
const statistics = [channels('s', 1), channels('b', -1), channels('m', 0.25), channels('v', 0.5)];
const everyOpset = Array.from({ length: 15 }, (_, i) => i + 7);

const ROWS: readonly Row[] = [
  {
    what: 'a small network',
    opsets: everyOpset,
    shape: [2, 3, 4, 4],
    nodes: () => [
      node('Conv', ['x', 'w'], ['c'], [attribute('kernel_shape', [1, 1])]),
      node('BatchNormalization', ['c', 's', 'b', 'm', 'v'], ['n'], [attribute('epsilon', 1e-3, true)]),
      node('Relu', ['n'], ['r']),
      node('Dropout', ['r'], ['d']),
      node('GlobalAveragePool', ['d'], ['p']),
      node('Reshape', ['p', 'shape'], ['f']),
      node('MatMul', ['f', 'head'], ['l']),
      node('Softmax', ['l'], ['y'], [attribute('axis', 1)]),
    ],
    initializer: [
      floats('w', [3, 3, 1, 1], [...numbers(9)]),
      ...statistics,
      int64s('shape', [0, -1]),
      floats('head', [3, 2], [...numbers(6)]),
    ],
  },
  {
    what: 'Squeeze',
    opsets: [7, 11, 12],
    shape: [1, 3, 1],
    nodes: single('Squeeze', [attribute('axes', [0])]),
  },
  {
    what: 'Squeeze',
    opsets: [13, 21],
    shape: [1, 3, 1],
    nodes: single('Squeeze', [], ['i']),
    initializer: [int64s('i', [2])],
  },
  { what: 'Unsqueeze', opsets: [7, 12], shape: [3], nodes: single('Unsqueeze', [attribute('axes', [0, 2])]) },
  {
    what: 'Unsqueeze',
    opsets: [13],
    shape: [3],
    nodes: single('Unsqueeze', [], ['i']),
    initializer: [int64s('i', [-1])],
  },
  ...['Sum', 'Mean', 'Max', 'Min', 'L1', 'L2', 'SumSquare', 'LogSum', 'LogSumExp', 'Prod'].map((name) => ({
    what: `Reduce${name} with axes`,
    opsets: name === 'Sum' ? [7, 11, 12] : [7, 11, 12, 13, 17],
    shape: [2, 3, 4],
    nodes: () => [
      node('Abs', ['x'], ['a']),
      node(`Reduce${name}`, ['a'], ['y'], [attribute('axes', [0, 2]), attribute('keepdims', 0)]),
    ],
  })),
  { what: 'ReduceSum over all', opsets: [7, 13], shape: [2, 3], nodes: single('ReduceSum') },
  {
    what: 'ReduceMean with axes as input and nothing to do',
    opsets: [18, 21],
    shape: [2, 3],
    nodes: single('ReduceMean', [attribute('noop_with_empty_axes', 1)]),
  },
  {
    what: 'Split into sizes',
    opsets: [7, 11, 12],
    shape: [4, 5],
    nodes: () => [node('Split', ['x'], ['first', 'y'], [attribute('split', [2, 3]), attribute('axis', 1)])],
  },
  {
    what: 'Split into equals',
    opsets: [7, 13, 17],
    shape: [4],
    nodes: () => [node('Split', ['x'], ['first', 'y'])],
  },
  {
    what: 'Clip',
    opsets: [7, 10],
    shape: [5],
    nodes: single('Clip', [attribute('min', -1, true), attribute('max', 0.5, true)]),
  },
  { what: 'Clip on one side', opsets: [7], shape: [5], nodes: single('Clip', [attribute('max', 0.5, true)]) },
  {
    what: 'Clip',
    opsets: [11, 13],
    shape: [5],
    nodes: single('Clip', [], ['', 'h']),
    initializer: [floats('h', [], [0.5])],
  },
  {
    what: 'Pad',
    opsets: [7, 10],
    shape: [2, 3],
    nodes: single('Pad', [attribute('pads', [1, 0, 0, 2]), attribute('value', 2, true)]),
  },
  {
    what: 'Pad',
    opsets: [11, 17],
    shape: [2, 3],
    nodes: single('Pad', [], ['p']),
    initializer: [int64s('p', [0, 1, 1, 0])],
  },
  {
    what: 'Pad of some axes',
    opsets: [18, 21],
    shape: [2, 3],
    nodes: single('Pad', [], ['p', '', 'a']),
    initializer: [int64s('p', [1, 2]), int64s('a', [-1])],
  },
  {
    what: 'Slice',
    opsets: [7, 9],
    shape: [5, 6],
    nodes: single('Slice', [
      attribute('starts', [1, -4]),
      attribute('ends', [2 ** 62, -1]),
      attribute('axes', [0, 1]),
    ]),
  },
  {
    what: 'Slice of the first axes',
    opsets: [7, 9],
    shape: [5, 6],
    nodes: single('Slice', [attribute('starts', [1]), attribute('ends', [3])]),
  },
  {
    what: 'Slice',
    opsets: [10, 13],
    shape: [5, 6],
    nodes: single('Slice', [], ['s', 'e', 'a', 't']),
    initializer: [int64s('s', [4]), int64s('e', [-100]), int64s('a', [1]), int64s('t', [-2])],
  },
  {
    what: 'TopK',
    opsets: [7, 9],
    shape: [2, 6],
    nodes: () => [node('TopK', ['x'], ['y', 'i'], [attribute('k', 2)])],
  },
  {
    what: 'TopK',
    opsets: [10, 11, 18],
    shape: [2, 6],
    nodes: () => [node('TopK', ['x', 'k'], ['y', 'i'])],
    initializer: [int64s('k', [3])],
  },
  {
    what: 'Dropout with its mask',
    opsets: [7, 10],
    shape: [4],
    nodes: () => [
      node('Dropout', ['x'], ['d', 'mask'], [attribute('ratio', 0.5, true)]),
      node('Relu', ['d'], ['y']),
    ],
  },
  {
    what: 'Dropout',
    opsets: [12, 13],
    shape: [4],
    nodes: () => [node('Dropout', ['x', 'ratio'], ['d']), node('Relu', ['d'], ['y'])],
    initializer: [floats('ratio', [], [0.5])],
  },
  ...['Softmax', 'LogSoftmax'].flatMap((name) => [
    { what: `${name} of two axes`, opsets: [7, 11, 12], shape: [2, 3, 4], nodes: single(name) },
    {
      what: `${name} of all axes`,
      opsets: [7, 12],
      shape: [2, 3],
      nodes: single(name, [attribute('axis', 0)]),
    },
    {
      what: `${name} of pixels`,
      opsets: [7, 12],
      shape: [2, 3, 1, 1],
      nodes: single(name, [attribute('axis', 1)]),
    },
    {
      what: `${name} from the end`,
      opsets: [11, 12, 13],
      shape: [2, 3, 4],
      nodes: single(name, [attribute('axis', -1)]),
    },
    {
      what: `${name} of one axis`,
      opsets: [13, 18, 21],
      shape: [2, 3, 4],
      nodes: single(name, [attribute('axis', 1)]),
    },
  ]),
  {
    what: 'Upsample by attribute',
    opsets: [7, 8],
    shape: [1, 2, 3, 3],
    nodes: single('Upsample', [attribute('scales', [1, 1, 2, 3], true), attribute('mode', 'nearest')]),
  },
  ...['nearest', 'linear'].flatMap((mode) => [
    {
      what: `Upsample ${mode}`,
      opsets: [9],
      shape: [1, 2, 3, 3],
      nodes: single('Upsample', [attribute('mode', mode)], ['scales']),
      initializer: [floats('scales', [4], [1, 1, 2, 2])],
    },
    {
      what: `Resize ${mode}`,
      opsets: [10],
      shape: [1, 2, 3, 3],
      nodes: single('Resize', [attribute('mode', mode)], ['scales']),
      initializer: [floats('scales', [4], [1, 1, 2, 2])],
    },
    {
      what: `Resize ${mode} to less`,
      opsets: [10],
      shape: [1, 2, 6, 6],
      nodes: single('Resize', [attribute('mode', mode)], ['scales']),
      initializer: [floats('scales', [4], [1, 1, 0.5, 0.5])],
    },
    {
      what: `Resize ${mode}`,
      opsets: [11, 13, 18, 19],
      shape: [1, 2, 3, 3],
      nodes: single('Resize', [attribute('mode', mode)], ['roi', 'scales']),
      initializer: [floats('roi', [0], []), floats('scales', [4], [1, 1, 2, 2])],
    },
  ]),
  {
    what: 'BatchNormalization with spatial',
    opsets: [7, 8],
    shape: [2, 3, 2],
    nodes: single('BatchNormalization', [attribute('spatial', 1)], ['s', 'b', 'm', 'v']),
    initializer: statistics,
  },
  {
    what: 'Cast',
    opsets: [7, 9, 13],
    shape: [3],
    nodes: () => [
      node('Cast', ['x'], ['i'], [attribute('to', 7)]),
      node('Cast', ['i'], ['y'], [attribute('to', 1)]),
    ],
  },
  {
    what: 'Cast with saturate',
    opsets: [19],
    shape: [3],
    nodes: single('Cast', [attribute('to', 11), attribute('saturate', 1)]),
  },
  {
    what: 'CastLike',
    opsets: [15, 19],
    shape: [3],
    nodes: single('CastLike', [], ['i']),
    initializer: [int64s('i', [1])],
  },
  {
    what: 'Pow of another type',
    opsets: [12, 13],
    shape: [3],
    nodes: () => [node('Abs', ['x'], ['a']), node('Pow', ['a', 'i'], ['y'])],
    initializer: [int64s('i', [3], [])],
  },
  { what: 'Gelu', opsets: [20, 21], shape: [6], nodes: single('Gelu') },
  {
    what: 'Gelu by tanh',
    opsets: [20],
    shape: [6],
    nodes: single('Gelu', [attribute('approximate', 'tanh')]),
  },
  {
    what: 'GroupNormalization by group',
    opsets: [18, 20],
    shape: [2, 4, 2, 3],
    nodes: single('GroupNormalization', [attribute('num_groups', 2)], ['gs', 'gb']),
    initializer: [floats('gs', [2], [1, 2]), floats('gb', [2], [0.5, -1])],
  },
  {
    what: 'GroupNormalization by channel',
    opsets: [21],
    shape: [2, 4, 2, 3],
    nodes: single(
      'GroupNormalization',
      [attribute('num_groups', 2), attribute('epsilon', 0.1, true)],
      ['gs', 'gb'],
    ),
    initializer: [floats('gs', [4], [1, 2, 3, 4]), floats('gb', [4], [0.5, -1, 0, 1])],
  },
  {
    what: 'ConstantOfShape',
    opsets: [9, 13, 21],
    shape: [3],
    nodes: () => [
      node('ConstantOfShape', ['i'], ['c'], [attribute('value', floats('', [1], [2.5]))]),
      node('Add', ['x', 'c'], ['y']),
    ],
    initializer: [int64s('i', [2, 3])],
  },
  { what: 'ArgMax', opsets: [7, 11, 13], shape: [2, 3], nodes: single('ArgMax', [attribute('axis', 1)]) },
  { what: 'Flatten', opsets: [7, 11, 13], shape: [2, 3, 2], nodes: single('Flatten') },
  {
    what: 'Gemm',
    opsets: [7, 11, 13],
    shape: [2, 3],
    nodes: single('Gemm', [attribute('beta', 2, true)], ['w', 'c']),
    initializer: [floats('w', [3, 2], [...numbers(6)]), floats('c', [2], [1, 2])],
  },
  {
    what: 'AveragePool and MaxPool',
    opsets: [7, 10, 11, 12, 19],
    shape: [1, 2, 6, 6],
    nodes: () => [
      node('MaxPool', ['x'], ['m'], [attribute('kernel_shape', [2, 2]), attribute('strides', [1, 1])]),
      node('AveragePool', ['m'], ['y'], [attribute('kernel_shape', [2, 2]), attribute('strides', [2, 2])]),
    ],
  },
];

describe('files of older and newer opsets give what onnxruntime gives', () => {
  const cases = ROWS.flatMap((row) => row.opsets.map((opset) => ({ ...row, opset })));
  it.each(cases)('$what, opset $opset', async ({ opset, shape, nodes, initializer = [] }) => {
    const bytes = modelBytes(opset, { shape, node: nodes(opset), initializer });
    const x = floatTensor(numbers(sizeOf(shape)), shape);
    const model = readModel(bytes, { types: await inferTypes(bytes) });
    const { opsetVersion } = await expectSameResults(bytes, { x }, { model });
    expect(opsetVersion).toBe(opset);
  });

  it('softmax over axes of which one is a number of pictures', async () => {
    const bytes = modelBytes(11, {
      shape: ['N', 3],
      node: [node('Softmax', ['x'], ['y'], [attribute('axis', 0)])],
    });
    for (const batch of [1, 4]) {
      await expectSameResults(bytes, { x: floatTensor(numbers(3 * batch), [batch, 3]) });
    }
  });
});

describe('what has no counterpart is refused', () => {
  it.each([
    [
      'BatchNormalization by element',
      7,
      node('BatchNormalization', ['x', 's', 'b', 'm', 'v'], ['y'], [attribute('spatial', 0)]),
      /spatial/,
    ],
    ['Dropout in training', 12, node('Dropout', ['x', '', 't'], ['y']), /training mode/],
  ])('%s', (_, opset, made, message) => {
    const bytes = modelBytes(opset, {
      shape: [2, 3],
      node: [made],
      initializer: [...statistics, { name: 't', dims: [], dataType: 9, int32Data: [1] }],
    });
    expect(() => readModel(bytes)).toThrow(message);
  });
});
