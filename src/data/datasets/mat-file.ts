/**
 * Reads MAT-files of level 5 (MATLAB 5 to 7.2), as far as datasets use them: numbers, text, cells and structs, also
 * compressed. Everything else (sparse, complex, objects, version 4 and 7.3) is refused by name; every length is checked
 * before it is used. Source: MathWorks, "MAT-File Format", level 5; tested on files that SciPy wrote.
 *
 * Letters: n, the number of elements of an array, which is the product of `size`; elements stand column by column.
 */
import { readFile } from 'node:fs/promises';
import { inflateSync } from 'node:zlib';
import { DataError, errorMessage } from '../../util/index.js';

/** An array of a MAT-file. */
export type MatArray =
  | { readonly kind: 'numbers'; readonly size: readonly number[]; readonly values: Float64Array }
  | { readonly kind: 'text'; readonly size: readonly number[]; readonly rows: readonly string[] }
  | { readonly kind: 'cells'; readonly size: readonly number[]; readonly cells: readonly MatArray[] }
  | {
      readonly kind: 'structs';
      readonly size: readonly number[];
      /** [n] */
      readonly structs: readonly ReadonlyMap<string, MatArray>[];
    };

/**
 * Reads the variables of a file.
 * @throws DataError: unreadable, not a MAT-file of level 5, damaged, or with an array of a kind that is not read
 */
