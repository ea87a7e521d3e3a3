/**
 * Tensor files, read back by a reader written here from the definition of safetensors.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import { readTensorFile, writeTensorFile } from './index.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-tensors-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const CONTENT = {
  tensors: {
    'stage1.weight': {
      shape: [2, 3],
      data: Float32Array.of(1, -2.5, 3e-39, Number.POSITIVE_INFINITY, 0, -0),
    },
    scalar: { shape: [], data: Float32Array.of(Math.PI) },
    empty: { shape: [0, 4], data: new Float32Array(0) },
    größe: { shape: [1], data: Float32Array.of(7) },
  },
  metadata: { step: '12', note: 'with "quotes" and ü' },
};

interface Entry {
  readonly dtype: string;
  readonly shape: number[];
  readonly data_offsets: [number, number];
}

describe('tensor files', () => {
  it('come back as they were, also from a part of a buffer', async () => {
    const path = join(root, 'whole.safetensors');
    const part = Float32Array.of(9, 8, 7, 6).subarray(1, 3);
    const content = { ...CONTENT, tensors: { ...CONTENT.tensors, part: { shape: [2], data: part } } };
    await writeTensorFile(path, content);
    expect(await readTensorFile(path)).toEqual(content);
  });

  it('are safetensors: aligned header, ranges without gaps, little endian', async () => {
    for (const length of [1, 2, 3, 4, 5, 6, 7, 8]) {
      const path = join(root, 'format.safetensors');
      await writeTensorFile(path, { ...CONTENT, metadata: { pad: 'x'.repeat(length) } });
      const bytes = await readFile(path);
      const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
      const headerLength = Number(view.getBigUint64(0, true));
      expect((8 + headerLength) % 8).toBe(0);
      const text = new TextDecoder().decode(bytes.subarray(8, 8 + headerLength));
      expect(text.startsWith('{')).toBe(true);
      expect(text.trimEnd().endsWith('}')).toBe(true);
      const { __metadata__: metadata, ...entries } = JSON.parse(text) as Record<string, Entry>;
      expect(metadata).toEqual({ pad: 'x'.repeat(length) });
      let end = 0;
      for (const [name, { dtype, shape, data_offsets: range }] of Object.entries(entries)) {
        expect(dtype).toBe('F32');
        expect(range[0]).toBe(end);
        end = range[1];
        const { data, shape: written } = CONTENT.tensors[name as keyof typeof CONTENT.tensors];
        expect(shape).toEqual(written);
        expect((range[1] - range[0]) / 4).toBe(data.length);
        data.forEach((value, i) => {
          expect(view.getFloat32(8 + headerLength + range[0] + 4 * i, true)).toBe(value);
        });
      }
      expect(8 + headerLength + end).toBe(bytes.length);
    }
  });

  it('cut off anywhere: one clear error that names the file', async () => {
    const whole = join(root, 'to-cut.safetensors');
    await writeTensorFile(whole, CONTENT);
    const bytes = await readFile(whole);
    const path = join(root, 'cut.safetensors');
    for (const length of [0, 5, 8, 40, bytes.length - 12, bytes.length - 1]) {
      await writeFile(path, bytes.subarray(0, length));
      await expect(readTensorFile(path)).rejects.toBeInstanceOf(DataError);
      await expect(readTensorFile(path)).rejects.toThrow(
        /cut\.safetensors: is no whole tensor file \(.*\)\. Delete it to start again$/,
      );
    }
  });

  it.each([
    ['other numbers', 'x'.repeat(100)],
    ['a header that is no JSON', '\x04\0\0\0\0\0\0\0{{{{'],
    ['a type that is not float32', header({ a: { dtype: 'F16', shape: [2], data_offsets: [0, 4] } }, 4)],
    [
      'a range that is not of the shape',
      header({ a: { dtype: 'F32', shape: [3], data_offsets: [0, 4] } }, 4),
    ],
  ])('refused: %s', async (_, content) => {
    const path = join(root, 'other.safetensors');
    await writeFile(path, content, 'latin1');
    await expect(readTensorFile(path)).rejects.toThrow(/other\.safetensors: is no whole tensor file/);
  });

  it('missing: named', async () => {
    await expect(readTensorFile(join(root, 'none'))).rejects.toThrow(/none: cannot be read: ENOENT/);
  });
});

function header(entries: Record<string, Entry>, dataBytes: number): string {
  const text = JSON.stringify(entries);
  return `${String.fromCharCode(text.length)}\0\0\0\0\0\0\0${text}${'\0'.repeat(dataBytes)}`;
}
