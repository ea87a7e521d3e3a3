/**
 * Graphs to ONNX files: opset 18, IR version 8, constants as initialisers.
 */
import {
  type Graph,
  type Node,
  ONNX_DATA_TYPES,
  prepare,
  type TensorType,
  type Value,
  verify,
} from '../graph/index.js';
import { GraphError, packageVersion } from '../util/index.js';
import { attributeMessage, opaqueAttributeMessage } from './attributes.js';
import {
  type Encodable,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type TensorMessage,
} from './schema.js';

/** The operator set version that is written. */
export const OPSET_VERSION = 18;

/** The format's version that each later operator set came with. */
const IR_VERSIONS = [
  { opset: 21, irVersion: 10 },
  { opset: 19, irVersion: 9 },
  { opset: 0, irVersion: 8 },
];
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
  const initializers: Encodable<TensorMessage>[] = [];
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

  const used = new Set<Value | undefined>(prepared.nodes.flatMap(({ inputs }) => inputs));
  for (const { value } of prepared.outputs) used.add(value);
  const nodes = prepared.nodes.map((node) => nodeMessage(node, nameOf, used));
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

  const opsetImport = operatorSets(prepared);
  const newest = opsetImport.find(({ domain }) => domain === '')?.version ?? OPSET_VERSION;
  const message: Encodable<ModelMessage> = {
    irVersion: IR_VERSIONS.find(({ opset }) => newest >= opset)?.irVersion as number,
    producerName: 'semblance',
    producerVersion: packageVersion(),
    opsetImport,
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

/** The standard operator set, later where a node that is only carried along needs it, and the others' versions. */
function operatorSets(graph: Graph): { domain: string; version: number }[] {
  const versions = new Map([['', OPSET_VERSION]]);
  for (const { operator } of graph.nodes) {
    if (operator.opaque === undefined) continue;
    const { domain, version } = operator.opaque;
    versions.set(domain, Math.max(version, versions.get(domain) ?? 0));
  }
  return [...versions].map(([domain, version]) => ({ domain, version }));
}

function nodeMessage(
  node: Node,
  nameOf: (value: Value) => string,
  used: ReadonlySet<Value | undefined>,
): Encodable<NodeMessage> {
  const input = node.inputs.map((value) => (value === undefined ? '' : nameOf(value)));
  while (input[input.length - 1] === '') input.pop();
  const { opaque, optionalOutputs } = node.operator;
  // A node's first output names it; of the others, what nothing uses costs time (such as the indices of maxima).
  const output = node.outputs.map((value, i) => {
    if (opaque?.absentOutputs?.includes(i)) return '';
    return i === 0 || optionalOutputs !== true || used.has(value) ? nameOf(value) : '';
  });
  while (output[output.length - 1] === '') output.pop();
  return {
    name: `${node.operator.name}_${output[0]}`,
    opType: node.operator.name,
    domain: opaque?.domain ?? '',
    input,
    output,
    attribute:
      opaque === undefined
        ? Object.entries(node.attributes).map(([name, value]) => attributeMessage(name, value))
        : opaque.attributes.map(opaqueAttributeMessage),
  };
}

function tensorMessage(value: Value, name: string): Encodable<TensorMessage> {
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
