/**
 * What the constants of an imported graph are for, judged by how the graph uses them: exporters write a kernel, a
 * batch's mean and the limits of a clip all as initialisers. A constant that reaches its use through nodes that depend
 * on constants only (a transposed weight, a cast from float16, a weight that is normalised) has the role of that use.
 */
import { type Graph, isFloat, type Node, type Value } from '../graph/index.js';

/**
 * - `weight`: the kernel or matrix of a linear map, the table of a lookup
 * - `bias`: what is added to a linear map's output, a value a channel
 * - `normalization`: the scale or shift after a normalisation
 * - `statistic`: the running mean or variance of batch normalisation
 * - `other`: trained and none of these: class token, position embedding, layer scale, slope of an activation
 * - `constant`: not trained: scalars, limits, masks, what prepares the picture, what has no name in the file
 */
export type ConstantRole = 'weight' | 'bias' | 'normalization' | 'statistic' | 'other' | 'constant';

export interface ParameterRole {
  readonly role: ConstantRole;
  /** Whether fine-tuning may change it: not so for statistics and constants. */
  readonly isTrainable: boolean;
  /** Whether weight decay applies: weights only. */
  readonly isDecayed: boolean;
}

/** The role of each float constant that the graph's nodes use. */
export function parameterRoles(graph: Graph): ReadonlyMap<Value, ParameterRole> {
  const uses = new Uses(graph);
  const roles = new Map<Value, ParameterRole>();
  for (const node of graph.nodes) {
    for (const value of node.inputs) {
      if (value?.origin.kind !== 'constant' || roles.has(value) || !isFloat(value)) continue;
      const role = trainedRole(value, uses.roleOf(value));
      const isTrainable = role !== 'statistic' && role !== 'constant';
      roles.set(value, { role, isTrainable, isDecayed: role === 'weight' });
    }
  }
  return roles;
}

// --- internal ---

/** A constant of several uses has the first of their roles in this order. */
const PRECEDENCE: readonly ConstantRole[] = [
  'weight',
  'normalization',
  'bias',
  'statistic',
  'other',
  'constant',
];

const LINEAR = new Set(['Conv', 'ConvTranspose', 'MatMul', 'Gemm', 'Einsum']);
const RECURRENT = new Set(['LSTM', 'GRU', 'RNN']);
/** Operators that pass their first input on, elements unchanged. */
const PASSING = new Set([
  'Identity',
  'Cast',
  'Dropout',
  'Reshape',
  'Flatten',
  'Squeeze',
  'Unsqueeze',
  'Transpose',
]);
/** Operators of which float inputs after the first are settings, or which compute shapes. */
const SETTINGS = new Set([
  'Clip',
  'Pad',
  'Pow',
  'Resize',
  'Upsample',
  'OneHot',
  'Range',
  'Max',
  'Min',
  'Mod',
  'Shape',
  'Size',
  'ConstantOfShape',
  'QuantizeLinear',
  'DequantizeLinear',
  'Equal',
  'Greater',
  'GreaterOrEqual',
  'Less',
  'LessOrEqual',
]);
/** An addend this low is a mask: softmax gives it nothing. */
const MASKING = -50;

/** Without a name in the file it is no parameter, unless it is the kernel or matrix of a linear map. */
function trainedRole(value: Value, role: ConstantRole): ConstantRole {
  if (value.origin.kind !== 'constant') return 'constant';
  if (value.origin.name === undefined && role !== 'weight' && role !== 'statistic') return 'constant';
  return role;
}

class Uses {
  readonly #uses = new Map<Value, { node: Node; index: number }[]>();
  /** Values that depend on constants only. */
  readonly #fixed = new Set<Value>();
  /** Values between which and the inputs a linear map, lookup or normalisation with parameters lies. */
  readonly #afterWeight = new Set<Value>();
  readonly #roles = new Map<Value, ConstantRole>();

