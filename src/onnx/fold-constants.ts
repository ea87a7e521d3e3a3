/**
 * What depends on nothing but constants, computed once by onnxruntime: masks, positions, and other tables that
 * exporters write as nodes.
 */
import {
  constant,
  type Graph,
  type Node,
  substitute,
  type TensorData,
  topologicalOrder,
  type Value,
  verify,
} from '../graph/index.js';
import type { ReadModel } from './read.js';
import { Session, type Tensor } from './session.js';
import { writeModel } from './write.js';

export interface FoldOptions {
  /** Whether a constant is trained; what depends on it stays as it is. */
  readonly isParameter: (constant: Value) => boolean;
  /** Larger results stay nodes. Default 64 MB. */
  readonly largestBytes?: number;
}

/**
 * Replaces the largest parts of the graph that depend on constants alone, none of them a parameter, by constants.
 * @throws GraphError when onnxruntime cannot compute such a part.
 */
export async function foldConstants(
  model: ReadModel,
  { isParameter, largestBytes = 64 * 2 ** 20 }: FoldOptions,
): Promise<ReadModel> {
  const { graph } = model;
  const frontier = foldableFrontier(graph, isParameter).filter((value) => bytesOf(value) <= largestBytes);
  if (frontier.length === 0) return model;

  const named = [...model.values];
  const nameOf = new Map(named.map(([name, value]) => [value, name]));
  const results = await evaluate(frontier);
  const replacements = new Map(
    frontier.map((value, i) => {
      const { data, shape } = results[i] as Tensor;
      const name = nameOf.get(value);
      const options = { dataType: value.dataType, ...(name === undefined ? {} : { name }) };
      return [value, constant(arrayOf(data), shape, options)];
    }),
  );
  const roots = [...named.map(([, value]) => value), ...graph.outputs.map(({ value }) => value)];
  const replaced = substitute(roots, replacements);
  const outputs = graph.outputs.map(({ name }, i) => ({ name, value: replaced[named.length + i] as Value }));
  return {
    ...model,
    graph: verify({
      inputs: graph.inputs,
      outputs,
      nodes: topologicalOrder(outputs.map(({ value }) => value)),
    }),
    values: new Map(named.map(([name], i) => [name, replaced[i] as Value])),
  };
}

// --- internal ---

const RANDOM = /^Random|^Bernoulli$|^Multinomial$|^Dropout$/;

/** The values that depend on constants alone and are used by what does not, or are outputs. */
function foldableFrontier(graph: Graph, isParameter: (constant: Value) => boolean): Value[] {
  const foldable = new Set<Node>();
  const isFixed = (value: Value | undefined): boolean => {
    if (value === undefined) return true;
    const { origin } = value;
    return origin.kind === 'constant'
      ? !isParameter(value)
      : origin.kind === 'node' && foldable.has(origin.node);
  };
  const frontier = new Set<Value>();
  const use = (value: Value | undefined) => {
    if (value?.origin.kind === 'node' && foldable.has(value.origin.node)) frontier.add(value);
  };
  for (const node of graph.nodes) {
    if (node.inputs.length > 0 && !RANDOM.test(node.operator.name) && node.inputs.every(isFixed)) {
      foldable.add(node);
    } else node.inputs.forEach(use);
  }
  for (const { value } of graph.outputs) use(value);
  return [...frontier];
}

/** Of a shape that is not known in full, none: it is small, or is found out when it is computed. */
function bytesOf({ shape, dataType }: Value): number {
  const size = shape.reduce<number>((product, size) => product * (typeof size === 'number' ? size : 1), 1);
  return size * (dataType === 'int64' || dataType === 'float64' ? 8 : 4);
}

async function evaluate(values: readonly Value[]): Promise<Tensor[]> {
  const outputs = values.map((value, i) => ({ name: `folded_${i}`, value }));
  const bytes = writeModel({ inputs: [], outputs, nodes: topologicalOrder(values) });
  const session = await Session.create(bytes);
  try {
    const results = await session.run({});
    return outputs.map(({ name }) => results[name] as Tensor);
  } finally {
    await session.close();
  }
}

/** Where JavaScript has a float16 array the runtime gives one: its bits are what the IR holds. */
function arrayOf(data: TensorData): TensorData {
  const { buffer, byteOffset, length } = data;
  return data.constructor.name === 'Float16Array' ? new Uint16Array(buffer, byteOffset, length) : data;
}
