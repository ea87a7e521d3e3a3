/**
 * `semblance inspect` on small models written here: what it prints, what it draws, and how it fails.
 */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import {
  add,
  applyAll,
  buildGraph,
  constant,
  convolution,
  globalAveragePool,
  input,
  matmul,
  opaqueOperator,
  relu,
  reshape,
  type Value,
} from '../graph/index.js';
import { writeModel } from '../onnx/index.js';
import { ModelProto } from '../onnx/schema.js';

let drawn = 0;
/** Numbers that no other parameter has: a writer may keep equal tensors once. */
const named = (name: string, shape: number[]) =>
  constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(++drawn / 100), shape, { name });

/** Four strided convolutions, pooling, a classifier of 5; `hidden` may put something between. */
function network(hidden: (x: Value) => Value = (x) => x, size: number | string = 32) {
  const x = input('pixels', 'float32', ['N', 3, size, size]);
  let y: Value = x;
  [4, 6, 8, 8].forEach((width, i) => {
    const channels = i === 0 ? 3 : [4, 6, 8, 8][i - 1]!;
    const weight = named(`conv${i}.weight`, [width, channels, 3, 3]);
    y = relu(convolution(y, weight, named(`conv${i}.bias`, [width]), { stride: 2, padding: 1 }));
    if (i === 1) y = hidden(y);
  });
  const features = reshape(globalAveragePool(y), [0, 8]);
  const logits = add(matmul(features, named('head.weight', [8, 5])), named('head.bias', [5]));
  return buildGraph([x], { logits });
}

/** A standard operator that the IR does not have, and that onnxruntime runs. */
const unknown = (x: Value) =>
  applyAll(
    opaqueOperator({
      name: 'MeanVarianceNormalization',
      domain: '',
      version: 18,
      attributes: [{ name: 'axes', kind: 'ints', value: [2, 3] }],
      inputTypes: [x],
      outputTypes: [x],
    }),
    [x],
  )[0] as Value;

let root = '';
const files: Record<string, string> = {};
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-inspect-'));
  for (const [name, graph] of Object.entries({ plain: network(), blocked: network(unknown) })) {
    files[name] = join(root, `${name}.onnx`);
    await writeFile(files[name], writeModel(graph));
  }
  files.text = join(root, 'text.onnx');
  await writeFile(files.text, 'this is no model');
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const run = (...argv: string[]) => runMain('inspect', ...argv);

// By hand: 3×3 kernels and biases; a stride of 2 from 32 pixels on.
const PARAMETERS = [3 * 4 * 9 + 4, 4 * 6 * 9 + 6, 6 * 8 * 9 + 8, 8 * 8 * 9 + 8];
const WORK = [256 * 3 * 4 * 9, 64 * 4 * 6 * 9, 16 * 6 * 8 * 9, 4 * 8 * 8 * 9];
const sum = (numbers: readonly number[]) => numbers.reduce((a, b) => a + b, 0);

