/**
 * Forms of the gradient of a convolution in channel groups (depthwise included) by its weights. `bench/convolution-forms`
 * times them; its figures are in `docs/log.md`.
 *
 * Letters: N batch, G groups, c input and o output channels a group, H×W input, P×Q output, K kernel.
 */

import { convolutionOperators } from './convolution.js';
import { fromKernelMajor, gatheredWindows, type Shape4, shiftedParts } from './convolution-gradients.js';
import { apply, constant, type Value } from './ir.js';
import { matmul, matrixTranspose } from './linear-algebra.js';
import { concat, pad, reshape, slice, transpose } from './movement.js';
import { reduceSum } from './reduction.js';
import type { WindowGeometry } from './windows.js';

/** Ways to compute the gradient by the weights of a grouped convolution. */
export type GroupedWeightGradientForm = 'columns' | 'gather' | 'convolution' | 'lines';

/**
 * Gradient by the weights.
 * @param g gradient of the output [N, G·o, P, Q]
 * @param x input [N, G·c, H, W]
 * @param weightShape [G·o, c, Kh, Kw]
 * @param form which way; default: the one that is fastest at these sizes.
 * @returns [G·o, c, Kh, Kw]
 */
export function groupedWeightGradient(
  g: Value,
  x: Value,
  weightShape: readonly number[],
  geometry: WindowGeometry,
  form: GroupedWeightGradientForm = (weightShape[1] as number) <= FEW_CHANNELS ? 'lines' : 'gather',
): Value {
  return GROUPED_WEIGHT_GRADIENTS[form](g, x, weightShape as Shape4, geometry);
}

// --- internal ---

/** Up to this many input channels a group a product by columns is too thin to be fast. */
const FEW_CHANNELS = 2;

type GroupedWeightGradient = (g: Value, x: Value, weightShape: Shape4, geometry: WindowGeometry) => Value;

