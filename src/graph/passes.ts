/**
 * Rewrites of whole graphs. Values never change, so a pass copies the graph from the front, replacing nodes as it
 * goes; inputs stay the same values.
 */
import { applyAll, formatShape, type Graph, isFloat, type Operator, type Value } from './ir.js';
import { rewrite } from './rewrite.js';
import { simplify } from './simplify.js';

/**
 * Replaces the nodes that the runtime cannot run by others that it can, simplifies, and merges what is computed twice.
 */
export function prepare(graph: Graph): Graph {
  return mergeDuplicates(simplify(lower(graph)));
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
    const outputs = isSame ? node.outputs : applyAll(node.operator, shared, node.attributes, node.name);
    seen.set(key, outputs);
    return outputs;
  });
}

// --- internal ---

const LARGEST_SHARED_CONSTANT = 64;

function sharedConstant(value: Value, constants: Map<string, Value>): Value {
  const { origin } = value;
  if (origin.kind !== 'constant' || origin.data.length > LARGEST_SHARED_CONSTANT) return value;
  const name = isFloat(value) ? (origin.name ?? '') : ''; // parameters with equal numbers stay different ones
  const key = `${name} ${value.dataType}${formatShape(value.shape)}${Array.from(origin.data as ArrayLike<number | bigint>, (x) => (Object.is(x, -0) ? '-0' : String(x))).join(',')}`;
  const before = constants.get(key);
  if (before !== undefined) return before;
  constants.set(key, value);
  return value;
}
