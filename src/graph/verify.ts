/**
 * Checks that a graph is what it claims to be; run after every pass, since a wrong graph gives wrong numbers.
 */
import { GraphError } from '../util/index.js';
import { type DataType, formatShape, type Graph, type Node, type Value } from './ir.js';
import { printNode } from './print.js';

/**
 * Verifies that each node comes after what it needs, that inferring its type again gives its type, that every value
 * that is used is an input, a constant, or made by a node of the graph, and that constants hold what their type says.
 * @throws GraphError printing the node at fault.
 */
export function verify(graph: Graph): Graph {
  for (const { name } of [...graph.inputs, ...graph.outputs]) {
    if (name === '') throw new GraphError("verify: inputs and outputs must have names, got ''.");
  }
  const available = new Set<Value>(graph.inputs.map(({ value }) => value));
  const isAvailable = (value: Value) => value.origin.kind === 'constant' || available.has(value);
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      if (value === undefined) continue;
      if (!isAvailable(value)) throw fault(node, 'a node must come after the values it uses');
      verifyConstant(value);
    }
    const types = node.operator.infer(node.inputs, node.attributes);
    if (types.length !== node.outputs.length) throw fault(node, `the node must have ${types.length} outputs`);
    node.outputs.forEach((output, i) => {
      const type = types[i];
      if (type?.dataType !== output.dataType || formatShape(type.shape) !== formatShape(output.shape)) {
        throw fault(node, `output ${i} must be ${type?.dataType} ${formatShape(type?.shape ?? [])}`);
      }
      available.add(output);
    });
  }
  const inputsByName = new Map(graph.inputs.map(({ name, value }) => [name, value]));
  const names = new Set<string>();
  for (const { name, value } of graph.outputs) {
    if (inputsByName.has(name) && inputsByName.get(name) !== value) {
      throw new GraphError(`verify: an output must not have the name of another input, got '${name}'.`);
    }
    if (!isAvailable(value))
      throw new GraphError(`verify: output '${name}' must be made by a node of the graph.`);
    if (names.has(name)) throw new GraphError(`verify: output names must be unique, got '${name}' twice.`);
    names.add(name);
    verifyConstant(value);
  }
  return graph;
}

// --- internal ---

const ARRAY_CLASSES = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int8: Int8Array,
  int64: BigInt64Array,
  int32: Int32Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DataType, unknown>;

/** A file holds a constant's bytes, so that an array of another class would be other numbers. */
function verifyConstant({ origin, dataType, shape }: Value): void {
  if (origin.kind !== 'constant') return;
  if (!(origin.data instanceof ARRAY_CLASSES[dataType])) {
    throw new GraphError(
      `verify: a ${dataType} constant must hold a ${ARRAY_CLASSES[dataType].name}, got a ${origin.data.constructor.name} of shape ${formatShape(shape)}.`,
    );
  }
}

function fault(node: Node, requirement: string): GraphError {
  return new GraphError(`verify: ${requirement}, got ${printNode(node, () => '?')}.`);
}
