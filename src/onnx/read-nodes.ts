/**
 * Nodes of a file, in its order, to nodes of the IR. Constants become constants; what the IR has no operator for is
 * carried along opaque when its output types are known.
 */
import {
  type AttributeValue,
  applyAll,
  constant,
  findOperator,
  knownContent,
  type OpaqueAttribute,
  opaqueOperator,
  type TensorType,
  type Value,
} from '../graph/index.js';
import { errorMessage, GraphError, ShapeError } from '../util/index.js';
import { attributeMessage, opaqueAttribute, readAttribute } from './attributes.js';
import { constantOf, filledOf } from './constant-node.js';
import { type FileNode, isConverted, toOpset18 } from './opset-conversion.js';
import { supportedDataType, tensorValue } from './read-tensor.js';
import {
  ATTRIBUTE_TYPES,
  type AttributeMessage,
  type GraphMessage,
  type NodeMessage,
  toNumber,
  type ValueInfoMessage,
} from './schema.js';

/** What nodes are read with. */
export interface Scope {
  /** Every value so far by name; nodes add theirs. */
  readonly values: Map<string, Value>;
  /** Types of values that the file or the runtime tells. */
  readonly types: ReadonlyMap<string, TensorType>;
  /** Versions of the operator sets by domain; the standard one is `''`. */
  readonly opsets: ReadonlyMap<string, number>;
  /** `domain:name` of functions that the file defines. */
  readonly functions: ReadonlySet<string>;
}

/** An operator that is not known has an output whose type is not either; the runtime can tell it (`inferTypes`). */
export class UnknownTypeError extends GraphError {}

/**
 * Reads the nodes of a graph into `scope.values`.
 * @throws GraphError, ShapeError naming the node.
 */
export function readNodes(nodes: readonly NodeMessage[], scope: Scope): void {
  const makers = new Map<string, NodeMessage>();
  for (const node of nodes) for (const name of node.output) if (name !== '') makers.set(name, node);
  const done = new Set<NodeMessage>();
  for (const node of nodes) {
    const where = describe(node);
    const inputs = node.input.map((name) => {
      if (name === '') return undefined;
      const value = scope.values.get(name);
      if (value !== undefined) return value;
      const maker = makers.get(name);
      throw new GraphError(`readModel: ${where} uses '${name}', which ${originOf(maker, node, done)}`);
    });
    const outputs = readNode(node, inputs, where, scope);
    node.output.forEach((name, i) => {
      const value = outputs[i];
      if (name === '') return;
      if (scope.values.has(name)) {
        throw new GraphError(`readModel: ${where} must make a new value, got '${name}' again.`);
      }
      if (value !== undefined) scope.values.set(name, value);
    });
    done.add(node);
  }
}

/** Whether the output types of a node may have to be told, because the IR has no operator for it. */
export function mayBeOpaque({ domain, opType }: NodeMessage): boolean {
  const isStandard = domain === '' || domain === STANDARD_DOMAIN;
  return !(isStandard && (findOperator(opType) !== undefined || opType in SPECIAL));
}

/** The type that a file gives for a value, `undefined` where it has none that can be used. */
export function typeOf({ name, type }: ValueInfoMessage): TensorType | undefined {
  const tensorType = type?.tensorType;
  const shape = tensorType?.shape;
  const dataType = supportedDataType(tensorType?.elemType ?? 0);
  if (!shape || dataType === undefined) return undefined;
  const dimensions = shape.dim.map((dim, axis) => {
    if (dim.dimParam !== '') return dim.dimParam;
    const size = Object.hasOwn(dim, 'dimValue') ? toNumber(dim.dimValue) : -1;
    return size < 0 ? `${name}_${axis}` : size; // some exporters write −1 for an unknown size
  });
  return { dataType, shape: dimensions };
}

// --- internal ---

const STANDARD_DOMAIN = 'ai.onnx';
const IR_OPSET = 18;

type Outputs = readonly (Value | undefined)[];
type Inputs = readonly (Value | undefined)[];
type Special = (node: NodeMessage, inputs: Inputs, where: string, scope: Scope) => Outputs | undefined;

