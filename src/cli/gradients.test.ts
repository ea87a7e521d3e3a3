/** The command on a network that PyTorch exported, against PyTorch's gradients; and what it refuses. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import {
  add,
  apply,
  buildGraph,
  constant,
  gather,
  input,
  matmul,
  opaqueOperator,
  operators,
  reduceSum,
  square,
  type Value,
} from '../graph/index.js';
import { writeModel } from '../onnx/index.js';
import { type NpyArray, readJson, readNpy, writeNpy } from '../util/index.js';

const golden = join(import.meta.dirname, '../../test/golden');
let root = '';
let count = 0;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-gradients-'));
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const run = (...argv: string[]) => runMain('gradients', ...argv);

async function saved(array: NpyArray): Promise<string> {
  const path = join(root, `${count++}.npy`);
  await writeNpy(path, array);
  return path;
}
const floats = (shape: readonly number[], data: readonly number[]) =>
  saved({ dataType: 'float32', shape, data: Float32Array.from(data) });
const sequence = (length: number, salt: number): number[] =>
  Array.from({ length }, (_, i) => (((i * 37 + salt * 101) % 83) - 41) / 32);

async function model(inputs: readonly Value[], outputs: Readonly<Record<string, Value>>): Promise<string> {
  const path = join(root, `${count++}.onnx`);
  await writeFile(path, writeModel(buildGraph(inputs, outputs)));
  return path;
}

interface Index {
  outputs: Record<string, string>;
  gradients: { parameters: Record<string, string>; inputs: Record<string, string> };
  shapes: { outputs: Record<string, number[]>; gradients: { parameters: Record<string, number[]> } };
}

async function listed(folder: string, files: Readonly<Record<string, string>>) {
  const arrays: Record<string, number[]> = {};
  for (const [name, file] of Object.entries(files)) {
    arrays[name] = Array.from((await readNpy(join(folder, file))).data as Float32Array, Number);
  }
  return arrays;
}

describe('a network from PyTorch', () => {
  it('gives the outputs and gradients that PyTorch gives, under the names of the file', async () => {
    const expected = (await readJson(join(golden, 'network.json'))) as {
      output: number[];
      gradients: Record<string, number[]>;
    };
    const out = join(root, 'torch');
    const { code, stdout, stderr } = await run(
      join(golden, 'network.onnx'),
      ...['--input', `pixels=${await floats([2, 3, 8, 8], sequence(384, 9))}`],
      ...['--output-gradient', `logProbabilities=${await floats([2, 5], sequence(10, 10))}`],
      ...['--out', out, '--threads', '1', '--json'],
    );
    expect([code, stderr]).toEqual([0, '']);
    const index = (await readJson(join(out, 'index.json'))) as Index;
    expect(JSON.parse(stdout)).toEqual(index);
    const near = (got: readonly number[] | undefined, wanted: readonly number[]) => {
      expect(got?.length).toBe(wanted.length);
      const largest = Math.max(...wanted.map(Math.abs));
      wanted.forEach((number, i) => {
        expect(Math.abs((got?.[i] ?? Number.NaN) - number)).toBeLessThan(2e-5 * largest);
      });
    };
    near((await listed(out, index.outputs)).logProbabilities, expected.output);
    const parameters = await listed(out, index.gradients.parameters);
    expect(Object.keys(parameters).sort()).toEqual(Object.keys(expected.gradients).sort());
    for (const [name, gradient] of Object.entries(expected.gradients)) near(parameters[name], gradient);
    expect(index.shapes.gradients.parameters['first.weight']).toEqual([6, 3, 3, 3]);
    expect(Object.keys(index.gradients.inputs)).toEqual(['pixels']);
    expect((await readdir(out)).length).toBe(1 + 1 + Object.keys(parameters).length + 1);
  });
});

/** y = (a + b) w and z = Σ table[ids]²; N is fixed by what is fed. */
async function small(): Promise<string> {
  const a = input('a', 'float32', ['N', 2]);
  const b = input('b', 'float32', ['N', 2]);
  const ids = input('ids', 'int64', ['M']);
  const w = constant([2, 0, 0, 3], [2, 2], { name: 'w' });
  const table = constant([1, 2, 3, 4], [2, 2], { name: 'odd / name:*' });
  const y = matmul(add(a, b), w);
  return model([a, b, ids], { y, z: reduceSum(square(gather(table, ids)), 'all') });
}

