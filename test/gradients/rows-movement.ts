/** Rows of the gradient table: operators that move elements. */
import * as graph from '../../src/graph/index.js';
import { apply, int64, operators, type SliceRange, type Value } from '../../src/graph/index.js';
import { at, broadcastAt, make, type NdArray, transpose } from './reference.js';
import { float, type Row } from './row.js';

const RESHAPES: readonly (readonly [readonly number[], readonly number[], readonly number[]])[] = [
  [
    [2, 6],
    [3, 4],
    [3, 4],
  ],
  [
    [2, 6],
    [4, -1],
    [4, 3],
  ],
  [
    [2, 3, 4],
    [0, -1],
    [2, 12],
  ],
  [
    [2, 3, 4],
    [0, 0, 2, 2],
    [2, 3, 2, 2],
  ],
  [[1, 1], [], []],
  [[], [1, 1], [1, 1]],
  [
    [0, 3],
    [0, 3],
    [0, 3],
  ],
];

const PERMUTATIONS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [2, 3],
    [1, 0],
  ],
  [
    [2, 3, 4],
    [2, 0, 1],
  ],
  [
    [2, 3, 4],
    [0, 2, 1],
  ],
  [
    [2, 1, 3, 2],
    [3, 1, 0, 2],
  ],
  [
    [0, 3],
    [1, 0],
  ],
];

const EXPANSIONS: readonly (readonly [readonly number[], readonly number[], readonly number[]])[] = [
  [[], [2, 3], [2, 3]],
  [[3], [2, 3], [2, 3]],
  [
    [2, 1],
    [2, 3],
    [2, 3],
  ],
  [
    [2, 3],
    [1, 3],
    [2, 3],
  ],
  [
    [1, 3, 1],
    [4, 2, 1, 5],
    [4, 2, 3, 5],
  ],
  [
    [1, 3],
    [0, 3],
    [0, 3],
  ],
];

/** NumPy's slice on plain arrays: Python's own rule for where to begin and to stop. */
function sliced(x: NdArray, ranges: readonly SliceRange[]): NdArray {
  const places = x.shape.map((size) => Array.from({ length: size }, (_, i) => i));
  for (const { axis: given, start, end, step = 1 } of ranges) {
    const axis = (given + x.shape.length) % x.shape.length;
    const size = x.shape[axis] as number;
    const picked: number[] = [];
    const fromFront = (index: number) => (index < 0 ? index + size : index);
    const first = fromFront(start ?? 0);
    const last = fromFront(end ?? size);
    for (let i = Math.max(first, 0); i < Math.min(last, size); i += step) picked.push(i);
    places[axis] = picked;
  }
  return make(
    places.map((list) => list.length),
    (index) =>
      at(
        x,
        index.map((i, axis) => (places[axis] as number[])[i] as number),
      ),
  );
}

const SLICES: readonly (readonly [string, readonly number[], readonly SliceRange[]])[] = [
  ['middle', [6], [{ axis: 0, start: 1, end: 4 }]],
  ['to the end', [3, 5], [{ axis: 1, start: 2 }]],
  ['from the end', [3, 5], [{ axis: -1, start: -3, end: -1 }]],
  [
    'two axes',
    [4, 5],
    [
      { axis: 0, start: 1 },
      { axis: 1, end: 3 },
    ],
  ],
  ['every second', [7], [{ axis: 0, step: 2 }]],
  ['every second from one', [7], [{ axis: 0, start: 1, step: 2 }]],
  ['every third, ends early', [2, 9], [{ axis: 1, start: 1, end: 6, step: 3 }]],
  ['step over the end', [5], [{ axis: 0, start: 3, step: 7 }]],
  [
    'big step on two axes',
    [5, 7],
    [
      { axis: 0, step: 4 },
      { axis: 1, start: 2, step: 3 },
    ],
  ],
  ['beyond the end', [4], [{ axis: 0, start: 2, end: 100 }]],
  ['nothing', [4], [{ axis: 0, start: 3, end: 2 }]],
  ['nothing, of a matrix', [4, 3], [{ axis: 0, start: 4 }]],
  ['of nothing', [0, 3], [{ axis: 1, start: 1 }]],
];

