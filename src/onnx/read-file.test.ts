/** Models on disk: external data, and files that are not what they should be. */
import { mkdir, mkdtemp, rm, symlink, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  attribute,
  type Fields,
  floats,
  modelBytes,
  node,
  numbers,
  runBytes,
  tensorType,
} from '../../test/support/onnx-model.js';
import { runGraph } from '../../test/support/run-graph.js';
import { readModel } from './read.js';
import { readModelFile } from './read-file.js';
import { floatTensor } from './session.js';
import { writeModel } from './write.js';

let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'read-file-'));
  await mkdir(join(folder, 'model'));
});
afterAll(() => rm(folder, { recursive: true }));

const inModel = (...parts: string[]) => join(folder, 'model', ...parts);

/** x + w, with w as these entries say. */
const external = (entries: Record<string, string>, rest: Fields = {}) =>
  modelBytes(17, {
    node: [node('Add', ['x', 'w'], ['y'])],
    initializer: [
      {
        name: 'w',
        dims: [4],
        dataType: 1,
        dataLocation: 1,
        externalData: Object.entries(entries).map(([key, value]) => ({ key, value })),
        ...rest,
      },
    ],
  });

const weights = Float32Array.of(9, 1, 2, 3, 4);
const bytesOf = (array: Float32Array) => new Uint8Array(array.buffer);

async function read(bytes: Uint8Array) {
  const path = inModel('model.onnx');
  await writeFile(path, bytes);
  return readModelFile(path);
}

