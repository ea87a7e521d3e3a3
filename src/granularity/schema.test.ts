import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import {
  type AttributeRow,
  attributeBlocks,
  attributeCount,
  byCodePoint,
  encodeAttributes,
  inferSchema,
  parseSchema,
  type Schema,
} from './schema.js';

const row = (itemId: string, attributes: Record<string, readonly string[]>): AttributeRow => ({
  itemId,
  attributes,
});

/** 24 items, two pictures each: 6 subgroups in 2 groups, a flag, tags, free text, a constant, a column a picture. */
const rows = Array.from({ length: 48 }, (_, index) => {
  const item = index >> 1;
  return row(`item-${item}`, {
    tags: item % 2 === 0 ? ['red', 'round'] : item % 3 === 0 ? [] : ['red', `rare-${item}`],
    group: [item % 6 < 3 ? 'animals' : 'food'],
    subgroup: [`subgroup-${item % 6}`],
    flag: [item % 5 === 0 ? 'true' : 'false'],
    name: [`a text of item ${item}`],
    licence: ['MIT'],
    colour: [index % 2 === 0 ? 'blue' : 'green'],
    note: [],
  });
});

describe('inferSchema', () => {
  const { schema, notes } = inferSchema(rows, { minimumItems: 10 });

  it('chooses kinds and values, and says what it left out', () => {
    expect(schema.attributes).toEqual([
      { name: 'tags', kind: 'multi', values: ['red', 'round'] },
      { name: 'group', kind: 'single', values: ['animals', 'food'] },
      { name: 'subgroup', kind: 'single', values: [0, 1, 2, 3, 4, 5].map((n) => `subgroup-${n}`) },
      { name: 'flag', kind: 'single', values: ['false', 'true'] },
      { name: 'colour', kind: 'single', values: ['blue', 'green'] },
    ]);
    expect(notes.join('\n')).toMatch(/'name' is left out: 24 values on 24 items/);
    expect(notes.join('\n')).toMatch(/'licence' is left out: its only value is 'MIT'/);
    expect(notes.join('\n')).toMatch(/'note' is left out: it has no value/);
    expect(notes.join('\n')).toMatch(/'tags': 8 of 10 values occur on fewer than 10 items/);
  });

  it('orders levels by their number of values, and notes what does not nest or is no level', () => {
    expect(schema.levels).toEqual(['item_id', 'subgroup', 'flag', 'group']);
    expect(notes.join('\n')).toMatch(/share 'subgroup' can differ in 'flag'/);
    expect(notes.join('\n')).toMatch(/'colour' is no level: 24 items have several values/);
  });

  it('takes levels by hand, and refuses one that is no single attribute', () => {
    const chosen = inferSchema(rows, { minimumItems: 10, levels: ['subgroup', 'group'] });
    expect(chosen.schema.levels).toEqual(['item_id', 'subgroup', 'group']);
    expect(() => inferSchema(rows, { minimumItems: 10, levels: ['tags'] })).toThrow(
      /level 'tags' must be a single attribute, got multi. Choose from: group, subgroup, flag, colour/,
    );
  });

  it('an item without a value of it takes an attribute out of the levels, with a note', () => {
    const more = inferSchema([...rows, row('item-99', { group: ['food'] })], { minimumItems: 10 });
    expect(more.schema.levels).toEqual(['item_id', 'group']);
    expect(more.notes.join('\n')).toMatch(/'subgroup' is no level: 1 items have none/);
  });

  it('limits the values: the most frequent of a multi attribute, no single attribute beyond', () => {
    const limited = inferSchema(rows, { minimumItems: 1, maximumValues: 2 });
    expect(limited.schema.attributes.find(({ name }) => name === 'tags')?.values).toEqual(['red', 'round']);
    expect(limited.schema.attributes.some(({ name }) => name === 'subgroup')).toBe(false);
  });

  it('no rows, no attributes: an empty schema', () => {
    expect(inferSchema([])).toEqual({ schema: { attributes: [], levels: ['item_id'] }, notes: [] });
  });

  it('does not depend on the order of the rows, apart from the order of the columns', () => {
    const names = (schema: Schema) => [...schema.attributes].sort((a, b) => byCodePoint(a.name, b.name));
    const reversed = inferSchema([...rows].reverse(), { minimumItems: 10 });
    expect(names(reversed.schema)).toEqual(names(schema));
    expect(reversed.schema.levels).toEqual(schema.levels);
  });
});

describe('encodeAttributes', () => {
  const schema: Schema = {
    attributes: [
      { name: 'kind', kind: 'single', values: ['a', 'b', 'c'] },
      { name: 'tags', kind: 'multi', values: ['x', 'y'] },
    ],
    levels: ['item_id', 'kind'],
  };

  it('writes one column a value, and tells no from unknown', () => {
    const { values, known } = encodeAttributes(schema, [
      row('1', { kind: ['b'], tags: ['x', 'y'] }),
      row('2', { kind: [], tags: ['other'] }),
      row('3', { kind: ['z'] }),
      row('4', { kind: ['c'], tags: [] }),
    ]);
    expect([...values]).toEqual([0, 1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0]);
    expect([...known]).toEqual([1, 1, 0, 1, 0, 0, 1, 0]);
    expect(attributeCount(schema)).toBe(5);
    expect(attributeBlocks(schema)).toEqual([
      { name: 'kind', kind: 'single', offset: 0, size: 3 },
      { name: 'tags', kind: 'multi', offset: 3, size: 2 },
    ]);
  });

  it('refuses two values of a single attribute', () => {
    expect(() => encodeAttributes(schema, [row('7', { kind: ['a', 'b'] })])).toThrow(DataError);
  });
});

describe('parseSchema', () => {
  it('reads back what inferSchema made', () => {
    const { schema } = inferSchema(rows);
    expect(parseSchema(JSON.parse(JSON.stringify(schema)))).toEqual(schema);
  });

  it.each([
    [{ attributes: [], levels: [] }, /levels/],
    [{ attributes: [], levels: ['kind'] }, /must begin with 'item_id'/],
    [{ attributes: [], levels: ['item_id', 'kind'] }, /got no such attribute/],
    [{ attributes: [{ name: 'a', kind: 'single', values: ['x', 'x'] }], levels: ['item_id'] }, /different/],
    [{ attributes: [{ name: 'a', kind: 'both', values: ['x', 'y'] }], levels: ['item_id'] }, /kind/],
    [null, /schema: value/],
  ])('refuses %j', (value, message) => {
    expect(() => parseSchema(value, 'schema.json')).toThrow(message);
    expect(() => parseSchema(value, 'schema.json')).toThrow(/^schema\.json: schema: /);
  });
});

describe('byCodePoint', () => {
  it('agrees with the order of code points, also beyond the basic plane', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (a, b) => {
        const points = (text: string) => [...text].map((character) => character.codePointAt(0) as number);
        const [left, right] = [points(a), points(b)];
        let expected = 0;
        for (let i = 0; expected === 0 && i < Math.max(left.length, right.length); i++)
          expected = Math.sign((left[i] ?? -1) - (right[i] ?? -1));
        expect(Math.sign(byCodePoint(a, b))).toBe(expected);
      }),
    );
  });
});
