/**
 * Types of the outputs of operators that the IR does not know, from onnxruntime: the model is run on zeros and the
 * outputs looked at. A size that follows a named one of the inputs is found by running again with another number.
 */
import type { DataType, Dimension, TensorType } from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { decodeModel } from './read.js';
import { mayBeOpaque, typeOf } from './read-nodes.js';
import { type ModelMessage, ModelProto } from './schema.js';
import { Session, type Tensor } from './session.js';

/**
 * The types of all outputs of unknown operators of a serialised model, by name, to be given to `readModel`.
 * @throws GraphError when onnxruntime cannot run the model on zeros.
 */
export async function inferTypes(bytes: Uint8Array): Promise<ReadonlyMap<string, TensorType>> {
  return inferMessageTypes(decodeModel(bytes));
}

/** The same for a decoded model. */
export async function inferMessageTypes(message: ModelMessage): Promise<ReadonlyMap<string, TensorType>> {
  const graph = message.graph as NonNullable<ModelMessage['graph']>;
  const wanted = graph.node.filter(mayBeOpaque).flatMap(({ output }) => output.filter((name) => name !== ''));
  const outputs = [...new Set([...graph.output.map(({ name }) => name), ...wanted])].map((name) => ({
    name,
  }));
  const bytes = ModelProto.encode({ ...message, graph: { ...graph, output: outputs } }).finish();
  const session = await Session.create(bytes);
  try {
    return await shapesBySize(session, message, wanted);
  } finally {
    await session.close();
  }
}

// --- internal ---

/** Sizes for named dimensions: of the first axis, which is the batch, and of others. */
const TRIED = { batch: [2, 3], other: [224, 256] } as const;

async function shapesBySize(
  session: Session,
  { graph }: ModelMessage,
  wanted: readonly string[],
): Promise<Map<string, TensorType>> {
  const weights = new Set(graph?.initializer.map(({ name }) => name));
  const inputs = (graph?.input ?? []).filter(({ name }) => !weights.has(name));
  const types = inputs.map((info) => {
    const type = typeOf(info);
    if (type === undefined)
      throw new GraphError(`inferTypes: input '${info.name}' must be a tensor of known rank.`);
    return { name: info.name, ...type };
  });
  const tried = new Map<string, readonly [number, number]>();
  for (const { shape } of types) {
    shape.forEach((dimension, axis) => {
      if (typeof dimension === 'string' && !tried.has(dimension)) {
        tried.set(dimension, axis === 0 ? TRIED.batch : TRIED.other);
      }
    });
  }
  const run = (changed: string | undefined) => {
    const sizeOfName = (name: string) => tried.get(name)?.[name === changed ? 1 : 0] as number;
    const feeds: Record<string, Tensor> = {};
    for (const { name, dataType, shape } of types) {
      const sizes = shape.map((dimension) =>
        typeof dimension === 'string' ? sizeOfName(dimension) : dimension,
      );
      feeds[name] = zeros(dataType, sizes);
    }
    return session.run(feeds, wanted);
  };
  const base = await run(undefined);
  const others: [string, Record<string, Tensor>][] = [];
  for (const name of tried.keys()) others.push([name, await run(name)]);

  const result = new Map<string, TensorType>();
  for (const name of wanted) {
    const { dataType, shape } = base[name] as Tensor;
    const dimensions = shape.map((size, axis): Dimension => {
      const followed = others.filter(([, outputs]) => outputs[name]?.shape[axis] !== size);
      const [dimension, outputs] = followed[0] ?? [];
      if (dimension === undefined) return size;
      const [before, after] = tried.get(dimension) as readonly [number, number];
      const factor = size / before;
      const isMultiple = followed.length === 1 && factor * after === outputs?.[name]?.shape[axis];
      if (!isMultiple || !Number.isInteger(factor)) return `${name}_${axis}`;
      return factor === 1 ? dimension : `${factor}*${dimension}`;
    });
    result.set(name, { dataType, shape: dimensions });
  }
  return result;
}

function zeros(dataType: DataType, shape: readonly number[]): Tensor {
  const count = shape.reduce((product, size) => product * size, 1);
  return { dataType, shape, data: new ARRAYS[dataType](count) };
}

const ARRAYS = {
  float32: Float32Array,
  float16: Uint16Array,
  float64: Float64Array,
  int64: BigInt64Array,
  int32: Int32Array,
  int8: Int8Array,
  uint8: Uint8Array,
  bool: Uint8Array,
} as const satisfies Record<DataType, unknown>;