/** Operators that are read in a way of their own. */
const SPECIAL: Readonly<Record<string, Special>> = Object.assign(Object.create(null), {
  Constant: ({ attribute, output }, _, where) => [constantOf(attribute, output[0] ?? '', where)],
  /** A constant under another name is a constant of its own; the numbers are shared. */
  Identity({ output }, [x]) {
    if (x?.origin.kind !== 'constant') return undefined;
    const { dataType, shape, origin } = x;
    return [constant(origin.data, shape as readonly number[], { dataType, name: output[0] ?? '' })];
  },
  ConstantOfShape: ({ attribute }, [shape]) => [
    filledOf(
      shape,
      attribute.find(({ name }) => name === 'value'),
    ),
  ],
  If: (node, [condition], where, scope) => inlineBranch(node, condition, where, scope),
} satisfies Record<string, Special>);

function describe({ name, opType }: NodeMessage): string {
  return `node '${name}' (${opType})`;
}

function originOf(maker: NodeMessage | undefined, user: NodeMessage, done: ReadonlySet<NodeMessage>): string {
  if (maker === undefined)
    return 'nothing before it makes. The file is damaged or incomplete: export it again.';
  if (maker === user) return 'it makes itself. A graph must have no cycle.';
  if (done.has(maker)) return `${describe(maker)} makes as an output that is not supported.`;
  return `nothing before it makes: ${describe(maker)} comes later. Nodes must be sorted, without cycles.`;
}

function readNode(node: NodeMessage, inputs: Inputs, where: string, scope: Scope): Outputs {
  const { opType } = node;
  const domain = node.domain === STANDARD_DOMAIN ? '' : node.domain;
  if (scope.functions.has(`${domain}:${opType}`)) {
    throw new GraphError(
      `readModel: ${where} must be an operator, got a function of the file. Inline functions first (onnx.inliner in Python).`,
    );
  }
  const isSpecial = domain === '' && opType in SPECIAL;
  const held = node.attribute.find(
    ({ type }) => type === ATTRIBUTE_TYPES.graph || type === ATTRIBUTE_TYPES.graphs,
  );
  if (held !== undefined && !(isSpecial && opType === 'If')) {
    throw new GraphError(
      `readModel: ${where} must not hold a graph, got attribute '${held.name}'. Export without control flow, at fixed sizes.`,
    );
  }
  try {
    const outputs = isSpecial ? SPECIAL[opType]?.(node, inputs, where, scope) : undefined;
    if (outputs !== undefined) return outputs;
    return mayBeOpaque(node) && !(domain === '' && isConverted(opType))
      ? applyOpaque(node, domain, inputs, where, scope)
      : applyKnown(node, inputs, where, scope);
  } catch (error) {
    if (error instanceof ShapeError) throw new ShapeError(`readModel: ${where}: ${error.message}`);
    if (!(error instanceof GraphError)) {
      throw new GraphError(
        `readModel: ${where} must be valid, got one that is not (${errorMessage(error)}).`,
      );
    }
    if (!error.message.startsWith('readModel')) {
      throw new GraphError(`readModel: ${where}: ${error.message}`);
    }
    throw error;
  }
}

function applyKnown(node: NodeMessage, inputs: Inputs, where: string, scope: Scope): Outputs {
  const attributes: Record<string, AttributeValue> = {};
  for (const attribute of node.attribute) attributes[attribute.name] = readAttribute(attribute, where);
  const translated: FileNode = {
    opType: node.opType,
    where,
    opset: scope.opsets.get('') ?? 0,
    inputs: [...inputs],
    attributes,
    outputCount: node.output.length,
  };
  const outputs = toOpset18(translated);
  if (outputs !== undefined) return outputs;
  const operator = findOperator(translated.opType);
  if (operator === undefined) {
    const messages = Object.entries(attributes).map(([name, value]) => attributeMessage(name, value));
    const { name, output } = node;
    const form = {
      name,
      opType: translated.opType,
      domain: '',
      input: [],
      output,
      attribute: messages as AttributeMessage[],
    };
    const opsets = new Map([['', IR_OPSET]]);
    return applyOpaque(form, '', translated.inputs, where, { ...scope, opsets });
  }
  return applyAll(operator, translated.inputs, attributes, node.name || undefined);
}

/** Domains of operators that stand for several: what optimisers make. */
const FUSED_DOMAINS: ReadonlySet<string> = new Set([
  'com.microsoft',
  'com.microsoft.nchwc',
  'com.ms.internal.nhwc',
]);
const QUANTISED = /Quantize|^QLinear|Integer|^QAttention$|^QGemm$|NBits$/;

