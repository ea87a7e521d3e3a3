/**
 * `Resize`: every output element is a weighted sum of input elements, separably, so the gradient is the product with a
 * constant interpolation matrix an axis, transposed. Coordinates are computed in float32, as runtimes do, so that ties
 * of `nearest` fall alike. Source: the ONNX specification of Resize (opset 18).
 */
import { ShapeError } from '../util/index.js';
import { type AxisMatrix, axisMatrix, productAlongAxis, transposedMatrix } from './axis-product.js';
import {
  type Attributes,
  type Dimension,
  formatShape,
  knownContent,
  type Operator,
  type Value,
} from './ir.js';
import { normalizeAxis, required } from './shapes.js';

/** How an axis changes. */
interface AxisResize {
  readonly size: Dimension;
  readonly resized: Dimension;
  readonly scale: number;
}

const MODES = ['nearest', 'linear', 'cubic'];
const COORDINATES = [
  'half_pixel',
  'half_pixel_symmetric',
  'pytorch_half_pixel',
  'align_corners',
  'asymmetric',
];
const ROUNDINGS = ['round_prefer_floor', 'round_prefer_ceil', 'floor', 'ceil'];

const Resize: Operator = {
  name: 'Resize',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'Resize', 0);
    requireOneOf(attributes.mode ?? 'nearest', MODES, 'mode');
    requireOneOf(
      attributes.coordinate_transformation_mode ?? 'half_pixel',
      COORDINATES,
      'coordinate_transformation_mode',
    );
    requireOneOf(attributes.nearest_mode ?? 'round_prefer_floor', ROUNDINGS, 'nearest_mode');
    requireOneOf(attributes.keep_aspect_ratio_policy ?? 'stretch', ['stretch'], 'keep_aspect_ratio_policy');
    if (attributes.antialias === 1) {
      throw new ShapeError('Resize: antialias must be 0, got 1. Export the model without it.');
    }
    return [{ dataType: x.dataType, shape: resizes(inputs, attributes).map(({ resized }) => resized) }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    let gradient = outputGradients[0] as Value;
    resizes(inputs, attributes).forEach(({ size, resized, scale }, axis) => {
      if (size === resized && scale === 1) return;
      const matrix = interpolation(Number(size), Number(resized), scale, attributes);
      gradient = productAlongAxis(gradient, transposedMatrix(matrix), axis);
    });
    return [gradient];
  },
};

export const resizeOperators = { Resize } satisfies Record<string, Operator>;

// --- internal ---

function requireOneOf(value: unknown, known: readonly string[], what: string): void {
  if (!known.includes(String(value))) {
    throw new ShapeError(`Resize: ${what} must be one of ${known.join(', ')}, got '${value}'.`);
  }
}

function resizes(inputs: readonly (Value | undefined)[], attributes: Attributes): AxisResize[] {
  const x = inputs[0] as Value;
  const isGiven = (value: Value | undefined): value is Value => value !== undefined && value.shape[0] !== 0;
  const [scalesInput, sizesInput] = [inputs[2], inputs[3]];
  if (isGiven(scalesInput) === isGiven(sizesInput)) {
    throw new ShapeError('Resize: scales or sizes must be given, got both or none.');
  }
  const content = knownContent(isGiven(sizesInput) ? sizesInput : scalesInput);
  const axes = (attributes.axes as readonly number[] | undefined) ?? x.shape.map((_, axis) => axis);
  if (content === undefined) {
    throw new ShapeError(
      'Resize: scales or sizes must be known when the graph is built, got a computed value.',
    );
  }
  if (content.length !== axes.length) {
    throw new ShapeError(
      `Resize: scales or sizes must have ${axes.length} elements for input ${formatShape(x.shape)}, got ${content.length}.`,
    );
  }
  const result: AxisResize[] = x.shape.map((size) => ({ size, resized: size, scale: 1 }));
  axes.forEach((given, i) => {
    const axis = normalizeAxis(given, x.rank, 'Resize');
    const size = x.shape[axis] as Dimension;
    const wanted = content[i] as Dimension;
    if (wanted === (isGiven(sizesInput) ? size : 1)) return;
    if (typeof size !== 'number' || typeof wanted !== 'number') {
      throw new ShapeError(
        `Resize: the size along axis ${axis} must be known, got '${size}' to '${wanted}'. Read the model with a number in its place.`,
      );
    }
    const resized = isGiven(sizesInput) ? wanted : Math.floor(Math.fround(size * Math.fround(wanted)));
    const scale = Math.fround(isGiven(sizesInput) ? wanted / size : wanted);
    if (!(resized >= 1)) {
      throw new ShapeError(`Resize: sizes must be 1 or more, got ${resized} along axis ${axis}.`);
    }
    result[axis] = { size, resized, scale };
  });
  return result;
}