describe('external data', () => {
  it.each([
    ['with offset and length', { location: 'w.bin', offset: '4', length: '16' }],
    ['to the end', { location: 'w.bin', offset: '4' }],
    ['in a folder below', { location: 'data/w.bin', offset: '4', length: '16' }],
  ])('%s', async (_, entries) => {
    await mkdir(inModel('data'), { recursive: true });
    await writeFile(inModel(entries.location), bytesOf(weights));
    const { graph } = await read(external(entries));
    expect(await runGraph(graph, { x: [1, 1, 1, 1] })).toEqual({ y: [2, 3, 4, 5] });
  });

  it('of a Constant node', async () => {
    await writeFile(inModel('w.bin'), bytesOf(weights));
    const t = {
      dims: [4],
      dataType: 1,
      dataLocation: 1,
      externalData: [{ key: 'location', value: 'w.bin' }],
    };
    const { graph } = await read(
      modelBytes(17, {
        node: [node('Constant', [], ['w'], [attribute('value', t)]), node('Add', ['x', 'w'], ['y'])],
      }),
    );
    expect(await runGraph(graph, { x: [1, 1, 1, 1] })).toEqual({ y: [10, 2, 3, 4] });
  });

  it('needs a path', () => {
    expect(() => readModel(external({ location: 'w.bin' }))).toThrow(/got external data.*readModelFile/);
  });

  it.each([
    ['is missing', { location: 'nowhere.bin' }, {}, /nowhere\.bin: must hold .*'w'.* cannot be read/],
    ['is a folder', { location: 'data' }, {}, /not a regular file/],
    ['is too short', { location: 'w.bin', offset: '8' }, {}, /must have 24 bytes for tensor 'w', got 20/],
    ['has another length', { location: 'w.bin', length: '12' }, {}, /must have 16 bytes .* got length 12/],
    ['has no location', {}, {}, /must lie in the model's folder, got external data at ''/],
    ['is above', { location: '../secret.bin' }, {}, /must lie in the model's folder/],
    ['is above, in other words', { location: 'data/../../secret.bin' }, {}, /must lie in the model's folder/],
    ['is above, on Windows', { location: '..\\secret.bin' }, {}, /must lie in the model's folder/],
    ['is absolute', { location: '/etc/hostname' }, {}, /must lie in the model's folder/],
    ['is absolute on Windows', { location: 'C:\\w.bin' }, {}, /must lie in the model's folder/],
    ['is a link that leads outside', { location: 'link.bin' }, {}, /got a link to .*secret\.bin/],
    ['lies in a linked folder outside', { location: 'up/secret.bin' }, {}, /got a link to .*secret\.bin/],
    ['has a negative offset', { location: 'w.bin', offset: '-4' }, {}, /offset must be a whole number/],
    ['has a text as offset', { location: 'w.bin', offset: '0x4' }, {}, /offset must be a whole number/],
    ['has sizes beyond memory', { location: 'w.bin' }, { dims: [2 ** 31, 2 ** 31] }, /at most .* elements/],
    ['has sizes beyond the file', { location: 'w.bin' }, { dims: [2 ** 30] }, /got 20/],
    ['has a negative size', { location: 'w.bin' }, { dims: [-4] }, /sizes of 0 or more/],
  ])('that %s is refused', async (_, entries, rest, message) => {
    await mkdir(inModel('data'), { recursive: true });
    await writeFile(inModel('w.bin'), bytesOf(weights));
    await writeFile(join(folder, 'secret.bin'), bytesOf(weights));
    await rm(inModel('link.bin'), { force: true });
    await rm(inModel('up'), { force: true });
    await symlink(join(folder, 'secret.bin'), inModel('link.bin'));
    await symlink(folder, inModel('up'));
    await expect(read(external(entries, rest))).rejects.toThrow(message);
  });
});

describe('files that are no models', () => {
  it('say which file', async () => {
    await expect(read(Buffer.from('no model'))).rejects.toThrow(/model\.onnx: readModel: .*must be an ONNX/);
    await expect(read(new Uint8Array())).rejects.toThrow(/got an empty file/);
    await expect(readModelFile(inModel('absent.onnx'))).rejects.toThrow(
      /absent\.onnx: .* cannot be read: ENOENT/,
    );
    await expect(readModelFile(folder)).rejects.toThrow(/not a file/);
  });

  it('of more than 2 GB are not opened', async () => {
    const path = inModel('large.onnx');
    await writeFile(path, '');
    await truncate(path, 2 ** 31); // sparse
    await expect(readModelFile(path)).rejects.toThrow(
      /must be smaller than 2 GB\. Save it with external data/,
    );
    await rm(path);
  });
});

describe('operators that the IR does not know', () => {
  const fused = (rest: Fields = {}) =>
    modelBytes(
      17,
      {
        shape: ['N', 4],
        node: [
          node('FusedMatMul', ['x', 'w'], ['f'], [attribute('alpha', 2, true), attribute('transB', 1)], {
            domain: 'com.microsoft',
            name: 'fused',
          }),
          node('Relu', ['f'], ['y']),
        ],
        initializer: [floats('w', [3, 4], [...numbers(12)])],
        ...rest,
      },
      {
        opsetImport: [
          { domain: '', version: 17 },
          { domain: 'com.microsoft', version: 1 },
        ],
      },
    );

  it('get their types from onnxruntime, and run when written again, for any number of pictures', async () => {
    const { graph } = await read(fused());
    expect(graph.outputs[0]?.value.shape).toEqual(['N', 3]);
    for (const batch of [1, 5]) {
      const x = floatTensor(numbers(batch * 4), [batch, 4]);
      expect((await runBytes(writeModel(graph), { x })).y).toEqual((await runBytes(fused(), { x })).y);
    }
  });

  it('or from the file', () => {
    expect(() => readModel(fused())).toThrow(/node 'fused' \(FusedMatMul\) of domain 'com.microsoft'/);
    const { values } = readModel(fused({ valueInfo: [{ name: 'f', type: tensorType(['N', 3]) }] }));
    expect(values.get('y')?.shape).toEqual(['N', 3]);
  });
});

describe('If', () => {
  const branch = (name: string, opType: string) => ({
    name,
    type: 5,
    g: { node: [node(opType, ['x'], [`${opType}_y`])], name, output: [{ name: `${opType}_y` }] },
  });
  const model = (condition: Fields) =>
    modelBytes(17, {
      node: [
        condition,
        node('If', ['c'], ['z'], [branch('then_branch', 'Relu'), branch('else_branch', 'Neg')], {
          name: 'if',
        }),
        node('Abs', ['z'], ['y']),
      ],
    });

  it.each([
    [1, 'Relu'],
    [0, 'Neg'],
  ])('with a condition of %i becomes its branch', (condition, opType) => {
    const t = { dims: [], dataType: 9, int32Data: [condition] };
    const { graph } = readModel(model(node('Constant', [], ['c'], [attribute('value', t)])));
    expect(graph.nodes.map(({ operator }) => operator.name)).toEqual([opType, 'Abs']);
  });

  it('with a computed condition is refused by name', () => {
    expect(() => readModel(model(node('Cast', ['x'], ['c'], [attribute('to', 9)])))).toThrow(
      /node 'if' \(If\) must have a condition that is known/,
    );
  });
});

describe('graphs that are not in order', () => {
  const relu = (from: string, to: string) => node('Relu', [from], [to], [], { name: `make_${to}` });
  it.each([
    [
      'a cycle',
      [relu('b', 'a'), relu('a', 'b'), relu('b', 'y')],
      /'make_a'.* uses 'b', .*node 'make_b' \(Relu\) comes later/,
    ],
    ['a node that uses itself', [relu('y', 'y')], /'y', which it makes itself/],
    [
      'a value made later',
      [relu('b', 'y'), relu('x', 'b')],
      /'make_b' \(Relu\) comes later\. Nodes must be sorted/,
    ],
    [
      'a function',
      [node('Twice', ['x'], ['y'], [], { domain: 'local' })],
      /got a function of the file\. Inline/,
    ],
    [
      'Loop',
      [node('Loop', ['x'], ['y'], [{ name: 'body', type: 5, g: { name: 'b' } }])],
      /\(Loop\) must not hold a graph/,
    ],
  ])('%s is refused by name', (_, nodes, message) => {
    const bytes = modelBytes(17, { node: nodes }, { functions: [{ name: 'Twice', domain: 'local' }] });
    expect(() => readModel(bytes)).toThrow(message);
  });

  it.each([
    ['sparse weights', { sparseInitializer: [{ values: floats('s', [1], [1]) }] }, /must be dense/],
    [
      'a sequence',
      { input: [{ name: 'x', type: { sequenceType: {} } }] },
      /must be a tensor, got a sequence/,
    ],
    ['a map', { input: [{ name: 'x', type: { mapType: {} } }] }, /got a map/],
    ['an optional', { input: [{ name: 'x', type: { optionalType: {} } }] }, /got an optional/],
    [
      'an input twice',
      {
        input: [
          { name: 'x', type: tensorType([4]) },
          { name: 'x', type: tensorType([4]) },
        ],
      },
      /got it twice/,
    ],
    ['a weight twice', { initializer: [floats('w', [1], [1]), floats('w', [1], [1])] }, /got it twice/],
    ['bfloat16', { input: [{ name: 'x', type: tensorType([4], 16) }] }, /number 16 \(bfloat16\)/],
    ['sizes that overflow', { initializer: [floats('w', [2 ** 32, 2 ** 32], [])] }, /at most .* elements/],
    ['no output', { output: [] }, /must have an output/],
  ])('%s: refused', (_, graph, message) => {
    expect(() => readModel(modelBytes(17, { node: [relu('x', 'y')], ...graph }))).toThrow(message);
  });
});
