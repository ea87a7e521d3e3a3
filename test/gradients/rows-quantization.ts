/** Rows of the gradient table: products of 8-bit integers. */
import * as graph from '../../src/graph/index.js';
import { apply, cast, constant, operators } from '../../src/graph/index.js';
import { convolution, elementwise, matmul, type NdArray } from './reference.js';
import { float, given, type InputSpec, type Row } from './row.js';

/** Integers from a linear congruential generator, so that all 256 occur. */
const bytes = (shape: readonly number[], dataType: 'uint8' | 'int8', seed: number): InputSpec => {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const low = dataType === 'int8' ? -128 : 0;
  return given(
    shape,
    Array.from({ length: size }, (_, i) => (((i + seed) * 167 + 13) % 256) + low),
    dataType,
  );
};
const less = (x: NdArray, zero: number) => elementwise((element) => element - zero)(x);
const zero = (value: number, dataType: 'uint8' | 'int8' = 'uint8') => constant([value], [], { dataType });

/** The scale and zero point that the standard gives a tensor: its range, with 0 in it, over 255 steps. */
function quantization({ data }: NdArray): { scale: number; zero: number } {
  const [low, high] = [Math.min(0, ...data), Math.max(0, ...data)];
  const scale = (high - low) / 255;
  return { scale, zero: Math.max(0, Math.min(255, Math.round(-low / scale))) };
}

export const quantizationRows: readonly Row[] = [
  ...(
    [
      ['around zero', float([4, 5])],
      ['positive only', float([3, 4], 1, 2)],
      ['negative only', float([3, 4], -2, -1)],
    ] as const
  ).map(
    ([name, spec]): Row => ({
      operator: 'DynamicQuantizeLinear',
      name: `${name}, and back`,
      inputs: [spec],
      build: (x) => {
        const { quantized, scale, zeroPoint } = graph.dynamicQuantize(x);
        const number = graph.subtract(cast(quantized, 'float32'), cast(zeroPoint, 'float32'));
        return graph.multiply(number, scale);
      },
      reference: (x) => {
        const q = quantization(x);
        const rounded = (element: number) =>
          Math.max(0, Math.min(255, Math.round(element / q.scale) + q.zero));
        return elementwise((element) => (rounded(element) - q.zero) * q.scale)(x);
      },
      gradient: 'none',
    }),
  ),
  {
    operator: 'MatMulInteger',
    name: 'uint8 by int8, zero point of the first',
    inputs: [bytes([3, 5], 'uint8', 1), bytes([5, 4], 'int8', 2)],
    build: (a, b) => graph.matmulInteger(a, b, zero(117)),
    reference: (a, b) => matmul(less(a, 117), b),
    gradient: 'zero',
  },
  {
    operator: 'MatMulInteger',
    name: 'a batch, both uint8 with zero points',
    inputs: [bytes([2, 3, 5], 'uint8', 3), bytes([5, 4], 'uint8', 4)],
    build: (a, b) => graph.matmulInteger(a, b, zero(3), zero(128)),
    reference: (a, b) => matmul(less(a, 3), less(b, 128)),
    gradient: 'zero',
  },
  ...(
    [
      ['3x3, padded with the zero point', [2, 3, 6, 5], [4, 3, 3, 3], { stride: 1, padding: 1, group: 1 }],
      ['stride 2', [1, 3, 7, 6], [2, 3, 3, 3], { stride: 2, padding: 1, group: 1 }],
      ['1x1 in groups', [1, 4, 3, 3], [6, 2, 1, 1], { stride: 1, padding: 0, group: 2 }],
    ] as const
  ).map(
    ([name, x, weight, windows]): Row => ({
      operator: 'ConvInteger',
      name,
      inputs: [bytes(x, 'uint8', 5), bytes(weight, 'uint8', 6)],
      build: (a, b) =>
        graph.convolutionInteger(a, b, zero(90), zero(128), {
          strides: [windows.stride, windows.stride],
          pads: Array<number>(4).fill(windows.padding),
          group: windows.group,
        }),
      reference: (a, b) => convolution(less(a, 90), less(b, 128), undefined, windows),
      gradient: 'zero',
    }),
  ),
  {
    operator: 'MatMulInteger',
    name: 'without zero points',
    inputs: [bytes([3, 5], 'uint8', 7), bytes([5, 4], 'int8', 8)],
    build: (a, b) => apply(operators.MatMulInteger, [a, b]),
    reference: matmul,
    gradient: 'zero',
  },
];
