/** What rewrites of whole models have in common. */
import { buildGraph, type Graph, type Node, type Origin, substitute, type Value } from '../graph/index.js';

/** A value that is known to be constant. */
export type Constant = Value & { readonly origin: Extract<Origin, { kind: 'constant' }> };

/** The constants that the nodes of a graph use, each once. */
export function constantsOf(graph: Graph): Constant[] {
  const found = new Set<Constant>();
  for (const { inputs } of graph.nodes) for (const value of inputs) if (isConstant(value)) found.add(value);
  return [...found];
}

export function isConstant(value: Value | undefined): value is Constant {
  return value?.origin.kind === 'constant';
}

/** The graph with values replaced, and nodes where `replace` gives other outputs; inputs and outputs keep their names. */
export function rebuilt(
  graph: Graph,
  replacements: ReadonlyMap<Value, Value>,
  replace: (node: Node, inputs: readonly (Value | undefined)[]) => readonly Value[] | undefined = () =>
    undefined,
): Graph {
  const outputs = substitute(
    graph.outputs.map(({ value }) => value),
    replacements,
    replace,
  );
  return buildGraph(
    graph.inputs.map(({ value }) => value),
    Object.fromEntries(graph.outputs.map(({ name }, i) => [name, outputs[i] as Value])),
  );
}