const GROUPED_WEIGHT_GRADIENTS: Readonly<Record<GroupedWeightGradientForm, GroupedWeightGradient>> = {
  /** A product a picture and group of the gradient with the input's columns (im2col). */
  columns(g, x, weightShape, geometry) {
    const { group } = geometry;
    const [outChannels, channels] = weightShape;
    const [batch, , rows, columns] = g.shape as Shape4;
    const pixels = rows * columns;
    const parts = shiftedParts(x, weightShape, geometry, rows, columns).map((part) =>
      reshape(part, [batch, group, 1, channels, pixels]),
    );
    const stacked = reshape(concat(parts, 2), [batch, group, -1, pixels]);
    const flatG = reshape(g, [batch, group, outChannels / group, pixels]);
    const products = reduceSum(matmul(flatG, matrixTranspose(stacked)), [0]);
    return fromKernelMajor(reshape(products, [outChannels, -1]), weightShape);
  },

  /** The same with columns that one `Gather` lays out, which onnxruntime runs with all threads, and slices with one. */
  gather(g, x, weightShape, geometry) {
    const { group } = geometry;
    const [outChannels] = weightShape;
    const [batch, , rows, columns] = g.shape as Shape4;
    const pixels = rows * columns;
    const windows = reshape(gatheredWindows(g, x, weightShape, geometry), [batch, group, pixels, -1]);
    const flatG = reshape(g, [batch, group, outChannels / group, pixels]);
    const products = reduceSum(matmul(flatG, windows), [0]);
    return fromKernelMajor(reshape(products, [outChannels, -1]), weightShape);
  },

  /** One convolution whose channels are the batch and whose kernel is the gradient; strides and dilations change places. */
  convolution(g, x, weightShape, { strides, pads, dilations, group }) {
    const [outChannels, channels, kernelHeight, kernelWidth] = weightShape;
    const [batch, , height, width] = x.shape as Shape4;
    const pictures = reshape(transpose(reshape(x, [batch, group, channels, height * width]), [2, 1, 0, 3]), [
      channels,
      group * batch,
      height,
      width,
    ]);
    const kernels = transpose(g, [1, 0, 2, 3]);
    const sums = apply(convolutionOperators.Conv, [pictures, kernels], {
      strides: dilations,
      dilations: strides,
      pads,
      group,
    });
    const [, , foundHeight, foundWidth] = sums.shape as Shape4;
    // Pixels that no window reaches give offsets that the kernel does not have.
    const isExact = foundHeight === kernelHeight && foundWidth === kernelWidth;
    const offsets = isExact
      ? sums
      : slice(sums, [
          { axis: 2, end: kernelHeight },
          { axis: 3, end: kernelWidth },
        ]);
    return reshape(transpose(offsets, [1, 0, 2, 3]), [outChannels, channels, kernelHeight, kernelWidth]);
  },

  /**
   * For each row of the kernel one product a group of all lines of the gradient with the lines of the input that they
   * meet: it correlates every column of the one with every column of the other, of which a 0-1 matrix then adds up those
   * that the kernel's columns pair. Most of the product is thrown away, but a large product is that much faster
   * than what has no reuse. Long lines are cut into pieces (letter T), so that less is thrown away.
   */
  lines(g, x, weightShape, { strides, pads, dilations, group }) {
    const [outChannels, channels, kernelHeight, kernelWidth] = weightShape;
    const [batch, , rows, columns] = g.shape as Shape4;
    const outGroup = outChannels / group;
    const pieces = Math.max(1, Math.round(columns / LONGEST_PIECE));
    const length = Math.ceil(columns / pieces);
    const step = length * strides[1];
    const width = (length - 1) * strides[1] + dilations[1] * (kernelWidth - 1) + 1;
    // The last piece may pass the end, where the gradient is zero; pixels that no window reaches are cut off.
    const inputWidth = pads[1] + ((x.shape as Shape4)[3] as number) + pads[3];
    const padded = pad(
      x,
      [0, 0, pads[0], pads[1]],
      [0, 0, pads[2], pads[3] + (pieces - 1) * step + width - inputWidth],
    );
    const height = (padded.shape as Shape4)[2];
    const gradientLines = reshape(
      transpose(
        reshape(pad(g, [0, 0, 0, 0], [0, 0, 0, pieces * length - columns]), [
          batch,
          group,
          outGroup,
          rows,
          pieces,
          length,
        ]),
        [1, 4, 0, 3, 2, 5],
      ),
      [group * pieces, batch * rows, outGroup * length],
    ); // [G·T, N·P, o·length]
    const flipped = matrixTranspose(gradientLines);
    const cut = Array.from({ length: pieces }, (_, piece) =>
      reshape(
        pieces === 1 ? padded : slice(padded, [{ axis: 3, start: piece * step, end: piece * step + width }]),
        [batch, group, channels, height, 1, width],
      ),
    );
    const inputLines = transpose(concat(cut, 4), [1, 4, 0, 3, 2, 5]); // [G, T, N, H, c, width]
    const pairs = constant(columnPairs(pieces, length, width, kernelWidth, strides[1], dilations[1]), [
      pieces * length * width,
      kernelWidth,
    ]);
    const kernelRows = Array.from({ length: kernelHeight }, (_, a) => {
      const top = a * dilations[0];
      const met = slice(inputLines, [
        { axis: 3, start: top, end: top + (rows - 1) * strides[0] + 1, step: strides[0] },
      ]);
      const products = matmul(flipped, reshape(met, [group * pieces, batch * rows, channels * width]));
      const byChannel = transpose(
        reshape(products, [group, pieces, outGroup, length, channels, width]),
        [0, 2, 4, 1, 3, 5],
      );
      return reshape(matmul(reshape(byChannel, [outChannels * channels, pieces * length * width]), pairs), [
        outChannels,
        channels,
        1,
        kernelWidth,
      ]);
    });
    return concat(kernelRows, 2);
  },
};

const LONGEST_PIECE = 28;

/** 1 where a kernel's column pairs a column of a piece of the gradient (row major with the input's) with one of the input. */
function columnPairs(
  pieces: number,
  length: number,
  width: number,
  kernel: number,
  stride: number,
  dilation: number,
): Float32Array {
  const pairs = new Float32Array(pieces * length * width * kernel);
  for (let line = 0; line < pieces * length; line++) {
    const first = (line % length) * stride;
    for (let b = 0; b < kernel; b++) pairs[(line * width + first + b * dilation) * kernel + b] = 1;
  }
  return pairs;
}
