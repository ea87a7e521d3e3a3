/**
 * The part of the ONNX file format that is read and written, as a protobuf description: message and field names and
 * numbers of `onnx.proto` (IR version 8 and before). Fields that are not listed are skipped when read.
 */
import protobuf from 'protobufjs';

type Field = { id: number; type: string; rule?: 'repeated' };

const one = (id: number, type: string): Field => ({ id, type });
const many = (id: number, type: string): Field => ({ id, type, rule: 'repeated' });

const root = protobuf.Root.fromJSON({
  nested: {
    onnx: {
      nested: {
        ModelProto: {
          fields: {
            irVersion: one(1, 'int64'),
            producerName: one(2, 'string'),
            producerVersion: one(3, 'string'),
            domain: one(4, 'string'),
            modelVersion: one(5, 'int64'),
            docString: one(6, 'string'),
            graph: one(7, 'GraphProto'),
            opsetImport: many(8, 'OperatorSetIdProto'),
            metadataProps: many(14, 'StringStringEntryProto'),
            functions: many(25, 'FunctionProto'),
          },
        },
        FunctionProto: { fields: { name: one(1, 'string'), domain: one(10, 'string') } },
        SparseTensorProto: { fields: { values: one(1, 'TensorProto') } },
        OperatorSetIdProto: { fields: { domain: one(1, 'string'), version: one(2, 'int64') } },
        StringStringEntryProto: { fields: { key: one(1, 'string'), value: one(2, 'string') } },
        GraphProto: {
          fields: {
            node: many(1, 'NodeProto'),
            name: one(2, 'string'),
            initializer: many(5, 'TensorProto'),
            docString: one(10, 'string'),
            input: many(11, 'ValueInfoProto'),
            output: many(12, 'ValueInfoProto'),
            valueInfo: many(13, 'ValueInfoProto'),
            sparseInitializer: many(15, 'SparseTensorProto'),
          },
        },
        NodeProto: {
          fields: {
            input: many(1, 'string'),
            output: many(2, 'string'),
            name: one(3, 'string'),
            opType: one(4, 'string'),
            attribute: many(5, 'AttributeProto'),
            docString: one(6, 'string'),
            domain: one(7, 'string'),
          },
        },
        AttributeProto: {
          fields: {
            name: one(1, 'string'),
            f: one(2, 'float'),
            i: one(3, 'int64'),
            s: one(4, 'bytes'),
            t: one(5, 'TensorProto'),
            g: one(6, 'GraphProto'),
            floats: many(7, 'float'),
            ints: many(8, 'int64'),
            strings: many(9, 'bytes'),
            type: one(20, 'int32'),
          },
        },
        TensorProto: {
          fields: {
            dims: many(1, 'int64'),
            dataType: one(2, 'int32'),
            segment: one(3, 'SegmentProto'),
            floatData: many(4, 'float'),
            int32Data: many(5, 'int32'),
            int64Data: many(7, 'int64'),
            name: one(8, 'string'),
            doubleData: many(10, 'double'),
            rawData: one(9, 'bytes'),
            externalData: many(13, 'StringStringEntryProto'),
            dataLocation: one(14, 'int32'),
          },
        },
        SegmentProto: { fields: { begin: one(1, 'int64'), end: one(2, 'int64') } },
        ValueInfoProto: { fields: { name: one(1, 'string'), type: one(2, 'TypeProto') } },
        TypeProto: {
          fields: {
            tensorType: one(1, 'TensorTypeProto'),
            sequenceType: one(4, 'OtherTypeProto'),
            mapType: one(5, 'OtherTypeProto'),
            sparseTensorType: one(8, 'OtherTypeProto'),
            optionalType: one(9, 'OtherTypeProto'),
          },
        },
        OtherTypeProto: { fields: {} },
        TensorTypeProto: { fields: { elemType: one(1, 'int32'), shape: one(2, 'TensorShapeProto') } },
        TensorShapeProto: { fields: { dim: many(1, 'DimensionProto') } },
        DimensionProto: {
          fields: { dimValue: one(1, 'int64'), dimParam: one(2, 'string') },
          oneofs: { value: { oneof: ['dimValue', 'dimParam'] } }, // so that a size of 0 is not left out
        },
      },
    },
  },
});

