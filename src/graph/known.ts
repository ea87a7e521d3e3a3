/**
 * Rules for the contents that are known when the graph is built (`Operator.known`): the same computation on small
 * arrays of numbers and dimension names. A rule gives `undefined` where the runtime must compute.
 */
import { type DataType, type Dimension, type Node, sizeOf, type Value } from './ir.js';

type Content = readonly Dimension[] | undefined;
type KnownRule = (node: Node, contents: readonly Content[]) => Content;

/** What an element is computed from, and the type that it is computed in (that of the first output). */
type ElementRule = (elements: readonly Dimension[], dataType: DataType, node: Node) => Dimension | undefined;

/** Element by element with broadcasting. */
export function knownElementwise(compute: ElementRule): KnownRule {
  return (node, contents) => {
    const { shape, dataType } = node.outputs[0] as Value;
    const values = node.inputs as readonly (Value | undefined)[];
    const places: number[][] = [];
    for (const [i, value] of values.entries()) {
      if (value === undefined) continue;
      if (contents[i] === undefined) return undefined;
      places.push(broadcastPlaces(value.shape as readonly number[], shape as readonly number[]));
    }
    const given = contents.filter((content) => content !== undefined);
    const result: Dimension[] = [];
    for (let flat = 0; flat < sizeOf(shape as readonly number[]); flat++) {
      const elements = given.map((content, i) => content[places[i]?.[flat] as number] as Dimension);
      const element = toType(compute(elements, dataType, node), dataType);
      if (element === undefined) return undefined;
      result.push(element);
    }
    return result;
  };
}

/** The first input's elements at other places: `source` gives, for a place of the output, its place in the input. */
export function knownMovement(
  source: (
    index: readonly number[],
    node: Node,
    contents: readonly Content[],
  ) => readonly number[] | undefined,
): KnownRule {
  return (node, contents) => {
    const [content] = contents;
    const x = node.inputs[0];
    if (content === undefined || x === undefined) return undefined;
    const shape = x.shape as readonly number[];
    const result: Dimension[] = [];
    for (const index of placesOf((node.outputs[0] as Value).shape as readonly number[])) {
      const from = source(index, node, contents);
      if (from === undefined) return undefined;
      const element = content[flatten(from, shape)];
      if (element === undefined) return undefined;
      result.push(element);
    }
    return result;
  };
}

/** The same elements in the same order. */
export const knownUnchanged: KnownRule = (_, [content]) => content;

/** All places of a static shape, row by row. */
export function* placesOf(shape: readonly number[]): Generator<readonly number[]> {
  const index = shape.map(() => 0);
  for (let left = sizeOf(shape); left > 0; left--) {
    yield index;
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      index[axis] = (index[axis] as number) + 1;
      if ((index[axis] as number) < (shape[axis] as number)) break;
      index[axis] = 0;
    }
  }
}

/** A place as the number of elements before it. */
export function flatten(index: readonly number[], shape: readonly number[]): number {
  return shape.reduce((total, size, axis) => total * size + (index[axis] as number), 0);
}

/** Whether a data type holds whole numbers. */
export function isInteger(dataType: DataType): boolean {
  return dataType === 'int64' || dataType === 'int32' || dataType === 'int8' || dataType === 'uint8';
}

// --- internal ---

/** The number as the type holds it; whole numbers beyond the exact range are not followed. */
function toType(element: Dimension | undefined, dataType: DataType): Dimension | undefined {
  if (typeof element !== 'number') return element;
  if (dataType === 'float32') return Math.fround(element);
  if (dataType === 'float64') return element;
  const limits = { int64: 2 ** 53, int32: 2 ** 31, int8: 2 ** 7, uint8: 2 ** 8, bool: 2, float16: 0 };
  const isInside = element < limits[dataType] && element >= (isSigned(dataType) ? -limits[dataType] : 0);
  return isInside && Number.isInteger(element) ? element + 0 : undefined;
}

function isSigned(dataType: DataType): boolean {
  return dataType !== 'uint8' && dataType !== 'bool';
}

function broadcastPlaces(from: readonly number[], to: readonly number[]): number[] {
  const lead = to.length - from.length;
  return Array.from(placesOf(to), (index) =>
    flatten(
      from.map((size, axis) => (size === 1 ? 0 : (index[lead + axis] as number))),
      from,
    ),
  );
}
