/**
 * Rewrites of whole graphs. Values never change, so a pass copies the graph from the front, replacing nodes as it
 * goes; inputs stay the same values.
 */
import {
  applyAll,
  formatShape,
  type Graph,
  type Node,
  type Operator,
  topologicalOrder,
  type Value,
} from './ir.js';

/** Replaces the nodes that the runtime cannot run by others that it can, then merges what is computed twice. */
export function prepare(graph: Graph): Graph {
  return mergeDuplicates(lower(graph));
}

/** Replaces each node that has a `lower` rule by what the rule gives, which must need no lowering itself. */
export function lower(graph: Graph): Graph {
  return rewrite(graph, (node, inputs) => node.operator.lower?.(node, inputs));
}

/**
 * Common subexpression elimination: of nodes with one operator, attributes and inputs the first serves all; constants
 * with the same small content are one. (Differentiation writes many things twice.)
 */
export function mergeDuplicates(graph: Graph): Graph {
  const numbers = new Map<Value, number>();
  const constants = new Map<string, Value>();
  const numberOf = (value: Value | undefined): string => {
    if (value === undefined) return '-';
    let number = numbers.get(value);
    if (number === undefined) {
      number = numbers.size;
      numbers.set(value, number);
    }
    return String(number);
  };
  const operatorNumbers = new Map<Operator, number>(); // two operators may have one name: stopGradient is an Identity
  const seen = new Map<string, readonly Value[]>();
  return rewrite(graph, (node, inputs) => {
    const shared = inputs.map((value) =>
      value === undefined ? undefined : sharedConstant(value, constants),
    );
    const operator = operatorNumbers.get(node.operator) ?? operatorNumbers.size;
    operatorNumbers.set(node.operator, operator);
    const key = `${operator}(${shared.map(numberOf).join(',')})${JSON.stringify(node.attributes)}`;
    const before = seen.get(key);
    if (before !== undefined) return before;
    const isSame = shared.every((value, i) => value === node.inputs[i]);
    const outputs = isSame ? node.outputs : applyAll(node.operator, shared, node.attributes);
    seen.set(key, outputs);
    return outputs;
  });
}

// --- internal ---

type Replace = (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined;

/** Copies a graph; `replace` may give a node's outputs another origin, `undefined` keeps the node on its new inputs. */
function rewrite(graph: Graph, replace: Replace): Graph {
  const mapped = new Map<Value, Value>();
  const current = (value: Value | undefined) =>
    value === undefined ? undefined : (mapped.get(value) ?? value);
  for (const node of graph.nodes) {
    const inputs = node.inputs.map(current);
    const isSame = inputs.every((value, i) => value === node.inputs[i]);
    const outputs =
      replace(node, inputs) ?? (isSame ? node.outputs : applyAll(node.operator, inputs, node.attributes));
    node.outputs.forEach((output, i) => {
      const replacement = outputs[i] as Value;
      if (replacement !== output) mapped.set(output, replacement);
    });
  }
  const outputs = graph.outputs.map(({ name, value }) => ({ name, value: current(value) as Value }));
  return { inputs: graph.inputs, outputs, nodes: topologicalOrder(outputs.map(({ value }) => value)) };
}

const LARGEST_SHARED_CONSTANT = 64;

function sharedConstant(value: Value, constants: Map<string, Value>): Value {
  const { origin } = value;
  if (origin.kind !== 'constant' || origin.data.length > LARGEST_SHARED_CONSTANT) return value;
  const key = `${value.dataType}${formatShape(value.shape)}${Array.from(origin.data as ArrayLike<number | bigint>, (x) => (Object.is(x, -0) ? '-0' : String(x))).join(',')}`;
  const before = constants.get(key);
  if (before !== undefined) return before;
  constants.set(key, value);
  return value;
}
