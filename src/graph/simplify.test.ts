/** Contents that are known, dimensions, and what simplification makes of the chains that exporters write. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../test/support/run-graph.js';
import { sigmoid } from './activation.js';
import {
  addDimensions,
  compareDimensions,
  divideDimensions,
  multiplyDimensions,
  remainderOf,
  replaceNames,
  subtractDimensions,
} from './dimensions.js';
import {
  add,
  cast,
  divide,
  equal,
  floor,
  identity,
  multiply,
  scale,
  stopGradient,
  subtract,
  where,
} from './elementwise.js';
import { gather } from './indexing.js';
import { apply, buildGraph, constant, input, int64, knownContent, type Value } from './ir.js';
import { concat, expandTo, reshape, slice, transpose } from './movement.js';
import { operators } from './operators.js';
import { substitute } from './rewrite.js';
import { constantOfShape, flatten, range, shapeOf, squeeze, tile, unsqueeze } from './shape.js';
import { simplify } from './simplify.js';
import { verify } from './verify.js';

const scalar = (value: number) => constant(value, [], { dataType: 'int64' });
const namesOf = (outputs: Readonly<Record<string, Value>>, ...inputs: Value[]) =>
  verify(simplify(buildGraph(inputs, outputs))).nodes.map(({ operator }) => operator.name);
/** One element of a shape, as exporters take it. */
const sizeAt = (x: Value, axis: number) => gather(shapeOf(x), scalar(axis));
const shapeFrom = (...sizes: Value[]) =>
  concat(
    sizes.map((size) => (size.rank === 0 ? unsqueeze(size, [0]) : size)),
    0,
  );

describe('dimensions', () => {
  it.each([
    [addDimensions('N', 4), 'N+4'],
    [addDimensions(4, 'N'), 'N+4'],
    [addDimensions('N', 'N'), '2*N'],
    [subtractDimensions('N+4', 'N'), 4],
    [subtractDimensions(1, 'N'), '-N+1'],
    [multiplyDimensions('N', 49), '49*N'],
    [multiplyDimensions('N+1', 'M'), 'M*N+M'],
    [multiplyDimensions('batch size', 2), '2*batch size'],
    [divideDimensions('49*N', 49), 'N'],
    [divideDimensions('M*N', 'N'), 'M'],
    [divideDimensions('2*N+2', 'N+1'), 2],
    [divideDimensions('N', 2), undefined],
    [divideDimensions('N', 0), undefined],
    [divideDimensions('49*N', 'N'), 49],
    [remainderOf('49*N+3', 7), 3],
    [remainderOf('N', 7), undefined],
    [compareDimensions('N', -1), 1],
    [compareDimensions('N', 'N'), 0],
    [compareDimensions('N', 'N+1'), -1],
    [compareDimensions('N', 1), undefined],
    [replaceNames('2*N+M', new Map([['N', 8]])), 'M+16'],
    [multiplyDimensions('past-1', 1), 'past-1'],
    [addDimensions('(a+b)', 1), '(a+b)+1'],
  ])('case %#: %s', (got, wanted) => expect(got).toBe(wanted));
});

describe('known contents', () => {
  const x = input('x', 'float32', ['N', 3, 14, 14]);
  const batch = sizeAt(x, 0);
  it.each<[string, Value, unknown]>([
    ['a shape', shapeOf(x), ['N', 3, 14, 14]],
    ['a part of it', slice(shapeOf(x), [{ axis: 0, start: -2 }]), [14, 14]],
    ['a gathered size', batch, ['N']],
    ['an untouched size', multiply(batch, scalar(1)), ['N']],
    ['windows', divide(multiply(batch, scalar(64)), scalar(64)), ['N']],
    ['half of an odd size', divide(scalar(-7), scalar(2)), [-3]],
    ['an old resize', cast(floor(multiply(cast(sizeAt(x, 2), 'float32'), constant(2))), 'int64'), [28]],
    ['−1 replaced', where(equal(shapeOf(x), scalar(-1)), scalar(9), shapeOf(x)), ['N', 3, 14, 14]],
    ['a filled shape', constantOfShape(int64([2, 2]), scalar(7)), [7, 7, 7, 7]],
    ['a range', range(scalar(1), scalar(8), scalar(3)), [1, 4, 7]],
    ['a transposed matrix', transpose(constant([1, 2, 3, 4], [2, 2])), [1, 3, 2, 4]],
    ['a tiled row', tile(int64([1, 2]), [2]), [1, 2, 1, 2]],
    [
      'joined columns',
      concat([reshape(int64([1, 2]), [2, 1]), reshape(int64([3, 4]), [2, 1])], 1),
      [1, 3, 2, 4],
    ],
    ['a size by an unknown number', divide(batch, scalar(2)), undefined],
    ['what is fed', sigmoid(x), undefined],
  ])('of %s', (_, value, content) => expect(knownContent(value)).toEqual(content));

  it('of the runtime are the same', async () => {
    // Every chain is computed from a fed tensor, of which nothing is known, and from the constant that is fed.
    const numbers = [-5, -3, 0, 2, 7, 9];
    const others = [2, -2, 5, 2, 3, -4];
    const chains: Record<string, (a: Value, b: Value) => Value> = {
      add: (a, b) => add(a, b),
      div: (a, b) => divide(a, b),
      intDiv: (a, b) => cast(divide(cast(a, 'int64'), cast(b, 'int64')), 'float32'),
      mod: (a, b) => cast(apply(operators.Mod, [cast(a, 'int64'), cast(b, 'int64')]), 'float32'),
      fmod: (a, b) => apply(operators.Mod, [a, b], { fmod: 1 }),
      thirds: (a, b) => floor(divide(multiply(a, b), constant(3))),
      half: (a) => apply(operators.Round, [divide(a, constant(2))]),
      max: (a, b) => apply(operators.Max, [a, b, constant(1)]),
      min: (a, b) => apply(operators.Min, [a, b, constant(1)]),
      where: (a, b) => where(equal(a, b), a, subtract(a, b)),
      less: (a, b) => cast(apply(operators.LessOrEqual, [a, b]), 'float32'),
      matrix: (a) => transpose(reshape(a, [2, 3])),
      picked: (a) => slice(gather(a, int64([5, 0, -2]), 0), [{ axis: 0, start: 2, step: 1 }]),
      sharp: (a) => apply(operators.Sqrt, [apply(operators.Abs, [a])]),
    };
    const fed = [input('a', 'float32', [6]), input('b', 'float32', [6])] as const;
    const outputs = Object.fromEntries(
      Object.entries(chains).map(([name, chain]) => [name, chain(fed[0], fed[1])]),
    );
    const results = await runGraph(buildGraph([...fed], outputs), { a: numbers, b: others });
    for (const [name, chain] of Object.entries(chains)) {
      const known = knownContent(chain(constant(numbers), constant(others)));
      expect(known, name).toEqual(results[name]);
    }
  });
});

