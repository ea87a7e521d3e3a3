/**
 * The outputs of a network from an ONNX file and its gradients by every parameter and every float input: what
 * `torch.autograd.grad` gives, so that a network can be held against another framework.
 *
 * Parameters are inputs of the graph that is run, not part of it: a file that onnxruntime loads ends at 2 GB, and
 * weights need not exist twice.
 */
import {
  buildGraph,
  constant,
  type Dimension,
  formatShape,
  type Graph,
  gradients,
  input,
  isFloat,
  mergeDuplicates,
  sizeOf,
  staticShape,
  substitute,
  type Value,
} from '../graph/index.js';
import { Session, type SessionOptions, type Tensor, writeModel } from '../onnx/index.js';
import { GraphError } from '../util/index.js';
import { foldBatchNormalization } from './batch-normalization-folding.js';
import { parameterRoles } from './parameter-roles.js';

export interface GradientGraphOptions {
  /** Shape of every input of the file; sets the sizes that the file leaves open. */
  readonly inputShapes: Readonly<Record<string, readonly number[]>>;
  /** Outputs whose gradient is given; the others contribute nothing. None: the only output must be a scalar, with 1. */
  readonly outputsWithGradient: readonly string[];
}

/** A graph and which of its inputs and outputs mean what; names of the file → names in `graph`. */
export interface GradientGraph {
  /** Inputs: those of the file under their own names, then parameters and the outputs' gradients. */
  readonly graph: Graph;
  readonly parameters: readonly { readonly name: string; readonly value: Value; readonly feed: string }[];
  readonly outputGradientFeeds: ReadonlyMap<string, string>;
  readonly outputs: ReadonlyMap<string, string>;
  readonly parameterGradients: ReadonlyMap<string, string>;
  readonly inputGradients: ReadonlyMap<string, string>;
}

/**
 * Differentiates `Σ outputs · their gradients` of a graph that was read from a file.
 * @throws GraphError for names that the file does not have, shapes that do not fit, no gradient to start from, or an
 * operator on the way that has no rule, by node and operator.
 */
export function gradientGraph(file: Graph, options: GradientGraphOptions): GradientGraph {
  const { inputShapes, outputsWithGradient } = options;
  requireKnown('input', Object.keys(inputShapes), file.inputs);
  requireKnown('output', outputsWithGradient, file.outputs);
  const names = new UniqueNames(file.inputs.map(({ name }) => name));

  const replacements = new Map<Value, Value>();
  const sizes = new Map<string, { size: number; input: string }>();
  for (const { name, value } of file.inputs) {
    const shape = Object.hasOwn(inputShapes, name) ? inputShapes[name] : undefined;
    if (shape === undefined) {
      throw new GraphError(
        `gradients: an array for input '${name}' (${value.dataType} ${formatShape(value.shape)}) is required, got none.`,
      );
    }
    requireFits(name, value.shape, shape, sizes);
    replacements.set(value, input(name, value.dataType, shape));
  }
  const parameters = trainableParameters(file).map((value, i) => {
    const { name = `unnamed_${i}` } = value.origin.kind === 'constant' ? value.origin : {};
    const feed = input(names.take(`parameter.${name}`), value.dataType, value.shape);
    replacements.set(value, feed);
    return { name, value, feed };
  });
  const outputs = foldBatchNormalization(
    substitute(
      file.outputs.map(({ value }) => value),
      replacements,
    ),
  );

  const roots: { name: string; value: Value; gradient: Value }[] = [];
  const gradientFeeds: { name: string; feed: Value }[] = [];
  file.outputs.forEach(({ name }, i) => {
    const value = outputs[i] as Value;
    if (outputsWithGradient.includes(name)) {
      const shape = staticShape(value, `gradients: output '${name}'`);
      const feed = input(names.take(`gradient.${name}`), value.dataType, shape);
      gradientFeeds.push({ name, feed });
      roots.push({ name, value, gradient: feed });
    } else if (file.outputs.length === 1 && sizeOf(staticShape(value, `gradients: output '${name}'`)) === 1) {
      const ones = constant([1], value.shape as readonly number[], { dataType: value.dataType });
      roots.push({ name, value, gradient: ones });
    }
  });
  if (roots.length === 0) {
    throw new GraphError(
      `gradients: a gradient of at least one output is required (${listed(file.outputs)}), got none.`,
    );
  }

  const fedInputs = file.inputs.map(({ value }) => replacements.get(value) as Value);
  const floatInputs = file.inputs.filter(({ value }) => isFloat(value));
  const targets = [
    ...parameters.map(({ feed }) => feed),
    ...floatInputs.map(({ value }) => replacements.get(value) as Value),
  ];
  const found = gradients(
    roots.map(({ value }) => value),
    targets,
    roots.map(({ gradient }) => gradient),
  );

  const results: Record<string, Value> = {};
  const give = (entries: readonly { name: string; value: Value }[], prefix: string) =>
    new Map(
      entries.map(({ name, value }) => {
        const given = names.take(`${prefix}.${name}`);
        results[given] = value;
        return [name, given];
      }),
    );
  const outputNames = give(
    file.outputs.map(({ name }, i) => ({ name, value: outputs[i] as Value })),
    'output',
  );
  const parameterGradients = give(
    parameters.map(({ name }, i) => ({ name, value: found[i] as Value })),
    'by_parameter',
  );
  const inputGradients = give(
    floatInputs.map(({ name }, i) => ({ name, value: found[parameters.length + i] as Value })),
    'by_input',
  );
  const feeds = [
    ...fedInputs,
    ...parameters.map(({ feed }) => feed),
    ...gradientFeeds.map(({ feed }) => feed),
  ];
  return {
    graph: mergeDuplicates(buildGraph(feeds, results)),
    parameters: parameters.map(({ name, value, feed }) => ({ name, value, feed: inputName(feed) })),
    outputGradientFeeds: new Map(gradientFeeds.map(({ name, feed }) => [name, inputName(feed)])),
    outputs: outputNames,
    parameterGradients,
    inputGradients,
  };
}

