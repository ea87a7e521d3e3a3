import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CliError } from '../util/index.js';
import { filterFormat, type Literal, matchesFilter } from './filter.js';
import { formatFilter, parseFilter } from './filter-text.js';

describe('parseFilter', () => {
  it.each([
    ['kind=cat', { column: 'kind', anyOf: ['cat'] }],
    ['subgroup=cat-face,dog', { column: 'subgroup', anyOf: ['cat-face', 'dog'] }],
    ['source!=noto', { column: 'source', noneOf: ['noto'] }],
    ['a=b=c', { column: 'a', anyOf: ['b=c'] }],
    ['a=!=', { column: 'a', anyOf: ['!='] }],
    ['a=x\\,y,z', { column: 'a', anyOf: ['x,y', 'z'] }],
    ['a=x\\\\,y', { column: 'a', anyOf: ['x\\', 'y'] }],
    ['a=\\n', { column: 'a', anyOf: ['\\n'] }],
    ['price>=10', { column: 'price', from: 10 }],
    ['price<=-2.5', { column: 'price', to: -2.5 }],
    ['price=10..20', { column: 'price', from: 10, to: 20 }],
    ['price=..20', { column: 'price', to: 20 }],
    ['price=-1e3..', { column: 'price', from: -1000 }],
    ['price=1...5', { column: 'price', from: 1, to: 0.5 }],
    ['price!=10..20', { not: { column: 'price', from: 10, to: 20 } }],
    ['name=a..b', { column: 'name', anyOf: ['a..b'] }],
    ['name=1\\.\\.2', { column: 'name', anyOf: ['1..2'] }],
    ['name=..', { column: 'name', anyOf: ['..'] }],
    ['colour=*', { column: 'colour', known: true }],
    ['colour!=*', { column: 'colour', known: false }],
    ['colour=\\*', { column: 'colour', anyOf: ['*'] }],
    ['colour=*,x', { column: 'colour', anyOf: ['*', 'x'] }],
    ['a\\=b=c', { column: 'a=b', anyOf: ['c'] }],
    ['a\\!=c', { column: 'a!', anyOf: ['c'] }],
    ['a=x\\|y', { column: 'a', anyOf: ['x|y'] }],
    [
      'a=x|b!=y,z|price>=3',
      {
        or: [
          { column: 'a', anyOf: ['x'] },
          { column: 'b', noneOf: ['y', 'z'] },
          { column: 'price', from: 3 },
        ],
      },
    ],
    ['name with space=🧑‍🚀', { column: 'name with space', anyOf: ['🧑‍🚀'] }],
  ])('%s', (text, condition) => {
    expect(parseFilter([text])).toEqual([condition]);
  });

  it.each([
    '',
    'kind',
    '=cat',
    '!=cat',
    'kind=',
    'kind=cat,',
    'kind=,cat',
    'a=x|y',
    'a=x|',
    'price>=ten',
    'price>=',
    'price>3',
  ])("refuses '%s'", (text) => {
    expect(() => parseFilter([text])).toThrow(CliError);
  });

  it('reads back any values that are escaped as it says', () => {
    const value = fc.string({ minLength: 1 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const text = values.map((one) => one.replace(/[\\,|.*]/g, '\\$&')).join(',');
        expect(parseFilter([`a=${text}`])).toEqual([{ column: 'a', anyOf: values }]);
      }),
    );
  });

  it('reads back what formatFilter writes', () => {
    const text = fc.string({ minLength: 1, maxLength: 6 });
    const odd = fc.constantFrom('*', '1..2', '..', 'a|b=c', '\\', 'x!', '<', '=', ',');
    const word = fc.oneof(text, odd);
    const values = fc.array(word, { minLength: 1, maxLength: 3 });
    const number = fc.double({ noNaN: true, noDefaultInfinity: true });
    const test = fc.oneof(
      fc.record({ column: word, anyOf: values }),
      fc.record({ column: word, noneOf: values }),
      fc.record({ column: word, known: fc.boolean() }),
      fc.record({ column: word, from: number }),
      fc.record({ column: word, from: number, to: number }),
    );
    const literal: fc.Arbitrary<Literal> = fc.oneof(test, fc.record({ not: test }));
    const condition = fc.oneof(literal, fc.record({ or: fc.array(literal, { minLength: 2, maxLength: 3 }) }));
    const simplified = ({ ...literal }: Literal): unknown => {
      if (!('not' in literal)) return literal;
      const { not } = literal;
      if ('anyOf' in not) return { column: not.column, noneOf: not.anyOf };
      if ('noneOf' in not) return { column: not.column, anyOf: not.noneOf };
      if ('known' in not) return { column: not.column, known: !not.known };
      return literal;
    };
    fc.assert(
      fc.property(fc.array(condition, { maxLength: 3 }), (filter) => {
        const expected = filter.map((one) =>
          'or' in one ? { or: one.or.map(simplified) } : simplified(one as Literal),
        );
        const again = parseFilter(formatFilter(filter));
        expect(again).toEqual(expected.map(withoutNegativeZero));
        expect(filterFormat.parse(again)).toEqual(again);
      }),
      { seed: 5 },
    );
  });

  it('what is negated in text is the opposite', () => {
    const fields = { price: ['15'], colour: ['red'] };
    for (const [text, opposite] of [
      ['price=10..20', 'price!=10..20'],
      ['colour=red', 'colour!=red'],
      ['colour=*', 'colour!=*'],
      ['size=*', 'size!=*'],
      ['size=1..2', 'size!=1..2'],
    ] as const)
      expect(matchesFilter(parseFilter([text]), fields)).toBe(
        !matchesFilter(parseFilter([opposite]), fields),
      );
  });
});

/** `-0` is written as `0`. */
function withoutNegativeZero(value: unknown): unknown {
  return JSON.parse(JSON.stringify(value));
}