describe('several inputs and outputs', () => {
  const feeds = async () => {
    const ids = await saved({ dataType: 'int64', shape: [3], data: BigInt64Array.of(1n, 1n, 0n) });
    return [
      ...['--input', `a=${await floats([2, 2], [1, 2, 3, 4])}`, '--input', `ids=${ids}`],
      ...['--input', `b=${await floats([2, 2], [0, 1, 0, 1])}`],
    ];
  };

  it('an output without a gradient adds nothing, a name that no file system takes is written', async () => {
    const out = join(root, 'small');
    const gradient = `y=${await floats([2, 2], [1, 0, 0, 1])}`;
    const { code, stderr } = await run(
      await small(),
      ...(await feeds()),
      ...['--output-gradient', gradient],
      ...['--out', out],
    );
    expect([code, stderr]).toEqual([0, '']);
    const index = (await readJson(join(out, 'index.json'))) as Index;
    expect(await listed(out, index.outputs)).toEqual({ y: [2, 9, 6, 15], z: [1 + 4 + 2 * 25] });
    expect(index.shapes.outputs).toEqual({ y: [2, 2], z: [] });
    expect(await listed(out, index.gradients.parameters)).toEqual({
      w: [1, 3, 3, 5],
      'odd / name:*': [0, 0, 0, 0],
    });
    expect(await listed(out, index.gradients.inputs)).toEqual({ a: [2, 0, 0, 3], b: [2, 0, 0, 3] });
    for (const file of await readdir(out)) expect(file).toMatch(/^[A-Za-z0-9._-]+$/);
  });

  it('a gradient of 1 is understood where the only output is one number', async () => {
    const x = input('x', 'float32', ['N']);
    const path = await model([x], { loss: reduceSum(square(x), 'all') });
    const out = join(root, 'loss');
    const { code } = await run(path, '--input', `x=${await floats([3], [1, 2, 3])}`, '--out', out);
    expect(code).toBe(0);
    const index = (await readJson(join(out, 'index.json'))) as Index;
    expect(await listed(out, index.gradients.inputs)).toEqual({ x: [2, 4, 6] });
  });

  const y = async () => ['--output-gradient', `y=${await floats([2, 2], [1, 1, 1, 1])}`];
  it.each([
    [
      'a missing input',
      async () => [...(await feeds()).slice(0, 4), ...(await y())],
      /an array for input 'b' \(float32 \[N, 2\]\) is required/,
    ],
    [
      'an unknown input',
      async () => [...(await feeds()), '--input', `c=${await floats([1], [1])}`],
      /inputs must be among 'a', 'b', 'ids', got 'c'/,
    ],
    [
      'an unknown output',
      async () => [...(await feeds()), '--output-gradient', `toString=${await floats([1], [1])}`],
      /outputs must be among 'y', 'z', got 'toString'/,
    ],
    ['no gradient at all', feeds, /a gradient of at least one output is required \('y', 'z'\), got none/],
    [
      'another shape',
      async () => ['--input', `a=${await floats([2, 3], [1, 2, 3, 4, 5, 6])}`, ...(await feeds()).slice(2)],
      /input 'a' must have shape \[N, 2\], got \[2, 3\]/,
    ],
    [
      'two sizes of one dimension',
      async () => [
        '--input',
        `a=${await floats([1, 2], [1, 2])}`,
        ...(await feeds()).slice(2),
        ...(await y()),
      ],
      /input 'b' must have shape \[N, 2\] with N = 1, as input 'a' has it, got \[2, 2\]/,
    ],
    [
      'another type',
      async () => [
        ...['--input', `a=${await saved({ dataType: 'float64', shape: [2, 2], data: new Float64Array(4) })}`],
        ...(await feeds()).slice(2),
      ],
      /input 'a' must be float32, got float64/,
    ],
    [
      'a gradient of another shape',
      async () => [...(await feeds()), '--output-gradient', `y=${await floats([2], [1, 1])}`],
      /the gradient of output 'y' must be float32 \[2, 2\], got float32 \[2\]/,
    ],
    ['a file that is not there', async () => ['--input', 'a=none.npy'], /none\.npy: cannot be read: ENOENT/],
  ])('refuses %s', async (_, options, message) => {
    const { code, stderr, stdout } = await run(
      await small(),
      ...(await options()),
      '--out',
      join(root, 'refused'),
    );
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^semblance: [^\n]+\n$/);
    expect([code, stdout]).toEqual([1, '']);
  });
});

describe('refuses in one line', () => {
  it('an operator without a rule, by node and operator', async () => {
    const x = input('x', 'float32', [2, 2]);
    const determinant = opaqueOperator({
      ...{ name: 'Det', domain: '', version: 18, attributes: [], inputTypes: [x] },
      outputTypes: [{ dataType: 'float32', shape: [] }],
    });
    const path = await model([x], { y: apply(determinant, [x]) });
    const at = ['--input', `x=${await floats([2, 2], [1, 2, 3, 4])}`, '--out', join(root, 'none')];
    const { code, stderr } = await run(path, ...at);
    expect(stderr).toMatch(/^semblance: gradients: node '[^']+' \(Det\) must have a gradient rule[^\n]*\n$/);
    expect(code).toBe(1);
  });

  it('a form of an operator that has no rule, by node and operator', async () => {
    const x = input('x', 'float32', [2, 2]);
    const places = constant([1, 0], [2, 1], { dataType: 'int64' });
    const path = await model([x], { y: apply(operators.GatherND, [x, places], { batch_dims: 1 }) });
    const at = ['--input', `x=${await floats([2, 2], [1, 2, 3, 4])}`, '--out', join(root, 'none')];
    const { code, stderr } = await run(path, ...at, '--output-gradient', `y=${await floats([2], [1, 1])}`);
    expect(stderr).toMatch(
      /^semblance: gradients: node '[^']+' \(GatherND\) must have batch_dims 0[^\n]*\n$/,
    );
    expect(code).toBe(1);
  });

  it('a model that is not there, and one that is none', async () => {
    const at = ['--input', `x=${await floats([1], [1])}`, '--out', join(root, 'none')];
    expect((await run(join(root, 'no.onnx'), ...at)).stderr).toMatch(
      /no\.onnx: the model cannot be read: ENOENT/,
    );
    const text = join(root, 'text.onnx');
    await writeFile(text, 'this is not an ONNX model at all');
    expect((await run(text, ...at)).stderr).toMatch(/must be an ONNX model/);
  });

  it('a folder that cannot be written', async () => {
    const x = input('x', 'float32', [1]);
    const path = await model([x], { y: square(x) });
    const file = join(root, 'file');
    await writeFile(file, '');
    const { code, stderr } = await run(
      path,
      '--input',
      `x=${await floats([1], [3])}`,
      '--out',
      join(file, 'below'),
    );
    expect(stderr).toMatch(/below: cannot be written: ENOTDIR/);
    expect(code).toBe(1);
    expect(await readFile(file, 'utf8')).toBe('');
  });
});
