/**
 * NumPy's `.npy` files: one array each, little-endian, rows first (C order), header versions 1 to 3.
 * Source: NumPy Enhancement Proposal 1 and `numpy/lib/format.py`. No pickled objects, no records.
 */
import { readFile } from 'node:fs/promises';
import { DataError, errorMessage } from './errors.js';
import { writeFileAtomic } from './files.js';
import { float16ToFloat32 } from './float16.js';

/** An array of numbers; `data` holds the elements row by row, bool as 0 and 1. */
export type NpyArray = { readonly shape: readonly number[] } & (
  | { readonly dataType: 'float32'; readonly data: Float32Array }
  | { readonly dataType: 'float64'; readonly data: Float64Array }
  | { readonly dataType: 'int64'; readonly data: BigInt64Array }
  | { readonly dataType: 'int32'; readonly data: Int32Array }
  | { readonly dataType: 'int8'; readonly data: Int8Array }
  | { readonly dataType: 'uint8' | 'bool'; readonly data: Uint8Array }
);

/**
 * The bytes of a `.npy` file, header version 1.0; the elements begin at a multiple of 64 bytes.
 * @throws DataError when the number of elements is not that of the shape.
 */
export function encodeNpy({ dataType, shape, data }: NpyArray): Uint8Array {
  const count = shape.reduce((product, size) => product * size, 1);
  if (data.length !== count) {
    throw new DataError(`npy: shape (${shape.join(', ')}) must have ${count} elements, got ${data.length}.`);
  }
  const tuple = shape.length === 1 ? `${shape[0]},` : shape.join(', ');
  const text = `{'descr': '${DESCRIPTIONS[dataType]}', 'fortran_order': False, 'shape': (${tuple}), }`;
  const start = Math.ceil((PREFIX_BYTES + text.length + 1) / ALIGNMENT) * ALIGNMENT;
  const bytes = new Uint8Array(start + data.byteLength);
  bytes.set(MAGIC);
  bytes.set([1, 0], MAGIC.length);
  new DataView(bytes.buffer).setUint16(8, start - PREFIX_BYTES, true);
  bytes.set(Buffer.from(`${text.padEnd(start - PREFIX_BYTES - 1)}\n`, 'latin1'), PREFIX_BYTES);
  bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), start);
  return bytes;
}

/**
 * Reads the bytes of a `.npy` file. Without a copy where the elements are aligned, so do not change `bytes` afterwards.
 * @param file named in errors.
 * @returns float16 arrays come as float32.
 * @throws DataError for what is no such file, is cut off, is big-endian or column by column, or holds other elements.
 */
export function decodeNpy(bytes: Uint8Array, file?: string): NpyArray {
  const fail = (message: string) => new DataError(`npy: ${message}`, file === undefined ? {} : { file });
  if (bytes.length < PREFIX_BYTES + 2 || MAGIC.some((byte, i) => bytes[i] !== byte)) {
    throw fail('a NumPy array file is required, got something else. Write it with numpy.save.');
  }
  const version = bytes[6] as number;
  if (version < 1 || version > 3) throw fail(`the version must be 1, 2 or 3, got ${version}.`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const headerStart = version === 1 ? PREFIX_BYTES : PREFIX_BYTES + 2;
  const start = headerStart + (version === 1 ? view.getUint16(8, true) : view.getUint32(8, true));
  if (start > bytes.length) throw fail(`the header must be whole, got ${bytes.length} bytes of ${start}.`);
  const header = Buffer.from(bytes.subarray(headerStart, start)).toString(version === 3 ? 'utf8' : 'latin1');
  const field = (name: string, value: string) =>
    new RegExp(`['"]${name}['"]\\s*:\\s*(${value})`).exec(header)?.[1];
  const description = field('descr', `'[^']*'|"[^"]*"|\\[`)?.replace(/['"]/g, '');
  const order = field('fortran_order', 'True|False');
  const tuple = field('shape', '\\([\\d\\s,]*\\)');
  if (description === undefined || order === undefined || tuple === undefined) {
    throw fail(`the header must give descr, fortran_order and shape, got ${JSON.stringify(header.trim())}.`);
  }
  const shape = (tuple.match(/\d+/g) ?? []).map(Number);
  if (order === 'True' && shape.filter((size) => size !== 1).length > 1) {
    throw fail('the array must be in C order, got Fortran order. Save numpy.ascontiguousarray(array).');
  }
  const element = ELEMENTS.get(description.replace(/^[<>=](?=[bui]1$)/, '|')); // one byte has no order
  if (element === undefined) {
    throw fail(
      `the elements must be little-endian float16, float32, float64, int32, int64, int8, uint8 or bool, got '${description}'. Convert them with array.astype.`,
    );
  }
  const count = shape.reduce((product, size) => product * size, 1);
  const size = count * element.bytes;
  if (bytes.length - start !== size) {
    throw fail(`shape (${shape.join(', ')}) must have ${size} bytes, got ${bytes.length - start}.`);
  }
  const isAligned = (bytes.byteOffset + start) % element.bytes === 0;
  const body = isAligned ? bytes.subarray(start) : new Uint8Array(bytes.subarray(start));
  return { shape, ...element.read(body.buffer as ArrayBuffer, body.byteOffset, count) } as NpyArray;
}

/** Reads a `.npy` file. @throws DataError naming the file, as `decodeNpy` does, or when it cannot be read */
export async function readNpy(path: string): Promise<NpyArray> {
  let bytes: Uint8Array;
  try {
    bytes = await readFile(path);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  return decodeNpy(bytes, path);
}

/** Writes a `.npy` file, whole or not at all. @throws DataError naming the file when it cannot be written */
export async function writeNpy(path: string, array: NpyArray): Promise<void> {
  await writeFileAtomic(path, encodeNpy(array));
}

// --- internal ---

const MAGIC = [0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59]; // \x93NUMPY
/** Magic, version and the header's length in version 1. */
const PREFIX_BYTES = 10;
const ALIGNMENT = 64;

const DESCRIPTIONS: Readonly<Record<NpyArray['dataType'], string>> = {
  float32: '<f4',
  float64: '<f8',
  int64: '<i8',
  int32: '<i4',
  int8: '|i1',
  uint8: '|u1',
  bool: '|b1',
};

type Elements = Pick<NpyArray, 'dataType' | 'data'>;
type Read = (buffer: ArrayBuffer, offset: number, count: number) => Elements;

const ELEMENTS = new Map<string, { bytes: number; read: Read }>(
  Object.entries({
    '<f2': {
      bytes: 2,
      read: (buffer, offset, count) => ({
        dataType: 'float32',
        data: float16ToFloat32(new Uint16Array(buffer, offset, count)),
      }),
    },
    '<f4': { bytes: 4, read: (...at) => ({ dataType: 'float32', data: new Float32Array(...at) }) },
    '<f8': { bytes: 8, read: (...at) => ({ dataType: 'float64', data: new Float64Array(...at) }) },
    '<i8': { bytes: 8, read: (...at) => ({ dataType: 'int64', data: new BigInt64Array(...at) }) },
    '<i4': { bytes: 4, read: (...at) => ({ dataType: 'int32', data: new Int32Array(...at) }) },
    '|i1': { bytes: 1, read: (...at) => ({ dataType: 'int8', data: new Int8Array(...at) }) },
    '|u1': { bytes: 1, read: (...at) => ({ dataType: 'uint8', data: new Uint8Array(...at) }) },
    '|b1': { bytes: 1, read: (...at) => ({ dataType: 'bool', data: new Uint8Array(...at) }) },
  }),
);
