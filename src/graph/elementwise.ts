/**
 * Elementwise operators with NumPy broadcasting: arithmetic, rounding, comparisons, selection and casts. Their contents
 * are followed where they are known when the graph is built, since exporters compute shapes with them.
 */
import { ShapeError } from '../util/index.js';
import {
  addDimensions,
  compareDimensions,
  divideDimensions,
  multiplyDimensions,
  remainderOf,
  subtractDimensions,
} from './dimensions.js';
import {
  type Attributes,
  apply,
  constant,
  constantIntegers,
  type DataType,
  type Dimension,
  formatShape,
  type Operator,
  type Shape,
  type Value,
  type VjpContext,
} from './ir.js';
import { isInteger, knownElementwise, knownUnchanged } from './known.js';
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
/** −1, 0 or 1; no gradient. */
export const sign = (x: Value): Value => apply(Sign, [x]);
export const identity = (x: Value): Value => apply(Identity, [x]);
/** The same value, through which no gradient flows. */
export const stopGradient = (x: Value): Value => apply(StopGradient, [x]);
export const equal = (a: Value, b: Value): Value => apply(Equal, [a, b]);
export const greater = (a: Value, b: Value): Value => apply(Greater, [a, b]);
export const greaterOrEqual = (a: Value, b: Value): Value => apply(GreaterOrEqual, [a, b]);
export const less = (a: Value, b: Value): Value => apply(Less, [a, b]);
export const lessOrEqual = (a: Value, b: Value): Value => apply(LessOrEqual, [a, b]);
export const and = (a: Value, b: Value): Value => apply(And, [a, b]);
export const or = (a: Value, b: Value): Value => apply(Or, [a, b]);
/** Whether exactly one of two bools holds. */
export const xor = (a: Value, b: Value): Value => apply(Xor, [a, b]);
export const not = (x: Value): Value => apply(Not, [x]);
/** The largest integer that is not larger; no gradient. */
export const floor = (x: Value): Value => apply(Floor, [x]);
/** The smallest integer that is not smaller; no gradient. */
export const ceil = (x: Value): Value => apply(Ceil, [x]);
/** The nearest integer, the even one of two; no gradient. */
export const round = (x: Value): Value => apply(Round, [x]);

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
  int8: 3,
  int32: 6,
  int64: 7,
  bool: 9,
  float16: 10,
  float64: 11,
};

// --- operators ---

type BinaryGradient = (context: { a: Value; b: Value; y: Value; g: Value; attributes: Attributes }) => Value;
type UnaryGradient = (context: { x: Value; y: Value; g: Value; attributes: Attributes }) => Value;

function binary(
  name: string,
  gradientA: BinaryGradient,
  gradientB: BinaryGradient,
  known?: Operator['known'],
): Operator {
  return {
    name,
    infer(inputs) {
      const a = required(inputs[0], name, 0);
      const b = required(inputs[1], name, 1);
      atMost(inputs, 2, name);
      const dataType = name === 'Pow' ? a.dataType : sameDataType(inputs, name);
      return [{ dataType, shape: broadcastShapes(a.shape, b.shape, name) }];
    },
    vjp({ inputs, outputs, attributes, outputGradients, isNeeded }: VjpContext) {
      const [a, b] = inputs as [Value, Value];
      const context = { a, b, y: outputs[0] as Value, g: outputGradients[0] as Value, attributes };
      return [
        isNeeded[0] ? sumTo(gradientA(context), a.shape) : undefined,
        isNeeded[1] ? sumTo(gradientB(context), b.shape) : undefined,
      ];
    },
    ...(known === undefined ? {} : { known }),
  };
}

/** An operator of one tensor that keeps shape and data type. */
export function unary(name: string, gradient: UnaryGradient | 'zero', known?: Operator['known']): Operator {
  return {
    name,
    infer([x]) {
      const { dataType, shape } = required(x, name, 0);
      return [{ dataType, shape }];
    },
    vjp:
      gradient === 'zero'
        ? 'zero'
        : ({ inputs, outputs, attributes, outputGradients }) => [
            gradient({
              x: inputs[0] as Value,
              y: outputs[0] as Value,
              g: outputGradients[0] as Value,
              attributes,
            }),
          ],
    ...(known === undefined ? {} : { known }),
  };
}

function comparison(
  name: string,
  compute?: (order: -1 | 0 | 1) => boolean,
  known: Operator['known'] = compute && compared(compute),
): Operator {
  return {
    name,
    infer(inputs) {
      const a = required(inputs[0], name, 0);
      const b = required(inputs[1], name, 1);
      sameDataType(inputs, name);
      return [{ dataType: 'bool', shape: broadcastShapes(a.shape, b.shape, name) }];
    },
    vjp: 'zero',
    ...(known === undefined ? {} : { known }),
  };
}

