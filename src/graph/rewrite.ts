/**
 * The copying of a graph from the front, node by node, which the passes share, and the same for values.
 * Values never change.
 */
import { applyAll, type Graph, type Node, topologicalOrder, type Value } from './ir.js';

/** What a node's outputs become, given its new inputs; `undefined` keeps the node. */
export type Replace = (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined;

/** Copies a graph; `replace` may give a node's outputs another origin, `undefined` keeps the node on its new inputs. */
export function rewrite(graph: Graph, replace: Replace): Graph {
  const mapped = new Map<Value, Value>();
  const current = (value: Value | undefined) =>
    value === undefined ? undefined : (mapped.get(value) ?? value);
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(current);
    const isSame = inputs.every((value, i) => value === node.inputs[i]);
    const outputs =
      replace(node, inputs) ??
      (isSame ? node.outputs : applyAll(node.operator, inputs, node.attributes, node.name));
    node.outputs.forEach((output, i) => {
      const replacement = outputs[i] as Value;
      if (replacement !== output) mapped.set(output, replacement);
    });
  }
  const outputs = graph.outputs.map(({ name, value }) => ({ name, value: current(value) as Value }));
  return { inputs: graph.inputs, outputs, nodes: topologicalOrder(outputs.map(({ value }) => value)) };
}

/**
 * The same values computed from others: wherever a key of `replacements` was used, its replacement is. Shapes are
 * inferred again, so a batch of unknown size can become a known one.
 * @param replace may give a node other outputs, from its new inputs; `undefined` keeps the node.
 * @returns the counterparts of `values`, in their order
 */
export function substitute(
  values: readonly Value[],
  replacements: ReadonlyMap<Value, Value>,
  replace: Replace = () => undefined,
): readonly Value[] {
  const mapped = new Map(replacements);
  const current = (value: Value) => mapped.get(value) ?? value;
  for (const node of nodesUpTo(values, replacements)) {
    const inputs = node.inputs.map((value) => (value === undefined ? undefined : current(value)));
    const isSame = inputs.every((value, i) => value === node.inputs[i]);
    const outputs =
      replace(node, inputs) ??
      (isSame ? node.outputs : applyAll(node.operator, inputs, node.attributes, node.name));
    node.outputs.forEach((output, i) => {
      if (!replacements.has(output)) mapped.set(output, outputs[i] as Value);
    });
  }
  return values.map(current);
}

// --- internal ---

/** The nodes that `values` depend on, without those that are only needed for a value that is replaced. */
function nodesUpTo(values: readonly Value[], replacements: ReadonlyMap<Value, Value>): Node[] {
  const needed = new Set<Node>();
  const stack = [...values];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (replacements.has(value) || value.origin.kind !== 'node' || needed.has(value.origin.node)) continue;
    needed.add(value.origin.node);
    for (const input of value.origin.node.inputs) if (input !== undefined) stack.push(input);
  }
  return topologicalOrder(values).filter((node) => needed.has(node));
}
