/**
 * Values that fit a JSON Schema, as fast-check arbitraries: as much of the language as our OpenAPI document uses. A word
 * that is not known here throws, so that a new one is not passed over in silence.
 */
import fc from 'fast-check';

export type Schema = Readonly<Record<string, unknown>>;

/** Values worth trying for a property of a name, e.g. ids that there are; drawn as often as made-up ones. */
export type Hints = Readonly<Record<string, readonly unknown[]>>;

/**
 * @param schemas `components.schemas` of the document.
 * @param hints values by the name of the property.
 */
export function fromSchema(
  schema: Schema,
  schemas: Readonly<Record<string, Schema>>,
  hints: Hints = {},
  name = '',
): fc.Arbitrary<unknown> {
  const known = hints[name];
  const made = madeUp(schema, schemas, hints, name);
  if (known === undefined || known.length === 0) return made;
  return fc.oneof({ arbitrary: fc.constantFrom(...known), weight: 3 }, { arbitrary: made, weight: 1 });
}

// --- internal ---

const ANNOTATIONS = new Set([
  '$schema',
  'id',
  'title',
  'description',
  'default',
  'contentEncoding',
  'contentMediaType',
  'contentSchema',
]);
const WORDS = new Set([
  '$ref',
  'anyOf',
  'oneOf',
  'const',
  'enum',
  'type',
  'properties',
  'required',
  'additionalProperties',
  'propertyNames',
  'items',
  'minItems',
  'maxItems',
  'minimum',
  'maximum',
  'exclusiveMinimum',
  'exclusiveMaximum',
  'minLength',
  'maxLength',
  'format',
  'pattern',
]);
/** Of lists and texts that may be longer: long ones are among the malformed. */
const MOST = { items: 3, text: 40 };

function madeUp(
  schema: Schema,
  schemas: Readonly<Record<string, Schema>>,
  hints: Hints,
  name: string,
): fc.Arbitrary<unknown> {
  for (const word of Object.keys(schema))
    if (!ANNOTATIONS.has(word) && !WORDS.has(word)) throw new Error(`fromSchema: no '${word}' is known here`);
  const inner = (of: unknown, called = name) => fromSchema(of as Schema, schemas, hints, called);
  if (typeof schema.$ref === 'string') {
    const target = schemas[schema.$ref.split('/').at(-1) ?? ''];
    if (target === undefined) throw new Error(`fromSchema: there is no ${schema.$ref}`);
    return inner(target);
  }
  const branches = (schema.anyOf ?? schema.oneOf) as readonly Schema[] | undefined;
  if (branches !== undefined) return fc.oneof(...branches.map((branch) => inner(branch)));
  if ('const' in schema) return fc.constant(schema.const);
  if (Array.isArray(schema.enum)) return fc.constantFrom(...(schema.enum as unknown[]));
  switch (schema.type) {
    case 'object':
      return objects(schema, inner);
    case 'array': {
      const minLength = (schema.minItems as number | undefined) ?? 0;
      const maxLength = Math.min(
        (schema.maxItems as number | undefined) ?? MOST.items,
        minLength + MOST.items,
      );
      return fc.array(inner(schema.items ?? {}), { minLength, maxLength });
    }
    case 'string':
      return texts(schema);
    case 'integer':
      return fc.integer({ min: bound(schema, 'inimum') ?? -1000, max: bound(schema, 'aximum') ?? 1000 });
    case 'number':
      return fc.double({
        min: bound(schema, 'inimum') ?? -1000,
        max: bound(schema, 'aximum') ?? 1000,
        minExcluded: 'exclusiveMinimum' in schema,
        maxExcluded: 'exclusiveMaximum' in schema,
        noNaN: true,
      });
    case 'boolean':
      return fc.boolean();
    case 'null':
      return fc.constant(null);
    default:
      return fc.jsonValue();
  }
}

function bound(schema: Schema, end: 'inimum' | 'aximum'): number | undefined {
  return (schema[`m${end}`] ?? schema[`exclusiveM${end}`]) as number | undefined;
}

function objects(schema: Schema, inner: (of: unknown, name?: string) => fc.Arbitrary<unknown>) {
  const properties = (schema.properties ?? {}) as Record<string, Schema>;
  const required = (schema.required ?? []) as string[];
  const all = Object.fromEntries(Object.entries(properties).map(([name, of]) => [name, inner(of, name)]));
  const few = Object.fromEntries(Object.entries(all).filter(([name]) => required.includes(name)));
  // What must be there alone, half of the time: with all of it something seldom fits.
  const named = fc.oneof(fc.record(few), fc.record(all, { requiredKeys: required }));
  const more = schema.additionalProperties;
  if (typeof more !== 'object' || more === null) return named;
  const others = fc.dictionary(inner({ type: 'string' }, 'column') as fc.Arbitrary<string>, inner(more), {
    maxKeys: MOST.items,
  });
  return fc.tuple(named, others).map(([one, other]) => ({ ...other, ...one }));
}

function texts({ format, pattern, contentEncoding, minLength = 0, maxLength = MOST.text }: Schema) {
  if (format === 'base64' || contentEncoding === 'base64')
    return fc
      .uint8Array({ minLength: 1, maxLength: 64 })
      .map((bytes) => Buffer.from(bytes).toString('base64'));
  if (format === 'uri') return fc.webUrl();
  if (format === 'date-time') return fc.date({ noInvalidDate: true }).map((date) => date.toISOString());
  if (typeof pattern === 'string') return fc.stringMatching(new RegExp(pattern));
  return fc.string({
    minLength: minLength as number,
    maxLength: Math.min(maxLength as number, Math.max(MOST.text, minLength as number)),
    unit: 'grapheme',
  });
}