describe('simplify', () => {
  const x = input('x', 'float32', ['N', 3, 14, 14]);

  it('makes the shapes of exporters constant', () => {
    const shape = shapeFrom(sizeAt(x, 0), scalar(3), multiply(sizeAt(x, 2), sizeAt(x, 3)));
    const y = apply(operators.Reshape, [x, shape]);
    expect(y.shape).toEqual(['N', 3, 196]);
    const { nodes } = verify(simplify(buildGraph([x], { y })));
    expect(nodes.map(({ operator }) => operator.name)).toEqual(['Reshape']);
    expect(knownContent(nodes[0]?.inputs[1])).toEqual([0, 3, 196]);
  });

  it('follows the windows of a shifted-window transformer, there and back', async () => {
    const rows = (batch: Value) => {
      const windows = apply(operators.Reshape, [
        transpose(
          apply(operators.Reshape, [batch, shapeFrom(sizeAt(batch, 0), ...[2, 7, 2, 7, 3].map(scalar))]),
          [0, 1, 3, 2, 4, 5],
        ),
        shapeFrom(multiply(sizeAt(batch, 0), scalar(4)), scalar(49), scalar(3)),
      ]);
      const count = divide(sizeAt(windows, 0), scalar(4));
      return [windows, apply(operators.Reshape, [windows, shapeFrom(count, scalar(-1), scalar(3))])] as const;
    };
    const symbolic = transpose(x, [0, 2, 3, 1]);
    const [windows, back] = rows(symbolic);
    expect(windows.shape).toEqual(['4*N', 49, 3]);
    expect(back.shape).toEqual(['N', 196, 3]);
    const fixed = input('x', 'float32', [2, 3, 14, 14]);
    const [static_] = substitute([back], new Map([[x, fixed]]));
    const numbers = { x: Array.from({ length: 2 * 3 * 196 }, (_, i) => i) };
    const graph = buildGraph([fixed], { y: static_ as Value });
    expect(await runGraph(verify(simplify(graph)), numbers)).toEqual(await runGraph(graph, numbers));
    expect(simplify(graph).nodes).toHaveLength(4);
  });

  it('takes out what changes nothing', () => {
    const y = add(
      identity(flatten(reshape(transpose(transpose(x, [1, 0, 2, 3]), [1, 0, 2, 3]), [0, 3, 196]), 1)),
      constant(1),
    );
    expect(namesOf({ y }, x)).toEqual(['Reshape', 'Flatten', 'Add']);
    const same = slice(expandTo(squeeze(unsqueeze(x, [1]), [1]), shapeOf(x)), [{ axis: 2, start: 0 }]);
    expect(namesOf({ same: sigmoid(same) }, x)).toEqual(['Unsqueeze', 'Squeeze', 'Sigmoid']);
  });

  it('keeps a slice that reverses, and the barrier to gradients', () => {
    const reversed = apply(operators.Slice, [
      constant([1, 2, 3], [3], { name: 'w' }),
      ...[int64([-1]), int64([-4]), int64([0]), int64([-1])],
    ]);
    expect(namesOf({ y: add(stopGradient(x), constant(1)), reversed }, x)).toContain('Slice');
    expect(namesOf({ y: add(stopGradient(x), constant(1)) }, x)).toEqual(['Identity', 'Add']);
  });

  it('leaves floats that are computed from a parameter, by which there may be a gradient', () => {
    const weight = constant([1, 2, 3], [3], { name: 'weight' });
    const mask = constant([1, 0, 1], [3]);
    expect(namesOf({ y: scale(weight, 2) })).toEqual(['Mul']);
    expect(namesOf({ y: scale(mask, 2) })).toEqual([]);
  });
});
