/**
 * Elementwise operators with NumPy broadcasting: arithmetic, activations, comparisons, selection and casts.
 */
import { ShapeError } from '../util/index.js';
import {
  apply,
  constant,
  type DataType,
  formatShape,
  type Operator,
  type Value,
  type VjpContext,
} from './ir.js';
import { atMost, broadcastShapes, required, sameDataType, sumTo } from './shapes.js';

/** `a + b` */
export const add = (a: Value, b: Value): Value => apply(Add, [a, b]);
/** `a − b` */
export const subtract = (a: Value, b: Value): Value => apply(Sub, [a, b]);
/** `a · b`, element by element */
export const multiply = (a: Value, b: Value): Value => apply(Mul, [a, b]);
/** `a / b` */
export const divide = (a: Value, b: Value): Value => apply(Div, [a, b]);
/** `aᵇ`; the gradient by `b` needs `a > 0`. */
export const power = (a: Value, b: Value): Value => apply(Pow, [a, b]);
/** The larger of the two; at a tie the gradient goes to `a`. */
export const maximum = (a: Value, b: Value): Value => apply(Max, [a, b]);
/** The smaller of the two; at a tie the gradient goes to `a`. */
export const minimum = (a: Value, b: Value): Value => apply(Min, [a, b]);

export const negate = (x: Value): Value => apply(Neg, [x]);
export const absolute = (x: Value): Value => apply(Abs, [x]);
export const exponential = (x: Value): Value => apply(Exp, [x]);
/** Natural logarithm. */
export const logarithm = (x: Value): Value => apply(Log, [x]);
export const squareRoot = (x: Value): Value => apply(Sqrt, [x]);
export const reciprocal = (x: Value): Value => apply(Reciprocal, [x]);
/** `max(x, 0)`; the gradient at 0 is 0. */
export const relu = (x: Value): Value => apply(Relu, [x]);
export const sigmoid = (x: Value): Value => apply(Sigmoid, [x]);
export const tanh = (x: Value): Value => apply(Tanh, [x]);
/** `log(1 + eˣ)`, which does not overflow. */
export const softplus = (x: Value): Value => apply(Softplus, [x]);
/** The error function. */
export const errorFunction = (x: Value): Value => apply(Erf, [x]);
/** `slope · x + offset` limited to [0, 1]. */
export const hardSigmoid = (x: Value, slope = 0.2, offset = 0.5): Value =>
  apply(HardSigmoid, [x], { alpha: slope, beta: offset });
/** −1, 0 or 1; no gradient. */
export const sign = (x: Value): Value => apply(Sign, [x]);
export const identity = (x: Value): Value => apply(Identity, [x]);
/** The same value, through which no gradient flows. */
export const stopGradient = (x: Value): Value => apply(StopGradient, [x]);
/** `x` limited to [low, high]; the gradient is 1 inside and at the limits. */
export const clip = (x: Value, low: number | undefined, high: number | undefined): Value =>
  apply(Clip, [
    x,
    low === undefined ? undefined : constant(low, [], { dataType: x.dataType }),
    high === undefined ? undefined : constant(high, [], { dataType: x.dataType }),
  ]);

export const equal = (a: Value, b: Value): Value => apply(Equal, [a, b]);
export const greater = (a: Value, b: Value): Value => apply(Greater, [a, b]);
export const greaterOrEqual = (a: Value, b: Value): Value => apply(GreaterOrEqual, [a, b]);
export const less = (a: Value, b: Value): Value => apply(Less, [a, b]);
export const lessOrEqual = (a: Value, b: Value): Value => apply(LessOrEqual, [a, b]);
export const and = (a: Value, b: Value): Value => apply(And, [a, b]);
export const or = (a: Value, b: Value): Value => apply(Or, [a, b]);
export const not = (x: Value): Value => apply(Not, [x]);

/** `condition ? a : b`, element by element; `condition` is bool. */
export const where = (condition: Value, a: Value, b: Value): Value => apply(Where, [condition, a, b]);

/** To another data type. The gradient passes between float types only. */
export const cast = (x: Value, dataType: DataType): Value =>
  x.dataType === dataType ? x : apply(Cast, [x], { to: ONNX_DATA_TYPES[dataType] });

/** A scalar constant of the value's data type. */
export const scalarLike = (x: Value, number: number): Value => constant(number, [], { dataType: x.dataType });
/** `scale · x` by a plain number. */
export const scale = (x: Value, factor: number): Value =>
  factor === 1 ? x : multiply(x, scalarLike(x, factor));