/** Encodes and decodes a whole file. */
export const ModelProto = root.lookupType('onnx.ModelProto');

/** Numbers of `AttributeProto.AttributeType`. */
export const ATTRIBUTE_TYPES = {
  float: 1,
  int: 2,
  string: 3,
  tensor: 4,
  graph: 5,
  floats: 6,
  ints: 7,
  strings: 8,
  tensors: 9,
  graphs: 10,
  'sparse tensor': 11,
  type: 13,
} as const;

/**
 * A 64-bit integer as it is decoded: `Long` keeps all bits, which a number does not.
 */
export type Integer = number | { readonly low: number; readonly high: number; toNumber(): number };

/** The nearest number. */
export function toNumber(integer: Integer): number {
  return typeof integer === 'number' ? integer : integer.toNumber();
}

/** All 64 bits; numbers past the largest int64 become the largest ("to the end"). */
export function toInt64(integer: Integer): bigint {
  if (typeof integer !== 'number') return (BigInt(integer.high) << 32n) | BigInt(integer.low >>> 0);
  if (integer >= 2 ** 63) return 2n ** 63n - 1n;
  return integer < -(2 ** 63) ? -(2n ** 63n) : BigInt(integer);
}

// Decoded messages, as protobufjs gives them: an absent number is 0, an absent text '', an absent list empty, an absent
// message null.

export interface TensorMessage {
  readonly dims: readonly Integer[];
  readonly dataType: number;
  readonly name: string;
  readonly rawData: Uint8Array;
  readonly floatData: readonly number[];
  readonly int32Data: readonly number[];
  readonly int64Data: readonly Integer[];
  readonly doubleData: readonly number[];
  readonly segment: object | null;
  readonly dataLocation: number;
  readonly externalData: readonly { readonly key: string; readonly value: string }[];
}

export interface AttributeMessage {
  readonly name: string;
  readonly type: number;
  readonly f: number;
  readonly i: Integer;
  readonly s: Uint8Array;
  readonly t: TensorMessage | null;
  readonly g: GraphMessage | null;
  readonly floats: readonly number[];
  readonly ints: readonly Integer[];
  readonly strings: readonly Uint8Array[];
}

export interface NodeMessage {
  readonly name: string;
  readonly opType: string;
  readonly domain: string;
  readonly input: readonly string[];
  readonly output: readonly string[];
  readonly attribute: readonly AttributeMessage[];
}

export interface TypeMessage {
  readonly tensorType: {
    readonly elemType: number;
    readonly shape: {
      readonly dim: readonly { readonly dimValue: Integer; readonly dimParam: string }[];
    } | null;
  } | null;
  readonly sequenceType: object | null;
  readonly mapType: object | null;
  readonly sparseTensorType: object | null;
  readonly optionalType: object | null;
}

export interface ValueInfoMessage {
  readonly name: string;
  readonly type: TypeMessage | null;
}

export interface GraphMessage {
  readonly name: string;
  readonly node: readonly NodeMessage[];
  readonly initializer: readonly TensorMessage[];
  readonly sparseInitializer: readonly object[];
  readonly input: readonly ValueInfoMessage[];
  readonly output: readonly ValueInfoMessage[];
  readonly valueInfo: readonly ValueInfoMessage[];
}

export interface ModelMessage {
  readonly irVersion: Integer;
  readonly producerName: string;
  readonly producerVersion: string;
  readonly opsetImport: readonly { readonly domain: string; readonly version: Integer }[];
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[];
  readonly functions: readonly { readonly name: string; readonly domain: string }[];
  readonly graph: GraphMessage | null;
}

/** The same to be encoded: what is absent is not written. */
export type Encodable<T> = T extends readonly (infer E)[]
  ? readonly Encodable<E>[]
  : T extends Uint8Array
    ? Uint8Array
    : T extends object
      ? { readonly [K in keyof T]?: Encodable<T[K]> }
      : T;
