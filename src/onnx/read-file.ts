/**
 * Models from disk: the file, the weights beside it, and the types that only the runtime can tell.
 */
import { open, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { DataError, errorMessage, GraphError, ShapeError } from '../util/index.js';
import { loadExternalData } from './external-data.js';
import { inferMessageTypes } from './infer-types.js';
import { decodeModel, type ReadModel, type ReadOptions, readMessage } from './read.js';
import { UnknownTypeError } from './read-nodes.js';

/**
 * Reads an `.onnx` file of opset 7 to 21, with external data from the model's folder. Unknown operators whose output
 * types the file does not tell are run once by onnxruntime, on zeros.
 * @throws DataError when a file is missing, empty, too short, over 2 GB, or external data lies outside the folder.
 * @throws GraphError, ShapeError as `readModel` does, with the path in front.
 */
export async function readModelFile(path: string, options: ReadOptions = {}): Promise<ReadModel> {
  const bytes = await readWhole(path);
  try {
    const message = decodeModel(bytes);
    await loadExternalData(message, dirname(path));
    try {
      return readMessage(message, options);
    } catch (error) {
      if (!(error instanceof UnknownTypeError)) throw error;
      const types = await inferMessageTypes(message);
      return readMessage(message, { types: new Map([...types, ...(options.types ?? [])]) });
    }
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`${path}: ${error.message}`);
    if (error instanceof GraphError) throw new GraphError(`${path}: ${error.message}`);
    throw error;
  }
}

// --- internal ---

/** A protobuf message cannot be larger. */
const LARGEST_FILE_BYTES = 2 ** 31 - 1;

async function readWhole(path: string): Promise<Uint8Array> {
  try {
    const status = await stat(path);
    if (!status.isFile()) throw new Error('not a file');
    if (status.size > LARGEST_FILE_BYTES) {
      throw new Error(
        `${status.size} bytes, and a model file must be smaller than 2 GB. Save it with external data`,
      );
    }
    const handle = await open(path, 'r');
    try {
      const bytes = new Uint8Array(status.size);
      let done = 0;
      while (done < bytes.length) {
        const { bytesRead } = await handle.read(bytes, done, Math.min(bytes.length - done, 2 ** 30), done);
        if (bytesRead === 0) throw new Error('it became shorter while it was read');
        done += bytesRead;
      }
      return bytes;
    } finally {
      await handle.close();
    }
  } catch (error) {
    throw new DataError(`the model cannot be read: ${errorMessage(error)}.`, { file: path, cause: error });
  }
}
