/**
 * Operators that read or write single elements, or slices, at the places that a tensor of indices names. Gradients that
 * add up at equal places are written with `ScatterElements`, which onnxruntime runs in order: the same sum each time.
 */
import { GraphError, ShapeError } from '../util/index.js';
import { add, less, multiply, where } from './elementwise.js';
import { sumRows } from './indexing.js';
import {
  type Attributes,
  apply,
  constant,
  type Dimension,
  formatShape,
  int64,
  type Operator,
  sizeOf,
  staticShape,
  type Value,
} from './ir.js';
import { reshapeExactly, zeros } from './movement.js';
import { describeNode } from './print.js';
import { reduceSum } from './reduction.js';
import { normalizeAxis, required, sameDataType } from './shapes.js';

/** What happens where a place is written: the update replaces what was there, or is added to it. */
export type ScatterReduction = 'none' | 'add';

/** `y[i][j] = x[indices[i][j]][j]` along axis 0, and likewise along others; indices are int64. */
export const gatherElements = (x: Value, indices: Value, axis = 0): Value =>
  apply(GatherElements, [x, indices], { axis });
/** The slices of `x` at the places that rows of `indices` (int64 […, depth]) name. */
export const gatherSlices = (x: Value, indices: Value): Value => apply(GatherND, [x, indices]);
/** `x` with `updates` written where `gatherElements` with the same indices would read. */
export const scatterElements = (
  x: Value,
  indices: Value,
  updates: Value,
  { axis = 0, reduction = 'none' }: { axis?: number; reduction?: ScatterReduction } = {},
): Value => apply(ScatterElements, [x, indices, updates], { axis, reduction });
/** `x` with `updates` written where `gatherSlices` with the same indices would read. */
export const scatterSlices = (
  x: Value,
  indices: Value,
  updates: Value,
  reduction: ScatterReduction = 'none',
): Value => apply(ScatterND, [x, indices, updates], { reduction });

// --- operators ---

function indexInput(value: Value | undefined, where: string): Value {
  const indices = required(value, where, 1);
  if (indices.dataType === 'int64' || (indices.dataType === 'int32' && where.endsWith('Elements')))
    return indices;
  throw new ShapeError(`${where}: indices must be int64, got ${indices.dataType}.`);
}

const GatherElements: Operator = {
  name: 'GatherElements',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'GatherElements', 0);
    const indices = indexInput(inputs[1], 'GatherElements');
    normalizeAxis(Number(attributes.axis ?? 0), x.rank, 'GatherElements');
    if (indices.rank !== x.rank) {
      throw new ShapeError(
        `GatherElements: indices must have the rank of ${formatShape(x.shape)}, got ${formatShape(indices.shape)}.`,
      );
    }
    return [{ dataType: x.dataType, shape: indices.shape }];
  },
  vjp({ inputs, attributes, outputGradients }) {
    const [x, indices] = inputs as [Value, Value];
    const none = zeros(x.dataType, staticShape(x, 'GatherElements'));
    const axis = Number(attributes.axis ?? 0);
    return [scatterElements(none, indices, outputGradients[0] as Value, { axis, reduction: 'add' })];
  },
};

/** Shapes: x [A…, R…], indices [I…, depth = number of A], result [I…, R…]; with `batch_dims` b, the first b axes are shared. */
const GatherND: Operator = {
  name: 'GatherND',
  infer(inputs, attributes) {
    const x = required(inputs[0], 'GatherND', 0);
    const indices = indexInput(inputs[1], 'GatherND');
    const batch = Number(attributes.batch_dims ?? 0);
    const depth = depthOf(x, indices, batch, 'GatherND');
    return [
      { dataType: x.dataType, shape: [...indices.shape.slice(0, -1), ...x.shape.slice(batch + depth)] },
    ];
  },
  vjp({ node, inputs, attributes, outputGradients }) {
    const [x, indices] = inputs as [Value, Value];
    if (Number(attributes.batch_dims ?? 0) !== 0) {
      throw new GraphError(
        `gradients: ${describeNode(node)} must have batch_dims 0 to be differentiated, got ${attributes.batch_dims}.`,
      );
    }
    const shape = staticShape(x, 'GatherND');
    const places = staticShape(indices, 'GatherND');
    const depth = places[places.length - 1] as number;
    const rows = sizeOf(places.slice(0, -1));
    const size = sizeOf(shape.slice(0, depth));
    const width = sizeOf(shape.slice(depth));
    const g = reshapeExactly(outputGradients[0] as Value, [rows, width]);
    const summed = sumRows(g, reshapeExactly(flatPlaces(indices, shape.slice(0, depth)), [rows]), size);
    return [reshapeExactly(summed, shape)];
  },
};