export interface FileGradients {
  readonly outputs: ReadonlyMap<string, Tensor>;
  readonly parameters: ReadonlyMap<string, Tensor>;
  readonly inputs: ReadonlyMap<string, Tensor>;
}

/**
 * Runs a file's network once, forwards and backwards.
 * @param inputs an array for every input of the file.
 * @param outputGradients the gradient of the loss by outputs, of their shapes. Default: 1 for an only, scalar output.
 * @throws GraphError as `gradientGraph` does, and for arrays of another type or shape than is needed.
 */
export async function fileGradients(
  file: Graph,
  inputs: Readonly<Record<string, Tensor>>,
  outputGradients: Readonly<Record<string, Tensor>> = {},
  options: SessionOptions = {},
): Promise<FileGradients> {
  requireKnown('input', Object.keys(inputs), file.inputs);
  for (const { name, value } of file.inputs) {
    const given = Object.hasOwn(inputs, name) ? inputs[name] : undefined;
    if (given !== undefined && given.dataType !== value.dataType) {
      throw new GraphError(
        `gradients: input '${name}' must be ${value.dataType}, got ${given.dataType}. Convert the array.`,
      );
    }
  }
  const built = gradientGraph(file, {
    inputShapes: Object.fromEntries(Object.entries(inputs).map(([name, { shape }]) => [name, shape])),
    outputsWithGradient: Object.keys(outputGradients),
  });
  const feeds: Record<string, Tensor> = { ...inputs };
  for (const { value, feed } of built.parameters) {
    if (value.origin.kind !== 'constant')
      throw new GraphError('gradients: internal: a parameter is constant.');
    feeds[feed] = {
      dataType: value.dataType,
      shape: value.shape as readonly number[],
      data: value.origin.data,
    };
  }
  const types = new Map(built.graph.inputs.map(({ name, value }) => [name, value]));
  for (const [name, feed] of built.outputGradientFeeds) {
    const given = outputGradients[name] as Tensor;
    const { dataType, shape } = types.get(feed) as Value;
    if (given.dataType !== dataType || formatShape(given.shape) !== formatShape(shape)) {
      throw new GraphError(
        `gradients: the gradient of output '${name}' must be ${dataType} ${formatShape(shape)}, got ${given.dataType} ${formatShape(given.shape)}.`,
      );
    }
    feeds[feed] = given;
  }
  const session = await Session.create(writeModel(built.graph), options);
  try {
    // Inputs that nothing uses are inputs of the file that is run all the same.
    const results = await session.run(feeds);
    const pick = (names: ReadonlyMap<string, string>) =>
      new Map([...names].map(([name, given]) => [name, results[given] as Tensor]));
    return {
      outputs: pick(built.outputs),
      parameters: pick(built.parameterGradients),
      inputs: pick(built.inputGradients),
    };
  } finally {
    await session.close();
  }
}

/** The constants that `parameterRoles` calls trainable, in the order of their use. */
export function trainableParameters(file: Graph): Value[] {
  return [...parameterRoles(file)].flatMap(([value, { isTrainable }]) =>
    isTrainable && isFloat(value) ? [value] : [],
  );
}

// --- internal ---

type Named = readonly { readonly name: string }[];

const listed = (entries: Named) => entries.map(({ name }) => `'${name}'`).join(', ');

function requireKnown(kind: 'input' | 'output', names: readonly string[], known: Named): void {
  for (const name of names) {
    if (!known.some((entry) => entry.name === name)) {
      throw new GraphError(`gradients: ${kind}s must be among ${listed(known)}, got '${name}'.`);
    }
  }
}

/** A given shape against the file's: one rank, the same known sizes, one size for each name. */
function requireFits(
  name: string,
  wanted: readonly Dimension[],
  given: readonly number[],
  sizes: Map<string, { size: number; input: string }>,
): void {
  const fail = (why = '') =>
    new GraphError(
      `gradients: input '${name}' must have shape ${formatShape(wanted)}${why}, got ${formatShape(given)}.`,
    );
  if (given.length !== wanted.length) throw fail();
  wanted.forEach((dimension, axis) => {
    const size = given[axis] as number;
    if (typeof dimension === 'number') {
      if (dimension !== size) throw fail();
      return;
    }
    const before = sizes.get(dimension);
    if (before === undefined) sizes.set(dimension, { size, input: name });
    else if (before.size !== size)
      throw fail(` with ${dimension} = ${before.size}, as input '${before.input}' has it`);
  });
}

function inputName(value: Value): string {
  return value.origin.kind === 'input' ? value.origin.name : '';
}

class UniqueNames {
  readonly #taken: Set<string>;

  constructor(taken: readonly string[]) {
    this.#taken = new Set(taken);
  }

  take(wanted: string): string {
    let name = wanted;
    for (let i = 2; this.#taken.has(name); i++) name = `${wanted}_${i}`;
    this.#taken.add(name);
    return name;
  }
}
