import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { DataError } from '../../util/index.js';
import { type MatArray, matNumber, matText, readMatFile } from './mat-file.js';

const golden = (name: string) => join(import.meta.dirname, '../../../test/golden/mat-files', name);

let root: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-mat-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('files that SciPy wrote', () => {
  it.each(['int8', 'uint8', 'int16', 'uint16', 'int32', 'uint32', 'int64', 'uint64', 'float32', 'float64'])(
    'reads %s, column by column',
    async (kind) => {
      const array = (await readMatFile(golden('kinds.mat'))).get(`${kind}_matrix`);
      expect(array).toEqual({ kind: 'numbers', size: [2, 3], values: Float64Array.of(1, 4, 2, 5, 3, 127) });
    },
  );

  it('reads every other kind', async () => {
    const variables = await readMatFile(golden('kinds.mat'));
    const values = (name: string) => {
      const array = variables.get(name);
      return array?.kind === 'numbers' ? [...array.values] : undefined;
    };
    expect(values('negative')).toEqual([-1, -128]);
    expect(values('fraction')).toEqual([0.1]);
    expect(values('truth')).toEqual([1, 0]);
    expect(values('nothing')).toEqual([]);
    const cube = variables.get('cube');
    expect(cube?.size).toEqual([2, 3, 4]);
    expect(values('cube')?.slice(0, 4)).toEqual([0, 12, 4, 16]); // the first index runs fastest
    expect(matText(variables.get('text'))).toBe('grüße, 自動車');
    expect(matText(variables.get('empty_text'))).toBe('');
    expect(variables.get('lines')).toMatchObject({ rows: ['one ', 'four'] });
    expect(matText(variables.get('lines'))).toBeUndefined();
    const nested = variables.get('nested') as MatArray & { kind: 'cells' };
    expect(matText((nested.cells[0] as typeof nested).cells[0])).toBe('deep');
    expect(matNumber(nested.cells[1])).toBe(7);
    const record = variables.get('record') as MatArray & { kind: 'structs' };
    expect(matText(record.structs[0]!.get('name'))).toBe('x');
    expect(matNumber((record.structs[0]!.get('inner') as typeof record).structs[0]!.get('value'))).toBe(3.5);
  });

  it('reads the same from a compressed file', async () => {
    const plain = await readMatFile(golden('cars.mat'));
    expect(await readMatFile(golden('cars-compressed.mat'))).toEqual(plain);
    expect([...plain.keys()]).toEqual(['annotations', 'class_names']);
  });

  it.each([
    ['complex.mat', 'real numbers are required, got complex ones'],
    ['sparse.mat', 'numbers, text, cells or structs are required, got a sparse matrix'],
    ['level-4.mat', 'a MAT-file of level 5 is required, got something else'],
  ])('refuses %s', async (name, message) => {
    await expect(readMatFile(golden(name))).rejects.toThrow(message);
  });
});

describe('other files', () => {
  it.each([
    ['version 7.3', `MATLAB 7.3 MAT-file${' '.repeat(105)}\0\x02IM`, 'got one of version 7.3 (HDF5)'],
    ['a big-endian one', `MATLAB 5.0 MAT-file${' '.repeat(105)}\x01\0MI`, 'got a big-endian one'],
    ['nothing', '', 'a MAT-file of level 5 is required, got something else'],
    ['text', 'hello', 'a MAT-file of level 5 is required, got something else'],
  ])('refuses %s', async (name, content, message) => {
    const file = join(root, name);
    await writeFile(file, content, 'latin1');
    await expect(readMatFile(file)).rejects.toThrow(message);
    await expect(readMatFile(file)).rejects.toBeInstanceOf(DataError);
  });

  it('refuses a file that is not there', async () => {
    await expect(readMatFile(join(root, 'gone.mat'))).rejects.toThrow('gone.mat: cannot be read');
  });

  it.each(['cars.mat', 'cars-compressed.mat', 'kinds.mat'])('survives damage to %s', async (name) => {
    const original = await readFile(golden(name));
    const file = join(root, `damaged-${name}`);
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.record({ at: fc.nat(original.length - 1), value: fc.nat(255) }), {
          minLength: 1,
          maxLength: 5,
        }),
        fc.option(fc.nat(original.length)),
        async (changes, end) => {
          const bytes = Buffer.from(original);
          for (const { at, value } of changes) bytes[at] = value;
          await writeFile(file, end === null ? bytes : bytes.subarray(0, end));
          await readMatFile(file).catch((error: unknown) => {
            if (!(error instanceof DataError)) throw error;
            expect(error.message).not.toContain('\n');
          });
        },
      ),
      { numRuns: 150 },
    );
  });
});