export async function readMatFile(file: string): Promise<ReadonlyMap<string, MatArray>> {
  let bytes: Buffer;
  try {
    bytes = await readFile(file);
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  try {
    return readVariables(bytes);
  } catch (error) {
    if (!(error instanceof MatError)) throw error;
    throw new DataError(`${error.message}. Unpack the dataset again, or save the file with -v7`, { file });
  }
}

/** One text of an array of one row. @returns undefined where it is something else */
export function matText(array: MatArray | undefined): string | undefined {
  if (array?.kind !== 'text') return undefined;
  return array.rows.length === 0 ? '' : array.rows.length === 1 ? array.rows[0] : undefined;
}

/** One number of an array of one element. @returns undefined where it is something else */
export function matNumber(array: MatArray | undefined): number | undefined {
  return array?.kind === 'numbers' && array.values.length === 1 ? array.values[0] : undefined;
}

// --- internal ---

class MatError extends Error {}

/** Data types of elements. */
const MATRIX = 14;
const COMPRESSED = 15;
const NUMBER_TYPES: Readonly<Record<number, { size: number; read: (view: DataView, at: number) => number }>> =
  {
    1: { size: 1, read: (view, at) => view.getInt8(at) },
    2: { size: 1, read: (view, at) => view.getUint8(at) },
    3: { size: 2, read: (view, at) => view.getInt16(at, true) },
    4: { size: 2, read: (view, at) => view.getUint16(at, true) },
    5: { size: 4, read: (view, at) => view.getInt32(at, true) },
    6: { size: 4, read: (view, at) => view.getUint32(at, true) },
    7: { size: 4, read: (view, at) => view.getFloat32(at, true) },
    9: { size: 8, read: (view, at) => view.getFloat64(at, true) },
    12: { size: 8, read: (view, at) => Number(view.getBigInt64(at, true)) },
    13: { size: 8, read: (view, at) => Number(view.getBigUint64(at, true)) },
  };
const TEXT_ENCODINGS: Readonly<Record<number, 'utf-8' | 'utf-16le'>> = { 16: 'utf-8', 17: 'utf-16le' };
/** Array classes. */
const CELL = 1;
const STRUCT = 2;
const TEXT = 4;
const FIRST_NUMBER = 6;
const LAST_NUMBER = 15;
const REFUSED_CLASSES: Readonly<Record<number, string>> = { 3: 'an object', 5: 'a sparse matrix' };
const COMPLEX = 0x0800;
const LARGEST_ARRAY = 1 << 28;
const DEEPEST = 32;

interface Element {
  readonly type: number;
  readonly data: Buffer;
}

function readVariables(bytes: Buffer): ReadonlyMap<string, MatArray> {
  const words = bytes.toString('latin1', 0, 116);
  if (/^MATLAB 7\.3/.test(words) || bytes.toString('latin1', 1, 4) === 'HDF') {
    throw new MatError('a MAT-file of level 5 is required, got one of version 7.3 (HDF5)');
  }
  const order = bytes.toString('latin1', 126, 128);
  if (order === 'MI') throw new MatError('a little-endian MAT-file is required, got a big-endian one');
  if (bytes.length < 128 || order !== 'IM' || bytes.readUInt16LE(124) !== 0x0100) {
    throw new MatError('a MAT-file of level 5 is required, got something else');
  }
  const variables = new Map<string, MatArray>();
  for (const element of elementsOf(bytes.subarray(128))) {
    const { name, array } = readTopElement(element);
    if (array !== undefined) variables.set(name, array);
  }
  return variables;
}

function readTopElement(element: Element): { name: string; array: MatArray | undefined } {
  if (element.type === COMPRESSED) {
    let inflated: Buffer;
    try {
      inflated = inflateSync(element.data, { maxOutputLength: LARGEST_ARRAY });
    } catch (error) {
      throw new MatError(`a compressed array cannot be unpacked (${errorMessage(error)})`);
    }
    const [inner] = elementsOf(inflated);
    if (inner?.type !== MATRIX)
      throw new MatError('a compressed array must hold an array, got something else');
    return readMatrix(inner.data, 0);
  }
  if (element.type === MATRIX) return readMatrix(element.data, 0);
  return { name: '', array: undefined }; // data outside arrays is of no use
}

/** Elements stand one after another, padded to 8 bytes; a small one shares its 8 bytes with its tag. */
function elementsOf(bytes: Buffer): Element[] {
  const elements: Element[] = [];
  let at = 0;
  while (at < bytes.length) {
    if (at + 8 > bytes.length) {
      if (bytes.subarray(at).every((byte) => byte === 0)) break; // padding after the last one
      throw new MatError('an element must begin with 8 bytes, but the file ends');
    }
    const word = bytes.readUInt32LE(at);
    const small = word >>> 16;
    if (small > 0) {
      if (small > 4) throw new MatError(`a small element must have at most 4 bytes, got ${small}`);
      elements.push({ type: word & 0xffff, data: bytes.subarray(at + 4, at + 4 + small) });
      at += 8;
      continue;
    }
    const length = bytes.readUInt32LE(at + 4);
    const from = at + 8;
    if (from + length > bytes.length) {
      throw new MatError(`an element of ${length} bytes must be whole, got ${bytes.length - from}`);
    }
    elements.push({ type: word, data: bytes.subarray(from, from + length) });
    at = from + (word === COMPRESSED ? length : Math.ceil(length / 8) * 8);
  }
  return elements;
}

function readMatrix(bytes: Buffer, depth: number): { name: string; array: MatArray } {
  if (depth > DEEPEST) throw new MatError(`arrays must be nested at most ${DEEPEST} deep`);
  const [flags, sizes, name, ...rest] = elementsOf(bytes);
  if (flags === undefined)
    return { name: '', array: { kind: 'numbers', size: [0, 0], values: new Float64Array(0) } };
  if (flags.type !== 6 || flags.data.length < 8 || sizes?.type !== 5 || name?.type !== 1) {
    throw new MatError('an array must begin with its flags, size and name, got something else');
  }
  const word = flags.data.readUInt32LE(0);
  const size = Array.from(numbersOf(sizes));
  const count = size.reduce((product, length) => product * length, 1);
  if (size.length < 2 || size.some((length) => length < 0) || count > LARGEST_ARRAY) {
    throw new MatError(`an array must have at least two lengths of 0 or more, got ${size.join(' × ')}`);
  }
  const array = readContent(word, size, count, rest, depth);
  return { name: name.data.toString('latin1'), array };
}

function readContent(
  flags: number,
  size: readonly number[],
  count: number,
  elements: readonly Element[],
  depth: number,
): MatArray {
  const arrayClass = flags & 0xff;
  if ((flags & COMPLEX) !== 0) throw new MatError('real numbers are required, got complex ones');
  if (arrayClass === CELL) {
    return { kind: 'cells', size, cells: matricesOf(elements, count, depth) };
  }
  if (arrayClass === STRUCT) return { kind: 'structs', size, structs: structsOf(elements, count, depth) };
  if (arrayClass === TEXT) return { kind: 'text', size, rows: textOf(size, count, elements[0]) };
  if (arrayClass >= FIRST_NUMBER && arrayClass <= LAST_NUMBER) {
    const values = elements[0] === undefined ? new Float64Array(0) : numbersOf(elements[0]);
    if (values.length !== count) {
      throw new MatError(`an array of ${size.join(' × ')} must have ${count} numbers, got ${values.length}`);
    }
    return { kind: 'numbers', size, values };
  }
  throw new MatError(
    `numbers, text, cells or structs are required, got ${REFUSED_CLASSES[arrayClass] ?? `class ${arrayClass}`}`,
  );
}

function matricesOf(elements: readonly Element[], count: number, depth: number): MatArray[] {
  if (elements.length !== count || elements.some(({ type }) => type !== MATRIX)) {
    throw new MatError(`cells or fields must be ${count} arrays, got ${elements.length} elements`);
  }
  return elements.map(({ data }) => readMatrix(data, depth + 1).array);
}

function structsOf(
  [lengthElement, namesElement, ...fields]: readonly Element[],
  count: number,
  depth: number,
): readonly ReadonlyMap<string, MatArray>[] {
  const length = lengthElement?.type === 5 ? numbersOf(lengthElement)[0] : undefined;
  if (length === undefined || !(length > 0) || namesElement?.type !== 1) {
    throw new MatError('a struct must begin with the names of its fields, got something else');
  }
  const names: string[] = [];
  for (let at = 0; at + length <= namesElement.data.length; at += length) {
    names.push(namesElement.data.toString('latin1', at, at + length).replace(/\0.*$/s, ''));
  }
  if (names.length === 0 && count > 1) throw new MatError(`${count} structs must have fields, got none`);
  const arrays = matricesOf(fields, count * names.length, depth);
  return Array.from(
    { length: count },
    (_, index) => new Map(names.map((name, field) => [name, arrays[index * names.length + field]!])),
  );
}

/** Characters stand column by column; a row is a text. */
function textOf(size: readonly number[], count: number, element: Element | undefined): readonly string[] {
  if (count === 0 || element === undefined) return [];
  const encoding = TEXT_ENCODINGS[element.type];
  const characters =
    encoding === undefined
      ? Array.from(numbersOf(element), (code) => String.fromCharCode(code))
      : encoding === 'utf-8' // one character an element, which may be several bytes
        ? [...element.data.toString('utf8')]
        : [...element.data.toString('utf16le')];
  const rows = size[0]!;
  if (rows === 1) return [characters.join('')];
  if (characters.length !== count) {
    throw new MatError(`text of ${size.join(' × ')} must have ${count} characters, got ${characters.length}`);
  }
  return Array.from({ length: rows }, (_, row) =>
    characters.filter((_character, index) => index % rows === row).join(''),
  );
}

function numbersOf({ type, data }: Element): Float64Array {
  const format = NUMBER_TYPES[type];
  if (format === undefined || data.length % format.size !== 0) {
    throw new MatError(`numbers are required, got ${data.length} bytes of type ${type}`);
  }
  const view = new DataView(data.buffer, data.byteOffset, data.byteLength);
  return Float64Array.from({ length: data.length / format.size }, (_, index) =>
    format.read(view, index * format.size),
  );
}
