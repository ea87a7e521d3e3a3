/** Rows of the gradient table: operators on shapes, rounding, and arithmetic of any number of inputs. */
import * as graph from '../../src/graph/index.js';
import { apply, constant, int64, operators, type Value } from '../../src/graph/index.js';
import { array, at, elementwise, make, type NdArray } from './reference.js';
import { bool, float, given, type Row } from './row.js';

const reshaped =
  (shape: readonly number[]) =>
  (x: NdArray): NdArray => ({ shape, data: x.data });

const scalar = (value: number, dataType: 'int64' | 'float32' = 'int64') => constant(value, [], { dataType });

const TIES = [-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5, 1e6, -1e6, 0.49, -0.51];

const rounding = (
  operator: 'Floor' | 'Ceil' | 'Round',
  build: (x: Value) => Value,
  compute: (x: number) => number,
): Row[] => [
  {
    operator,
    name: 'ties and large numbers',
    inputs: [given([TIES.length], TIES)],
    build,
    reference: elementwise(compute),
    gradient: 'zero',
  },
  {
    operator,
    name: 'nothing',
    inputs: [float([0, 2])],
    build,
    reference: elementwise(compute),
    gradient: 'zero',
  },
];

const evenRound = (x: number): number => {
  const near = [Math.floor(x), Math.ceil(x)] as const;
  if (x - near[0] !== near[1] - x) return Math.round(x);
  return near[0] % 2 === 0 ? near[0] : near[1];
};

const many = (operator: 'Sum' | 'Mean' | 'Max' | 'Min', compute: (...x: number[]) => number): Row[] =>
  [[[2, 3]], [[2, 3], [3], [2, 1]], [[], [4], [1, 4], [3, 1]], [[0, 2], [2], [1]]].map((shapes) => ({
    operator,
    name: `of ${shapes.map((shape) => `[${shape}]`).join(', ')}`,
    inputs: shapes.map((shape) => float(shape)),
    build: (...values) => apply(operators[operator], values),
    reference: (...arrays) => elementwise(compute)(...arrays),
  }));

