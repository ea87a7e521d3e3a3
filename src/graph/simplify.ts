/**
 * Simplification: what exporters compute in nodes although it is known, and nodes that change nothing, go away. The
 * graph computes the same values, to the bit; a batch of unknown size stays unknown.
 */
import { elementwiseOperators } from './elementwise.js';
import {
  type Attributes,
  apply,
  applyAll,
  constant,
  constantIntegers,
  formatShape,
  type Graph,
  int64,
  isFloat,
  knownContent,
  type Node,
  type Operator,
  sizeOf,
  type Value,
} from './ir.js';
import { movementOperators } from './movement.js';
import { rewrite } from './rewrite.js';
import { shapeOperators } from './shape.js';

/**
 * Replaces nodes whose content is known (`knownContent`) by constants, gives a `Reshape` whose shape is computed a
 * constant one (with 0 for a size that stays, −1 for one that remains), joins a `Reshape` of a `Reshape` and a `Transpose`
 * of a `Transpose`, and takes out nodes that change nothing. Nodes that nothing depends on go.
 *
 * Floats that are computed from a constant that has a name are left alone: that may be a parameter, by which someone
 * wants a gradient.
 */
export function simplify(graph: Graph): Graph {
  const fromParameters = new Set<Value>();
  const tests = nothingChanges();
  return rewrite(graph, (node, inputs) => {
    const isFromParameters = inputs.some(
      (value) => value !== undefined && (isParameter(value) || fromParameters.has(value)),
    );
    const replaced = replacementOf(node, inputs, tests.get(node.operator));
    if (replaced !== undefined) return replaced;
    const outputs = inputs.every((value, i) => value === node.inputs[i])
      ? node.outputs
      : applyAll(node.operator, inputs, node.attributes, node.name);
    const [output] = outputs as [Value];
    if (isFloat(output) && isFromParameters) for (const value of outputs) fromParameters.add(value);
    else if (outputs.length === 1) {
      const folded = asConstant(output);
      if (folded !== undefined) return [folded];
    }
    return outputs;
  });
}

// --- internal ---

type Rewritten = readonly (Value | undefined)[];

function isParameter({ origin, dataType }: Value): boolean {
  return origin.kind === 'constant' && origin.name !== undefined && isFloat({ dataType });
}

function asConstant(value: Value): Value | undefined {
  const content = knownContent(value);
  if (content === undefined) return undefined;
  // Beyond 2⁵³ ("to the end" is 2⁶³ − 1) a number is not exact.
  const isExact = content.every(
    (element) => typeof element === 'number' && (isFloat(value) || Number.isSafeInteger(element)),
  );
  if (!isExact || value.dataType === 'float16') return undefined;
  return constant(content as readonly number[], value.shape as readonly number[], {
    dataType: value.dataType,
  });
}

/** What the node's outputs are instead, or `undefined` when the node stays. */
function replacementOf(
  node: Node,
  inputs: Rewritten,
  changesNothing: Test | undefined,
): readonly Value[] | undefined {
  const x = inputs[0];
  const output = node.outputs[0];
  if (x === undefined || output === undefined || node.outputs.length !== 1) return undefined;
  if (changesNothing?.({ x, inputs, output, attributes: node.attributes })) return [x];
  if (node.operator === movementOperators.Reshape) return reshaped(x, inputs[1], output, node.attributes);
  if (node.operator === movementOperators.Transpose) return transposedTwice(x, node.attributes);
  return undefined;
}

type Test = (context: { x: Value; inputs: Rewritten; output: Value; attributes: Attributes }) => boolean;

const keepsShape: Test = ({ x, output }) => formatShape(x.shape) === formatShape(output.shape);
const isAlone: Test = ({ inputs }) => inputs.length === 1;

/** By operator, when a node of it gives its first input. (A function: families of operators import passes.) */
const nothingChanges = (): ReadonlyMap<Operator, Test> =>
  new Map<Operator, Test>([
    [elementwiseOperators.Identity, () => true],
    [movementOperators.Reshape, keepsShape],
    [shapeOperators.Squeeze, keepsShape],
    [shapeOperators.Unsqueeze, keepsShape],
    [shapeOperators.Flatten, keepsShape],
    [movementOperators.Expand, keepsShape],
    [shapeOperators.Tile, keepsShape],
    [elementwiseOperators.Cast, ({ x, output }) => x.dataType === output.dataType],
    [
      movementOperators.Transpose,
      ({ x, attributes }) => {
        const order = attributes.perm as readonly number[] | undefined;
        return order === undefined ? x.rank < 2 : order.every((axis, i) => axis === i);
      },
    ],
    [
      movementOperators.Slice,
      (context) =>
        keepsShape(context) && (constantIntegers(context.inputs[4]) ?? [1]).every((step) => step > 0),
    ],
    [
      movementOperators.Pad,
      ({ inputs }) => constantIntegers(inputs[1])?.every((count) => count === 0) === true,
    ],
    [movementOperators.Concat, isAlone],
    [elementwiseOperators.Sum, isAlone],
    [elementwiseOperators.Mean, isAlone],
    [elementwiseOperators.Max, isAlone],
    [elementwiseOperators.Min, isAlone],
  ]);

function reshaped(
  x: Value,
  shape: Value | undefined,
  { shape: target }: Value,
  attributes: Attributes,
): readonly Value[] | undefined {
  const source =
    x.origin.kind === 'node' && x.origin.node.operator === movementOperators.Reshape
      ? (x.origin.node.inputs[0] as Value)
      : x;
  const isConstant = shape?.origin.kind === 'constant';
  if (isConstant && source === x) return undefined;
  if (formatShape(source.shape) === formatShape(target)) return [source];
  if (target.every((size) => typeof size === 'number')) {
    const hasZero = sizeOf(target as readonly number[]) === 0;
    return [
      apply(
        movementOperators.Reshape,
        [source, int64(target as readonly number[])],
        hasZero ? { allowzero: 1 } : {},
      ),
    ];
  }
  if (target.includes(0)) return undefined;
  const wanted = target.map((size, axis) =>
    typeof size === 'number' ? size : source.shape[axis] === size ? 0 : -1,
  );
  if (wanted.filter((size) => size === -1).length > 1) return undefined;
  const { allowzero: _, ...rest } = attributes;
  return [apply(movementOperators.Reshape, [source, int64(wanted)], rest)];
}

function transposedTwice(x: Value, attributes: Attributes): readonly Value[] | undefined {
  if (x.origin.kind !== 'node' || x.origin.node.operator !== movementOperators.Transpose) return undefined;
  const reversed = x.shape.map((_, axis) => x.rank - 1 - axis);
  const outer = (attributes.perm as readonly number[] | undefined) ?? reversed;
  const inner = (x.origin.node.attributes.perm as readonly number[] | undefined) ?? reversed;
  const order = outer.map((axis) => inner[axis] as number);
  const source = x.origin.node.inputs[0] as Value;
  return [
    order.every((axis, i) => axis === i)
      ? source
      : apply(movementOperators.Transpose, [source], { perm: order }),
  ];
}
