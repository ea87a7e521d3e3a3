/**
 * What every vector store must do. A store's own test calls this once; the reference is a naive loop written here,
 * so that a store is never judged by itself.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Filter, filterFormat, type Literal } from '../../src/catalog/filter.js';
import type { StoredRecord, StoreShape, VectorStore } from '../../src/catalog/store.js';
import { DataError, Random } from '../../src/util/index.js';

export interface StoreUnderTest {
  /** Opens a store on an empty or used folder. */
  open(directory: string, shape: StoreShape): Promise<VectorStore>;
  /** Whether records are there again after `close` and `open`. */
  persistent: boolean;
}

/** Texts that break naive quoting, lists, paths or queries. */
export const NASTY_TEXTS = [
  ' leading and trailing ',
  'accent-é',
  'accent-e\u0301',
  '中文.jpg',
  'صورة.jpg',
  '🧑‍🚀.png',
  'UPPER.JPG',
  '.hidden',
  '-dash',
  '=1+1',
  'it\'s, "quoted"; $HOME `tick`',
  'a#b%20c',
  '[b]{c}(d)',
  'back\\slash\\',
  'line\nbreak\ttab',
  "'; DROP TABLE pictures; --",
  '%_*?',
  'NULL',
  'x'.repeat(5000),
];

const COLUMNS = ['kind', 'tags', 'Strange `column`, "no. 1"', 'share'] as const;
const NASTY_COLUMN = COLUMNS[2];
const DIMENSION = 8;

