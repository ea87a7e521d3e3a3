/** Rows of the gradient table: elementwise operators. */
import * as graph from '../../src/graph/index.js';
import { constant, type OperatorName, type Value } from '../../src/graph/index.js';
import { elementwise, erf, type NdArray } from './reference.js';
import { bool, float, given, type InputSpec, type Row } from './row.js';

/** Pairs of shapes that cover broadcasting in every position, scalars, and nothing at all. */
const PAIRS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [3, 4],
    [3, 4],
  ],
  [[], []],
  [[3, 4], []],
  [[], [2, 3]],
  [[3, 4], [4]],
  [[4], [3, 4]],
  [
    [3, 1],
    [3, 4],
  ],
  [
    [1, 4],
    [3, 1],
  ],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [
    [1, 1, 1],
    [2, 3],
  ],
  [
    [0, 3],
    [1, 3],
  ],
  [[1], [0]],
  [[2, 0, 3], [3]],
];

function binaryRows(
  operator: OperatorName,
  build: (a: Value, b: Value) => Value,
  compute: (a: number, b: number) => number,
  ranges: readonly [number, number, number, number] = [-2, 2, -2, 2],
): Row[] {
  const [lowA, highA, lowB, highB] = ranges;
  return PAIRS.map(([a, b]) => ({
    operator,
    name: `[${a}] and [${b}]`,
    inputs: [float(a, lowA, highA), float(b, lowB, highB)],
    build,
    reference: elementwise(compute),
  }));
}

/** Scalar, matrix and empty; then the extreme inputs given, at which value and gradient must be finite and right. */
function unaryRows(
  operator: OperatorName,
  build: (x: Value) => Value,
  compute: (x: number) => number,
  { low = -2, high = 2, extremes = [] }: { low?: number; high?: number; extremes?: readonly number[] } = {},
): Row[] {
  const row = (name: string, spec: InputSpec): Row => ({
    operator,
    name,
    inputs: [spec],
    build,
    reference: elementwise(compute),
  });
  return [
    row('scalar', float([], low, high)),
    row('matrix', float([3, 5], low, high)),
    row('empty', float([0, 4], low, high)),
    ...(extremes.length > 0 ? [row('extreme', given([extremes.length], extremes))] : []),
  ];
}

function truthRows(
  operator: OperatorName,
  build: (a: Value, b: Value) => Value,
  compute: (a: number, b: number) => boolean,
): Row[] {
  return PAIRS.map(([a, b]) => ({
    operator,
    name: `[${a}] and [${b}], with ties`,
    // Whole numbers from a few, so that many are equal.
    inputs: [smallIntegers(a, 1), smallIntegers(b, 2)],
    build,
    reference: elementwise((x, y) => Number(compute(x, y))),
    gradient: 'zero',
  }));
}

function smallIntegers(shape: readonly number[], offset: number): InputSpec {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  return given(
    shape,
    Array.from({ length: size }, (_, i) => ((i * 7 + offset) % 4) - 1),
  );
}

const tied = (
  operator: OperatorName,
  build: (a: Value, b: Value) => Value,
  gradient: readonly (readonly number[])[],
): Row => ({
  operator,
  name: 'ties go to the first',
  inputs: [given([3], [1, -1, 0]), given([3], [1, 2, 0])],
  build,
  reference: elementwise(operator === 'Max' ? Math.max : Math.min),
  gradient,
});

const at = (
  operator: OperatorName,
  build: (x: Value) => Value,
  compute: (x: number) => number,
  x: number[],
  gradient: number[],
): Row => ({
  operator,
  name: `at [${x}]`,
  inputs: [given([x.length], x)],
  build,
  reference: elementwise(compute),
  gradient: [gradient],
});

const softplus = (x: number) => Math.max(x, 0) + Math.log1p(Math.exp(-Math.abs(x)));
const LARGE = [-1e4, -100, -30, 30, 100, 1e4];

