import { describe, expect, it } from 'vitest';
import { GraphError } from '../util/index.js';
import { add, exponential } from './elementwise.js';
import { buildGraph, constant, type Graph, input, type Node, Value } from './ir.js';
import { verify } from './verify.js';

const x = input('x', 'float32', [2]);
const sum = add(exponential(x), constant(1));
const sound = buildGraph([x], { y: sum });

const refused = (graph: Graph, message: RegExp) => {
  expect(() => verify(graph)).toThrow(GraphError);
  expect(() => verify(graph)).toThrow(message);
};

describe('verify', () => {
  it('returns a sound graph', () => {
    expect(verify(sound)).toBe(sound);
    expect(verify(buildGraph([], { c: constant(1) })).nodes).toEqual([]);
  });

  it('refuses nodes out of order, printing the node', () => {
    refused(
      { ...sound, nodes: [...sound.nodes].reverse() },
      /must come after the values it uses, got .*Add\(/,
    );
  });

  it('refuses an input that is not listed', () => {
    refused({ ...sound, inputs: [] }, /Exp\(/);
  });

  it('refuses an output whose node is missing', () => {
    refused({ ...sound, nodes: sound.nodes.slice(0, 1) }, /output 'y' must be made by a node/);
  });

  it('refuses a type that is not the inferred one', () => {
    const [exp] = sound.nodes as [Node];
    const outputs: Value[] = [];
    const wrong: Node = { ...exp, outputs };
    outputs.push(new Value('float32', [3], { kind: 'node', node: wrong, index: 0 }));
    refused(
      { inputs: sound.inputs, nodes: [wrong], outputs: [{ name: 'y', value: outputs[0] as Value }] },
      /output 0 must be float32 \[2\]/,
    );
  });

  it('refuses a node with too few outputs', () => {
    const [exp] = sound.nodes as [Node];
    refused({ ...sound, nodes: [{ ...exp, outputs: [] }] }, /must have 1 outputs/);
  });

  it('refuses a constant whose array is not of its type', () => {
    const wrong = constant(BigInt64Array.of(1n, 2n)); // float32 by default
    refused(
      buildGraph([x], { y: add(x, wrong) }),
      /float32 constant must hold a Float32Array, got a BigInt64Array/,
    );
    refused(buildGraph([], { wrong }), /BigInt64Array of shape \[2\]/);
  });

  it('refuses two outputs of one name, and names of inputs or nothing', () => {
    const output = sound.outputs[0] as Graph['outputs'][number];
    refused({ ...sound, outputs: [output, output] }, /must be unique, got 'y' twice/);
    refused({ ...sound, outputs: [{ ...output, name: 'x' }] }, /name of another input, got 'x'/);
    refused({ ...sound, outputs: [{ ...output, name: '' }] }, /must have names/);
  });
});

describe('buildGraph', () => {
  it('refuses what is no input, a name twice, and an input that is not listed', () => {
    expect(() => buildGraph([sum], { sum })).toThrow(/inputs must be made by input\(\)/);
    expect(() => buildGraph([x, input('x', 'float32', [1])], { sum })).toThrow(/unique, got 'x' twice/);
    expect(() => buildGraph([], { sum })).toThrow(/must be listed, got 'x' \(Exp uses it\)/);
  });

  it('refuses an unlisted input that is an output directly', () => {
    expect(() => verify(buildGraph([], { x }))).toThrow(GraphError);
  });

  it('leaves out nodes that no output needs', () => {
    const y = exponential(x);
    add(y, y);
    expect(buildGraph([x], { y }).nodes).toHaveLength(1);
  });
});
