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
          },
        },
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
            floatData: many(4, 'float'),
            int32Data: many(5, 'int32'),
            int64Data: many(7, 'int64'),
            name: one(8, 'string'),
            rawData: one(9, 'bytes'),
            externalData: many(13, 'StringStringEntryProto'),
            dataLocation: one(14, 'int32'),
          },
        },
        ValueInfoProto: { fields: { name: one(1, 'string'), type: one(2, 'TypeProto') } },
        TypeProto: { fields: { tensorType: one(1, 'TensorTypeProto') } },
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
  floats: 6,
  ints: 7,
  strings: 8,
} as const;

export interface TensorMessage {
  dims: number[];
  dataType: number;
  name: string;
  rawData?: Uint8Array;
  floatData?: number[];
  int32Data?: number[];
  int64Data?: number[];
  dataLocation?: number;
}

export interface AttributeMessage {
  name: string;
  type: number;
  f?: number;
  i?: number;
  s?: Uint8Array;
  t?: TensorMessage;
  floats?: number[];
  ints?: number[];
  strings?: Uint8Array[];
}

export interface NodeMessage {
  name: string;
  opType: string;
  domain: string;
  input: string[];
  output: string[];
  attribute: AttributeMessage[];
}

export interface ValueInfoMessage {
  name: string;
  type: { tensorType: { elemType: number; shape?: { dim: { dimValue?: number; dimParam?: string }[] } } };
}

export interface ModelMessage {
  irVersion: number;
  producerName: string;
  producerVersion: string;
  opsetImport: { domain: string; version: number }[];
  metadataProps: { key: string; value: string }[];
  graph: {
    name: string;
    node: NodeMessage[];
    initializer: TensorMessage[];
    input: ValueInfoMessage[];
    output: ValueInfoMessage[];
  };
}
