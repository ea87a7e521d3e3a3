import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { CliError, DataError } from '../util/index.js';
import { checkFilter, filterFormat, matchesFilter, parseFilter } from './filter.js';

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
    ['name with space=🧑‍🚀', { column: 'name with space', anyOf: ['🧑‍🚀'] }],
  ])('%s', (text, condition) => {
    expect(parseFilter([text])).toEqual([condition]);
  });

  it.each(['', 'kind', '=cat', '!=cat', 'kind=', 'kind=cat,', 'kind=,cat'])("refuses '%s'", (text) => {
    expect(() => parseFilter([text])).toThrow(CliError);
  });

  it('reads back any values that are escaped as it says', () => {
    const value = fc.string({ minLength: 1 });
    fc.assert(
      fc.property(fc.array(value, { minLength: 1 }), (values) => {
        const text = values.map((one) => one.replace(/[\\,]/g, '\\$&')).join(',');
        expect(parseFilter([`a=${text}`])).toEqual([{ column: 'a', anyOf: values }]);
      }),
    );
  });
});

describe('matchesFilter', () => {
  const fields = { kind: ['cat'], tags: ['red', 'round'] };
  it.each([
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
  ])('%j → %s', (filter, passes) => {
    expect(matchesFilter(filter, fields)).toBe(passes);
  });
});

describe('filterFormat and checkFilter', () => {
  it('accept what parseFilter makes, and nothing else', () => {
    const filter = parseFilter(['kind=a,b', 'tags!=c']);
    expect(filterFormat.parse(JSON.parse(JSON.stringify(filter)))).toEqual(filter);
    for (const bad of [
      {},
      [{}],
      [{ column: 'a', anyOf: [] }],
      [{ column: 'a', anyOf: ['x'], noneOf: ['y'] }],
    ])
      expect(filterFormat.safeParse(bad).success).toBe(false);
    expect(() => checkFilter(filter, ['kind'])).toThrow(DataError);
    expect(() => checkFilter(filter, ['kind', 'tags'])).not.toThrow();
  });
});
