/**
 * Weights outside the model's file (`TensorProto.external_data`): each tensor's bytes are read from a file in the
 * model's folder into memory of its own. Nothing outside that folder is opened.
 */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { isAbsolute, relative, resolve, sep } from 'node:path';
import { DataError, errorMessage } from '../util/index.js';
import { BYTES_EACH, dataTypeOf, elementCount, tensorShape } from './read-tensor.js';
import type { GraphMessage, ModelMessage, TensorMessage } from './schema.js';

const EXTERNAL = 1;

/**
 * Fills in the content of all tensors of the message that lie in other files.
 * @param folder the model's.
 * @throws DataError naming the file that is missing, too short, or outside the folder.
 */
export async function loadExternalData(message: ModelMessage, folder: string): Promise<void> {
  const tensors = message.graph === null ? [] : externalTensors(message.graph);
  const files = new Map<string, OpenFile>();
  try {
    for (const tensor of tensors) await load(tensor, folder, files);
  } finally {
    for (const { handle } of files.values()) await handle.close();
  }
}

// --- internal ---

interface OpenFile {
  readonly path: string;
  readonly handle: FileHandle;
  readonly size: number;
}

function externalTensors(graph: GraphMessage): TensorMessage[] {
  const found = graph.initializer.filter(({ dataLocation }) => dataLocation === EXTERNAL);
  for (const { attribute } of graph.node) {
    for (const { t, g } of attribute) {
      if (t?.dataLocation === EXTERNAL) found.push(t);
      if (g) found.push(...externalTensors(g));
    }
  }
  return found;
}

async function load(tensor: TensorMessage, folder: string, files: Map<string, OpenFile>): Promise<void> {
  const where = `tensor '${tensor.name}'`;
  const entries = new Map(tensor.externalData.map(({ key, value }) => [key, value]));
  const location = entries.get('location') ?? '';
  const each = BYTES_EACH[dataTypeOf(tensor.dataType, where)];
  const needed = elementCount(tensorShape(tensor, where), where) * each;
  const offset = wholeNumber(entries.get('offset') ?? '0', `${where}: offset`, location);
  const length = entries.get('length');
  if (length !== undefined && wholeNumber(length, `${where}: length`, location) !== needed) {
    throw new DataError(`${where} must have ${needed} bytes for its sizes, got length ${length}.`, {
      file: location,
    });
  }
  let file = files.get(location);
  if (file === undefined) {
    file = await openInside(location, folder, where);
    files.set(location, file);
  }
  if (offset + needed > file.size) {
    throw new DataError(
      `must have ${offset + needed} bytes for ${where}, got ${file.size}. The file is truncated: copy it again.`,
      { file: file.path },
    );
  }
  const bytes = new Uint8Array(needed);
  for (let done = 0; done < needed; ) {
    const { bytesRead } = await file.handle.read(
      bytes,
      done,
      Math.min(needed - done, LARGEST_READ),
      offset + done,
    );
    if (bytesRead === 0) throw new DataError(`ended while ${where} was read.`, { file: file.path });
    done += bytesRead;
  }
  Object.assign(tensor, { rawData: bytes, dataLocation: 0, externalData: [] });
}

const LARGEST_READ = 2 ** 30;

function wholeNumber(text: string, where: string, file: string): number {
  const number = /^\d{1,15}$/.test(text) ? Number(text) : Number.NaN;
  if (Number.isNaN(number)) {
    throw new DataError(`${where} must be a whole number of bytes, got '${text}'.`, { file });
  }
  return number;
}

async function openInside(location: string, folder: string, where: string): Promise<OpenFile> {
  const parts = location.split(/[/\\]/);
  if (
    location === '' ||
    location.includes('\0') ||
    isAbsolute(location) ||
    /^[a-z]:|^[/\\]/i.test(location) ||
    parts.includes('..')
  ) {
    throw new DataError(
      `${where} must lie in the model's folder, got external data at '${location}'. Save the model with its data beside it.`,
    );
  }
  const path = resolve(folder, location);
  let real: string;
  let size: number;
  try {
    real = await realpath(path);
    const status = await stat(real);
    if (!status.isFile()) throw new Error('not a regular file');
    size = status.size;
  } catch (error) {
    throw new DataError(
      `must hold the external data of ${where}, but cannot be read: ${errorMessage(error)}. Copy it beside the model.`,
      { file: path, cause: error },
    );
  }
  const inside = relative(await realpath(folder), real);
  if (inside === '..' || inside.startsWith(`..${sep}`) || isAbsolute(inside)) {
    throw new DataError(
      `${where} must lie in the model's folder, got a link to ${real}. Copy the file beside the model.`,
      { file: path },
    );
  }
  return { path, handle: await open(real, 'r'), size };
}