  constructor(graph: Graph) {
    for (const node of graph.nodes) {
      node.inputs.forEach((value, index) => {
        if (value === undefined) return;
        if (value.origin.kind === 'constant') this.#fixed.add(value);
        const list = this.#uses.get(value);
        if (list === undefined) this.#uses.set(value, [{ node, index }]);
        else list.push({ node, index });
      });
      const given = node.inputs.filter((value) => value !== undefined);
      const isFixed = given.every((value) => this.#fixed.has(value));
      const isAfterWeight =
        given.some((value) => this.#afterWeight.has(value)) ||
        (!isFixed && given.some((value) => this.#fixed.has(value)) && hasParameters(node));
      for (const output of node.outputs) {
        if (isFixed) this.#fixed.add(output);
        if (isAfterWeight) this.#afterWeight.add(output);
      }
    }
  }

  /** The role of a constant or of what is computed from constants. */
  roleOf(value: Value): ConstantRole {
    const before = this.#roles.get(value);
    if (before !== undefined) return before;
    const roles = (this.#uses.get(value) ?? []).map(({ node, index }) => this.#roleOfUse(value, node, index));
    const role = PRECEDENCE.find((candidate) => roles.includes(candidate)) ?? 'constant';
    this.#roles.set(value, role);
    return role;
  }

  #roleOfUse(value: Value, node: Node, index: number): ConstantRole {
    const { name } = node.operator;
    if (SETTINGS.has(name)) return 'constant';
    if (node.outputs.every((output) => this.#fixed.has(output))) {
      if (isScalar(value)) return 'constant';
      const roles = node.outputs.map((output) => this.roleOf(output));
      return PRECEDENCE.find((candidate) => roles.includes(candidate)) ?? 'constant';
    }
    if (LINEAR.has(name)) return index === 2 && name !== 'Einsum' ? 'bias' : 'weight';
    if (RECURRENT.has(name)) return index === 1 || index === 2 ? 'weight' : index === 3 ? 'bias' : 'other';
    switch (name) {
      case 'BatchNormalization':
        return index >= 3 ? 'statistic' : 'normalization';
      case 'InstanceNormalization':
        return this.#isAffineLater(node) && isNeutral(value, index === 1 ? 1 : 0)
          ? 'constant'
          : 'normalization';
      case 'LayerNormalization':
      case 'GroupNormalization':
        return 'normalization';
      case 'Gather':
      case 'GatherND':
      case 'GatherElements':
        return 'weight';
      case 'PRelu':
        return 'other';
      case 'Add':
      case 'Sum':
      case 'Sub':
      case 'Mul':
      case 'Div':
        return this.#elementwiseRole(value, node, index);
      default:
        return isScalar(value) || isMask(value) ? 'constant' : 'other';
    }
  }

  #elementwiseRole(value: Value, node: Node, index: number): ConstantRole {
    const other = node.inputs.find((_, i) => i !== index);
    if (isScalar(value) || isMask(value) || other === undefined || !this.#afterWeight.has(other)) {
      return 'constant';
    }
    if (value.shape.filter((size) => size !== 1).length > 1) return 'other';
    const { name } = node.operator;
    if (name === 'Mul') return isNormalized(other) || this.#isShifted(node) ? 'normalization' : 'other';
    if (name !== 'Add') return 'other';
    const maker = makerOf(other);
    if (maker !== undefined && LINEAR.has(maker.operator.name) && this.#hasFixedInput(maker)) return 'bias';
    const isScaled = maker?.operator.name === 'Mul' && this.#hasFixedInput(maker);
    return isNormalized(other) || isScaled ? 'normalization' : 'other';
  }

  #hasFixedInput(node: Node): boolean {
    return node.inputs.some((value) => value !== undefined && this.#fixed.has(value) && !isScalar(value));
  }

  /** Whether a value a channel is added to a node's output. */
  #isShifted(node: Node): boolean {
    return this.#isAppliedLater(node, ['Add']);
  }

  /** Whether a scale a channel follows: torch writes group normalisation as instance normalisation and its own scale. */
  #isAffineLater(node: Node): boolean {
    return this.#isAppliedLater(node, ['Mul']);
  }

  #isAppliedLater(node: Node, operators: readonly string[]): boolean {
    const uses = this.#uses.get(node.outputs[0] as Value) ?? [];
    return uses.some(({ node: next }) => {
      if (PASSING.has(next.operator.name)) return this.#isAppliedLater(next, operators);
      return operators.includes(next.operator.name) && this.#hasFixedInput(next);
    });
  }
}

function hasParameters({ operator: { name } }: Node): boolean {
  return (
    LINEAR.has(name) || RECURRENT.has(name) || name.endsWith('Normalization') || name.startsWith('Gather')
  );
}

/** The node that computes a value, seen through those that only pass it on. */
function makerOf(value: Value | undefined): Node | undefined {
  let current = value;
  while (current?.origin.kind === 'node') {
    const { node } = current.origin;
    if (!PASSING.has(node.operator.name)) return node;
    current = node.inputs[0];
  }
  return undefined;
}

/** Whether a value was divided by a root, as in `(x − mean) / √(variance + ε)`, or comes from a normalisation. */
function isNormalized(value: Value): boolean {
  const maker = makerOf(value);
  if (maker === undefined) return false;
  if (maker.operator.name.endsWith('Normalization')) return true;
  if (maker.operator.name === 'Div') return makerOf(maker.inputs[1])?.operator.name === 'Sqrt';
  return maker.operator.name === 'Mul' && maker.inputs.some((factor) => isReciprocalRoot(factor));
}

function isReciprocalRoot(value: Value | undefined): boolean {
  const maker = makerOf(value);
  const root =
    maker?.operator.name === 'Reciprocal'
      ? maker.inputs[0]
      : maker?.operator.name === 'Div'
        ? maker.inputs[1]
        : undefined;
  return makerOf(root)?.operator.name === 'Sqrt';
}

function isScalar({ shape }: Value): boolean {
  return shape.every((size) => size === 1);
}

function isNeutral(value: Value, number: 0 | 1): boolean {
  if (value.origin.kind !== 'constant') return false;
  const wanted = value.dataType === 'float16' && number === 1 ? 0x3c00 : number;
  return (value.origin.data as Float32Array).every((element) => element === wanted);
}

/** A table of 0 and of numbers so low that softmax leaves nothing of them. */
function isMask(value: Value): boolean {
  if (value.origin.kind !== 'constant' || value.rank < 2) return false;
  const data = value.origin.data as Float32Array;
  const lowest = value.dataType === 'float16' ? (x: number) => x >= 0xd240 : (x: number) => x <= MASKING;
  let hasLow = false;
  for (const element of data) {
    if (lowest(element)) hasLow = true;
    else if (element !== 0 && element !== 0x8000) return false;
  }
  return hasLow;
}
