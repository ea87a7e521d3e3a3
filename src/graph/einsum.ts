/**
 * Sums of products in Einstein's notation: `einsum('bhid,bhjd->bhij', [q, k])`. Each label names an axis; labels that
 * the result lacks are summed over. An ellipsis stands for leading axes that operands share.
 */
import { GraphError, ShapeError } from '../util/index.js';
import { apply, type Dimension, formatShape, type Operator, staticShape, type Value } from './ir.js';
import { expand, reshapeExactly } from './movement.js';
import { describeNode } from './print.js';
import { sameDataType } from './shapes.js';

/** The sum of products that the equation says. */
export const einsum = (equation: string, operands: readonly Value[]): Value =>
  apply(Einsum, operands, { equation });

// --- operators ---

interface Equation {
  /** Labels of the axes of each operand, an ellipsis written out. */
  readonly operands: readonly (readonly string[])[];
  readonly result: readonly string[];
}

const Einsum: Operator = {
  name: 'Einsum',
  infer(inputs, attributes) {
    const values = inputs as readonly Value[];
    const { operands, result } = parseEquation(String(attributes.equation), values);
    const sizes = sizesOf(operands, values);
    const shape = result.map((label) => sizes.get(label) as Dimension);
    return [{ dataType: sameDataType(values, 'Einsum'), shape }];
  },
  /** By each operand: the result's gradient times the others, with that operand's labels as the result's. */
  vjp({ node, inputs, attributes, outputGradients, isNeeded }) {
    const values = inputs as readonly Value[];
    const { operands, result } = parseEquation(String(attributes.equation), values);
    const sizes = sizesOf(operands, values);
    return operands.map((labels, i) => {
      if (!isNeeded[i]) return undefined;
      const shape = staticShape(values[i] as Value, 'Einsum');
      const isPlain = labels.every(
        (label, axis) => labels.indexOf(label) === axis && sizes.get(label) === shape[axis],
      );
      if (!isPlain) {
        throw new GraphError(
          `gradients: ${describeNode(node)} must have different labels, of one size each, to be differentiated, got '${attributes.equation}'.`,
        );
      }
      const others = operands.filter((_, j) => j !== i);
      const present = labels.filter((label) => [result, ...others].some((list) => list.includes(label)));
      const equation = `${[result, ...others].map((list) => list.join('')).join(',')}->${present.join('')}`;
      const g = einsum(equation, [outputGradients[0] as Value, ...values.filter((_, j) => j !== i)]);
      if (present.length === labels.length) return g;
      // Labels that only this operand has were summed over: each of their elements has the same gradient.
      const kept = labels.map((label, axis) => (present.includes(label) ? (shape[axis] as number) : 1));
      return expand(reshapeExactly(g, kept), shape);
    });
  },
};

function sizesOf(operands: Equation['operands'], values: readonly Value[]): Map<string, Dimension> {
  const sizes = new Map<string, Dimension>();
  operands.forEach((labels, i) => {
    labels.forEach((label, axis) => {
      const size = values[i]?.shape[axis] as Dimension;
      const before = sizes.get(label) ?? 1;
      if (before !== 1 && size !== 1 && before !== size) {
        throw new ShapeError(`Einsum: the axes '${label}' must have one size, got ${before} and ${size}.`);
      }
      sizes.set(label, before === 1 ? size : before);
    });
  });
  return sizes;
}

function parseEquation(text: string, values: readonly Value[]): Equation {
  const [left = '', right] = text.replaceAll(/\s/g, '').split('->');
  const terms = left.split(',');
  const fail = (got: string) =>
    new ShapeError(`Einsum: the equation '${text}' must name each axis of each operand, got ${got}.`);
  if (terms.length !== values.length) throw fail(`${values.length} operands`);
  const used = new Set(text);
  const free = Array.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz').filter(
    (label) => !used.has(label),
  );
  const labelCount = (term: string) => term.replace('...', '').length;
  const shared = Math.max(
    0,
    ...terms.map((term, i) => (term.includes('...') ? (values[i] as Value).rank - labelCount(term) : 0)),
  );
  const ellipsis = free.slice(0, shared);
  const labelsOf = (term: string, axes: number) => {
    const [before = '', after] = term.split('...');
    return after === undefined ? [...term] : [...before, ...ellipsis.slice(shared - axes), ...after];
  };
  const operands = terms.map((term, i) => {
    const value = values[i] as Value;
    const labels = labelsOf(term, Math.max(0, value.rank - labelCount(term)));
    if (labels.length !== value.rank) throw fail(formatShape(value.shape));
    return labels;
  });
  if (right !== undefined) return { operands, result: labelsOf(right, shared) };
  // Without an arrow: the ellipsis, then what occurs once, in alphabetical order.
  const all = operands.flat().filter((label) => !ellipsis.includes(label));
  const once = all.filter((label) => all.indexOf(label) === all.lastIndexOf(label)).sort();
  return { operands, result: [...ellipsis, ...once] };
}

export const einsumOperators = { Einsum } satisfies Record<string, Operator>;
