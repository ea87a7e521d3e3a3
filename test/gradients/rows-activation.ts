/** Rows of the gradient table: activations, trigonometry, and the rarer reductions. */
import * as graph from '../../src/graph/index.js';
import { apply, constant, int64, type OperatorName, operators } from '../../src/graph/index.js';
import { at, elementwise, erf, make, type NdArray, reduce, sum } from './reference.js';
import { float, given, type Row } from './row.js';

type Attributes = Readonly<Record<string, number | string>>;

function rows(
  operator: OperatorName,
  compute: (x: number) => number,
  { low = -4, high = 4, attributes = {} }: { low?: number; high?: number; attributes?: Attributes } = {},
): Row[] {
  return [[], [6, 7], [0, 3]].map((shape) => ({
    operator,
    name: `[${shape}] ${JSON.stringify(attributes)}`,
    inputs: [float(shape, low, high)],
    build: (x) => apply(operators[operator], [x], attributes),
    reference: elementwise(compute),
  }));
}

const elu = (alpha: number) => (x: number) => (x > 0 ? x : alpha * Math.expm1(x));
const hardSigmoid = (x: number) => Math.min(1, Math.max(0, x / 6 + 0.5));
const normalShare = (x: number) => (1 + erf(x / Math.SQRT2)) / 2;
const [GAMMA, ALPHA] = [1.0507010221481323, 1.6732631921768188];

/** Value and slope at given points, where the derivative may not exist. */
const points = (
  operator: OperatorName,
  name: string,
  x: readonly number[],
  compute: (x: number) => number,
  slopes: readonly number[],
  build: Row['build'],
): Row => ({
  operator,
  name,
  inputs: [given([x.length], x)],
  build,
  reference: elementwise(compute),
  gradient: [slopes],
});

const reductions: readonly (readonly [OperatorName, (x: number[]) => number, number, Row['gradient']])[] = [
  ['ReduceL1', (x) => sum(x.map(Math.abs)), -1, 'smooth'],
  ['ReduceLogSum', (x) => Math.log(sum(x)), 0.5, 'smooth'],
  ['ReduceLogSumExp', (x) => Math.log(sum(x.map(Math.exp))), -1, 'smooth'],
  ['ReduceProd', (x) => x.reduce((product, y) => product * y, 1), 0.5, 'none'],
];

const norm = (x: NdArray, p: number) =>
  reduce(x, [1], true, (row) => (p === 2 ? Math.hypot(...row) : sum(row.map(Math.abs))));

