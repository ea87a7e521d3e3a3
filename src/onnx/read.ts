/**
 * ONNX files to graphs: the default domain at operator set 13 or later, weights inside the file.
 */
import {
  type AttributeValue,
  applyAll,
  constant,
  type DataType,
  findOperator,
  type Graph,
  input,
  int64,
  ONNX_DATA_TYPES,
  sizeOf,
  type TensorData,
  topologicalOrder,
  type Value,
  verify,
} from '../graph/index.js';
import { errorMessage, GraphError, ShapeError } from '../util/index.js';
import {
  ATTRIBUTE_TYPES,
  type AttributeMessage,
  type ModelMessage,
  ModelProto,
  type NodeMessage,
  type TensorMessage,
} from './schema.js';

export interface ReadModel {
  readonly graph: Graph;
  readonly opsetVersion: number;
  readonly producer: string;
  readonly metadata: Readonly<Record<string, string>>;
}

const OLDEST_OPSET = 13;

/**
 * Reads a serialised `ModelProto`.
 * @throws GraphError when the bytes are no ONNX model, or use what is not supported: naming the node and operator.
 * @throws ShapeError when the inputs of a node do not fit it.
 */
export function readModel(bytes: Uint8Array): ReadModel {
  const message = decode(bytes);
  try {
    return toGraph(message);
  } catch (error) {
    // Names in the file may hold anything; a message is one line.
    if (error instanceof ShapeError) throw new ShapeError(errorMessage(error));
    if (error instanceof GraphError) throw new GraphError(errorMessage(error));
    throw new GraphError(
      `readModel: the file must be a whole ONNX model, got a damaged one (${errorMessage(error)}).`,
    );
  }
}

// --- internal ---

function toGraph(message: ModelMessage): ReadModel {
  const opset = message.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0;
  if (opset < OLDEST_OPSET) {
    throw new GraphError(
      `readModel: the operator set must be ${OLDEST_OPSET} or later, got ${opset}. Export the model again with a newer opset.`,
    );
  }
  const values = new Map<string, Value>();
  for (const tensor of message.graph.initializer) values.set(tensor.name, tensorValue(tensor));
  const inputs: { name: string; value: Value }[] = [];
  for (const { name, type } of message.graph.input) {
    if (values.has(name)) continue; // old files list initialisers among the inputs
    const { elemType, shape } = type.tensorType;
    if (shape === undefined) {
      throw new GraphError(`readModel: input '${name}' must have a known number of axes, got none.`);
    }
    const dimensions = shape.dim.map(({ dimValue = -1, dimParam = '' }, axis) => {
      if (dimParam !== '') return dimParam;
      return dimValue < 0 ? `${name}_${axis}` : dimValue; // some exporters write −1 for an unknown size
    });
    const value = input(name, dataTypeOf(elemType, `input '${name}'`), dimensions);
    values.set(name, value);
    inputs.push({ name, value });
  }
  for (const node of message.graph.node) readNode(node, values);
  const outputs = message.graph.output.map(({ name }) => {
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
    opsetVersion: opset,
    producer: `${message.producerName} ${message.producerVersion}`.trim(),
    metadata: Object.fromEntries(message.metadataProps.map(({ key = '', value = '' }) => [key, value])),
  };
}

function decode(bytes: Uint8Array): ModelMessage {
  let message: ModelMessage;
  try {
    message = ModelProto.toObject(ModelProto.decode(bytes), {
      longs: Number,
      defaults: false,
      arrays: true,
    }) as ModelMessage;
  } catch (error) {
    throw new GraphError(
      `readModel: the file must be an ONNX model, got something else (${errorMessage(error)}).`,
    );
  }
  if (message.graph === undefined)
    throw new GraphError('readModel: the file must be an ONNX model, got no graph.');
  return {
    irVersion: message.irVersion ?? 0,
    producerName: message.producerName ?? '',
    producerVersion: message.producerVersion ?? '',
    opsetImport: message.opsetImport.map(({ domain = '', version }) => ({ domain, version })),
    metadataProps: message.metadataProps,
    graph: message.graph,
  };
}

function readNode(node: NodeMessage, values: Map<string, Value>): void {
  const where = `node '${node.name ?? ''}' (${node.opType})`;
  const define = (name: string, value: Value) => {
    if (values.has(name)) {
      throw new GraphError(`readModel: ${where} must make a new value, got '${name}' again.`);
    }
    values.set(name, value);
  };
  if (node.domain !== undefined && node.domain !== '' && node.domain !== 'ai.onnx') {
    throw new GraphError(`readModel: ${where} must be of the standard domain, got '${node.domain}'.`);
  }
  if (node.opType === 'Constant') {
    const tensor = node.attribute.find(({ name }) => name === 'value')?.t;
    if (tensor === undefined) throw new GraphError(`readModel: ${where} must have a tensor value, got none.`);
    define(node.output[0] as string, tensorValue(tensor));
    return;
  }
  const operator = findOperator(node.opType);
  if (operator === undefined) {
    throw new GraphError(`readModel: operators must be among those of graph/operators.ts, got ${where}.`);
  }
  const inputs = node.input.map((name) => {
    if (name === '') return undefined;
    const value = values.get(name);
    if (value === undefined)
      throw new GraphError(`readModel: ${where} uses '${name}', which nothing before it makes.`);
    return value;
  });
  const attributes: Record<string, AttributeValue> = {};
  for (const attribute of node.attribute) attributes[attribute.name] = attributeValue(attribute, where);
  toOpset18(node, inputs, attributes);
  let outputs: readonly Value[];
  try {
    outputs = applyAll(operator, inputs, attributes);
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`readModel: ${where}: ${error.message}`);
    throw error;
  }
  node.output.forEach((name, i) => {
    const value = outputs[i];
    if (name !== '' && value !== undefined) define(name, value);
  });
}