describe('semblance inspect', () => {
  it('says what the file holds, as a table', async () => {
    const { code, stdout, stderr } = await run(files.plain!);
    expect(stderr).toBe('');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^.*plain\.onnx: 6\.\d+ kB, opset 18, semblance/);
    expect(stdout).toContain('pixels: float32 [N, 3, 32, 32]');
    expect(stdout).toContain('logits: float32');
    expect(stdout).toMatch(/│ Conv +│ +4 │ yes +│/);
    expect(stdout).toMatch(/│ stem +│ +│ \S+ +│ 1×4×16×16 +│ +112 │/);
    expect(stdout).toContain('45 dropped, which the features do not need');
    expect(stdout).toContain('Nothing blocks a gradient');
    expect(stdout).not.toContain('kept a picture');
    expect((await run(files.plain!, '--cuts')).stdout).toContain('kept a picture');
  });

  it('the same for machines', async () => {
    const { code, stdout } = await run(files.plain!, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report).toMatchObject({
      opsets: { 'ai.onnx': 18 },
      features: { shape: ['N', 8], pooling: 'none' },
      parameters: { trainable: sum(PARAMETERS), dropped: 45, blocked: 0 },
      multiplyAdds: sum(WORK),
      blocking: [],
      preprocessing: null,
    });
    const stages = report.stages as { parameters: number; multiplyAdds: number }[];
    expect(stages.map(({ parameters }) => parameters)).toEqual(PARAMETERS);
    expect(stages.map(({ multiplyAdds }) => multiplyAdds)).toEqual(WORK);
    expect(report.cutPoints.at(-1).parametersAfter).toBe(0);
  });

  it('names what blocks a gradient, and how much lies before it', async () => {
    const { code, stdout } = await run(files.blocked!, '--json');
    expect(code).toBe(0);
    const report = JSON.parse(stdout);
    expect(report.blocking).toEqual([
      {
        node: expect.stringContaining('MeanVarianceNormalization'),
        operator: 'MeanVarianceNormalization',
        why: 'it has no gradient rule',
      },
    ]);
    expect(report.parameters.blocked).toBe(PARAMETERS[0]! + PARAMETERS[1]!);
    const text = (await run(files.blocked!)).stdout;
    expect(text).toMatch(/^ {2}'\S+' \(MeanVarianceNormalization\): it has no gradient rule$/m);
    expect(text).toMatch(/│ MeanVarianceNormalization +│ +1 │ unknown operator +│/);
  });

  it('measures a step of the last stage and of everything', async () => {
    const { code, stdout } = await run(files.plain!, '--batch', '2', '--threads', '1', '--json');
    expect(code).toBe(0);
    const { steps } = JSON.parse(stdout);
    expect(steps.batch).toBe(2);
    expect(steps.full.parameters).toBe(sum(PARAMETERS));
    expect(steps.lastStage.parameters).toBe(PARAMETERS[3]);
    for (const { seconds, picturesPerSecond, peakBytes } of [steps.full, steps.lastStage]) {
      expect(seconds).toBeGreaterThan(0);
      expect(picturesPerSecond).toBeCloseTo(2 / seconds, 6);
      expect(peakBytes).toBeGreaterThan(1e7);
    }
    const blocked = await run(files.blocked!, '--batch', '2');
    expect(blocked.code).toBe(1);
    expect(blocked.stdout).toContain('A gradient is blocked at:');
    expect(blocked.stderr).toMatch(
      /^semblance: .*\(MeanVarianceNormalization\) must have a gradient rule.*\n$/,
    );
  });

  it('draws the stages', async () => {
    const svg = join(root, 'stages.svg');
    expect((await run(files.blocked!, '--picture', svg)).code).toBe(0);
    const drawn = await readFile(svg, 'utf8');
    expect(drawn).toMatch(/^<svg xmlns/);
    for (const word of ['blocked.onnx', 'stem', 'stage3', '1×4×16×16', 'cut: ', 'features N×8']) {
      expect(drawn).toContain(word);
    }
    const html = join(root, 'stages.html');
    expect((await run(files.plain!, '--picture', html)).code).toBe(0);
    expect(await readFile(html, 'utf8')).toMatch(/^<!doctype html>.*<svg /);
  });

  it('a file of which the graph cannot be built still shows its operators', async () => {
    const x = input('x', 'float32', ['N', 3]);
    const bytes = writeModel(buildGraph([x], { y: matmul(x, named('w', [3, 2])) }));
    const message = ModelProto.toObject(ModelProto.decode(bytes));
    message.graph.initializer[0].dims = [2, 3]; // the product's inner sizes do not agree
    const file = join(root, 'misfit.onnx');
    await writeFile(file, ModelProto.encode(ModelProto.fromObject(message)).finish());
    const { code, stdout, stderr } = await run(file);
    expect(code).toBe(1);
    expect(stdout).toContain('x: float32 [N, 3]');
    expect(stdout).toMatch(/│ MatMul +│ +1 │ yes +│/);
    expect(stderr).toMatch(/^semblance: .*MatMul: the inner dimensions must agree.*\n$/);
  });

  it.each([
    [['nowhere.onnx'], 1, /^semblance: nowhere\.onnx: the model cannot be read: .*\n$/],
    [['TEXT'], 1, /^semblance: .*text\.onnx: readModel: the file must be an ONNX model, .*\n$/],
    [['PLAIN', '--output', 'z'], 1, /the output must be one of 'logits', got 'z'/],
    [['PLAIN', '--size', '64'], 1, /inspect --size: must be 32, which the file fixes, got 64/],
    [['PLAIN', '--picture', 'x.png'], 2, /inspect --picture: must be a \.svg or \.html file, got 'x\.png'/],
    [['PLAIN', '--picture', 'no/such/folder/x.svg'], 1, /no\/such\/folder\/x\.svg: cannot be written/],
    [['PLAIN', '--batch', '0'], 2, /--batch <count>.*whole number from 1 on/],
    [[], 2, /missing required argument 'model'/],
  ] as const)('%j ends with %d', async (argv, code, message) => {
    const given = argv.map((word) =>
      word === 'PLAIN' ? files.plain! : word === 'TEXT' ? files.text! : word,
    );
    const result = await run(...given);
    expect(result.code).toBe(code);
    expect(result.stderr).toMatch(message);
  });
});
