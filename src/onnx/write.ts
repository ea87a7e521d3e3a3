/**
 * Graphs to ONNX files: opset 18, IR version 8, constants as initialisers.
 */
import {
  type AttributeValue,
  type Graph,
  type Node,
  ONNX_DATA_TYPES,
  prepare,
  type TensorType,
  type Value,
  verify,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';
import {
  ATTRIBUTE_TYPES,
  type AttributeMessage,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type TensorMessage,
} from './schema.js';

/** The operator set version that is written. */
export const OPSET_VERSION = 18;

const IR_VERSION = 8;
/** A protobuf message cannot be larger. */
const LARGEST_FILE_BYTES = 2 ** 31 - 1;

export interface WriteOptions {
  /** Name of the graph in the file. Default `'semblance'`. */
  readonly name?: string;
  /** Free entries kept in the file. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/**
 * Serialises a graph as an ONNX `ModelProto`. The graph is first lowered to operators that stock runtimes have,
 * merged, and verified.
 * @throws GraphError when the graph is invalid or the file would pass 2 GB.
 */
export function writeModel(
  graph: Graph,
  { name = 'semblance', metadata = {} }: WriteOptions = {},
): Uint8Array {
  const prepared = verify(prepare(verify(graph)));
  const names = nameValues(prepared);
  const initializers: TensorMessage[] = [];
  const written = new Set<Value>();
  const nameOf = (value: Value): string => {
    const known = names.get(value);
    if (known === undefined) throw new GraphError('writeModel: internal: a value has no name.');
    if (value.origin.kind === 'constant' && !written.has(value)) {
      written.add(value);
      initializers.push(tensorMessage(value, known));
    }
    return known;
  };

  const nodes = prepared.nodes.map((node) => nodeMessage(node, nameOf));
  for (const { name: outputName, value } of prepared.outputs) {
    if (names.get(value) !== outputName) {
      nodes.push({
        name: `output_${outputName}`,
        opType: 'Identity',
        domain: '',
        input: [nameOf(value)],
        output: [outputName],
        attribute: [],
      });
    }
  }

  const message: ModelMessage = {
    irVersion: IR_VERSION,
    producerName: 'semblance',
    producerVersion: '0.1',
    opsetImport: [{ domain: '', version: OPSET_VERSION }],
    metadataProps: Object.entries(metadata).map(([key, value]) => ({ key, value })),
    graph: {
      name,
      node: nodes,
      initializer: initializers,
      input: prepared.inputs.map(({ name: inputName, value }) => valueInfo(inputName, value)),
      output: prepared.outputs.map(({ name: outputName, value }) => valueInfo(outputName, value)),
    },
  };
  const bytes = ModelProto.encode(message).finish();
  if (bytes.length > LARGEST_FILE_BYTES) {
    throw new GraphError(`writeModel: a model must be smaller than 2 GB, got ${bytes.length} bytes.`);
  }
  return bytes;
}

// --- internal ---

/** Attributes that ONNX declares as floats; all other numbers are integers. */
const FLOAT_ATTRIBUTES: ReadonlySet<string> = new Set(['alpha', 'beta', 'epsilon', 'gamma', 'momentum']);

function nameValues(graph: Graph): Map<Value, string> {
  const names = new Map<Value, string>();
  const taken = new Set<string>();
  const give = (value: Value, wanted: string) => {
    let name = wanted;
    for (let i = 2; taken.has(name); i++) name = `${wanted}_${i}`;
    taken.add(name);
    names.set(value, name);
  };
  for (const { name, value } of graph.inputs) give(value, name);
  for (const { name, value } of graph.outputs) {
    // An input, a constant or a value that already has an output's name is passed on by an Identity node.
    if (value.origin.kind === 'node' && !names.has(value)) give(value, name);
    else taken.add(name);
  }
  let count = 0;
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      if (value?.origin.kind === 'constant' && !names.has(value))
        give(value, value.origin.name || `c${count++}`);
    }
    for (const value of node.outputs) if (!names.has(value)) give(value, `v${count++}`);
  }
  for (const { value } of graph.outputs) if (!names.has(value)) give(value, `c${count++}`);
  return names;
}

function nodeMessage(node: Node, nameOf: (value: Value) => string): NodeMessage {
  const input = node.inputs.map((value) => (value === undefined ? '' : nameOf(value)));
  while (input[input.length - 1] === '') input.pop();
  const output = node.outputs.map(nameOf);
  return {
    name: `${node.operator.name}_${output[0]}`,
    opType: node.operator.name,
    domain: '',
    input,
    output,
    attribute: Object.entries(node.attributes).map(([name, value]) => attributeMessage(name, value)),
  };
}

function attributeMessage(name: string, value: AttributeValue): AttributeMessage {
  if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPES.string, s: Buffer.from(value) };
  if (typeof value !== 'number') return { name, type: ATTRIBUTE_TYPES.ints, ints: [...value] };
  if (FLOAT_ATTRIBUTES.has(name)) return { name, type: ATTRIBUTE_TYPES.float, f: value };
  return { name, type: ATTRIBUTE_TYPES.int, i: value };
}

function tensorMessage(value: Value, name: string): TensorMessage {
  if (value.origin.kind !== 'constant')
    throw new GraphError('writeModel: internal: an initialiser must be constant.');
  const { data } = value.origin;
  return {
    name,
    dims: value.shape as number[],
    dataType: ONNX_DATA_TYPES[value.dataType],
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  };
}

function valueInfo(name: string, { dataType, shape }: TensorType) {
  const dim = shape.map((dimension) =>
    typeof dimension === 'number' ? { dimValue: dimension } : { dimParam: dimension },
  );
  return { name, type: { tensorType: { elemType: ONNX_DATA_TYPES[dataType], shape: { dim } } } };
}
