import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { VectorLayout } from '../granularity/index.js';
import { Random } from '../util/index.js';
import { matchesFilter } from './filter.js';
import type { IndexPlan } from './index-plan.js';
import { openLanceStore } from './stores/lancedb.js';
import { openMemoryStore } from './stores/memory.js';
import { FEWEST_TO_INDEX, tuneIndex } from './tuning.js';

const LAYOUT: VectorLayout = {
  parts: [
    { name: 'embedding', offset: 0, size: 8 },
    { name: 'attributes', offset: 8, size: 4 },
  ],
  size: 12,
};
const LEVEL_WEIGHTS = [
  [1, 0],
  [0.5, 0.5],
];
const SHAPE = { dimension: 12, columns: ['colour', 'shop'] };

describe('tuneIndex', () => {
  let root = '';
  beforeAll(async () => {
    root = await mkdtemp(join(tmpdir(), 'semblance-tuning-'));
  });
  afterAll(async () => {
    await rm(root, { recursive: true, force: true });
  });

  it('builds an index of the recall wanted where exact search is too slow, and keeps the choice', async () => {
    const directory = join(root, 'large');
    const store = await openLanceStore(directory, SHAPE);
    const reference = openMemoryStore(SHAPE);
    const random = Random.from(1);
    const records = Array.from({ length: FEWEST_TO_INDEX }, (_, n) => ({
      id: `${n}`,
      vector: Float32Array.from({ length: 12 }, () => random.normal()),
      fields: { colour: [`colour-${random.integer(10)}`], shop: [`shop-${random.integer(100)}`] },
    }));
    await store.upsert(records);
    await reference.upsert(records);
    const built: [before: IndexPlan, after: IndexPlan][] = [];
    const options = {
      store,
      layout: LAYOUT,
      levelWeights: LEVEL_WEIGHTS,
      filterColumns: ['colour', 'shop'],
      recall: 0.95,
      k: 10,
      queries: 10,
      // No search is that quick.
      targetMs: 0,
      whileBuilding: async (build: () => Promise<void>) => {
        const { plan } = await store.indexState();
        await build();
        built.push([plan, (await store.indexState()).plan]);
      },
    };
    const { tried, chosen, queries } = await tuneIndex(options);
    expect(queries).toBe(10);
    expect(tried[0]?.plan).toEqual({ kind: 'exact' });
    const last = tried.at(-1);
    expect(last?.plan.kind).toBe('ivf-flat');
    expect(last?.bytes).toBeGreaterThan(5000 * 12 * 4);
    // Not what earlier builds left behind.
    expect(last?.bytes).toBeLessThan(5000 * 12 * 4 * 4);
    expect(Math.min(...(last?.measures ?? []).map(({ recall }) => recall))).toBeGreaterThanOrEqual(0.95);
    // More probes find more: each plan before the last one was given up because it found too little.
    for (const { measures } of tried.slice(1, -1))
      expect(Math.min(...measures.map(({ recall }) => recall))).toBeLessThan(0.95);
    const shares = last?.measures.map(({ filter, share }) => {
      expect(share).toBe(
        records.filter(({ fields }) => matchesFilter(filter, fields)).length / records.length,
      );
      return share;
    });
    expect(shares?.[0]).toBe(1);
    expect(Math.abs((shares?.[1] ?? 0) - 0.1)).toBeLessThan(0.03);
    expect(Math.abs((shares?.[2] ?? 0) - 0.01)).toBeLessThan(0.005);
    expect((await store.indexState()).plan).toEqual(chosen);

    // Nothing is built in between.
    const plans = [...tried.slice(1).map(({ plan }) => plan), chosen];
    expect(built).toEqual(plans.map((plan, n) => [plans[n - 1] ?? { kind: 'exact' }, plan]));

    const controller = new AbortController();
    const startProgress = () => ({
      update: (_: number, detail = '') => {
        if (detail.startsWith('hnsw')) controller.abort(new Error('interrupted'));
      },
      stop() {},
    });
    await expect(
      tuneIndex({ ...options, kinds: ['hnsw-sq'], signal: controller.signal, startProgress }),
    ).rejects.toThrow('interrupted');
    expect((await store.indexState()).plan).toEqual(chosen);

    expect((await tuneIndex({ ...options, targetMs: 1e6 })).chosen).toEqual({ kind: 'exact' });
    await store.close();
    const again = await openLanceStore(directory, SHAPE);
    expect(await again.indexState()).toMatchObject({ plan: { kind: 'exact' }, bytes: 0 });
    const query = Float32Array.from({ length: 12 }, () => random.normal());
    expect(await again.search(query, { k: 20 })).toEqual(await reference.search(query, { k: 20 }));
    await again.close();
  });

  it('leaves a small catalogue exact, with any columns', async () => {
    const store = await openLanceStore(join(root, 'small'), SHAPE);
    await store.upsert([{ id: 'a', vector: new Float32Array(12).fill(1), fields: {} }]);
    const { tried, chosen } = await tuneIndex({
      store,
      layout: LAYOUT,
      levelWeights: LEVEL_WEIGHTS,
      filterColumns: ['colour'],
      targetMs: 0,
      always: true,
    });
    expect(chosen).toEqual({ kind: 'exact' });
    expect(tried.map(({ measures }) => measures.length)).toEqual([1]);
    await store.close();
  });
});
