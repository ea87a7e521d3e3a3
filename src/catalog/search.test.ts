import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, TINY_SCHEMA, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import {
  byCodePoint,
  defaultLevelWeights,
  queryVector,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../granularity/index.js';
import { Random } from '../util/index.js';
import { attributeDirections, removeDirections } from './attribute-directions.js';
import { BASE_COLUMNS, type Catalog } from './catalog.js';
import { EDIT_STRENGTH, UnknownPictureError } from './query.js';
import { type SearchRequest, search } from './search.js';
import { dotProduct, type StoredRecord } from './store.js';
import { openMemoryStore } from './stores/memory.js';

let root = '';
let embedder: Embedder;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-search-'));
  embedder = await openEmbedder(await writeTinyBundle(root), { threads: 1, batchSize: 4 });
});
afterAll(async () => {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
});

const layout = vectorLayout(TINY_SCHEMA, 12);
const levelWeights = defaultLevelWeights(TINY_SCHEMA, layout);
const random = Random.from(7);

/** Records of `items` items with three pictures each, their outputs drawn. */
function drawRecords(items: number, prefix = ''): StoredRecord[] {
  return Array.from({ length: 3 * items }, (_, n) => {
    const draw = (size: number) => Float32Array.from({ length: size }, () => random.normal());
    const hue = Array.from(draw(3), Math.exp);
    const sum = hue.reduce((a, b) => a + b);
    const attributes = Float32Array.from([...hue.map((x) => x / sum), random.uniform(), random.uniform()]);
    return {
      id: `${prefix}p${n}`,
      vector: storedVectors(TINY_SCHEMA, 12, { embeddings: draw(12), attributes }),
      fields: {
        item_id: [`${prefix}i${Math.floor(n / 3)}`],
        path: [`${prefix}p${n}.png`],
        hue: n % 5 === 0 ? [] : [TINY_SCHEMA.attributes[0]?.values[n % 3] as string],
        price: n % 7 === 0 ? [] : [String((n * 37) % 101)],
      },
    };
  });
}

async function openDrawn(items = 40): Promise<{ catalog: Catalog; records: StoredRecord[] }> {
  const columns = [...BASE_COLUMNS, 'hue', 'price'];
  const store = openMemoryStore({ dimension: layout.size, columns, numericColumns: ['price'] });
  const records = drawRecords(items);
  await store.upsert(records);
  const description: Catalog['description'] = {
    formatVersion: 1,
    model: { directory: root, vectorHash: embedder.bundle.vectorHash },
    dimension: 12,
    schema: TINY_SCHEMA,
    levelWeights,
    columns,
    numericColumns: ['price'],
    store: 'vectors-00',
  };
  return { catalog: { directory: root, description, layout, store, close: () => store.close() }, records };
}

/** The whole order by plain loops. */
function ranked(records: readonly StoredRecord[], vector: Float32Array, granularity: number) {
  const query = queryVector(layout, vector, weightsAt(levelWeights, granularity));
  return records
    .map(({ id, vector: stored, fields }) => ({ id, fields, score: dotProduct(query, stored) }))
    .sort((a, b) => b.score - a.score || byCodePoint(a.id, b.id));
}

async function allPages(
  catalog: Catalog,
  request: SearchRequest,
  between: () => Promise<void> = async () => {},
) {
  const ids: string[] = [];
  const ranks: number[] = [];
  for (let cursor: string | undefined, pages = 0; pages < 200; pages++) {
    const result = await search(catalog, embedder, {
      ...request,
      ...(cursor === undefined ? {} : { cursor }),
    });
    ids.push(...result.hits.map(({ id }) => id));
    ranks.push(...result.hits.map(({ rank }) => rank));
    cursor = result.cursor;
    if (cursor === undefined) break;
    await between();
  }
  expect(ranks).toEqual(ids.map((_, n) => n + 1));
  return ids;
}

