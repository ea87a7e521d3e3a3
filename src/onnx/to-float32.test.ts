/** Half and double precision as float32, against onnxruntime running the original file. */
import { describe, expect, it } from 'vitest';
import {
  attribute,
  floats,
  modelBytes,
  node,
  numbers,
  runBytes,
  tensorType,
} from '../../test/support/onnx-model.js';
import { float32ToFloat16 } from '../util/index.js';
import { readModel } from './read.js';
import { floatTensor, type Tensor } from './session.js';
import { toFloat32 } from './to-float32.js';
import { writeModel } from './write.js';

const half = (name: string, dims: readonly number[], values: Float32Array) => ({
  name,
  dims,
  dataType: 10,
  rawData: new Uint8Array(float32ToFloat16(values).buffer),
});

/** x → (float16) → matrix product, softmax → y float16, z float32; half-precision arithmetic all the way. */
const bytes = modelBytes(13, {
  shape: [2, 8],
  node: [
    node('Cast', ['x'], ['h'], [attribute('to', 10)], { name: 'to_half' }),
    node('MatMul', ['h', 'w'], ['l']),
    node('Add', ['l', 'b'], ['a']),
    node('Softmax', ['a'], ['y']),
    node('Cast', ['a'], ['z'], [attribute('to', 1)]),
  ],
  initializer: [half('w', [8, 4], numbers(32)), half('b', [4], Float32Array.of(0.1, 2 ** -20, -3, 7))],
  output: [
    { name: 'y', type: tensorType([2, 4], 10) },
    { name: 'z', type: tensorType([2, 4]) },
  ],
});

const numbersOf = (tensor: Tensor | undefined) => Array.from((tensor as Tensor).data, Number);

describe('toFloat32', () => {
  it('gives what half precision gives, to its accuracy', async () => {
    const model = toFloat32(readModel(bytes));
    expect([...model.values.values()].map(({ dataType }) => dataType)).not.toContain('float16');
    expect(model.graph.outputs.map(({ value }) => value.dataType)).toEqual(['float32', 'float32']);
    const x = floatTensor(numbers(16), [2, 8]);
    const single = await runBytes(writeModel(model.graph), { x });
    const original = await runBytes(bytes, { x });
    const z = numbersOf(original.z);
    numbersOf(single.z).forEach((value, i) => {
      expect(Math.abs(value - (z[i] as number))).toBeLessThanOrEqual(
        2e-3 * Math.max(1, Math.abs(z[i] as number)),
      );
    });
  });

  it('keeps the names and the numbers of weights exactly', () => {
    const { values } = toFloat32(readModel(bytes));
    const origin = values.get('b')?.origin;
    if (origin?.kind !== 'constant') throw new Error('not constant');
    expect(origin.name).toBe('b');
    expect([...(origin.data as Float32Array)]).toEqual([0.0999755859375, 2 ** -20, -3, 7]);
  });

  it('rounds doubles', async () => {
    const doubled = modelBytes(13, {
      node: [
        node('Cast', ['x'], ['d'], [attribute('to', 11)]),
        node('Mul', ['d', 'c'], ['m']),
        node('Cast', ['m'], ['y'], [attribute('to', 1)]),
      ],
      initializer: [{ name: 'c', dims: [1], dataType: 11, doubleData: [0.1] }],
    });
    const model = toFloat32(readModel(doubled));
    expect(model.graph.nodes.map(({ operator }) => operator.name)).toEqual(['Mul']);
    const x = floatTensor(Float32Array.of(1, 2, 3, 4), [4]);
    const { y } = await runBytes(writeModel(model.graph), { x });
    const tenth = Math.fround(0.1);
    expect(numbersOf(y)).toEqual([1, 2, 3, 4].map((factor) => Math.fround(tenth * factor)));
  });

  it('leaves opaque operators as they are, between casts', async () => {
    const opaque = modelBytes(
      13,
      {
        node: [
          node('Cast', ['x'], ['h'], [attribute('to', 10)]),
          node('Mystery', ['h'], ['q'], [], { domain: 'com.example' }),
          node('Cast', ['q'], ['y'], [attribute('to', 1)]),
        ],
        valueInfo: [{ name: 'q', type: tensorType([4], 10) }],
      },
      {
        opsetImport: [
          { domain: '', version: 13 },
          { domain: 'com.example', version: 2 },
        ],
      },
    );
    const { graph, values } = toFloat32(readModel(opaque));
    expect(graph.nodes.map(({ operator }) => operator.name)).toEqual(['Cast', 'Mystery', 'Cast']);
    expect(values.get('q')?.dataType).toBe('float32');
    expect(graph.nodes[1]?.outputs[0]?.dataType).toBe('float16');
  });

  it('returns a float32 model itself', () => {
    const model = readModel(
      modelBytes(13, { node: [node('Add', ['x', 'c'], ['y'])], initializer: [floats('c', [1], [1])] }),
    );
    expect(toFloat32(model)).toBe(model);
  });
});
