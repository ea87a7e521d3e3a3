/**
 * Dynamic quantisation: products with constant weights computed in 8-bit integers. Weights are symmetric, one scale a
 * channel of output; what they are multiplied with is quantised at each run by its own range, so no data is needed to
 * calibrate. The operators are those that onnxruntime's own quantiser writes, which its CPU kernels fuse:
 * `DynamicQuantizeLinear`, `MatMulInteger` or `ConvInteger`, `Cast`, `Mul`, and `Add` for a bias.
 *
 * Left in float32: convolutions in groups (an integer depthwise convolution is nine times slower than a float one),
 * those of a picture's few channels, whatever has few weights, and products of two computed values.
 */
import {
  type Attributes,
  add,
  cast,
  constant,
  convolutionInteger,
  dynamicQuantize,
  type Graph,
  matmulInteger,
  multiply,
  type Node,
  reshape,
  type Value,
} from '../graph/index.js';
import { type Constant, isConstant, rebuilt } from './rewriting.js';

export interface QuantizedGraph {
  readonly graph: Graph;
  /** Products that are computed in integers now. */
  readonly quantized: number;
  /** Products with constant weights that stay float32. */
  readonly kept: number;
}

/** Quantises a graph's products (`MatMul`, `Gemm`, `Conv`) with constant float32 weights. */
export function quantizeDynamically(graph: Graph): QuantizedGraph {
  let [quantized, kept] = [0, 0];
  const result = rebuilt(graph, new Map(), (node, inputs) => {
    if (!PRODUCTS.has(node.operator.name) || !isConstant(inputs[1])) return undefined;
    const [x, weight, bias] = inputs as [Value, Constant, Value | undefined];
    const output =
      x.dataType !== 'float32' || isConstant(x) || weight.origin.data.length < FEWEST_WEIGHTS
        ? undefined
        : integerProduct(node, x, weight, bias);
    if (output === undefined) {
      kept++;
      return undefined;
    }
    quantized++;
    return [output];
  });
  return { graph: result, quantized, kept };
}

// --- internal ---

const PRODUCTS: ReadonlySet<string> = new Set(['MatMul', 'Gemm', 'Conv']);
/** Smaller products cost little, in time and in bytes. */
const FEWEST_WEIGHTS = 1024;
const FEWEST_CHANNELS = 8;
/**
 * Largest integer of a matrix' weights: 7 bits, because processors without VNNI add two products of uint8 and int8 in
 * 16 bits, where 255 · 127 · 2 does not fit and would be cut off silently; 255 · 63 · 2 does.
 */
const LARGEST_MATRIX_INTEGER = 63;
/** Convolutions have uint8 weights (the kernel for int8 is eight times slower), whose products are added in 32 bits. */
const LARGEST_KERNEL_INTEGER = 127;
const KERNEL_ZERO = 128;

function integerProduct(node: Node, x: Value, weight: Constant, bias: Value | undefined): Value | undefined {
  const { operator, attributes } = node;
  if (operator.name === 'Conv') return integerConvolution(x, weight, bias, attributes);
  if (weight.rank !== 2) return undefined;
  if (operator.name === 'MatMul') return integerMatrixProduct(x, weight, undefined);
  if (attributes.transA === 1) return undefined;
  const matrix = scaled(attributes.transB === 1 ? transposed(weight) : weight, Number(attributes.alpha ?? 1));
  const beta = Number(attributes.beta ?? 1);
  return integerMatrixProduct(
    x,
    matrix,
    bias === undefined || beta === 1 ? bias : multiply(bias, constant(beta, [])),
  );
}

/** `[…, K] · [K, N] + bias` */
function integerMatrixProduct(x: Value, weight: Constant, bias: Value | undefined): Value {
  const [rows, columns] = weight.shape as [number, number];
  const data = weight.origin.data as Float32Array;
  const largest = new Float32Array(columns);
  for (let i = 0; i < data.length; i++)
    largest[i % columns] = Math.max(largest[i % columns]!, Math.abs(data[i]!));
  const scales = largest.map((size) => (size === 0 ? 1 : size / LARGEST_MATRIX_INTEGER));
  const integers = Int8Array.from(data, (element, i) => Math.round(element / scales[i % columns]!));
  const { quantized, scale, zeroPoint } = dynamicQuantize(x);
  const product = matmulInteger(
    quantized,
    constant(integers, [rows, columns], { dataType: 'int8', ...named(weight, '.int8') }),
    zeroPoint,
  );
  const y = multiply(cast(product, 'float32'), multiply(scale, constant(scales, [columns])));
  return bias === undefined ? y : add(y, bias);
}

function integerConvolution(
  x: Value,
  weight: Constant,
  bias: Value | undefined,
  attributes: Attributes,
): Value | undefined {
  const [outputs, channels] = weight.shape as [number, number];
  if (Number(attributes.group ?? 1) !== 1 || channels < FEWEST_CHANNELS) return undefined;
  const data = weight.origin.data as Float32Array;
  const size = data.length / outputs;
  const scales = Float32Array.from({ length: outputs }, (_, o) => {
    let largest = 0;
    for (let i = o * size; i < (o + 1) * size; i++) largest = Math.max(largest, Math.abs(data[i]!));
    return largest === 0 ? 1 : largest / LARGEST_KERNEL_INTEGER;
  });
  const integers = Uint8Array.from(
    data,
    (element, i) => KERNEL_ZERO + Math.round(element / scales[Math.floor(i / size)]!),
  );
  const overSpace = [outputs, ...Array<number>(weight.rank - 2).fill(1)];
  const { quantized, scale, zeroPoint } = dynamicQuantize(x);
  const product = convolutionInteger(
    quantized,
    constant(integers, weight.shape as number[], { dataType: 'uint8', ...named(weight, '.uint8') }),
    zeroPoint,
    constant([KERNEL_ZERO], [], { dataType: 'uint8' }),
    attributes,
  );
  const y = multiply(cast(product, 'float32'), multiply(scale, constant(scales, overSpace)));
  if (bias === undefined) return y;
  const flat = isConstant(bias)
    ? constant(bias.origin.data, overSpace, named(bias, ''))
    : reshape(bias, overSpace);
  return add(y, flat);
}

const named = ({ origin }: Constant, suffix: string): { name?: string } =>
  origin.name === undefined ? {} : { name: `${origin.name}${suffix}` };

function transposed(weight: Constant): Constant {
  const [rows, columns] = weight.shape as [number, number];
  const from = weight.origin.data as Float32Array;
  const data = new Float32Array(from.length);
  for (let i = 0; i < rows; i++)
    for (let j = 0; j < columns; j++) data[j * rows + i] = from[i * columns + j]!;
  return constant(data, [columns, rows], named(weight, '')) as Constant;
}

function scaled(weight: Constant, factor: number): Constant {
  if (factor === 1) return weight;
  const data = (weight.origin.data as Float32Array).map((x) => x * factor);
  return constant(data, weight.shape as number[], named(weight, '')) as Constant;
}