export function vectorStoreConformance(name: string, { open, persistent }: StoreUnderTest): void {
  describe(`${name}: conformance`, () => {
    let root = '';
    let count = 0;
    const opened: VectorStore[] = [];
    const fresh = async (shape: Partial<StoreShape> = {}) => {
      const directory = join(root, `store-${count++}`);
      const store = await open(directory, { dimension: DIMENSION, columns: COLUMNS, ...shape });
      opened.push(store);
      return { directory, store };
    };
    beforeAll(async () => {
      root = await mkdtemp(join(tmpdir(), 'semblance-store-'));
    });
    afterAll(async () => {
      for (const store of opened) await store.close();
      await rm(root, { recursive: true, force: true });
    });

    it('an empty store finds nothing and counts nothing', async () => {
      const { store } = await fresh();
      expect(await store.search(new Float32Array(DIMENSION), { k: 5 })).toEqual([]);
      expect(await store.count()).toBe(0);
      expect(await store.get(['a'])).toEqual([undefined]);
      expect(await store.delete(['a'])).toBe(0);
      expect(await store.facets(['kind'])).toEqual({ kind: [] });
      await store.upsert([]);
      await store.flush();
    });

    it('upsert inserts, replaces by id, and keeps the later of two in a call', async () => {
      const { store } = await fresh();
      await store.upsert([
        record('a', [1], { kind: ['x'] }),
        record('b', [2]),
        record('a', [3], { tags: ['t'] }),
      ]);
      expect(await store.count()).toBe(2);
      expect((await store.get(['a']))[0]).toEqual(complete(record('a', [3], { tags: ['t'] })));
      await store.upsert([record('b', [9], { kind: ['y'] }), record('c', [4])]);
      expect(await store.get(['c', 'missing', 'b'])).toEqual([
        complete(record('c', [4])),
        undefined,
        complete(record('b', [9], { kind: ['y'] })),
      ]);
      expect(await store.count()).toBe(3);
    });

    it('is not changed through arrays that the caller keeps', async () => {
      const { store } = await fresh();
      const mine = record('a', [1]);
      await store.upsert([mine]);
      mine.vector[0] = 7;
      expect((await store.get(['a']))[0]?.vector[0]).toBe(1);
    });

    it('deletes by id and says how many', async () => {
      const { store } = await fresh();
      await store.upsert(['a', 'b', 'c'].map((id) => record(id, [1])));
      expect(await store.delete(['b', 'missing', 'b'])).toBe(1);
      expect(await store.count()).toBe(2);
      expect(await store.get(['b'])).toEqual([undefined]);
      expect((await store.search(vector([1]), { k: 9 })).map(({ record }) => record.id)).toEqual(['a', 'c']);
    });

    it('search agrees with a naive loop: ids, order and scores', async () => {
      const { store } = await fresh();
      const records = randomRecords(500, 1);
      for (let start = 0; start < 500; start += 120) await store.upsert(records.slice(start, start + 120));
      const random = Random.from(2);
      for (const k of [1, 7, 100, 499, 500, 501, 5000]) {
        const query = randomVector(random);
        const hits = await store.search(query, { k });
        expectHits(hits, naive(records, query, k));
        expect(hits[0]?.record).toEqual(complete(hits[0]?.record as StoredRecord));
      }
      expect(await store.search(randomVector(random), { k: 0 })).toEqual([]);
      const counts = (kinds: (string | undefined)[]) =>
        Object.fromEntries(
          [0, 1, 2, 3, 4].map((n) => [`kind-${n}`, kinds.filter((kind) => kind === `kind-${n}`).length]),
        );
      const found = (await store.facets(['share', 'kind'])).kind ?? [];
      expect(Object.fromEntries(found.map(({ value, count }) => [value, count]))).toEqual(
        counts(records.map(({ fields }) => fields.kind?.[0])),
      );
    });

    it('breaks ties by id, also where the cut goes through them', async () => {
      const { store } = await fresh();
      const ids = Random.from(3).shuffled(
        Array.from({ length: 300 }, (_, n) => `id-${String(n).padStart(3, '0')}`),
      );
      await store.upsert(ids.map((id) => record(id, [1, 1])));
      for (const k of [1, 10, 150]) {
        const hits = await store.search(vector([1, 0.5]), { k });
        expect(hits.map(({ record }) => record.id)).toEqual([...ids].sort().slice(0, k));
      }
    });

    it.each([
      ['1 %', 0.01],
      ['10 %', 0.1],
    ])('a filter that keeps %s still finds every one of the nearest', async (_, share) => {
      const { store } = await fresh();
      const random = Random.from(4);
      const records = randomRecords(1000, 5).map((stored) => ({
        ...stored,
        fields: { ...stored.fields, share: [random.uniform() < share ? 'in' : 'out'] },
      }));
      await store.upsert(records);
      const filter: Filter = [{ column: 'share', anyOf: ['in'] }];
      const kept = records.filter(({ fields }) => fields.share?.[0] === 'in');
      expect(await store.count(filter)).toBe(kept.length);
      for (let query = 0; query < 5; query++) {
        const nearTo = randomVector(random);
        expectHits(await store.search(nearTo, { k: 8, filter }), naive(kept, nearTo, 8));
      }
    });

    it('filters: several values, several conditions, none of, unknown, multi-valued', async () => {
      const { store } = await fresh();
      await store.upsert([
        record('a', [1], { kind: ['cat'], tags: ['red', 'round'] }),
        record('b', [1], { kind: ['dog'], tags: ['red'] }),
        record('c', [1], { kind: ['fish'], tags: ['blue', 'round'] }),
        record('d', [1], {}),
      ]);
      const found = async (filter: Filter) =>
        (await store.search(vector([1]), { k: 9, filter })).map(({ record }) => record.id).join('');
      expect(await found([])).toBe('abcd');
      expect(await found([{ column: 'kind', anyOf: ['cat', 'fish', 'bird'] }])).toBe('ac');
      expect(await found([{ column: 'tags', anyOf: ['red'] }])).toBe('ab');
      expect(
        await found([
          { column: 'tags', anyOf: ['red'] },
          { column: 'tags', anyOf: ['round'] },
        ]),
      ).toBe('a');
      expect(await found([{ column: 'kind', noneOf: ['cat', 'dog'] }])).toBe('cd');
      expect(
        await found([
          { column: 'tags', anyOf: ['round'] },
          { column: 'kind', noneOf: ['cat'] },
        ]),
      ).toBe('c');
      expect(await found([{ column: 'kind', anyOf: ['Cat', 'ca', 'cat,dog'] }])).toBe('');
      expect(await store.count([{ column: 'tags', noneOf: ['round'] }])).toBe(2);
    });

    it('any filter keeps what a naive reading of it keeps', async () => {
      const { store } = await fresh({ numericColumns: ['share', NASTY_COLUMN] });
      const values = ['7', '-1.5', '1e2', '0', 'x', "it's", '7.0'];
      const random = Random.from(9);
      const some = (most: number) =>
        Array.from(
          { length: random.integer(most + 1) },
          () => values[random.integer(values.length)] as string,
        );
      const records = Array.from({ length: 150 }, (_, n) =>
        record(`${n}`, [random.normal()], {
          kind: some(1),
          tags: some(3),
          share: some(1),
          [NASTY_COLUMN]: some(2),
        }),
      );
      await store.upsert(records);
      const column = fc.constantFrom(...COLUMNS);
      const texts = fc.array(fc.constantFrom(...values), { minLength: 1, maxLength: 3 });
      const bound = fc.constantFrom(-1.5, 0, 6.999, 7, 99.5, 100, -5e-324, 1.7976931348623157e308);
      const numeric = fc.constantFrom('share', NASTY_COLUMN);
      const test = fc.oneof(
        fc.record({ column, anyOf: texts }),
        fc.record({ column, noneOf: texts }),
        fc.record({ column, known: fc.boolean() }),
        fc.record({ column: numeric, from: bound }),
        fc.record({ column: numeric, to: bound }),
        fc
          .tuple(numeric, bound, bound)
          .map(([name, a, b]) => ({ column: name, from: Math.min(a, b), to: Math.max(a, b) })),
      );
      const literal: fc.Arbitrary<Literal> = fc.oneof(test, fc.record({ not: test }));
      const or = fc.record({ or: fc.array(literal, { minLength: 1, maxLength: 3 }) });
      await fc.assert(
        fc.asyncProperty(fc.array(fc.oneof(literal, or), { maxLength: 3 }), async (filter: Filter) => {
          expect(filterFormat.safeParse(filter).success).toBe(true);
          const kept = records.filter(({ fields }) => naivelyPasses(filter, fields));
          expect(await store.count(filter)).toBe(kept.length);
          expectHits(await store.search(vector([1]), { k: 150, filter }), naive(kept, vector([1]), 150));
          const found = await store.facets(['kind'], filter);
          const counted = (found.kind ?? []).reduce((sum, { count }) => sum + count, 0);
          expect(counted).toBe(kept.filter(({ fields }) => fields.kind?.length === 1).length);
        }),
        { numRuns: 40, seed: 10 },
      );
    });

    it('scans in order of the ids, in pages, with the columns wanted', async () => {
      const { store } = await fresh();
      const records = [...randomRecords(70, 11), ...NASTY_TEXTS.map((text) => record(text, [2]))];
      await store.upsert(Random.from(12).shuffled(records));
      const expected = records
        .map(complete)
        .sort((a, b) => Buffer.compare(Buffer.from(a.id), Buffer.from(b.id)));
      const batches: StoredRecord[][] = [];
      for await (const batch of store.scan({ batchSize: 32 })) batches.push(batch);
      expect(batches.map(({ length }) => length)).toEqual([32, 32, expected.length - 64]);
      expect(batches.flat()).toEqual(expected);
      const pages: string[] = [];
      for (let after: string | undefined; ; ) {
        const page: StoredRecord[] = [];
        const from = after === undefined ? {} : { after };
        for await (const batch of store.scan({ ...from, limit: 40, vectors: false, columns: ['kind'] }))
          page.push(...batch);
        if (page.length === 0) break;
        for (const { vector, fields } of page)
          expect([vector.length, Object.keys(fields)]).toEqual([0, ['kind']]);
        pages.push(...page.map(({ id }) => id));
        after = pages.at(-1);
      }
      expect(pages).toEqual(expected.map(({ id }) => id));
      const filtered: StoredRecord[] = [];
      const filter: Filter = [{ column: 'kind', anyOf: ['kind-1', 'kind-3'] }];
      for await (const batch of store.scan({ filter, after: '3' })) filtered.push(...batch);
      expect(filtered).toEqual(
        expected.filter(({ id, fields }) => id > '3' && /kind-[13]/.test(fields.kind?.[0] ?? '')),
      );
      for (const wrong of [{ columns: ['colour'] }, { batchSize: 0 }, { limit: -1 }])
        await expect(store.scan(wrong).next()).rejects.toThrow(DataError);
    });

    it('a scan is of what was there when it began', async () => {
      const { store } = await fresh();
      await store.upsert(['a', 'b', 'c', 'd'].map((id) => record(id, [1])));
      const seen: string[] = [];
      for await (const [only] of store.scan({ batchSize: 1 })) {
        seen.push(only?.id as string);
        await store.delete(['c']);
        await store.upsert([record('bb', [1])]);
        await store.flush();
      }
      expect(seen).toEqual(['a', 'b', 'c', 'd']);
    });

    it('has another version after each write', async () => {
      const { store } = await fresh();
      const versions = [await store.version()];
      await store.upsert([record('a', [1])]);
      versions.push(await store.version());
      expect(await store.version()).toBe(versions[1]);
      await store.upsert([record('a', [2])]);
      versions.push(await store.version());
      await store.delete(['a']);
      versions.push(await store.version());
      expect(new Set(versions).size).toBe(4);
    });

    it('refuses a range of a column that is not numeric', async () => {
      const { store } = await fresh({ numericColumns: ['share'] });
      await store.upsert([record('a', [1], { share: ['3'] }), record('b', [1], { share: ['three'] })]);
      expect(store.numericColumns).toEqual(['share']);
      expect(await store.count([{ column: 'share', from: 3 }])).toBe(1);
      await expect(store.count([{ column: 'kind', from: 3 }])).rejects.toThrow(
        /a range needs a column of numbers, got 'kind'. Choose from: share/,
      );
    });

    it('refuses a column that is not there', async () => {
      const { store } = await fresh();
      const filter: Filter = [{ column: 'colour', anyOf: ['x'] }];
      await expect(store.search(vector([1]), { k: 1, filter })).rejects.toThrow(
        /no column 'colour'. Choose from: kind/,
      );
      await expect(store.count(filter)).rejects.toThrow(DataError);
      await expect(store.facets(['colour'])).rejects.toThrow(DataError);
      await expect(store.upsert([record('a', [1], { colour: ['x'] })])).rejects.toThrow(DataError);
      expect(await store.count()).toBe(0);
    });

    it('facets count records, most frequent first, within a filter too', async () => {
      const { store } = await fresh();
      await store.upsert([
        record('a', [1], { kind: ['cat'], tags: ['red', 'round'] }),
        record('b', [1], { kind: ['dog'], tags: ['red'] }),
        record('c', [1], { kind: ['cat'], tags: ['blue', 'round'] }),
        record('d', [1], {}),
      ]);
      expect(await store.facets(['kind', 'tags'])).toEqual({
        kind: [
          { value: 'cat', count: 2 },
          { value: 'dog', count: 1 },
        ],
        tags: [
          { value: 'red', count: 2 },
          { value: 'round', count: 2 },
          { value: 'blue', count: 1 },
        ],
      });
      expect(await store.facets(['kind'], [{ column: 'tags', anyOf: ['round'] }])).toEqual({
        kind: [{ value: 'cat', count: 2 }],
      });
      expect(await store.facets([])).toEqual({});
    });

    it('ids and values of any text come back unharmed and can be filtered by', async () => {
      const { store } = await fresh();
      const nasty = NASTY_COLUMN;
      await store.upsert(NASTY_TEXTS.map((text, n) => record(text, [n + 1], { [nasty]: [text, 'common'] })));
      expect(await store.count()).toBe(NASTY_TEXTS.length);
      for (const [n, text] of NASTY_TEXTS.entries()) {
        expect((await store.get([text]))[0]).toEqual(
          complete(record(text, [n + 1], { [nasty]: [text, 'common'] })),
        );
        const hits = await store.search(vector([1]), { k: 9, filter: [{ column: nasty, anyOf: [text] }] });
        expect(hits.map(({ record }) => record.id)).toEqual([text]);
        expect(await store.count([{ column: nasty, noneOf: [text] }])).toBe(NASTY_TEXTS.length - 1);
      }
      expect((await store.facets([nasty]))[nasty]).toHaveLength(NASTY_TEXTS.length + 1);
      expect(await store.delete(NASTY_TEXTS)).toBe(NASTY_TEXTS.length);
      expect(await store.count()).toBe(0);
    });

    it('random texts come back unharmed', async () => {
      const { store } = await fresh();
      const text = fc.string({ unit: 'binary', minLength: 1, maxLength: 12 });
      await fc.assert(
        fc.asyncProperty(text, text, async (id, value) => {
          const stored = record(id, [1], { kind: [value] });
          await store.upsert([stored]);
          expect((await store.get([id]))[0]).toEqual(complete(stored));
          expect(await store.count([{ column: 'kind', anyOf: [value] }])).toBeGreaterThanOrEqual(1);
        }),
        { numRuns: 12, seed: 8 },
      );
    });

    it('a wrong vector, number of hits or text is one clear error', async () => {
      const { store } = await fresh();
      await expect(store.search(new Float32Array(3), { k: 1 })).rejects.toThrow(/must have 8 numbers, got 3/);
      await expect(store.upsert([{ id: 'a', vector: new Float32Array(9), fields: {} }])).rejects.toThrow(
        /record 'a': the vector must have 8 numbers, got 9/,
      );
      await expect(store.upsert([record('a', [Number.NaN])])).rejects.toThrow(/must be finite, got NaN/);
      await expect(store.upsert([record('', [1])])).rejects.toThrow(/id must not be empty/);
      await expect(store.upsert([record('half \ud83d', [1])])).rejects.toThrow(/well-formed/);
      for (const k of [-1, 1.5, Number.NaN])
        await expect(store.search(vector([1]), { k })).rejects.toThrow(/k must be a whole number/);
      expect(await store.count()).toBe(0);
    });

    it('reads while it writes, and never sees a part of a batch', async () => {
      const { store } = await fresh();
      let writing = true;
      const counts: number[] = [];
      const reader = (async () => {
        while (writing) {
          counts.push(await store.count());
          const hits = await store.search(vector([1]), { k: 3 });
          expect(hits.length).toBeGreaterThanOrEqual(Math.min(3, counts.at(-1) as number));
          await new Promise((resolve) => setImmediate(resolve));
        }
      })();
      for (let batch = 0; batch < 6; batch++)
        await store.upsert(Array.from({ length: 10 }, (_, n) => record(`${batch}-${n}`, [n])));
      writing = false;
      await reader;
      expect(counts.every((seen) => seen % 10 === 0)).toBe(true);
      expect([...counts].sort((a, b) => a - b)).toEqual(counts);
    });

    it('writes that were not awaited are done in order', async () => {
      const { store } = await fresh();
      await Promise.all([
        store.upsert([record('a', [1])]),
        store.upsert([record('a', [2]), record('b', [2])]),
        store.delete(['b']),
        store.upsert([record('a', [3])]),
      ]);
      expect(await store.count()).toBe(1);
      expect((await store.get(['a']))[0]?.vector[0]).toBe(3);
    });

    it('refuses calls after close, and closes twice without harm', async () => {
      const { store } = await fresh();
      await store.close();
      await store.close();
      await expect(store.count()).rejects.toThrow(/after close/);
      await expect(async () => store.upsert([record('a', [1])])).rejects.toThrow(/after close/);
    });

    it.skipIf(!persistent)('is there again when opened again, also after tidying up', async () => {
      const { store, directory } = await fresh();
      const records = randomRecords(60, 6);
      for (let start = 0; start < 60; start += 10) await store.upsert(records.slice(start, start + 10));
      await store.delete([records[0]?.id as string]);
      await store.close();
      const again = await open(directory, { dimension: DIMENSION, columns: COLUMNS });
      await again.flush();
      const query = randomVector(Random.from(7));
      expectHits(await again.search(query, { k: 20 }), naive(records.slice(1), query, 20));
      expect(await again.get([records[5]?.id as string])).toEqual([complete(records[5] as StoredRecord)]);
      await again.close();
      await expect(open(directory, { dimension: 9, columns: COLUMNS })).rejects.toThrow(
        /other columns or another/,
      );
      await expect(open(directory, { dimension: DIMENSION, columns: ['kind'] })).rejects.toThrow(DataError);
    });

    it.skipIf(!persistent)(
      'a second opening of the same folder reads what the first has acknowledged',
      async () => {
        const { store, directory } = await fresh();
        const reader = await open(directory, { dimension: DIMENSION, columns: COLUMNS });
        await store.upsert([record('a', [1])]);
        expect(await reader.count()).toBe(1);
        await store.upsert([record('b', [1])]);
        await store.delete(['a']);
        expect((await reader.search(vector([1]), { k: 5 })).map(({ record }) => record.id)).toEqual(['b']);
        await reader.close();
      },
    );
  });
}