function depthOf(x: Value, indices: Value, batch: number, where: string): number {
  const depth = indices.shape[indices.rank - 1];
  if (typeof depth !== 'number' || depth < 1 || batch + depth > x.rank) {
    throw new ShapeError(
      `${where}: the last axis of indices must be in [1, ${x.rank - batch}], got ${formatShape(indices.shape)}.`,
    );
  }
  return depth;
}

/** Places of several axes as places of one that holds them all. */
function flatPlaces(indices: Value, sizes: readonly number[]): Value {
  const strides = sizes.map((_, axis) => sizeOf(sizes.slice(axis + 1)));
  const zero = constant(0, [], { dataType: 'int64' });
  const fromFront = where(less(indices, zero), add(indices, int64(sizes)), indices);
  return reduceSum(multiply(fromFront, int64(strides)), [-1]);
}

/** Both kinds of scattering: the gradient passes what was not replaced, and what was written. */
function scatter(
  name: 'ScatterElements' | 'ScatterND',
  updateShape: (x: Value, indices: Value, attributes: Attributes) => readonly Dimension[],
  read: (g: Value, indices: Value, attributes: Attributes) => Value,
): Operator {
  const operator: Operator = {
    name,
    infer(inputs, attributes) {
      const x = required(inputs[0], name, 0);
      const indices = indexInput(inputs[1], name);
      const updates = required(inputs[2], name, 2);
      const wanted = formatShape(updateShape(x, indices, attributes));
      if (formatShape(updates.shape) !== wanted) {
        throw new ShapeError(
          `${name}: updates must have shape ${wanted}, got ${formatShape(updates.shape)}.`,
        );
      }
      return [{ dataType: sameDataType([x, updates], name), shape: x.shape }];
    },
    vjp({ node, inputs, attributes, outputGradients, isNeeded }) {
      const [, indices, updates] = inputs as [Value, Value, Value];
      const g = outputGradients[0] as Value;
      const reduction = attributes.reduction ?? 'none';
      if (reduction !== 'none' && reduction !== 'add') {
        throw new GraphError(
          `gradients: ${describeNode(node)} must have reduction 'none' or 'add' to be differentiated, got '${reduction}'.`,
        );
      }
      const kept = () =>
        reduction === 'add'
          ? g
          : apply(operator, [g, indices, zeros(g.dataType, staticShape(updates, name))], attributes);
      return [
        isNeeded[0] ? kept() : undefined,
        undefined,
        isNeeded[2] ? read(g, indices, attributes) : undefined,
      ];
    },
  };
  return operator;
}

const ScatterElements = scatter(
  'ScatterElements',
  (_, indices) => indices.shape,
  (g, indices, attributes) => gatherElements(g, indices, Number(attributes.axis ?? 0)),
);
const ScatterND = scatter(
  'ScatterND',
  (x, indices) => [...indices.shape.slice(0, -1), ...x.shape.slice(depthOf(x, indices, 0, 'ScatterND'))],
  (g, indices) => gatherSlices(g, indices),
);

export const scatterOperators = {
  GatherElements,
  GatherND,
  ScatterElements,
  ScatterND,
} satisfies Record<string, Operator>;
