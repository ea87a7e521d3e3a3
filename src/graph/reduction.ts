/**
 * Reductions over axes, and the softmax family. Axes are an input (opset 18), given as a constant.
 */
import { ShapeError } from '../util/index.js';
import {
  cast,
  divide,
  equal,
  exponential,
  masked as maskedGradient,
  multiply,
  negate,
  scale,
  sign,
  subtract,
} from './elementwise.js';
import {
  type Attributes,
  apply,
  constantIntegers,
  type Dimension,
  int64,
  type Operator,
  type Shape,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { expand, reshapeExactly } from './movement.js';
import { normalizeAxis, required } from './shapes.js';

export interface ReductionOptions {
  /** Whether reduced axes stay with size 1. Default false. */
  readonly keepDimensions?: boolean;
}

type Axes = readonly number[] | 'all';

/** Sum over the axes. */
export const reduceSum = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceSum, x, axes, options);
/** Mean over the axes. */
export const reduceMean = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceMean, x, axes, options);
/** Sum of squares over the axes. */
export const reduceSumSquare = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceSumSquare, x, axes, options);
/** Euclidean length over the axes; the gradient at the zero vector is NaN, so keep away from it. */
export const reduceL2 = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceL2, x, axes, options);
/** Largest element over the axes; equal maxima share the gradient. */
export const reduceMax = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceMax, x, axes, options);
/** Smallest element over the axes; equal minima share the gradient. */
export const reduceMin = (x: Value, axes: Axes, options?: ReductionOptions): Value =>
  reduce(ReduceMin, x, axes, options);

/**
 * Sum over all axes but the second: `[N, C, …] → [C]`. Innermost axes first: onnxruntime is three times faster so than
 * all at once.
 */
export function sumByChannel(x: Value): Value {
  if (x.rank === 2) return reduceSum(x, [0]);
  const [batch, channels, ...spatial] = staticShape(x, 'sumByChannel') as [number, number, ...number[]];
  return reduceSum(reduceSum(reshapeExactly(x, [batch, channels, sizeOf(spatial)]), [2]), [0]);
}

/** Softmax along one axis. */
export const softmax = (x: Value, axis = -1): Value =>
  apply(Softmax, [x], { axis: normalizeAxis(axis, x.rank, 'Softmax') });
/** Logarithm of the softmax along one axis. */
export const logSoftmax = (x: Value, axis = -1): Value =>
  apply(LogSoftmax, [x], { axis: normalizeAxis(axis, x.rank, 'LogSoftmax') });

// --- operators ---

function reduce(
  operator: Operator,
  x: Value,
  axes: Axes,
  { keepDimensions = false }: ReductionOptions = {},
): Value {
  const list =
    axes === 'all'
      ? x.shape.map((_, axis) => axis)
      : axes.map((axis) => normalizeAxis(axis, x.rank, operator.name));
  if (list.length === 0) return x; // nothing to reduce: a scalar, or no axes named
  return apply(operator, [x, int64(list)], { keepdims: keepDimensions ? 1 : 0 });
}

/** The axes that a reduction node reduces, counted from the front. */
function reducedAxes(inputs: readonly (Value | undefined)[], attributes: Attributes, name: string): number[] {
  const x = required(inputs[0], name, 0);
  if (attributes.axes !== undefined) {
    throw new ShapeError(`${name}: axes must be an input, as in opset 18, got an attribute.`);
  }
  if (inputs[1] === undefined)
    return attributes.noop_with_empty_axes === 1 ? [] : x.shape.map((_, axis) => axis);
  const axes = constantIntegers(inputs[1]);
  if (axes === undefined) {
    throw new ShapeError(`${name}: axes must be known when the graph is built, got a computed value.`);
  }
  if (axes.length === 0 && attributes.noop_with_empty_axes !== 1) return x.shape.map((_, axis) => axis);
  return axes.map((axis) => normalizeAxis(axis, x.rank, name));
}

function shapeWithOnes(shape: Shape, axes: readonly number[]): Dimension[] {
  return shape.map((dimension, axis) => (axes.includes(axis) ? 1 : dimension));
}

type ReductionGradient = (context: { x: Value; y: Value; g: Value; count: number }) => Value;

/** `gradient` gets `y` and `g` with the reduced axes kept as 1, so that they broadcast against `x`. */
function reduction(name: string, gradient: ReductionGradient): Operator {
  return {
    name,
    infer(inputs, attributes) {
      const { dataType, shape } = required(inputs[0], name, 0);
      const axes = reducedAxes(inputs, attributes, name);
      return [
        {
          dataType,
          shape:
            attributes.keepdims === 0
              ? shape.filter((_, axis) => !axes.includes(axis))
              : shapeWithOnes(shape, axes),
        },
      ];
    },
    vjp({ inputs, outputs, attributes, outputGradients }) {
      const x = inputs[0] as Value;
      const axes = reducedAxes(inputs, attributes, name);
      const shape = staticShape(x, name);
      const kept = shapeWithOnes(shape, axes) as number[];
      const count = sizeOf(axes.map((axis) => shape[axis] as number));
      const withAxes = (value: Value) => (attributes.keepdims === 0 ? reshapeExactly(value, kept) : value);
      return [
        gradient({ x, y: withAxes(outputs[0] as Value), g: withAxes(outputGradients[0] as Value), count }),
      ];
    },
  };
}

