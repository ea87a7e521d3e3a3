/**
 * A network that PyTorch exported (`test/golden/network.onnx`, opset 14, which `make-network.py` writes): read, run,
 * and differentiated by its weights, against PyTorch's own numbers.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { gradients, input, type Value } from '../../src/graph/index.js';
import { readModel } from '../../src/onnx/index.js';
import { runValues } from '../support/run-graph.js';

const folder = join(import.meta.dirname, '../golden');
const golden = JSON.parse(readFileSync(join(folder, 'network.json'), 'utf8')) as {
  readonly output: readonly number[];
  readonly gradients: Readonly<Record<string, readonly number[]>>;
};
const { graph, opsetVersion, producer } = readModel(readFileSync(join(folder, 'network.onnx')));
const inputs = graph.inputs.map(({ value }) => value);
const output = graph.outputs[0]?.value as Value;

const sequence = (count: number, salt: number): number[] =>
  Array.from({ length: count }, (_, i) => (((i * 37 + salt * 101) % 83) - 41) / 32);
const pixels = sequence(2 * 3 * 8 * 8, 9);

/** Weights are constants of the file, known by their names. */
const weights = new Map<string, Value>();
for (const node of graph.nodes) {
  for (const value of node.inputs) {
    if (value?.origin.kind === 'constant' && value.origin.name !== undefined)
      weights.set(value.origin.name, value);
  }
}

function near(got: readonly number[] | undefined, wanted: readonly number[]): void {
  expect(got?.length).toBe(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  wanted.forEach((number, i) => {
    expect(Math.abs((got?.[i] ?? Number.NaN) - number), `element ${i}`).toBeLessThan(2e-5 * largest);
  });
}

describe('a network from PyTorch', () => {
  it('is read', () => {
    expect(producer).toBe('pytorch 1.13.0');
    expect(opsetVersion).toBe(14);
    expect(graph.inputs.map(({ name, value }) => [name, value.shape])).toEqual([['pixels', [2, 3, 8, 8]]]);
    expect(output.shape).toEqual([2, 5]);
  });

  it('computes the same', async () => {
    near((await runValues(inputs, { output }, { pixels })).output, golden.output);
  });

  it.each(Object.keys(golden.gradients))('has the same gradient by %s', async (name) => {
    const weight = weights.get(name) as Value;
    const g = input('g', 'float32', [2, 5]);
    const [gradient] = gradients([output], [weight], [g]) as [Value];
    const results = await runValues([...inputs, g], { gradient }, { pixels, g: sequence(10, 10) });
    near(results.gradient, golden.gradients[name] as readonly number[]);
  });
});
