import * as fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decode,
  type ExampleState,
  encode,
  levelAt,
  type PageState,
  packVector,
  START,
  unpackVector,
} from './location.js';

const fourDecimals = fc.integer({ min: 0, max: 10_000 }).map((value) => value / 10_000);
const text = fc.string({ minLength: 1, unit: 'binary' });
const region = fc
  .tuple(fc.integer({ min: 0, max: 4999 }), fc.integer({ min: 0, max: 4999 }))
  .map(([x, y]) => ({
    region: {
      left: x / 1e4,
      top: y / 1e4,
      right: (x + 5000) / 1e4,
      bottom: (y + 5000) / 1e4,
      unit: 'fraction' as const,
    },
  }));
const example = (weight: fc.Arbitrary<1 | -1>): fc.Arbitrary<ExampleState> =>
  fc
    .tuple(
      weight,
      fc.oneof(fc.constant({}), region),
      fc.oneof(
        fc.record({ kind: fc.constant('id' as const), id: text }),
        fc.record({
          kind: fc.constant('upload' as const),
          key: fc.constant('a1-_'),
          vector: fc.constant('AAAA'),
        }),
        fc.record({ kind: fc.constant('url' as const), url: fc.webUrl() }),
      ),
    )
    .map(([w, box, kind]) => ({ weight: w, ...box, ...kind }) as ExampleState);
const column = text.filter((value) => value !== '__proto__');
const state: fc.Arbitrary<PageState> = fc.record({
  view: fc.constantFrom('search' as const, 'map' as const, 'feedback' as const, 'compare' as const),
  examples: fc.array(example(fc.constantFrom(1 as const, -1 as const)), { maxLength: 3 }),
  trail: fc.array(example(fc.constant(1 as const)), { maxLength: 8 }),
  granularity: fourDecimals,
  filters: fc.dictionary(
    column,
    fc.record({
      anyOf: fc.array(text, { minLength: 1, maxLength: 2 }),
      noneOf: fc.array(text, { maxLength: 2 }),
    }),
    { maxKeys: 3, noNullPrototype: true },
  ),
  edits: fc.array(
    fc.oneof(
      fc.record({ attribute: text, any: fc.constant(true as const) }),
      fc.record({ attribute: text, value: fc.string(), want: fc.boolean() }),
    ),
    { maxLength: 3 },
  ),
  cut: fc.record({ probability: fourDecimals, hide: fc.boolean() }),
  group: fc.boolean(),
  diversity: fourDecimals,
  sort: fc.oneof(
    fc.constant(null),
    fc.record({
      column: text.filter((value) => !value.startsWith('-')),
      direction: fc.constantFrom('ascending' as const, 'descending' as const),
    }),
  ),
  why: fc.oneof(fc.constant(null), text),
  compare: fc.array(text, { maxLength: 2 }),
  mark: fc.oneof(fc.constant(null), text),
  at: fc.oneof(
    fc.constant(null),
    fc.record({ x: fourDecimals, y: fourDecimals, zoom: fc.integer({ min: 2, max: 2000 }) }),
  ),
  colour: fc.oneof(fc.constant(null), text),
});

/** Examples and edits keep their order within a sign; across signs the address groups nothing. */
describe('the address of a page', () => {
  test('gives back every state', () => {
    fc.assert(
      fc.property(state, (before) => {
        expect(decode(encode(before))).toEqual(before);
      }),
    );
  });

  test('of nothing is the start, and damaged ones open', () => {
    expect(encode(START)).toBe('#/');
    for (const fragment of [
      '',
      '#',
      '#/',
      '#/nowhere',
      '#/?g=7&p=x&like=&like=nonsense&like=up:k.%20&sort=-&range.a=..',
    ])
      expect(decode(fragment)).toEqual(START);
  });

  test('keeps ranges with one bound or two', () => {
    const filters = {
      price: { anyOf: [], noneOf: [], from: 10, to: 20.5 },
      year: { anyOf: [], noneOf: [], to: 1990 },
    };
    expect(decode(encode({ ...START, filters })).filters).toEqual(filters);
  });
});

describe('packed vectors', () => {
  test('keep 11 bits of every number', () => {
    fc.assert(
      fc.property(fc.array(fc.float({ min: -1, max: 1, noNaN: true }), { maxLength: 40 }), (numbers) => {
        const base64 = Buffer.from(Float32Array.from(numbers).buffer).toString('base64');
        const restored = Buffer.from(unpackVector(packVector(base64)), 'base64');
        expect(restored.length).toBe(numbers.length * 4);
        numbers.forEach((number, i) => {
          const error = Math.abs(restored.readFloatLE(4 * i) - number);
          expect(error).toBeLessThanOrEqual(Math.max(Math.abs(number) * 2 ** -11, 2 ** -25));
        });
      }),
    );
  });

  test('are binary16 as IEEE 754 has it', () => {
    const cases: [number, number][] = [
      [0, 0x0000],
      [1, 0x3c00],
      [-1, 0xbc00],
      [0.5, 0x3800],
      [2 ** -24, 0x0001],
      [1 + 2 ** -11, 0x3c00],
      [1 + 3 * 2 ** -11, 0x3c02],
      [2 ** -14, 0x0400],
    ];
    for (const [number, bits] of cases) {
      const packed = packVector(Buffer.from(Float32Array.of(number).buffer).toString('base64'));
      expect(Buffer.from(packed, 'base64url').readUInt16LE(0)).toBe(bits);
    }
  });
});

test('the level of a granularity is the nearest', () => {
  expect([0, 0.2, 0.25, 0.5, 0.74, 0.75, 1].map(levelAt)).toEqual([
    'item',
    'item',
    'look',
    'look',
    'look',
    'category',
    'category',
  ]);
});
