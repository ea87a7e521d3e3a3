/** A folded network is the same function, with fewer nodes; what cannot be folded stays. */
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runGraph } from '../../test/support/run-graph.js';
import {
  add,
  batchNormalization,
  buildGraph,
  constant,
  convolution,
  gradients,
  input,
  multiply,
  reduceSum,
  relu,
  topologicalOrder,
  type Value,
} from '../graph/index.js';
import { Random } from '../util/index.js';
import { foldBatchNormalization } from './batch-normalization-folding.js';

const random = Random.from(3);
const drawn = (shape: readonly number[], low = -1, high = 1, name?: string) =>
  constant(
    Float32Array.from({ length: shape.reduce((product, size) => product * size, 1) }, () =>
      random.between(low, high),
    ),
    shape,
    name === undefined ? {} : { name },
  );
const normalized = (x: Value, channels: number, name?: string) =>
  batchNormalization(
    x,
    drawn([channels], 0.5, 2),
    drawn([channels], -1, 1, name),
    drawn([channels]),
    drawn([channels], 0.1, 3),
    1e-3,
  );

const x = input('x', 'float32', [2, 4, 5, 5]);
const numbers = { x: Array.from({ length: 2 * 4 * 25 }, () => Math.fround(random.between(-1, 1))) };
const operatorsOf = (value: Value) => topologicalOrder([value]).map(({ operator }) => operator.name);

describe('foldBatchNormalization', () => {
  it.each([
    ['without bias', undefined, 1],
    ['with bias', drawn([6]), 1],
    ['in groups', undefined, 2],
  ] as const)('a convolution %s', async (_, bias, group) => {
    const weight = drawn([6, 4 / group, 3, 3], -1, 1, 'conv.weight');
    const y = relu(normalized(convolution(x, weight, bias, { padding: 1, group }), 6, 'bn.bias'));
    const [z] = foldBatchNormalization([y]) as [Value];
    expect(operatorsOf(z)).toEqual(['Conv', 'Relu']);
    const results = await runGraph(buildGraph([x], { y, z }), numbers);
    expectNear(results.z, results.y as number[], 1e-5);
    const names = topologicalOrder([z])[0]?.inputs.map(
      (value) => value?.origin.kind === 'constant' && value.origin.name,
    );
    expect(names?.slice(1)).toEqual(['conv.weight', 'bn.bias']);
  });

  it('one of weights that are fed, with the same gradients', async () => {
    const weight = input('w', 'float32', [6, 4, 3, 3]);
    const [scale, shift] = [input('scale', 'float32', [6]), input('shift', 'float32', [6])];
    const y = relu(
      batchNormalization(
        convolution(x, weight, drawn([6]), { padding: 1 }),
        scale,
        shift,
        drawn([6]),
        drawn([6], 0.5, 2),
      ),
    );
    const [z] = foldBatchNormalization([y]) as [Value];
    expect(operatorsOf(z)).not.toContain('BatchNormalization');
    const targets = [x, weight, scale, shift];
    const outputs: Record<string, Value> = { y, z };
    gradients(reduceSum(multiply(y, y), 'all'), targets).forEach((value, i) => {
      outputs[`wanted${i}`] = value;
    });
    gradients(reduceSum(multiply(z, z), 'all'), targets).forEach((value, i) => {
      outputs[`got${i}`] = value;
    });
    const results = await runGraph(buildGraph(targets, outputs), {
      ...numbers,
      w: Array.from({ length: 6 * 36 }, () => Math.fround(random.between(-1, 1))),
      scale: [1, 0.5, -1, 2, 1.5, 0.1],
      shift: [0, 1, -1, 0.5, 0.2, -0.3],
    });
    expectNear(results.z, results.y as number[], 1e-5);
    targets.forEach((_, i) => {
      expectNear(results[`got${i}`], results[`wanted${i}`] as number[], 1e-5);
    });
  });

  it('leaves a normalisation whose convolution others read, and one without a convolution', () => {
    const shared = convolution(x, drawn([4, 4, 3, 3]), undefined, { padding: 1 });
    for (const y of [add(normalized(shared, 4), shared), normalized(x, 4)]) {
      expect(foldBatchNormalization([y])).toEqual([y]);
    }
  });

  it('leaves a normalisation whose convolution is wanted itself', () => {
    const shared = convolution(x, drawn([4, 4, 3, 3]), undefined, { padding: 1 });
    const values = [normalized(shared, 4), shared];
    expect(foldBatchNormalization(values)).toEqual(values);
  });
});
