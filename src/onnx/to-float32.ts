/**
 * Models of half or double precision as float32, which training needs: inputs, outputs, weights and casts.
 */
import {
  applyAll,
  cast,
  constant,
  type DataType,
  input,
  type Node,
  substitute,
  topologicalOrder,
  type Value,
  verify,
} from '../graph/index.js';
import { float16ToFloat32 } from '../util/index.js';
import type { ReadModel } from './read.js';

/**
 * The same model with every float16 and float64 value as float32. Half precision becomes float32 exactly; doubles are
 * rounded. Opaque operators keep their types, between casts.
 * @returns `model` itself when there is nothing to change.
 */
export function toFloat32(model: ReadModel): ReadModel {
  const named = [...model.values];
  const roots = [...named.map(([, value]) => value), ...model.graph.outputs.map(({ value }) => value)];
  const nodes = topologicalOrder(roots);
  const values = new Set(roots);
  for (const node of nodes) {
    for (const value of [...node.inputs, ...node.outputs]) if (value !== undefined) values.add(value);
  }
  if (![...values].some(isOtherFloat)) return model;

  const replacements = new Map<Value, Value>();
  for (const value of values) if (isOtherFloat(value)) replaceSource(value, replacements);
  const replaced = substitute(roots, replacements, (node, inputs) => replaceNode(node, inputs));
  const outputs = model.graph.outputs.map(({ name }, i) => ({
    name,
    value: replaced[named.length + i] as Value,
  }));
  const inputs = model.graph.inputs.map(({ name, value }) => ({
    name,
    value: replacements.get(value) ?? value,
  }));
  return {
    ...model,
    graph: verify({ inputs, outputs, nodes: topologicalOrder(outputs.map(({ value }) => value)) }),
    values: new Map(named.map(([name], i) => [name, replaced[i] as Value])),
  };
}

// --- internal ---

function isOtherFloat({ dataType }: { readonly dataType: DataType }): boolean {
  return dataType === 'float16' || dataType === 'float64';
}

function replaceSource(value: Value, replacements: Map<Value, Value>): void {
  const { origin, shape } = value;
  if (origin.kind === 'input') replacements.set(value, input(origin.name, 'float32', shape));
  if (origin.kind !== 'constant') return;
  const data =
    origin.data instanceof Uint16Array
      ? float16ToFloat32(origin.data)
      : Float32Array.from(origin.data as Float64Array);
  const name = origin.name === undefined ? {} : { name: origin.name };
  replacements.set(value, constant(data, shape as readonly number[], name));
}

function replaceNode(node: Node, inputs: readonly (Value | undefined)[]): readonly Value[] | undefined {
  const { operator, attributes, outputs, name } = node;
  const isToFloat = isOtherFloat(outputs[0] as Value) || outputs[0]?.dataType === 'float32';
  if (operator.name === 'Cast' && isToFloat) return [cast(inputs[0] as Value, 'float32')];
  if (operator.opaque === undefined) return undefined;
  const original = inputs.map((value, i) => value && cast(value, (node.inputs[i] as Value).dataType));
  return applyAll(operator, original, attributes, name).map((value) =>
    isOtherFloat(value) ? cast(value, 'float32') : value,
  );
}
