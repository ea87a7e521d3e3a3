/** Rows of the gradient table: reductions and the softmax family. */
import * as graph from '../../src/graph/index.js';
import { apply, type OperatorName, operators, type Value } from '../../src/graph/index.js';
import { logSoftmax, mean, type NdArray, reduce, softmax, sum } from './reference.js';
import { float, given, type Row } from './row.js';

type Axes = readonly number[] | 'all';
type Reduction = (x: Value, axes: Axes, options?: graph.ReductionOptions) => Value;

/** Shape and axes: one, several, all, negative, leading, a scalar's none, sizes 1 and 0 outside the axes. */
const REDUCTIONS: readonly (readonly [readonly number[], Axes])[] = [
  [[3, 4], [0]],
  [[3, 4], [1]],
  [[3, 4], 'all'],
  [
    [2, 3, 4],
    [0, 2],
  ],
  [[2, 3, 4], [-1]],
  [[2, 1, 4], [1]],
  [[5], 'all'],
  [[1], [0]],
  [[0, 3], [1]],
  [[3, 0], [0]],
  [
    [2, 3, 2, 2],
    [0, 2, 3],
  ],
];

const list = (axes: Axes, rank: number) =>
  axes === 'all' ? Array.from({ length: rank }, (_, axis) => axis) : axes.map((axis) => (axis + rank) % rank);

function rowsOf(operator: OperatorName, build: Reduction, compute: (elements: number[]) => number): Row[] {
  return REDUCTIONS.flatMap(([shape, axes]) =>
    [false, true].map(
      (keepDimensions): Row => ({
        operator,
        name: `[${shape}] over ${axes}${keepDimensions ? ', keeping them' : ''}`,
        inputs: [float(shape, -2, 2)],
        build: (x) => build(x, axes, { keepDimensions }),
        reference: (x) => reduce(x, list(axes, shape.length), keepDimensions, compute),
      }),
    ),
  );
}

/** A sum over no elements is zero; a file may leave the axes out (all), or say that none means none. */
function openRows(operator: OperatorName, compute: (elements: number[]) => number): Row[] {
  return [
    {
      operator,
      name: 'no axes given: all',
      inputs: [float([2, 3])],
      build: (x) => apply(operators[operator], [x], { keepdims: 0 }),
      reference: (x) => reduce(x, [0, 1], false, compute),
    },
    {
      operator,
      name: 'keepdims left out: kept',
      inputs: [float([2, 3])],
      build: (x) => apply(operators[operator], [x, graph.int64([1])]),
      reference: (x) => reduce(x, [1], true, compute),
    },
  ];
}

function overNothing(operator: OperatorName, build: Reduction): Row {
  return {
    operator,
    name: 'over an axis of size 0',
    inputs: [float([0, 3])],
    build: (x) => build(x, [0]),
    reference: (x) => reduce(x, [0], false, sum),
  };
}

const sumSquare = (elements: number[]) => sum(elements.map((x) => x * x));
const length = (elements: number[]) => Math.sqrt(sumSquare(elements));
const largest = (elements: number[]) => Math.max(...elements);
const smallest = (elements: number[]) => Math.min(...elements);

const ties = (operator: 'ReduceMax' | 'ReduceMin', values: number[], gradient: number[]): Row => ({
  operator,
  name: 'ties share the gradient',
  inputs: [given([2, 3], values)],
  build: (x) => (operator === 'ReduceMax' ? graph.reduceMax : graph.reduceMin)(x, [1]),
  reference: (x) => reduce(x, [1], false, operator === 'ReduceMax' ? largest : smallest),
  gradient: [gradient],
});

const SOFTMAX_SHAPES: readonly (readonly [readonly number[], number])[] = [
  [[3, 5], -1],
  [[3, 5], 0],
  [[2, 3, 4], 1],
  [[4], 0],
  [[3, 1], -1],
  [[0, 4], -1],
];

function softmaxRows(
  operator: 'Softmax' | 'LogSoftmax',
  build: (x: Value, axis?: number) => Value,
  compute: (x: NdArray, axis: number) => NdArray,
): Row[] {
  return [
    ...SOFTMAX_SHAPES.map(
      ([shape, axis]): Row => ({
        operator,
        name: `[${shape}] along ${axis}`,
        inputs: [float(shape, -3, 3)],
        build: (x) => build(x, axis),
        reference: (x) => compute(x, (axis + shape.length) % shape.length),
      }),
    ),
    {
      operator,
      name: 'logits far apart, equal, and huge',
      inputs: [given([4, 3], [1e4, 0, -1e4, 80, 80, 80, -300, -301, -302, 1e4, 1e4, 9999])],
      build: (x) => build(x),
      reference: (x) => compute(x, 1),
    },
    {
      operator,
      name: 'axis left out: the last',
      inputs: [float([2, 3, 4])],
      build: (x) => apply(operators[operator], [x]),
      reference: (x) => compute(x, 2),
    },
  ];
}

export const reductionRows: readonly Row[] = [
  ...rowsOf('ReduceSum', graph.reduceSum, sum),
  ...openRows('ReduceSum', sum),
  overNothing('ReduceSum', graph.reduceSum),
  ...rowsOf('ReduceMean', graph.reduceMean, mean),
  ...openRows('ReduceMean', mean),
  ...rowsOf('ReduceSumSquare', graph.reduceSumSquare, sumSquare),
  ...openRows('ReduceSumSquare', sumSquare),
  overNothing('ReduceSumSquare', graph.reduceSumSquare),
  ...rowsOf('ReduceL2', graph.reduceL2, length),
  ...openRows('ReduceL2', length),
  ...rowsOf('ReduceMax', graph.reduceMax, largest),
  ...openRows('ReduceMax', largest),
  ...rowsOf('ReduceMin', graph.reduceMin, smallest),
  ...openRows('ReduceMin', smallest),
  ties('ReduceMax', [1, 1, 0, 2, 2, 2], [0.5, 0.5, 0, 1 / 3, 1 / 3, 1 / 3]),
  ties('ReduceMin', [1, 1, 0, 2, 2, 2], [0, 0, 1, 1 / 3, 1 / 3, 1 / 3]),
  {
    operator: 'ReduceSum',
    name: 'large sum of small numbers',
    inputs: [float([200, 50], 0, 1)],
    build: (x) => graph.reduceSum(x, 'all'),
    reference: (x) => reduce(x, [0, 1], false, sum),
  },
  ...softmaxRows('Softmax', graph.softmax, softmax),
  ...softmaxRows('LogSoftmax', graph.logSoftmax, logSoftmax),
];
