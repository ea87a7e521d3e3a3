/**
 * What a training step of an imported network costs on this machine: the step is built as one graph (forward, the
 * gradients of the mean square of the features by all trainable parameters, gradient descent) and run.
 */
import {
  buildGraph,
  type Graph,
  gradients,
  input,
  mergeDuplicates,
  multiply,
  prepare,
  reduceMean,
  scale,
  sizeOf,
  substitute,
  subtract,
  type TensorData,
  type Value,
} from '../graph/index.js';
import { Session, type Tensor, writeModel } from '../onnx/index.js';
import { GraphError, Random, stopwatch } from '../util/index.js';
import { onePictureShapes } from './cut-points.js';
import { parameterRoles } from './parameter-roles.js';

export interface StepCostOptions {
  readonly batch: number;
  /** Stands for the picture's height and width where the file leaves them open. Default 224. */
  readonly size?: number;
  /** Threads of onnxruntime. Default: all cores. */
  readonly threads?: number;
  readonly signal?: AbortSignal;
}

export interface StepCost {
  /** Median of three steps, after one that is not counted. */
  readonly seconds: number;
  readonly picturesPerSecond: number;
  /** Elements of the parameters that the step trains. */
  readonly parameters: number;
  /** The most memory that the process had held up to the end of the runs. */
  readonly peakBytes: number;
}

/**
 * Measures a step that trains the parameters between `from` and `features`.
 * @param from the picture, or a cut point, whose values are then taken as known (a cached prefix).
 * @throws GraphError when an operator on the way has no gradient rule, or nothing can be trained.
 */
export async function measureStep(
  graph: Graph,
  from: Value,
  features: Value,
  { batch, size = 224, threads, signal }: StepCostOptions,
): Promise<StepCost> {
  const { step, feeds, parameters } = trainingStep(graph, from, features, batch, size);
  const session = await Session.create(writeModel(step), threads === undefined ? {} : { threads });
  try {
    const times: number[] = [];
    for (let run = 0; run <= RUNS; run++) {
      signal?.throwIfAborted();
      const elapsed = stopwatch();
      await session.run(feeds);
      if (run > 0) times.push(elapsed());
    }
    const seconds = times.sort((a, b) => a - b)[RUNS >> 1] as number;
    return {
      seconds,
      picturesPerSecond: batch / seconds,
      parameters,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    };
  } finally {
    await session.close();
  }
}

// --- internal ---

const RUNS = 3;
const LEARNING_RATE = 1e-6;

function trainingStep(graph: Graph, from: Value, features: Value, batch: number, size: number) {
  const shape = onePictureShapes(graph, size).get(from) ?? [];
  const fixed = graph.inputs[0]?.value.shape[0];
  if (typeof fixed === 'number' && fixed !== batch) {
    throw new GraphError(
      `measureStep: the batch must be ${fixed}, which the file fixes, got ${batch}. Export it with a dynamic batch.`,
    );
  }
  const pictures = input('pictures', from.dataType, [batch, ...shape.slice(1)]);
  const replacements = new Map<Value, Value>([[from, pictures]]);
  const between = usedBetween(from, features);
  const feeds: Record<string, Tensor> = { pictures: noise(pictures) };
  const names: string[] = [];
  const targets: Value[] = [];
  for (const [value, { isTrainable }] of parameterRoles(graph)) {
    if (!isTrainable || !between.has(value) || value.origin.kind !== 'constant') continue;
    if (value.dataType !== 'float32') {
      throw new GraphError(
        `measureStep: parameters must be float32, got ${value.dataType}. Convert the model with toFloat32 first.`,
      );
    }
    const name = `p${targets.length}`;
    const parameter = input(name, value.dataType, value.shape);
    replacements.set(value, parameter);
    targets.push(parameter);
    names.push(name);
    feeds[name] = { dataType: value.dataType, shape: value.shape as number[], data: value.origin.data };
  }
  if (targets.length === 0) {
    throw new GraphError('measureStep: there must be a parameter to train, got none.');
  }
  const [output] = substitute([features], replacements) as [Value];
  const loss = reduceMean(multiply(output, output), 'all');
  const found = gradients(loss, targets);
  const outputs: Record<string, Value> = { loss };
  targets.forEach((target, i) => {
    outputs[`next.${names[i]}`] = subtract(target, scale(found[i] as Value, LEARNING_RATE));
  });
  const step = prepare(mergeDuplicates(buildGraph([pictures, ...targets], outputs)));
  return {
    step,
    feeds,
    parameters: targets.reduce((sum, target) => sum + sizeOf(target.shape as number[]), 0),
  };
}

/** The values on the way from `from` to `to`, and the constants that it needs; not what lies before `from`. */
function usedBetween(from: Value, to: Value): Set<Value> {
  const found = new Set<Value>([from]);
  const stack = [to];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (found.has(value)) continue;
    found.add(value);
    if (value.origin.kind !== 'node') continue;
    for (const operand of value.origin.node.inputs) if (operand !== undefined) stack.push(operand);
  }
  return found;
}

function noise({ dataType, shape }: Value): Tensor {
  const sizes = shape as readonly number[];
  const random = Random.from(1);
  const data: TensorData = new Float32Array(sizeOf(sizes));
  for (let i = 0; i < data.length; i++) data[i] = random.between(-1, 1);
  if (dataType === 'float32') return { dataType, shape: sizes, data };
  if (dataType === 'uint8')
    return { dataType, shape: sizes, data: Uint8Array.from(data, (x) => 128 + 127 * x) };
  throw new GraphError(`measureStep: the input must be float32 or uint8, got ${dataType}.`);
}
