/**
 * Roles of constants, cut points and stages, on small graphs of which the answer is plain.
 */
import { describe, expect, it } from 'vitest';
import {
  add,
  applyAll,
  batchNormalization,
  buildGraph,
  clip,
  concat,
  constant,
  convolution,
  divide,
  expand,
  findOperator,
  type Graph,
  globalAveragePool,
  input,
  matmul,
  multiply,
  type Operator,
  power,
  reduceMean,
  relu,
  reshape,
  scalarLike,
  squareRoot,
  subtract,
  transpose,
  type Value,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { cutPoints, multiplyAdds, parameterRoles, stagesOf } from './index.js';

const named = (name: string, shape: number[], fill = 0.5) =>
  constant(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill), shape, { name });

const rolesByName = (graph: Graph) =>
  Object.fromEntries(
    [...parameterRoles(graph)].flatMap(([{ origin }, { role }]) =>
      origin.kind === 'constant' && origin.name !== undefined ? [[origin.name, role]] : [],
    ),
  );

const picture = () => input('x', 'float32', ['N', 3, 16, 16]);

describe('parameterRoles', () => {
  it('kernel, bias, normalisation, statistics; a limit is no parameter', () => {
    const x = picture();
    const y = convolution(x, named('conv.weight', [4, 3, 3, 3]), named('conv.bias', [4]));
    const z = batchNormalization(
      y,
      named('bn.weight', [4]),
      named('bn.bias', [4]),
      named('bn.mean', [4]),
      named('bn.var', [4]),
      1e-5,
    );
    const graph = buildGraph([x], { y: clip(z, 0, 6) });
    expect(rolesByName(graph)).toEqual({
      'conv.weight': 'weight',
      'conv.bias': 'bias',
      'bn.weight': 'normalization',
      'bn.bias': 'normalization',
      'bn.mean': 'statistic',
      'bn.var': 'statistic',
    });
    const all = [...parameterRoles(graph).values()];
    expect(all.filter(({ role }) => role === 'constant')).toHaveLength(2);
    expect(all.filter(({ isDecayed }) => isDecayed)).toHaveLength(1);
    expect(all.filter(({ isTrainable }) => isTrainable)).toHaveLength(4);
  });

  it('a linear map whose weight is transposed, its bias added, a position embedding, a class token, a mask', () => {
    const x = input('x', 'float32', [2, 5, 8]);
    const weight = transpose(named('w', [6, 8]));
    const tokens = add(matmul(x, weight), named('b', [6]));
    const token = expand(named('token', [1, 1, 6]), [2, 1, 6]);
    const placed = add(concat([token, tokens], 1), named('position', [1, 6, 6]));
    const mask = constant([0, -100, 0, -100, 0, 0], [6, 1], { name: 'mask' });
    const y = multiply(add(placed, mask), scalarLike(x, 0.5));
    expect(rolesByName(buildGraph([x], { y }))).toEqual({
      w: 'weight',
      b: 'bias',
      token: 'other',
      position: 'other',
      mask: 'constant',
    });
  });

  it('layer normalisation in parts, layer scale', () => {
    const x = input('x', 'float32', [2, 5, 8]);
    const embedded = matmul(x, named('w', [8, 8]));
    const centred = subtract(embedded, reduceMean(embedded, [2], { keepDimensions: true }));
    const variance = reduceMean(power(centred, scalarLike(x, 2)), [2], { keepDimensions: true });
    const normalized = divide(centred, squareRoot(add(variance, scalarLike(x, 1e-5))));
    const affine = add(multiply(normalized, named('ln.weight', [8])), named('ln.bias', [8]));
    const y = add(embedded, multiply(matmul(affine, named('v', [8, 8])), named('gamma', [8])));
    expect(rolesByName(buildGraph([x], { y }))).toEqual({
      w: 'weight',
      v: 'weight',
      'ln.weight': 'normalization',
      'ln.bias': 'normalization',
      gamma: 'other',
    });
  });

  it('what prepares the picture is not trained, nor what has no name but a matrix', () => {
    const x = picture();
    const prepared = divide(subtract(x, named('mean', [1, 3, 1, 1])), named('deviation', [1, 3, 1, 1]));
    const flat = reshape(convolution(prepared, named('w', [1, 3, 1, 1])), [0, 256]);
    const matrix = constant(new Float32Array(512), [256, 2]);
    const shift = constant([1, 2], [2]);
    const graph = buildGraph([x], { y: add(matmul(flat, matrix), shift) });
    expect(rolesByName(graph)).toEqual({ mean: 'constant', deviation: 'constant', w: 'weight' });
    expect(parameterRoles(graph).get(matrix)?.role).toBe('weight');
    expect(parameterRoles(graph).get(shift)?.role).toBe('constant');
  });

  it('group normalisation as torch writes it: the instance normalisation inside has nothing to train', () => {
    const x = picture();
    const y = convolution(x, named('w', [4, 3, 1, 1]));
    const instance: Operator = {
      name: 'InstanceNormalization',
      infer: ([value]) => [value as Value],
      vjp: 'none',
    };
    const [normalized] = applyAll(instance, [
      reshape(y, [0, 2, -1]),
      named('ones', [2], 1),
      named('zeros', [2], 0),
    ]);
    const restored = reshape(normalized as Value, [0, 4, 16, 16]);
    const z = add(multiply(restored, named('gn.weight', [4, 1, 1])), named('gn.bias', [4, 1, 1]));
    expect(rolesByName(buildGraph([x], { z }))).toEqual({
      w: 'weight',
      ones: 'constant',
      zeros: 'constant',
      'gn.weight': 'normalization',
      'gn.bias': 'normalization',
    });
  });
});

