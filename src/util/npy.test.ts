/** Files as NumPy 1.24's `numpy.save` writes them, both ways; and files that are refused. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { decodeNpy, encodeNpy, type NpyArray, readNpy, writeNpy } from './npy.js';

/** A header of version 1 padded to `start` bytes, as NumPy pads it, then the elements. */
function file(text: string, elements: readonly number[], start = 128): Uint8Array {
  return Uint8Array.from([
    ...[0x93, ...Buffer.from('NUMPY'), 1, 0, start - 10, 0],
    ...Buffer.from(`${text.padEnd(start - 11)}\n`),
    ...elements,
  ]);
}
const described = (descr: string, shape: string, order = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${order}, 'shape': ${shape}, }`;
const base64 = (text: string) => [...Buffer.from(text, 'base64')];

/** Element bytes printed by Python: `base64.b64encode(array.tobytes())`. */
const ARRAYS: readonly [string, NpyArray, Uint8Array][] = [
  [
    'float32',
    { dataType: 'float32', shape: [2, 2], data: Float32Array.of(1, 2.5, -3, 4) },
    file(described('<f4', '(2, 2)'), base64('AACAPwAAIEAAAEDAAACAQA==')),
  ],
  [
    'a float64 scalar',
    { dataType: 'float64', shape: [], data: Float64Array.of(2.5) },
    file(described('<f8', '()'), base64('AAAAAAAABEA=')),
  ],
  [
    'int64',
    { dataType: 'int64', shape: [2], data: BigInt64Array.of(1n, -2n) },
    file(described('<i8', '(2,)'), base64('AQAAAAAAAAD+/////////w==')),
  ],
  [
    'no int32',
    { dataType: 'int32', shape: [0, 3], data: new Int32Array() },
    file(described('<i4', '(0, 3)'), []),
  ],
  [
    'bool',
    { dataType: 'bool', shape: [2, 1], data: Uint8Array.of(1, 0) },
    file(described('|b1', '(2, 1)'), [1, 0]),
  ],
  [
    'uint8',
    { dataType: 'uint8', shape: [1, 1, 1], data: Uint8Array.of(250) },
    file(described('|u1', '(1, 1, 1)'), [250]),
  ],
  ['int8', { dataType: 'int8', shape: [1], data: Int8Array.of(-1) }, file(described('|i1', '(1,)'), [255])],
];

describe('.npy', () => {
  it.each(ARRAYS)('%s: the bytes that NumPy writes', (_, array, bytes) => {
    expect(encodeNpy(array)).toEqual(bytes);
    expect(decodeNpy(bytes)).toEqual(array);
  });

  it('float16 comes as float32, denormals and infinities too', () => {
    const bytes = file(described('<f2', '(5,)'), base64('ADwAuAEAAHz/ew=='));
    expect(decodeNpy(bytes)).toEqual({
      dataType: 'float32',
      shape: [5],
      data: Float32Array.of(1, -0.5, 2 ** -24, Number.POSITIVE_INFINITY, 65504),
    });
  });

  it('bytes that begin anywhere in their buffer', () => {
    const bytes = ARRAYS[2]?.[2] as Uint8Array;
    const shifted = new Uint8Array(bytes.length + 3);
    shifted.set(bytes, 3);
    expect(decodeNpy(shifted.subarray(3))).toEqual(ARRAYS[2]?.[1]);
  });

  it('versions 2 and 3, whose header may be long', () => {
    const text = described('<f4', '(1,)').padEnd(70_000);
    for (const version of [2, 3]) {
      const length = Buffer.alloc(4);
      length.writeUInt32LE(text.length);
      const head = Uint8Array.from([0x93, ...Buffer.from('NUMPY'), version, 0, ...length]);
      const bytes = Buffer.concat([head, Buffer.from(text), Uint8Array.of(0, 0, 128, 63)]);
      expect(decodeNpy(bytes)).toEqual({ dataType: 'float32', shape: [1], data: Float32Array.of(1) });
    }
  });

  it('column order is the same as row order where one axis is all there is', () => {
    const bytes = file(described('|u1', '(1, 3)', 'True'), [1, 2, 3]);
    expect(decodeNpy(bytes).data).toEqual(Uint8Array.of(1, 2, 3));
  });

  it('an array whose shape does not fit is not written', () => {
    expect(() => encodeNpy({ dataType: 'int8', shape: [2, 2], data: new Int8Array(3) })).toThrow(
      'npy: shape (2, 2) must have 4 elements, got 3.',
    );
  });

  it.each([
    ['nothing', new Uint8Array(), /a NumPy array file is required/],
    [
      'an archive (.npz)',
      Uint8Array.from([...Buffer.from('PK\x03\x04'), ...Array(40).fill(0)]),
      /NumPy array file/,
    ],
    ['version 4', file('', []).with(6, 4), /version must be 1, 2 or 3, got 4/],
    [
      'half a header',
      file(described('<f4', '(1,)'), []).subarray(0, 60),
      /header must be whole, got 60 bytes of 128/,
    ],
    [
      'a header without a shape',
      file("{'descr': '<f4', 'fortran_order': False}", []),
      /must give descr, fortran_order and shape/,
    ],
    ['Fortran order', file(described('|u1', '(2, 2)', 'True'), [1, 2, 3, 4]), /C order, got Fortran order/],
    ['big-endian elements', file(described('>f4', '(1,)'), [0, 0, 0, 0]), /little-endian .*, got '>f4'/],
    ['objects', file(described('|O', '(1,)'), [0]), /got '\|O'/],
    [
      'records',
      file("{'descr': [('a', '<f4')], 'fortran_order': False, 'shape': (1,), }", [0, 0, 0, 0]),
      /got '\['/,
    ],
    ['a name that objects have', file(described('constructor', '(1,)'), [0]), /got 'constructor'/],
    [
      'missing elements',
      file(described('<f4', '(2,)'), [0, 0, 0, 0]),
      /shape \(2\) must have 8 bytes, got 4/,
    ],
    ['more elements', file(described('|u1', '()'), [1, 2]), /must have 1 bytes, got 2/],
  ])('%s is refused in one line', (_, bytes, message) => {
    expect(() => decodeNpy(bytes, 'x.npy')).toThrow(message);
    expect(() => decodeNpy(bytes, 'x.npy')).toThrow(/^x\.npy: npy: [^\n]+$/);
  });

  it('files', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'npy-test-'));
    const path = join(folder, 'a.npy');
    const array: NpyArray = { dataType: 'float32', shape: [3], data: Float32Array.of(1, 2, 3) };
    await writeNpy(path, array);
    expect(await readNpy(path)).toEqual(array);
    await expect(readNpy(join(folder, 'none.npy'))).rejects.toThrow(/none\.npy: cannot be read: ENOENT/);
    await rm(folder, { recursive: true });
  });
});
