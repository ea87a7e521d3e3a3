/**
 * Activation functions. onnxruntime runs `HardSigmoid`, `Add` and `Mul` with all threads, but `Sign` and the comparisons
 * with one; so gradients that are masks are written with steep hard sigmoids where those are exact.
 */
import { ShapeError } from '../util/index.js';
import {
  absolute,
  add,
  cast,
  exponential,
  greater,
  greaterOrEqual,
  less,
  lessOrEqual,
  masked,
  multiply,
  negate,
  scalarLike,
  scale,
  shift,
  square,
  subtract,
  unary,
} from './elementwise.js';
import { apply, constant, constantIntegers, formatShape, type Operator, type Value } from './ir.js';
import { broadcastShapes, required, sameDataType, sumTo } from './shapes.js';

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
/** `x` limited to [low, high]; the gradient is 1 inside and 0 from the limits on. */
export const clip = (x: Value, low: number | undefined, high: number | undefined): Value =>
  apply(Clip, [
    x,
    low === undefined ? undefined : constant(low, [], { dataType: x.dataType }),
    high === undefined ? undefined : constant(high, [], { dataType: x.dataType }),
  ]);

/** `x · hardSigmoid(x, 1/6, 1/2)` */
export const hardSwish = (x: Value): Value => apply(HardSwish, [x]);
/** `x` where it is positive, `slope · x` elsewhere. */
export const leakyRelu = (x: Value, slope = 0.01): Value => apply(LeakyRelu, [x], { alpha: slope });
/** `x · Φ(x)` with the normal distribution's Φ, or its approximation by a hyperbolic tangent. */
export const gelu = (x: Value, approximate: 'none' | 'tanh' = 'none'): Value =>
  apply(Gelu, [x], { approximate });

// --- operators ---

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

/** 1 where `x > 0`, else 0: exact for float32. */
function isPositive(x: Value): Value {
  return x.dataType === 'float32' ? hardSigmoid(x, STEEP, 0) : cast(greater(x, scalarLike(x, 0)), x.dataType);
}

/** 1 where `low < y < high`, else 0, for a `y` in [low, high]: the product of the distances is positive. */
function isBetween(y: Value, low: Value | undefined, high: Value | undefined): Value | undefined {
  const above = low && (isConstant(low, 0) ? y : subtract(y, low));
  const below = high && subtract(high, y);
  const distance = above && below ? multiply(above, below) : (above ?? below);
  return distance && isPositive(distance);
}

function isConstant(value: Value, number: number): boolean {
  return constantIntegers(value)?.every((element) => element === number) === true;
}

/** `max(0, min(1, alpha·x + beta))`; differentiable between. */
const HardSigmoid = unary('HardSigmoid', ({ y, g, attributes }) => {
  const inside = isBetween(y, scalarLike(y, 0), scalarLike(y, 1)) as Value;
  return multiply(scale(g, Number(attributes.alpha ?? 0.2)), inside);
});

/** Between −3 and 3 the slope is `(2x + 3) / 6`, which is `h + (h − ½)` of the hard sigmoid h; outside it is h. */
const HardSwish = unary('HardSwish', ({ x, g }) => {
  const steep = 2 ** 125; // a power of two, so that 3·steep and steep·|x| are exact and cancel at 3
  const inside =
    x.dataType === 'float32'
      ? hardSigmoid(absolute(x), -steep, 3 * steep)
      : cast(less(absolute(x), scalarLike(x, 3)), x.dataType);
  const h = hardSigmoid(x, 1 / 6, 0.5);
  return multiply(g, add(h, multiply(shift(h, -0.5), inside)));
});

const slopes = (x: Value, slope: Value): Value =>
  add(slope, multiply(subtract(scalarLike(x, 1), slope), isPositive(x)));
const LeakyRelu = unary('LeakyRelu', ({ x, g, attributes }) =>
  multiply(g, slopes(x, scalarLike(x, Number(attributes.alpha ?? 0.01)))),
);
/** `x` where it is positive, `slope · x` elsewhere; the slope broadcasts to `x`. */
const PRelu: Operator = {
  name: 'PRelu',
  infer(inputs) {
    const x = required(inputs[0], 'PRelu', 0);
    const slope = required(inputs[1], 'PRelu', 1);
    if (formatShape(broadcastShapes(x.shape, slope.shape, 'PRelu')) !== formatShape(x.shape)) {
      throw new ShapeError(
        `PRelu: the slope must broadcast to ${formatShape(x.shape)}, got ${formatShape(slope.shape)}.`,
      );
    }
    return [{ dataType: sameDataType(inputs, 'PRelu'), shape: x.shape }];
  },
  vjp({ inputs, outputGradients, isNeeded }) {
    const [x, slope] = inputs as [Value, Value];
    const g = outputGradients[0] as Value;
    return [
      isNeeded[0] ? multiply(g, slopes(x, slope)) : undefined,
      isNeeded[1] ? sumTo(multiply(g, subtract(x, relu(x))), slope.shape) : undefined,
    ];
  },
};

