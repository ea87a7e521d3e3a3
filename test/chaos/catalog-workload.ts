/**
 * Kinds `index` and `swap`: a catalogue that is filled from a manifest in chunks, and one whose model is replaced by
 * another, back and forth. The vectors that the two models give each picture are computed once, undisturbed.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Embedder, openEmbedder } from '../../src/bundle/index.js';
import {
  indexPictures,
  openCatalog,
  openCatalogForIndexing,
  type VectorStore,
} from '../../src/catalog/index.js';
import type { ManifestRow } from '../../src/data/index.js';
import { plainPicture, writeTinyBundle } from '../support/tiny-bundle.js';
import { unfinishedFiles } from './litter.js';
import { SILENT, type Teller, type Workload } from './workload.js';

const PICTURES = 48;
const CHUNK = 4;

/** Filled in chunks; once it is whole, from the beginning in a new folder. */
export function indexWorkload(): Workload {
  let vectors = new Map<string, string>();
  let known = new Set<string>();
  let generation = 0;
  return {
    kind: 'index',
    what: 'indexing pictures into a catalogue',
    writes: PICTURES / CHUNK + 1,
    async prepare(folder) {
      await writePictures(folder);
      vectors = await undisturbed(folder, 'a');
      await writeFile(join(folder, 'generation'), '0');
    },
    async work(folder, _random, teller) {
      const embedder = await openEmbedder(join(folder, 'a/model'), { threads: 1 });
      teller.opening();
      await fill(folder, `catalog-${await readGeneration(folder)}`, embedder, teller);
      await teller.idle();
    },
    async check(folder, told) {
      const violations: string[] = [];
      const directory = join(folder, `catalog-${generation}`);
      let isPublished = false;
      const underWay = new Set<string>();
      for (const { intent, isDone } of told) {
        if (intent === 'publish') isPublished = isDone;
        else for (const id of intent as string[]) (isDone ? known : underWay).add(id);
      }
      const found = existsSync(join(directory, 'catalog.json')) ? await read(directory) : undefined;
      if (found === undefined && known.size > 0) violations.push('there is no catalogue');
      for (const [id, vector] of found ?? []) {
        if (vectors.get(id) !== vector) violations.push(`${id} has another vector`);
        if (!known.has(id) && !underWay.has(id)) violations.push(`${id} was never written`);
      }
      for (const id of known)
        if (found?.has(id) === false) violations.push(`${id} was acknowledged and is gone`);
      const some = [...underWay].filter((id) => found?.has(id) && !known.has(id)).length;
      const all = [...underWay].filter((id) => !known.has(id)).length;
      if (some !== 0 && some !== all) violations.push(`${some} of the ${all} under way are there`);
      known = new Set(found?.keys() ?? []);
      if (isPublished) {
        if (known.size !== PICTURES) violations.push(`published with ${known.size} of ${PICTURES} pictures`);
        await rm(directory, { recursive: true, force: true });
        known = new Set();
        generation++;
        await writeFile(join(folder, 'generation'), String(generation));
      }
      return violations;
    },
    litter: unfinishedFiles,
  };
}

