/**
 * Normalisation. Batch normalisation in training mode is an ONNX operator that stock onnxruntime does not run: it
 * stays one node while the graph is differentiated, so that its gradient is written in the fewest passes over memory,
 * and is lowered to inference operators before the graph is serialised.
 */
import { GraphError, ShapeError } from '../util/index.js';
import {
  add,
  divide,
  maximum,
  multiply,
  negate,
  scale,
  shift,
  square,
  squareRoot,
  subtract,
} from './elementwise.js';
import {
  apply,
  applyAll,
  constant,
  type Dimension,
  formatShape,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { reshape } from './movement.js';
import { reduceMean, reduceSum, sumByChannel } from './reduction.js';
import { normalizeAxis, required, sumTo } from './shapes.js';

/**
 * Batch normalisation with the batch's own statistics:
 * `y = (x − mean) / √(variance + epsilon) · scale + bias`, mean and variance over all axes but the second.
 *
 * @param x [N, C, …]
 * @param weight scale a channel [C]
 * @param bias [C]
 * @param epsilon added to the variance. Default 1e-5.
 * @returns y of x's shape, and the batch's mean and (biased) variance [C], through which no gradient flows.
 */
export function batchNormalizationTraining(
  x: Value,
  weight: Value,
  bias: Value,
  epsilon = 1e-5,
): { y: Value; mean: Value; variance: Value } {
  const channels = x.shape[1] as number;
  const zeros = constant(new Float32Array(channels), [channels]);
  const ones = constant(new Float32Array(channels).fill(1), [channels]);
  // With momentum 0 the operator's "running" statistics are the batch's own.
  const outputs = applyAll(BatchNormalization, [x, weight, bias, zeros, ones], {
    epsilon,
    momentum: 0,
    training_mode: 1,
  });
  const [y, mean, variance] = outputs as readonly [Value, Value, Value];
  return { y, mean, variance };
}

/** Batch normalisation with given statistics [C]: `(x − mean) / √(variance + epsilon) · scale + bias`. */
export const batchNormalization = (
  x: Value,
  weight: Value,
  bias: Value,
  mean: Value,
  variance: Value,
  epsilon = 1e-5,
): Value => apply(BatchNormalization, [x, weight, bias, mean, variance], { epsilon });

/**
 * Layer normalisation over the axes from `axis` on: zero mean and unit variance, then `· scale + bias`.
 * @param weight of the shape of the normalised axes
 * @param bias of the same shape, or none
 */
export const layerNormalization = (x: Value, weight: Value, bias?: Value, axis = -1, epsilon = 1e-5): Value =>
  applyAll(LayerNormalization, bias === undefined ? [x, weight] : [x, weight, bias], {
    axis: normalizeAxis(axis, x.rank, 'LayerNormalization'),
    epsilon,
  })[0] as Value;

/** Rows (along the last axis) scaled to Euclidean length 1; a zero row stays zero. */
export function unitLength(x: Value): Value {
  const squares = reduceSum(square(x), [-1], { keepDimensions: true });
  return divide(x, squareRoot(shift(squares, 1e-12)));
}

// --- operators ---

const channelShape = (x: Value): number[] =>
  x.shape.map((dimension, axis) => (axis === 1 ? Number(dimension) : 1));

const BatchNormalization: Operator = {
  name: 'BatchNormalization',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'BatchNormalization', 0);
    if (x.rank < 2) {
      throw new ShapeError(
        `BatchNormalization: input must have shape [N, C, …], got ${formatShape(x.shape)}.`,
      );
    }
    const channels = x.shape[1] as Dimension;
    for (let i = 1; i < 5; i++) {
      const parameter = required(inputs[i], 'BatchNormalization', i);
      if (parameter.rank !== 1 || parameter.shape[0] !== channels) {
        throw new ShapeError(
          `BatchNormalization: input ${i} must have shape [${channels}], got ${formatShape(parameter.shape)}.`,
        );
      }
    }
    if (attributes.training_mode === 1 && attributes.momentum !== 0) {
      throw new ShapeError(
        `BatchNormalization: in training mode the momentum must be 0, got ${attributes.momentum ?? 0.9}. Keep running statistics outside the operator.`,
      );
    }
    const y = { dataType: x.dataType, shape: x.shape };
    const statistic = { dataType: x.dataType, shape: [channels] };
    return attributes.training_mode === 1 ? [y, statistic, statistic] : [y];
  },
  vjp({ inputs, outputs, attributes, outputGradients, isNeeded }) {
    const [x, weight] = inputs as [Value, Value];
    const g = outputGradients[0];
    const isTraining = attributes.training_mode === 1;
    if (isTraining && (outputGradients[1] !== undefined || outputGradients[2] !== undefined)) {
      throw new GraphError(
        'BatchNormalization: the batch statistics must not be differentiated. Put stopGradient around them.',
      );
    }
    if (g === undefined) return [];
    const epsilon = Number(attributes.epsilon ?? 1e-5);
    const [mean, variance] = (isTraining ? outputs.slice(1) : inputs.slice(3)) as [Value, Value];
    const deviation = squareRoot(shift(variance, epsilon));
    const sumOfG = sumByChannel(g);
    const sumOfGX = sumByChannel(multiply(g, x));
    // Σ g·(x − mean) / deviation
    const gradientWeight = divide(subtract(sumOfGX, multiply(mean, sumOfG)), deviation);
    const slope = divide(weight, deviation);
    const perChannel = (value: Value) => reshape(value, channelShape(x));
    const gradientX = () => {
      if (!isTraining) return multiply(g, perChannel(slope));
      // slope · (g − mean(g) − x̂ · mean(g·x̂)), sorted by what multiplies g, x and 1: two affine maps and a sum.
      const count = sizeOf(staticShape(x, 'BatchNormalization')) / (x.shape[1] as number);
      const slopeOfX = negate(divide(multiply(slope, gradientWeight), scale(deviation, count)));
      const offset = negate(add(multiply(slope, scale(sumOfG, 1 / count)), multiply(slopeOfX, mean)));
      return add(affine(g, slope, offset), multiply(x, perChannel(slopeOfX)));
    };
    const isStatisticNeeded = !isTraining && (isNeeded[3] || isNeeded[4]);
    return [
      isNeeded[0] ? gradientX() : undefined,
      isNeeded[1] ? gradientWeight : undefined,
      isNeeded[2] ? sumOfG : undefined,
      isStatisticNeeded ? negate(multiply(slope, sumOfG)) : undefined,
      isStatisticNeeded
        ? scale(divide(multiply(weight, gradientWeight), shift(variance, epsilon)), -0.5)
        : undefined,
    ];
  },
  lower({ attributes }, inputs) {
    if (attributes.training_mode !== 1) return undefined;
    const [x, weight, bias] = inputs as [Value, Value, Value];
    const count = sizeOf(staticShape(x, 'BatchNormalization')) / (x.shape[1] as number);
    const mean = scale(sumByChannel(x), 1 / count);
    const meanSquare = scale(sumByChannel(multiply(x, x)), 1 / count);
    // Rounding can leave a constant channel's variance slightly below zero.
    const variance = maximum(subtract(meanSquare, multiply(mean, mean)), constant(0, []));
    return [
      batchNormalization(x, weight, bias, mean, variance, Number(attributes.epsilon ?? 1e-5)),
      mean,
      variance,
    ];
  },
};

