/**
 * The intermediate representation: values and nodes whose operators are ONNX operators (opset 18).
 *
 * A `Value` knows what makes it, and never changes; an expression is built by calling operator functions, and a
 * `Graph` is what a walk backwards from its outputs finds. So there is no builder object, nothing is ever half
 * built, and a gradient is simply more values.
 */
import { GraphError, ShapeError } from '../util/index.js';
import type { OpaqueForm } from './opaque.js';

export type DataType = 'float32' | 'float16' | 'float64' | 'int64' | 'int32' | 'int8' | 'uint8' | 'bool';

/** A size known when the graph is built, or the name of one that is not (such as the batch `'N'`). */
export type Dimension = number | string;
export type Shape = readonly Dimension[];

export interface TensorType {
  readonly dataType: DataType;
  readonly shape: Shape;
}

/** The content of a constant, one array class a data type: float16 as bit patterns, bool as 0 and 1. */
export type TensorData =
  | Float32Array
  | Float64Array
  | Uint16Array
  | BigInt64Array
  | Int32Array
  | Int8Array
  | Uint8Array;

export type AttributeValue = number | string | readonly number[];
export type Attributes = Readonly<Record<string, AttributeValue>>;

/** What makes a value: the caller (`input`), the graph itself (`constant`), or a node's output number `index`. */
export type Origin =
  | { readonly kind: 'input'; readonly name: string }
  | { readonly kind: 'constant'; readonly data: TensorData; readonly name: string | undefined }
  | { readonly kind: 'node'; readonly node: Node; readonly index: number };

/** A tensor in a graph: its type, and where it comes from. */
export class Value implements TensorType {
  constructor(
    readonly dataType: DataType,
    readonly shape: Shape,
    readonly origin: Origin,
  ) {}

  get rank(): number {
    return this.shape.length;
  }
}

/** An application of an operator. Absent optional inputs are `undefined`. */
export interface Node {
  readonly operator: Operator;
  readonly inputs: readonly (Value | undefined)[];
  readonly attributes: Attributes;
  readonly outputs: readonly Value[];
  /** The name that it has in the file it was read from; errors say it. */
  readonly name?: string;
}

/** What an operator's gradient rule is given. */
export interface VjpContext {
  readonly node: Node;
  readonly inputs: readonly (Value | undefined)[];
  readonly outputs: readonly Value[];
  readonly attributes: Attributes;
  /** The gradient of the loss by each output; `undefined` where none arrives. */
  readonly outputGradients: readonly (Value | undefined)[];
  /** Whether input number i lies on the way to something that is differentiated; others need no gradient. */
  readonly isNeeded: readonly boolean[];
}

/**
 * An ONNX operator: its type rule and its vector-Jacobian product.
 *
 * `vjp` is `'zero'` where the output does not depend on its inputs in a differentiable way (comparisons, `Sign`,
 * casts to integers); the walk then stops there. It is `'none'` where a rule is missing: the walk fails by name.
 */
