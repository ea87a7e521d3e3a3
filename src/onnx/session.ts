/**
 * Runs a model with onnxruntime. This is the only place where a device is chosen, and where onnxruntime is called.
 */
import { availableParallelism } from 'node:os';
import './no-telemetry.js';
import * as ort from 'onnxruntime-node';
import { type DataType, formatShape, sizeOf, type TensorData } from '../graph/index.js';
import { errorMessage, GraphError } from '../util/index.js';

export interface SessionOptions {
  /** Threads inside an operator. Default: all cores. Results are the same to the bit only at one thread count. */
  readonly threads?: number;
  /**
   * Whether the runtime's threads stay awake between operators, waiting for work: quicker where nothing else wants the
   * cores, slower where pictures are decoded meanwhile. Default true.
   */
  readonly spinning?: boolean;
  /** Where to run. Default `'cpu'`. Others need a build of onnxruntime that has them. */
  readonly device?: 'cpu' | 'cuda' | 'webgpu' | 'coreml' | 'dml';
  /** Writes a profile of the runs, as Chrome trace JSON, to files with this prefix; `endProfiling` finishes it. */
  readonly profilePrefix?: string;
}

/** The devices that this build of onnxruntime knows; whether the machine has one shows when a session is made. */
export function supportedDevices(): string[] {
  return ort.listSupportedBackends().map(({ name }) => name);
}

/** A tensor outside the graph. */
export interface Tensor {
  readonly dataType: DataType;
  readonly shape: readonly number[];
  readonly data: TensorData;
}

/** A float32 tensor. */
export function floatTensor(data: Float32Array, shape: readonly number[]): Tensor {
  return { dataType: 'float32', shape, data };
}

/** A loaded model. */
export class Session {
  readonly #session: ort.InferenceSession;

  private constructor(session: ort.InferenceSession) {
    this.#session = session;
  }

  /**
   * Loads a model from memory or from a file.
   * @throws GraphError when onnxruntime refuses the model.
   */
  static async create(model: Uint8Array | string, options: SessionOptions = {}): Promise<Session> {
    const { threads = availableParallelism(), spinning = true, device = 'cpu', profilePrefix } = options;
    const sessionOptions: ort.InferenceSession.SessionOptions = {
      executionProviders: [device],
      intraOpNumThreads: threads,
      graphOptimizationLevel: 'all',
      // The plan of a second run asks for its memory beside what the first run took, up to twice as much in all.
      enableMemPattern: false,
      logSeverityLevel: 3,
      extra: {
        session: { set_denormal_as_zero: '1', intra_op: { allow_spinning: spinning ? '1' : '0' } },
      },
      ...(profilePrefix === undefined ? {} : { enableProfiling: true, profileFilePrefix: profilePrefix }),
    };
    try {
      const session =
        typeof model === 'string'
          ? await ort.InferenceSession.create(model, sessionOptions)
          : await ort.InferenceSession.create(model, sessionOptions);
      return new Session(session);
    } catch (error) {
      throw new GraphError(`Session: the model must load in onnxruntime, got: ${errorMessage(error)}`);
    }
  }

  get inputNames(): readonly string[] {
    return this.#session.inputNames;
  }

  get outputNames(): readonly string[] {
    return this.#session.outputNames;
  }

  /**
   * Runs the model.
   * @param feeds a tensor for every input.
   * @param fetches the outputs wanted (default: all); with a tensor, its memory receives the output.
   * @throws GraphError with onnxruntime's words when the feeds do not fit.
   */
  async run(
    feeds: Readonly<Record<string, Tensor>>,
    fetches: readonly string[] | Readonly<Record<string, Tensor | null>> = this.outputNames,
  ): Promise<Record<string, Tensor>> {
    const inputs: Record<string, ort.Tensor> = {};
    for (const [name, tensor] of Object.entries(feeds)) inputs[name] = toRuntime(name, tensor);
    const wanted: Record<string, ort.Tensor | null> = {};
    if (Array.isArray(fetches)) for (const name of fetches as readonly string[]) wanted[name] = null;
    else
      for (const [name, tensor] of Object.entries(fetches as Readonly<Record<string, Tensor | null>>)) {
        wanted[name] = tensor === null ? null : toRuntime(name, tensor);
      }
    for (const name of Object.keys(wanted)) {
      if (!this.outputNames.includes(name)) {
        throw new GraphError(
          `Session.run: outputs must be among ${this.outputNames.join(', ')}, got '${name}'.`,
        );
      }
    }
    let results: ort.InferenceSession.OnnxValueMapType;
    try {
      results = await this.#session.run(inputs, wanted);
    } catch (error) {
      throw new GraphError(`Session.run: ${errorMessage(error)}`);
    }
    const outputs: Record<string, Tensor> = {};
    for (const [name, value] of Object.entries(results)) outputs[name] = fromRuntime(value as ort.Tensor);
    return outputs;
  }

