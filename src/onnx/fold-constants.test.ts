/** Parts of a graph that depend on constants alone. */
import { describe, expect, it } from 'vitest';
import {
  attribute,
  expectSameResults,
  floats,
  int64s,
  modelBytes,
  node,
  numbers,
} from '../../test/support/onnx-model.js';
import type { Value } from '../graph/index.js';
import { foldConstants } from './fold-constants.js';
import { readModel } from './read.js';
import { floatTensor } from './session.js';

/** A table (a · 2 + 1, transposed) added to x · w, and a weight that is scaled. */
const bytes = modelBytes(17, {
  shape: [2, 3],
  node: [
    node('Mul', ['a', 'two'], ['m']),
    node('Add', ['m', 'one'], ['n']),
    node('Transpose', ['n'], ['table'], [attribute('perm', [1, 0])]),
    node('Gather', ['n', 'i'], ['n_row_flat']),
    node('Reshape', ['n_row_flat', 's'], ['n_row']),
    node('Mul', ['w', 'two'], ['scaled']),
    node('MatMul', ['x', 'scaled'], ['p']),
    node('Add', ['p', 'table'], ['q']),
    node('Add', ['q', 'n_row'], ['y']),
  ],
  initializer: [
    floats('a', [3, 2], [1, 2, 3, 4, 5, 6]),
    floats('two', [], [2]),
    floats('one', [1], [1]),
    floats('w', [3, 3], [...numbers(9)]),
    int64s('i', [2], []),
    int64s('s', [2, 1]),
  ],
});

const x = floatTensor(numbers(6), [2, 3]);
const isWeight = (value: Value) => value.origin.kind === 'constant' && value.origin.name === 'w';
const namesOf = (model: ReturnType<typeof readModel>) =>
  model.graph.nodes.map(({ operator }) => operator.name);

describe('foldConstants', () => {
  it('leaves what depends on inputs and parameters', async () => {
    const model = await foldConstants(readModel(bytes), { isParameter: isWeight });
    expect(namesOf(model).sort()).toEqual(['Add', 'Add', 'MatMul', 'Mul']);
    await expectSameResults(bytes, { x }, { model });
    const origin = model.values.get('table')?.origin;
    if (origin?.kind !== 'constant') throw new Error('not constant');
    expect(origin.name).toBe('table');
    expect([...(origin.data as Float32Array)]).toEqual([3, 7, 11, 5, 9, 13]);
  });

  it('leaves what would be too large', async () => {
    const model = await foldConstants(readModel(bytes), { isParameter: isWeight, largestBytes: 10 });
    expect(namesOf(model)).toContain('Transpose');
    await expectSameResults(bytes, { x }, { model });
  });

  it('returns the model itself where everything is a parameter', async () => {
    const model = readModel(bytes);
    expect(await foldConstants(model, { isParameter: ({ dataType }) => dataType === 'float32' })).toBe(model);
  });
});
