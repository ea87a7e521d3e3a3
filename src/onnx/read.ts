/**
 * ONNX files to graphs: opsets 7 to 21, translated to the operators of opset 18; weights are constants by name.
 */
import { type Graph, input, type TensorType, topologicalOrder, type Value, verify } from '../graph/index.js';
import { errorMessage, GraphError, ShapeError } from '../util/index.js';
import { LATEST_OPSET, OLDEST_OPSET } from './opset-conversion.js';
import { readInitializers, readNodes, typeOf, typesOf, UnknownTypeError } from './read-nodes.js';
import { dataTypeOf } from './read-tensor.js';
import {
  type ModelMessage,
  ModelProto,
  type TypeMessage,
  toNumber,
  type ValueInfoMessage,
} from './schema.js';

export interface ReadModel {
  readonly graph: Graph;
  /**
   * Every value of the file by its name: inputs, initialisers, and outputs of nodes (an optional one that no rule of
   * the IR gives is absent). An `Identity` of a constant is a constant with the name of the `Identity`'s output: torch
   * writes parameters that happen to hold equal numbers in this way, and each is a parameter of its own.
   */
  readonly values: ReadonlyMap<string, Value>;
  /** The file's version of the standard operator set; the graph's operators are those of opset 18. */
  readonly opsetVersion: number;
  readonly producer: string;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface ReadOptions {
  /** Types of values by name, for outputs of unknown operators where the file tells none (`inferTypes`). */
  readonly types?: ReadonlyMap<string, TensorType>;
}

/**
 * Reads a serialised `ModelProto` of opset 7 to 21 without external data (see `readModelFile`). Weights stay views on
 * `bytes` where they are aligned: do not change it afterwards.
 *
 * Operators that the IR does not have stay opaque: they run and are written again, but pass no gradient. An `If` is
 * replaced by its branch where its condition is known.
 * @throws GraphError when the bytes are no ONNX model, or use what is not supported: naming the node and operator.
 * @throws ShapeError when the inputs of a node do not fit it.
 */
export function readModel(bytes: Uint8Array, options: ReadOptions = {}): ReadModel {
  return readMessage(decodeModel(bytes), options);
}

/** The graph of a decoded file whose external data has been filled in. */
export function readMessage(message: ModelMessage, { types = new Map() }: ReadOptions = {}): ReadModel {
  try {
    return toGraph(message, types);
  } catch (error) {
    // Names in the file may hold anything; a message is one line.
    if (error instanceof ShapeError) throw new ShapeError(errorMessage(error));
    if (error instanceof UnknownTypeError) throw new UnknownTypeError(errorMessage(error));
    if (error instanceof GraphError) throw new GraphError(errorMessage(error));
    throw new GraphError(
      `readModel: the file must be a whole ONNX model, got a damaged one (${errorMessage(error)}).`,
    );
  }
}

/** The file's message. @throws GraphError when the bytes are no ONNX model. */
export function decodeModel(bytes: Uint8Array): ModelMessage {
  if (bytes.length === 0) {
    throw new GraphError('readModel: the file must be an ONNX model, got an empty file.');
  }
  let message: ModelMessage;
  try {
    message = ModelProto.decode(bytes) as unknown as ModelMessage;
  } catch (error) {
    throw new GraphError(
      `readModel: the file must be an ONNX model, got something else or a part of one (${errorMessage(error)}).`,
    );
  }
  if (message.graph === null)
    throw new GraphError('readModel: the file must be an ONNX model, got no graph.');
  return message;
}

// --- internal ---

function toGraph(message: ModelMessage, types: ReadonlyMap<string, TensorType>): ReadModel {
  const graph = message.graph as NonNullable<ModelMessage['graph']>;
  const opsets = new Map(
    message.opsetImport.map(({ domain, version }) => [domain === 'ai.onnx' ? '' : domain, toNumber(version)]),
  );
  const opset = opsets.get('') ?? 0;
  if (opset < OLDEST_OPSET || opset > LATEST_OPSET) {
    throw new GraphError(
      `readModel: the operator set must be in ${OLDEST_OPSET} to ${LATEST_OPSET}, got ${opset}. Export the model again with opset 18.`,
    );
  }
  const values = new Map<string, Value>();
  readInitializers(graph, values);
  const weights = new Set(values.keys());
  const inputs: { name: string; value: Value }[] = [];
  for (const info of graph.input) {
    if (weights.has(info.name)) continue; // old files list initialisers among the inputs
    if (values.has(info.name)) {
      throw new GraphError(`readModel: input '${info.name}' must have a name of its own, got it twice.`);
    }
    const value = inputValue(info);
    values.set(info.name, value);
    inputs.push({ name: info.name, value });
  }
  readNodes(graph.node, {
    values,
    types: new Map([...types, ...typesOf(graph)]),
    opsets,
    functions: new Set(message.functions.map(({ domain, name }) => `${domain}:${name}`)),
  });
  if (graph.output.length === 0) {
    throw new GraphError('readModel: the graph must have an output, got none.');
  }
  const outputs = graph.output.map(({ name }) => {
    const value = values.get(name);
    if (value === undefined)
      throw new GraphError(`readModel: output '${name}' must be made by a node, got none.`);
    return { name, value };
  });
  return {
    graph: verify({
      inputs,
      outputs,
      nodes: topologicalOrder(outputs.map(({ value }) => value)),
    }),
    values,
    opsetVersion: opset,
    producer: `${message.producerName} ${message.producerVersion}`.trim(),
    metadata: Object.fromEntries(message.metadataProps.map(({ key, value }) => [key, value])),
  };
}

function inputValue(info: ValueInfoMessage): Value {
  const { name, type } = info;
  const where = `input '${name}'`;
  const tensorType = type?.tensorType;
  if (!tensorType) {
    throw new GraphError(`readModel: ${where} must be a tensor, got ${otherType(type)}.`);
  }
  if (tensorType.shape === null) {
    throw new GraphError(
      `readModel: ${where} must have a known number of axes, got none. Export the model with the input's shape.`,
    );
  }
  dataTypeOf(tensorType.elemType, where);
  const { dataType, shape } = typeOf(info) as TensorType;
  if (shape.some((size) => Number(size) > LARGEST_SIZE)) {
    throw new GraphError(
      `readModel: ${where} must have sizes that fit in memory, got [${shape.join(', ')}].`,
    );
  }
  return input(name, dataType, shape);
}

const LARGEST_SIZE = 2 ** 40;

function otherType(type: TypeMessage | null): string {
  if (type?.sequenceType) return 'a sequence';
  if (type?.mapType) return 'a map';
  if (type?.optionalType) return 'an optional';
  if (type?.sparseTensorType) return 'a sparse tensor';
  return 'no type';
}
