/**
 * What a row of the gradient table is, and how it is checked: the operator runs in onnxruntime, its value is compared
 * with plain TypeScript in float64, and its gradient with central differences of that plain TypeScript.
 */
import { expect } from 'vitest';
import {
  buildGraph,
  cast,
  type DataType,
  gradients,
  input,
  type OperatorName,
  reduceSum,
  type TensorData,
  type Value,
} from '../../src/graph/index.js';
import { Session, type Tensor, writeModel } from '../../src/onnx/index.js';
import { Random } from '../../src/util/index.js';
import type { NdArray } from './reference.js';

export interface InputSpec {
  readonly shape: readonly number[];
  readonly dataType: DataType;
  /** Elements are drawn from [low, high)… */
  readonly low: number;
  readonly high: number;
  /** …or given. */
  readonly values?: readonly number[];
}

export interface Row {
  readonly operator: OperatorName;
  /** What is particular about the row. */
  readonly name: string;
  readonly inputs: readonly InputSpec[];
  readonly build: (...inputs: Value[]) => Value;
  readonly reference: (...inputs: NdArray[]) => NdArray;
  /**
   * `'smooth'` (default): compared with central differences. `'zero'`: must be zero. `'none'`: asking for it must
   * fail with an error that names the operator. Lists: must be that, one list an input that is differentiated, for an
   * output gradient of ones (at points where the derivative does not exist).
   */
  readonly gradient?: 'smooth' | 'zero' | 'none' | readonly (readonly number[])[];
  /** Relative tolerance of the value. Default 1e-5. */
  readonly tolerance?: number;
}

/** A float32 input, drawn uniformly. */
export const float = (shape: readonly number[], low = -1, high = 1): InputSpec => ({
  shape,
  dataType: 'float32',
  low,
  high,
});
/** An input with given elements. */
export const given = (
  shape: readonly number[],
  values: readonly number[],
  dataType: DataType = 'float32',
): InputSpec => ({ shape, dataType, low: 0, high: 0, values });
/** A bool input with about as many ones as zeros. */
export const bool = (shape: readonly number[]): InputSpec => ({ shape, dataType: 'bool', low: 0, high: 2 });

/** Draws the inputs, runs the row, and compares. A failure's message has the seed. */
export async function checkRow(row: Row, seed: number): Promise<void> {
  const where = `${row.operator}, ${row.name} (seed ${seed})`;
  const random = Random.from(seed);
  const arrays = row.inputs.map((spec) => draw(spec, random));
  const values = row.inputs.map(({ dataType, shape }, i) => input(`x${i}`, dataType, shape));
  const y = row.build(...values);
  const expected = row.reference(...arrays);
  const targets = values.flatMap((value, i) => (value.dataType === 'float32' ? [i] : []));
  const feeds: Record<string, Tensor> = {};
  row.inputs.forEach((spec, i) => {
    feeds[`x${i}`] = { ...spec, data: typedArray(arrays[i]?.data as Float64Array, spec.dataType) };
  });

  const kind = row.gradient ?? 'smooth';
  const isGiven = typeof kind !== 'string';
  const g = input('g', 'float32', y.shape);
  const gradient = arrays.map(() => undefined as NdArray | undefined);
  const outputs: Record<string, Value> = { y };
  const differentiated = targets.map((i) => values[i] as Value);
  if (kind === 'none') {
    expect(() => gradients([y], differentiated, [g]), where).toThrow(row.operator);
  } else if (kind === 'zero') {
    const root = reduceSum(cast(y, 'float32'), 'all');
    gradients(root, differentiated).forEach((value, i) => {
      outputs[`d${targets[i]}`] = value;
    });
  } else {
    gradients([y], differentiated, [g]).forEach((value, i) => {
      outputs[`d${targets[i]}`] = value;
    });
    const size = y.shape.reduce<number>((product, dimension) => product * Number(dimension), 1);
    const data = Float64Array.from({ length: size }, () => (isGiven ? 1 : Math.fround(random.normal())));
    feeds.g = { dataType: 'float32', shape: y.shape as number[], data: Float32Array.from(data) };
  }

  const isFed = feeds.g !== undefined;
  const graph = buildGraph(isFed ? [...values, g] : values, outputs);
  expect(
    graph.nodes.map(({ operator }) => operator.name),
    `${where}: the row must use its operator`,
  ).toContain(row.operator);
  const session = await Session.create(writeModel(graph), { threads: 1 });
  const results = await session.run(feeds);
  await session.close();

  const got = results.y as Tensor;
  expect(got.dataType, `${where}: data type`).toBe(y.dataType);
  expect(got.shape, `${where}: inferred shape`).toEqual(y.shape);
  expect(got.shape, `${where}: shape`).toEqual(expected.shape);
  compare(got, expected, row.tolerance ?? 1e-5, where);

  for (const i of targets) {
    if (kind === 'none') continue;
    const result = results[`d${i}`] as Tensor;
    expect(result.shape, `${where}: shape of the gradient by input ${i}`).toEqual(row.inputs[i]?.shape);
    gradient[i] = { shape: result.shape, data: Float64Array.from(result.data as Float32Array) };
    const numbers = [...(gradient[i] as NdArray).data];
    const message = `${where}: gradient by input ${i}`;
    expect(numbers.every(Number.isFinite), `${message} must be finite, got ${numbers}`).toBe(true);
    if (kind === 'zero')
      expect(
        numbers.every((x) => x === 0),
        message,
      ).toBe(true);
    else if (isGiven) expect(numbers.map(round), message).toEqual(kind[targets.indexOf(i)]?.map(round));
    else compareDirection(row, arrays, i, gradient[i] as NdArray, feeds.g as Tensor, random, message);
  }
}