export const activationRows: readonly Row[] = [
  ...rows('HardSwish', (x) => x * hardSigmoid(x)),
  points(
    'HardSwish',
    'at and beside the corners',
    [-3, 3, -2.9999998, 2.9999998, 1e30, -1e30, 0],
    (x) => x * hardSigmoid(x),
    [0, 1, -0.5, 1.5, 1, 0, 0.5],
    graph.hardSwish,
  ),
  points(
    'Clip',
    'ReLU6: no slope from the limits on, one just inside',
    [-1, 0, 1e-37, 3, 5.9999995, 6, 7, 1e38],
    (x) => Math.min(6, Math.max(0, x)),
    [0, 0, 1, 1, 1, 0, 0, 0],
    (x) => graph.clip(x, 0, 6),
  ),
  points(
    'Clip',
    'limits that are no power of two',
    [-1, 0.1, 0.10000001, 0.5, 0.69999999, 0.7, 2].map(Math.fround),
    (x) => Math.min(Math.fround(0.7), Math.max(Math.fround(0.1), x)),
    [0, 0, 1, 1, 0, 0, 0],
    (x) => graph.clip(x, 0.1, 0.7),
  ),
  {
    operator: 'Clip',
    name: 'limits that are fed have gradients too',
    inputs: [float([3, 4], -2, 2), given([], [-0.5]), given([], [0.25])],
    build: (...values) => apply(operators.Clip, values),
    reference: elementwise((x, low, high) => Math.min(high, Math.max(low, x))),
  },
  ...rows('LeakyRelu', (x) => (x > 0 ? x : 0.01 * x)),
  ...rows('LeakyRelu', (x) => (x > 0 ? x : -2 * x), { attributes: { alpha: -2 } }),
  ...[[3], [2, 3], [1, 1], [3, 1]].map(
    (shape): Row => ({
      operator: 'PRelu',
      name: `slopes [${shape}]`,
      inputs: [float(shape.length === 2 && shape[0] === 3 ? [3, 4] : [2, 3]), float(shape)],
      build: (x, slope) => apply(operators.PRelu, [x, slope]),
      reference: elementwise((x, slope) => (x > 0 ? x : slope * x)),
    }),
  ),
  ...rows('Elu', elu(1)),
  ...rows('Elu', elu(0.5), { attributes: { alpha: 0.5 } }),
  ...rows('Selu', (x) => GAMMA * elu(ALPHA)(x)),
  ...rows('Celu', (x) => (x > 0 ? x : 2 * Math.expm1(x / 2)), { attributes: { alpha: 2 } }),
  ...rows('ThresholdedRelu', (x) => (x > 0.5 ? x : 0), { attributes: { alpha: 0.5 } }),
  ...rows('ThresholdedRelu', (x) => (x > -0.5 ? x : 0), { attributes: { alpha: -0.5 } }),
  ...rows('Softsign', (x) => x / (1 + Math.abs(x))),
  ...rows('Mish', (x) => x * Math.tanh(Math.log1p(Math.exp(x)))),
  ...rows('Gelu', (x) => x * normalShare(x), { low: -2, high: 2 }),
  ...rows('Gelu', (x) => (x / 2) * (1 + Math.tanh(Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3))), {
    attributes: { approximate: 'tanh' },
  }),
  points(
    'Gelu',
    'far out',
    [-30, 30],
    (x) => Math.max(x, 0),
    [0, 1],
    (x) => graph.gelu(x),
  ),
  ...rows('Sin', Math.sin),
  ...rows('Cos', Math.cos),
  ...rows('Tan', Math.tan, { low: -1, high: 1 }),
  ...rows('Asin', Math.asin, { low: -0.9, high: 0.9 }),
  ...rows('Acos', Math.acos, { low: -0.9, high: 0.9 }),
  ...rows('Atan', Math.atan),
  ...rows('Sinh', Math.sinh),
  ...rows('Cosh', Math.cosh),
  ...rows('Asinh', Math.asinh),
  ...rows('Acosh', Math.acosh, { low: 1.2, high: 4 }),
  ...rows('Atanh', Math.atanh, { low: -0.9, high: 0.9 }),
  ...reductions.flatMap(([operator, compute, low, gradient]) =>
    [[1], [0, 2]].map(
      (axes): Row => ({
        operator,
        name: `axes ${axes}`,
        inputs: [float([2, 3, 2], low, 2)],
        build: (x) => apply(operators[operator], [x, int64(axes)], { keepdims: axes.length - 1 }),
        reference: (x) => reduce(x, axes, axes.length === 2, compute),
        gradient: gradient as 'smooth',
      }),
    ),
  ),
  {
    operator: 'Hardmax',
    name: 'the first of equals',
    inputs: [given([2, 3], [1, 3, 3, 0, -1, -2])],
    build: (x) => apply(operators.Hardmax, [x], { axis: 1 }),
    reference: () => ({ shape: [2, 3], data: Float64Array.of(0, 1, 0, 1, 0, 0) }),
    gradient: 'zero',
  },
  ...[1, 2].map(
    (p): Row => ({
      operator: 'LpNormalization',
      name: `p ${p}`,
      inputs: [float([3, 4])],
      build: (x) => apply(operators.LpNormalization, [x], { p, axis: 1 }),
      reference: (x) => elementwise((a, b) => a / b)(x, norm(x, p)),
    }),
  ),
  ...[
    { exclusive: 0, reverse: 0 },
    { exclusive: 1, reverse: 0 },
    { exclusive: 0, reverse: 1 },
    { exclusive: 1, reverse: 1 },
  ].map(
    ({ exclusive, reverse }): Row => ({
      operator: 'CumSum',
      name: `exclusive ${exclusive}, reverse ${reverse}`,
      inputs: [float([2, 5])],
      build: (x) =>
        apply(operators.CumSum, [x, constant(1, [], { dataType: 'int64' })], { exclusive, reverse }),
      reference: (x) =>
        make([2, 5], ([row, end]) => {
          let total = 0;
          for (let i = 0; i < 5; i++) {
            const isBefore = reverse === 1 ? i > (end as number) : i < (end as number);
            if (isBefore || (i === end && exclusive === 0)) total += at(x, [row as number, i]);
          }
          return total;
        }),
    }),
  ),
];
