/**
 * Attributes of nodes, from the file and to it. The IR has plain numbers, texts and lists of numbers; which of them the
 * format declares as floats is known by name, so that a float with an integral value stays a float.
 */
import type { AttributeValue, OpaqueAttribute } from '../graph/index.js';
import { GraphError } from '../util/index.js';
import {
  ATTRIBUTE_TYPES,
  type AttributeMessage,
  type Encodable,
  type TensorMessage,
  toNumber,
} from './schema.js';

/**
 * An attribute of the file as the IR has it.
 * @throws GraphError for tensors, graphs and lists of texts, which no operator of the IR has.
 */
export function readAttribute(attribute: AttributeMessage, where: string): AttributeValue {
  switch (attribute.type) {
    case ATTRIBUTE_TYPES.float:
      return shortest(attribute.f);
    case ATTRIBUTE_TYPES.int:
      return toNumber(attribute.i);
    case ATTRIBUTE_TYPES.string:
      return text(attribute.s);
    case ATTRIBUTE_TYPES.ints:
      return attribute.ints.map(toNumber);
    case ATTRIBUTE_TYPES.floats:
      return attribute.floats.map(shortest);
    default:
      throw new GraphError(
        `readModel: attribute '${attribute.name}' of ${where} must be a number, text or list of numbers, got ${typeName(attribute.type)}.`,
      );
  }
}

/** An attribute of the IR as the file has it. */
export function attributeMessage(name: string, value: AttributeValue): Encodable<AttributeMessage> {
  if (typeof value === 'string') return { name, type: ATTRIBUTE_TYPES.string, s: Buffer.from(value) };
  const isFloat = FLOAT_ATTRIBUTES.has(name);
  if (typeof value !== 'number') {
    return isFloat
      ? { name, type: ATTRIBUTE_TYPES.floats, floats: [...value] }
      : { name, type: ATTRIBUTE_TYPES.ints, ints: [...value] };
  }
  return isFloat
    ? { name, type: ATTRIBUTE_TYPES.float, f: value }
    : { name, type: ATTRIBUTE_TYPES.int, i: value };
}

/** An attribute of an operator that the IR does not know, with its kind. @throws GraphError for graphs and types. */
export function opaqueAttribute(attribute: AttributeMessage, where: string): OpaqueAttribute {
  const { name, type, t } = attribute;
  switch (type) {
    case ATTRIBUTE_TYPES.float:
      return { name, kind: 'float', value: shortest(attribute.f) };
    case ATTRIBUTE_TYPES.int:
      return { name, kind: 'int', value: toNumber(attribute.i) };
    case ATTRIBUTE_TYPES.string:
      return { name, kind: 'text', value: text(attribute.s) };
    case ATTRIBUTE_TYPES.floats:
      return { name, kind: 'floats', value: attribute.floats.map(shortest) };
    case ATTRIBUTE_TYPES.ints:
      return { name, kind: 'ints', value: attribute.ints.map(toNumber) };
    case ATTRIBUTE_TYPES.strings:
      return { name, kind: 'texts', value: attribute.strings.map(text) };
    case ATTRIBUTE_TYPES.tensor:
      if (t !== null) return { name, kind: 'tensor', value: t };
  }
  throw new GraphError(
    `readModel: attribute '${name}' of ${where} must be a number, text, tensor or list, got ${typeName(type)}.`,
  );
}

/** The same as the file has it. */
export function opaqueAttributeMessage(attribute: OpaqueAttribute): Encodable<AttributeMessage> {
  const { name } = attribute;
  switch (attribute.kind) {
    case 'float':
      return { name, type: ATTRIBUTE_TYPES.float, f: attribute.value };
    case 'int':
      return { name, type: ATTRIBUTE_TYPES.int, i: attribute.value };
    case 'text':
      return { name, type: ATTRIBUTE_TYPES.string, s: Buffer.from(attribute.value) };
    case 'floats':
      return { name, type: ATTRIBUTE_TYPES.floats, floats: attribute.value };
    case 'ints':
      return { name, type: ATTRIBUTE_TYPES.ints, ints: attribute.value };
    case 'texts':
      return {
        name,
        type: ATTRIBUTE_TYPES.strings,
        strings: attribute.value.map((value) => Buffer.from(value)),
      };
    case 'tensor':
      return { name, type: ATTRIBUTE_TYPES.tensor, t: attribute.value as Encodable<TensorMessage> };
  }
}

// --- internal ---

function text(bytes: Uint8Array): string {
  return Buffer.from(bytes).toString('utf8');
}

/** `type 5 (graph)` */
function typeName(type: number): string {
  const name = Object.entries(ATTRIBUTE_TYPES).find(([, number]) => number === type)?.[0];
  return name === undefined ? `type ${type}` : `type ${type} (${name})`;
}

/** Every attribute of the standard domain that ONNX declares as a float or as floats; other numbers are integers. */
const FLOAT_ATTRIBUTES: ReadonlySet<string> = new Set([
  'activation_alpha',
  'activation_beta',
  'alpha',
  'beta',
  'bias',
  'clip',
  'cubic_coeff_a',
  'epsilon',
  'extrapolation_value',
  'gamma',
  'high',
  'lambd',
  'low',
  'mean',
  'momentum',
  'ratio',
  'scale',
  'spatial_scale',
  'value_float',
  'value_floats',
]);

/** 1e-5 is kept as a float32, 0.000009999999747378752: the shortest decimal that rounds to it is what was meant. */
function shortest(float: number): number {
  const short = Number(float.toPrecision(7));
  return Math.fround(short) === float ? short : float;
}
