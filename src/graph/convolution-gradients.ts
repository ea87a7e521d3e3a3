/**
 * Forms of the gradient of a convolution, and the choice among them.
 *
 * onnxruntime has no gradient operators, so a gradient is written in inference operators; several forms compute the
 * same numbers at speeds that differ by up to three times, and which one wins depends on the sizes. The choice below
 * follows `bench/convolution-forms`, whose figures are in `docs/log.md`.
 *
 * Letters: N batch, C input channels, O output channels, H×W input, P×Q output, K kernel.
 */
import type { WindowGeometry } from './convolution.js';
import { convolutionOperators } from './convolution.js';
import { apply, type Value } from './ir.js';
import { matmul, matrixTranspose } from './linear-algebra.js';
import { concat, pad, reshape, reverse, slice, transpose } from './movement.js';
import { reduceSum } from './reduction.js';

type Shape4 = readonly [number, number, number, number];

/** Ways to compute the gradient of a convolution by its input. */
export type InputGradientForm = 'transposed' | 'flipped';

/** Ways to compute the gradient of a convolution by its weights. */
export type WeightGradientForm =
  | 'columns'
  | 'batchColumns'
  | 'bands'
  | 'batchBands'
  | 'sampleRows'
  | 'batchRows'
  | 'swapped';

/**
 * Gradient by the input.
 * @param g gradient of the output [N, O, P, Q]
 * @param weight [O, C / group, Kh, Kw]
 * @param inputShape [N, C, H, W]
 * @param form which way; default: the one that is fastest at these sizes.
 * @returns [N, C, H, W]
 */
export function convolutionInputGradient(
  g: Value,
  weight: Value,
  inputShape: readonly number[],
  geometry: WindowGeometry,
  form: InputGradientForm = chooseInputGradientForm(weight, geometry),
): Value {
  const { strides, pads, dilations, group } = geometry;
  const [, , height, width] = inputShape as Shape4;
  const [, , rows, columns] = g.shape as Shape4;
  const [outChannels, channels, kernelHeight, kernelWidth] = weight.shape as Shape4;
  if (form === 'flipped') {
    // A stride-1 convolution of the output's gradient with the kernel turned by half a circle.
    const turned = reverse(weight, [2, 3]);
    const swapped =
      group === 1
        ? transpose(turned, [1, 0, 2, 3])
        : reshape(
            transpose(
              reshape(turned, [group, outChannels / group, channels, kernelHeight, kernelWidth]),
              [0, 2, 1, 3, 4],
            ),
            [group * channels, outChannels / group, kernelHeight, kernelWidth],
          );
    const reach = [dilations[0] * (kernelHeight - 1), dilations[1] * (kernelWidth - 1)] as const;
    return apply(convolutionOperators.Conv, [g, swapped], {
      strides: [1, 1],
      pads: [reach[0] - pads[0], reach[1] - pads[1], reach[0] - pads[2], reach[1] - pads[3]],
      dilations,
      group,
    });
  }
  const uncovered = (axis: 0 | 1, size: number, count: number, kernel: number) =>
    size +
    pads[axis] +
    (pads[axis + 2] as number) -
    ((count - 1) * strides[axis] + dilations[axis] * (kernel - 1) + 1);
  return apply(convolutionOperators.ConvTranspose, [g, weight], {
    strides,
    pads,
    dilations,
    group,
    output_padding: [uncovered(0, height, rows, kernelHeight), uncovered(1, width, columns, kernelWidth)],
  });
}

/**
 * Gradient by the weights.
 * @param g gradient of the output [N, O, P, Q]
 * @param x input [N, C, H, W]
 * @param weightShape [O, C / group, Kh, Kw]
 * @param form which way; default: the one that is fastest at these sizes.
 * @returns [O, C / group, Kh, Kw]
 */
export function convolutionWeightGradient(
  g: Value,
  x: Value,
  weightShape: readonly number[],
  geometry: WindowGeometry,
  form: WeightGradientForm = chooseWeightGradientForm(g, weightShape, geometry),
): Value {
  if (geometry.group > 1) return groupedWeightGradient(g, x, weightShape, geometry);
  return WEIGHT_GRADIENTS[form](g, x, weightShape as Shape4, geometry);
}

