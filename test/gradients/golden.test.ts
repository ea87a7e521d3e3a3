/**
 * Layers and their gradients against PyTorch: `test/golden/layers.json`, which `make-layers.py` beside it writes (in float64). Inputs are
 * the integer sequence described there.
 */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import {
  apply,
  averagePool,
  batchNormalization,
  batchNormalizationTraining,
  constant,
  gradients,
  groupNormalization,
  input,
  layerNormalization,
  logSoftmax,
  operators,
  sizeOf,
  type Value,
} from '../../src/graph/index.js';
import { runValues } from '../support/run-graph.js';

interface Case {
  readonly kind: Kind;
  readonly options: Readonly<Record<string, number>>;
  readonly shapes: readonly (readonly number[])[];
  readonly outputShape: readonly number[];
  readonly output: readonly number[];
  /** One list an input. */
  readonly gradients: readonly (readonly number[])[];
}

type Kind = keyof typeof LAYERS;
type Layer = (options: Readonly<Record<string, number>>, x: Value, weight: Value, bias: Value) => Value;

const LAYERS = {
  convolution({ stride = 1, padding = 0, dilation = 1, group = 1 }, x, weight, bias) {
    return apply(operators.Conv, [x, weight, bias], {
      strides: [stride, stride],
      pads: [padding, padding, padding, padding],
      dilations: [dilation, dilation],
      group,
    });
  },
  batchNormalizationTraining: (_, x, weight, bias) => batchNormalizationTraining(x, weight, bias).y,
  batchNormalization(_, x, weight, bias) {
    const filled = (fill: number) => constant(new Float32Array(x.shape[1] as number).fill(fill));
    return batchNormalization(x, weight, bias, filled(0.25), filled(0.75));
  },
  layerNormalization: (_, x, weight, bias) => layerNormalization(x, weight, bias, x.rank - weight.rank),
  groupNormalization: ({ groups = 1 }, x, weight, bias) => groupNormalization(x, weight, bias, groups),
  logSoftmax: ({ axis }, x) => logSoftmax(x, axis),
  averagePool: ({ size = 1 }, x) => averagePool(x, size),
} satisfies Record<string, Layer>;

const golden = JSON.parse(readFileSync(join(import.meta.dirname, '../golden/layers.json'), 'utf8')) as {
  readonly cases: readonly Case[];
};

const sequence = (shape: readonly number[], salt: number): number[] =>
  Array.from({ length: sizeOf(shape) }, (_, i) => (((i * 37 + salt * 101) % 83) - 41) / 32);

describe('as in PyTorch', () => {
  it.each(
    golden.cases.map(
      (entry) => [`${entry.kind} ${JSON.stringify(entry.options)} of [${entry.shapes[0]}]`, entry] as const,
    ),
  )('%s', async (_, { kind, options, shapes, outputShape, output, gradients: expected }) => {
    const values = shapes.map((shape, i) => input(`x${i}`, 'float32', shape));
    const [x, weight, bias] = values as [Value, Value, Value];
    const y = LAYERS[kind](options, x, weight, bias);
    expect(y.shape).toEqual(outputShape);
    const g = input('g', 'float32', outputShape);
    const outputs: Record<string, Value> = { y };
    gradients([y], values, [g]).forEach((value, i) => {
      outputs[`d${i}`] = value;
    });
    const numbers: Record<string, number[]> = { g: sequence(outputShape, 9) };
    shapes.forEach((shape, i) => {
      numbers[`x${i}`] = sequence(shape, i);
    });
    const results = await runValues([...values, g], outputs, numbers);
    near(results.y, output, 'output');
    expected.forEach((wanted, i) => {
      near(results[`d${i}`], wanted, `gradient by input ${i}`);
    });
  });
});

function near(got: readonly number[] | undefined, wanted: readonly number[], what: string): void {
  expect(got?.length, what).toBe(wanted.length);
  const largest = Math.max(...wanted.map(Math.abs));
  wanted.forEach((number, i) => {
    expect(Math.abs((got?.[i] ?? Number.NaN) - number), `${what}, element ${i}`).toBeLessThan(1e-5 * largest);
  });
}
