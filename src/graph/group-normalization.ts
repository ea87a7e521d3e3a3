/**
 * Normalisations that are compositions of others: by groups of channels, by single channels of a picture (instance),
 * and by neighbouring channels (local response). Their gradients are those of the compositions.
 */
import { ShapeError } from '../util/index.js';
import { gradients } from './autodiff.js';
import { axisMatrix, productAlongAxis } from './axis-product.js';
import { add, divide, multiply, power, scalarLike, scale, shift, square } from './elementwise.js';
import {
  type Attributes,
  apply,
  constant,
  type Dimension,
  formatShape,
  input,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { reshape } from './movement.js';
import { layerNormalization } from './normalization.js';
import { substitute } from './rewrite.js';
import { required, sameDataType } from './shapes.js';

/**
 * Group normalisation (Wu & He 2018, arXiv 1803.08494): each picture's channels in `groups`, each group normalised
 * over its channels and pixels, then scaled and shifted a channel.
 * @param x [N, C, …], all but the batch of known size
 * @param weight [C], as in opset 21, or [groups], as in opset 18
 * @param bias as `weight`
 * @param groups a divisor of C
 * @param epsilon added to the variance. Default 1e-5.
 */
export const groupNormalization = (
  x: Value,
  weight: Value,
  bias: Value,
  groups: number,
  epsilon = 1e-5,
): Value => apply(GroupNormalization, [x, weight, bias], { num_groups: groups, epsilon });

/** Normalisation of each channel of each picture by itself: `groupNormalization` with as many groups as channels. */
export const instanceNormalization = (x: Value, weight: Value, bias: Value, epsilon = 1e-5): Value =>
  apply(InstanceNormalization, [x, weight, bias], { epsilon });

// --- operators ---

type Inputs = readonly (Value | undefined)[];

/** An operator that is written as others: lowered to them, and differentiated through them. */
function composed(
  name: string,
  check: (inputs: Inputs, attributes: Attributes) => void,
  compose: (inputs: Inputs, attributes: Attributes) => Value,
  isLowered: boolean,
): Operator {
  return {
    name,
    infer(inputs, attributes) {
      const x = required(inputs[0], name, 0);
      check(inputs, attributes);
      return [{ dataType: sameDataType(inputs, name), shape: x.shape }];
    },
    vjp({ inputs, attributes, outputGradients, isNeeded }) {
      // Inputs of its own, since one of the node's inputs may depend on another.
      const replacements = new Map<Value, Value>();
      const standIn = (value: Value, i: number | 'g') => {
        const made = input(`${name}.${i}`, value.dataType, value.shape);
        replacements.set(made, value);
        return made;
      };
      const own = inputs.map((value, i) => (value === undefined ? undefined : standIn(value, i)));
      const targets = own.filter((value, i): value is Value => value !== undefined && isNeeded[i] === true);
      const g = standIn(outputGradients[0] as Value, 'g');
      const found = substitute(gradients([compose(own, attributes)], targets, [g]), replacements);
      return own.map((value) => (value === undefined ? undefined : found[targets.indexOf(value)]));
    },
    ...(isLowered ? { lower: ({ attributes }, inputs) => [compose(inputs, attributes)] } : {}),
  };
}

/** `weight` and `bias` one a channel, whether they are given so or one a group. */
function grouped([x, weight, bias]: Inputs, groups: number, epsilon: number): Value {
  const [, channels, ...spatial] = (x as Value).shape as readonly [Dimension, number, ...number[]];
  const size = (channels / groups) * sizeOf(spatial);
  const ones = constant(new Float32Array(size).fill(1), [size]);
  // A 0 keeps the batch, whose size may be unknown.
  const normalized = layerNormalization(reshape(x as Value, [0, groups, size]), ones, undefined, 2, epsilon);
  const isPerChannel = (weight as Value).shape[0] === channels;
  const count = isPerChannel ? channels : groups;
  const rest = isPerChannel ? spatial.map(() => 1) : [1];
  const parameter = (value: Value | undefined) => reshape(value as Value, [1, count, ...rest]);
  const pixels = isPerChannel ? reshape(normalized, [0, channels, ...spatial]) : normalized;
  const result = add(multiply(pixels, parameter(weight)), parameter(bias));
  return isPerChannel ? result : reshape(result, [0, channels, ...spatial]);
}

function checkChannels(inputs: Inputs, name: string, sizes: (channels: number) => readonly number[]): void {
  const x = required(inputs[0], name, 0);
  const isKnown = x.shape.every((size, axis) => axis === 0 || typeof size === 'number');
  if (x.rank < 3 || !isKnown) {
    throw new ShapeError(
      `${name}: input must have shape [N, C, …] of known sizes, got ${formatShape(x.shape)}. Read the model with numbers in their place.`,
    );
  }
  const allowed = sizes(x.shape[1] as number);
  for (const i of [1, 2]) {
    const parameter = required(inputs[i], name, i);
    if (parameter.rank !== 1 || !allowed.includes(Number(parameter.shape[0]))) {
      const shapes = [...new Set(allowed)].map((size) => `[${size}]`).join(' or ');
      throw new ShapeError(
        `${name}: input ${i} must have shape ${shapes}, got ${formatShape(parameter.shape)}.`,
      );
    }
  }
  if (String(inputs[1]?.shape) !== String(inputs[2]?.shape)) {
    throw new ShapeError(
      `${name}: scale and bias must have one shape, got ${formatShape(inputs[1]?.shape ?? [])} and ${formatShape(inputs[2]?.shape ?? [])}.`,
    );
  }
}

const epsilonOf = (attributes: Attributes) => Number(attributes.epsilon ?? 1e-5);

const GroupNormalization = composed(
  'GroupNormalization',
  (inputs, attributes) => {
    const groups = Number(attributes.num_groups);
    checkChannels(inputs, 'GroupNormalization', (channels) => {
      if (!(groups >= 1) || channels % groups !== 0) {
        throw new ShapeError(
          `GroupNormalization: num_groups must divide the ${channels} channels, got ${attributes.num_groups}.`,
        );
      }
      return [channels, groups];
    });
  },
  (inputs, attributes) => grouped(inputs, Number(attributes.num_groups), epsilonOf(attributes)),
  true,
);

const InstanceNormalization = composed(
  'InstanceNormalization',
  (inputs) => checkChannels(inputs, 'InstanceNormalization', (channels) => [channels]),
  (inputs, attributes) => grouped(inputs, inputs[0]?.shape[1] as number, epsilonOf(attributes)),
  true,
);

/**
 * Local response normalisation (Krizhevsky et al. 2012): `x / (bias + alpha / size · Σ x²)^beta`, the sum over `size`
 * neighbouring channels.
 */
const LRN = composed(
  'LRN',
  ([x], { size }) => {
    const channels = x?.shape[1];
    if (typeof channels !== 'number') {
      throw new ShapeError(`LRN: input must have shape [N, C, …], got ${formatShape(x?.shape ?? [])}.`);
    }
    if (Number(size) % 2 !== 1) throw new ShapeError(`LRN: size must be odd, got ${size}.`);
  },
  (inputs, attributes) => {
    const x = inputs[0] as Value;
    const channels = staticShape(x, 'LRN')[1] as number;
    const size = Number(attributes.size);
    const neighbours = axisMatrix(channels, channels, (row, column) =>
      Math.abs(column - row) <= (size - 1) / 2 ? 1 : 0,
    );
    const sums = productAlongAxis(square(x), neighbours, 1);
    const base = shift(scale(sums, Number(attributes.alpha ?? 1e-4) / size), Number(attributes.bias ?? 1));
    return divide(x, power(base, scalarLike(x, Number(attributes.beta ?? 0.75))));
  },
  false,
);

export const groupNormalizationOperators = {
  GroupNormalization,
  InstanceNormalization,
  LRN,
} satisfies Record<string, Operator>;
