import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  COLUMN_VALUE,
  columnKey,
  compareKeys,
  diversify,
  groupByItem,
  readCursor,
  scoreKey,
  searchMark,
  writeCursor,
} from './ordering.js';

describe('keys', () => {
  it('order by score, ties by id in code points', () => {
    const hits = [
      { id: 'b', score: 0.5 },
      { id: '\u{1F600}', score: 0.9 },
      { id: '\uFF5E', score: 0.9 },
      { id: 'a', score: 0.5 },
    ];
    const ordered = hits.sort((a, b) => compareKeys(scoreKey(a), scoreKey(b)));
    expect(ordered.map(({ id }) => id)).toEqual(['\uFF5E', '\u{1F600}', 'a', 'b']);
  });

  it.each([
    ['text, up', false, undefined, ['1', '10', '9', 'x', undefined]],
    ['text, down', false, COLUMN_VALUE, ['x', '9', '10', '1', undefined]],
    ['numbers, up', true, undefined, ['1', '9', '10']],
    ['numbers, down', true, COLUMN_VALUE, ['10', '9', '1']],
  ] as const)('of a column: %s; what is missing comes last', (_, numeric, descending, expected) => {
    const values = ['9', undefined, 'x', '10', '1'];
    const keys = values.map((value, n) => ({
      value,
      key: columnKey(value === undefined ? [] : [value], `id-${n}`, numeric),
    }));
    const ordered = keys.sort((a, b) => compareKeys(a.key, b.key, descending)).map(({ value }) => value);
    expect(ordered.slice(0, expected.length)).toEqual(expected);
    if (numeric) expect(ordered.slice(3)).toEqual([undefined, 'x']);
  });
});

describe('groupByItem', () => {
  it('keeps the best of each item and names the others; no item is an item of its own', () => {
    const hits = [
      { id: 'a', itemId: 'x', score: 3 },
      { id: 'b', itemId: '', score: 2.5 },
      { id: 'c', itemId: 'y', score: 2 },
      { id: 'd', itemId: 'x', score: 1 },
      { id: 'e', itemId: '', score: 0 },
    ];
    const groups = groupByItem(hits).map(({ best, others }) => [best.id, ...others.map(({ id }) => id)]);
    expect(groups).toEqual([['a', 'd'], ['b'], ['c'], ['e']]);
  });
});

describe('diversify', () => {
  const points = fc
    .array(fc.tuple(fc.double({ min: 0, max: 1, noNaN: true }), fc.double({ min: 0, max: 1, noNaN: true })), {
      minLength: 1,
      maxLength: 12,
    })
    .map((pairs) => pairs.map(([score, place], n) => ({ id: String(n), itemId: '', score, place })));
  const similarity = (a: { place: number }, b: { place: number }) => 1 - 2 * Math.abs(a.place - b.place);

  it('is the order by score at 0', () => {
    fc.assert(
      fc.property(points, (candidates) => {
        const sorted = [...candidates].sort((a, b) => b.score - a.score);
        const options = { diversity: 0, similarity, picked: [], count: sorted.length };
        expect(diversify(sorted, options).map(({ score }) => score)).toEqual(
          sorted.map(({ score }) => score),
        );
      }),
    );
  });

  it('picks at each place what a plain search of the criterion picks, after what was shown before', () => {
    fc.assert(
      fc.property(
        points,
        fc.double({ min: 0, max: 1, noNaN: true }),
        fc.nat(3),
        (candidates, diversity, before) => {
          const picked = candidates.slice(0, before);
          const chosen = diversify(candidates, { diversity, similarity, picked, count: 5 });
          const taken = [...picked];
          for (const candidate of chosen) {
            const left = candidates.filter((other) => !taken.includes(other));
            const criterion = (other: (typeof candidates)[number]) =>
              (1 - diversity) * other.score -
              (taken.length === 0 ? 0 : diversity * Math.max(...taken.map((t) => similarity(other, t))));
            expect(criterion(candidate)).toBe(Math.max(...left.map(criterion)));
            taken.push(candidate);
          }
          expect(chosen).toHaveLength(Math.min(5, candidates.length - picked.length));
        },
      ),
    );
  });
});

describe('cursors', () => {
  it('come back as they were', () => {
    const cursor = { search: 'abc', shown: 7, key: [-0.5, 'päth/ü #1'] };
    expect(readCursor(writeCursor(cursor), 'abc')).toEqual(cursor);
    const diverse = { search: 'abc', shown: 1, ids: ['x'] };
    expect(readCursor(writeCursor(diverse), 'abc')).toEqual(diverse);
  });

  it('know their search by a vector whose last bits differ, and no other', () => {
    const unit = fc
      .array(fc.float({ min: -1, max: 1, noNaN: true }), { minLength: 64, maxLength: 64 })
      .filter((x) => Math.hypot(...x) > 0.1)
      .map((x) => Float32Array.from(x, (each) => each / Math.hypot(...x)));
    const isSame = (a: string, b: string) => {
      try {
        readCursor(writeCursor({ search: a, shown: 1, key: [1] }), b);
        return true;
      } catch {
        return false;
      }
    };
    fc.assert(
      fc.property(unit, unit, fc.integer({ min: 0, max: 63 }), (vector, noise, at) => {
        const mark = searchMark(['store', 0.3], vector);
        const nearly = vector.map((x, i) => x + 1e-5 * (noise[i] ?? 0));
        const other = vector.map((x, i) => (i === at ? x + 0.02 : x));
        expect(isSame(mark, searchMark(['store', 0.3], nearly))).toBe(true);
        expect(isSame(mark, searchMark(['store', 0.3], other))).toBe(false);
        expect(isSame(mark, searchMark(['store', 0.4], vector))).toBe(false);
      }),
    );
  });

  it('are refused when they are of another search, or no cursors', () => {
    expect(() => readCursor(writeCursor({ search: 'abc', shown: 1, key: [] }), 'abd')).toThrow(
      /belong to this search/,
    );
    for (const text of [
      '',
      'x',
      'null',
      '{"search":"abc","shown":-1,"key":[]}',
      '{"search":"abc","shown":1}',
    ])
      expect(() => readCursor(Buffer.from(text).toString('base64url'), 'abc')).toThrow(
        /must be one that a search gave/,
      );
    fc.assert(
      fc.property(fc.string(), (text) => {
        expect(() => readCursor(text, 'abc')).toThrow(/^cursor: must be/);
      }),
    );
  });
});
