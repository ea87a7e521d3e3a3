/**
 * Optimisers as graph-building functions: from a parameter, its gradient and its state to their next values.
 */
import {
  add,
  constant,
  divide,
  multiply,
  power,
  scale,
  shift,
  square,
  squareRoot,
  subtract,
  type Value,
} from '../graph/index.js';

export interface UpdateInputs {
  readonly parameter: Value;
  readonly gradient: Value;
  /** The optimiser's state of this parameter, one value for each of `stateNames`, of the parameter's shape. */
  readonly states: readonly Value[];
  /** A scalar. */
  readonly learningRate: Value;
  /** Number of this step, from 1, a float32 scalar. */
  readonly step: Value;
  /** Whether weight decay applies to this parameter. */
  readonly isDecayed: boolean;
}

export interface Optimizer {
  /** Names of the state kept for each parameter; each starts at zero. */
  readonly stateNames: readonly string[];
  update(inputs: UpdateInputs): { readonly parameter: Value; readonly states: readonly Value[] };
}

export interface AdamWOptions {
  /** Decay of the mean of gradients. Default 0.9. */
  readonly beta1?: number;
  /** Decay of the mean of squared gradients. Default 0.999. */
  readonly beta2?: number;
  /** Default 1e-8. */
  readonly epsilon?: number;
  /** Share of a parameter taken away each step, times the learning rate. Default 0.01. */
  readonly weightDecay?: number;
}

/**
 * Adam with decoupled weight decay: `p ← p − lr·(wd·p + m̂ / (√v̂ + ε))`.
 * Source: Loshchilov & Hutter, arXiv 1711.05101, algorithm 2.
 */
export function adamW({
  beta1 = 0.9,
  beta2 = 0.999,
  epsilon = 1e-8,
  weightDecay = 0.01,
}: AdamWOptions = {}): Optimizer {
  return {
    stateNames: ['firstMoment', 'secondMoment'],
    update({ parameter, gradient, states, learningRate, step, isDecayed }) {
      const [first, second] = states as readonly [Value, Value];
      const nextFirst = add(scale(first, beta1), scale(gradient, 1 - beta1));
      const nextSecond = add(scale(second, beta2), scale(square(gradient), 1 - beta2));
      const correction = (beta: number) => subtract(constant(1, []), power(constant(beta, []), step));
      // Scalars are combined first, so that the large tensors are passed over as little as possible.
      const rate = divide(learningRate, correction(beta1));
      const deviation = shift(squareRoot(divide(nextSecond, correction(beta2))), epsilon);
      const moved = divide(multiply(nextFirst, rate), deviation);
      const kept =
        isDecayed && weightDecay !== 0
          ? multiply(parameter, subtract(constant(1, []), scale(learningRate, weightDecay)))
          : parameter;
      return { parameter: subtract(kept, moved), states: [nextFirst, nextSecond] };
    },
  };
}

export interface SgdOptions {
  /** Default 0.9. */
  readonly momentum?: number;
  /** Added to the gradient, times the parameter. Default 0. */
  readonly weightDecay?: number;
}

/** Stochastic gradient descent with momentum: `v ← momentum·v + g + wd·p; p ← p − lr·v`. */
export function sgd({ momentum = 0.9, weightDecay = 0 }: SgdOptions = {}): Optimizer {
  return {
    stateNames: momentum === 0 ? [] : ['velocity'],
    update({ parameter, gradient, states, learningRate, isDecayed }) {
      const decayed =
        isDecayed && weightDecay !== 0 ? add(gradient, scale(parameter, weightDecay)) : gradient;
      const velocity = states[0] === undefined ? decayed : add(scale(states[0], momentum), decayed);
      return {
        parameter: subtract(parameter, multiply(velocity, learningRate)),
        states: states.length === 0 ? [] : [velocity],
      };
    },
  };
}
