import { describe, expect, it } from 'vitest';
import { TINY_SCHEMA } from '../../test/support/tiny-bundle.js';
import { storedVectors, vectorLayout } from '../granularity/index.js';
import { Random } from '../util/index.js';
import { attributeDirections, removeDirections, SAMPLE_SIZE } from './attribute-directions.js';
import type { Catalog } from './catalog.js';
import { dotProduct, type StoredRecord } from './store.js';
import { openMemoryStore } from './stores/memory.js';

const D = 12;
const layout = vectorLayout(TINY_SCHEMA, D);

/** Embeddings that are noise but for the first two axes, where the hue shows as a corner of a triangle. */
async function openPlanted(count: number): Promise<Pick<Catalog, 'description' | 'store'>> {
  const random = Random.from(3);
  const store = openMemoryStore({ dimension: layout.size, columns: [] });
  const records: StoredRecord[] = Array.from({ length: count }, (_, n) => {
    const hue = n % 3;
    const embeddings = Float32Array.from({ length: D }, () => 0.3 * random.normal());
    embeddings[0]! += Math.cos((2 * Math.PI * hue) / 3);
    embeddings[1]! += Math.sin((2 * Math.PI * hue) / 3);
    const attributes = Float32Array.from([...[0, 1, 2].map((v) => (v === hue ? 0.9 : 0.05)), 0.5, 0.5]);
    return { id: `p${n}`, vector: storedVectors(TINY_SCHEMA, D, { embeddings, attributes }), fields: {} };
  });
  await store.upsert(records);
  const description = { schema: TINY_SCHEMA, dimension: D } as Catalog['description'];
  return { store, description };
}

describe('attributeDirections', () => {
  it.each([600, SAMPLE_SIZE + 700])(
    'finds the plane in which a hue was planted, in %d pictures',
    async (count) => {
      const directions = await attributeDirections(await openPlanted(count), 'hue');
      expect(directions).toHaveLength(2);
      for (const [i, a] of directions.entries()) {
        expect(Math.hypot(a[0]!, a[1]!)).toBeGreaterThan(0.99);
        for (const [j, b] of directions.entries()) expect(dotProduct(a, b)).toBeCloseTo(i === j ? 1 : 0, 5);
      }
    },
  );

  it('taken out, no hue is nearer than another', async () => {
    const catalog = await openPlanted(600);
    const directions = await attributeDirections(catalog, 'hue');
    const [query] = (await catalog.store.get(['p0'])) as [StoredRecord];
    const embedding = query.vector.slice(0, D);
    const meanScores = async () => {
      const sums = [0, 0, 0];
      for await (const batch of catalog.store.scan())
        for (const { id, vector } of batch)
          sums[Number(id.slice(1)) % 3]! += dotProduct(embedding, vector.subarray(0, D)) / 200;
      return sums as [number, number, number];
    };
    const spread = ([a, b, c]: [number, number, number]) => Math.max(a, b, c) - Math.min(a, b, c);
    const before = spread(await meanScores());
    removeDirections(embedding, directions);
    expect(before).toBeGreaterThan(0.5);
    expect(spread(await meanScores())).toBeLessThan(0.05 * before);
  });

  it('of too little there are none; they are kept until the catalogue has grown', async () => {
    const catalog = await openPlanted(1);
    expect(await attributeDirections(catalog, 'hue')).toEqual([]);
    const grown = await openPlanted(60);
    const first = await attributeDirections(grown, 'hue');
    expect(await attributeDirections(grown, 'hue')).toBe(first);
    const more: StoredRecord[] = [];
    for await (const batch of grown.store.scan())
      more.push(...batch.map((r) => ({ ...r, id: `again-${r.id}` })));
    await grown.store.upsert([...more, ...more.map((r) => ({ ...r, id: `once more-${r.id}` }))]);
    expect(await attributeDirections(grown, 'hue')).not.toBe(first);
  });
});
