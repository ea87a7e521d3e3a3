import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { sha256 } from '../util/index.js';
import { openCatalog, openCatalogForIndexing } from './catalog.js';
import { indexPictures } from './indexing.js';
import { LiveCatalog, type LiveCatalogOptions, type LiveEvent } from './live-catalog.js';
import { searchByPicture } from './search.js';

let root = '';
let models: { first: Embedder; second: Embedder };
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-live-'));
  const open = async (name: string, offset: number) =>
    await openEmbedder(await writeTinyBundle(join(root, name), { offset }), { threads: 1 });
  models = { first: await open('first', -0.1), second: await open('second', -0.4) };
});
const opened: LiveCatalog[] = [];
afterEach(async () => {
  for (const live of opened.splice(0)) await live.close();
});
afterAll(async () => {
  await models.first.close();
  await models.second.close();
  await rm(root, { recursive: true, force: true });
});

const colours = Array.from(
  { length: 24 },
  (_, n) => [(n * 37) % 256, (n * 91) % 256, (n * 151) % 256] as const,
);
const ATTRIBUTES = ['hue', 'size'];

let cases = 0;
async function newCatalog() {
  const folder = join(root, `case-${cases++}`);
  await mkdir(folder, { recursive: true });
  const rows: ManifestRow[] = [];
  for (const [n, colour] of colours.entries()) {
    const path = join(folder, `${n}.png`);
    await writeFile(path, await plainPicture(colour));
    rows.push({
      path,
      relativePath: `${n}.png`,
      itemId: `item-${n >> 1}`,
      split: 'test',
      source: undefined,
      sourceGroup: undefined,
      attributes: { hue: ['red'] },
      line: n + 2,
    });
  }
  const directory = join(folder, 'catalog');
  await index(directory, rows, models.first);
  return { directory, rows };
}

async function index(directory: string, rows: readonly ManifestRow[], embedder: Embedder) {
  const { catalog, publish } = await openCatalogForIndexing(directory, embedder.bundle, {
    attributes: ATTRIBUTES,
  });
  await indexPictures({ embedder, rows, store: catalog.store });
  await publish();
  await catalog.close();
}

async function openLive(directory: string, options: LiveCatalogOptions = {}) {
  const events: LiveEvent[] = [];
  const live = await LiveCatalog.open(directory, {
    threads: 1,
    pollMs: 20,
    onEvent: (event) => events.push(event),
    ...options,
  });
  opened.push(live);
  return { live, events };
}

async function until(condition: () => boolean | Promise<boolean>) {
  for (let n = 0; n < 500 && !(await condition()); n++)
    await new Promise((resolve) => setTimeout(resolve, 10));
  expect(await condition()).toBe(true);
}