/** `x + c` by a plain number. */
export const shift = (x: Value, offset: number): Value => (offset === 0 ? x : add(x, scalarLike(x, offset)));
/** `x²` */
export const square = (x: Value): Value => multiply(x, x);

/** The numbers of `TensorProto.DataType` in the ONNX format. */
export const ONNX_DATA_TYPES: Readonly<Record<DataType, number>> = {
  float32: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
};

// --- operators ---

type BinaryGradient = (context: { a: Value; b: Value; y: Value; g: Value }) => Value;
type UnaryGradient = (context: { x: Value; y: Value; g: Value }) => Value;

function binary(name: string, gradientA: BinaryGradient, gradientB: BinaryGradient): Operator {
  return {
    name,
    infer(inputs) {
      const a = required(inputs[0], name, 0);
      const b = required(inputs[1], name, 1);
      atMost(inputs, 2, name); // ONNX has Max and Min of any number
      return [{ dataType: sameDataType(inputs, name), shape: broadcastShapes(a.shape, b.shape, name) }];
    },
    vjp({ inputs, outputs, outputGradients, isNeeded }: VjpContext) {
      const [a, b] = inputs as [Value, Value];
      const context = { a, b, y: outputs[0] as Value, g: outputGradients[0] as Value };
      return [
        isNeeded[0] ? sumTo(gradientA(context), a.shape) : undefined,
        isNeeded[1] ? sumTo(gradientB(context), b.shape) : undefined,
      ];
    },
  };
}

function unary(name: string, gradient: UnaryGradient | 'zero'): Operator {
  return {
    name,
    infer([x]) {
      const { dataType, shape } = required(x, name, 0);
      return [{ dataType, shape }];
    },
    vjp:
      gradient === 'zero'
        ? 'zero'
        : ({ inputs, outputs, outputGradients }) => [
            gradient({ x: inputs[0] as Value, y: outputs[0] as Value, g: outputGradients[0] as Value }),
          ],
  };
}

function comparison(name: string): Operator {
  return {
    name,
    infer(inputs) {
      const a = required(inputs[0], name, 0);
      const b = required(inputs[1], name, 1);
      sameDataType(inputs, name);
      return [{ dataType: 'bool', shape: broadcastShapes(a.shape, b.shape, name) }];
    },
    vjp: 'zero',
  };
}

const Add = binary(
  'Add',
  ({ g }) => g,
  ({ g }) => g,
);
const Sub = binary(
  'Sub',
  ({ g }) => g,
  ({ g }) => negate(g),
);
const Mul = binary(
  'Mul',
  ({ b, g }) => multiply(g, b),
  ({ a, g }) => multiply(g, a),
);
const Div = binary(
  'Div',
  ({ b, g }) => divide(g, b),
  ({ b, y, g }) => negate(divide(multiply(g, y), b)),
);
const Pow = binary(
  'Pow',
  ({ a, b, g }) => multiply(g, multiply(b, power(a, shift(b, -1)))),
  ({ a, y, g }) => multiply(g, multiply(y, logarithm(a))),
);
/** The part of a gradient that goes where `mask` (bool) holds. */
export const masked = (mask: Value, g: Value): Value => where(mask, g, scalarLike(g, 0));
const Max = binary(
  'Max',
  ({ a, b, g }) => masked(greaterOrEqual(a, b), g),
  ({ a, b, g }) => masked(less(a, b), g),
);
const Min = binary(
  'Min',
  ({ a, b, g }) => masked(lessOrEqual(a, b), g),
  ({ a, b, g }) => masked(greater(a, b), g),
);

