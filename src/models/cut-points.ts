/**
 * Cut points of a graph: the values through which everything passes on the way from the picture to the features, so
 * that what lies before one can be run once and kept. They are the dominators of the features. In an order in which
 * values come after those they depend on, a value is one exactly when no edge passes over it.
 *
 * Operators that only look at a tensor's sizes (`Shape`, `Size`) carry nothing of the picture and are no edges.
 */
import {
  type Graph,
  input,
  isFloat,
  type Node,
  type Shape,
  sizeOf,
  substitute,
  type Value,
} from '../graph/index.js';
import { GraphError } from '../util/index.js';
import { parameterRoles } from './parameter-roles.js';

export interface CutPoint {
  readonly value: Value;
  /** Its shape for a batch of one picture. */
  readonly shape: readonly number[];
  /** Elements for one picture. */
  readonly elements: number;
  /** Elements of the trainable parameters that are needed to compute it; of the others that the features need. */
  readonly parametersBefore: number;
  readonly parametersAfter: number;
  /** Multiply-adds of convolutions and matrix products for one picture, before and after. */
  readonly multiplyAddsBefore: number;
  readonly multiplyAddsAfter: number;
}

export interface CutPointOptions {
  /** Stands for the picture's height and width where the file leaves them open. Default 224. */
  readonly size?: number;
}

/**
 * The cut points from `from` to `to`, in order; the first is `from`, the last is `to`.
 * @throws GraphError when `to` does not depend on `from`.
 */
export function cutPoints(
  graph: Graph,
  from: Value,
  to: Value,
  { size = 224 }: CutPointOptions = {},
): CutPoint[] {
  const values = dominators(graph, from, to);
  const shapes = onePictureShapes(graph, size);
  const batch = batchOf(graph, from);
  const roles = parameterRoles(graph);
  const counted = new Set<Node>();
  const parameters = new Set<Value>();
  let parameterCount = 0;
  let multiplyAddCount = 0;
  const before = values.map((value) => {
    for (const node of uncounted(value, counted)) {
      multiplyAddCount += multiplyAdds(node, (of) => shapes.get(of) ?? []) / batch;
      for (const operand of node.inputs) {
        if (operand === undefined || parameters.has(operand) || !roles.get(operand)?.isTrainable) continue;
        parameters.add(operand);
        parameterCount += sizeOf(operand.shape as readonly number[]);
      }
    }
    return { parameterCount, multiplyAddCount };
  });
  return values.map((value, i) => {
    const shape = shapes.get(value) ?? [];
    const counts = before[i] as { parameterCount: number; multiplyAddCount: number };
    return {
      value,
      shape: shape[0] === batch ? [1, ...shape.slice(1)] : shape,
      elements: sizeOf(shape) / batch,
      parametersBefore: counts.parameterCount,
      parametersAfter: parameterCount - counts.parameterCount,
      multiplyAddsBefore: counts.multiplyAddCount,
      multiplyAddsAfter: multiplyAddCount - counts.multiplyAddCount,
    };
  });
}

/**
 * The shapes of all values of a graph, with 1 in place of a named batch and `size` in place of any other named
 * dimension of the inputs. A name that comes up on the way counts as 1.
 */
export function onePictureShapes(graph: Graph, size = 224): ReadonlyMap<Value, readonly number[]> {
  const values = graph.nodes.flatMap((node) => node.outputs);
  const replacements = new Map<Value, Value>();
  const shapes = new Map<Value, readonly number[]>();
  for (const node of graph.nodes) {
    for (const value of node.inputs) if (value !== undefined) shapes.set(value, withoutNames(value.shape));
  }
  for (const { value } of graph.inputs) {
    if (value.origin.kind !== 'input') continue;
    const shape = value.shape.map((dimension, axis) =>
      typeof dimension === 'number' ? dimension : axis === 0 ? 1 : size,
    );
    shapes.set(value, shape);
    replacements.set(value, input(value.origin.name, value.dataType, shape));
  }
  const known = substitute(values, replacements);
  values.forEach((value, i) => {
    shapes.set(value, withoutNames((known[i] as Value).shape));
  });
  return shapes;
}