/** A test of each element, such as whether it is infinite. */
function test(name: string): Operator {
  return {
    name,
    infer: ([x]) => [{ dataType: 'bool', shape: required(x, name, 0).shape }],
    vjp: 'zero',
  };
}

// Contents that are known: numbers, or names of sizes, which are whole.

function compared(compute: (order: -1 | 0 | 1) => boolean): Operator['known'] {
  return knownElementwise(([a, b]) => {
    if (Number.isNaN(a) || Number.isNaN(b) || !areWhole([a, b])) return undefined;
    const order = compareDimensions(a as Dimension, b as Dimension);
    return order === undefined ? undefined : Number(compute(order));
  });
}

/** Whether names are only among whole numbers. */
function areWhole(elements: readonly (Dimension | undefined)[]): boolean {
  return (
    elements.every((x) => typeof x === 'number') ||
    elements.every((x) => typeof x === 'string' || Number.isInteger(x))
  );
}

function knownNumbers(
  compute: (...elements: number[]) => number,
  named?: (...elements: Dimension[]) => Dimension | undefined,
): Operator['known'] {
  return knownElementwise((elements) => {
    if (elements.every((x) => typeof x === 'number')) return compute(...(elements as number[]));
    return areWhole(elements) ? named?.(...elements) : undefined;
  });
}

const Add = binary(
  'Add',
  ({ g }) => g,
  ({ g }) => g,
  knownNumbers((a, b) => a + b, addDimensions),
);
const Sub = binary(
  'Sub',
  ({ g }) => g,
  ({ g }) => negate(g),
  knownNumbers((a, b) => a - b, subtractDimensions),
);
const Mul = binary(
  'Mul',
  ({ b, g }) => multiply(g, b),
  ({ a, g }) => multiply(g, a),
  knownNumbers((a, b) => a * b, multiplyDimensions),
);
/** Of integers the quotient is cut toward zero. */
const Div = binary(
  'Div',
  ({ b, g }) => divide(g, b),
  ({ b, y, g }) => negate(divide(multiply(g, y), b)),
  knownElementwise(([a, b], dataType) => {
    if (typeof a === 'number' && typeof b === 'number')
      return isInteger(dataType) ? Math.trunc(a / b) : a / b;
    return areWhole([a, b]) ? divideDimensions(a as Dimension, b as Dimension) : undefined;
  }),
);
/** The remainder: with the sign of the divisor, or with `fmod` 1 that of the dividend. */
const Mod = binary(
  'Mod',
  ({ g }) => g,
  ({ a, b, g, attributes }) => {
    const quotient = divide(a, b);
    const whole =
      attributes.fmod === 1 ? multiply(sign(quotient), floor(absolute(quotient))) : floor(quotient);
    return negate(multiply(g, whole));
  },
  knownElementwise(([a, b], _, { attributes }) => {
    if (typeof b !== 'number' || !areWhole([a, b])) return undefined;
    if (typeof a === 'string') return remainderOf(a, b);
    return attributes.fmod === 1 ? (a as number) % b : (((a as number) % b) + b) % b;
  }),
);
/** By a constant exponent the gradient needs no logarithm, and for the common ones no power. */
const Pow = binary(
  'Pow',
  ({ a, b, y, g }) => {
    const exponent = constantIntegers(b);
    switch (exponent?.length === 1 ? exponent[0] : undefined) {
      case 1:
        return g;
      case 2:
        return multiply(g, scale(a, 2));
      case 3:
        return multiply(g, scale(square(a), 3));
      case 0.5:
        return divide(g, scale(y, 2));
      case -0.5:
        return multiply(g, scale(multiply(y, square(y)), -0.5));
      case -1:
        return negate(multiply(g, square(y)));
    }
    const inner = cast(b, a.dataType);
    return multiply(g, multiply(inner, power(a, shift(inner, -1))));
  },
  ({ a, y, g }) => multiply(g, multiply(y, logarithm(a))),
  knownNumbers((a, b) => a ** b),
);
/** The part of a gradient that goes where `mask` (bool) holds. */
export const masked = (mask: Value, g: Value): Value => where(mask, g, scalarLike(g, 0));

/** An operator of any number of tensors, whose gradient by each is given at the shape of the output. */
function variadic(
  name: string,
  gradient: (values: readonly Value[], g: Value) => readonly Value[],
  known?: Operator['known'],
): Operator {
  return {
    name,
    infer(inputs) {
      const first = required(inputs[0], name, 0);
      const shape = inputs.reduce<Shape>(
        (shape, value, i) => broadcastShapes(shape, required(value, name, i).shape, name),
        first.shape,
      );
      return [{ dataType: sameDataType(inputs, name), shape }];
    },
    vjp({ inputs, outputGradients, isNeeded }) {
      const values = inputs as readonly Value[];
      return gradient(values, outputGradients[0] as Value).map((g, i) =>
        isNeeded[i] ? sumTo(g, (values[i] as Value).shape) : undefined,
      );
    },
    ...(known === undefined ? {} : { known }),
  };
}

