/**
 * Reverse-mode differentiation: one walk over the nodes in reverse order, each node's rule from its operator.
 * The gradient is more graph, so it can be optimised, printed, exported and differentiated again.
 */
import { GraphError, ShapeError } from '../util/index.js';
import { add } from './elementwise.js';
import {
  constant,
  formatShape,
  isFloat,
  type Node,
  sizeOf,
  staticShape,
  topologicalOrder,
  type Value,
} from './ir.js';
import { expand } from './movement.js';
import { describeNode } from './print.js';

/**
 * The gradients of `Σ outputs[i] · outputGradients[i]` by each of `targets`.
 *
 * @param outputs what is differentiated; with no `outputGradients`, one scalar loss.
 * @param targets inputs (or any values) to differentiate by.
 * @param outputGradients the gradient that arrives at each output, of the output's shape. Default: ones.
 * @returns one value a target, of the target's shape; zeros where the outputs do not depend on it.
 * @throws GraphError naming the operator when one on the way has no gradient rule.
 */
export function gradients(
  outputs: Value | readonly Value[],
  targets: readonly Value[],
  outputGradients?: readonly Value[],
): Value[] {
  const roots = Array.isArray(outputs) ? (outputs as readonly Value[]) : [outputs as Value];
  const nodes = topologicalOrder(roots);
  const needed = valuesThatDependOn(targets, nodes);

  const arrived = new Map<Value, Value>();
  const accumulate = (value: Value, gradient: Value) => {
    if (formatShape(gradient.shape) !== formatShape(value.shape)) {
      throw new ShapeError(
        `gradients: internal: a gradient must have its value's shape ${formatShape(value.shape)}, got ${formatShape(gradient.shape)}.`,
      );
    }
    const before = arrived.get(value);
    arrived.set(value, before === undefined ? gradient : add(before, gradient));
  };

  roots.forEach((root, index) => {
    const given = outputGradients?.[index];
    if (given === undefined && sizeOf(staticShape(root, 'gradients')) !== 1) {
      throw new ShapeError(
        `gradients: an output without outputGradients must be a scalar, got shape ${formatShape(root.shape)}.`,
      );
    }
    if (needed.has(root)) accumulate(root, given ?? filled(root, 1));
  });

  for (let i = nodes.length - 1; i >= 0; i--) {
    const node = nodes[i] as Node;
    const outputGradientsHere = node.outputs.map((output) => arrived.get(output));
    if (outputGradientsHere.every((gradient) => gradient === undefined)) continue;
    const isNeeded = node.inputs.map((value) => value !== undefined && needed.has(value));
    if (!isNeeded.includes(true)) continue;
    const { vjp } = node.operator;
    if (vjp === 'zero') continue;
    if (vjp === 'none') {
      throw new GraphError(
        `gradients: ${describeNode(node)} must have a gradient rule, since it lies between the loss and a target. ${node.operator.advice ?? 'Freeze what is before it, or replace it.'}`,
      );
    }
    const inputGradients = vjp({
      node,
      inputs: node.inputs,
      outputs: node.outputs,
      attributes: node.attributes,
      outputGradients: outputGradientsHere,
      isNeeded,
    });
    node.inputs.forEach((value, index) => {
      const gradient = inputGradients[index];
      if (value !== undefined && isNeeded[index] && gradient !== undefined) accumulate(value, gradient);
    });
  }
  return targets.map((target) => arrived.get(target) ?? filled(target, 0));
}

// --- internal ---

function filled(like: Value, fill: number): Value {
  const shape = staticShape(like, 'gradients');
  const scalar = constant(fill, [], { dataType: like.dataType });
  return shape.length === 0 ? scalar : expand(scalar, shape);
}

/** The targets and all that is computed from them through operators that let a gradient pass. */
function valuesThatDependOn(targets: readonly Value[], nodes: readonly Node[]): Set<Value> {
  const found = new Set<Value>(targets);
  for (const node of nodes) {
    if (node.operator.vjp === 'zero') continue;
    if (!node.inputs.some((value) => value !== undefined && found.has(value))) continue;
    for (const output of node.outputs) if (isFloat(output)) found.add(output);
  }
  return found;
}