const whereShapes: readonly (readonly [readonly number[], readonly number[], readonly number[]])[] = [
  [
    [3, 4],
    [3, 4],
    [3, 4],
  ],
  [[], [], []],
  [[3, 1], [4], []],
  [[4], [3, 1], [1, 4]],
  [[2, 3], [], [3]],
  [[0, 3], [3], [1, 1]],
];

const select = elementwise((condition, a, b) => (condition ? a : b)) as (...x: NdArray[]) => NdArray;

export const elementwiseRows: readonly Row[] = [
  ...binaryRows('Add', graph.add, (a, b) => a + b),
  ...binaryRows('Sub', graph.subtract, (a, b) => a - b),
  ...binaryRows('Mul', graph.multiply, (a, b) => a * b),
  ...binaryRows('Div', graph.divide, (a, b) => a / b, [-2, 2, 0.5, 2]),
  ...binaryRows('Pow', graph.power, (a, b) => a ** b, [0.5, 2, -2, 2]),
  {
    operator: 'Pow',
    name: 'negative base, whole exponent',
    inputs: [float([4], -2, -0.5)],
    build: (x) => graph.power(x, constant(3)),
    reference: elementwise((x) => x ** 3),
  },
  {
    operator: 'Pow',
    name: 'square at zero',
    inputs: [given([2], [0, 1])],
    build: (x) => graph.power(x, constant(2)),
    reference: elementwise((x) => x * x),
    gradient: [[0, 2]],
  },
  ...binaryRows('Max', graph.maximum, Math.max),
  ...binaryRows('Min', graph.minimum, Math.min),
  tied('Max', graph.maximum, [
    [1, 0, 1],
    [0, 1, 0],
  ]),
  tied('Min', graph.minimum, [
    [1, 1, 1],
    [0, 0, 0],
  ]),
  ...unaryRows('Neg', graph.negate, (x) => -x, { extremes: [-1e4, 1e4] }),
  ...unaryRows('Abs', graph.absolute, Math.abs, { extremes: [-1e4, 1e4] }),
  at('Abs', graph.absolute, Math.abs, [-1, 0, 1], [-1, 0, 1]),
  ...unaryRows('Exp', graph.exponential, Math.exp, { extremes: [-80, -20, 20, 80] }),
  ...unaryRows('Log', graph.logarithm, Math.log, { low: 0.1, high: 3, extremes: [1, 100, 1e4] }),
  ...unaryRows('Sqrt', graph.squareRoot, Math.sqrt, { low: 0.1, high: 3, extremes: [1, 100, 1e4] }),
  ...unaryRows('Reciprocal', graph.reciprocal, (x) => 1 / x, { low: 0.3, high: 2, extremes: [-3, 1e4] }),
  ...unaryRows('Relu', graph.relu, (x) => Math.max(x, 0), { extremes: [-1e4, 1e4] }),
  at('Relu', graph.relu, (x) => Math.max(x, 0), [-1, 0, 2], [0, 0, 1]),
  ...unaryRows('Sigmoid', graph.sigmoid, (x) => 1 / (1 + Math.exp(-x)), { extremes: LARGE }),
  ...unaryRows(
    'HardSigmoid',
    (x) => graph.hardSigmoid(x),
    (x) => Math.max(0, Math.min(1, 0.2 * x + 0.5)),
    {
      extremes: LARGE,
    },
  ),
  at(
    'HardSigmoid',
    (x) => graph.hardSigmoid(x, 2, 0),
    (x) => Math.max(0, Math.min(1, 2 * x)),
    [-1, 0.25, 2],
    [0, 2, 0],
  ),
  ...unaryRows('Tanh', graph.tanh, Math.tanh, { extremes: LARGE }),
  ...unaryRows('Softplus', graph.softplus, softplus, { extremes: LARGE }),
  ...unaryRows('Erf', graph.errorFunction, erf, { extremes: [-10, -3, 3, 10] }),
  at('Sign', graph.sign, Math.sign, [-3, 0, 0.5], [0, 0, 0]),
  { ...at('Sign', graph.sign, Math.sign, [], []), name: 'empty' },
  ...unaryRows('Identity', graph.identity, (x) => x),
  ...unaryRows(
    'Clip',
    (x) => graph.clip(x, -0.5, 1),
    (x) => Math.min(Math.max(x, -0.5), 1),
  ),
  at(
    'Clip',
    (x) => graph.clip(x, -1, 1),
    (x) => Math.min(Math.max(x, -1), 1),
    [-2, -1, 0, 1, 2],
    [0, 0, 1, 0, 0],
  ),
  at(
    'Clip',
    (x) => graph.clip(x, 0, undefined),
    (x) => Math.max(x, 0),
    [-2, 3],
    [0, 1],
  ),
  at(
    'Clip',
    (x) => graph.clip(x, undefined, 0),
    (x) => Math.min(x, 0),
    [-2, 3],
    [1, 0],
  ),
  ...truthRows('Equal', graph.equal, (a, b) => a === b),
  ...truthRows('Greater', graph.greater, (a, b) => a > b),
  ...truthRows('GreaterOrEqual', graph.greaterOrEqual, (a, b) => a >= b),
  ...truthRows('Less', graph.less, (a, b) => a < b),
  ...truthRows('LessOrEqual', graph.lessOrEqual, (a, b) => a <= b),
  ...(['And', 'Or'] as const).flatMap((operator) =>
    PAIRS.map(
      ([a, b]): Row => ({
        operator,
        name: `[${a}] and [${b}]`,
        inputs: [bool(a), bool(b)],
        build: operator === 'And' ? graph.and : graph.or,
        reference: elementwise((x, y) => Number(operator === 'And' ? x && y : x || y)),
        gradient: 'zero',
      }),
    ),
  ),
  {
    operator: 'Not',
    name: 'matrix',
    inputs: [bool([3, 4])],
    build: graph.not,
    reference: elementwise((x) => 1 - x),
    gradient: 'zero',
  },
  ...whereShapes.map(
    ([condition, a, b]): Row => ({
      operator: 'Where',
      name: `[${condition}] of [${a}] and [${b}]`,
      inputs: [bool(condition), float(a), float(b)],
      build: graph.where,
      reference: select,
    }),
  ),
  {
    operator: 'Where',
    name: 'what is not selected may be infinite, and gets no NaN',
    inputs: [given([3], [1, 0, 1], 'bool'), given([3], [1, 0, 2])],
    build: (condition, x) => graph.where(condition, x, constant(Infinity)),
    reference: elementwise((condition, x) => (condition ? x : Infinity)),
    gradient: [[1, 0, 1]],
  },
  {
    operator: 'Cast',
    name: 'float32 to float16 and back passes the gradient',
    inputs: [float([3, 4])],
    build: (x) => graph.cast(graph.cast(x, 'float16'), 'float32'),
    reference: elementwise((x) => x),
    tolerance: 1e-3,
    gradient: [Array.from({ length: 12 }, () => 1)],
  },
  ...(['int64', 'int32', 'uint8'] as const).map(
    (dataType): Row => ({
      operator: 'Cast',
      name: `float32 to ${dataType} cuts toward zero, no gradient`,
      inputs: [given([4], [0, 0.9, 1.5, 100])],
      build: (x) => graph.cast(x, dataType),
      reference: elementwise(Math.trunc),
      gradient: 'zero',
    }),
  ),
  {
    operator: 'Cast',
    name: 'float32 to bool',
    inputs: [given([4], [0, -2, 0.5, 0])],
    build: (x) => graph.cast(x, 'bool'),
    reference: elementwise((x) => Number(x !== 0)),
    gradient: 'zero',
  },
  {
    operator: 'Cast',
    name: 'uint8 to float32',
    inputs: [given([3], [0, 7, 255], 'uint8')],
    build: (x) => graph.cast(x, 'float32'),
    reference: elementwise((x) => x),
  },
];
