/**
 * What can be said about an imported network before it is trained: parameters by role and stage, where gradients pass
 * and where they do not, features, stages and cut points.
 */
import { type Graph, isFloat, type Node, operators, sizeOf, type Value } from '../graph/index.js';
import {
  type CutPoint,
  type CutPointOptions,
  cutPoints,
  multiplyAdds,
  onePictureShapes,
} from './cut-points.js';
import { type Features, findFeatures } from './features.js';
import { type ConstantRole, parameterRoles } from './parameter-roles.js';
import { type Stage, stagesOf } from './stages.js';

export interface Inspection {
  readonly features: Features;
  /** Elements of the constants by role. */
  readonly elementsByRole: Readonly<Record<ConstantRole, number>>;
  /** Elements of the trainable parameters that the features need; of the others, such as a dropped classifier's. */
  readonly trainableCount: number;
  readonly droppedCount: number;
  /** Of `trainableCount`, those that no gradient reaches. */
  readonly blockedCount: number;
  readonly operators: readonly OperatorUse[];
  /** Nodes on the way from a trainable parameter to the features that let no gradient pass. */
  readonly blocking: readonly { readonly node: Node; readonly why: string }[];
  readonly stages: readonly (Stage & { readonly blocked: number })[];
  readonly cutPoints: readonly CutPoint[];
  readonly multiplyAdds: number;
  /** Bytes of all values that the nodes compute for one picture. */
  readonly activationBytes: number;
}

export type GradientRule = 'rule' | 'zero' | 'none' | 'unknown' | 'folded';

export interface OperatorUse {
  readonly name: string;
  readonly count: number;
  /** A rule; zero by nature (comparisons, shapes); no rule; not an operator of the IR; replaced when it was read. */
  readonly gradient: GradientRule;
}

/**
 * Looks at a graph that was read from a file.
 * @param options.output the output to take features from. Default: `findFeatures` chooses.
 * @throws GraphError when no features can be found.
 */
export function inspectGraph(graph: Graph, options: CutPointOptions & { output?: string } = {}): Inspection {
  const features = findFeatures(graph, options.output);
  const from = graph.inputs[0]?.value as Value;
  const roles = parameterRoles(graph);
  const elementsByRole = { weight: 0, bias: 0, normalization: 0, statistic: 0, other: 0, constant: 0 };
  const needed = ancestors([features.features]);
  const open = reachedByGradient(graph, features.features);
  let [trainableCount, droppedCount, blockedCount] = [0, 0, 0];
  for (const [value, { role, isTrainable }] of roles) {
    const elements = sizeOf(value.shape as readonly number[]);
    elementsByRole[role] += elements;
    if (!isTrainable) continue;
    if (needed.has(value)) trainableCount += elements;
    else droppedCount += elements;
    if (needed.has(value) && !open.has(value)) blockedCount += elements;
  }
  const trainable = new Set([...roles].flatMap(([value, { isTrainable }]) => (isTrainable ? [value] : [])));
  const blocking = blockingNodes(graph, needed, trainable);
  const points = cutPoints(graph, from, features.features, options);
  const seen = new Set<Value>();
  const stages = stagesOf(graph, from, features.features, options).map((stage) => {
    let blocked = 0;
    for (const value of ancestors([stage.end], seen)) {
      if (trainable.has(value) && !open.has(value)) blocked += sizeOf(value.shape as readonly number[]);
    }
    return { ...stage, blocked };
  });
  const shapes = onePictureShapes(graph, options.size);
  const batch = typeof from.shape[0] === 'number' ? from.shape[0] : 1;
  let activationBytes = 0;
  let work = 0;
  for (const node of graph.nodes) {
    if (!node.outputs.some((output) => needed.has(output))) continue;
    work += multiplyAdds(node, (value) => shapes.get(value) ?? []) / batch;
    if (VIEWS.has(node.operator.name)) continue;
    for (const output of node.outputs) {
      if (needed.has(output) && isFloat(output)) {
        activationBytes += (sizeOf(shapes.get(output) ?? []) * bytesOf(output)) / batch;
      }
    }
  }
  return {
    features,
    elementsByRole,
    trainableCount,
    droppedCount,
    blockedCount,
    operators: operatorUses(graph),
    blocking,
    stages,
    cutPoints: points,
    multiplyAdds: work,
    activationBytes,
  };
}

/** What the IR knows of an operator's gradient, by its ONNX name. */
export function gradientRule(name: string): GradientRule {
  const operator = Object.hasOwn(operators, name) ? operators[name as keyof typeof operators] : undefined;
  if (operator === undefined) return 'unknown';
  return typeof operator.vjp === 'function' ? 'rule' : operator.vjp;
}

// --- internal ---

/** They give their input's elements in another shape. */
const VIEWS = new Set(['Reshape', 'Flatten', 'Squeeze', 'Unsqueeze', 'Identity']);

function bytesOf({ dataType }: Value): number {
  return dataType === 'float16' ? 2 : dataType === 'float64' ? 8 : 4;
}

function operatorUses(graph: Graph): OperatorUse[] {
  const uses = new Map<string, { count: number; gradient: GradientRule }>();
  for (const { operator } of graph.nodes) {
    const { vjp } = operator;
    const isKnown = Object.hasOwn(operators, operator.name) && !('opaque' in operator);
    const gradient = !isKnown ? 'unknown' : typeof vjp === 'function' ? 'rule' : vjp;
    const use = uses.get(operator.name) ?? { count: 0, gradient };
    use.count++;
    uses.set(operator.name, use);
  }
  return [...uses]
    .map(([name, use]) => ({ name, ...use }))
    .sort((a, b) => b.count - a.count || (a.name < b.name ? -1 : 1));
}

/** All that the values are computed from, themselves included, without what is `seen`; it is seen from then on. */
function ancestors(values: readonly Value[], seen: Set<Value> = new Set()): Set<Value> {
  const found = new Set<Value>();
  const stack = [...values];
  for (let value = stack.pop(); value !== undefined; value = stack.pop()) {
    if (seen.has(value)) continue;
    seen.add(value);
    found.add(value);
    if (value.origin.kind !== 'node') continue;
    for (const operand of value.origin.node.inputs) if (operand !== undefined) stack.push(operand);
  }
  return found;
}

/** The values from which a gradient-passing way leads to the features. */
function reachedByGradient(graph: Graph, features: Value): Set<Value> {
  const found = new Set<Value>([features]);
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const { operator, inputs, outputs } = graph.nodes[i] as Node;
    if (typeof operator.vjp !== 'function' || !outputs.some((output) => found.has(output))) continue;
    for (const operand of inputs) if (operand !== undefined && isFloat(operand)) found.add(operand);
  }
  return found;
}

function blockingNodes(
  graph: Graph,
  needed: ReadonlySet<Value>,
  trainable: ReadonlySet<Value>,
): { node: Node; why: string }[] {
  const dependent = new Set<Value>(trainable);
  const found: { node: Node; why: string }[] = [];
  for (const node of graph.nodes) {
    if (!node.inputs.some((operand) => operand !== undefined && dependent.has(operand))) continue;
    const floats = node.outputs.filter((output) => isFloat(output));
    for (const output of floats) dependent.add(output);
    if (!floats.some((output) => needed.has(output))) continue;
    const { vjp } = node.operator;
    if (vjp === 'none') found.push({ node, why: 'it has no gradient rule' });
    else if (vjp === 'zero' && !SIZES.has(node.operator.name)) {
      found.push({ node, why: 'its gradient is zero everywhere' });
    }
  }
  return found;
}

const SIZES = new Set(['Shape', 'Size', 'ConstantOfShape']);
