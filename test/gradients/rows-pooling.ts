/** Rows of the gradient table: pooling. */
import * as graph from '../../src/graph/index.js';
import { type Attributes, apply, applyAll, operators } from '../../src/graph/index.js';
import { at, indices, make, mean, type NdArray, reduce } from './reference.js';
import { float, given, type InputSpec, type Row } from './row.js';

interface Pooling {
  readonly kernel: readonly number[];
  readonly strides?: readonly number[];
  /** All beginnings, then all ends. */
  readonly pads?: readonly number[];
  readonly dilations?: readonly number[];
  readonly ceil?: boolean;
  readonly autoPad?: 'SAME_UPPER' | 'SAME_LOWER' | 'VALID';
}

/** Where windows start along an axis, found by trying. */
function starts(size: number, axis: number, pooling: Pooling): { list: number[]; end: number } {
  const { kernel, strides, pads, dilations, ceil = false, autoPad } = pooling;
  const stride = strides?.[axis] ?? 1;
  const reach = (dilations?.[axis] ?? 1) * ((kernel[axis] as number) - 1) + 1;
  let before = pads?.[axis] ?? 0;
  const after = pads?.[axis + kernel.length] ?? 0;
  const list: number[] = [];
  if (autoPad?.startsWith('SAME')) {
    for (let start = 0; start < size; start += stride) list.push(start);
    const lacking = Math.max(0, (list[list.length - 1] as number) + reach - size);
    before = autoPad === 'SAME_UPPER' ? lacking >> 1 : lacking - (lacking >> 1);
    return { list: list.map((start) => start - before), end: size + lacking - before };
  }
  const end = size + after;
  for (let start = -before; ; start += stride) {
    const fits = start + reach <= end;
    const fitsPartly = ceil && start < size && start + reach < end + stride;
    if (!fits && !fitsPartly) return { list, end };
    list.push(start);
  }
}

/** `compute` gets the elements of a window that lie in the picture, and how many lie in the picture or its padding. */
function pooled(
  x: NdArray,
  pooling: Pooling,
  compute: (elements: number[], padded: number) => number,
): NdArray {
  const [batch, channels, ...spatial] = x.shape as [number, number, ...number[]];
  const axes = spatial.map((size, axis) => starts(size, axis, pooling));
  return make([batch, channels, ...axes.map(({ list }) => list.length)], ([n, c, ...window]) => {
    const elements: number[] = [];
    let padded = 0;
    for (const offset of indices(pooling.kernel)) {
      const place = offset.map(
        (a, axis) =>
          (axes[axis]?.list[window[axis] as number] as number) + a * (pooling.dilations?.[axis] ?? 1),
      );
      if (place.every((position, axis) => position < (axes[axis]?.end as number))) padded++;
      const isInside = place.every((position, axis) => position >= 0 && position < (spatial[axis] as number));
      if (isInside) elements.push(at(x, [n as number, c as number, ...place]));
    }
    return compute(elements, padded);
  });
}

const attributesOf = ({ kernel, strides, pads, dilations, ceil, autoPad }: Pooling): Attributes => ({
  kernel_shape: kernel,
  ...(strides === undefined ? {} : { strides }),
  ...(pads === undefined ? {} : { pads }),
  ...(dilations === undefined ? {} : { dilations }),
  ...(ceil === true ? { ceil_mode: 1 } : {}),
  ...(autoPad === undefined ? {} : { auto_pad: autoPad }),
});

const commonDivisor = (a: number, b: number): number => (b === 0 ? a : commonDivisor(b, a % b));

/** Numbers all of which differ by far more than the step of the central differences, in a scattered order. */
const distinct = (shape: readonly number[]): InputSpec => {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  let step = 7;
  while (commonDivisor(step, size) > 1) step += 2;
  return given(
    shape,
    Array.from({ length: size }, (_, i) => (((i * step * step) % size) * 2) / size - 1),
  );
};

type Case = readonly [name: string, shape: readonly number[], pooling: Pooling];

