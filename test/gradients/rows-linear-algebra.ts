/** Rows of the gradient table: matrix products, and selection by index. */
import * as graph from '../../src/graph/index.js';
import { type Attributes, apply, constant, int64, operators, type Value } from '../../src/graph/index.js';
import { at, broadcastAt, make, matmul, type NdArray, transpose } from './reference.js';
import { float, given, type Row } from './row.js';

const PRODUCTS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [
    [3, 4],
    [4, 5],
  ],
  [
    [1, 1],
    [1, 1],
  ],
  [[4], [4]],
  [[4], [4, 3]],
  [[3, 4], [4]],
  [[2, 3, 4], [4]],
  [[4], [2, 4, 3]],
  [
    [2, 3, 4],
    [2, 4, 5],
  ],
  [
    [2, 3, 4],
    [4, 5],
  ],
  [
    [3, 4],
    [2, 4, 5],
  ],
  [
    [2, 1, 3, 4],
    [5, 4, 2],
  ],
  [
    [1, 3, 4],
    [6, 4, 2],
  ],
  [
    [2, 5, 3, 4],
    [2, 1, 4, 2],
  ],
  [
    [2, 5, 3, 4],
    [4, 2],
  ],
  [
    [0, 4],
    [4, 3],
  ],
  [
    [3, 0],
    [0, 2],
  ],
  [
    [2, 0, 4],
    [4, 3],
  ],
];

const GEMMS: readonly (readonly [
  string,
  readonly number[],
  readonly number[],
  readonly number[] | undefined,
  Attributes,
])[] = [
  ['plain', [3, 4], [4, 2], undefined, {}],
  ['both transposed, scaled', [4, 3], [2, 4], undefined, { transA: 1, transB: 1, alpha: 0.5 }],
  ['first transposed', [4, 3], [4, 2], [3, 2], { transA: 1 }],
  ['second transposed, bias a row', [3, 4], [2, 4], [2], { transB: 1 }],
  ['bias a column, scaled', [3, 4], [4, 2], [3, 1], { alpha: 2, beta: -0.5 }],
  ['bias a scalar', [3, 4], [4, 2], [], { beta: 3 }],
];

function gemm(
  a: NdArray,
  b: NdArray,
  c: NdArray | undefined,
  { transA, transB, alpha = 1, beta = 1 }: Attributes,
) {
  const product = matmul(transA ? transpose(a, [1, 0]) : a, transB ? transpose(b, [1, 0]) : b);
  return make(
    product.shape,
    (index) =>
      Number(alpha) * at(product, index) + (c === undefined ? 0 : Number(beta) * broadcastAt(c, index)),
  );
}

function gathered(x: NdArray, picked: NdArray, axis: number): NdArray {
  const size = x.shape[axis] as number;
  const rank = picked.shape.length;
  return make([...x.shape.slice(0, axis), ...picked.shape, ...x.shape.slice(axis + 1)], (index) => {
    const place = at(picked, index.slice(axis, axis + rank));
    return at(x, [...index.slice(0, axis), place < 0 ? place + size : place, ...index.slice(axis + rank)]);
  });
}

const GATHERS: readonly (readonly [
  string,
  readonly number[],
  number,
  readonly number[],
  readonly number[],
])[] = [
  ['rows', [4, 3], 0, [2], [3, 0]],
  ['repeated rows add up', [4, 3], 0, [5], [1, 1, 2, 1, 0]],
  ['negative indices', [4, 3], 0, [3], [-1, 0, -4]],
  ['a scalar index', [4, 3], 0, [], [2]],
  ['a matrix of indices', [5, 2], 0, [2, 3], [0, 1, 2, 4, 4, 4]],
  ['along the last axis', [2, 3, 4], -1, [2], [3, 3]],
  ['along a middle axis', [2, 3, 4], 1, [2, 2], [2, 0, 0, 1]],
  ['of a vector', [6], 0, [4], [5, 5, 0, 2]],
  ['no index', [4, 3], 0, [0], []],
];

/** Places of the k largest (or smallest), earlier ones first where equal. */
function topPlaces(elements: readonly number[], k: number): number[] {
  const order = elements
    .map((_, i) => i)
    .sort((a, b) => (elements[b] as number) - (elements[a] as number) || a - b);
  return order.slice(0, k);
}

const rowOf = (x: NdArray, row: number): number[] =>
  Array.from({ length: x.shape[1] as number }, (_, column) => at(x, [row, column]));

const withTies = given([3, 4], [1, 3, 3, 0, 2, 2, 2, 2, -1, -2, -3, -1]);