describe('search: pages', () => {
  it.each([0, 0.5, 1])(
    'follow one another in the order of plain loops, at granularity %d',
    async (granularity) => {
      const { catalog, records } = await openDrawn();
      const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
      const ids = await allPages(catalog, { examples: [{ vector }], granularity, limit: 7 });
      expect(ids).toEqual(ranked(records, vector, granularity).map(({ id }) => id));
    },
  );

  it('neither repeat nor lose a hit when pictures are added between them', async () => {
    const { catalog, records } = await openDrawn();
    const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
    let added = 0;
    const request = { examples: [{ vector }], limit: 7 };
    const ids = await allPages(catalog, request, () =>
      catalog.store.upsert(drawRecords(2, `added-${added++}-`)),
    );
    expect(new Set(ids).size).toBe(ids.length);
    const old = ids.filter((id) => !id.startsWith('added'));
    expect(old).toEqual(ranked(records, vector, 0).map(({ id }) => id));
    expect(ids.length).toBeGreaterThan(records.length);
  });

  it('show each item once when grouped, with its best picture, and name the others', async () => {
    const { catalog, records } = await openDrawn();
    const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
    const order = ranked(records, vector, 0);
    const expected = order.filter(
      ({ fields }, n) => order.findIndex((other) => other.fields.item_id?.[0] === fields.item_id?.[0]) === n,
    );
    const request = { examples: [{ vector }], groupBy: 'item', limit: 6 } as const;
    expect(await allPages(catalog, request)).toEqual(expected.map(({ id }) => id));
    const { hits } = await search(catalog, embedder, { ...request, limit: 40 });
    for (const { id, itemId, variants } of hits) {
      const rest = order.filter(({ fields }) => fields.item_id?.[0] === itemId).map((other) => other.id);
      expect([id, ...variants]).toEqual(rest);
    }
  });

  it.each(['ascending', 'descending'] as const)('are sorted by a numeric column, %s', async (direction) => {
    const { catalog, records } = await openDrawn();
    const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
    const ids = await allPages(catalog, {
      examples: [{ vector }],
      sort: { column: 'price', direction },
      limit: 9,
    });
    expect([...ids].sort()).toEqual(records.map(({ id }) => id).sort());
    const prices = ids.map((id) => records.find((record) => record.id === id)?.fields.price?.[0]);
    const known = prices.filter((price) => price !== undefined).map(Number);
    expect(prices.slice(known.length)).toEqual(Array(prices.length - known.length).fill(undefined));
    expect(known).toEqual([...known].sort((a, b) => (direction === 'ascending' ? a - b : b - a)));
  });

  it('of a diverse search repeat nothing, begin with the best, and are less alike', async () => {
    const { catalog } = await openDrawn();
    const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
    const plain = await search(catalog, embedder, { examples: [{ vector }], limit: 12 });
    const request = { examples: [{ vector }], diversity: 0.5, limit: 12 };
    const diverse = await search(catalog, embedder, request);
    expect(diverse.hits[0]?.id).toBe(plain.hits[0]?.id);
    const likeness = async (ids: readonly string[]) => {
      const found = (await catalog.store.get(ids)).map(
        (record) => record?.vector.subarray(0, 12) as Float32Array,
      );
      const pairs = found.flatMap((a, i) => found.slice(i + 1).map((b) => dotProduct(a, b)));
      return pairs.reduce((sum, x) => sum + x, 0) / pairs.length;
    };
    expect(await likeness(diverse.hits.map(({ id }) => id))).toBeLessThan(
      (await likeness(plain.hits.map(({ id }) => id))) - 0.1,
    );
    const ids = await allPages(catalog, request);
    expect(new Set(ids).size).toBe(120);
  });
});

