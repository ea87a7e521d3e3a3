/**
 * What to take as features of a network that somebody else trained: the input of its classifier, or what it gives as
 * an embedding itself.
 */
import { type Graph, isFloat, type Node, type Value } from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { cutPoints } from './cut-points.js';
import { parameterRoles } from './parameter-roles.js';

export interface Features {
  /** `[N, C]`, or `[N, C, h, w]` or tokens `[N, T, C]` that `pooling` makes `[N, C]`. */
  readonly features: Value;
  /** The last `[N, C, h, w]` that everything passes through; absent where tokens or vectors come last. */
  readonly featureMap: Value | undefined;
  /** How `features` becomes a vector: as it is, the mean over places or tokens, or token 0. */
  readonly pooling: 'none' | 'average' | 'class-token';
  /** A sentence on what was chosen and why. */
  readonly note: string;
}

/**
 * Chooses the features of a graph.
 *
 * An output whose name says that it is an embedding is taken as it is. Of any other, the way is walked back through
 * softmax, flattening and pooling to the last linear map with weights of its own, the classifier; its input is taken.
 * An output that is no class scores (places or tokens are left, or a normalisation ends the network) stays as it is.
 * @param output the name of the output or of its place in the list. Default: an embedding if there is one, else the first
 * float output.
 * @throws GraphError when there is no such output, or it does not depend on the picture.
 */
export function findFeatures(graph: Graph, output?: string): Features {
  const from = graph.inputs[0]?.value;
  const chosen = chooseOutput(graph, output);
  if (from === undefined) throw new GraphError('findFeatures: the graph must have an input, got none.');
  const isEmbedding = rankOfName(chosen.name) < NAMES.length;
  const classifier = isEmbedding ? undefined : classifierOf(graph, chosen);
  const value =
    classifier === undefined ? chosen.value : beforePassing(dataInput(graph, classifier) as Value);
  const what =
    classifier === undefined
      ? `output '${chosen.name}' as it is`
      : `the input of the classifier ${describeNode(classifier)}`;
  const points = cutPoints(graph, from, value);
  const shape = points.at(-1)?.shape ?? [];
  const featureMap = lastMap(points);
  if (shape.length === 4) {
    return { features: value, featureMap, pooling: 'average', note: `${what}, averaged over its places` };
  }
  if (shape.length === 3) {
    const takesToken = graph.nodes.some((node) => takesTokenZero(node, value));
    return takesToken
      ? { features: value, featureMap, pooling: 'class-token', note: `${what}, token 0 of its tokens` }
      : { features: value, featureMap, pooling: 'average', note: `${what}, averaged over its tokens` };
  }
  if (shape.length !== 2) {
    throw new GraphError(
      `findFeatures: features must have shape [N, C], [N, T, C] or [N, C, h, w], got [${value.shape.join(', ')}]. Name another output.`,
    );
  }
  return { features: value, featureMap, pooling: 'none', note: what };
}

// --- internal ---

function describeNode({ name, operator }: Node): string {
  return name === undefined ? `(${operator.name})` : `'${name}' (${operator.name})`;
}

/** Names that say "embedding", the best first. */
const NAMES: readonly RegExp[] = [
  /embed/i,
  /pool/i,
  /feature|representation|backbone/i,
  /last_hidden_state|hidden/i,
];
const SCORES = /logit|class|prob|softmax|score|pred/i;

/** Numbers of classes of ImageNet-1k (with and without background), 21k (whole, pruned, of Google) and 22k. */
const CLASS_COUNTS = new Set([1000, 1001, 10450, 11221, 11821, 21841, 21842, 21843]);

function rankOfName(name: string): number {
  if (SCORES.test(name)) return NAMES.length;
  const rank = NAMES.findIndex((pattern) => pattern.test(name));
  return rank < 0 ? NAMES.length : rank;
}

function chooseOutput(graph: Graph, wanted: string | undefined): { name: string; value: Value } {
  const outputs = graph.outputs.filter(({ value }) => isFloat(value));
  const list = graph.outputs.map(({ name }) => `'${name}'`).join(', ');
  if (wanted !== undefined) {
    const found = outputs.find(({ name }) => name === wanted);
    if (found === undefined) {
      throw new GraphError(`findFeatures: the output must be one of ${list}, got '${wanted}'.`);
    }
    return found;
  }
  // A pooler with tanh is trained for another task, and often not at all.
  const rank = ({ name, value }: { name: string; value: Value }) =>
    makerOf(value)?.operator.name === 'Tanh' ? NAMES.length : rankOfName(name);
  const best = Math.min(...outputs.map(rank));
  const found = outputs.find((candidate) => rank(candidate) === best);
  if (found === undefined) {
    throw new GraphError(`findFeatures: the graph must have a float output, got ${list || 'none'}.`);
  }
  return found;
}

const PASSING = new Set(['Identity', 'Dropout', 'Cast']);
/** What may follow a classifier. */
const FOLLOWING = new Set([
  ...PASSING,
  'Softmax',
  'LogSoftmax',
  'Sigmoid',
  'Flatten',
  'Reshape',
  'Squeeze',
  'Unsqueeze',
  'GlobalAveragePool',
  'AveragePool',
  'ReduceMean',
  'Relu',
  'Clip',
  'Add',
  'Mul',
  'Div',
]);
const POOLING = new Set(['GlobalAveragePool', 'AveragePool', 'ReduceMean']);
const ACTIVATIONS = new Set(['Relu', 'Clip']);