// --- internal ---

function vector(head: readonly number[]): Float32Array {
  return Float32Array.from({ length: DIMENSION }, (_, i) => head[i] ?? 0);
}

function record(
  id: string,
  head: readonly number[],
  fields: Record<string, readonly string[]> = {},
): StoredRecord {
  return { id, vector: vector(head), fields };
}

/** As a store gives it back: every column is there. */
function complete({ id, vector, fields }: StoredRecord): StoredRecord {
  return { id, vector, fields: Object.fromEntries(COLUMNS.map((column) => [column, fields[column] ?? []])) };
}

function randomVector(random: Random): Float32Array {
  return Float32Array.from({ length: DIMENSION }, () => random.normal());
}

function randomRecords(count: number, seed: number): StoredRecord[] {
  const random = Random.from(seed);
  return Array.from({ length: count }, (_, n) => ({
    id: `${random.integer(1000)}/${n}.png`,
    vector: randomVector(random),
    fields: { kind: [`kind-${random.integer(5)}`] },
  }));
}

/** Written apart from `matchesFilter`, by another road: each test as a list of the values that satisfy it. */
function naivelyPasses(filter: Filter, fields: StoredRecord['fields']): boolean {
  const satisfied = (literal: Literal): boolean => {
    if ('not' in literal) return !satisfied(literal.not);
    const values = new Set(fields[literal.column]);
    if ('anyOf' in literal) return literal.anyOf.filter((value) => values.has(value)).length > 0;
    if ('noneOf' in literal) return literal.noneOf.filter((value) => values.has(value)).length === 0;
    if ('known' in literal) return literal.known ? values.size > 0 : values.size === 0;
    const list = fields[literal.column] ?? [];
    if (list.length !== 1) return false;
    const number = Number(list[0]);
    if (Number.isNaN(number)) return false;
    return !(literal.from !== undefined && number < literal.from) && !(number > (literal.to ?? number));
  };
  for (const condition of filter) {
    const literals = 'or' in condition ? condition.or : [condition];
    if (literals.every((literal) => !satisfied(literal))) return false;
  }
  return true;
}

function naive(records: readonly StoredRecord[], query: Float32Array, k: number) {
  return records
    .map(({ id, vector }) => ({ id, score: vector.reduce((sum, x, i) => sum + x * (query[i] ?? 0), 0) }))
    .sort((a, b) => b.score - a.score || (a.id < b.id ? -1 : 1))
    .slice(0, k);
}

function expectHits(
  hits: readonly { score: number; record: StoredRecord }[],
  expected: readonly { id: string; score: number }[],
): void {
  expect(hits.map(({ record }) => record.id)).toEqual(expected.map(({ id }) => id));
  hits.forEach(({ score }, rank) => {
    expect(score).toBeCloseTo(expected[rank]?.score as number, 5);
  });
}