/** Whether the flat-shift forms apply: stride 1, no dilation. */
export function isUnitStride({ strides, dilations }: WindowGeometry): boolean {
  return strides.every((step) => step === 1) && dilations.every((step) => step === 1);
}

// --- internal ---

function chooseInputGradientForm(weight: Value, geometry: WindowGeometry): InputGradientForm {
  const [, , kernelHeight, kernelWidth] = weight.shape as Shape4;
  const reach = [kernelHeight - 1, kernelWidth - 1];
  const padsFit = geometry.pads.every(
    (count, side) => count <= (reach[side % 2] as number) * (geometry.dilations[side % 2] as number),
  );
  return geometry.strides.every((step) => step === 1) && padsFit ? 'flipped' : 'transposed';
}

/** Up to this many output pixels a product a picture is too small, and one over the whole batch wins. */
const SMALL_MAP = 64;

function chooseWeightGradientForm(
  g: Value,
  weightShape: readonly number[],
  geometry: WindowGeometry,
): WeightGradientForm {
  const [batch, , rows, columns] = g.shape as Shape4;
  const [, , kernelHeight, kernelWidth] = weightShape as Shape4;
  if (rows * columns <= SMALL_MAP && batch > 1) return 'batchColumns';
  return isUnitStride(geometry) && kernelHeight * kernelWidth > 1 ? 'bands' : 'columns';
}

type WeightGradient = (g: Value, x: Value, weightShape: Shape4, geometry: WindowGeometry) => Value;

