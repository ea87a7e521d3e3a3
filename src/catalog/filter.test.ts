import { describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import {
  checkFilter,
  FILTER_LIMITS,
  type Filter,
  filterFormat,
  findNumericColumns,
  matchesFilter,
  numberOf,
} from './filter.js';

describe('matchesFilter', () => {
  const fields = { kind: ['cat'], tags: ['red', 'round'], price: ['12.5'], sizes: ['38', '40'] };
  it.each<[Filter, boolean]>([
    [[], true],
    [[{ column: 'kind', anyOf: ['dog', 'cat'] }], true],
    [[{ column: 'kind', anyOf: ['dog'] }], false],
    [[{ column: 'kind', noneOf: ['dog'] }], true],
    [[{ column: 'tags', noneOf: ['dog', 'red'] }], false],
    [[{ column: 'missing', noneOf: ['x'] }], true],
    [[{ column: 'missing', anyOf: ['x'] }], false],
    [
      [
        { column: 'tags', anyOf: ['red'] },
        { column: 'kind', anyOf: ['dog'] },
      ],
      false,
    ],
    [[{ column: 'price', from: 12.5, to: 12.5 }], true],
    [[{ column: 'price', from: 12.6 }], false],
    [[{ column: 'price', to: 12 }], false],
    [[{ not: { column: 'price', to: 12 } }], true],
    [[{ column: 'missing', from: 0 }], false],
    [[{ not: { column: 'missing', from: 0 } }], true],
    [[{ column: 'sizes', from: 0 }], false],
    [[{ column: 'kind', known: true }], true],
    [[{ column: 'kind', known: false }], false],
    [[{ column: 'missing', known: false }], true],
    [[{ not: { column: 'kind', anyOf: ['cat'] } }], false],
    [[{ or: [{ column: 'kind', anyOf: ['dog'] }, { not: { column: 'price', from: 20 } }] }], true],
    [
      [
        {
          or: [
            { column: 'kind', anyOf: ['dog'] },
            { column: 'price', from: 20 },
          ],
        },
      ],
      false,
    ],
    [[{ or: [] }], false],
  ])('%j → %s', (filter, passes) => {
    expect(matchesFilter(filter, fields)).toBe(passes);
  });
});

describe('numberOf', () => {
  it.each([
    [['12'], 12],
    [['-.5'], -0.5],
    [['+1.e3'], 1000],
    [['0.1e-2'], 0.001],
    [[], undefined],
    [['1', '2'], undefined],
    [[''], undefined],
    [[' 1'], undefined],
    [['0x10'], undefined],
    [['1e999'], undefined],
    [['NaN'], undefined],
    [['Infinity'], undefined],
    [['1,5'], undefined],
    [['.'], undefined],
  ])('%j → %s', (values, number) => {
    expect(numberOf(values)).toBe(number);
  });

  it('finds the columns of numbers', () => {
    const rows = [
      { price: ['1'], size: ['38', '39'], code: ['1'], none: [], weight: ['1.5'] },
      { price: [], size: ['40'], code: ['a1'], weight: ['2'] },
    ];
    expect(findNumericColumns(rows, ['price', 'size', 'code', 'none', 'weight'])).toEqual([
      'price',
      'weight',
    ]);
  });
});

describe('filterFormat and checkFilter', () => {
  const filter: Filter = [
    { column: 'kind', anyOf: ['a', 'b'] },
    { or: [{ not: { column: 'price', from: 1, to: 2 } }, { column: 'tags', known: false }] },
    { column: 'price', to: 3 },
  ];
  it('accept what is well formed', () => {
    expect(filterFormat.parse(JSON.parse(JSON.stringify(filter)))).toEqual(filter);
    expect(() => checkFilter(filter, ['kind', 'tags', 'price'], ['price'])).not.toThrow();
  });

  it.each([
    [{}],
    [[{}]],
    [[{ column: 'a', anyOf: [] }]],
    [[{ column: 'a', anyOf: ['x'], noneOf: ['y'] }]],
    [[{ column: 'a' }]],
    [[{ column: '', known: true }]],
    [[{ column: 'a', from: null }]],
    [[{ column: 'a', from: '1' }]],
    [[{ or: [] }]],
    [[{ or: [{ or: [{ column: 'a', known: true }] }] }]],
    [[{ not: { not: { column: 'a', known: true } } }]],
    [Array.from({ length: FILTER_LIMITS.literals + 1 }, () => ({ column: 'a', known: true }))],
  ])('filterFormat refuses %#', (bad) => {
    expect(filterFormat.safeParse(bad).success).toBe(false);
  });

  it.each<[Filter, RegExp]>([
    [[{ column: 'colour', anyOf: ['x'] }], /no column 'colour'. Choose from: kind, price/],
    [[{ or: [{ not: { column: 'colour', known: true } }] }], /no column 'colour'/],
    [[{ column: 'kind', from: 1 }], /a range needs a column of numbers, got 'kind'. Choose from: price/],
    [[{ column: 'price' }], /a lower or an upper bound/],
    [[{ column: 'price', from: Number.NaN }], /must be finite numbers, got NaN/],
    [[{ column: 'price', from: 2, to: 1 }], /must not end before it begins, got 2 to 1/],
    [[{ column: 'kind', anyOf: ['x'.repeat(FILTER_LIMITS.text + 1)] }], /at most 10000 characters/],
    [[{ column: 'kind', anyOf: Array(FILTER_LIMITS.values + 1).fill('x') }], /at most 10000 values/],
    [[{ or: Array(FILTER_LIMITS.literals + 1).fill({ column: 'kind', known: true }) }], /at most 256 tests/],
    [[{ column: 'y'.repeat(1e6), known: true }], /^filter: there is no column 'y{79}…'/],
  ])('checkFilter refuses %#', (bad, message) => {
    const check = () => checkFilter(bad, ['kind', 'price'], ['price']);
    expect(check).toThrow(DataError);
    expect(check).toThrow(message);
  });
});