export interface Operator {
  readonly name: string;
  infer(inputs: readonly (Value | undefined)[], attributes: Attributes): readonly TensorType[];
  readonly vjp: ((context: VjpContext) => readonly (Value | undefined)[]) | 'zero' | 'none';
  /** What to do where the rule is missing, for the error. */
  readonly advice?: string;
  /** For an operator that is only carried from file to file: how it is written. */
  readonly opaque?: OpaqueForm;
  /** Whether all outputs but the first may be left out of a file where nothing uses them. */
  readonly optionalOutputs?: true;
  /**
   * The content of the first output where it is known when the graph is built, as `knownContent` gives it, from the
   * contents of the inputs. For operators that compute shapes, axes and bounds.
   */
  readonly known?: (
    node: Node,
    contents: readonly (readonly Dimension[] | undefined)[],
  ) => readonly Dimension[] | undefined;
  /**
   * The same in operators that the stock runtime has; for nodes that it cannot run as they stand. Returns the
   * replacement of each output, or `undefined` when the node needs none.
   */
  readonly lower?: (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined;
}

export interface Graph {
  readonly inputs: readonly { readonly name: string; readonly value: Value }[];
  readonly outputs: readonly { readonly name: string; readonly value: Value }[];
  /** In an order in which each node comes after those it depends on; the same for the same expression. */
  readonly nodes: readonly Node[];
}

/** Applies an operator; returns all its outputs. @throws ShapeError when the inputs do not fit. */
export function applyAll(
  operator: Operator,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
  name?: string,
): readonly Value[] {
  const types = operator.infer(inputs, attributes);
  const outputs: Value[] = [];
  const node: Node = { operator, inputs, attributes, outputs, ...(name === undefined ? {} : { name }) };
  types.forEach(({ dataType, shape }, index) => {
    outputs.push(new Value(dataType, shape, { kind: 'node', node, index }));
  });
  return outputs;
}

/** Applies an operator that has one output. */
export function apply(
  operator: Operator,
  inputs: readonly (Value | undefined)[],
  attributes: Attributes = {},
  name?: string,
): Value {
  return applyAll(operator, inputs, attributes, name)[0] as Value;
}

/** A value that the caller feeds at each run. */
export function input(name: string, dataType: DataType, shape: Shape): Value {
  return new Value(dataType, shape, { kind: 'input', name });
}

/**
 * A constant tensor. Numbers may be given as a plain array.
 * @param name kept in the file for large constants such as weights.
 * @throws ShapeError when the shape's size is not the number of elements.
 */
export function constant(
  data: TensorData | readonly number[] | number,
  shape?: readonly number[],
  { dataType = 'float32', name }: { dataType?: DataType; name?: string } = {},
): Value {
  const array = typeof data === 'number' ? [data] : data;
  const resolvedShape = shape ?? (typeof data === 'number' ? [] : [array.length]);
  const typed = Array.isArray(array)
    ? typedArray(array as readonly number[], dataType)
    : (array as TensorData);
  if (typed.length !== sizeOf(resolvedShape)) {
    throw new ShapeError(
      `constant: data must have ${sizeOf(resolvedShape)} elements for shape [${resolvedShape.join(', ')}], got ${typed.length}.`,
    );
  }
  return new Value(dataType, resolvedShape, { kind: 'constant', data: typed, name });
}

/** A 1-D int64 constant: axes, shapes, indices. */
export function int64(values: readonly number[]): Value {
  return constant(values, [values.length], { dataType: 'int64' });
}

/** The numbers of a constant, or of a small value that is known when the graph is built; else `undefined`. */
export function constantIntegers(value: Value | undefined): number[] | undefined {
  if (value?.origin.kind === 'constant') {
    return Array.from(value.origin.data as ArrayLike<number | bigint>, Number);
  }
  const content = knownContent(value);
  return content?.every((element) => typeof element === 'number') ? (content as number[]) : undefined;
}

/**
 * The content of a small tensor of whole numbers (or bools, as 0 and 1) as far as it is known when the graph is built:
 * its elements row by row, each a number or the name of a dimension, as in `['N', 3, 224]`. Exporters compute shapes
 * with nodes (`Shape`, `Gather`, `Concat`, …); this follows them.
 * @returns `undefined` where an element is not known.
 */
export function knownContent(value: Value | undefined): readonly Dimension[] | undefined {
  if (value === undefined) return undefined;
  const { origin } = value;
  if (origin.kind === 'input') return undefined;
  if (origin.kind === 'constant') {
    if (origin.data.length > LARGEST_KNOWN_CONTENT || value.dataType === 'float16') return undefined;
    return Array.from(origin.data as ArrayLike<number | bigint>, Number);
  }
  if (KNOWN.has(value)) return KNOWN.get(value);
  const { node, index } = origin;
  let content: readonly Dimension[] | undefined;
  if (index === 0 && node.operator.known !== undefined && isSmall(value.shape)) {
    content = node.operator.known(node, node.inputs.map(knownContent));
  }
  KNOWN.set(value, content);
  return content;
}

function isSmall(shape: Shape): boolean {
  let size = 1;
  for (const dimension of shape) {
    if (typeof dimension !== 'number') return false;
    size *= dimension;
  }
  return size <= LARGEST_KNOWN_CONTENT;
}

/** Whether a data type holds real numbers, of which there are gradients. */
export function isFloat({ dataType }: Pick<TensorType, 'dataType'>): boolean {
  return dataType === 'float32' || dataType === 'float16' || dataType === 'float64';
}

/** Number of elements of a static shape; 1 for a scalar. */
export function sizeOf(shape: readonly number[]): number {
  return shape.reduce((product, dimension) => product * dimension, 1);
}

/** `[32, N, 3]` */
export function formatShape(shape: Shape): string {
  return `[${shape.join(', ')}]`;
}

/**
 * The shape as numbers.
 * @throws ShapeError when a dimension is symbolic; `where` names who needs to know.
 */
export function staticShape(value: TensorType, where: string): readonly number[] {
  for (const dimension of value.shape) {
    if (typeof dimension !== 'number') {
      throw new ShapeError(
        `${where}: the shape must be known, got ${formatShape(value.shape)}. Build the graph with a number in place of '${dimension}'.`,
      );
    }
  }
  return value.shape as readonly number[];
}

/**
 * Gathers the nodes that the outputs depend on.
 * @throws GraphError when an input is used that is not listed, two have one name, or an output is given twice.
 */
export function buildGraph(inputs: readonly Value[], outputs: Readonly<Record<string, Value>>): Graph {
  const namedInputs = inputs.map((value) => {
    if (value.origin.kind !== 'input') throw new GraphError('buildGraph: inputs must be made by input().');
    return { name: value.origin.name, value };
  });
  const names = new Set<string>();
  for (const { name } of namedInputs) {
    if (names.has(name)) throw new GraphError(`buildGraph: input names must be unique, got '${name}' twice.`);
    names.add(name);
  }
  const nodes = topologicalOrder(Object.values(outputs));
  const listed = new Set(inputs);
  for (const node of nodes) {
    for (const value of node.inputs) {
      if (value?.origin.kind === 'input' && !listed.has(value)) {
        throw new GraphError(
          `buildGraph: every input must be listed, got '${value.origin.name}' (${node.operator.name} uses it) unlisted.`,
        );
      }
    }
  }
  return {
    inputs: namedInputs,
    outputs: Object.entries(outputs).map(([name, value]) => ({ name, value })),
    nodes,
  };
}

/** The nodes that the values depend on, each after those it needs. */
export function topologicalOrder(values: readonly Value[]): Node[] {
  const order: Node[] = [];
  const done = new Set<Node>();
  for (const root of values) {
    if (root.origin.kind !== 'node') continue;
    const stack: { node: Node; next: number }[] = [{ node: root.origin.node, next: 0 }];
    while (stack.length > 0) {
      const top = stack[stack.length - 1] as { node: Node; next: number };
      if (done.has(top.node)) {
        stack.pop();
        continue;
      }
      const origin = top.node.inputs[top.next]?.origin;
      if (top.next >= top.node.inputs.length) {
        done.add(top.node);
        order.push(top.node);
        stack.pop();
        continue;
      }
      top.next++;
      if (origin?.kind === 'node' && !done.has(origin.node)) stack.push({ node: origin.node, next: 0 });
    }
  }
  return order;
}

// --- internal ---

const LARGEST_KNOWN_CONTENT = 4096;
/** Contents that were asked for; values never change. */
const KNOWN = new WeakMap<Value, readonly Dimension[] | undefined>();

function typedArray(values: readonly number[], dataType: DataType): TensorData {
  switch (dataType) {
    case 'float32':
      return Float32Array.from(values);
    case 'float64':
      return Float64Array.from(values);
    case 'int8':
      return Int8Array.from(values);
    case 'int64':
      // "To the end" is the largest int64, which as a number rounds up to 2⁶³ and must not wrap around.
      return BigInt64Array.from(values, (value) => (value >= 2 ** 63 ? 2n ** 63n - 1n : BigInt(value)));
    case 'int32':
      return Int32Array.from(values);
    case 'uint8':
    case 'bool':
      return Uint8Array.from(values);
    case 'float16':
      throw new GraphError('constant: float16 data must be given as a Uint16Array of bit patterns.');
  }
}
