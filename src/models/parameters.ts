/**
 * Parameters of a network and how they are initialised.
 *
 * A network is a function that builds values; it asks a `ParameterSource` for each weight by name. While training, a
 * weight is a graph input that the optimiser advances; in an exported model it is a constant. The network's code is
 * the same for both.
 */
import { constant, input, sizeOf, type Value } from '../graph/index.js';
import { GraphError, type Random } from '../util/index.js';

/** How a weight starts. */
export type Initializer =
  | { readonly kind: 'constant'; readonly value: number }
  /** Normal with standard deviation `gain / √fanIn` (He et al. 2015, arXiv 1502.01852: gain √2 before a ReLU). */
  | { readonly kind: 'normal'; readonly fanIn: number; readonly gain: number }
  /** The numbers that a file holds. */
  | { readonly kind: 'given'; readonly data: Float32Array };

export interface Parameter {
  readonly name: string;
  readonly shape: readonly number[];
  readonly initializer: Initializer;
  /** Trained by gradients, or a statistic that the training graph updates by a rule of its own. */
  readonly kind: 'trained' | 'statistic';
  /** Whether weight decay applies: to matrices and kernels, not to norms and biases. */
  readonly isDecayed: boolean;
  /** Its learning rate as a share of the run's. Default 1. */
  readonly learningRateScale?: number;
}

/** Gives a network its parameters as values. */
export interface ParameterSource {
  get(parameter: Parameter): Value;
}

/** Declares parameters as graph inputs of their own names, and remembers them in order. */
export class DeclaredParameters implements ParameterSource {
  readonly #declared = new Map<string, { parameter: Parameter; value: Value }>();

  /** @throws GraphError when one name is declared with two shapes. */
  get(parameter: Parameter): Value {
    const before = this.#declared.get(parameter.name);
    if (before !== undefined) {
      if (before.parameter.shape.join() !== parameter.shape.join()) {
        throw new GraphError(
          `parameters: '${parameter.name}' must have one shape, got [${before.parameter.shape.join(', ')}] and [${parameter.shape.join(', ')}].`,
        );
      }
      return before.value;
    }
    const value = input(parameter.name, 'float32', parameter.shape);
    this.#declared.set(parameter.name, { parameter, value });
    return value;
  }

  /** All that were asked for, in that order. */
  entries(): readonly { readonly parameter: Parameter; readonly value: Value }[] {
    return [...this.#declared.values()];
  }
}

/** Gives parameters as constants with trained values, for an exported model. */
export class FixedParameters implements ParameterSource {
  constructor(readonly values: Readonly<Record<string, Float32Array>>) {}

  /** @throws GraphError when the values lack the parameter. */
  get({ name, shape }: Parameter): Value {
    const data = this.values[name];
    if (data === undefined) throw new GraphError(`parameters: a value for '${name}' is required, got none.`);
    return constant(data, shape, { name });
  }
}

/** Draws the starting values of parameters, in their order. */
export function initializeParameters(
  parameters: readonly Parameter[],
  random: Random,
): Record<string, Float32Array> {
  const values: Record<string, Float32Array> = {};
  for (const { name, shape, initializer } of parameters) {
    const data = new Float32Array(sizeOf(shape));
    if (initializer.kind === 'constant') data.fill(initializer.value);
    else if (initializer.kind === 'given') data.set(initializer.data);
    else {
      const deviation = initializer.gain / Math.sqrt(initializer.fanIn);
      for (let i = 0; i < data.length; i++) data[i] = deviation * random.normal();
    }
    values[name] = data;
  }
  return values;
}
