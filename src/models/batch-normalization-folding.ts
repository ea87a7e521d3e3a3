/**
 * Batch normalisation with fixed statistics, folded into the convolution before it:
 * `scale · (W∗x + b − mean) / √(variance + ε) + shift` is a convolution again, with other weights and another bias.
 * What runs is a node less, and what is fine-tuned is the folded convolution.
 */
import {
  type Attributes,
  add,
  apply,
  constant,
  divide,
  multiply,
  type Node,
  negate,
  reshape,
  shift,
  sizeOf,
  squareRoot,
  staticShape,
  substitute,
  subtract,
  topologicalOrder,
  type Value,
} from '../graph/index.js';

/**
 * Folds every batch normalisation with fixed statistics that directly follows a convolution which nothing else reads.
 * Where all that both read is constant, the folded weights are constants again; elsewhere they are computed, which costs
 * a pass over the weights instead of several over the map, forward and backward. Others stay as they are.
 * @returns the counterparts of `values`. A folded constant weight keeps the convolution's name, its bias has the
 *   normalisation's.
 */
export function foldBatchNormalization(values: readonly Value[]): readonly Value[] {
  const readers = new Map<Value, number>();
  const count = (value: Value | undefined) => {
    if (value !== undefined) readers.set(value, (readers.get(value) ?? 0) + 1);
  };
  for (const node of topologicalOrder(values)) node.inputs.forEach(count);
  values.forEach(count);
  return substitute(values, new Map(), (node, inputs) => {
    if (node.operator.name !== 'BatchNormalization' || node.attributes.training_mode === 1) return undefined;
    if (readers.get(node.inputs[0] as Value) !== 1) return undefined;
    const [before] = inputs;
    if (before?.origin.kind !== 'node' || before.origin.node.operator.name !== 'Conv') return undefined;
    const convolution = before.origin.node;
    const [weight, bias] =
      foldConstants(convolution, node, inputs) ?? foldComputed(convolution, node, inputs);
    return [
      apply(
        convolution.operator,
        [convolution.inputs[0], weight, bias],
        convolution.attributes,
        convolution.name,
      ),
    ];
  });
}

// --- internal ---

type Folded = readonly [weight: Value, bias: Value];

function foldConstants(
  { inputs: [, weight, bias] }: Node,
  { attributes }: Node,
  [, ...parameters]: readonly (Value | undefined)[],
): Folded | undefined {
  const kernel = floats(weight);
  const [scale, shift, mean, variance] = parameters.map(floats);
  const before = bias === undefined ? undefined : floats(bias);
  if (
    kernel === undefined ||
    scale === undefined ||
    shift === undefined ||
    mean === undefined ||
    variance === undefined ||
    (bias !== undefined && before === undefined)
  )
    return undefined;
  const shape = staticShape(weight as Value, 'foldBatchNormalization');
  const size = sizeOf(shape.slice(1));
  const epsilon = epsilonOf(attributes);
  const foldedWeight = new Float32Array(kernel.length);
  const foldedBias = new Float32Array(scale.length);
  for (let channel = 0; channel < scale.length; channel++) {
    const slope = scale[channel]! / Math.sqrt(variance[channel]! + epsilon);
    for (let i = channel * size; i < (channel + 1) * size; i++) foldedWeight[i] = kernel[i]! * slope;
    foldedBias[channel] = ((before?.[channel] ?? 0) - mean[channel]!) * slope + shift[channel]!;
  }
  return [
    constant(foldedWeight, shape, named(weight)),
    constant(foldedBias, [foldedBias.length], named(parameters[1])),
  ];
}

function foldComputed(
  { inputs: [, weight, bias] }: Node,
  { attributes }: Node,
  inputs: readonly (Value | undefined)[],
): Folded {
  const [, scale, shiftBy, mean, variance] = inputs as readonly [Value, Value, Value, Value, Value];
  const kernel = weight as Value;
  const slope = divide(scale, squareRoot(shift(variance, epsilonOf(attributes))));
  const perChannel = reshape(slope, [kernel.shape[0] as number, ...kernel.shape.slice(1).map(() => 1)]);
  const centre = bias === undefined ? negate(mean) : subtract(bias, mean);
  return [multiply(kernel, perChannel), add(multiply(centre, slope), shiftBy)];
}

function epsilonOf(attributes: Attributes): number {
  return Number(attributes.epsilon ?? 1e-5);
}

function floats(value: Value | undefined): Float32Array | undefined {
  if (value?.origin.kind !== 'constant' || !(value.origin.data instanceof Float32Array)) return undefined;
  return value.origin.data;
}

function named(value: Value | undefined): { name?: string } {
  return value?.origin.kind === 'constant' && value.origin.name !== undefined
    ? { name: value.origin.name }
    : {};
}
