/** Operators that are only carried along. */
import { describe, expect, it } from 'vitest';
import { gradients } from './autodiff.js';
import { applyAll, constant, input, type Value } from './ir.js';
import { opaqueOperator } from './opaque.js';
import { reduceSum } from './reduction.js';
import { substitute } from './rewrite.js';

const x = input('x', 'float32', ['N', 4]);
const mystery = opaqueOperator({
  name: 'Mystery',
  domain: 'com.example',
  version: 3,
  attributes: [],
  inputTypes: [x, undefined],
  outputTypes: [
    { dataType: 'float32', shape: ['N', 2] },
    { dataType: 'int64', shape: [] },
  ],
  advice: 'Export without it.',
});

describe('opaqueOperator', () => {
  it('has the types that it is given, and follows a batch that becomes known', () => {
    const [y, count] = applyAll(mystery, [x, undefined], {}, 'odd') as [Value, Value];
    expect([y.dataType, y.shape, count.dataType, count.shape]).toEqual(['float32', ['N', 2], 'int64', []]);
    const [at32] = substitute([y], new Map([[x, input('x', 'float32', [32, 4])]])) as [Value];
    expect(at32.shape).toEqual([32, 2]);
  });

  it('stops a gradient by name, with advice', () => {
    const fixed = constant(new Float32Array(4), [1, 4]);
    const [y] = substitute(
      [applyAll(mystery, [x, undefined], {}, 'odd')[0] as Value],
      new Map([[x, fixed]]),
    ) as [Value];
    expect(() => gradients(reduceSum(y, 'all'), [fixed])).toThrow(
      /node 'odd' \(Mystery\) must have a gradient rule, .* Export without it\.$/,
    );
  });
});
