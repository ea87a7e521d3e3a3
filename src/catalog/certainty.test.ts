import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { TINY_SCHEMA, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import { byCodePoint, defaultLevelWeights, storedVectors, vectorLayout } from '../granularity/index.js';
import { Random } from '../util/index.js';
import { BASE_COLUMNS, type Catalog } from './catalog.js';
import { type SearchRequest, search } from './search.js';
import type { StoredRecord } from './store.js';
import { openMemoryStore } from './stores/memory.js';

let root = '';
let embedder: Embedder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-certainty-'));
  embedder = await openEmbedder(await writeTinyBundle(root), { threads: 1 });
});
afterAll(async () => {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
});

const layout = vectorLayout(TINY_SCHEMA, 12);
const levelWeights = defaultLevelWeights(TINY_SCHEMA, layout);
const random = Random.from(11);
/** Rising from `low` to `high` over scores from 0 to 0.8. */
const level = (low: number, high: number) => ({
  curve: [
    [0, low],
    [0.8, high],
  ] as [number, number][],
  rate: 0.1,
  pairs: 1000,
  agreeing: 100,
});
const LEVELS = [level(0.01, 0.95), level(0.05, 0.97)];
const RATES = [0.05, null];

function draw(id: string, item: number): StoredRecord {
  const normal = (size: number) => Float32Array.from({ length: size }, () => random.normal());
  const hue = Array.from(normal(3), Math.exp);
  const sum = hue.reduce((a, b) => a + b);
  const attributes = Float32Array.from([...hue.map((x) => x / sum), random.uniform(), random.uniform()]);
  return {
    id,
    vector: storedVectors(TINY_SCHEMA, 12, { embeddings: normal(12), attributes }),
    fields: { item_id: [`i${item}`], path: [`${id}.png`], hue: [item % 2 === 0 ? 'red' : 'blue'] },
  };
}

/** 900 pictures of 300 items: more than the first look of a gathering takes. */
async function openDrawn(calibration: Catalog['description']['calibration']) {
  const columns = [...BASE_COLUMNS, 'hue'];
  const store = openMemoryStore({ dimension: layout.size, columns });
  const records = Array.from({ length: 900 }, (_, n) => draw(`p${n}`, Math.floor(n / 3)));
  await store.upsert(records);
  const catalog: Catalog = {
    directory: root,
    description: {
      formatVersion: 1,
      model: { directory: root, vectorHash: embedder.bundle.vectorHash },
      dimension: 12,
      schema: TINY_SCHEMA,
      levelWeights,
      ...(calibration === undefined ? {} : { calibration }),
      columns,
      numericColumns: [],
      store: 'vectors-00',
    },
    layout,
    store,
    close: () => store.close(),
  };
  return { catalog, records };
}

const partsOf = (query: Float32Array, hit: Float32Array) =>
  layout.parts.map(({ offset, size }) => {
    let sum = 0;
    for (let i = offset; i < offset + size; i++) sum += query[i]! * hit[i]!;
    return sum;
  });
const blend = (weights: readonly number[], parts: readonly number[]) =>
  weights.reduce((sum, weight, part) => sum + weight * parts[part]!, 0);

/** The probabilities by hand: the line between the two points, then the odds times the ratio of the rates' odds. */
function byHand(query: Float32Array, hit: Float32Array): [item: number, category: number] {
  const parts = partsOf(query, hit);
  const own = LEVELS.map(({ curve, rate }, l) => {
    const [[, low], [, high]] = curve as [[number, number], [number, number]];
    const p = low + (high - low) * Math.min(1, Math.max(0, blend(levelWeights[l]!, parts) / 0.8));
    const to = RATES[l] ?? rate;
    const odds = (p / (1 - p)) * (to / (1 - to)) * ((1 - rate) / rate);
    return odds / (1 + odds);
  });
  return [own[0]!, Math.max(own[0]!, own[1]!)];
}

async function pages(catalog: Catalog, request: SearchRequest) {
  const hits = [];
  for (let cursor: string | undefined, first = true; first || cursor !== undefined; first = false) {
    const page = await search(catalog, embedder, { ...request, cursor });
    hits.push(...page.hits);
    cursor = page.cursor;
  }
  expect(hits.map(({ rank }) => rank)).toEqual(hits.map((_, n) => n + 1));
  return hits;
}