const Neg = unary('Neg', ({ g }) => negate(g));
const Abs = unary('Abs', ({ x, g }) => multiply(g, sign(x)));
const Exp = unary('Exp', ({ y, g }) => multiply(g, y));
const Log = unary('Log', ({ x, g }) => divide(g, x));
const Sqrt = unary('Sqrt', ({ y, g }) => divide(g, scale(y, 2)));
const Reciprocal = unary('Reciprocal', ({ y, g }) => negate(multiply(g, square(y))));
// A hard sigmoid so steep that it is 1 at every normal positive number: onnxruntime runs it with all threads, and `Sign`
// and `Greater` with one.
const STEEP = 1e38;
const Relu = unary('Relu', ({ y, g }) => multiply(g, hardSigmoid(y, STEEP, 0)));
const Sigmoid = unary('Sigmoid', ({ y, g }) => multiply(g, multiply(y, subtract(scalarLike(y, 1), y))));
const Tanh = unary('Tanh', ({ y, g }) => multiply(g, subtract(scalarLike(y, 1), square(y))));
const Softplus = unary('Softplus', ({ x, g }) => multiply(g, sigmoid(x)));
const Erf = unary('Erf', ({ x, g }) =>
  multiply(g, scale(exponential(negate(square(x))), 2 / Math.sqrt(Math.PI))),
);
const Sign = unary('Sign', 'zero');
/** `max(0, min(1, alpha·x + beta))`; differentiable between. */
const HardSigmoid: Operator = {
  name: 'HardSigmoid',
  infer([x]) {
    const { dataType, shape } = required(x, 'HardSigmoid', 0);
    return [{ dataType, shape }];
  },
  vjp({ outputs, attributes, outputGradients }) {
    const y = outputs[0] as Value;
    const isInside = and(greater(y, scalarLike(y, 0)), less(y, scalarLike(y, 1)));
    return [masked(isInside, scale(outputGradients[0] as Value, Number(attributes.alpha ?? 0.2)))];
  },
};
const Identity = unary('Identity', ({ g }) => g);
const StopGradient: Operator = { ...unary('Identity', 'zero') };

const Clip: Operator = {
  name: 'Clip',
  infer([x]) {
    const { dataType, shape } = required(x, 'Clip', 0);
    return [{ dataType, shape }];
  },
  vjp({ inputs, outputGradients }) {
    const [x, low, high] = inputs as [Value, Value | undefined, Value | undefined];
    let gradient = outputGradients[0] as Value;
    if (low !== undefined) gradient = masked(greaterOrEqual(x, low), gradient);
    if (high !== undefined) gradient = masked(lessOrEqual(x, high), gradient);
    return [gradient];
  },
};

const Equal = comparison('Equal');
const Greater = comparison('Greater');
const GreaterOrEqual = comparison('GreaterOrEqual');
const Less = comparison('Less');
const LessOrEqual = comparison('LessOrEqual');
const And = comparison('And');
const Or = comparison('Or');
const Not = unary('Not', 'zero');

const Where: Operator = {
  name: 'Where',
  infer([conditionInput, aInput, bInput]) {
    const condition = required(conditionInput, 'Where', 0);
    const a = required(aInput, 'Where', 1);
    const b = required(bInput, 'Where', 2);
    if (condition.dataType !== 'bool') {
      throw new ShapeError(
        `Where: the condition must be bool, got ${condition.dataType} ${formatShape(condition.shape)}.`,
      );
    }
    const shape = broadcastShapes(condition.shape, broadcastShapes(a.shape, b.shape, 'Where'), 'Where');
    return [{ dataType: sameDataType([a, b], 'Where'), shape }];
  },
  vjp({ inputs, outputGradients, isNeeded }) {
    const [condition, a, b] = inputs as [Value, Value, Value];
    const g = outputGradients[0] as Value;
    const zero = scalarLike(g, 0);
    return [
      undefined,
      isNeeded[1] ? sumTo(where(condition, g, zero), a.shape) : undefined,
      isNeeded[2] ? sumTo(where(condition, zero, g), b.shape) : undefined,
    ];
  },
};

const Cast: Operator = {
  name: 'Cast',
  infer([x], attributes) {
    const { shape } = required(x, 'Cast', 0);
    const found = Object.entries(ONNX_DATA_TYPES).find(([, number]) => number === attributes.to);
    if (found === undefined) {
      throw new ShapeError(`Cast: the data type must be a supported one, got number ${attributes.to}.`);
    }
    return [{ dataType: found[0] as DataType, shape }];
  },
  vjp({ inputs, outputGradients }) {
    return [cast(outputGradients[0] as Value, (inputs[0] as Value).dataType)];
  },
};

export const elementwiseOperators = {
  Add,
  Sub,
  Mul,
  Div,
  Pow,
  Max,
  Min,
  Neg,
  Abs,
  Exp,
  Log,
  Sqrt,
  Reciprocal,
  Relu,
  Sigmoid,
  Tanh,
  Softplus,
  Erf,
  Sign,
  HardSigmoid,
  Identity,
  Clip,
  Equal,
  Greater,
  GreaterOrEqual,
  Less,
  LessOrEqual,
  And,
  Or,
  Not,
  Where,
  Cast,
} satisfies Record<string, Operator>;
