/**
 * Forms of the gradient of a convolution, and the choice among them.
 *
 * onnxruntime has no gradient operators, so a gradient is written in inference operators; several forms compute the
 * same numbers at speeds that differ by up to three times, and which one wins depends on the sizes. The choice below
 * follows `bench/convolution-forms`, whose figures are in `docs/log.md`.
 *
 * Letters: N batch, C input channels, O output channels, H×W input, P×Q output, K kernel.
 */
import { convolutionOperators } from './convolution.js';
import { groupedWeightGradient } from './grouped-weight-gradients.js';
import { gather } from './indexing.js';
import { apply, constant, sizeOf, type Value } from './ir.js';
import { matmul, matrixTranspose } from './linear-algebra.js';
import { concat, pad, reshape, reverse, slice, transpose } from './movement.js';
import { reduceSum } from './reduction.js';
import type { WindowGeometry } from './windows.js';

export type Shape4 = readonly [number, number, number, number];

/** Ways to compute the gradient of a convolution by its input. */
export type InputGradientForm = 'transposed' | 'flipped';

/** Ways to compute the gradient of a convolution by its weights. `bands` is for stride 1 without dilation only. */
export type WeightGradientForm = 'columns' | 'bands' | 'gather' | 'batchGather';

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
  form: InputGradientForm = chooseInputGradientForm(g, weight, geometry),
): Value {
  const { strides, pads, dilations, group } = geometry;
  const [, , height, width] = inputShape as Shape4;
  const [, , rows, columns] = g.shape as Shape4;
  const [outChannels, channels, kernelHeight, kernelWidth] = weight.shape as Shape4;
  if (form === 'flipped') {
    // A stride-1 convolution of the output's gradient with the kernel turned by half a circle.
    const turned = kernelHeight * kernelWidth === 1 ? weight : reverse(weight, [2, 3]);
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
  form?: WeightGradientForm,
): Value {
  if (geometry.group > 1) return groupedWeightGradient(g, x, weightShape, geometry);
  const chosen = form ?? chooseWeightGradientForm(g, weightShape, geometry);
  return WEIGHT_GRADIENTS[chosen](g, x, weightShape as Shape4, geometry);
}

/** Whether windows are neighbours and have no holes. */
export function isUnitStride({ strides, dilations }: WindowGeometry): boolean {
  return strides.every((step) => step === 1) && dilations.every((step) => step === 1);
}

// --- internal ---

/** Where weights that change are so many times as many as the output's pixels, turning them costs more than it saves. */
const MANY_WEIGHTS_A_PIXEL = 5;

function chooseInputGradientForm(g: Value, weight: Value, geometry: WindowGeometry): InputGradientForm {
  const [, , kernelHeight, kernelWidth] = weight.shape as Shape4;
  const isTurnedOnce = weight.origin.kind === 'constant' || kernelHeight * kernelWidth === 1;
  if (!isTurnedOnce && sizeOf(weight.shape as Shape4) > MANY_WEIGHTS_A_PIXEL * sizeOf(g.shape as Shape4)) {
    return 'transposed';
  }
  const reach = [kernelHeight - 1, kernelWidth - 1];
  const padsFit = geometry.pads.every(
    (count, side) => count <= (reach[side % 2] as number) * (geometry.dilations[side % 2] as number),
  );
  return geometry.strides.every((step) => step === 1) && padsFit ? 'flipped' : 'transposed';
}

/** Up to this many output pixels a product a picture is too small, and one over the whole batch wins. */
const SMALL_MAP = 16;
/** So it is on larger maps where the weights are many, since their gradients a picture would have to be added up. */
const MEDIUM_MAP = 196;
const MANY_WEIGHTS = 500_000;
const SMALL_POINTWISE_MAP = 64;
const MANY_POINTWISE_WEIGHTS = 250_000;
/** From this many output pixels and input channels on, shifting whole rows is cheaper than gathering pixels. */
const LARGE_MAP = 1024;
const MANY_CHANNELS = 48;
/** With half as many output channels as input channels or fewer, from this many output pixels on. */
const NARROWING_MAP = 100;

function chooseWeightGradientForm(
  g: Value,
  weightShape: readonly number[],
  geometry: WindowGeometry,
): WeightGradientForm {
  const [, , rows, columns] = g.shape as Shape4;
  const [outChannels, channels, kernelHeight, kernelWidth] = weightShape as Shape4;
  const pixels = rows * columns;
  const weights = outChannels * channels * kernelHeight * kernelWidth;
  if (kernelHeight * kernelWidth === 1) {
    const isBatched = pixels <= SMALL_POINTWISE_MAP && weights >= MANY_POINTWISE_WEIGHTS;
    return isBatched ? 'batchGather' : 'columns';
  }
  if (pixels <= SMALL_MAP || (pixels <= MEDIUM_MAP && weights >= MANY_WEIGHTS)) return 'batchGather';
  const isNarrowing = pixels >= NARROWING_MAP && 2 * outChannels <= channels;
  const isLarge = pixels >= LARGE_MAP && channels >= MANY_CHANNELS;
  return (isNarrowing || isLarge) && isUnitStride(geometry) ? 'bands' : 'gather';
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

  /**
   * The kernel's columns as shifts of the input, its rows as shifts of the gradient (stride 1 only): rows are contiguous,
   * so that their shifts are cheap, and one product a picture gives all offsets.
   */
  bands(g, x, weightShape, { pads }) {
    const [batch, , , columns] = g.shape as Shape4;
    const [, , kernelHeight, kernelWidth] = weightShape;
    const padded = pad(x, [0, 0, pads[0], pads[1]], [0, 0, pads[2], pads[3]]);
    const inputParts = Array.from({ length: kernelWidth }, (_, b) =>
      slice(padded, [{ axis: 3, start: b, end: b + columns }]),
    );
    const gradientParts = Array.from({ length: kernelHeight }, (_, a) =>
      pad(g, [0, 0, a, 0], [0, 0, kernelHeight - 1 - a, 0]),
    );
    const flat = (parts: readonly Value[]) => {
      const stacked = concat(parts, 1);
      return reshape(stacked, [batch, stacked.shape[1] as number, -1]);
    };
    const products = matmul(flat(gradientParts), matrixTranspose(flat(inputParts)));
    return fromBands(reduceSum(products, [0]), weightShape);
  },

  /**
   * A product a picture with the input's columns, which one `Gather` of pixels (rows of channels) lays out: onnxruntime
   * gathers with all threads, but slices with one.
   */
  gather(g, x, weightShape, geometry) {
    const [batch, outChannels, rows, columns] = g.shape as Shape4;
    const windows = reshape(gatheredWindows(g, x, weightShape, geometry), [batch, rows * columns, -1]);
    const flatG = reshape(g, [batch, outChannels, rows * columns]);
    return fromKernelMajor(reduceSum(matmul(flatG, windows), [0]), weightShape);
  },

  /** The same as one product over the whole batch. */
  batchGather(g, x, weightShape, geometry) {
    const [batch, outChannels, rows, columns] = g.shape as Shape4;
    const total = batch * rows * columns;
    const windows = reshape(gatheredWindows(g, x, weightShape, geometry), [total, -1]);
    const rowsOfG = reshape(transpose(g, [0, 2, 3, 1]), [total, outChannels]);
    return fromKernelMajor(matmul(matrixTranspose(rowsOfG), windows), weightShape);
  },
};

/**
 * The pixels under each window of each channel group: [N·group, P·Q·Kh·Kw, C / group]; outside the picture they are zero.
 */
export function gatheredWindows(
  g: Value,
  x: Value,
  [, , kernelHeight, kernelWidth]: Shape4,
  { strides, pads, dilations, group }: WindowGeometry,
): Value {
  const [batch, channels, height, width] = x.shape as Shape4;
  const [, , rows, columns] = g.shape as Shape4;
  const grouped = reshape(x, [batch * group, channels / group, height * width]);
  const isPointwise = kernelHeight * kernelWidth === 1 && strides.every((step) => step === 1);
  if (isPointwise && pads.every((count) => count === 0)) return matrixTranspose(grouped);
  const outside = height * width;
  const indices = new Int32Array(rows * columns * kernelHeight * kernelWidth);
  let at = 0;
  for (let p = 0; p < rows; p++) {
    for (let q = 0; q < columns; q++) {
      for (let a = 0; a < kernelHeight; a++) {
        for (let b = 0; b < kernelWidth; b++) {
          const y = p * strides[0] + a * dilations[0] - pads[0];
          const z = q * strides[1] + b * dilations[1] - pads[1];
          const isInside = y >= 0 && z >= 0 && y < height && z < width;
          indices[at++] = isInside ? y * width + z : outside;
        }
      }
    }
  }
  const withZero = pad(matrixTranspose(grouped), [0, 0, 0], [0, 1, 0]);
  return gather(withZero, constant(indices, [indices.length], { dataType: 'int32' }), 1);
}

/** For each kernel offset the part of the padded input that it meets: [·, ·, P, Q] each, offsets row by row. */
export function shiftedParts(
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

/** [Kh·O, Kw·C] → [O, C, Kh, Kw] */
function fromBands(product: Value, [outChannels, channels, kernelHeight, kernelWidth]: Shape4): Value {
  const byOffset = reshape(product, [kernelHeight, outChannels, kernelWidth, channels]);
  return transpose(byOffset, [1, 3, 0, 2]);
}

/** [O, Kh·Kw·C] with channels innermost → [O, C, Kh, Kw] */
export function fromKernelMajor(
  product: Value,
  [outChannels, channels, kernelHeight, kernelWidth]: Shape4,
): Value {
  if (kernelHeight * kernelWidth === 1) return reshape(product, [outChannels, channels, 1, 1]);
  const byOffset = reshape(product, [outChannels, kernelHeight * kernelWidth, channels]);
  return reshape(transpose(byOffset, [0, 2, 1]), [outChannels, channels, kernelHeight, kernelWidth]);
}
