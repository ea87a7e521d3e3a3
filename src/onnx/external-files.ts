/** Which other files an ONNX file needs: weights above 2 GB, or that an exporter chose to keep apart. */
import { errorMessage, GraphError } from '../util/index.js';
import { type ModelMessage, ModelProto } from './schema.js';

/**
 * The names of the files, relative to the model's, that hold weights of it; none for a model in one file.
 * @throws GraphError when the bytes are no ONNX model.
 */
export function externalFiles(bytes: Uint8Array): string[] {
  let graph: ModelMessage['graph'] | undefined;
  try {
    ({ graph } = ModelProto.decode(bytes) as unknown as Partial<ModelMessage>);
  } catch (error) {
    throw new GraphError(
      `externalFiles: the file must be an ONNX model, got something else (${errorMessage(error)}).`,
    );
  }
  if (graph === undefined || graph === null)
    throw new GraphError('externalFiles: the file must be an ONNX model, got no graph.');
  const names = new Set<string>();
  for (const { dataLocation, externalData } of graph.initializer)
    if (dataLocation === 1)
      names.add(externalData.find(({ key }) => key === 'location')?.value ?? 'an unnamed file');
  return [...names];
}
