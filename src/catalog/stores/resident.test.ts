import { describe, expect, it } from 'vitest';
import { Random } from '../../util/index.js';
import type { Filter } from '../filter.js';
import { openMemoryStore } from './memory.js';
import { ResidentRecords } from './resident.js';

const S = 24;
const COLUMNS = ['kind', 'tags'];

describe('ResidentRecords', () => {
  it('finds exactly what a naive search does, whatever the weights of the query, the filter and k', async () => {
    const random = Random.from(1);
    const records = new ResidentRecords({ dimension: S, columns: COLUMNS }, 10);
    const reference = openMemoryStore({ dimension: S, columns: COLUMNS });
    const added = Array.from({ length: 2000 }, (_, n) => ({
      id: `${n}`,
      // A few directions with little beside them: near ties in single precision.
      vector: Float32Array.from({ length: S }, (_, i) => (n % 40 === i ? 1 : 1e-6 * random.normal())),
      fields: { kind: [`${n % 50}`], tags: n % 3 === 0 ? ['a', 'b'] : n % 3 === 1 ? ['b'] : [] },
    }));
    await reference.upsert(added);
    for (const { id, vector, fields } of added) records.put(id, vector, [fields.kind, fields.tags]);
    expect(records.size).toBe(2000);
    const filters: Filter[] = [
      [],
      [{ column: 'kind', anyOf: ['7'] }],
      [{ column: 'tags', anyOf: ['a'] }],
      [{ column: 'tags', known: true }],
      [{ column: 'kind', anyOf: ['none'] }],
    ];
    for (let query = 0; query < 10; query++) {
      const vector = Float32Array.from(
        { length: S },
        (_, i) => (i < S / 2 ? 1 : query / 9) * random.normal(),
      );
      for (const filter of filters)
        for (const k of [1, 50, 700, 3000]) {
          const [hits] = await records.search([{ vector, k, filter }]);
          expect(hits).toEqual(await reference.search(vector, { k, filter }));
        }
    }
    for (const filter of filters) {
      expect(records.count(filter)).toBe(await reference.count(filter));
      expect(records.facets(COLUMNS, filter)).toEqual(await reference.facets(COLUMNS, filter));
    }
    await records.close();
  });

  it('ties are all found, by id, where the cut goes through them', async () => {
    const records = new ResidentRecords({ dimension: 2, columns: [] });
    for (const id of ['c', 'a', 'd', 'b', 'é', '😀', 'ﬀ']) records.put(id, [1, 1], []);
    const [hits] = await records.search([{ vector: Float32Array.of(1, 0.5), k: 6, filter: [] }]);
    expect(hits?.map(({ record }) => record.id)).toEqual(['a', 'b', 'c', 'd', 'é', 'ﬀ']);
    await records.close();
  });

  it('a slot that was freed is used again, and what it held is gone', async () => {
    const records = new ResidentRecords({ dimension: 2, columns: ['kind'] });
    const first = records.put('a', [9, 9], [['x']]);
    expect(records.remove('a')).toBe(true);
    expect(records.remove('a')).toBe(false);
    expect((await records.search([{ vector: Float32Array.of(1, 1), k: 5, filter: [] }]))[0]).toEqual([]);
    expect(records.count([{ column: 'kind', known: false }])).toBe(0);
    expect(records.put('b', [1, 0], [[]])).toBe(first);
    expect(records.get(['a', 'b'])).toEqual([
      undefined,
      { id: 'b', vector: Float32Array.of(1, 0), fields: { kind: [] } },
    ]);
    await records.close();
  });
});