/** The gradient goes to the first of the inputs that is the extreme. */
function extreme(
  name: string,
  join: (a: Value, b: Value) => Value,
  isFirst: (a: Value, b: Value) => Value,
  isSecond: (a: Value, b: Value) => Value,
  order: -1 | 1,
): Operator {
  return variadic(
    name,
    (values, outputGradient) => {
      const extremes = [values[0] as Value]; // of the values up to each
      for (const value of values.slice(1)) extremes.push(join(extremes.at(-1) as Value, value));
      let g = outputGradient;
      const results: Value[] = [];
      for (let i = values.length - 1; i > 0; i--) {
        const before = extremes[i - 1] as Value;
        results.unshift(masked(isSecond(before, values[i] as Value), g));
        g = masked(isFirst(before, values[i] as Value), g);
      }
      return [g, ...results];
    },
    knownElementwise((elements) => {
      if (!areWhole(elements)) return undefined;
      return elements.reduce<Dimension | undefined>((best, element) => {
        const found = best === undefined ? undefined : compareDimensions(element, best);
        return found === undefined ? undefined : found === order ? element : best;
      }, elements[0]);
    }),
  );
}
const Max = extreme('Max', maximum, greaterOrEqual, less, 1);
const Min = extreme('Min', minimum, lessOrEqual, greater, -1);
const Sum = variadic('Sum', (values, g) => values.map(() => g));
const Mean = variadic('Mean', (values, g) => values.map(() => scale(g, 1 / values.length)));

const Neg = unary(
  'Neg',
  ({ g }) => negate(g),
  knownNumbers(
    (x) => -x,
    (x) => multiplyDimensions(x, -1),
  ),
);
const Abs = unary('Abs', ({ x, g }) => multiply(g, sign(x)), knownNumbers(Math.abs));
const Exp = unary('Exp', ({ y, g }) => multiply(g, y));
const Log = unary('Log', ({ x, g }) => divide(g, x));
const Sqrt = unary('Sqrt', ({ y, g }) => divide(g, scale(y, 2)), knownNumbers(Math.sqrt));
const Reciprocal = unary(
  'Reciprocal',
  ({ y, g }) => negate(multiply(g, square(y))),
  knownNumbers((x) => 1 / x),
);
const Sign = unary('Sign', 'zero', knownNumbers(Math.sign));
const sameSize = (x: Dimension): Dimension => x;
const Floor = unary('Floor', 'zero', knownNumbers(Math.floor, sameSize));
const Ceil = unary('Ceil', 'zero', knownNumbers(Math.ceil, sameSize));
const Round = unary('Round', 'zero', knownNumbers(roundHalfToEven, sameSize));
const Identity = unary('Identity', ({ g }) => g, knownUnchanged);
const StopGradient: Operator = { ...unary('Identity', 'zero', knownUnchanged) };

function roundHalfToEven(x: number): number {
  const below = Math.floor(x);
  const isTie = x - below === 0.5;
  return isTie ? (below % 2 === 0 ? below : below + 1) : Math.round(x);
}

const Equal = comparison('Equal', (order) => order === 0);
const Greater = comparison('Greater', (order) => order > 0);
const GreaterOrEqual = comparison('GreaterOrEqual', (order) => order >= 0);
const Less = comparison('Less', (order) => order < 0);
const LessOrEqual = comparison('LessOrEqual', (order) => order <= 0);
const And = comparison(
  'And',
  undefined,
  knownNumbers((a, b) => a * b),
);
const Or = comparison('Or', undefined, knownNumbers(Math.max));
const Xor = comparison(
  'Xor',
  undefined,
  knownNumbers((a, b) => Number(a !== b)),
);
const Not = unary(
  'Not',
  'zero',
  knownNumbers((x) => 1 - x),
);
const IsNaN = test('IsNaN');
const IsInf = test('IsInf');

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
  known: knownElementwise(([condition, a, b]) => (condition === 1 ? a : b)),
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
  known: knownElementwise(([x], dataType) => {
    if (dataType === 'bool') return typeof x === 'number' ? Number(x !== 0) : undefined;
    return typeof x === 'number' && isInteger(dataType) ? Math.trunc(x) : x;
  }),
};

export const elementwiseOperators = {
  Add,
  Sub,
  Mul,
  Div,
  Mod,
  Pow,
  Max,
  Min,
  Sum,
  Mean,
  Neg,
  Abs,
  Exp,
  Log,
  Sqrt,
  Reciprocal,
  Sign,
  Floor,
  Ceil,
  Round,
  Identity,
  Equal,
  Greater,
  GreaterOrEqual,
  Less,
  LessOrEqual,
  And,
  Or,
  Xor,
  Not,
  IsNaN,
  IsInf,
  Where,
  Cast,
} satisfies Record<string, Operator>;
