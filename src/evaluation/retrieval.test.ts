import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { DescendingOrder } from './descending-order.js';
import { evaluateRetrieval, type Role } from './index.js';
import { dotProducts } from './similarity.js';

/** Unit vectors in the plane at these angles: similarity falls with the difference of angles. */
function atAngles(degrees: number[]): Float32Array {
  return Float32Array.from(
    degrees.flatMap((angle) => [Math.cos((angle * Math.PI) / 180), Math.sin((angle * Math.PI) / 180)]),
  );
}

describe('evaluateRetrieval, worked by hand', () => {
  // Query at 0°, gallery in order of likeness: a, b, a, a, b. R = 3 for the query.
  // Precision at the relevant ranks 1, 3, 4: 1, 2/3, 3/4.
  const embeddings = atAngles([0, 10, 20, 30, 40, 50]);
  const levels = { item: ['a', 'a', 'b', 'a', 'a', 'b'], kind: ['x', 'x', 'y', 'y', 'x', 'y'] };
  const roles: Role[] = ['query', 'gallery', 'gallery', 'gallery', 'gallery', 'gallery'];

  it('one query: ranks 1, 3, 4 of three relevant', async () => {
    const result = await evaluateRetrieval({ embeddings, dimension: 2, levels, roles, recallAt: [1, 2] });
    expect(result.queries).toBe(1);
    const item = result.levels.item!;
    expect(item.recall).toEqual({ 1: 1, 2: 1 });
    expect(item.mapAtR).toBeCloseTo((1 + 2 / 3) / 3, 12);
    expect(item.rPrecision).toBeCloseTo(2 / 3, 12);
    expect(item.map).toBeCloseTo((1 + 2 / 3 + 3 / 4) / 3, 12);
  });

  it('the coarser level has its own relevance: ranks 1, 4 of two', async () => {
    const result = await evaluateRetrieval({ embeddings, dimension: 2, levels, roles });
    const kind = result.levels.kind!;
    expect(kind.mapAtR).toBeCloseTo(1 / 2, 12);
    expect(kind.rPrecision).toBeCloseTo(1 / 2, 12);
    expect(kind.map).toBeCloseTo((1 + 2 / 4) / 2, 12);
  });

  it('leave-one-out never finds the query itself, even among exact duplicates', async () => {
    // Rows 0 and 1 are one vector and two items: row 1 is first for row 0 and wrong; dropping "the first hit"
    // would leave the query itself in.
    const result = await evaluateRetrieval({
      embeddings: atAngles([0, 0, 30, 200]),
      dimension: 2,
      levels: { item: ['a', 'b', 'a', 'b'] },
      recallAt: [1, 2, 3],
      perQuery: true,
    });
    expect([...result.perQuery!.levels.item!.firstRank]).toEqual([2, 3, 2, 2]);
    expect(result.levels.item!.recall).toEqual({ 1: 0, 2: 0.75, 3: 1 });
  });

  it('leaves the whole source group out, and says so when a source is missing', async () => {
    const options = {
      embeddings: atAngles([0, 1, 2, 3]),
      dimension: 2,
      levels: { item: ['a', 'a', 'b', 'a'] },
      source: ['flat', '3d', 'noto', 'noto'],
      sourceGroup: ['fluent', 'fluent', 'noto', 'noto'],
      crossSource: true,
      perQuery: true,
    };
    const result = await evaluateRetrieval(options);
    // Row 0 sees rows 2 (b), 3 (a): rank 2. Row 1 the same. Row 2: no b elsewhere. Row 3 sees 1 (a), 0 (a).
    expect([...result.perQuery!.levels.item!.firstRank]).toEqual([2, 2, Number.NaN, 1]);
    expect(result.levels.item!).toMatchObject({ queries: 3, skipped: 1 });
    expect(result.skipped).toBe(1);
    const unknown = { ...options, source: ['flat', '3d', '', 'noto'], sourceGroup: undefined };
    await expect(evaluateRetrieval(unknown)).rejects.toThrow(/got none in row 2/);
  });

  it('unknown labels are never relevant, not even to each other', async () => {
    const result = await evaluateRetrieval({
      embeddings: atAngles([0, 1, 2, 3]),
      dimension: 2,
      levels: { text: ['', '', 'a', 'a'], code: Int32Array.from([-1, -1, 4, 4]) },
    });
    expect(result.levels.text).toMatchObject({ queries: 2, skipped: 2 });
    expect(result.levels.code).toEqual(result.levels.text);
  });
});