const WEIGHT_GRADIENTS: Readonly<Record<WeightGradientForm, WeightGradient>> = {
  /** A product a picture of the gradient with the input's columns (im2col), summed over the batch. */
  columns(g, x, weightShape, geometry) {
    const [batch, outChannels, rows, columns] = g.shape as Shape4;
    const parts = shiftedParts(x, weightShape, geometry, rows, columns);
    const stacked = reshape(concat(parts, 1), [batch, -1, rows * columns]);
    const products = matmul(reshape(g, [batch, outChannels, rows * columns]), matrixTranspose(stacked));
    return fromKernelMajor(reduceSum(products, [0]), weightShape);
  },

  /** The same with the batch laid out along the columns: one large product, after bringing channels to the front. */
  batchColumns(g, x, weightShape, geometry) {
    const [batch, outChannels, rows, columns] = g.shape as Shape4;
    const parts = shiftedParts(transpose(x, [1, 0, 2, 3]), weightShape, geometry, rows, columns);
    const stacked = reshape(concat(parts, 0), [-1, batch * rows * columns]);
    const flat = reshape(transpose(g, [1, 0, 2, 3]), [outChannels, batch * rows * columns]);
    return fromKernelMajor(matmul(flat, matrixTranspose(stacked)), weightShape);
  },

  /**
   * The kernel's columns as shifts of the input, its rows as shifts of the gradient (stride 1 only): rows are contiguous,
   * so that their shifts are cheap, and one product a picture gives all offsets.
   */
  bands(g, x, weightShape, geometry) {
    const [batch] = g.shape as Shape4;
    const { inputBands, gradientBands } = bandOperands(g, x, weightShape, geometry, 1);
    const flatX = reshape(inputBands, [batch, inputBands.shape[1] as number, -1]);
    const flatG = reshape(gradientBands, [batch, gradientBands.shape[1] as number, -1]);
    return fromBands(reduceSum(matmul(flatG, matrixTranspose(flatX)), [0]), weightShape);
  },

  /** The same with the batch laid out along the rows: one product. */
  batchBands(g, x, weightShape, geometry) {
    const channelsFirst = (value: Value) => transpose(value, [1, 0, 2, 3]);
    const { inputBands, gradientBands } = bandOperands(
      channelsFirst(g),
      channelsFirst(x),
      weightShape,
      geometry,
      0,
    );
    const flatX = reshape(inputBands, [inputBands.shape[0] as number, -1]);
    const flatG = reshape(gradientBands, [gradientBands.shape[0] as number, -1]);
    return fromBands(matmul(flatG, matrixTranspose(flatX)), weightShape);
  },

  /** A shift of the flattened padded picture for each kernel offset; one product a picture and offset. */
  sampleRows(g, x, weightShape, geometry) {
    const [batch, outChannels, rows] = g.shape as Shape4;
    const { padded, paddedWidth, gradient } = flatOperands(g, x, geometry);
    const channels = x.shape[1] as number;
    const length = rows * paddedWidth - (paddedWidth - (g.shape[3] as number));
    const flatX = reshape(padded, [batch, channels, -1]);
    const flatG = slice(reshape(gradient, [batch, outChannels, -1]), [{ axis: 2, end: length }]);
    const [, , kernelHeight, kernelWidth] = weightShape;
    const parts: Value[] = [];
    for (let a = 0; a < kernelHeight; a++) {
      for (let b = 0; b < kernelWidth; b++) {
        const start = a * paddedWidth + b;
        const shifted = slice(flatX, [{ axis: 2, start, end: start + length }]);
        parts.push(reduceSum(matmul(flatG, matrixTranspose(shifted)), [0]));
      }
    }
    return fromKernelMajor(concat(parts, 1), weightShape);
  },

  /** The same over the whole batch at once: rows are pixels, so that an offset is one contiguous cut. */
  batchRows(g, x, weightShape, geometry) {
    const [batch, outChannels] = g.shape as Shape4;
    const channels = x.shape[1] as number;
    const { padded, paddedHeight, paddedWidth, gradient } = flatOperands(g, x, geometry);
    const total = batch * paddedHeight * paddedWidth;
    const [, , kernelHeight, kernelWidth] = weightShape;
    const length = total - (kernelHeight - 1) * paddedWidth - (kernelWidth - 1);
    const rowsOfX = reshape(transpose(padded, [0, 2, 3, 1]), [total, channels]);
    const rowsOfG = slice(reshape(transpose(gradient, [0, 2, 3, 1]), [total, outChannels]), [
      { axis: 0, end: length },
    ]);
    const parts: Value[] = [];
    for (let a = 0; a < kernelHeight; a++) {
      for (let b = 0; b < kernelWidth; b++) {
        const start = a * paddedWidth + b;
        const shifted = slice(rowsOfX, [{ axis: 0, start, end: start + length }]);
        parts.push(matmul(matrixTranspose(rowsOfG), shifted));
      }
    }
    return fromKernelMajor(concat(parts, 1), weightShape);
  },

  /** A convolution in which batch and channels change places; good for a picture's three channels only. */
  swapped(g, x, weightShape, { strides, pads, dilations }) {
    const [, , height, width] = x.shape as Shape4;
    const [, , rows, columns] = g.shape as Shape4;
    const [, , kernelHeight, kernelWidth] = weightShape;
    // Stride and dilation change places too; what the forward pass did not reach is cut from the end.
    const end = (size: number, count: number, kernel: number, axis: 0 | 1) =>
      (pads[axis + 2] as number) -
      (size +
        pads[axis] +
        (pads[axis + 2] as number) -
        ((count - 1) * strides[axis] + dilations[axis] * (kernel - 1) + 1));
    const bottom = end(height, rows, kernelHeight, 0);
    const right = end(width, columns, kernelWidth, 1);
    // A convolution cannot pad by less than nothing.
    const reached =
      bottom < 0 || right < 0
        ? slice(x, [
            { axis: 2, end: height + Math.min(bottom, 0) },
            { axis: 3, end: width + Math.min(right, 0) },
          ])
        : x;
    const result = apply(
      convolutionOperators.Conv,
      [transpose(reached, [1, 0, 2, 3]), transpose(g, [1, 0, 2, 3])],
      {
        strides: dilations,
        dilations: strides,
        pads: [pads[0], pads[1], Math.max(bottom, 0), Math.max(right, 0)],
        group: 1,
      },
    );
    return transpose(result, [1, 0, 2, 3]);
  },
};