describe('a live catalogue', () => {
  it('moves to another model under 100 searches a second: none fails, each has one generation', async () => {
    const { directory, rows } = await newCatalog();
    const { live, events } = await openLive(directory);
    const before = live.current.id;
    const searches: Promise<{ generation: string; scores: number[] }>[] = [];
    const timer = setInterval(() => {
      const picture = rows[searches.length % rows.length]?.path as string;
      searches.push(
        live.use(async ({ id, catalog, embedder }) => {
          const hits = await searchByPicture({ catalog, embedder, picture, k: 5 });
          return { generation: id, scores: hits.map(({ score }) => score) };
        }),
      );
    }, 10);
    await new Promise((resolve) => setTimeout(resolve, 200));
    await index(directory, rows, models.second);
    await until(() => events.some(({ kind }) => kind === 'switched'));
    await new Promise((resolve) => setTimeout(resolve, 200));
    clearInterval(timer);
    const done = await Promise.all(searches);
    expect(done.length).toBeGreaterThan(30);
    // The picture itself is a hit of score 1 exactly where query and store are of one model.
    for (const { scores } of done) expect(scores[0]).toBeCloseTo(1, 4);
    expect(new Set(done.map(({ generation }) => generation))).toEqual(new Set([before, live.current.id]));
    expect(live.current.id).not.toBe(before);
    await until(() => events.some((event) => event.kind === 'closed' && event.generation === before));
    expect(events.filter(({ kind }) => kind === 'failed')).toEqual([]);
  });

  it('leaves a store to those who read it, and removes it when a later one is published', async () => {
    const { directory, rows } = await newCatalog();
    const { live } = await openLive(directory, { pollMs: 0 });
    const held = live.acquire();
    const oldStore = held.generation.catalog.description.store;
    await index(directory, rows, models.second);
    expect(await live.refresh()).toBe(true);
    expect(await live.refresh()).toBe(false);
    expect(await held.generation.catalog.store.count()).toBe(24);
    expect(await readdir(directory)).toContain(oldStore);
    // As if the grace period were over: only the reader's lock keeps the store.
    const file = join(directory, 'catalog.json');
    const description = JSON.parse(await readFile(file, 'utf8'));
    description.previous.retiredAt = '2020-01-01T00:00:00.000Z';
    await writeFile(file, JSON.stringify(description));
    await index(directory, rows, models.second);
    expect(await readdir(directory)).toContain(oldStore);
    held.release();
    held.release();
    await until(async () => !(await readdir(directory)).includes(oldStore));
  });

  it('keeps what it has when the new generation cannot be opened, and says why once', async () => {
    const { directory, rows } = await newCatalog();
    const { live, events } = await openLive(directory);
    const before = live.current.id;
    const file = join(directory, 'catalog.json');
    const text = await readFile(file, 'utf8');
    const description = JSON.parse(text);
    await writeFile(
      file,
      JSON.stringify({
        ...description,
        model: { ...description.model, directory: join(root, 'nowhere') },
        levelWeights: [[1, 0, 0]],
      }),
    );
    await until(() => events.length > 0);
    await new Promise((resolve) => setTimeout(resolve, 100));
    expect(events).toEqual([{ kind: 'failed', reason: expect.stringMatching(/nowhere: there is no model/) }]);
    expect(live.current.id).toBe(before);
    await expect(live.delete(['0.png'])).rejects.toThrow(/moved to another model, which cannot be opened/);
    expect(await live.use(({ catalog }) => catalog.store.count())).toBe(24);
    await writeFile(file, '{');
    await until(() => events.length > 1);
    expect(events[1]).toEqual({ kind: 'failed', reason: expect.stringMatching(/is not valid JSON/) });
    await writeFile(file, text);
    await new Promise((resolve) => setTimeout(resolve, 60));
    expect(await live.delete([rows[0]?.relativePath as string])).toEqual(['0.png']);
  });

  it('moves to a generation whose model comes later', async () => {
    const { directory, rows } = await newCatalog();
    const { live, events } = await openLive(directory);
    const model = await writeTinyBundle(join(root, 'late'), { offset: -0.7 });
    const late = await openEmbedder(model, { threads: 1 });
    const description = join(directory, 'catalog.json');
    const before = await readFile(description, 'utf8');
    await index(directory, rows, late);
    await late.close();
    const published = await readFile(description, 'utf8');
    await writeFile(description, before);
    await until(
      async () =>
        (await live.refresh().then(() => live.current.catalog.description)).model.directory !== model,
    );
    await rename(model, `${model}-away`);
    await writeFile(description, published);
    await until(() => events.some(({ kind }) => kind === 'failed'));
    await rename(`${model}-away`, model);
    await until(() => live.current.catalog.description.model.directory === model);
    expect(events.filter(({ kind }) => kind === 'failed')).toHaveLength(1);
  });

  it('acknowledges what it wrote while it was asked to close, whichever write that is', async () => {
    const { directory } = await newCatalog();
    const { live } = await openLive(directory);
    for (let n = 0; n < 99; n++) await live.delete(['none']); // the hundredth has the store tidied
    const last = live.delete(['0.png']);
    await Promise.all([live.close(), expect(last).resolves.toEqual(['0.png'])]);
  });

  it('keeps the bytes of the later of two pictures of one id only', async () => {
    const { directory } = await newCatalog();
    const { live } = await openLive(directory);
    const [earlier, later] = [await plainPicture([1, 2, 3]), await plainPicture([3, 2, 1])];
    const outcomes = await live.put([
      { id: 'twice', picture: earlier, itemId: 'a' },
      { id: 'twice', picture: later, itemId: 'b' },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual(['added', 'replaced']);
    const files = await readdir(join(directory, 'pictures'), { recursive: true, withFileTypes: true });
    expect(files.flatMap((file) => (file.isFile() ? [file.name] : []))).toEqual([`${sha256(later)}.png`]);
  });

  it('puts, changes and deletes pictures; what it acknowledged another process finds', async () => {
    const { directory, rows } = await newCatalog();
    const { live } = await openLive(directory);
    const [white, black] = [await plainPicture([255, 255, 255]), await plainPicture([0, 0, 0])];
    const outcomes = await live.put([
      { id: 'shop/white shirt', picture: white, itemId: 'shirt', attributes: { hue: ['white'] } },
      { id: 'broken', picture: Uint8Array.from([1, 2, 3]), itemId: 'x' },
      { id: 'other column', picture: white, itemId: 'x', attributes: { price: ['1'] } },
      { id: '', picture: white, itemId: 'x' },
      { id: '3.png', picture: { path: rows[5]?.path as string }, itemId: 'item-9', source: 'shop' },
      { id: 'copy', picture: { path: rows[5]?.path as string, isCopied: true }, itemId: 'item-9' },
      { id: 'half#0,0,8,16', picture: white, itemId: 'shirt' },
    ]);
    expect(outcomes.map(({ status }) => status)).toEqual([
      'added',
      'failed',
      'failed',
      'failed',
      'replaced',
      'added',
      'added',
    ]);
    expect(outcomes.flatMap((one) => (one.status === 'failed' ? [one.reason] : []))).toEqual([
      expect.stringMatching(/^broken: is of an unknown kind, not a picture/),
      "there is no attribute 'price'. The catalogue has: hue, size",
      expect.stringMatching(/^the id must be/),
    ]);
    const kept = join(directory, 'pictures', sha256(white).slice(0, 2), `${sha256(white)}.png`);
    expect(new Uint8Array(await readFile(kept))).toEqual(new Uint8Array(white));

    const elsewhere = await openCatalog(directory);
    const [shirt, third, copy] = await elsewhere.store.get(['shop/white shirt', '3.png', 'copy']);
    expect(shirt?.fields).toMatchObject({ path: [kept], item_id: ['shirt'], hue: ['white'], size: [] });
    expect(third?.fields).toMatchObject({ path: [rows[5]?.path], source: ['shop'], source_group: ['shop'] });
    expect(copy?.fields.path?.[0]).toMatch(/pictures/);
    const hits = await live.use(({ catalog, embedder }) =>
      searchByPicture({ catalog, embedder, picture: white, k: 2 }),
    );
    expect(hits.map(({ id }) => id).sort()).toEqual(['half#0,0,8,16', 'shop/white shirt']);

    const changed = await live.change('shop/white shirt', { itemId: 'blouse', attributes: { size: ['L'] } });
    expect(changed?.fields).toMatchObject({ item_id: ['blouse'], hue: ['white'], size: ['L'] });
    expect((await elsewhere.store.get(['shop/white shirt']))[0]).toEqual(changed);
    expect(changed?.vector).toEqual(shirt?.vector);
    expect(await live.change('nobody', { itemId: 'x' })).toBeUndefined();
    await expect(live.change('copy', { attributes: { price: ['1'] } })).rejects.toThrow(
      /no attribute 'price'/,
    );

    // Another picture in its place; the old one stays while the box of it does.
    await live.put([{ id: 'shop/white shirt', picture: black, itemId: 'shirt' }]);
    await stat(kept);
    expect(await live.delete(['half#0,0,8,16', 'nobody', 'half#0,0,8,16'])).toEqual(['half#0,0,8,16']);
    await expect(stat(kept)).rejects.toThrow(/ENOENT/);
    expect(await live.delete(['0.png', 'copy'])).toEqual(['0.png', 'copy']);
    await stat(rows[0]?.path as string);
    expect(await elsewhere.store.count()).toBe(24);
    await elsewhere.close();
  });

  it('two of them write one catalogue at once, and nothing is lost', async () => {
    const { directory } = await newCatalog();
    const writers = [(await openLive(directory)).live, (await openLive(directory)).live] as const;
    const picture = await plainPicture([9, 9, 9]);
    await Promise.all(
      Array.from({ length: 30 }, (_, n) => writers[n % 2]?.put([{ id: `new-${n}`, picture, itemId: 'new' }])),
    );
    // Each adds a value of its own to one record: no change may be written over by the other's.
    await Promise.all([
      writers[0].change('new-0', { attributes: { hue: ['a'] } }),
      writers[1].change('new-0', { attributes: { size: ['b'] } }),
    ]);
    expect(await writers[0].current.catalog.store.count()).toBe(54);
    expect((await writers[1].current.catalog.store.get(['new-0']))[0]?.fields).toMatchObject({
      hue: ['a'],
      size: ['b'],
    });
  });

  it('a write that was begun before another model was published goes to that model', async () => {
    const { directory, rows } = await newCatalog();
    const { live } = await openLive(directory, { pollMs: 0 });
    const before = live.current.id;
    await index(directory, rows, models.second);
    const picture = await plainPicture([1, 2, 250]);
    const [outcome] = await live.put([{ id: 'late', picture, itemId: 'late' }]);
    expect(outcome?.status).toBe('added');
    expect(live.current.id).not.toBe(before);
    const hits = await live.use(({ catalog, embedder }) => searchByPicture({ catalog, embedder, picture }));
    expect(hits[0]).toMatchObject({ id: 'late' });
    expect(hits[0]?.score).toBeCloseTo(1, 4);
  });

  it('closes what it had before another model as well', async () => {
    const { directory, rows } = await newCatalog();
    const { live, events } = await openLive(directory, { pollMs: 0 });
    await index(directory, rows, models.second);
    await live.refresh();
    await live.close();
    expect(events.map(({ kind }) => kind)).toEqual(['switched', 'closed']);
    expect(await readdir(join(directory, 'locks'))).toEqual([]);
  });

  it('closes when the last request is done, and refuses later ones', async () => {
    const { directory } = await newCatalog();
    const { live } = await openLive(directory);
    let isDone = false;
    const request = live.use(async ({ catalog, onClose: _ }) => {
      await new Promise((resolve) => setTimeout(resolve, 60));
      isDone = (await catalog.store.count()) === 24;
    });
    const order: string[] = [];
    live.current.onClose(async () => void order.push(`closed after ${isDone}`));
    await live.close();
    await request;
    expect(order).toEqual(['closed after true']);
    await expect(live.use(async () => {})).rejects.toThrow(/after close/);
    expect(await readdir(join(directory, 'locks'))).toEqual([]);
  });
});