/** Ones at the places that are taken of `withTies`. */
const TOP_GRADIENTS: Readonly<Record<number, readonly number[]>> = {
  1: [0, 1, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0],
  2: [0, 1, 1, 0, 1, 1, 0, 0, 1, 0, 0, 1],
  4: Array.from({ length: 12 }, () => 1),
};

export const linearAlgebraRows: readonly Row[] = [
  ...PRODUCTS.map(
    ([a, b]): Row => ({
      operator: 'MatMul',
      name: `[${a}] by [${b}]`,
      inputs: [float(a), float(b)],
      build: graph.matmul,
      reference: matmul,
    }),
  ),
  {
    operator: 'MatMul',
    name: 'by its own transpose',
    inputs: [float([3, 4])],
    build: (x) => graph.matmul(x, graph.matrixTranspose(x)),
    reference: (x) => matmul(x, transpose(x, [1, 0])),
  },
  ...GEMMS.map(
    ([name, a, b, c, attributes]): Row => ({
      operator: 'Gemm',
      name,
      inputs: [float(a), float(b), ...(c === undefined ? [] : [float(c)])],
      build: (...values) => apply(operators.Gemm, values, attributes),
      reference: (...arrays) => gemm(arrays[0] as NdArray, arrays[1] as NdArray, arrays[2], attributes),
    }),
  ),
  ...GATHERS.flatMap(([name, shape, axis, indexShape, indices]) =>
    (['int64', 'int32'] as const).map(
      (dataType): Row => ({
        operator: 'Gather',
        name: `${name}, ${dataType}`,
        inputs: [float(shape), given(indexShape, indices, dataType)],
        build: (x, places) => graph.gather(x, places, axis),
        reference: (x, places) => gathered(x, places, axis < 0 ? axis + shape.length : axis),
      }),
    ),
  ),
  {
    operator: 'OneHot',
    name: 'inside, from the end, and outside',
    inputs: [given([2, 3], [0, 3, 1, -1, 4, 2], 'int64')],
    build: (places) => graph.oneHot(places, 4),
    reference: (places) =>
      make([2, 3, 4], ([i, j, k]) =>
        Number([k, (k as number) - 4].includes(at(places, [i as number, j as number]))),
      ),
  },
  {
    operator: 'OneHot',
    name: 'along the first axis, off and on values given',
    inputs: [given([3], [2, 0, 1], 'int64')],
    build: (places) => apply(operators.OneHot, [places, int64([4]), constant([-1, 5])], { axis: 0 }),
    reference: (places) => make([4, 3], ([k, i]) => (at(places, [i as number]) === k ? 5 : -1)),
  },
  {
    operator: 'ArgMax',
    name: 'last axis, ties to the first',
    inputs: [withTies],
    build: (x) => graph.argMax(x),
    reference: (x) => make([3], ([row]) => topPlaces(rowOf(x, row as number), 1)[0] as number),
    gradient: 'zero',
  },
  {
    operator: 'ArgMax',
    name: 'first axis, kept',
    inputs: [float([3, 4])],
    build: (x) => apply(operators.ArgMax, [x], { axis: 0 }),
    reference: (x) =>
      make([1, 4], ([, i]) => topPlaces(rowOf(transpose(x, [1, 0]), i as number), 1)[0] as number),
    gradient: 'zero',
  },
  ...[1, 2, 4].flatMap((k): Row[] => [
    {
      operator: 'TopK',
      name: `values of ${k}`,
      inputs: [withTies],
      build: (x) => graph.topK(x, k).values,
      reference: (x) =>
        make([3, k], ([row, i]) => {
          const elements = rowOf(x, row as number);
          return elements[topPlaces(elements, k)[i as number] as number] as number;
        }),
      gradient: [TOP_GRADIENTS[k] as readonly number[]],
    },
    {
      operator: 'TopK',
      name: `places of ${k}`,
      inputs: [float([3, 4])],
      build: (x) => graph.cast(graph.topK(x, k).indices, 'int32'),
      reference: (x) =>
        make([3, k], ([row, i]) => topPlaces(rowOf(x, row as number), k)[i as number] as number),
      gradient: 'zero',
    },
  ]),
  {
    operator: 'TopK',
    name: 'along the first axis, smallest',
    inputs: [float([5, 2])],
    build: (x) =>
      graph.applyAll(operators.TopK, [x, int64([2])], { axis: 0, largest: 0, sorted: 1 })[0] as Value,
    reference: (x) =>
      make([2, 2], ([i, column]) => {
        const elements = rowOf(transpose(x, [1, 0]), column as number).sort((a, b) => a - b);
        return elements[i as number] as number;
      }),
  },
];