/** For each kernel offset the part of the padded input that it meets: [·, ·, P, Q] each, offsets row by row. */
function shiftedParts(
  x: Value,
  [, , kernelHeight, kernelWidth]: Shape4,
  { strides, pads, dilations }: WindowGeometry,
  rows: number,
  columns: number,
): Value[] {
  const padded = pad(x, [0, 0, pads[0], pads[1]], [0, 0, pads[2], pads[3]]);
  const parts: Value[] = [];
  for (let a = 0; a < kernelHeight; a++) {
    for (let b = 0; b < kernelWidth; b++) {
      const top = a * dilations[0];
      const left = b * dilations[1];
      parts.push(
        kernelHeight * kernelWidth === 1 && strides[0] === 1 && strides[1] === 1
          ? padded
          : slice(padded, [
              { axis: 2, start: top, end: top + (rows - 1) * strides[0] + 1, step: strides[0] },
              { axis: 3, start: left, end: left + (columns - 1) * strides[1] + 1, step: strides[1] },
            ]),
      );
    }
  }
  return parts;
}

/** Input shifted by each kernel column and gradient shifted by each kernel row, stacked along `channelAxis`. */
function bandOperands(
  g: Value,
  x: Value,
  [, , kernelHeight, kernelWidth]: Shape4,
  { pads }: WindowGeometry,
  channelAxis: 0 | 1,
): { inputBands: Value; gradientBands: Value } {
  const padded = pad(x, [0, 0, pads[0], pads[1]], [0, 0, pads[2], pads[3]]);
  const columns = g.shape[3] as number;
  const inputParts = Array.from({ length: kernelWidth }, (_, b) =>
    slice(padded, [{ axis: 3, start: b, end: b + columns }]),
  );
  const gradientParts = Array.from({ length: kernelHeight }, (_, a) =>
    pad(g, [0, 0, a, 0], [0, 0, kernelHeight - 1 - a, 0]),
  );
  return { inputBands: concat(inputParts, channelAxis), gradientBands: concat(gradientParts, channelAxis) };
}

/** [Kh·O, Kw·C] → [O, C, Kh, Kw] */
function fromBands(product: Value, [outChannels, channels, kernelHeight, kernelWidth]: Shape4): Value {
  const byOffset = reshape(product, [kernelHeight, outChannels, kernelWidth, channels]);
  return transpose(byOffset, [1, 3, 0, 2]);
}

/** The padded input, and the gradient laid out on the same grid with zeros where a window would wrap around. */
function flatOperands(g: Value, x: Value, { pads }: WindowGeometry) {
  const padded = pad(x, [0, 0, pads[0], pads[1]], [0, 0, pads[2], pads[3]]);
  const [, , paddedHeight, paddedWidth] = padded.shape as Shape4;
  const [, , rows, columns] = g.shape as Shape4;
  const gradient = pad(g, [0, 0, 0, 0], [0, 0, paddedHeight - rows, paddedWidth - columns]);
  return { padded, paddedHeight, paddedWidth, gradient };
}

/** [O, Kh·Kw·C] with channels innermost → [O, C, Kh, Kw] */
function fromKernelMajor(product: Value, [outChannels, channels, kernelHeight, kernelWidth]: Shape4): Value {
  if (kernelHeight * kernelWidth === 1) return reshape(product, [outChannels, channels, 1, 1]);
  const byOffset = reshape(product, [outChannels, kernelHeight * kernelWidth, channels]);
  return reshape(transpose(byOffset, [0, 2, 1]), [outChannels, channels, kernelHeight, kernelWidth]);
}

/** Channel groups as another batch axis of the column form. */
function groupedWeightGradient(
  g: Value,
  x: Value,
  weightShape: readonly number[],
  geometry: WindowGeometry,
): Value {
  const { group } = geometry;
  const [outChannels, channels, kernelHeight, kernelWidth] = weightShape as Shape4;
  const [batch, , rows, columns] = g.shape as Shape4;
  const pixels = rows * columns;
  const parts = shiftedParts(x, weightShape as Shape4, geometry, rows, columns).map((part) =>
    reshape(part, [batch, group, 1, channels, pixels]),
  );
  const stacked = reshape(concat(parts, 2), [batch, group, -1, pixels]);
  const flatG = reshape(g, [batch, group, outChannels / group, pixels]);
  const products = reduceSum(matmul(flatG, matrixTranspose(stacked)), [0]);
  return fromKernelMajor(reshape(products, [outChannels, -1]), [
    outChannels,
    channels,
    kernelHeight,
    kernelWidth,
  ]);
}