describe('search in a calibrated catalogue', () => {
  it('says of each hit how likely it is, whatever the granularity and the edits', async () => {
    const { catalog, records } = await openDrawn({ levels: LEVELS, rates: RATES });
    const { vector } = draw('query', 0);
    const levels = new Set<unknown>();
    for (const request of [
      { granularity: 0 },
      { granularity: 0.7 },
      { edits: [{ attribute: 'hue', value: 'blue', want: true }] },
    ]) {
      const { hits } = await search(catalog, embedder, { examples: [{ vector }], limit: 300, ...request });
      for (const hit of hits) {
        const [item, category] = byHand(vector, records.find(({ id }) => id === hit.id)!.vector);
        expect(hit.probabilities?.item).toBeCloseTo(item, 9);
        // Two levels: look is answered by the last.
        expect(hit.probabilities?.look).toBeCloseTo(category, 9);
        expect(hit.probabilities?.category).toBeCloseTo(category, 9);
        expect(hit.level).toBe(item >= 0.5 ? 'item' : category >= 0.5 ? 'look' : null);
        levels.add(hit.level);
      }
    }
    expect(levels).toEqual(new Set(['item', 'look', null]));
  });

  it('takes what several examples show together', async () => {
    const { catalog, records } = await openDrawn({ levels: LEVELS, rates: RATES });
    const [a, b] = [records[3]!, records[70]!];
    const { hits } = await search(catalog, embedder, { examples: [{ id: a.id }, { id: b.id }], limit: 20 });
    const combined = new Float32Array(layout.size);
    for (const { offset, size } of layout.parts) {
      const sum = Array.from({ length: size }, (_, i) => a.vector[offset + i]! + b.vector[offset + i]!);
      const length = Math.hypot(...sum);
      for (const [i, x] of sum.entries()) combined[offset + i] = x / length;
    }
    for (const { id, probabilities } of hits)
      expect(probabilities?.item).toBeCloseTo(
        byHand(combined, records.find((record) => record.id === id)!.vector)[0],
        5,
      );
  });

  it.each(['item', 'look', 'category'] as const)(
    'a minimum probability of %s keeps all that have it, in the order of the granularity, over pages',
    async (name) => {
      const { catalog, records } = await openDrawn({ levels: LEVELS, rates: RATES });
      await fc.assert(
        fc.asyncProperty(
          fc.record({
            probability: fc.oneof(fc.double({ min: 0, max: 1, noNaN: true }), fc.constantFrom(0, 0.5, 1)),
            granularity: fc.constantFrom(0, 0.3, 1),
            groupBy: fc.constantFrom('item' as const, 'none' as const),
            filtered: fc.boolean(),
          }),
          async ({ probability, granularity, groupBy, filtered }) => {
            const { vector } = draw('query', 0);
            const weights = levelWeights[0]!.map(
              (fine, part) => fine * (1 - granularity) + levelWeights[1]![part]! * granularity,
            );
            const likely = records
              .filter(({ fields }) => !filtered || fields.hue?.[0] === 'red')
              .filter((record) => byHand(vector, record.vector)[name === 'item' ? 0 : 1] >= probability)
              .map((record) => ({ ...record, score: blend(weights, partsOf(vector, record.vector)) }))
              .sort((x, y) => y.score - x.score || byCodePoint(x.id, y.id));
            const items = likely.map(({ fields }) => fields.item_id![0]);
            const expected =
              groupBy === 'none' ? likely : likely.filter((_, n) => items.indexOf(items[n]) === n);
            const hits = await pages(catalog, {
              examples: [{ vector }],
              granularity,
              groupBy,
              limit: 150,
              filter: filtered ? [{ column: 'hue', anyOf: ['red'] }] : [],
              minimumProbability: { level: name, probability },
            });
            expect(hits.map(({ id }) => id)).toEqual(expected.map(({ id }) => id));
          },
        ),
        { numRuns: 12, seed: 5 },
      );
    },
  );

  it('facets count what is left; the example itself is not among it', async () => {
    const { catalog, records } = await openDrawn({ levels: LEVELS, rates: RATES });
    const query = records[0]!;
    const { hits, facets } = await search(catalog, embedder, {
      examples: [{ id: query.id }],
      minimumProbability: { level: 'category', probability: 0.6 },
      facets: ['hue'],
      limit: 900,
    });
    expect(hits.length).toBeGreaterThan(3);
    expect(hits.map(({ id }) => id)).not.toContain(query.id);
    expect(facets.hue?.reduce((sum, { count }) => sum + count, 0)).toBe(hits.length);
  });

  it('says that nothing is similar, on every page and behind every cut-off, only if nothing is', async () => {
    const { catalog, records } = await openDrawn({ levels: LEVELS, rates: RATES });
    const poor = await openDrawn({ levels: [level(0.001, 0.3), null], rates: [null, null] });
    let [some, none] = [0, 0];
    for (let n = 0; n < 40; n++) {
      const { vector } = draw('query', 0);
      // The least alike end of the list shows nothing that is similar, but the catalogue has it.
      const request: SearchRequest = { examples: [{ vector }], limit: 5 };
      const filter = [{ column: 'path', anyOf: [`p${n}.png`] }];
      for (const [asked, among] of [
        [request, records],
        [{ ...request, minimumProbability: { level: 'item', probability: 1 } } as const, records],
        [{ ...request, filter }, records.filter(({ id }) => id === `p${n}`)],
      ] as const) {
        const similar = among.some((record) => byHand(vector, record.vector)[1] >= 0.5);
        expect((await search(catalog, embedder, asked)).nothingSimilar).toBe(!similar);
        if (similar) some++;
        else none++;
      }
      expect((await search(poor.catalog, embedder, request)).nothingSimilar).toBe(true);
    }
    expect(Math.min(some, none)).toBeGreaterThan(3);
  });
});

describe('search in a catalogue that is not calibrated', () => {
  it('has no probabilities, and says how to get them where they are asked for', async () => {
    const { catalog } = await openDrawn(undefined);
    const { vector } = draw('query', 0);
    const result = await search(catalog, embedder, { examples: [{ vector }] });
    expect(result).not.toHaveProperty('nothingSimilar');
    expect(result.hits[0]).not.toHaveProperty('probabilities');
    expect(result.hits[0]).not.toHaveProperty('level');
    const asked = {
      examples: [{ vector }],
      minimumProbability: { level: 'item', probability: 0.9 },
    } as const;
    await expect(search(catalog, embedder, asked)).rejects.toThrow(/not\. Run `semblance calibrate`/);
  });

  it.each([
    [{ level: 'item', probability: 1.5 }, /must be from 0 to 1, got 1\.5/],
    [{ level: 'item', probability: Number.NaN }, /must be from 0 to 1, got NaN/],
    [{ level: 'kind', probability: 0.5 }, /level must be item, look, category, got 'kind'/],
  ])('refuses %j', async (minimumProbability, message) => {
    const { catalog } = await openDrawn({ levels: LEVELS, rates: RATES });
    const request = { examples: [{ id: 'p0' }], minimumProbability } as SearchRequest;
    await expect(search(catalog, embedder, request)).rejects.toThrow(message);
  });
});