const POOLINGS: readonly Case[] = [
  ['2x2 at 2', [2, 3, 4, 6], { kernel: [2, 2], strides: [2, 2] }],
  ['2x2 at 2, pixels left over', [1, 2, 5, 7], { kernel: [2, 2], strides: [2, 2] }],
  ['2x2 at 3', [1, 2, 8, 7], { kernel: [2, 2], strides: [3, 3] }],
  ['3x3 at 2, padded', [2, 2, 8, 9], { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] }],
  ['3x3 at 2, ceil', [1, 2, 8, 6], { kernel: [3, 3], strides: [2, 2], ceil: true }],
  [
    '3x3 at 2, ceil, padded',
    [1, 2, 7, 8],
    { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1], ceil: true },
  ],
  ['2x2 at 2, ceil', [1, 2, 5, 7], { kernel: [2, 2], strides: [2, 2], ceil: true }],
  ['1x1 at 2, ceil', [1, 2, 5, 6], { kernel: [1, 1], strides: [2, 2], ceil: true }],
  [
    '2x2 at 3, ceil: no window in the padding behind',
    [1, 2, 6, 7],
    { kernel: [2, 2], strides: [3, 3], pads: [0, 0, 1, 1], ceil: true },
  ],
  ['3x3 at 1, padded', [2, 2, 5, 6], { kernel: [3, 3], strides: [1, 1], pads: [1, 1, 1, 1] }],
  ['3x3, attributes left out', [1, 2, 5, 4], { kernel: [3, 3] }],
  ['3x3 at 1, ceil', [1, 2, 5, 4], { kernel: [3, 3], pads: [1, 1, 1, 1], ceil: true }],
  ['5x3 at 1, no two sides alike', [1, 2, 7, 6], { kernel: [5, 3], pads: [0, 1, 2, 0] }],
  ['3x2 at 2x1, no two sides alike', [1, 2, 7, 6], { kernel: [3, 2], strides: [2, 1], pads: [1, 0, 0, 1] }],
  ['SAME_UPPER', [1, 2, 7, 6], { kernel: [3, 2], strides: [2, 1], autoPad: 'SAME_UPPER' }],
  ['SAME_LOWER', [1, 2, 6, 8], { kernel: [3, 2], strides: [2, 1], autoPad: 'SAME_LOWER' }],
  ['VALID', [1, 2, 8, 6], { kernel: [3, 2], strides: [2, 1], autoPad: 'VALID' }],
  [
    'SAME_UPPER, stride above the kernel',
    [1, 2, 7, 8],
    { kernel: [2, 2], strides: [3, 3], autoPad: 'SAME_UPPER' },
  ],
  ['sequence', [2, 3, 9], { kernel: [3], strides: [2], pads: [1, 1] }],
  ['sequence at 1', [2, 3, 9], { kernel: [3], pads: [1, 1] }],
  ['volume', [1, 2, 4, 4, 5], { kernel: [2, 2, 2], strides: [2, 2, 2] }],
  [
    'volume, overlapping',
    [1, 2, 4, 5, 4],
    { kernel: [2, 3, 2], strides: [1, 2, 1], pads: [0, 1, 1, 0, 1, 0] },
  ],
  ['volume at 1', [1, 2, 3, 4, 3], { kernel: [2, 3, 2], pads: [0, 1, 1, 0, 1, 0] }],
];

const DILATED: readonly Case[] = [
  ['dilated at 1', [1, 2, 7, 8], { kernel: [3, 2], dilations: [2, 3], pads: [1, 0, 1, 1] }],
  ['dilated at 2', [1, 2, 9, 8], { kernel: [3, 2], dilations: [2, 1], strides: [2, 2], pads: [1, 1, 1, 0] }],
  [
    'dilated, SAME_UPPER',
    [1, 2, 8, 7],
    { kernel: [3, 3], dilations: [1, 2], strides: [2, 1], autoPad: 'SAME_UPPER' },
  ],
  ['dilated, ceil', [1, 2, 8, 8], { kernel: [2, 2], dilations: [2, 2], strides: [2, 2], ceil: true }],
];

const largest = (elements: readonly number[]) => Math.max(...elements);
const total = (elements: readonly number[]) => elements.reduce((sum, x) => sum + x, 0);

