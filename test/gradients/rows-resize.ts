/** Rows of the gradient table: resizing. The reference interpolates point by point in float64. */
import { type Attributes, apply, constant, int64, operators, type Value } from '../../src/graph/index.js';
import { at, make, type NdArray } from './reference.js';
import { float, type Row } from './row.js';

interface Resizing {
  readonly scales?: readonly number[];
  readonly sizes?: readonly number[];
  readonly attributes: Attributes;
}

type Modes = Readonly<Record<string, string | number>>;

function coordinate(
  i: number,
  size: number,
  resized: number,
  scale: number,
  { coordinate_transformation_mode }: Modes,
) {
  switch (coordinate_transformation_mode) {
    case 'asymmetric':
      return i / scale;
    case 'align_corners':
      return resized === 1 ? 0 : (i * (size - 1)) / (resized - 1);
    case 'pytorch_half_pixel':
      return resized === 1 ? 0 : (i + 0.5) / scale - 0.5;
    case 'half_pixel_symmetric':
      return (size * (1 - resized / (scale * size))) / 2 + (i + 0.5) / scale - 0.5;
    default:
      return (i + 0.5) / scale - 0.5;
  }
}

/** A signal that is continued by its ends. */
function sample(signal: (i: number) => number, size: number, x: number, modes: Modes): number {
  const inside = (i: number) => signal(Math.min(Math.max(i, 0), size - 1));
  const floor = Math.floor(x + 1e-7);
  if (modes.mode === 'linear') {
    const t = x - floor;
    return inside(floor) * (1 - t) + inside(floor + 1) * t;
  }
  if (modes.mode === 'cubic') {
    const a = Number(modes.cubic_coeff_a ?? -0.75);
    let total = 0;
    let weights = 0;
    for (let i = floor - 1; i <= floor + 2; i++) {
      const d = Math.abs(x - i);
      const weight =
        d <= 1 ? (a + 2) * d ** 3 - (a + 3) * d ** 2 + 1 : a * d ** 3 - 5 * a * d ** 2 + 8 * a * d - 4 * a;
      if (modes.exclude_outside === 1 && (i < 0 || i >= size)) continue;
      total += weight * inside(i);
      weights += weight;
    }
    return modes.exclude_outside === 1 ? total / weights : total;
  }
  const isTie = Math.abs(x - floor - 0.5) < 1e-6;
  if (modes.nearest_mode === 'floor') return inside(floor);
  if (modes.nearest_mode === 'ceil') return inside(Math.ceil(x - 1e-7));
  if (isTie) return inside(modes.nearest_mode === 'round_prefer_ceil' ? floor + 1 : floor);
  return inside(Math.round(x));
}

function resized(x: NdArray, { scales, sizes, attributes }: Resizing): NdArray {
  const axes = (attributes.axes as readonly number[] | undefined) ?? x.shape.map((_, axis) => axis);
  let result = x;
  axes.forEach((axis, i) => {
    const size = x.shape[axis] as number;
    const scale = scales?.[i] ?? (sizes?.[i] as number) / size;
    const count = sizes?.[i] ?? Math.floor(size * scale + 1e-6);
    if (scale === 1) return;
    const before = result;
    result = make(
      before.shape.map((old, other) => (other === axis ? count : old)),
      (index) =>
        sample(
          (place) =>
            at(
              before,
              index.map((old, other) => (other === axis ? place : old)),
            ),
          size,
          coordinate(index[axis] as number, size, count, scale, attributes as Modes),
          attributes as Modes,
        ),
    );
  });
  return result;
}

const CASES: readonly (readonly [string, readonly number[], Resizing])[] = [
  ...['asymmetric', 'half_pixel', 'pytorch_half_pixel', 'align_corners'].flatMap((coordinates) =>
    ['floor', 'round_prefer_floor', 'round_prefer_ceil', 'ceil'].map((rounding) => {
      const attributes = {
        mode: 'nearest',
        coordinate_transformation_mode: coordinates,
        nearest_mode: rounding,
      };
      return [
        `nearest, ${coordinates}, ${rounding}`,
        [1, 2, 3, 4],
        { sizes: [1, 2, 7, 2], attributes },
      ] as const;
    }),
  ),
  ...['linear', 'cubic'].flatMap((mode) =>
    ['asymmetric', 'half_pixel', 'half_pixel_symmetric', 'pytorch_half_pixel', 'align_corners'].map(
      (coordinates) => {
        const attributes = { mode, coordinate_transformation_mode: coordinates };
        return [`${mode}, ${coordinates}`, [2, 2, 4, 5], { sizes: [2, 2, 7, 3], attributes }] as const;
      },
    ),
  ),
  [
    'nearest, twice as large',
    [2, 3, 3, 2],
    {
      scales: [1, 1, 2, 2],
      attributes: { coordinate_transformation_mode: 'asymmetric', nearest_mode: 'floor' },
    },
  ],
  ['linear, scales', [1, 2, 4, 6], { scales: [1, 1, 1.5, 0.5], attributes: { mode: 'linear' } }],
  [
    'linear, scales that do not come out',
    [1, 1, 5, 5],
    {
      scales: [1, 1, 1.3, 0.7],
      attributes: { mode: 'linear', coordinate_transformation_mode: 'pytorch_half_pixel' },
    },
  ],
  ['linear, axes', [1, 2, 4, 6], { sizes: [3, 8], attributes: { mode: 'linear', axes: [2, 3] } }],
  ['linear, to one pixel', [1, 2, 4, 6], { sizes: [1, 2, 1, 1], attributes: { mode: 'linear' } }],
  [
    'cubic, nothing from outside',
    [1, 2, 4, 5],
    { sizes: [1, 2, 9, 4], attributes: { mode: 'cubic', exclude_outside: 1 } },
  ],
  [
    'cubic, other coefficient',
    [1, 2, 4, 5],
    { sizes: [1, 2, 9, 4], attributes: { mode: 'cubic', cubic_coeff_a: -0.5 } },
  ],
  ['nearest, volume', [1, 1, 2, 3, 2], { sizes: [1, 1, 4, 3, 5], attributes: { mode: 'nearest' } }],
  ['nothing to do', [1, 2, 3, 3], { scales: [1, 1, 1, 1], attributes: { mode: 'linear' } }],
];

export const resizeRows: readonly Row[] = CASES.map(
  ([name, shape, resizing]): Row => ({
    operator: 'Resize',
    name,
    inputs: [float(shape)],
    build: (x) => {
      const inputs: (Value | undefined)[] =
        resizing.sizes === undefined
          ? [x, undefined, constant(resizing.scales ?? [])]
          : [x, undefined, undefined, int64(resizing.sizes)];
      return apply(operators.Resize, inputs, resizing.attributes);
    },
    reference: (x) => resized(x, resizing),
    tolerance: 1e-4, // coordinates are float32
  }),
);
