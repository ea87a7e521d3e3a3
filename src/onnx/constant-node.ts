/**
 * The `Constant` node in all its forms (a tensor, a number, or a list of numbers), and `ConstantOfShape`.
 */
import { constant, constantOfShape, type Value } from '../graph/index.js';
import { GraphError, ShapeError } from '../util/index.js';
import { tensorValue } from './read-tensor.js';
import { type AttributeMessage, toInt64 } from './schema.js';

/** The constant that a `Constant` node with these attributes makes. */
export function constantOf(attributes: readonly AttributeMessage[], name: string, where: string): Value {
  const given = attributes.filter((attribute) => attribute.name in FORMS);
  const [attribute] = given;
  const form = attribute === undefined ? undefined : FORMS[attribute.name];
  if (given.length !== 1 || form === undefined) {
    const names = attributes.map((other) => other.name).join(', ') || 'none';
    throw new GraphError(
      `readModel: ${where} must have one of the attributes ${Object.keys(FORMS).join(', ')}, got ${names}.`,
    );
  }
  return form(attribute as AttributeMessage, name, where);
}

/** What a `ConstantOfShape` node makes: its attribute `value` has one element, and is a float32 0 where it is absent. */
export function filledOf(shape: Value | undefined, value: AttributeMessage | undefined): Value {
  if (shape === undefined) throw new ShapeError('ConstantOfShape: input 0 is required, got none.');
  return constantOfShape(shape, value?.t ? tensorValue(value.t, '') : constant(0));
}

// --- internal ---

type Form = (attribute: AttributeMessage, name: string, where: string) => Value;

const FORMS: Readonly<Record<string, Form>> = Object.assign(Object.create(null), {
  value: ({ t }, name, where) => {
    if (t === null) throw new GraphError(`readModel: ${where} must have a tensor as its value, got none.`);
    return tensorValue(t, name);
  },
  value_float: ({ f }, name) => constant(Float32Array.of(f), [], { name }),
  value_floats: ({ floats }, name) => constant(Float32Array.from(floats), [floats.length], { name }),
  value_int: ({ i }, name) => constant(BigInt64Array.of(toInt64(i)), [], { dataType: 'int64', name }),
  value_ints: ({ ints }, name) =>
    constant(BigInt64Array.from(ints, toInt64), [ints.length], { dataType: 'int64', name }),
} satisfies Record<string, Form>);
