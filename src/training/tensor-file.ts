/**
 * Named float32 tensors in one file, in the safetensors format: eight bytes of header length (little endian), a JSON
 * header with each tensor's shape and byte range and free text entries, then the numbers. Any safetensors reader opens
 * it.
 */
import { readFile } from 'node:fs/promises';
import { sizeOf } from '../graph/index.js';
import { DataError, errorMessage, writeFileAtomic } from '../util/index.js';

export interface TensorFile {
  readonly tensors: Readonly<
    Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>
  >;
  readonly metadata: Readonly<Record<string, string>>;
}

/** Writes the file whole or not at all. @throws DataError when it cannot be written; what was there stays. */
export async function writeTensorFile(path: string, { tensors, metadata }: TensorFile): Promise<void> {
  const header: Record<string, unknown> = { __metadata__: metadata };
  let offset = 0;
  for (const [name, { shape, data }] of Object.entries(tensors)) {
    header[name] = { dtype: 'F32', shape, data_offsets: [offset, offset + data.byteLength] };
    offset += data.byteLength;
  }
  const text = Buffer.from(JSON.stringify(header));
  const padded = Math.ceil(text.length / 8) * 8; // so that the numbers are aligned
  const bytes = Buffer.alloc(8 + padded + offset, ' ');
  bytes.writeBigUInt64LE(BigInt(padded), 0);
  text.copy(bytes, 8);
  let position = 8 + padded;
  for (const { data } of Object.values(tensors)) {
    bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), position);
    position += data.byteLength;
  }
  await writeFileAtomic(path, bytes);
}

/**
 * @param options.check looks at the free text before anything else is, and throws to refuse the file. Default: nothing.
 * @throws DataError when the file is missing, cut off, or something else.
 */
export async function readTensorFile(
  path: string,
  options: { readonly check?: (metadata: TensorFile['metadata']) => void } = {},
): Promise<TensorFile> {
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  const broken = (why: string) =>
    new DataError(`is no whole tensor file (${why}). Delete it to start again`, { file: path });
  if (bytes.length < 8) throw broken(`${bytes.length} bytes`);
  const headerLength = Number(bytes.readBigUInt64LE(0));
  if (8 + headerLength > bytes.length) throw broken('the header is cut off');
  let header: Record<string, { dtype: string; shape: number[]; data_offsets: [number, number] }>;
  try {
    header = JSON.parse(bytes.toString('utf8', 8, 8 + headerLength));
  } catch (error) {
    throw broken(errorMessage(error));
  }
  const { __metadata__, ...entries } = header;
  const metadata = (__metadata__ ?? {}) as unknown as Record<string, string>;
  options.check?.(metadata);
  const tensors: Record<string, { shape: number[]; data: Float32Array }> = {};
  for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(entries)) {
    const [start, end] = range.map((offset) => 8 + headerLength + offset) as [number, number];
    if (dtype !== 'F32' || end > bytes.length || end - start !== 4 * sizeOf(shape)) {
      throw broken(`tensor '${name}'`);
    }
    tensors[name] = { shape, data: new Float32Array(new Uint8Array(bytes.subarray(start, end)).buffer) };
  }
  return { tensors, metadata };
}