/** The slope of what is `positive · x` above 0, and below it has its own value times `factor` plus `offset` as slope. */
const exponentialSlope = (y: Value, positive: number, factor: number, offset: number): Value => {
  const below = shift(scale(subtract(y, relu(y)), factor), offset);
  return positive === offset ? below : add(below, scale(isPositive(y), positive - offset));
};
const Elu = unary('Elu', ({ y, g, attributes }) =>
  multiply(g, exponentialSlope(y, 1, 1, Number(attributes.alpha ?? 1))),
);
const Selu = unary('Selu', ({ y, g, attributes }) => {
  const gamma = Number(attributes.gamma ?? 1.0507010221481323);
  return multiply(g, exponentialSlope(y, gamma, 1, gamma * Number(attributes.alpha ?? 1.6732631921768188)));
});
const Celu = unary('Celu', ({ y, g, attributes }) =>
  multiply(g, exponentialSlope(y, 1, 1 / Number(attributes.alpha ?? 1), 1)),
);
const ThresholdedRelu = unary('ThresholdedRelu', ({ x, g, attributes }) =>
  multiply(g, isPositive(shift(x, -Number(attributes.alpha ?? 1)))),
);
const Softsign = unary('Softsign', ({ y, g }) =>
  multiply(g, square(subtract(scalarLike(y, 1), absolute(y)))),
);

/** Φ(x), the share of a normal distribution below x. */
const normalShare = (x: Value): Value => scale(shift(errorFunction(scale(x, Math.SQRT1_2)), 1), 0.5);
const TANH_GELU = Math.sqrt(2 / Math.PI);
const CUBIC = 0.044715;
const tanhShare = (x: Value): Value => tanh(scale(multiply(x, shift(scale(square(x), CUBIC), 1)), TANH_GELU));
/** Of opset 20, so that it is written in operators of opset 18. */
const Gelu: Operator = {
  ...unary('Gelu', ({ x, g, attributes }) => {
    if (attributes.approximate === 'tanh') {
      const t = tanhShare(x);
      const inner = scale(shift(scale(square(x), 3 * CUBIC), 1), TANH_GELU);
      const change = multiply(multiply(x, subtract(scalarLike(x, 1), square(t))), inner);
      return multiply(g, scale(add(shift(t, 1), change), 0.5));
    }
    const density = scale(exponential(scale(square(x), -0.5)), 1 / Math.sqrt(2 * Math.PI));
    return multiply(g, add(normalShare(x), multiply(x, density)));
  }),
  lower({ attributes }, [x]) {
    const value = x as Value;
    const share =
      attributes.approximate === 'tanh' ? scale(shift(tanhShare(value), 1), 0.5) : normalShare(value);
    return [multiply(value, share)];
  },
};
/** `x · tanh(softplus(x))` (Misra 2019, arXiv 1908.08681). */
const Mish: Operator = {
  ...unary('Mish', ({ x, g }) => {
    const t = tanh(softplus(x));
    const change = multiply(multiply(x, sigmoid(x)), subtract(scalarLike(x, 1), square(t)));
    return multiply(g, add(t, change));
  }),
  lower: (_, [x]) => [multiply(x as Value, tanh(softplus(x as Value)))],
};

const Clip: Operator = {
  name: 'Clip',
  infer([x]) {
    const { dataType, shape } = required(x, 'Clip', 0);
    return [{ dataType, shape }];
  },
  vjp({ inputs, outputs, outputGradients, isNeeded }) {
    const x = inputs[0] as Value;
    const [low, high] = inputs.slice(1).map((limit) => (isLimit(limit) ? limit : undefined));
    const g = outputGradients[0] as Value;
    const inside = isBetween(outputs[0] as Value, low, high);
    const summed = (mask: Value, limit: Value) => sumTo(masked(mask, g), limit.shape);
    return [
      inside === undefined ? g : multiply(g, inside),
      isNeeded[1] && low ? summed(lessOrEqual(x, low), low) : undefined,
      isNeeded[2] && high ? summed(greaterOrEqual(x, high), high) : undefined,
    ];
  },
};

/** Exporters write the largest number where there is no limit. */
function isLimit(limit: Value | undefined): boolean {
  return limit !== undefined && constantIntegers(limit)?.every((number) => Math.abs(number) > 1e30) !== true;
}

export const activationOperators = {
  Relu,
  Sigmoid,
  Tanh,
  Softplus,
  Erf,
  HardSigmoid,
  HardSwish,
  LeakyRelu,
  PRelu,
  Elu,
  Selu,
  Celu,
  ThresholdedRelu,
  Softsign,
  Gelu,
  Mish,
  Clip,
} satisfies Record<string, Operator>;