  /** Frees the model. */
  async close(): Promise<void> {
    await this.#session.release();
  }

  /** Writes the profile asked for by `profilePrefix`. */
  endProfiling(): void {
    this.#session.endProfiling();
  }
}

/**
 * A model that carries state from run to run, such as parameters and the optimiser's moments: input `name` is read,
 * output `next.name` becomes the state. Each state has two buffers that change places, so that a step allocates
 * nothing and a failed step leaves the state as it was.
 */
export class StatefulSession {
  readonly #session: Session;
  readonly #states: Map<string, { current: Tensor; next: Tensor }>;

  constructor(session: Session, states: Readonly<Record<string, Tensor>>) {
    this.#session = session;
    this.#states = new Map(
      Object.entries(states).map(([name, tensor]) => [
        name,
        { current: copyOf(tensor), next: copyOf(tensor) },
      ]),
    );
  }

  /** Runs one step on the state and the given feeds; returns the outputs that are not state. */
  async step(feeds: Readonly<Record<string, Tensor>>): Promise<Record<string, Tensor>> {
    const inputs: Record<string, Tensor> = { ...feeds };
    const fetches: Record<string, Tensor | null> = {};
    for (const name of this.#session.outputNames) fetches[name] = null;
    for (const [name, { current, next }] of this.#states) {
      inputs[name] = current;
      fetches[`next.${name}`] = next;
    }
    const outputs = await this.#session.run(inputs, fetches);
    const results: Record<string, Tensor> = {};
    for (const [name, tensor] of Object.entries(outputs)) {
      if (!name.startsWith('next.')) results[name] = tensor;
    }
    for (const state of this.#states.values()) [state.current, state.next] = [state.next, state.current];
    return results;
  }

  /** The state now. The tensors are live: copy what must outlast the next step. */
  state(): Record<string, Tensor> {
    return Object.fromEntries([...this.#states].map(([name, { current }]) => [name, current]));
  }

  async close(): Promise<void> {
    await this.#session.close();
  }
}

// --- internal ---

function copyOf({ dataType, shape, data }: Tensor): Tensor {
  return { dataType, shape, data: data.slice() };
}

function toRuntime(name: string, { dataType, shape, data }: Tensor): ort.Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new GraphError(
      `Session.run: '${name}' must have the elements of ${formatShape(shape)}, got ${data.length}.`,
    );
  }
  if (dataType === 'float16' && !HAS_FLOAT16_FEEDS) {
    throw new GraphError(
      `Session.run: '${name}' must not be float16 on Node ${process.versions.node}, which onnxruntime-node cannot feed. Give the graph a float32 input and a Cast.`,
    );
  }
  try {
    return new ort.Tensor(dataType as 'float32', data as Float32Array, shape);
  } catch (error) {
    throw new GraphError(
      `Session.run: '${name}' must hold ${dataType} elements, got a ${data.constructor.name}: ${errorMessage(error)}`,
    );
  }
}

function fromRuntime(tensor: ort.Tensor): Tensor {
  return { dataType: tensor.type as DataType, shape: tensor.dims, data: tensor.data as TensorData };
}

/**
 * Whether float16 can be fed: where JavaScript has a float16 array (Node 24 on) onnxruntime-node 1.30 demands one, and
 * then reads no elements from it.
 */
const HAS_FLOAT16_FEEDS = !('Float16Array' in globalThis);