describe('search: examples', () => {
  it('a picture and its vector find the same; the attributes are the model’s', async () => {
    const { catalog } = await openDrawn();
    const picture = await plainPicture([250, 10, 10]);
    const byPicture = await search(catalog, embedder, { examples: [{ picture }], granularity: 0.5 });
    const [vector] = byPicture.vectors as [Float32Array];
    const byVector = await search(catalog, embedder, { examples: [{ vector }], granularity: 0.5 });
    expect(byVector.hits).toEqual(byPicture.hits);
    expect(byVector.attributes).toEqual([]);
    const [hue, tags] = byPicture.attributes;
    expect(hue?.values[0]?.value).toBe('red');
    expect(tags).toMatchObject({
      name: 'tags',
      kind: 'multi',
      values: [{ value: 'warm' }, { value: 'bright' }],
    });
  });

  it('records given by id are not among the hits; what is unknown is named', async () => {
    const { catalog, records } = await openDrawn();
    const found = await allPages(catalog, { examples: [{ id: 'p3' }, { id: 'p5' }], limit: 50 });
    expect([...found].sort()).toEqual(
      records
        .map(({ id }) => id)
        .filter((id) => id !== 'p3' && id !== 'p5')
        .sort(),
    );
    await expect(search(catalog, embedder, { examples: [{ id: 'p3' }, { id: 'no' }] })).rejects.toThrow(
      UnknownPictureError,
    );
  });

  it('those against push away what is like them', async () => {
    const { catalog } = await openDrawn();
    const place = async (examples: SearchRequest['examples']) =>
      (await allPages(catalog, { examples, limit: 50 })).indexOf('p9');
    const [p9] = (await catalog.store.get(['p9'])) as [StoredRecord];
    const plain = await place([{ id: 'p3' }]);
    expect(await place([{ id: 'p3' }, { vector: p9.vector, weight: -1 }])).toBeGreaterThan(plain);
    expect(await place([{ id: 'p3' }, { vector: p9.vector }])).toBeLessThan(plain);
    await expect(place([{ id: 'p3', weight: -1 }])).rejects.toThrow(/must be an example to search for/);
  });
});

describe('search: edits', () => {
  it('add the strength times what a hit has of a value, and take away what the example said of it', async () => {
    const { catalog, records } = await openDrawn();
    const { vector } = drawRecords(1, 'query')[0] as StoredRecord;
    const request = { examples: [{ vector }], limit: 200 };
    const scores = async (edits: SearchRequest['edits'], granularity: number) => {
      const { hits } = await search(catalog, embedder, { ...request, granularity, edits: edits ?? [] });
      for (const { parts, score } of hits)
        expect(Object.values(parts).reduce((a, b) => a + b)).toBeCloseTo(score, 5);
      return new Map(hits.map(({ id, score }) => [id, score]));
    };
    const plain = await scores([], 0);
    const wanted = await scores([{ attribute: 'hue', value: 'blue', want: true }], 0);
    const hueless = vector.slice(0, 12);
    removeDirections(hueless, await attributeDirections(catalog, 'hue'));
    const unwanted = await scores([{ attribute: 'tags', value: 'warm', want: false }], 0);
    for (const { id, vector: stored } of records) {
      const shareOf = (offset: number, size: number, element: number) => {
        const block = stored.subarray(12 + offset, 12 + offset + size);
        return (block[element] as number) / Math.hypot(...block);
      };
      const base = plain.get(id) as number;
      const withoutHue = dotProduct(hueless, stored.subarray(0, 12));
      expect(wanted.get(id)).toBeCloseTo(withoutHue + EDIT_STRENGTH * shareOf(0, 3, 2), 5);
      expect(unwanted.get(id)).toBeCloseTo(base - EDIT_STRENGTH * shareOf(3, 2, 1), 5);
    }
  });

  it('any value: the attribute counts no more, in its block or its level', async () => {
    const { catalog } = await openDrawn();
    const [red, blue] = await Promise.all([plainPicture([250, 10, 10]), plainPicture([10, 10, 250])]);
    const hueShare = async (picture: Uint8Array) => {
      const request: SearchRequest = { examples: [{ picture }], granularity: 1, limit: 200 };
      const { hits } = await search(catalog, embedder, {
        ...request,
        edits: [{ attribute: 'hue', any: true }],
      });
      return hits.map(({ parts }) => parts['level:hue']);
    };
    for (const picture of [red, blue]) expect(new Set(await hueShare(picture))).toEqual(new Set([0]));
  });

  it.each([
    [{ attribute: 'shape', any: true } as const, /has not learnt 'shape'. It knows hue, tags/],
    [
      { attribute: 'hue', value: 'mauve', want: true },
      /'hue' must be one of its 3 values \(red, green, blue\), got 'mauve'/,
    ],
  ])('are refused: %j', async (edit, message) => {
    const { catalog } = await openDrawn(1);
    await expect(search(catalog, embedder, { examples: [{ id: 'p0' }], edits: [edit] })).rejects.toThrow(
      message,
    );
  });
});

