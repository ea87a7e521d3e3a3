/**
 * Runs values in onnxruntime, for tests: numbers in, numbers out.
 */
import { buildGraph, type Graph, sizeOf, type Value } from '../../src/graph/index.js';
import { Session, type Tensor, writeModel } from '../../src/onnx/index.js';

/** Float32 inputs by name → elements of each output. Sizes are those of the input values, which must be known. */
export async function runValues(
  inputs: readonly Value[],
  outputs: Readonly<Record<string, Value>>,
  numbers: Readonly<Record<string, readonly number[]>>,
): Promise<Record<string, number[]>> {
  return runGraph(buildGraph(inputs, outputs), numbers);
}

/** The same for a graph. */
export async function runGraph(
  graph: Graph,
  numbers: Readonly<Record<string, readonly number[]>>,
): Promise<Record<string, number[]>> {
  const session = await Session.create(writeModel(graph), { threads: 1 });
  const feeds: Record<string, Tensor> = {};
  for (const { name, value } of graph.inputs) {
    const shape = value.shape as readonly number[];
    const data = Float32Array.from(numbers[name] ?? []);
    if (data.length !== sizeOf(shape)) throw new Error(`runGraph: '${name}' is given ${data.length} numbers`);
    feeds[name] = { dataType: 'float32', shape, data };
  }
  const results = await session.run(feeds);
  await session.close();
  return Object.fromEntries(
    Object.entries(results).map(([name, { data }]) => [
      name,
      Array.from(data as ArrayLike<number | bigint>, Number),
    ]),
  );
}