function adviceOn(domain: string, opType: string): { advice?: string } {
  if (QUANTISED.test(opType)) {
    return { advice: 'Export the float model, without quantisation, or freeze what is before it.' };
  }
  if (FUSED_DOMAINS.has(domain)) {
    return { advice: 'Export the model without optimisation, or freeze what is before it.' };
  }
  return {};
}

function applyOpaque(
  node: NodeMessage,
  domain: string,
  inputs: Inputs,
  where: string,
  scope: Scope,
): Outputs {
  const version = scope.opsets.get(domain);
  if (version === undefined) {
    throw new GraphError(
      `readModel: ${where} must be of an operator set that the file names, got '${domain}'.`,
    );
  }
  const outputTypes = node.output.map((name): TensorType => {
    if (name === '') return { dataType: 'float32', shape: [] };
    const type = scope.types.get(name);
    if (type !== undefined) return type;
    const set = domain === '' ? 'the standard domain' : `domain '${domain}'`;
    throw new UnknownTypeError(
      `readModel: ${where} of ${set} is not a known operator, and the file does not tell the type of its output '${name}'. Read the model from its path, which asks onnxruntime, or save it with inferred shapes.`,
    );
  });
  const attributes = node.attribute.map((attribute) => opaqueAttribute(attribute, where));
  const operator = opaqueOperator({
    name: node.opType,
    domain,
    version,
    attributes,
    inputTypes: inputs,
    outputTypes,
    absentOutputs: node.output.flatMap((name, i) => (name === '' ? [i] : [])),
    ...adviceOn(domain, node.opType),
  });
  return applyAll(operator, inputs, shown(attributes), node.name || undefined);
}

/** Attributes of an opaque node that can be printed. */
function shown(attributes: readonly OpaqueAttribute[]): Record<string, AttributeValue> {
  const result: Record<string, AttributeValue> = {};
  for (const attribute of attributes) {
    if (attribute.kind !== 'tensor' && attribute.kind !== 'texts') result[attribute.name] = attribute.value;
  }
  return result;
}

/** torch writes `If` where a squeeze depends on a size: with known sizes only one branch is there. */
function inlineBranch(
  { attribute, output }: NodeMessage,
  condition: Value | undefined,
  where: string,
  scope: Scope,
): Outputs {
  const [known] = knownContent(condition) ?? [];
  if (typeof known !== 'number') {
    throw new GraphError(
      `readModel: ${where} must have a condition that is known when it is read, got a computed one. Export without control flow, at fixed sizes.`,
    );
  }
  const branchName = known === 0 ? 'else_branch' : 'then_branch';
  const branch = attribute.find(({ name }) => name === branchName)?.g;
  if (!branch || branch.output.length !== output.length) {
    throw new GraphError(
      `readModel: ${where} must have a ${branchName} with ${output.length} outputs, got none.`,
    );
  }
  const values = new Map(scope.values);
  readInitializers(branch, values);
  readNodes(branch.node, { ...scope, values, types: new Map([...scope.types, ...typesOf(branch)]) });
  return branch.output.map(({ name }) => {
    const value = values.get(name);
    if (value === undefined) {
      throw new GraphError(
        `readModel: ${where}: output '${name}' of its ${branchName} must be made, got none.`,
      );
    }
    return value;
  });
}

/** The initialisers of a graph, by name. */
export function readInitializers(graph: GraphMessage, values: Map<string, Value>): void {
  if (graph.sparseInitializer.length > 0) {
    throw new GraphError(
      `readModel: initialisers must be dense, got ${graph.sparseInitializer.length} sparse ones. Export with dense weights.`,
    );
  }
  for (const tensor of graph.initializer) {
    if (values.has(tensor.name)) {
      throw new GraphError(
        `readModel: initialiser '${tensor.name}' must have a name of its own, got it twice.`,
      );
    }
    values.set(tensor.name, tensorValue(tensor));
  }
}

/** The types that a graph tells of its values. */
export function typesOf(graph: GraphMessage): Map<string, TensorType> {
  const types = new Map<string, TensorType>();
  for (const info of [...graph.valueInfo, ...graph.output]) {
    const type = typeOf(info);
    if (type !== undefined) types.set(info.name, type);
  }
  return types;
}
