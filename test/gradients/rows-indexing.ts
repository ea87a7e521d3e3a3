/** Rows of the gradient table: selection by indices that are constant, of elements and slices, and Einstein sums. */
import * as graph from '../../src/graph/index.js';
import { apply, constant, operators, type Value } from '../../src/graph/index.js';
import { at, indices, make, type NdArray } from './reference.js';
import { float, given, type Row } from './row.js';

const constants = (values: readonly number[], shape: readonly number[]): Value =>
  constant(values, shape, { dataType: 'int64' });

const SELECTIONS: readonly (readonly [
  string,
  readonly number[],
  number,
  readonly number[],
  readonly number[],
])[] = [
  ['one, which takes the axis away', [2, 5, 3], 1, [], [0]],
  ['the last, counted from the end', [2, 5, 3], 1, [], [-1]],
  ['a run', [5, 2], 0, [3], [1, 2, 3]],
  ['some in another order', [5, 2], 0, [3], [4, 0, 2]],
  ['all in another order', [2, 4], 1, [4], [2, 0, 3, 1]],
  ['a matrix of indices', [6], 0, [2, 2], [5, 1, 0, 2]],
  ['some twice', [3, 2], 0, [5], [2, 0, 2, 2, -3]],
  ['none', [3, 2], 0, [0], []],
];

const taken = (x: NdArray, axis: number, shape: readonly number[], places: readonly number[]): NdArray => {
  const list = { shape, data: Float64Array.from(places) };
  return make([...x.shape.slice(0, axis), ...shape, ...x.shape.slice(axis + 1)], (index) => {
    const place = at(list, index.slice(axis, axis + shape.length));
    const size = x.shape[axis] as number;
    return at(x, [
      ...index.slice(0, axis),
      place < 0 ? place + size : place,
      ...index.slice(axis + shape.length),
    ]);
  });
};

/** Adds or writes updates at the places, in order. */
function written(
  x: NdArray,
  updates: NdArray,
  place: (index: readonly number[]) => readonly number[],
  isAdded: boolean,
): NdArray {
  const data = x.data.slice();
  for (const index of indices(updates.shape)) {
    const flat = place(index).reduce((sum, i, axis) => sum * (x.shape[axis] as number) + i, 0);
    data[flat] = (isAdded ? (data[flat] as number) : 0) + at(updates, index);
  }
  return { shape: x.shape, data };
}

const EQUATIONS: readonly (readonly [string, string, readonly (readonly number[])[]])[] = [
  [
    'ij,jk->ik',
    'ij,jk->ik',
    [
      [2, 3],
      [3, 4],
    ],
  ],
  [
    'bhid,bhjd->bhij',
    'bhid,bhjd->bhij',
    [
      [2, 3, 4, 5],
      [2, 3, 2, 5],
    ],
  ],
  [
    'bhij,bhjd->bihd',
    'bhij,bhjd->bihd',
    [
      [2, 2, 3, 4],
      [2, 2, 4, 5],
    ],
  ],
  ['ij->ji', 'ij->ji', [[2, 3]]],
  ['ij->i', 'ij->i', [[2, 3]]],
  ['ijk->', 'ijk->', [[2, 3, 2]]],
  ['i,j->ij', 'i,j->ij', [[3], [4]]],
  [
    'ij,kj',
    'ij,kj->ik',
    [
      [2, 3],
      [4, 3],
    ],
  ],
  ['a,ab,b->a', 'a,ab,b->a', [[3], [3, 4], [4]]],
  [
    '...ij,...jk->...ik',
    'ABij,ABjk->ABik',
    [
      [2, 2, 3, 4],
      [2, 2, 4, 2],
    ],
  ],
  ['...i,i->...', 'ABi,i->AB', [[2, 3, 4], [4]]],
];

function sumOfProducts(equation: string, arrays: readonly NdArray[]): NdArray {
  const [left = '', result = ''] = equation.split('->');
  const terms = left.split(',');
  const sizes = new Map<string, number>();
  terms.forEach((term, i) => {
    [...term].forEach((label, axis) => {
      sizes.set(label, arrays[i]?.shape[axis] as number);
    });
  });
  const summed = [...sizes.keys()].filter((label) => !result.includes(label));
  return make(
    [...result].map((label) => sizes.get(label) as number),
    (index) => {
      const places = new Map([...result].map((label, i) => [label, index[i] as number]));
      let total = 0;
      for (const inner of indices(summed.map((label) => sizes.get(label) as number))) {
        summed.forEach((label, i) => {
          places.set(label, inner[i] as number);
        });
        total += terms.reduce(
          (product, term, i) =>
            product *
            at(
              arrays[i] as NdArray,
              [...term].map((label) => places.get(label) as number),
            ),
          1,
        );
      }
      return total;
    },
  );
}

const ELEMENTS = given([2, 3], [0, 1, 1, 2, 0, 0], 'int64');