const REVERSALS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[5], [0]],
  [
    [2, 3, 4],
    [1, 2],
  ],
  [[2, 3], [-1]],
  [[1, 3], [0]],
];

/** Start, end and step below zero, on an axis of 7: the indices that Python's range gives. */
const BACKWARDS: readonly (readonly [number, number, number, readonly number[]])[] = [
  [-1, -100, -1, [6, 5, 4, 3, 2, 1, 0]],
  [5, 1, -2, [5, 3]],
  [6, 0, -3, [6, 3]],
  [100, -100, -4, [6, 2]],
  [3, 3, -1, []],
  [-100, -200, -1, [0]], // unlike NumPy, ONNX clamps the start into the axis
  [-2, -5, -1, [5, 4, 3]],
];

const PADS: readonly (readonly [string, readonly number[], readonly number[], readonly number[], number])[] =
  [
    ['before', [3], [2], [0], 0],
    ['after', [3], [0], [2], 0],
    ['both, of a matrix, filled', [2, 3], [1, 0], [2, 1], 5],
    ['cut before', [5], [-2], [0], 0],
    ['cut after', [5], [0], [-2], 0],
    ['cut and pad', [5, 4], [-1, 2], [2, -1], 0],
    ['of nothing', [0, 2], [1, 0], [1, 0], 0],
    ['picture', [1, 2, 3, 3], [0, 0, 1, 1], [0, 0, 1, 1], 0],
  ];

function padded(x: NdArray, before: readonly number[], after: readonly number[], fill: number): NdArray {
  return make(
    x.shape.map((size, axis) => size + (before[axis] as number) + (after[axis] as number)),
    (index) => {
      const place = index.map((i, axis) => i - (before[axis] as number));
      const isInside = place.every((i, axis) => i >= 0 && i < (x.shape[axis] as number));
      return isInside ? at(x, place) : fill;
    },
  );
}

function joined(arrays: readonly NdArray[], axis: number): NdArray {
  const shape = [...(arrays[0] as NdArray).shape];
  shape[axis] = arrays.reduce((total, { shape: own }) => total + (own[axis] as number), 0);
  return make(shape, (index) => {
    const place = [...index];
    for (const array of arrays) {
      const size = array.shape[axis] as number;
      if ((place[axis] as number) < size) return at(array, place);
      place[axis] = (place[axis] as number) - size;
    }
    return Number.NaN;
  });
}

const CONCATENATIONS: readonly (readonly [readonly (readonly number[])[], number])[] = [
  [
    [
      [2, 3],
      [4, 3],
    ],
    0,
  ],
  [
    [
      [2, 3],
      [2, 1],
      [2, 2],
    ],
    1,
  ],
  [
    [
      [2, 3, 1],
      [2, 3, 4],
    ],
    -1,
  ],
  [
    [
      [2, 3],
      [0, 3],
    ],
    0,
  ],
  [[[3], [3]], 0],
];