/** Where `x` equals its extreme `y`, an equal share of the gradient. */
const extremeGradient: ReductionGradient = ({ x, y, g }) => {
  const isExtreme = equal(x, y);
  const axes = x.shape.flatMap((dimension, axis) => (y.shape[axis] === 1 && dimension !== 1 ? [axis] : []));
  const ties = reduceSum(cast(isExtreme, x.dataType), axes, { keepDimensions: true });
  return maskedGradient(isExtreme, divide(g, ties));
};

const ReduceSum = reduction('ReduceSum', ({ x, g }) => expand(g, staticShape(x, 'ReduceSum')));
const ReduceMean = reduction('ReduceMean', ({ x, g, count }) =>
  expand(scale(g, 1 / count), staticShape(x, 'ReduceMean')),
);
const ReduceSumSquare = reduction('ReduceSumSquare', ({ x, g }) => multiply(scale(g, 2), x));
const ReduceL2 = reduction('ReduceL2', ({ x, y, g }) => multiply(divide(g, y), x));
const ReduceL1 = reduction('ReduceL1', ({ x, g }) => multiply(g, sign(x)));
const ReduceLogSum = reduction('ReduceLogSum', ({ x, y, g }) =>
  expand(multiply(g, exponential(negate(y))), staticShape(x, 'ReduceLogSum')),
);
const ReduceLogSumExp = reduction('ReduceLogSumExp', ({ x, y, g }) =>
  multiply(g, exponential(subtract(x, y))),
);
/** Without a gradient: the quotient of product and element would be wrong at 0. */
const ReduceProd: Operator = { ...reduction('ReduceProd', ({ g }) => g), vjp: 'none' };
const ReduceMax = reduction('ReduceMax', extremeGradient);
const ReduceMin = reduction('ReduceMin', extremeGradient);

function softmaxLike(name: string, gradient: (y: Value, g: Value, axis: number) => Value): Operator {
  return {
    name,
    infer([x]) {
      const { dataType, shape } = required(x, name, 0);
      return [{ dataType, shape }];
    },
    vjp({ outputs, attributes, outputGradients }) {
      const y = outputs[0] as Value;
      const axis = normalizeAxis(Number(attributes.axis ?? -1), y.rank, name);
      return [gradient(y, outputGradients[0] as Value, axis)];
    },
  };
}

const Softmax = softmaxLike('Softmax', (y, g, axis) =>
  multiply(y, subtract(g, reduceSum(multiply(g, y), [axis], { keepDimensions: true }))),
);
const LogSoftmax = softmaxLike('LogSoftmax', (y, g, axis) =>
  subtract(g, multiply(exponential(y), reduceSum(g, [axis], { keepDimensions: true }))),
);

const Hardmax: Operator = { ...softmaxLike('Hardmax', (y) => y), vjp: 'zero' };

/** Divides by the length (p 2) or the sum of absolute values (p 1) along an axis; not differentiable at zero. */
const LpNormalization: Operator = {
  ...softmaxLike('LpNormalization', (y) => y),
  vjp({ inputs, outputs, attributes, outputGradients }) {
    const [x, y, g] = [inputs[0], outputs[0], outputGradients[0]] as [Value, Value, Value];
    const axes = [normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'LpNormalization')];
    const isLength = Number(attributes.p ?? 2) === 2;
    const norm = reduce(isLength ? ReduceL2 : ReduceL1, x, axes, { keepDimensions: true });
    const along = reduceSum(multiply(g, y), axes, { keepDimensions: true });
    return [divide(subtract(g, multiply(isLength ? y : sign(x), along)), norm)];
  },
};

/** Sums of the elements up to each along an axis (an input): without it when `exclusive`, from the end when `reverse`. */
const CumSum: Operator = {
  name: 'CumSum',
  infer(inputs) {
    const { dataType, shape } = required(inputs[0], 'CumSum', 0);
    required(inputs[1], 'CumSum', 1);
    return [{ dataType, shape }];
  },
  vjp: ({ inputs, attributes, outputGradients }) => [
    apply(CumSum, [outputGradients[0], inputs[1]], {
      ...attributes,
      reverse: attributes.reverse === 1 ? 0 : 1,
    }),
  ],
};

export const reductionOperators = {
  ReduceSum,
  ReduceMean,
  ReduceSumSquare,
  ReduceL2,
  ReduceMax,
  ReduceMin,
  Softmax,
  LogSoftmax,
  ReduceL1,
  ReduceLogSum,
  ReduceLogSumExp,
  ReduceProd,
  Hardmax,
  LpNormalization,
  CumSum,
} satisfies Record<string, Operator>;