/** conv → relu → residual block → strided conv … */
function residualNetwork(widths: readonly number[], batch: number | string = 'N') {
  const x = input('x', 'float32', [batch, 3, 32, 32]);
  const marked: Record<string, Value> = {};
  let y = relu(convolution(x, named('stem', [widths[0]!, 3, 3, 3]), undefined, { padding: 1, stride: 2 }));
  marked.stem = y;
  let channels = widths[0]!;
  widths.forEach((width, i) => {
    const branch = convolution(
      relu(convolution(y, named(`a${i}`, [width, channels, 3, 3]), undefined, { padding: 1, stride: 2 })),
      named(`b${i}`, [width, width, 3, 3]),
      undefined,
      { padding: 1 },
    );
    const shortcut = convolution(y, named(`s${i}`, [width, channels, 1, 1]), undefined, { stride: 2 });
    y = relu(add(branch, shortcut));
    channels = width;
    marked[`block${i}`] = y;
  });
  const features = reshape(globalAveragePool(y), [0, channels]);
  return { x, features, marked, graph: buildGraph([x], { features }) };
}

describe('cutPoints', () => {
  it('are the values on every path, with what lies before and after', () => {
    const { graph, x, features, marked } = residualNetwork([4, 8]);
    const points = cutPoints(graph, x, features);
    const values = points.map(({ value }) => value);
    expect(values[0]).toBe(x);
    expect(values.at(-1)).toBe(features);
    // Not on every path: inside of the two blocks.
    expect(points.map(({ shape }) => shape.join('x'))).toEqual([
      '1x3x32x32',
      '1x4x16x16', // convolution
      '1x4x16x16', // relu
      '1x4x8x8', // add
      '1x4x8x8', // relu
      '1x8x4x4',
      '1x8x4x4',
      '1x8x1x1',
      '1x8',
    ]);
    const stem = points[values.indexOf(marked.stem!)]!;
    expect(stem).toMatchObject({
      elements: 4 * 16 * 16,
      parametersBefore: 4 * 3 * 9,
      multiplyAddsBefore: 16 * 16 * 4 * 3 * 9,
    });
    const block = points[values.indexOf(marked.block0!)]!;
    expect(block.parametersBefore - stem.parametersBefore).toBe(4 * 4 * 9 * 2 + 4 * 4);
    expect(block.multiplyAddsBefore - stem.multiplyAddsBefore).toBe(64 * (4 * 4 * 9 * 2 + 4 * 4));
    for (const { parametersBefore, parametersAfter } of points) {
      expect(parametersBefore + parametersAfter).toBe(points[0]!.parametersAfter);
    }
  });

  it('for one picture, whatever the batch', () => {
    const counts = ([batch]: [number | string]) => {
      const { graph, x, features } = residualNetwork([4, 8], batch);
      return cutPoints(graph, x, features).map(({ value: _, ...rest }) => rest);
    };
    expect(counts([6])).toEqual(counts(['N']));
  });

  it('looking at a size is no path', () => {
    const x = input('x', 'float32', [2, 4]);
    const y = relu(x);
    const sizes = applyAll({ ...LOOK, infer: () => [{ dataType: 'int64', shape: [2] }] }, [y])[0]!;
    const z = matmul(y, named('w', [4, 4]));
    const shaped = applyAll({ ...LOOK, name: 'Reshape', infer: () => [z] }, [z, sizes])[0]!;
    const values = cutPoints(buildGraph([x], { shaped }), x, shaped).map(({ value }) => value);
    expect(values).toEqual([x, y, z, shaped]);
  });

  it('refuses features that do not depend on the picture', () => {
    const x = picture();
    const other = relu(input('other', 'float32', [2]));
    const graph = buildGraph([x, other.origin.kind === 'node' ? other.origin.node.inputs[0]! : x], {
      other,
    });
    expect(() => cutPoints(graph, x, other)).toThrow(GraphError);
    expect(() => cutPoints(graph, x, other)).toThrow('the features must depend on the picture');
  });
});

const LOOK: Operator = { name: 'Shape', infer: () => [], vjp: 'zero' };

