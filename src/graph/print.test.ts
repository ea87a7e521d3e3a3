import { expect, it } from 'vitest';
import { clip } from './activation.js';
import { add, exponential } from './elementwise.js';
import { applyAll, buildGraph, constant, input, int64 } from './ir.js';
import { matmul } from './linear-algebra.js';
import { split } from './movement.js';
import { operators } from './operators.js';
import { print } from './print.js';
import { softmax } from './reduction.js';

it('prints a line a node, with names, types, attributes and small constants', () => {
  const x = input('x', 'float32', ['N', 4]);
  const weight = constant(new Float32Array(12), [4, 3]);
  const logits = add(matmul(x, weight), constant([1, 2, 3]));
  const graph = buildGraph([x], { probabilities: softmax(logits), x, one: constant(1) });
  expect(print(graph)).toBe(
    [
      'x: float32 [N, 4] = input',
      '%0: float32 [N, 3] = MatMul(x, float32[4, 3])',
      '%1: float32 [N, 3] = Add(%0, {1 2 3})',
      '%2: float32 [N, 3] = Softmax(%1, axis=1)',
      'output probabilities = %2',
      'output x = x',
      'output one = {1}',
    ].join('\n'),
  );
});

it('prints several outputs, absent inputs and lists', () => {
  const x = input('x', 'float32', [1, 3]);
  const [a, b] = split(clip(x, undefined, 1), [1, 2], 1);
  const [turned] = applyAll(operators.Transpose, [exponential(a as never)], { perm: [1, 0] });
  expect(print(buildGraph([x], { turned: turned as never, b: b as never }))).toBe(
    [
      'x: float32 [1, 3] = input',
      '%0: float32 [1, 3] = Clip(x, -, {1})',
      '%1: float32 [1, 1], %2: float32 [1, 2] = Split(%0, {1 2}, axis=1)',
      '%3: float32 [1, 1] = Exp(%1)',
      '%4: float32 [1, 1] = Transpose(%3, perm=[1,0])',
      'output turned = %4',
      'output b = %2',
    ].join('\n'),
  );
  expect(print(buildGraph([], { list: int64([-1, 2]) }))).toBe('output list = {-1 2}');
});