export const indexingRows: readonly Row[] = [
  ...SELECTIONS.map(
    ([name, shape, axis, indexShape, places]): Row => ({
      operator: 'Gather',
      name: `constant: ${name}`,
      inputs: [float(shape)],
      build: (x) => graph.gather(x, constants(places, indexShape), axis),
      reference: (x) => taken(x, axis, indexShape, places),
    }),
  ),
  {
    operator: 'Gather',
    name: 'of a table too large for one-hot rows',
    inputs: [
      float([70_000, 2]),
      given(
        [40],
        Array.from({ length: 40 }, (_, i) => (i * i * 7919) % 1000),
        'int64',
      ),
    ],
    build: (x, places) => graph.gather(x, places, 0),
    reference: (x, places) => taken(x, 0, [40], [...places.data]),
  },
  {
    operator: 'GatherElements',
    name: 'along the first axis, some twice',
    inputs: [float([3, 3]), ELEMENTS],
    build: (x, places) => graph.gatherElements(x, places, 0),
    reference: (x, places) => make([2, 3], (index) => at(x, [at(places, index), index[1] as number])),
  },
  {
    operator: 'GatherElements',
    name: 'along the last axis',
    inputs: [float([2, 3]), ELEMENTS],
    build: (x, places) => graph.gatherElements(x, places, 1),
    reference: (x, places) => make([2, 3], (index) => at(x, [index[0] as number, at(places, index)])),
  },
  ...[1, 2].map(
    (depth): Row => ({
      operator: 'GatherND',
      name: `${depth} of the axes, some twice`,
      inputs: [float([3, 4, 2]), given([3, depth], depth === 1 ? [2, 0, 2] : [0, 1, -1, 3, 0, 1], 'int64')],
      build: graph.gatherSlices,
      reference: (x, places) =>
        make([3, ...[3, 4, 2].slice(depth)], ([row, ...rest]) => {
          const place = Array.from({ length: depth }, (_, i) => {
            const given = at(places, [row as number, i]);
            return given < 0 ? given + (x.shape[i] as number) : given;
          });
          return at(x, [...place, ...rest]);
        }),
    }),
  ),
  {
    operator: 'GatherND',
    name: 'with a shared first axis has no gradient',
    inputs: [float([2, 3]), given([2, 1], [2, 0], 'int64')],
    build: (x, places) => apply(operators.GatherND, [x, places], { batch_dims: 1 }),
    reference: (x, places) => make([2], ([i]) => at(x, [i as number, at(places, [i as number, 0])])),
    gradient: 'none',
  },
  ...(['none', 'add'] as const).flatMap((reduction): Row[] => [
    {
      operator: 'ScatterElements',
      name: `along the last axis, ${reduction}`,
      inputs: [float([2, 4]), given([2, 2], [3, 0, 1, 2], 'int64'), float([2, 2])],
      build: (x, places, updates) => graph.scatterElements(x, places, updates, { axis: 1, reduction }),
      reference: (x, places, updates) =>
        written(x, updates, (index) => [index[0] as number, at(places, index)], reduction === 'add'),
    },
    {
      operator: 'ScatterND',
      name: `rows, ${reduction}`,
      inputs: [float([4, 2]), given([2, 1], [3, 1], 'int64'), float([2, 2])],
      build: (x, places, updates) => graph.scatterSlices(x, places, updates, reduction),
      reference: (x, places, updates) =>
        written(
          x,
          updates,
          ([row, column]) => [at(places, [row as number, 0]), column as number],
          reduction === 'add',
        ),
    },
    {
      operator: 'ScatterND',
      name: `elements, ${reduction}`,
      inputs: [float([4, 2]), given([3, 2], [3, 1, 0, 0, 2, 1], 'int64'), float([3])],
      build: (x, places, updates) => graph.scatterSlices(x, places, updates, reduction),
      reference: (x, places, updates) =>
        written(
          x,
          updates,
          ([row]) => [at(places, [row as number, 0]), at(places, [row as number, 1])],
          reduction === 'add',
        ),
    },
  ]),
  {
    operator: 'ArgMin',
    name: 'the first of equals, along the last axis',
    inputs: [given([2, 3], [1, 0, 0, 5, 4, 3])],
    build: (x) => graph.cast(graph.argMin(x), 'int32'),
    reference: () => ({ shape: [2], data: Float64Array.of(1, 2) }),
    gradient: 'zero',
  },
  ...EQUATIONS.map(
    ([equation, plain, shapes]): Row => ({
      operator: 'Einsum',
      name: equation,
      inputs: shapes.map((shape) => float(shape)),
      build: (...values) => graph.einsum(equation, values),
      reference: (...arrays) => sumOfProducts(plain, arrays),
    }),
  ),
  {
    operator: 'Einsum',
    name: 'of a diagonal has no gradient',
    inputs: [float([3, 3])],
    build: (x) => graph.einsum('ii->i', [x]),
    reference: (x) => make([3], ([i]) => at(x, [i as number, i as number])),
    gradient: 'none',
  },
];
