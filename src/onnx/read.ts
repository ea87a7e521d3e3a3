/**
 * ONNX files to graphs: the default domain at operator set 13 or later, weights inside the file.
 */
import {
  type Attributes,
  type AttributeValue,
  applyAll,
  buildGraph,
  constant,
  type DataType,
  findOperator,
  type Graph,
  input,
  ONNX_DATA_TYPES,
  sizeOf,
  type TensorData,
  type Value,
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
 */
export function readModel(bytes: Uint8Array): ReadModel {
  const message = decode(bytes);
  const opset = message.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0;
  if (opset < OLDEST_OPSET) {
    throw new GraphError(
      `readModel: the operator set must be ${OLDEST_OPSET} or later, got ${opset}. Export the model again with a newer opset.`,
    );
  }
  const values = new Map<string, Value>();
  for (const tensor of message.graph.initializer) values.set(tensor.name, tensorValue(tensor));
  const inputs: Value[] = [];
  for (const { name, type } of message.graph.input) {
    if (values.has(name)) continue; // old files list initialisers among the inputs
    const { elemType, shape } = type.tensorType;
    const dimensions = (shape?.dim ?? []).map(({ dimValue, dimParam }, axis) =>
      dimParam !== undefined && dimParam !== '' ? dimParam : (dimValue ?? `${name}_${axis}`),
    );
    const value = input(name, dataTypeOf(elemType, `input '${name}'`), dimensions);
    values.set(name, value);
    inputs.push(value);
  }
  for (const node of message.graph.node) readNode(node, values);
  const outputs: Record<string, Value> = {};
  for (const { name } of message.graph.output) {
    const value = values.get(name);
    if (value === undefined)
      throw new GraphError(`readModel: output '${name}' must be made by a node, got none.`);
    outputs[name] = value;
  }
  return {
    graph: buildGraph(inputs, outputs),
    opsetVersion: opset,
    producer: `${message.producerName} ${message.producerVersion}`.trim(),
    metadata: Object.fromEntries(message.metadataProps.map(({ key, value }) => [key, value])),
  };
}

// --- internal ---

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
  if (node.domain !== undefined && node.domain !== '' && node.domain !== 'ai.onnx') {
    throw new GraphError(`readModel: ${where} must be of the standard domain, got '${node.domain}'.`);
  }
  if (node.opType === 'Constant') {
    const tensor = node.attribute.find(({ name }) => name === 'value')?.t;
    if (tensor === undefined) throw new GraphError(`readModel: ${where} must have a tensor value, got none.`);
    values.set(node.output[0] as string, tensorValue(tensor));
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
  let outputs: readonly Value[];
  try {
    outputs = applyAll(operator, inputs, attributes as Attributes);
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`readModel: ${where}: ${error.message}`);
    throw error;
  }
  node.output.forEach((name, i) => {
    const value = outputs[i];
    if (name !== '' && value !== undefined) values.set(name, value);
  });
}

function attributeValue(attribute: AttributeMessage, where: string): AttributeValue {
  switch (attribute.type) {
    case ATTRIBUTE_TYPES.float:
      return attribute.f ?? 0;
    case ATTRIBUTE_TYPES.int:
      return attribute.i ?? 0;
    case ATTRIBUTE_TYPES.string:
      return Buffer.from(attribute.s ?? []).toString('utf8');
    case ATTRIBUTE_TYPES.ints:
      return attribute.ints ?? [];
    case ATTRIBUTE_TYPES.floats:
      return attribute.floats ?? [];
    default:
      throw new GraphError(
        `readModel: attribute '${attribute.name}' of ${where} must be a number, text or list, got type ${attribute.type}.`,
      );
  }
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
  const data = tensorData(tensor, dataType, where);
  if (data.length !== sizeOf(shape)) {
    throw new GraphError(`readModel: ${where} must have ${sizeOf(shape)} elements, got ${data.length}.`);
  }
  return constant(data, shape, { dataType, ...(tensor.name ? { name: tensor.name } : {}) });
}

function tensorData(tensor: TensorMessage, dataType: DataType, where: string): TensorData {
  const bytesEach = { float32: 4, float16: 2, int64: 8, int32: 4, uint8: 1, bool: 1 }[dataType];
  if (tensor.rawData !== undefined && tensor.rawData.length > 0) {
    if (tensor.rawData.length % bytesEach !== 0) {
      throw new GraphError(
        `readModel: ${where} must hold whole ${dataType} elements, got ${tensor.rawData.length} bytes.`,
      );
    }
    const buffer = tensor.rawData.slice().buffer; // a copy, so that the offset is aligned
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
      return BigInt64Array.from(tensor.int64Data ?? [], (value) => BigInt(value));
    case 'float16':
      return Uint16Array.from(tensor.int32Data ?? []);
    case 'int32':
      return Int32Array.from(tensor.int32Data ?? []);
    default:
      return Uint8Array.from(tensor.int32Data ?? []);
  }
}
