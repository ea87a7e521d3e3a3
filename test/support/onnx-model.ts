/**
 * ONNX files made by hand, as other programs write them; and their results in onnxruntime, before and after reading.
 */
import { expect } from 'vitest';
import { type ReadModel, readModel, Session, type Tensor, writeModel } from '../../src/onnx/index.js';
import { ModelProto } from '../../src/onnx/schema.js';

export type Fields = Record<string, unknown>;

/** A tensor type: sizes by number or name. */
export const tensorType = (shape: readonly (number | string)[], elemType = 1): Fields => ({
  tensorType: {
    elemType,
    shape: { dim: shape.map((d) => (typeof d === 'number' ? { dimValue: d } : { dimParam: d })) },
  },
});

/** An attribute of the kind that its value has; `float` forces floats. */
export function attribute(name: string, value: unknown, float = false): Fields {
  if (typeof value === 'string') return { name, type: 3, s: Buffer.from(value) };
  if (typeof value === 'number') return float ? { name, type: 1, f: value } : { name, type: 2, i: value };
  if (Array.isArray(value)) {
    if (typeof value[0] === 'string')
      return { name, type: 8, strings: value.map((text) => Buffer.from(text)) };
    return float ? { name, type: 6, floats: value } : { name, type: 7, ints: value };
  }
  return { name, type: 4, t: value };
}

export const node = (
  opType: string,
  input: readonly string[],
  output: readonly string[],
  attributes: readonly Fields[] = [],
  rest: Fields = {},
): Fields => ({ opType, input, output, attribute: attributes, ...rest });

export const floats = (name: string, dims: readonly number[], floatData: readonly number[]): Fields => ({
  name,
  dims,
  dataType: 1,
  floatData,
});

export const int64s = (name: string, int64Data: readonly number[], dims = [int64Data.length]): Fields => ({
  name,
  dims,
  dataType: 7,
  int64Data,
});

/** A serialised model; input x and output y unless the graph says otherwise. */
export function modelBytes(
  opset: number,
  graph: Fields & { shape?: readonly (number | string)[] },
  rest: Fields = {},
): Uint8Array {
  const { shape = [4], ...fields } = graph;
  // An IR version of the opset's time: older ones want initialisers among the inputs.
  const irVersion = opset >= 21 ? 10 : opset >= 19 ? 9 : opset >= 9 ? 4 : 3;
  const input: Fields[] = [{ name: 'x', type: tensorType(shape) }];
  const initializer = (fields.initializer ?? []) as { name: string; dims: number[]; dataType: number }[];
  if (irVersion < 4 && fields.input === undefined) {
    for (const { name, dims, dataType } of initializer)
      input.push({ name, type: tensorType(dims, dataType) });
  }
  const message = {
    irVersion,
    opsetImport: [{ domain: '', version: opset }],
    graph: { name: 'g', input, output: [{ name: 'y', type: tensorType([]) }], ...fields },
    ...rest,
  };
  // Outputs without a type: onnxruntime infers them.
  if (fields.output === undefined) message.graph.output = [{ name: 'y' }] as never;
  return ModelProto.encode(ModelProto.fromObject(message)).finish();
}

/** Numbers that are positive and negative, without structure. */
export function numbers(count: number): Float32Array {
  return Float32Array.from({ length: count }, (_, i) => (((i * 37) % 83) - 41) / 16);
}

/** Runs a serialised model. */
export async function runBytes(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
): Promise<Record<string, Tensor>> {
  const session = await Session.create(bytes, { threads: 1 });
  try {
    return await session.run(feeds);
  } finally {
    await session.close();
  }
}

/** Reads, writes, and expects the results that onnxruntime gives for the original bytes. */
export async function expectSameResults(
  bytes: Uint8Array,
  feeds: Readonly<Record<string, Tensor>>,
  { tolerance = 1e-5, model = readModel(bytes) }: { tolerance?: number; model?: ReadModel } = {},
): Promise<ReadModel> {
  const expected = await runBytes(bytes, feeds);
  const actual = await runBytes(writeModel(model.graph), feeds);
  expect(Object.keys(actual)).toEqual(Object.keys(expected));
  for (const [name, tensor] of Object.entries(expected)) {
    expect(actual[name]?.shape, name).toEqual(tensor.shape);
    expect(actual[name]?.dataType, name).toBe(tensor.dataType);
    const wanted = Array.from(tensor.data as ArrayLike<number | bigint>, Number);
    const got = Array.from(actual[name]?.data as ArrayLike<number | bigint>, Number);
    const scale = Math.max(1e-30, ...wanted.map((x) => (Number.isFinite(x) ? Math.abs(x) : 0)));
    wanted.forEach((number, i) => {
      if (Number.isFinite(number)) {
        expect(Math.abs((got[i] as number) - number) / scale, `${name}[${i}]`).toBeLessThanOrEqual(tolerance);
      } else expect(got[i], `${name}[${i}]`).toBe(number);
    });
  }
  return model;
}
