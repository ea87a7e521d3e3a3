/**
 * Trigonometric and hyperbolic functions and their inverses, as positional encodings and some activations use them.
 */
import {
  add,
  divide,
  multiply,
  negate,
  reciprocal,
  scalarLike,
  shift,
  square,
  squareRoot,
  subtract,
  unary,
} from './elementwise.js';
import { apply, type Operator, type Value } from './ir.js';

/** Sine of an angle in radians. */
export const sine = (x: Value): Value => apply(Sin, [x]);
/** Cosine of an angle in radians. */
export const cosine = (x: Value): Value => apply(Cos, [x]);

// --- operators ---

const oneMinus = (x: Value): Value => subtract(scalarLike(x, 1), x);

const Sin = unary('Sin', ({ x, g }) => multiply(g, cosine(x)));
const Cos = unary('Cos', ({ x, g }) => negate(multiply(g, sine(x))));
const Tan = unary('Tan', ({ y, g }) => multiply(g, shift(square(y), 1)));
const Asin = unary('Asin', ({ x, g }) => divide(g, squareRoot(oneMinus(square(x)))));
const Acos = unary('Acos', ({ x, g }) => negate(divide(g, squareRoot(oneMinus(square(x))))));
const Atan = unary('Atan', ({ x, g }) => multiply(g, reciprocal(shift(square(x), 1))));
const Sinh = unary('Sinh', ({ x, g }) => multiply(g, apply(Cosh, [x])));
const Cosh = unary('Cosh', ({ x, g }) => multiply(g, apply(Sinh, [x])));
const Asinh = unary('Asinh', ({ x, g }) => divide(g, squareRoot(shift(square(x), 1))));
const Acosh = unary('Acosh', ({ x, g }) =>
  divide(g, multiply(squareRoot(shift(x, -1)), squareRoot(add(x, scalarLike(x, 1))))),
);
const Atanh = unary('Atanh', ({ x, g }) => divide(g, oneMinus(square(x))));

export const trigonometryOperators = {
  Sin,
  Cos,
  Tan,
  Asin,
  Acos,
  Atan,
  Sinh,
  Cosh,
  Asinh,
  Acosh,
  Atanh,
} satisfies Record<string, Operator>;
