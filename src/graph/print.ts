/**
 * Graphs as text, one line a node: `%3: float32 [8, 16] = MatMul(%1, %2)`.
 */
import { formatShape, type Graph, type Node, type Value } from './ir.js';

/** The whole graph as text; small constants are shown by content. */
export function print(graph: Graph): string {
  const names = new Map<Value, string>();
  for (const { name, value } of graph.inputs) names.set(value, name);
  let count = 0;
  const nameOf = (value: Value) => names.get(value) ?? constantText(value);
  const lines = graph.inputs.map(
    ({ name, value }) => `${name}: ${value.dataType} ${formatShape(value.shape)} = input`,
  );
  for (const node of graph.nodes) {
    for (const output of node.outputs) names.set(output, `%${count++}`);
    lines.push(printNode(node, nameOf));
  }
  for (const { name, value } of graph.outputs) lines.push(`output ${name} = ${nameOf(value)}`);
  return lines.join('\n');
}

/** One node as text, with the names that `nameOf` gives its values. */
export function printNode(node: Node, nameOf: (value: Value) => string): string {
  const outputs = node.outputs.map(
    (value) => `${nameOf(value)}: ${value.dataType} ${formatShape(value.shape)}`,
  );
  const inputs = node.inputs.map((value) => (value === undefined ? '-' : nameOf(value)));
  const attributes = Object.entries(node.attributes).map(
    ([name, value]) => `${name}=${JSON.stringify(value)}`,
  );
  return `${outputs.join(', ')} = ${node.operator.name}(${[...inputs, ...attributes].join(', ')})`;
}

/** `operator TopK` or, where a file named it, `node '/head/topk' (TopK)`. */
export function describeNode({ name, operator }: Node): string {
  return name === undefined ? `operator ${operator.name}` : `node '${name}' (${operator.name})`;
}

// --- internal ---

const LONGEST_SHOWN_CONSTANT = 8;

function constantText(value: Value): string {
  if (value.origin.kind !== 'constant') return '?';
  const { data } = value.origin;
  if (data.length > LONGEST_SHOWN_CONSTANT) return `${value.dataType}${formatShape(value.shape)}`;
  return `{${Array.from(data as ArrayLike<number | bigint>, String).join(' ')}}`;
}