/** `x · slope + offset` a channel in one pass: batch normalisation with mean 0 and variance 1. */
function affine(x: Value, slope: Value, offset: Value): Value {
  const channels = x.shape[1] as number;
  const zeros = constant(new Float32Array(channels), [channels]);
  const ones = constant(new Float32Array(channels).fill(1), [channels]);
  return batchNormalization(x, slope, offset, zeros, ones, 0);
}

const LayerNormalization: Operator = {
  name: 'LayerNormalization',
  optionalOutputs: true,
  infer(inputs, attributes) {
    const x = required(inputs[0], 'LayerNormalization', 0);
    const axis = normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'LayerNormalization');
    const normalized = formatShape(x.shape.slice(axis));
    for (let i = 1; i < inputs.length; i++) {
      const parameter = i === 1 ? required(inputs[1], 'LayerNormalization', 1) : inputs[i];
      if (parameter !== undefined && formatShape(parameter.shape) !== normalized) {
        throw new ShapeError(
          `LayerNormalization: input ${i} must have shape ${normalized}, got ${formatShape(parameter.shape)}.`,
        );
      }
    }
    const reduced = x.shape.map((dimension, i) => (i < axis ? dimension : 1));
    return [
      { dataType: x.dataType, shape: x.shape },
      { dataType: x.dataType, shape: reduced },
      { dataType: x.dataType, shape: reduced },
    ];
  },
  vjp({ inputs, outputs, attributes, outputGradients, isNeeded }) {
    const [x, weight, bias] = inputs as [Value, Value, Value | undefined];
    const [, mean, inverseDeviation] = outputs as readonly [Value, Value, Value];
    const g = outputGradients[0];
    if (g === undefined || outputGradients[1] !== undefined || outputGradients[2] !== undefined) {
      throw new GraphError('LayerNormalization: only the first output can be differentiated.');
    }
    const axis = normalizeAxis(Number(attributes.axis ?? -1), x.rank, 'LayerNormalization');
    const axes = x.shape.flatMap((_, i) => (i >= axis ? [i] : []));
    const normalized = multiply(subtract(x, mean), inverseDeviation);
    const weighted = multiply(g, weight);
    const centred = subtract(weighted, reduceMean(weighted, axes, { keepDimensions: true }));
    const alongX = reduceMean(multiply(weighted, normalized), axes, { keepDimensions: true });
    return [
      isNeeded[0] ? multiply(subtract(centred, multiply(normalized, alongX)), inverseDeviation) : undefined,
      isNeeded[1] ? sumTo(multiply(g, normalized), weight.shape) : undefined,
      isNeeded[2] && bias !== undefined ? sumTo(g, bias.shape) : undefined,
    ];
  },
};

export const normalizationOperators = { BatchNormalization, LayerNormalization } satisfies Record<
  string,
  Operator
>;
