/**
 * Products of 8-bit integers, for models that are handed out quantised. Nothing is trained through them.
 */
import { ShapeError } from '../util/index.js';
import { convolutionOperators } from './convolution.js';
import { type Attributes, apply, applyAll, type DataType, formatShape, type Operator, Value } from './ir.js';
import { linearAlgebraOperators } from './linear-algebra.js';
import { atMost, required } from './shapes.js';

/** A tensor as 8-bit integers: `x ≈ scale · (quantized − zeroPoint)`. */
export interface Quantized {
  /** uint8, the shape of the tensor. */
  readonly quantized: Value;
  /** float32, a scalar. */
  readonly scale: Value;
  /** uint8, a scalar. */
  readonly zeroPoint: Value;
}

/** Quantises a float32 tensor to uint8 by its own smallest and largest element, found at each run; 0 stays exact. */
export function dynamicQuantize(x: Value): Quantized {
  const [quantized, scale, zeroPoint] = applyAll(DynamicQuantizeLinear, [x]) as [Value, Value, Value];
  return { quantized, scale, zeroPoint };
}

/**
 * Matrix product of integers, as `matmul`: `(a − aZero) · (b − bZero)`, int32.
 * @param a uint8 or int8, `b` too; zero points are scalars, that of `b` may be one a column; absent: 0
 */
export const matmulInteger = (a: Value, b: Value, aZero?: Value, bZero?: Value): Value =>
  apply(MatMulInteger, [a, b, aZero, bZero]);

/**
 * Convolution of integers with the attributes of `Conv`: `(x − xZero) ∗ (weight − weightZero)`, int32. Padding has the
 * value `xZero`, which means 0. onnxruntime's CPU provider has it for uint8 weights only.
 */
export const convolutionInteger = (
  x: Value,
  weight: Value,
  xZero: Value | undefined,
  weightZero: Value | undefined,
  attributes: Attributes,
): Value => apply(ConvInteger, [x, weight, xZero, weightZero], attributes);

// --- operators ---

const DynamicQuantizeLinear: Operator = {
  name: 'DynamicQuantizeLinear',
  infer(inputs) {
    atMost(inputs, 1, 'DynamicQuantizeLinear');
    const { dataType, shape } = required(inputs[0], 'DynamicQuantizeLinear', 0);
    if (dataType !== 'float32')
      throw new ShapeError(`DynamicQuantizeLinear: the input must be float32, got ${dataType}.`);
    return [
      { dataType: 'uint8', shape },
      { dataType: 'float32', shape: [] },
      { dataType: 'uint8', shape: [] },
    ];
  },
  vjp: 'none',
};

const MatMulInteger: Operator = {
  name: 'MatMulInteger',
  infer: (inputs) => inferProduct('MatMulInteger', inputs, linearAlgebraOperators.MatMul, {}),
  vjp: 'none',
};

const ConvInteger: Operator = {
  name: 'ConvInteger',
  infer: (inputs, attributes) => inferProduct('ConvInteger', inputs, convolutionOperators.Conv, attributes),
  vjp: 'none',
};

export const quantizationOperators = {
  DynamicQuantizeLinear,
  MatMulInteger,
  ConvInteger,
} satisfies Record<string, Operator>;

// --- internal ---

/** The type of a product of integers: the shape is that of the same product of floats. */
function inferProduct(
  name: string,
  inputs: readonly (Value | undefined)[],
  floats: Operator,
  attributes: Attributes,
) {
  atMost(inputs, 4, name);
  const factors = [0, 1].map((i) => required(inputs[i], name, i));
  factors.forEach((factor, i) => {
    requireInteger(name, factor.dataType);
    const zero = inputs[i + 2];
    if (zero !== undefined && (zero.dataType !== factor.dataType || zero.rank > 1))
      throw new ShapeError(
        `${name}: a zero point must be ${factor.dataType} and a scalar or list, got ${zero.dataType} ${formatShape(zero.shape)}.`,
      );
  });
  const [type] = floats.infer(
    factors.map(({ shape, origin }) => new Value('float32', shape, origin)),
    attributes,
  );
  return [{ dataType: 'int32' as const, shape: type?.shape ?? [] }];
}

function requireInteger(name: string, dataType: DataType): void {
  if (dataType !== 'uint8' && dataType !== 'int8')
    throw new ShapeError(`${name}: factors must be uint8 or int8, got ${dataType}.`);
}
