/**
 * Low-rank adapters: `y = f(x, W)` becomes `f(x, W) + alpha / rank · up(down(x))`, where W stays as it is and the narrow
 * maps `down` and `up` are trained; `up` starts at zero, so that training starts from the network as it came. In an
 * exported model they are merged: `W + alpha / rank · down·up`.
 *
 * Source: Hu et al., "LoRA", arXiv 2106.09685, section 4.1; for 1×1 convolutions, which are matrix products, likewise.
 */
import { add, apply, constant, matmul, type Node, scale, staticShape, type Value } from '../graph/index.js';
import type { NetworkContext } from './layers.js';
import type { Parameter } from './parameters.js';

export interface AdapterOptions {
  /** Width r of the narrow maps. */
  readonly rank: number;
  /** The sum is scaled by `alpha / rank`. */
  readonly alpha: number;
}

/** Whether a node is a matrix product by a constant matrix, in a form that an adapter can stand beside. */
export function isAdaptable(node: Node): boolean {
  const weight = node.inputs[1];
  if (weight?.origin.kind !== 'constant' || weight.dataType !== 'float32') return false;
  switch (node.operator.name) {
    case 'MatMul':
      return weight.rank === 2;
    case 'Gemm':
      return node.attributes.transA !== 1 && Number(node.attributes.alpha ?? 1) === 1;
    case 'Conv':
      return (
        weight.rank === 4 &&
        weight.shape[2] === 1 &&
        weight.shape[3] === 1 &&
        Number(node.attributes.group ?? 1) === 1
      );
    default:
      return false;
  }
}

/**
 * A node with its adapter.
 * @param node one for which `isAdaptable` holds
 * @param inputs its inputs where the network is built
 * @param name of the adapter's parameters, `<name>.down` and `<name>.up`
 */
export function adaptedNode(
  context: NetworkContext,
  node: Node,
  inputs: readonly (Value | undefined)[],
  name: string,
  { rank, alpha }: AdapterOptions,
  learningRateScale: number,
): Value {
  const [x, weight, ...rest] = inputs as readonly [Value, Value, ...(Value | undefined)[]];
  const shape = staticShape(weight, name);
  const isConvolution = node.operator.name === 'Conv';
  const isTransposed = isConvolution || node.attributes.transB === 1;
  const [inSize, outSize] = (isTransposed ? [shape[1], shape[0]] : [shape[0], shape[1]]) as [number, number];
  const get = (of: string, wanted: readonly number[], initializer: Parameter['initializer']) =>
    context.parameters.get({
      name: `${name}.${of}`,
      shape: wanted,
      initializer,
      kind: 'trained',
      isDecayed: false,
      learningRateScale,
    });
  const trailing = isConvolution ? [1, 1] : [];
  const down = get('down', isConvolution ? [rank, inSize, ...trailing] : [inSize, rank], {
    kind: 'normal',
    fanIn: inSize,
    gain: 1,
  });
  const up = get('up', isConvolution ? [outSize, rank, ...trailing] : [rank, outSize], {
    kind: 'constant',
    value: 0,
  });
  const factor = alpha / rank;
  if (context.mode === 'inference') {
    const merged = mergedWeight(weight, down, up, {
      inSize,
      outSize,
      rank,
      factor,
      isConvolution,
      isTransposed,
    });
    return apply(node.operator, [x, merged, ...rest], node.attributes, node.name);
  }
  const y = apply(node.operator, inputs, node.attributes, node.name);
  const narrow = isConvolution ? apply(node.operator, [x, down], node.attributes) : matmul(x, down);
  const wide = isConvolution
    ? apply(node.operator, [narrow, up], { kernel_shape: [1, 1], strides: [1, 1], pads: [0, 0, 0, 0] })
    : matmul(narrow, up);
  return add(y, scale(wide, factor));
}

// --- internal ---

/** W + factor · down·up, element by element of the layout that W has. */
function mergedWeight(
  weight: Value,
  down: Value,
  up: Value,
  sizes: {
    inSize: number;
    outSize: number;
    rank: number;
    factor: number;
    isConvolution: boolean;
    isTransposed: boolean;
  },
): Value {
  const { inSize, outSize, rank, factor, isConvolution, isTransposed } = sizes;
  const [base, narrow, wide] = [weight, down, up].map(({ origin }) => {
    if (origin.kind !== 'constant') throw new Error('internal: an exported adapter must be constant.');
    return origin.data as Float32Array;
  }) as [Float32Array, Float32Array, Float32Array];
  const merged = Float32Array.from(base);
  for (let i = 0; i < inSize; i++) {
    for (let r = 0; r < rank; r++) {
      const left = factor * narrow[isConvolution ? r * inSize + i : i * rank + r]!;
      if (left === 0) continue;
      for (let o = 0; o < outSize; o++) {
        const right = wide[isConvolution ? o * rank + r : r * outSize + o]!;
        merged[isTransposed ? o * inSize + i : i * outSize + o]! += left * right;
      }
    }
  }
  const name = weight.origin.kind === 'constant' ? weight.origin.name : undefined;
  return constant(merged, weight.shape as readonly number[], name === undefined ? {} : { name });
}