describe('evaluateRetrieval, nasty cases', () => {
  it('a constant embedding scores what the worst order would', async () => {
    const rows = 12;
    const items = Array.from({ length: rows }, (_, row) => `item-${row % 4}`); // R = 2 of 11
    const { levels } = await evaluateRetrieval({
      embeddings: new Float32Array(rows * 3).fill(0.577),
      dimension: 3,
      levels: { item: items },
      recallAt: [1, 9, 10],
    });
    expect(levels.item!.recall).toEqual({ 1: 0, 9: 0, 10: 1 });
    expect(levels.item!.mapAtR).toBe(0);
    expect(levels.item!.map).toBeCloseTo((1 / 10 + 2 / 11) / 2, 12);
  });

  it('a backend that rounds differently still gets pessimistic ties', async () => {
    const rows = 9;
    const random = Random.from(1);
    const { levels } = await evaluateRetrieval({
      embeddings: new Float32Array(rows * 2).fill(Math.SQRT1_2),
      dimension: 2,
      levels: { item: Array.from({ length: rows }, (_, row) => `${row % 3}`) },
      similarity: (queries, gallery, dimension) =>
        dotProducts(queries, gallery, dimension).map((value) => value + 4e-7 * (random.uniform() - 0.5)),
      recallAt: [1, 6, 7],
    });
    expect(levels.item!.recall).toEqual({ 1: 0, 6: 0, 7: 1 });
  });

  it('singletons and nothing relevant are skipped and counted', async () => {
    const result = await evaluateRetrieval({
      embeddings: atAngles([0, 10, 25]),
      dimension: 2,
      levels: { item: ['a', 'b', 'c'], kind: ['x', 'x', 'y'] },
    });
    expect(result.levels.item).toMatchObject({ queries: 0, skipped: 3, mapAtR: 0 });
    expect(result.levels.kind).toMatchObject({ queries: 2, skipped: 1, mapAtR: 1 });
    expect(result).toMatchObject({ queries: 3, skipped: 1 });
  });

  it.each([
    ['NaN embedding', { embeddings: Float32Array.from([1, 0, 0, Number.NaN]) }, /row 1, column 1/],
    ['infinite embedding', { embeddings: Float32Array.from([1, 0, 1, Infinity]) }, /got Infinity in row 1/],
    ['labels too short', { levels: { item: ['a'] } }, /shape \[N\] = \[2\], got \[1\]/],
    ['roles too short', { roles: ['both' as const] }, /roles must have shape/],
    ['dimension', { dimension: 3 }, /4 values with dimension 3/],
    ['recallAt', { recallAt: [0] }, /from 1, got 0/],
    ['short similarity', { similarity: () => new Float32Array(3) }, /\[2, 2\], got 3 values/],
    ['NaN similarity', { similarity: () => new Float32Array(4).fill(Number.NaN) }, /rows 0 and 1/],
  ])('%s is an error that names the place', async (_name, wrong, message) => {
    const right = { embeddings: atAngles([0, 90]), dimension: 2, levels: { item: ['a', 'a'] } };
    await expect(evaluateRetrieval({ ...right, ...wrong })).rejects.toThrow(message);
  });

  it('an empty set and an empty gallery are no error; an aborted signal is', async () => {
    const empty = await evaluateRetrieval({
      embeddings: new Float32Array(),
      dimension: 2,
      levels: { item: [] },
    });
    expect(empty.levels.item).toMatchObject({ queries: 0, mapAtR: 0 });
    const options = { embeddings: atAngles([0, 90]), dimension: 2, levels: { item: ['a', 'a'] } };
    const noGallery = await evaluateRetrieval({ ...options, roles: ['query', 'query'] });
    expect(noGallery.levels.item).toMatchObject({ queries: 0, skipped: 2 });
    await expect(evaluateRetrieval({ ...options, signal: AbortSignal.abort() })).rejects.toThrow(/abort/i);
  });
});

