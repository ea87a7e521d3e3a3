/**
 * `TensorProto` to constants. Raw data that is aligned in the file's buffer stays there: a view, not a copy.
 */
import { constant, type DataType, ONNX_DATA_TYPES, type TensorData, type Value } from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { type TensorMessage, toInt64, toNumber } from './schema.js';

/** The bytes of one element. */
export const BYTES_EACH: Readonly<Record<DataType, number>> = {
  float32: 4,
  float16: 2,
  float64: 8,
  int64: 8,
  int32: 4,
  int8: 1,
  uint8: 1,
  bool: 1,
};

/**
 * A tensor of the file as a constant.
 * @param name the constant's name; default: the tensor's own.
 * @throws GraphError when sizes, type and content do not fit each other.
 */
export function tensorValue(tensor: TensorMessage, name: string | undefined = tensor.name): Value {
  const where = `tensor '${tensor.name || (name ?? '')}'`;
  if (tensor.dataLocation === EXTERNAL) {
    throw new GraphError(
      `readModel: ${where} must be inside the file, got external data. Read the model from its path (readModelFile).`,
    );
  }
  const dataType = dataTypeOf(tensor.dataType, where);
  const shape = tensorShape(tensor, where);
  const data = tensorData(tensor, dataType, where);
  const size = elementCount(shape, where);
  if (data.length !== size) {
    throw new GraphError(`readModel: ${where} must have ${size} elements, got ${data.length}.`);
  }
  return constant(data, shape, { dataType, ...(name ? { name } : {}) });
}

/** Sizes of a tensor of the file. */
export function tensorShape(tensor: TensorMessage, where: string): number[] {
  const shape = tensor.dims.map(toNumber);
  if (shape.some((size) => size < 0)) {
    throw new GraphError(`readModel: ${where} must have sizes of 0 or more, got [${shape.join(', ')}].`);
  }
  return shape;
}

/** Number of elements of a shape that a file gives. @throws GraphError when no array could hold them. */
export function elementCount(shape: readonly number[], where: string): number {
  const size = shape.includes(0) ? 0 : shape.reduce((product, dimension) => product * dimension, 1);
  if (size > MOST_ELEMENTS) {
    throw new GraphError(
      `readModel: ${where} must have at most ${MOST_ELEMENTS} elements, got sizes [${shape.join(', ')}].`,
    );
  }
  return size;
}

/** The data type of a number of `TensorProto.DataType`. @throws GraphError naming `where`. */
export function dataTypeOf(number: number, where: string): DataType {
  const found = supportedDataType(number);
  if (found === undefined) {
    const name = TYPE_NAMES[number];
    throw new GraphError(
      `readModel: ${where} must be one of ${Object.keys(ONNX_DATA_TYPES).join(', ')}, got ONNX type number ${number}${name === undefined ? '' : ` (${name})`}.`,
    );
  }
  return found;
}

/** The same, `undefined` for a type that is not supported. */
export function supportedDataType(number: number): DataType | undefined {
  return Object.entries(ONNX_DATA_TYPES).find(([, code]) => code === number)?.[0] as DataType | undefined;
}

// --- internal ---

const EXTERNAL = 1;
const MOST_ELEMENTS = 2 ** 33;
/** Types of the format that are not supported, for messages. */
const TYPE_NAMES: Readonly<Record<number, string>> = {
  0: 'undefined',
  4: 'uint16',
  5: 'int16',
  8: 'string',
  12: 'uint32',
  13: 'uint64',
  14: 'complex64',
  15: 'complex128',
  16: 'bfloat16',
  17: 'float8e4m3fn',
  18: 'float8e4m3fnuz',
  19: 'float8e5m2',
  20: 'float8e5m2fnuz',
  21: 'uint4',
  22: 'int4',
};

function tensorData(tensor: TensorMessage, dataType: DataType, where: string): TensorData {
  if (tensor.rawData !== undefined && tensor.rawData.length > 0) {
    return rawData(tensor.rawData, dataType, where);
  }
  switch (dataType) {
    case 'float32':
      return Float32Array.from(tensor.floatData);
    case 'int64':
      return BigInt64Array.from(tensor.int64Data, toInt64);
    case 'float16':
      return Uint16Array.from(tensor.int32Data);
    case 'int32':
      return Int32Array.from(tensor.int32Data);
    case 'float64':
      return Float64Array.from(tensor.doubleData);
    case 'int8':
      return Int8Array.from(tensor.int32Data);
    case 'bool':
      return Uint8Array.from(tensor.int32Data, (x) => (x === 0 ? 0 : 1));
    case 'uint8':
      return Uint8Array.from(tensor.int32Data);
  }
}

function rawData(bytes: Uint8Array, dataType: DataType, where: string): TensorData {
  const each = BYTES_EACH[dataType];
  if (bytes.length % each !== 0) {
    throw new GraphError(
      `readModel: ${where} must hold whole ${dataType} elements, got ${bytes.length} bytes.`,
    );
  }
  // (Not slice(): the bytes may be a Buffer, whose slice is a view.)
  const aligned = bytes.byteOffset % each === 0 ? bytes : new Uint8Array(bytes);
  const { buffer, byteOffset } = aligned;
  const count = bytes.length / each;
  switch (dataType) {
    case 'float32':
      return new Float32Array(buffer, byteOffset, count);
    case 'float16':
      return new Uint16Array(buffer, byteOffset, count);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, count);
    case 'int32':
      return new Int32Array(buffer, byteOffset, count);
    case 'float64':
      return new Float64Array(buffer, byteOffset, count);
    case 'int8':
      return new Int8Array(buffer, byteOffset, count);
    case 'bool':
    case 'uint8':
      return new Uint8Array(buffer, byteOffset, count);
  }
}
