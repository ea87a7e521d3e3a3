/** Files that others wrote, and files that are damaged. */
import { describe, expect, it } from 'vitest';
import { runGraph } from '../../test/support/run-graph.js';
import {
  add,
  batchNormalizationTraining,
  buildGraph,
  constant,
  convolution,
  gather,
  gradients,
  input,
  int64,
  logSoftmax,
  matmul,
  mergeDuplicates,
  print,
  reduceMean,
  relu,
  reshape,
  type Value,
} from '../graph/index.js';
import { Random } from '../util/index.js';
import { readModel } from './read.js';
import { ModelProto } from './schema.js';
import { writeModel } from './write.js';

describe('readModel understands what others write', () => {
  type Fields = Record<string, unknown>;
  const float = { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 4 }] } } };
  const model = (graph: Fields, rest: Fields = {}) =>
    ModelProto.encode(
      ModelProto.fromObject({
        irVersion: 8,
        opsetImport: [{ domain: '', version: 17 }],
        graph: { name: 'g', input: [{ name: 'x', type: float }], output: [{ name: 'y' }], ...graph },
        ...rest,
      }),
    ).finish();
  const node = (opType: string, inputs: string[], outputs: string[], attribute: Fields[] = []) => ({
    opType,
    input: inputs,
    output: outputs,
    attribute,
  });
  const relued = node('Relu', ['x'], ['y']);

  it('integers outside raw data: a slice to the end is often the largest int64', async () => {
    const list = (name: string, values: readonly string[]) => ({
      name,
      dims: [values.length],
      dataType: 7,
      int64Data: values,
    });
    const bytes = model({
      node: [node('Slice', ['x', 'starts', 'ends'], ['y'])],
      initializer: [list('starts', ['1']), list('ends', ['9223372036854775807'])],
    });
    const { graph } = readModel(bytes);
    expect(graph.outputs[0]?.value.shape).toEqual([3]);
    expect(await runGraph(graph, { x: [1, 2, 3, 4] })).toEqual({ y: [2, 3, 4] });
  });

  it('Constant nodes, and floats outside raw data', async () => {
    const t = { dims: [4], dataType: 1, floatData: [1, 2, 3, 4] };
    const bytes = model({
      node: [node('Constant', [], ['c'], [{ name: 'value', type: 4, t }]), node('Add', ['x', 'c'], ['y'])],
    });
    expect(await runGraph(readModel(bytes).graph, { x: [1, 1, 1, 1] })).toEqual({ y: [2, 3, 4, 5] });
  });

  it.each([
    ['value_float', { type: 1, f: 0.5 }, 'float32', [], [0.5]],
    ['value_floats', { type: 6, floats: [0.5, -2] }, 'float32', [2], [0.5, -2]],
    ['value_int', { type: 2, i: '9007199254740993' }, 'int64', [], [9007199254740993n]],
    ['value_ints', { type: 7, ints: [3, -4] }, 'int64', [2], [3n, -4n]],
    ['value', { type: 4, t: { dims: [1], dataType: 9, int32Data: [1] } }, 'bool', [1], [1]],
  ])('a Constant with %s', (name, attribute, dataType, shape, data) => {
    const bytes = model({ node: [node('Constant', [], ['y'], [{ name, ...attribute }])] });
    const y = readModel(bytes).graph.outputs[0]?.value as Value;
    expect([y.dataType, y.shape]).toEqual([dataType, shape]);
    expect(y.origin.kind === 'constant' && [...(y.origin.data as Float32Array)]).toEqual(data);
    expect(y.origin.kind === 'constant' && y.origin.name).toBe('y');
  });

  it('values by name; an Identity of a weight is a weight of its own that shares the numbers', () => {
    const weight = { name: 'bn1.weight', dims: [4], dataType: 1, floatData: [1, 1, 1, 1] };
    const { values } = readModel(
      model({
        node: [
          node('Identity', ['bn1.weight'], ['bn2.weight']),
          node('Mul', ['x', 'bn1.weight'], ['m']),
          node('Dropout', ['m'], ['d', 'mask']),
          node('Mul', ['d', 'bn2.weight'], ['y']),
        ],
        initializer: [weight],
      }),
    );
    expect([...values.keys()]).toEqual(['bn1.weight', 'x', 'bn2.weight', 'm', 'd', 'y']);
    expect(values.get('d')).toBe(values.get('m'));
    const [first, second] = ['bn1.weight', 'bn2.weight'].map((name) => values.get(name)?.origin);
    if (first?.kind !== 'constant' || second?.kind !== 'constant') throw new Error('not constant');
    expect([first.name, second.name]).toEqual(['bn1.weight', 'bn2.weight']);
    expect(second.data).toBe(first.data);
    const y = values.get('y')?.origin;
    expect(y?.kind === 'node' && y.node.inputs).toEqual([values.get('d'), values.get('bn2.weight')]);
    expect(values.get('bn2.weight')).not.toBe(values.get('bn1.weight'));
  });

  it('the names of nodes', () => {
    const origin = readModel(model({ node: [{ ...relued, name: 'act' }] })).values.get('y')?.origin;
    expect(origin?.kind === 'node' && origin.node.name).toBe('act');
  });

  it('axes of reductions as an attribute, before opset 18', async () => {
    const axes = (list: number[]) => [
      { name: 'axes', type: 7, ints: list },
      { name: 'keepdims', type: 2, i: 0 },
    ];
    const bytes = model({
      input: [
        {
          name: 'x',
          type: { tensorType: { elemType: 1, shape: { dim: [{ dimValue: 2 }, { dimValue: 2 }] } } },
        },
      ],
      node: [node('ReduceMean', ['x'], ['y'], axes([1]))],
    });
    const { graph } = readModel(bytes);
    expect(graph.outputs[0]?.value.shape).toEqual([2]);
    expect(await runGraph(graph, { x: [1, 2, 5, 8] })).toEqual({ y: [1.5, 6.5] });
  });

  it('a split into equal parts without saying into how many, before opset 18', async () => {
    const bytes = model({ node: [node('Split', ['x'], ['first', 'y'], [{ name: 'axis', type: 2, i: 0 }])] });
    expect(await runGraph(readModel(bytes).graph, { x: [1, 2, 3, 4] })).toEqual({ y: [3, 4] });
  });

  it('weights that are listed as inputs too', () => {
    const bytes = model({
      node: [node('Add', ['x', 'w'], ['y'])],
      input: [
        { name: 'x', type: float },
        { name: 'w', type: float },
      ],
      initializer: [{ name: 'w', dims: [4], dataType: 1, floatData: [1, 2, 3, 4] }],
    });
    expect(readModel(bytes).graph.inputs.map(({ name }) => name)).toEqual(['x']);
  });

  it.each([
    ['a name', { dimParam: 'batch' }, 'batch'],
    ['nothing', {}, 'x_0'],
    ['−1', { dimValue: -1 }, 'x_0'],
    ['0', { dimValue: 0 }, 0],
  ])('a size given as %s', (_, dim, expected) => {
    const type = { tensorType: { elemType: 1, shape: { dim: [dim] } } };
    const { graph } = readModel(model({ node: [relued], input: [{ name: 'x', type }] }));
    expect(graph.inputs[0]?.value.shape).toEqual([expected]);
  });

  it.each([
    [
      'an old operator set',
      model({ node: [relued] }, { opsetImport: [{ domain: '', version: 6 }] }),
      /must be in 7 to 21, got 6\. Export/,
    ],
    [
      'an operator set of the future',
      model({ node: [relued] }, { opsetImport: [{ domain: '', version: 22 }] }),
      /must be in 7 to 21, got 22\. Export/,
    ],
    ['no operator set', model({ node: [relued] }, { opsetImport: [] }), /got 0/],
    [
      'another domain',
      model({ node: [{ ...relued, domain: 'com.example' }] }),
      /operator set that the file names, got 'com.example'/,
    ],
    [
      'an operator that is not there',
      model({ node: [{ ...relued, name: 'n', opType: 'Mystery' }] }),
      /node 'n' \(Mystery\) of the standard domain is not a known operator/,
    ],
    [
      'a name that is a method of objects',
      model({ node: [{ ...relued, opType: 'toString' }] }),
      /\(toString\)/,
    ],
    [
      'a value that nothing makes',
      model({ node: [node('Relu', ['z'], ['y'])] }),
      /uses 'z', which nothing before it makes/,
    ],
    ['a value made twice', model({ node: [relued, relued] }), /must make a new value, got 'y' again/],
    ['an output that nothing makes', model({ node: [] }), /output 'y' must be made by a node/],
    [
      'an input without axes',
      model({ node: [relued], input: [{ name: 'x', type: { tensorType: { elemType: 1 } } }] }),
      /known number of axes/,
    ],
    [
      'an unknown data type',
      model({
        node: [relued],
        input: [{ name: 'x', type: { tensorType: { elemType: 14, shape: { dim: [] } } } }],
      }),
      /got ONNX type number 14/,
    ],
    [
      'weights in another file',
      model({ node: [relued], initializer: [{ name: 'w', dims: [1], dataType: 1, dataLocation: 1 }] }),
      /tensor 'w' must be inside the file/,
    ],
    [
      'too few elements',
      model({ node: [relued], initializer: [{ name: 'w', dims: [3], dataType: 1, floatData: [1] }] }),
      /must have 3 elements, got 1/,
    ],
    [
      'half an element',
      model({
        node: [relued],
        initializer: [{ name: 'w', dims: [1], dataType: 1, rawData: new Uint8Array(3) }],
      }),
      /whole float32 elements, got 3 bytes/,
    ],
    [
      'negative sizes',
      model({ node: [relued], initializer: [{ name: 'w', dims: [-1, -1], dataType: 1, floatData: [1] }] }),
      /sizes of 0 or more/,
    ],
    [
      'a graph inside an attribute',
      model({ node: [node('Relu', ['x'], ['y'], [{ name: 'body', type: 5 }])] }),
      /must not hold a graph, got attribute 'body'/,
    ],
    [
      'shapes that do not fit',
      model({
        node: [node('MatMul', ['x', 'w'], ['y'])],
        initializer: [{ name: 'w', dims: [3], dataType: 1, floatData: [1, 2, 3] }],
      }),
      /readModel: node '' \(MatMul\): MatMul: the inner dimensions/,
    ],
    ['no graph', ModelProto.encode({ irVersion: 8 }).finish(), /got no graph/],
    ['no bytes', new Uint8Array(), /got an empty file/],
    ['text', Buffer.from('this is not an ONNX model at all'), /must be an ONNX model/],
  ])('refuses %s', (_, bytes, message) => {
    expect(() => readModel(bytes)).toThrow(message);
  });
});