describe('against a naive full sort', () => {
  // Whole-number vectors: dot products are exact in any order of summation, and ties are frequent.
  const cases = fc.integer({ min: 1, max: 24 }).chain((rows) =>
    fc.record({
      dimension: fc.constantFrom(1, 2, 5),
      values: fc.array(fc.integer({ min: -2, max: 2 }), { minLength: rows * 5, maxLength: rows * 5 }),
      items: fc.array(fc.integer({ min: -1, max: 5 }), { minLength: rows, maxLength: rows }),
      kinds: fc.array(fc.constantFrom('', 'x', 'y'), { minLength: rows, maxLength: rows }),
      roles: fc.array(fc.constantFrom<Role>('query', 'gallery', 'both'), {
        minLength: rows,
        maxLength: rows,
      }),
      source: fc.array(fc.constantFrom('a', 'b', 'c'), { minLength: rows, maxLength: rows }),
      crossSource: fc.boolean(),
    }),
  );

  it('agrees to 1e-12 on every query and level', async () => {
    await fc.assert(
      fc.asyncProperty(cases, async ({ dimension, values, items, kinds, roles, source, crossSource }) => {
        const rows = items.length;
        const embeddings = Float32Array.from(values.slice(0, rows * dimension));
        const levels = { item: Int32Array.from(items), kind: kinds };
        const result = await evaluateRetrieval({
          embeddings,
          dimension,
          levels,
          roles,
          source,
          crossSource,
          perQuery: true,
        });
        const { perQuery } = result;
        expect([...perQuery!.rows]).toEqual(roles.flatMap((role, row) => (role === 'gallery' ? [] : [row])));
        for (const [name, labels] of Object.entries<ArrayLike<number | string>>(levels)) {
          const metrics = perQuery!.levels[name]!;
          for (const [q, query] of perQuery!.rows.entries()) {
            const known = labels[query] !== '' && labels[query] !== -1;
            const gallery = roles.flatMap((role, row) =>
              role === 'query' || row === query || (crossSource && source[row] === source[query])
                ? []
                : [
                    {
                      similarity: naiveDot(embeddings, dimension, query, row),
                      relevant: known && labels[row] === labels[query],
                    },
                  ],
            );
            const naive = naiveQuery(gallery);
            if (naive === undefined) {
              expect(metrics.firstRank[q]).toBeNaN();
              continue;
            }
            expect(Math.abs(metrics.mapAtR[q]! - naive.mapAtR)).toBeLessThan(1e-12);
            expect(Math.abs(metrics.rPrecision[q]! - naive.rPrecision)).toBeLessThan(1e-12);
            expect(Math.abs(metrics.averagePrecision[q]! - naive.averagePrecision)).toBeLessThan(1e-12);
            for (const k of [1, 2, 5]) expect(Number(metrics.firstRank[q]! <= k)).toBe(naive.recall(k));
          }
        }
      }),
      { numRuns: 300 },
    );
  });

  it('more than one block gives what one block gives', async () => {
    const random = Random.from(5);
    const rows = 700;
    const embeddings = Float32Array.from({ length: rows * 8 }, () => random.normal());
    const levels = { item: Int32Array.from({ length: rows }, () => random.integer(200)) };
    const all = await evaluateRetrieval({ embeddings, dimension: 8, levels, perQuery: true });
    const blocked = all.perQuery!.levels.item!.averagePrecision;
    for (const query of [0, 255, 256, 511, 699]) {
      const roles = Array.from({ length: rows }, (_, row): Role => (row === query ? 'query' : 'gallery'));
      const one = await evaluateRetrieval({ embeddings, dimension: 8, levels, roles, perQuery: true });
      expect(one.perQuery!.levels.item!.averagePrecision[0]).toBe(blocked[query]);
    }
  });
});