export const shapeRows: readonly Row[] = [
  ...rounding('Floor', graph.floor, Math.floor),
  ...rounding('Ceil', graph.ceil, Math.ceil),
  ...rounding('Round', graph.round, evenRound),
  ...many('Sum', (...x) => x.reduce((total, y) => total + y, 0)),
  ...many('Mean', (...x) => x.reduce((total, y) => total + y, 0) / x.length),
  ...many('Max', Math.max),
  ...many('Min', Math.min),
  {
    operator: 'Max',
    name: 'of three: ties go to the first',
    inputs: [given([3], [1, 0, 2]), given([3], [1, 5, 2]), given([3], [0, 5, 2])],
    build: (...values) => apply(operators.Max, values),
    reference: elementwise(Math.max),
    gradient: [
      [1, 0, 1],
      [0, 1, 0],
      [0, 0, 0],
    ],
  },
  ...([0, 1] as const).map(
    (fmod): Row => ({
      operator: 'Mod',
      name: fmod === 1 ? 'with the sign of the dividend' : 'of integers, with the sign of the divisor',
      inputs:
        fmod === 1
          ? [float([3, 4], -9, 9), float([4], 1, 3)]
          : [given([6], [7, -7, 7, -7, 6, 0], 'int64'), given([6], [3, 3, -3, -3, 3, 3], 'int64')],
      build: (a, b) => apply(operators.Mod, [a, b], { fmod }),
      reference: elementwise((a, b) => (fmod === 1 ? a % b : (((a % b) + b) % b) + 0)),
    }),
  ),
  {
    operator: 'Div',
    name: 'integers are cut toward zero',
    inputs: [given([4], [7, -7, 6, -1], 'int64'), given([4], [2, 2, 3, 2], 'int64')],
    build: graph.divide,
    reference: elementwise((a, b) => Math.trunc(a / b) + 0),
  },
  {
    operator: 'Xor',
    name: 'matrix and row',
    inputs: [bool([3, 4]), bool([4])],
    build: graph.xor,
    reference: elementwise((a, b) => Number(a !== b)),
    gradient: 'zero',
  },
  ...(['IsNaN', 'IsInf'] as const).map(
    (operator): Row => ({
      operator,
      name: 'ordinary, infinite and undefined numbers',
      inputs: [given([5], [0, Infinity, -Infinity, Number.NaN, 3e38])],
      build: (x) => apply(operators[operator], [x]),
      reference: elementwise((x) =>
        Number(operator === 'IsNaN' ? Number.isNaN(x) : Math.abs(x) === Infinity),
      ),
      gradient: 'zero',
    }),
  ),
  ...[
    [0, 3],
    [1, 3],
    [-2, -1],
    [0, 0],
  ].map(
    ([start, end]): Row => ({
      operator: 'Shape',
      name: `axes ${start} to ${end}`,
      inputs: [float([2, 5, 3])],
      build: (x) => graph.shapeOf(x, start, end),
      reference: () => {
        const part = [2, 5, 3].slice(start, end);
        return array([part.length], part);
      },
      gradient: 'zero',
    }),
  ),
  {
    operator: 'Size',
    name: 'matrix',
    inputs: [float([2, 5])],
    build: (x) => apply(operators.Size, [x]),
    reference: () => array([], [10]),
    gradient: 'zero',
  },
  ...[
    { from: [2, 1, 3, 1], axes: [1], to: [2, 3, 1] },
    { from: [2, 1, 3, 1], axes: [-1, 1], to: [2, 3] },
    { from: [1], axes: [0], to: [] },
    { from: [0, 1], axes: [1], to: [0] },
  ].map(
    ({ from, axes, to }): Row => ({
      operator: 'Squeeze',
      name: `[${from}] of axes ${axes}`,
      inputs: [float(from)],
      build: (x) => graph.squeeze(x, axes),
      reference: reshaped(to),
    }),
  ),
  {
    operator: 'Squeeze',
    name: 'of all that have size 1',
    inputs: [float([1, 3, 1, 2])],
    build: (x) => apply(operators.Squeeze, [x]),
    reference: reshaped([3, 2]),
  },
  ...[
    { from: [2, 3], axes: [0], to: [1, 2, 3] },
    { from: [2, 3], axes: [-1, 1], to: [2, 1, 3, 1] },
    { from: [], axes: [0], to: [1] },
    { from: [0], axes: [1], to: [0, 1] },
  ].map(
    ({ from, axes, to }): Row => ({
      operator: 'Unsqueeze',
      name: `[${from}] at axes ${axes}`,
      inputs: [float(from)],
      build: (x) => graph.unsqueeze(x, axes),
      reference: reshaped(to),
    }),
  ),
  ...[
    { from: [2, 3, 4], axis: 1, to: [2, 12] },
    { from: [2, 3, 4], axis: 0, to: [1, 24] },
    { from: [2, 3, 4], axis: 3, to: [24, 1] },
    { from: [2, 3, 4], axis: -1, to: [6, 4] },
    { from: [0, 3], axis: 1, to: [0, 3] },
  ].map(
    ({ from, axis, to }): Row => ({
      operator: 'Flatten',
      name: `[${from}] at axis ${axis}`,
      inputs: [float(from)],
      build: (x) => graph.flatten(x, axis),
      reference: reshaped(to),
    }),
  ),
  ...[
    { from: 0, to: 5, step: 1 },
    { from: 5, to: -2, step: -3 },
    { from: 3, to: 3, step: 1 },
  ].map(
    ({ from, to, step }): Row => ({
      operator: 'Range',
      name: `${from} to ${to} by ${step}`,
      inputs: [given([1], [10], 'int64')],
      build: (x) => graph.add(x, graph.range(scalar(from), scalar(to), scalar(step))),
      reference: (x) => {
        const elements: number[] = [];
        for (let i = from; step > 0 ? i < to : i > to; i += step) elements.push((x.data[0] as number) + i);
        return array([elements.length], elements);
      },
    }),
  ),
  ...[
    { shape: [2, 3], repeats: [2, 1] },
    { shape: [2, 3], repeats: [3, 2] },
    { shape: [2], repeats: [0] },
    { shape: [2, 1, 3], repeats: [1, 4, 1] },
  ].map(
    ({ shape, repeats }): Row => ({
      operator: 'Tile',
      name: `[${shape}] ${repeats} times`,
      inputs: [float(shape)],
      build: (x) => graph.tile(x, repeats),
      reference: (x) =>
        make(
          shape.map((size, axis) => size * (repeats[axis] as number)),
          (index) =>
            at(
              x,
              index.map((i, axis) => i % (shape[axis] as number)),
            ),
        ),
    }),
  ),
  {
    operator: 'NonZero',
    name: 'of a constant matrix',
    inputs: [given([1], [0], 'int64')],
    build: (x) =>
      graph.add(x, apply(operators.NonZero, [constant([0, 3, 1, 0, 0, -1], [2, 3], { dataType: 'int64' })])),
    reference: () => array([2, 3], [0, 0, 1, 1, 2, 2]),
  },
  ...[
    { upper: true, k: 0 },
    { upper: true, k: 1 },
    { upper: false, k: 0 },
    { upper: false, k: -1 },
  ].map(
    ({ upper, k }): Row => ({
      operator: 'Trilu',
      name: `${upper ? 'upper' : 'lower'} triangle from diagonal ${k}`,
      inputs: [float([2, 3, 4])],
      build: (x) => graph.triangle(x, { upper, k }),
      reference: (x) =>
        make(x.shape, (index) => {
          const above = (index[2] as number) - (index[1] as number);
          return (upper ? above >= k : above <= k) ? at(x, index) : 0;
        }),
    }),
  ),
  {
    operator: 'Expand',
    name: 'to the shape of another value',
    inputs: [float([1, 3]), float([4, 3])],
    build: (x, y) => graph.add(graph.expandTo(x, graph.shapeOf(y)), y),
    reference: elementwise((x, y) => x + y),
  },
  ...([2, 3, 0.5, -0.5, -1, 1, 0, 4, 2.5] as const).map(
    (exponent): Row => ({
      operator: 'Pow',
      name: `to the constant ${exponent}`,
      inputs: [float([3, 4], 0.5, 2)],
      build: (x) => graph.power(x, constant(exponent)),
      reference: elementwise((x) => x ** exponent),
    }),
  ),
  {
    operator: 'Pow',
    name: 'to an integer of another type, of negative numbers and zero',
    inputs: [given([4], [-2, 0, 1, 3])],
    build: (x) => graph.power(x, scalar(2)),
    reference: elementwise((x) => x * x),
    gradient: [[-4, 0, 2, 6]],
  },
  ...(['reflect', 'edge'] as const).flatMap((mode) =>
    [
      { pads: [0, 2, 0, 1], axes: undefined },
      { pads: [1, 3, 2, 0], axes: undefined },
      { pads: [3, 2], axes: [1] },
      { pads: [1, 1], axes: [-2] },
    ].map(
      ({ pads, axes }): Row => ({
        operator: 'Pad',
        name: `${mode} ${pads}${axes ? ` of axes ${axes}` : ''}`,
        inputs: [float([3, 4])],
        build: (x) =>
          apply(operators.Pad, [x, int64(pads), undefined, ...(axes ? [int64(axes)] : [])], { mode }),
        reference: (x) => {
          const [top, left, bottom, right] = (
            axes === undefined ? pads : axes[0] === 1 ? [0, pads[0], 0, pads[1]] : [pads[0], 0, pads[1], 0]
          ) as [number, number, number, number];
          const fold = (i: number, size: number) =>
            mode === 'edge'
              ? Math.min(Math.max(i, 0), size - 1)
              : size - 1 - Math.abs(size - 1 - Math.abs(i));
          return make([3 + top + bottom, 4 + left + right], ([row, column]) =>
            at(x, [fold((row as number) - top, 3), fold((column as number) - left, 4)]),
          );
        },
      }),
    ),
  ),
  {
    operator: 'Pad',
    name: 'zeros around one axis that is named',
    inputs: [float([2, 3])],
    build: (x) => apply(operators.Pad, [x, int64([1, 2]), undefined, int64([1])], { mode: 'constant' }),
    reference: (x) =>
      make([2, 6], ([row, column]) => {
        const place = (column as number) - 1;
        return place >= 0 && place < 3 ? at(x, [row as number, place]) : 0;
      }),
  },
  {
    operator: 'SpaceToDepth',
    name: 'blocks of two',
    inputs: [float([2, 3, 4, 6])],
    build: (x) => graph.spaceToDepth(x, 2),
    reference: (x) =>
      make([2, 12, 2, 3], ([n, channel, h, w]) => {
        const block = Math.floor((channel as number) / 3);
        const pixel = [2 * (h as number) + Math.floor(block / 2), 2 * (w as number) + (block % 2)];
        return at(x, [n as number, (channel as number) % 3, ...pixel]);
      }),
  },
  ...(['DCR', 'CRD'] as const).map(
    (mode): Row => ({
      operator: 'DepthToSpace',
      name: mode,
      inputs: [float([2, 12, 2, 3])],
      build: (x) => graph.depthToSpace(x, 2, mode),
      reference: (x) =>
        make([2, 3, 4, 6], (index) => {
          const [n, c, h, w] = index as [number, number, number, number];
          const block = 2 * (h % 2) + (w % 2);
          const channel = mode === 'DCR' ? 3 * block + c : 4 * c + block;
          return at(x, [n, channel, Math.floor(h / 2), Math.floor(w / 2)]);
        }),
    }),
  ),
];