/** Another model's vectors come in beside those that are searched, and take their place all at once. */
export function swapWorkload(): Workload {
  const vectors = { a: new Map<string, string>(), b: new Map<string, string>() };
  let known: 'a' | 'b' = 'a';
  return {
    kind: 'swap',
    what: 'replacing the model of a catalogue',
    writes: 2,
    async prepare(folder) {
      await writePictures(folder);
      vectors.a = await undisturbed(folder, 'a');
      vectors.b = await undisturbed(folder, 'b');
      const embedder = await openEmbedder(join(folder, 'a/model'), { threads: 1 });
      await fill(folder, 'catalog', embedder, SILENT);
      await embedder.close();
    },
    async work(folder, _random, teller) {
      const embedders = {
        a: await openEmbedder(join(folder, 'a/model'), { threads: 1 }),
        b: await openEmbedder(join(folder, 'b/model'), { threads: 1 }),
      };
      teller.opening();
      for (;;) {
        const catalog = await openCatalog(join(folder, 'catalog'));
        const isA = catalog.description.model.vectorHash === embedders.a.bundle.vectorHash;
        await catalog.close();
        const next = isA ? 'b' : 'a';
        await teller.write(next, () => fill(folder, 'catalog', embedders[next], SILENT));
      }
    },
    async check(folder, told) {
      for (const { intent, isDone } of told) if (isDone) known = intent as 'a' | 'b';
      const last = told.at(-1);
      const underWay = last === undefined || last.isDone ? known : (last.intent as 'a' | 'b');
      const found = await read(join(folder, 'catalog'));
      const isOf = (model: 'a' | 'b') =>
        found.size === PICTURES && [...found].every(([id, vector]) => vectors[model].get(id) === vector);
      if (!isOf(known) && !isOf(underWay))
        return [`acknowledged model ${known}, under way ${underWay}: ${found.size} records are of neither`];
      known = isOf(known) ? known : underWay;
      return [];
    },
    async litter(folder) {
      const stores = (await readdir(join(folder, 'catalog'))).filter((name) => name.startsWith('vectors-'));
      return (await unfinishedFiles(folder)) + Math.max(0, stores.length - 2);
    },
  };
}

// --- internal ---

async function readGeneration(folder: string): Promise<string> {
  return await readFile(join(folder, 'generation'), 'utf8');
}

async function writePictures(folder: string): Promise<void> {
  await mkdir(join(folder, 'pictures'), { recursive: true });
  for (const { path, line } of rowsOf(folder))
    await writeFile(path, await plainPicture([(line * 5) % 256, (line * 11) % 256, (line * 17) % 256]));
  await writeTinyBundle(join(folder, 'a'));
  await writeTinyBundle(join(folder, 'b'), { offset: -0.3 });
}

function rowsOf(folder: string): ManifestRow[] {
  return Array.from({ length: PICTURES }, (_, i) => ({
    path: join(folder, 'pictures', `${i}.png`),
    relativePath: `pictures/${i}.png`,
    itemId: `item-${i >> 1}`,
    split: 'test',
    source: undefined,
    sourceGroup: undefined,
    attributes: { hue: ['red'] },
    line: i + 2,
  }));
}

/** Indexes all rows and publishes, telling of each chunk and of the end. */
async function fill(folder: string, name: string, embedder: Embedder, teller: Teller): Promise<void> {
  const { catalog, publish } = await openCatalogForIndexing(join(folder, name), embedder.bundle, {
    attributes: ['hue'],
  });
  try {
    const store: VectorStore = Object.assign(Object.create(catalog.store) as VectorStore, {
      upsert: (records: Parameters<VectorStore['upsert']>[0]) =>
        records.length === 0
          ? Promise.resolve()
          : teller.write(
              records.map(({ id }) => id),
              () => catalog.store.upsert(records),
            ),
      get: catalog.store.get.bind(catalog.store),
      flush: catalog.store.flush.bind(catalog.store),
      dimension: catalog.store.dimension,
    });
    await indexPictures({ embedder, rows: rowsOf(folder), store, chunkSize: CHUNK });
    await teller.write('publish', publish);
  } finally {
    await catalog.close();
  }
}

/** What the catalogue that searches use holds: ids with their vectors, as text. */
async function read(directory: string): Promise<Map<string, string>> {
  const catalog = await openCatalog(directory);
  const found = new Map<string, string>();
  try {
    for await (const batch of catalog.store.scan())
      for (const { id, vector, fields } of batch)
        found.set(
          id,
          `${fields.content_hash?.[0]} ${Buffer.from(vector.buffer, vector.byteOffset, vector.byteLength).toString('base64')}`,
        );
  } finally {
    await catalog.close();
  }
  return found;
}

async function undisturbed(folder: string, model: 'a' | 'b'): Promise<Map<string, string>> {
  const embedder = await openEmbedder(join(folder, model, 'model'), { threads: 1 });
  const directory = join(folder, `undisturbed-${model}`);
  try {
    await fill(folder, `undisturbed-${model}`, embedder, SILENT);
    return await read(directory);
  } finally {
    await embedder.close();
    await rm(directory, { recursive: true, force: true });
  }
}