describe('dotProducts', () => {
  it.each([
    [1, 1, 1],
    [3, 7, 5],
    [2, 4, 16],
    [5, 9, 3],
    [4, 3, 2],
  ])('%i × %i × %i: each pair the same to the bit, wherever it falls', (Q, G, D) => {
    const random = Random.from(Q, G, D);
    const queries = Float32Array.from({ length: Q * D }, () => random.normal());
    const gallery = Float32Array.from({ length: G * D }, () => random.normal());
    const result = dotProducts(queries, gallery, D);
    for (let i = 0; i < Q; i++) {
      for (let j = 0; j < G; j++) {
        let sum = 0;
        for (let d = 0; d < D; d++) sum += queries[i * D + d]! * gallery[j * D + d]!;
        expect(result[i * G + j]).toBe(sum);
      }
    }
  });
});

describe('DescendingOrder', () => {
  const sorted = (values: readonly number[]) => {
    const order = new DescendingOrder(values.length);
    order.values.set(values);
    order.payload.set([...values.keys()]);
    order.sort(values.length);
    return order;
  };

  it.each([
    ['any numbers, few', fc.double({ noNaN: true }), 40],
    ['any numbers, many', fc.double({ noNaN: true }), 300],
    ['numbers that are one in float32', fc.double({ noNaN: true, min: 1, max: 1 + 1e-9 }), 300],
  ])('sorts %s as a comparison sort does, and is stable', (_name, number, maxLength) => {
    fc.assert(
      fc.property(fc.array(number, { maxLength }), (numbers) => {
        const values = [...numbers, ...numbers, 0, -0];
        const order = sorted(values);
        // ∞ − ∞ is NaN: compared as equal by the `||`, which is what is meant
        const expected = [...values.keys()].sort((a, b) => values[b]! - values[a]! || a - b);
        expect([...order.payload]).toEqual(expected);
        expect([...order.values].map((value) => value + 0)).toEqual(expected.map((i) => values[i]! + 0));
      }),
    );
  });

  it('levels what is within the tolerance of the largest of its run', () => {
    const order = sorted([0.5, 0.9, 0.899, 0.1, 0.8985]);
    order.level(5, 0.00125);
    expect([...order.values]).toEqual([0.9, 0.9, 0.8985, 0.5, 0.1]);
  });
});

// --- internal: an independent, slow reading of the definitions: full sort, one query at a time ---

interface NaiveQuery {
  recall: (k: number) => number;
  mapAtR: number;
  rPrecision: number;
  averagePrecision: number;
}

/** `gallery`: similarity and relevance of each candidate, own picture already gone. Undefined: nothing relevant. */
function naiveQuery(gallery: { similarity: number; relevant: boolean }[]): NaiveQuery | undefined {
  const ranking = [...gallery].sort(
    (a, b) => b.similarity - a.similarity || Number(a.relevant) - Number(b.relevant),
  );
  const R = ranking.filter((hit) => hit.relevant).length;
  if (R === 0) return undefined;
  const precisionAt = (k: number) => ranking.slice(0, k).filter((hit) => hit.relevant).length / k;
  const sumOfPrecisions = (depth: number) =>
    ranking.slice(0, depth).reduce((sum, hit, i) => sum + (hit.relevant ? precisionAt(i + 1) : 0), 0);
  return {
    recall: (k) => (ranking.slice(0, k).some((hit) => hit.relevant) ? 1 : 0),
    mapAtR: sumOfPrecisions(R) / R,
    rPrecision: precisionAt(R),
    averagePrecision: sumOfPrecisions(ranking.length) / R,
  };
}

/** Dot product of two rows, exact for small whole numbers. */
function naiveDot(embeddings: Float32Array, dimension: number, a: number, b: number): number {
  let sum = 0;
  for (let d = 0; d < dimension; d++) sum += embeddings[a * dimension + d]! * embeddings[b * dimension + d]!;
  return sum;
}