/** The multiply-adds of a node: convolutions and matrix products; 0 for everything else. */
export function multiplyAdds(node: Node, shapeOf: (value: Value) => readonly number[]): number {
  const shape = (value: Value | undefined) => (value === undefined ? [] : shapeOf(value));
  const [left, right] = node.inputs;
  const output = sizeOf(shape(node.outputs[0]));
  switch (node.operator.name) {
    case 'Conv': // an output element is a sum over the weights of its channel
      return output * sizeOf(shape(right).slice(1));
    case 'ConvTranspose': // an input element goes into the weights of its channel
      return sizeOf(shape(left)) * sizeOf(shape(right).slice(1));
    case 'MatMul':
      return output * (shape(left).at(-1) ?? 1);
    case 'Gemm':
      return output * (shape(left)[node.attributes.transA === 1 ? 0 : 1] ?? 1);
    case 'Einsum':
      return einsumMultiplyAdds(String(node.attributes.equation), node.inputs.map(shape));
    default:
      return 0;
  }
}

// --- internal ---

const LOOKS_AT_SIZES = new Set(['Shape', 'Size']);

function dominators(graph: Graph, from: Value, to: Value): Value[] {
  const positions = new Map<Value, number>([[from, 0]]);
  for (const node of graph.nodes) {
    if (LOOKS_AT_SIZES.has(node.operator.name)) continue;
    if (!node.inputs.some((value) => value !== undefined && positions.has(value))) continue;
    for (const output of node.outputs) if (!positions.has(output)) positions.set(output, positions.size);
  }
  if (!positions.has(to)) {
    throw new GraphError(
      'cutPoints: the features must depend on the picture, got others. Name another output.',
    );
  }
  const onTheWay = new Set<Value>();
  const stack = [to];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (onTheWay.has(value) || !positions.has(value)) continue;
    onTheWay.add(value);
    if (value !== from && value.origin.kind === 'node') {
      for (const operand of value.origin.node.inputs) if (operand !== undefined) stack.push(operand);
    }
  }
  const order = [...positions.keys()].filter((value) => onTheWay.has(value));
  const place = new Map(order.map((value, i) => [value, i]));
  // The farthest place to which an edge from an earlier value reaches.
  const found: Value[] = [];
  const reach = order.map((_, i) => i);
  order.forEach((value, i) => {
    if (i === 0 || value.origin.kind !== 'node') return;
    for (const operand of value.origin.node.inputs) {
      const start = operand === undefined ? undefined : place.get(operand);
      if (start !== undefined) reach[start] = Math.max(reach[start] as number, i);
    }
  });
  let farthest = 0;
  order.forEach((value, i) => {
    if (farthest <= i && isFloatOrPicture(value, from)) found.push(value);
    farthest = Math.max(farthest, reach[i] as number);
  });
  return found;
}

function isFloatOrPicture(value: Value, from: Value): boolean {
  return value === from || isFloat(value);
}

/** The nodes that a value needs and that are not counted yet; they are counted from then on. */
function uncounted(value: Value, counted: Set<Node>): Node[] {
  const found: Node[] = [];
  const stack = [value];
  for (let current = stack.pop(); current !== undefined; current = stack.pop()) {
    if (current.origin.kind !== 'node' || counted.has(current.origin.node)) continue;
    counted.add(current.origin.node);
    found.push(current.origin.node);
    for (const operand of current.origin.node.inputs) if (operand !== undefined) stack.push(operand);
  }
  return found;
}

/** Each combination of indices is one multiply-add. */
function einsumMultiplyAdds(equation: string, shapes: readonly (readonly number[])[]): number {
  const sizes = new Map<string, number>();
  const terms = (equation.split('->')[0] as string).replaceAll(' ', '').split(',');
  terms.forEach((term, i) => {
    const indices = term.replace('...', '');
    const shape = shapes[i] ?? [];
    // What an ellipsis stands for lies in front.
    const lead = shape.length - indices.length;
    for (let axis = 0; axis < lead; axis++) {
      sizes.set(`.${lead - axis}`, Math.max(sizes.get(`.${lead - axis}`) ?? 1, shape[axis] as number));
    }
    [...indices].forEach((index, axis) => {
      sizes.set(index, shape[lead + axis] as number);
    });
  });
  return sizeOf([...sizes.values()]);
}

function batchOf(graph: Graph, from: Value): number {
  const first = (graph.inputs.find(({ value }) => value === from)?.value ?? from).shape[0];
  return typeof first === 'number' && first > 0 ? first : 1;
}

/** `['N', 3, '4*M']` → `[1, 3, 4]` */
function withoutNames(shape: Shape): number[] {
  return shape.map((dimension) =>
    typeof dimension === 'number' ? dimension : Number.parseInt(dimension, 10) || 1,
  );
}