/** Row: an output element; column: an input element. */
function interpolation(size: number, resized: number, scale: number, attributes: Attributes): AxisMatrix {
  const matrix = axisMatrix(resized, size, () => 0);
  const add = (row: number, column: number, weight: number) => {
    const clamped = Math.min(Math.max(column, 0), size - 1);
    const place = row * size + clamped;
    matrix.data[place] = (matrix.data[place] as number) + weight;
  };
  const mode = attributes.mode ?? 'nearest';
  for (let row = 0; row < resized; row++) {
    const x = originalCoordinate(row, size, resized, scale, attributes);
    if (mode === 'nearest') {
      add(row, rounded(x, String(attributes.nearest_mode ?? 'round_prefer_floor')), 1);
    } else if (mode === 'linear') {
      const inside = Math.min(Math.max(x, 0), size - 1);
      const left = Math.floor(inside);
      add(row, left, 1 - (inside - left));
      add(row, left + 1, inside - left);
    } else {
      const left = Math.floor(x);
      const weights = cubicWeights(x - left, Number(attributes.cubic_coeff_a ?? -0.75));
      const isOutside = (i: number) => left - 1 + i < 0 || left - 1 + i >= size;
      const kept = weights.map((weight, i) =>
        attributes.exclude_outside === 1 && isOutside(i) ? 0 : weight,
      );
      const sum = kept.reduce((total, weight) => total + weight, 0);
      kept.forEach((weight, i) => {
        add(row, left - 1 + i, attributes.exclude_outside === 1 ? weight / sum : weight);
      });
    }
  }
  return matrix;
}

function originalCoordinate(
  x: number,
  size: number,
  resized: number,
  scale: number,
  attributes: Attributes,
): number {
  const { fround } = Math;
  const halfPixel = () => fround(fround(fround(x + 0.5) / scale) - 0.5);
  switch (attributes.coordinate_transformation_mode ?? 'half_pixel') {
    case 'asymmetric':
      return fround(x / scale);
    case 'align_corners':
      return resized === 1 ? 0 : fround(fround(x * (size - 1)) / (resized - 1));
    case 'pytorch_half_pixel':
      return resized > 1 ? halfPixel() : 0;
    case 'half_pixel_symmetric': {
      const adjustment = resized / (scale * size);
      return (size / 2) * (1 - adjustment) + (x + 0.5) / scale - 0.5;
    }
    default:
      return halfPixel();
  }
}

function rounded(x: number, mode: string): number {
  const floor = Math.floor(x);
  if (mode === 'floor') return floor;
  if (mode === 'ceil') return Math.ceil(x);
  if (x - floor === 0.5) return mode === 'round_prefer_floor' ? floor : floor + 1;
  return Math.round(x);
}

/** Weights of the four neighbours at −1, 0, 1, 2, `t` after the second (Keys 1981). */
function cubicWeights(t: number, a: number): readonly number[] {
  const near = (s: number) => ((a + 2) * s - (a + 3)) * s * s + 1;
  const far = (s: number) => ((a * s - 5 * a) * s + 8 * a) * s - 4 * a;
  return [far(1 + t), near(t), near(1 - t), far(2 - t)];
}