describe('damaged files', () => {
  const picture = input('picture', 'float32', [4, 3, 8, 8]);
  const kernel = input('kernel', 'float32', [6, 3, 3, 3]);
  const channels = (fill: number) => constant(new Float32Array(6).fill(fill));
  const { y } = batchNormalizationTraining(
    convolution(picture, kernel, undefined, { stride: 2, padding: 1 }),
    channels(1),
    channels(0),
  );
  const weight = constant(new Float32Array(96 * 5), [96, 5], { name: 'head.weight' });
  const logits = add(matmul(reshape(relu(y), [4, -1]), weight), constant([1, 2, 3, 4, 5]));
  const loss = reduceMean(gather(logSoftmax(logits), int64([1, 3]), 1), 'all');
  const outputs = { loss, byKernel: gradients(loss, [kernel])[0] as Value };
  const bytes = writeModel(buildGraph([picture, kernel], outputs), { metadata: { a: 'b' } });

  /** Reading must end, in a graph that can be printed or in one of our errors on one line. */
  function mustEnd(damaged: Uint8Array, where: string): 'read' | 'refused' {
    try {
      print(mergeDuplicates(readModel(damaged).graph));
      return 'read';
    } catch (error) {
      const { name, message } = error as Error;
      expect(['GraphError', 'ShapeError'], `${where}: ${name}: ${message}`).toContain(name);
      expect(message, where).toMatch(/^[^\n]+$/);
      return 'refused';
    }
  }

  it('that are cut off are refused', () => {
    const cuts = Array.from({ length: 150 }, (_, i) => Math.floor((i * bytes.length) / 150));
    const kinds = cuts.map((length) => mustEnd(bytes.subarray(0, length), `cut at ${length}`));
    expect(kinds.filter((kind) => kind === 'read')).toEqual([]);
  });

  it('with bytes changed, put in, or taken out end in an error of ours, or are read', () => {
    let refused = 0;
    for (let seed = 0; seed < 400; seed++) {
      const draw = Random.from(seed);
      const damaged = [...bytes];
      const changes = 1 + draw.integer(4);
      for (let i = 0; i < changes; i++) {
        // Most of a file is weights, in which any byte is fine: half of the changes go to the nodes at the front.
        const place = draw.integer(draw.uniform() < 0.5 ? 2000 : damaged.length);
        const kind = draw.integer(3);
        damaged.splice(place, kind === 0 ? 0 : 1, ...(kind === 2 ? [] : [draw.integer(256)]));
      }
      if (mustEnd(Uint8Array.from(damaged), `seed ${seed}`) === 'refused') refused++;
    }
    expect(refused).toBeGreaterThan(100);
  });

  it('of random bytes are refused', () => {
    for (let seed = 0; seed < 200; seed++) {
      const draw = Random.from(seed, 1);
      const noise = Uint8Array.from({ length: draw.integer(300) }, () => draw.integer(256));
      expect(mustEnd(noise, `seed ${seed}`)).toBe('refused');
    }
  });
});