/** What opset 18 says in another way: axes of reductions as an input, the number of a split's equal parts. */
function toOpset18(
  { opType, output }: NodeMessage,
  inputs: (Value | undefined)[],
  attributes: Record<string, AttributeValue>,
): void {
  if (opType.startsWith('Reduce') && Array.isArray(attributes.axes)) {
    inputs[1] = int64(attributes.axes as readonly number[]);
    delete attributes.axes;
  }
  if (opType === 'Split' && inputs[1] === undefined) attributes.num_outputs ??= output.length;
}

function attributeValue(attribute: AttributeMessage, where: string): AttributeValue {
  switch (attribute.type) {
    case ATTRIBUTE_TYPES.float:
      return shortest(attribute.f ?? 0);
    case ATTRIBUTE_TYPES.int:
      return attribute.i ?? 0;
    case ATTRIBUTE_TYPES.string:
      return Buffer.from(attribute.s ?? []).toString('utf8');
    case ATTRIBUTE_TYPES.ints:
      return attribute.ints ?? [];
    case ATTRIBUTE_TYPES.floats:
      return (attribute.floats ?? []).map(shortest);
    default:
      throw new GraphError(
        `readModel: attribute '${attribute.name}' of ${where} must be a number, text or list, got type ${attribute.type}.`,
      );
  }
}

/** 1e-5 is kept as a float32, 0.000009999999747378752: the shortest decimal that rounds to it is what was meant. */
function shortest(float: number): number {
  const short = Number(float.toPrecision(7));
  return Math.fround(short) === float ? short : float;
}

function dataTypeOf(number: number, where: string): DataType {
  const found = Object.entries(ONNX_DATA_TYPES).find(([, code]) => code === number);
  if (found === undefined) {
    throw new GraphError(
      `readModel: ${where} must be one of ${Object.keys(ONNX_DATA_TYPES).join(', ')}, got ONNX type number ${number}.`,
    );
  }
  return found[0] as DataType;
}

function tensorValue(tensor: TensorMessage): Value {
  const where = `tensor '${tensor.name ?? ''}'`;
  if (tensor.dataLocation === 1) {
    throw new GraphError(`readModel: ${where} must be inside the file, got external data.`);
  }
  const dataType = dataTypeOf(tensor.dataType, where);
  const shape = tensor.dims;
  if (shape.some((size) => size < 0)) {
    throw new GraphError(`readModel: ${where} must have sizes of 0 or more, got [${shape.join(', ')}].`);
  }
  const data = tensorData(tensor, dataType, where);
  if (data.length !== sizeOf(shape)) {
    throw new GraphError(`readModel: ${where} must have ${sizeOf(shape)} elements, got ${data.length}.`);
  }
  return constant(data, shape, { dataType, ...(tensor.name ? { name: tensor.name } : {}) });
}

/** "To the end" is often the largest int64, which as a number rounds up to 2⁶³ and must not wrap around. */
function toInt64(value: number): bigint {
  return value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value);
}

function tensorData(tensor: TensorMessage, dataType: DataType, where: string): TensorData {
  const bytesEach = { float32: 4, float16: 2, int64: 8, int32: 4, uint8: 1, bool: 1 }[dataType];
  if (tensor.rawData !== undefined && tensor.rawData.length > 0) {
    if (tensor.rawData.length % bytesEach !== 0) {
      throw new GraphError(
        `readModel: ${where} must hold whole ${dataType} elements, got ${tensor.rawData.length} bytes.`,
      );
    }
    // A copy, so that the offset is aligned. (Not slice(): the bytes are a Buffer, whose slice is a view.)
    const { buffer } = new Uint8Array(tensor.rawData);
    switch (dataType) {
      case 'float32':
        return new Float32Array(buffer);
      case 'float16':
        return new Uint16Array(buffer);
      case 'int64':
        return new BigInt64Array(buffer);
      case 'int32':
        return new Int32Array(buffer);
      default:
        return new Uint8Array(buffer);
    }
  }
  switch (dataType) {
    case 'float32':
      return Float32Array.from(tensor.floatData ?? []);
    case 'int64':
      return BigInt64Array.from(tensor.int64Data ?? [], toInt64);
    case 'float16':
      return Uint16Array.from(tensor.int32Data ?? []);
    case 'int32':
      return Int32Array.from(tensor.int32Data ?? []);
    default:
      return Uint8Array.from(tensor.int32Data ?? []);
  }
}
