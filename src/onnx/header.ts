/** What an ONNX file says of itself. */
import { GraphError } from '../util/index.js';
import { type ModelMessage, ModelProto, toNumber } from './schema.js';

export interface ModelHeader {
  readonly irVersion: number;
  /** Of the standard operators. */
  readonly opset: number;
  /** Name and version of what wrote it. */
  readonly producer: string;
}

/** @throws GraphError when the bytes are no ONNX model. */
export function modelHeader(bytes: Uint8Array): ModelHeader {
  let message: ModelMessage;
  try {
    message = ModelProto.decode(bytes) as unknown as ModelMessage;
  } catch (error) {
    throw new GraphError(
      `modelHeader: the file must be an ONNX model, got something else (${String(error)}).`,
    );
  }
  const opset = message.opsetImport.find(({ domain }) => domain === '' || domain === 'ai.onnx')?.version ?? 0;
  return {
    irVersion: toNumber(message.irVersion),
    opset: toNumber(opset),
    producer: `${message.producerName} ${message.producerVersion}`.trim(),
  };
}