/** Every element within `tolerance` relative to it or to the array's root mean square. */
export function compare(got: Tensor, expected: NdArray, tolerance: number, where: string): void {
  const squares = expected.data.reduce((total, x) => total + x * x, 0);
  const scale = Math.sqrt(squares / Math.max(1, expected.data.length));
  expect(got.data.length, `${where}: number of elements`).toBe(expected.data.length);
  expected.data.forEach((wanted, i) => {
    const number = Number(got.data[i]);
    if (Object.is(number, wanted)) return;
    const isNear = Math.abs(number - wanted) <= tolerance * Math.max(Math.abs(wanted), scale) + 1e-30;
    if (!isNear) expect.fail(`${where}: element ${i} must be ${wanted}, got ${number}`);
  });
}

// --- internal ---

const round = (x: number) => Number(x.toFixed(5)) + 0;

function draw({ shape, dataType, low, high, values }: InputSpec, random: Random): NdArray {
  const size = shape.reduce((product, dimension) => product * dimension, 1);
  const data = Float64Array.from({ length: size }, (_, i) => {
    if (values !== undefined) return values[i] as number;
    const number = random.between(low, high);
    return dataType === 'float32' ? Math.fround(number) : Math.floor(number);
  });
  return { shape, data };
}

function typedArray(data: Float64Array, dataType: DataType): TensorData {
  switch (dataType) {
    case 'float32':
      return Float32Array.from(data);
    case 'int64':
      return BigInt64Array.from(data as unknown as number[], (x) => BigInt(x));
    case 'int32':
      return Int32Array.from(data);
    case 'int8':
      return Int8Array.from(data);
    case 'float64':
      return data;
    case 'bool':
    case 'uint8':
      return Uint8Array.from(data);
    case 'float16':
      throw new Error('gradient table: float16 is not fed');
  }
}

const STEP = 1e-5;

/** The slope of `Σ reference · g` along a random direction of one input against the gradient's product with it. */
function compareDirection(
  row: Row,
  arrays: readonly NdArray[],
  which: number,
  gradient: NdArray,
  g: Tensor,
  random: Random,
  where: string,
): void {
  const x = arrays[which] as NdArray;
  const direction = Float64Array.from(x.data, () => random.normal());
  let size = 0;
  const loss = (sign: number) => {
    const moved = {
      shape: x.shape,
      data: x.data.map((element, i) => element + sign * STEP * (direction[i] as number)),
    };
    const y = row.reference(...arrays.map((array, i) => (i === which ? moved : array)));
    size = 0;
    return y.data.reduce((total, element, i) => {
      const term = element * Number(g.data[i]);
      size += Math.abs(term);
      return total + term;
    }, 0);
  };
  const slope = (loss(1) - loss(-1)) / (2 * STEP);
  let product = 0;
  let scale = Math.abs(slope);
  gradient.data.forEach((element, i) => {
    const term = element * (direction[i] as number);
    product += term;
    scale = Math.max(scale, Math.abs(term));
  });
  const allowed = 1e-4 * scale + 1e-9 * (1 + size);
  expect(
    Math.abs(product - slope),
    `${where}: along a random direction must be ${slope}, got ${product}`,
  ).toBeLessThanOrEqual(allowed);
}