describe('multiplyAdds', () => {
  const count = (name: string, shapes: number[][], output: number[], attributes = {}) => {
    const operator: Operator = {
      name,
      infer: () => [{ dataType: 'float32', shape: output }],
      vjp: 'none',
    };
    const inputs = shapes.map((shape, i) => input(`i${i}`, 'float32', shape));
    const [y] = applyAll(operator, inputs, attributes);
    const origin = y!.origin;
    return origin.kind === 'node' ? multiplyAdds(origin.node, ({ shape }) => shape as number[]) : -1;
  };
  it.each([
    [
      'Conv',
      [
        [2, 4, 8, 8],
        [6, 2, 3, 3],
      ],
      [2, 6, 8, 8],
      { group: 2 },
      2 * 6 * 64 * 2 * 9,
    ],
    [
      'ConvTranspose',
      [
        [2, 4, 8, 8],
        [4, 6, 3, 3],
      ],
      [2, 6, 10, 10],
      {},
      2 * 4 * 64 * 6 * 9,
    ],
    [
      'MatMul',
      [
        [2, 5, 7],
        [7, 3],
      ],
      [2, 5, 3],
      {},
      2 * 5 * 3 * 7,
    ],
    [
      'Gemm',
      [
        [7, 5],
        [3, 7],
      ],
      [5, 3],
      { transA: 1, transB: 1 },
      5 * 3 * 7,
    ],
    [
      'Einsum',
      [
        [2, 5, 7],
        [3, 7],
      ],
      [2, 5, 3],
      { equation: '...k,nk->...n' },
      2 * 5 * 3 * 7,
    ],
    ['Relu', [[2, 5]], [2, 5], {}, 0],
  ] as const)('%s', (name, shapes, output, attributes, expected) => {
    expect(count(name, shapes as unknown as number[][], output as unknown as number[], attributes)).toBe(
      expected,
    );
  });
});

describe('stagesOf', () => {
  it('a stage a resolution: the stem, then blocks; pooling belongs to the last', () => {
    const { graph, x, features, marked } = residualNetwork([4, 8, 8]);
    const stages = stagesOf(graph, x, features);
    expect(stages.map(({ name }) => name)).toEqual(['stem', 'stage1', 'stage2', 'stage3']);
    expect(stages.map(({ end }) => end)).toEqual([marked.stem, marked.block0, marked.block1, features]);
    expect(stages.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12);
    expect(stages.map(({ parameters }) => parameters)).toEqual([108, 304, 896, 1216]);
  });

  it('an inverted residual begins where it widens', () => {
    const x = input('x', 'float32', ['N', 3, 32, 32]);
    let y = relu(convolution(x, named('stem', [8, 3, 3, 3]), undefined, { padding: 1, stride: 2 }));
    const narrow: Value[] = [];
    for (let i = 0; i < 3; i++) {
      const wide = relu(convolution(y, named(`e${i}`, [32, i === 0 ? 8 : 4, 1, 1])));
      const deep = relu(
        convolution(wide, named(`d${i}`, [32, 1, 3, 3]), undefined, { padding: 1, stride: 2, group: 32 }),
      );
      y = convolution(deep, named(`p${i}`, [4, 32, 1, 1]));
      narrow.push(y);
    }
    const graph = buildGraph([x], { y });
    const stages = stagesOf(graph, x, y);
    expect(stages.map(({ end }) => end).slice(1)).toEqual(narrow);
    expect(stages[0]?.shape).toEqual([1, 8, 16, 16]);
  });

  it('one resolution: equal blocks dealt into four, after the stem', () => {
    const x = input('x', 'float32', ['N', 3, 8, 8]);
    const patches = convolution(x, named('patch', [16, 3, 4, 4]), undefined, { stride: 4 });
    let y = add(transpose(reshape(patches, [0, 16, 4]), [0, 2, 1]), named('position', [1, 4, 16]));
    const stem = y;
    const ends: Value[] = [];
    for (let block = 0; block < 8; block++) {
      y = add(y, matmul(y, named(`attention${block}`, [16, 16])));
      y = add(y, matmul(relu(matmul(y, named(`up${block}`, [16, 32]))), named(`down${block}`, [32, 16])));
      ends.push(y);
    }
    const features = reduceMean(y, [1]);
    const stages = stagesOf(buildGraph([x], { features }), x, features);
    expect(stages.map(({ name }) => name)).toEqual(['stem', 'stage1', 'stage2', 'stage3', 'stage4']);
    expect(stages.map(({ end }) => end)).toEqual([stem, ends[1], ends[3], ends[5], features]);
  });

  it('nothing repeats: quarters of the parameters', () => {
    const x = input('x', 'float32', ['N', 8]);
    let y: Value = x;
    for (let i = 0; i < 8; i++) y = relu(matmul(y, named(`w${i}`, [8, 8])));
    const stages = stagesOf(buildGraph([x], { y }), x, y);
    expect(stages.map(({ parameters }) => parameters)).toEqual([128, 128, 128, 128]);
    expect(stages.at(-1)?.end).toBe(y);
  });

  it("says the exporter's scopes", () => {
    const x = input('x', 'float32', ['N', 8]);
    let y: Value = x;
    for (let i = 0; i < 4; i++) {
      const operator = findOperator('MatMul')!;
      y = applyAll(operator, [y, named(`w${i}`, [8, 8])], {}, `/net/net.${i}/MatMul`)[0]!;
    }
    const stages = stagesOf(buildGraph([x], { y }), x, y);
    expect(stages.map(({ scope }) => scope)).toEqual(['net.0', 'net.1', 'net.2', 'net.3']);
  });
});