export const movementRows: readonly Row[] = [
  ...RESHAPES.map(
    ([from, to, result]): Row => ({
      operator: 'Reshape',
      name: `[${from}] to [${to}]`,
      inputs: [float(from)],
      build: (x) => graph.reshape(x, to),
      reference: ({ data }) => ({ shape: result, data }),
    }),
  ),
  ...[[3, 0], [5, 0, 2], [0]].map(
    (shape): Row => ({
      operator: 'Reshape',
      name: `[0, 3] to exactly [${shape}]`,
      inputs: [float([0, 3])],
      build: (x) => graph.reshapeExactly(x, shape),
      reference: ({ data }) => ({ shape, data }),
    }),
  ),
  ...PERMUTATIONS.map(
    ([shape, order]): Row => ({
      operator: 'Transpose',
      name: `[${shape}] by [${order}]`,
      inputs: [float(shape)],
      build: (x) => graph.transpose(x, order),
      reference: (x) => transpose(x, order),
    }),
  ),
  {
    operator: 'Transpose',
    name: 'order left out: reversed',
    inputs: [float([2, 3, 4])],
    build: (x) => apply(operators.Transpose, [x]),
    reference: (x) => transpose(x, [2, 1, 0]),
  },
  ...EXPANSIONS.map(
    ([from, to, result]): Row => ({
      operator: 'Expand',
      name: `[${from}] to [${to}]`,
      inputs: [float(from)],
      build: (x) => apply(operators.Expand, [x, int64(to)]),
      reference: (x) => make(result, (index) => broadcastAt(x, index)),
    }),
  ),
  ...CONCATENATIONS.map(
    ([shapes, axis]): Row => ({
      operator: 'Concat',
      name: `${shapes.map((shape) => `[${shape}]`).join(' ')} along ${axis}`,
      inputs: shapes.map((shape) => float(shape)),
      build: (...values) => graph.concat(values, axis),
      reference: (...arrays) => joined(arrays, axis < 0 ? axis + (shapes[0]?.length ?? 0) : axis),
    }),
  ),
  {
    operator: 'Concat',
    name: 'of one value with itself',
    inputs: [float([2, 2])],
    build: (x) => graph.concat([x, x], 0),
    reference: (x) => joined([x, x], 0),
  },
  ...SLICES.map(
    ([name, shape, ranges]): Row => ({
      operator: 'Slice',
      name,
      inputs: [float(shape)],
      build: (x) => graph.slice(x, ranges),
      reference: (x) => sliced(x, ranges),
    }),
  ),
  ...REVERSALS.map(
    ([shape, axes]): Row => ({
      operator: 'Slice',
      name: `[${shape}] reversed along [${axes}]`,
      inputs: [float(shape)],
      build: (x) => graph.reverse(x, axes),
      reference: (x) =>
        make(shape, (index) =>
          at(
            x,
            index.map((i, axis) =>
              axes.includes(axis) || axes.includes(axis - shape.length) ? (shape[axis] as number) - 1 - i : i,
            ),
          ),
        ),
    }),
  ),
  ...BACKWARDS.map(
    ([start, end, step, picked]): Row => ({
      operator: 'Slice',
      name: `backwards, ${start}:${end}:${step}`,
      inputs: [float([2, 7])],
      build: (x) => apply(operators.Slice, [x, int64([start]), int64([end]), int64([1]), int64([step])]),
      reference: (x) =>
        make([2, picked.length], ([row, i]) => at(x, [row as number, picked[i as number] as number])),
    }),
  ),
  {
    operator: 'Slice',
    name: 'axes and steps left out',
    inputs: [float([4, 5])],
    build: (x) => apply(operators.Slice, [x, int64([1, 0]), int64([3, -1])]),
    reference: (x) =>
      sliced(x, [
        { axis: 0, start: 1, end: 3 },
        { axis: 1, end: 4 },
      ]),
  },
  ...PADS.map(
    ([name, shape, before, after, fill]): Row => ({
      operator: 'Pad',
      name,
      inputs: [float(shape)],
      build: (x) => graph.pad(x, before, after, fill),
      reference: (x) => padded(x, before, after, fill),
    }),
  ),
  {
    operator: 'Split',
    name: 'two of three parts used, changed about',
    inputs: [float([2, 6])],
    build: (x) => {
      const [first, , third] = graph.split(x, [1, 3, 2], 1) as [Value, Value, Value];
      return graph.concat([third, first], 1);
    },
    reference: (x) => make([2, 3], ([row, i]) => at(x, [row as number, [4, 5, 0][i as number] as number])),
  },
  {
    operator: 'Split',
    name: 'along a negative axis, one part empty',
    inputs: [float([2, 3])],
    build: (x) => graph.concat([...graph.split(x, [3, 0], -1)].reverse(), 1),
    reference: (x) => x,
  },
  {
    operator: 'Split',
    name: 'equal parts by number',
    inputs: [float([5, 2])],
    build: (x) => graph.applyAll(operators.Split, [x], { axis: 0, num_outputs: 2 })[1] as Value,
    reference: (x) => make([2, 2], ([row, column]) => at(x, [3 + (row as number), column as number])),
  },
];