/** Equal maxima: the gradient of ones, by hand. */
const TIES: readonly (readonly [string, readonly number[], readonly number[], Pooling, readonly number[]])[] =
  [
    [
      '2x2 at 2',
      [1, 1, 2, 4],
      [1, 1, 0, 2, 1, 1, 2, 2],
      { kernel: [2, 2], strides: [2, 2] },
      [1, 0, 0, 1, 0, 0, 0, 0],
    ],
    // Rows come before columns: of (0, 1) and (1, 0) the first is (0, 1).
    ['2x2 at 1, an anti-diagonal', [1, 1, 2, 2], [0, 5, 5, 0], { kernel: [2, 2] }, [0, 1, 0, 0]],
    [
      '2x2 at 2, an anti-diagonal',
      [1, 1, 2, 2],
      [0, 5, 5, 0],
      { kernel: [2, 2], strides: [2, 2] },
      [0, 1, 0, 0],
    ],
    [
      '3x3 at 2, all equal',
      [1, 1, 3, 3],
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
      { kernel: [3, 3], strides: [2, 2], pads: [1, 1, 1, 1] },
      [1, 1, 0, 1, 1, 0, 0, 0, 0],
    ],
    [
      '3x3 at 1, all equal',
      [1, 1, 3, 3],
      [0, 0, 0, 0, 0, 0, 0, 0, 0],
      { kernel: [3, 3], pads: [1, 1, 1, 1] },
      [4, 2, 0, 2, 1, 0, 0, 0, 0],
    ],
    [
      '1 of 3 at 1, large and small',
      [1, 1, 4],
      [-3e38, -3e38, 3e38, 3e38],
      { kernel: [3], pads: [1, 1] },
      [1, 0, 3, 0],
    ],
  ];

export const poolingRows: readonly Row[] = [
  ...[...POOLINGS, ...DILATED].flatMap(([name, shape, pooling]): Row[] => [
    {
      operator: 'MaxPool',
      name,
      inputs: [distinct(shape)],
      build: (x) => apply(operators.MaxPool, [x], attributesOf(pooling)),
      reference: (x) => pooled(x, pooling, largest),
    },
  ]),
  ...[...POOLINGS, ...DILATED].map(
    ([name, shape, pooling]): Row => ({
      operator: 'MaxPool',
      name: `indices, ${name}`,
      inputs: [distinct(shape)],
      build: (x) => applyAll(operators.MaxPool, [x], attributesOf(pooling))[1] as graph.Value,
      reference: (x) => {
        const maxima = pooled(x, pooling, largest);
        return { shape: maxima.shape, data: maxima.data.map((element) => x.data.indexOf(element)) };
      },
      gradient: 'zero',
    }),
  ),
  ...TIES.map(
    ([name, shape, values, pooling, gradient]): Row => ({
      operator: 'MaxPool',
      name: `ties, ${name}`,
      inputs: [given(shape, values)],
      build: (x) => apply(operators.MaxPool, [x], attributesOf(pooling)),
      reference: (x) => pooled(x, pooling, largest),
      gradient: [gradient],
    }),
  ),
  ...POOLINGS.flatMap(([name, shape, pooling]): Row[] => [
    {
      operator: 'AveragePool',
      name,
      inputs: [float(shape)],
      build: (x) => apply(operators.AveragePool, [x], attributesOf(pooling)),
      reference: (x) => pooled(x, pooling, mean),
    },
    {
      operator: 'AveragePool',
      name: `${name}, padding counts`,
      inputs: [float(shape)],
      build: (x) => apply(operators.AveragePool, [x], { ...attributesOf(pooling), count_include_pad: 1 }),
      reference: (x) => pooled(x, pooling, (elements, padded) => total(elements) / padded),
    },
  ]),
  {
    operator: 'AveragePool',
    name: 'by 4',
    inputs: [float([2, 2, 4, 4])],
    build: (x) => graph.averagePool(x, 4),
    reference: (x) => pooled(x, { kernel: [4, 4], strides: [4, 4] }, mean),
  },
  ...[
    [2, 3, 4, 5],
    [1, 1, 1, 1],
    [2, 3, 5],
    [1, 2, 2, 3, 2],
  ].flatMap((shape): Row[] => {
    const axes = shape.map((_, axis) => axis).slice(2);
    return [
      {
        operator: 'GlobalAveragePool',
        name: `[${shape}]`,
        inputs: [float(shape)],
        build: (x) => apply(operators.GlobalAveragePool, [x]),
        reference: (x) => reduce(x, axes, true, mean),
      },
      {
        operator: 'GlobalMaxPool',
        name: `[${shape}]`,
        inputs: [distinct(shape)],
        build: (x) => apply(operators.GlobalMaxPool, [x]),
        reference: (x) => reduce(x, axes, true, largest),
      },
    ];
  }),
  {
    operator: 'GlobalMaxPool',
    name: 'ties',
    inputs: [given([1, 2, 2, 2], [1, 3, 3, 0, 2, 2, 2, 2])],
    build: (x) => apply(operators.GlobalMaxPool, [x]),
    reference: (x) => reduce(x, [2, 3], true, largest),
    gradient: [[0, 1, 0, 0, 1, 0, 0, 0]],
  },
];