describe('search: facets and checks', () => {
  it('counts values over what was found, a filtered column without its own condition', async () => {
    const { catalog, records } = await openDrawn();
    const filter = [
      { column: 'hue', anyOf: ['red'] },
      { column: 'price', from: 50 },
    ];
    const { facets, hits } = await search(catalog, embedder, {
      examples: [{ vector: (records[0] as StoredRecord).vector }],
      filter,
      facets: ['hue', 'item_id'],
      limit: 200,
    });
    const counted = (column: string, kept: readonly StoredRecord[]) => {
      const counts: Record<string, number> = {};
      for (const value of kept.flatMap(({ fields }) => fields[column] ?? []))
        counts[value] = (counts[value] ?? 0) + 1;
      return counts;
    };
    const dear = records.filter(({ fields }) => Number(fields.price?.[0] ?? 0) >= 50);
    const red = dear.filter(({ fields }) => fields.hue?.[0] === 'red');
    expect(hits).toHaveLength(red.length);
    const asCounts = (list: readonly { value: string; count: number }[] = []) =>
      Object.fromEntries(list.map(({ value, count }) => [value, count]));
    expect(asCounts(facets.hue)).toEqual(counted('hue', dear));
    expect(asCounts(facets.item_id)).toEqual(counted('item_id', red));
  });

  it.each([
    [{ limit: 0 }, /limit must be a whole number from 1 to 10000/],
    [{ limit: 10_001 }, /limit must be a whole number from 1 to 10000, got 10001/],
    [{ diversity: 2 }, /diversity must be from 0 to 1/],
    [{ granularity: -1 }, /granularity must be from 0 to 1/],
    [{ diversity: 0.1, sort: { column: 'price' } }, /sort must stand alone/],
    [{ sort: { column: 'size' } }, /there is no column 'size'/],
    [{ facets: ['size'] }, /there is no column 'size'/],
    [{ filter: [{ column: 'size', anyOf: ['1'] }] }, /there is no column 'size'/],
    [{ cursor: 'x' }, /^cursor: must be one that a search gave/],
    [{ examples: [] }, /must be an example/],
    [{ examples: [{ vector: new Float32Array(3) }] }, /must have 20 numbers, got 3/],
    [{ examples: [{ vector: new Float32Array(20).fill(3) }] }, /parts must be of unit length/],
    [{ examples: [{ vector: new Float32Array(20).fill(Number.NaN) }] }, /parts must be of unit length/],
  ] as const)('refuses %j', async (bad, message) => {
    const { catalog } = await openDrawn(1);
    const request = { examples: [{ id: 'p0' }], ...bad } as SearchRequest;
    await expect(search(catalog, embedder, request)).rejects.toThrow(message);
  });

  it('refuses the cursor of another search', async () => {
    const { catalog } = await openDrawn();
    const { cursor } = await search(catalog, embedder, { examples: [{ id: 'p0' }], limit: 2 });
    await expect(
      search(catalog, embedder, { examples: [{ id: 'p0' }], granularity: 1, cursor }),
    ).rejects.toThrow(/must belong to this search/);
  });
});