function classifierOf(graph: Graph, { name, value }: { name: string; value: Value }): Node | undefined {
  const width = value.shape[1];
  const isScores = SCORES.test(name);
  if (!isScores && hasPlaces(value)) return undefined;
  let isProbability = false;
  let isPooled = false;
  let current: Value | undefined = value;
  while (current?.origin.kind === 'node') {
    const { node }: { node: Node } = current.origin;
    const operator = node.operator.name;
    const data = dataInput(graph, node);
    if (data === undefined) return undefined;
    if (['Gemm', 'MatMul', 'Conv'].includes(operator)) {
      const weight = node.inputs.find((operand) => operand !== data);
      if (weight === undefined || !isWeight(graph, weight)) return undefined;
      if (operator !== 'Conv') return node;
      if (!weight.shape.slice(2).every((size) => size === 1) && !isOnePlace(data)) return undefined;
      // A pooled 1×1 convolution may as well be the last layer of a headless network.
      const isClasses = isScores || isProbability || (typeof width === 'number' && CLASS_COUNTS.has(width));
      return isClasses || (!isPooled && isOnePlace(data)) ? node : undefined;
    }
    if (!FOLLOWING.has(operator)) return undefined;
    if (operator === 'Softmax' || operator === 'LogSoftmax' || operator === 'Sigmoid') isProbability = true;
    if (POOLING.has(operator)) isPooled = true;
    if (ACTIVATIONS.has(operator) && !isPooled) return undefined; // scores are not rectified before they are pooled
    current = data;
  }
  return undefined;
}

/** The one operand of a node that depends on the graph's inputs; none if several do. */
function dataInput(graph: Graph, node: Node): Value | undefined {
  const dependent = dependents(graph);
  const found = node.inputs.filter((operand) => operand !== undefined && dependent.has(operand));
  if (found.length === 1) return found[0];
  // The sizes of a reshape may be computed from the picture's.
  const floats = found.filter((operand) => operand !== undefined && isFloat(operand));
  return floats.length === 1 ? floats[0] : undefined;
}

const DEPENDENTS = new WeakMap<Graph, Set<Value>>();

function dependents(graph: Graph): Set<Value> {
  const before = DEPENDENTS.get(graph);
  if (before !== undefined) return before;
  const found = new Set<Value>(graph.inputs.map(({ value }) => value));
  for (const node of graph.nodes) {
    if (node.inputs.some((operand) => operand !== undefined && found.has(operand))) {
      for (const output of node.outputs) found.add(output);
    }
  }
  DEPENDENTS.set(graph, found);
  return found;
}

/** Whether a value is a trainable weight or made of one (transposed, cast). */
function isWeight(graph: Graph, weight: Value): boolean {
  const roles = parameterRoles(graph);
  const stack = [weight];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (roles.get(value)?.role === 'weight') return true;
    if (value.origin.kind === 'node') {
      for (const operand of value.origin.node.inputs) if (operand !== undefined) stack.push(operand);
    }
  }
  return false;
}

function makerOf(value: Value): Node | undefined {
  return value.origin.kind === 'node' ? value.origin.node : undefined;
}

/** Back over what changes nothing when a network is not trained. */
function beforePassing(value: Value): Value {
  let current = value;
  for (let maker = makerOf(current); maker !== undefined; maker = makerOf(current)) {
    const before = maker.inputs[0];
    if (!PASSING.has(maker.operator.name) || before === undefined || !isFloat(before)) break;
    current = before;
  }
  return current;
}

/** `[N, C, h, w]` of more than one place, or tokens. */
function hasPlaces({ shape }: Value): boolean {
  return (
    (shape.length === 4 && !(shape[2] === 1 && shape[3] === 1)) || (shape.length === 3 && shape[1] !== 1)
  );
}

function isOnePlace({ shape }: Value): boolean {
  return shape.slice(2).every((size) => size === 1);
}

/** The last value with several places, if it has shape `[N, C, h, w]`. */
function lastMap(points: readonly { value: Value; shape: readonly number[] }[]): Value | undefined {
  for (let i = points.length - 1; i > 0; i--) {
    const { value, shape } = points[i] as { value: Value; shape: readonly number[] };
    const [, a = 1, b = 1, c = 1] = shape;
    const isChannelsLast = shape.length === 4 && a === b && b !== c;
    if (isChannelsLast && a * b > 1) return undefined;
    if (shape.length === 4 && !isChannelsLast && b * c > 1) return value;
    if (shape.length === 3 && a > 1) return undefined;
  }
  return undefined;
}

/** Whether a node takes index 0 along axis 1. */
function takesTokenZero({ operator, inputs, attributes }: Node, tokens: Value): boolean {
  if (inputs[0] !== tokens) return false;
  const number = (value: Value | undefined) =>
    value?.origin.kind === 'constant' && value.origin.data.length === 1
      ? Number(value.origin.data[0])
      : undefined;
  if (operator.name === 'Gather') return attributes.axis === 1 && number(inputs[1]) === 0;
  if (operator.name !== 'Slice') return false;
  return number(inputs[1]) === 0 && number(inputs[2]) === 1 && number(inputs[3]) === 1;
}
