/**
 * A searchable catalogue on disk: a folder with `catalog.json` and one store of vectors a model, `vectors-<hash>`.
 *
 * `catalog.json` names the store that searches use. Indexing with another model fills a new store beside it and
 * becomes the catalogue when it is done, so a search never mixes two models' vectors.
 */
import { readdir, rm, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import type { Bundle } from '../bundle/index.js';
import {
  defaultLevelWeights,
  type Schema,
  schemaFormat,
  type VectorLayout,
  vectorLayout,
} from '../granularity/index.js';
import { DataError, readJson, writeJson } from '../util/index.js';
import type { VectorStore } from './store.js';
import { openLanceStore } from './stores/lancedb.js';

/** The columns that every catalogue has before the attributes. */
export const BASE_COLUMNS = ['path', 'item_id', 'split', 'source', 'source_group', 'content_hash'] as const;

/** What `catalog.json` says. */
export interface CatalogDescription {
  readonly formatVersion: number;
  /** The bundle that made the vectors: its folder and its `vectorHash`. */
  readonly model: { readonly directory: string; readonly vectorHash: string };
  /** D, of the embedding. */
  readonly dimension: number;
  readonly schema: Schema;
  /** [L][P] */
  readonly levelWeights: readonly (readonly number[])[];
  readonly columns: readonly string[];
  /** The folder of the store, inside the catalogue. */
  readonly store: string;
}

export interface Catalog {
  readonly directory: string;
  readonly description: CatalogDescription;
  readonly layout: VectorLayout;
  readonly store: VectorStore;
  close(): Promise<void>;
}

/**
 * Opens a catalogue to search it.
 * @throws DataError when there is none, it is of a newer format, or it cannot be read.
 */
export async function openCatalog(directory: string): Promise<Catalog> {
  const file = join(directory, FILE);
  if (!(await isFile(file)))
    throw new DataError('there is no catalogue. Make one with `semblance index`, or correct the path', {
      file: directory,
    });
  return await open(directory, parseDescription(await readJson(file), file));
}

/**
 * Opens a catalogue to index into it with a bundle's model, and makes it where there is none.
 * @param options.attributes the names of the attributes that records will have.
 * @returns the catalogue, and `publish`, to be called when indexing is done: it makes the catalogue the one that
 *   searches use, and removes the stores of other models.
 * @throws DataError when the catalogue has other columns, or an attribute has the name of a base column.
 */
export async function openCatalogForIndexing(
  directory: string,
  bundle: Bundle,
  options: { attributes: readonly string[] },
): Promise<{ catalog: Catalog; publish(): Promise<void> }> {
  const file = join(directory, FILE);
  const existing = (await isFile(file)) ? parseDescription(await readJson(file), file) : undefined;
  const { card, vectorHash } = bundle;
  const isSameModel = existing?.model.vectorHash === vectorHash;
  const columns = isSameModel ? existing.columns : [...BASE_COLUMNS, ...options.attributes];
  for (const name of options.attributes) {
    if ((BASE_COLUMNS as readonly string[]).includes(name))
      throw new DataError(
        `an attribute must not be called '${name}': the catalogue keeps that column itself`,
      );
    if (!columns.includes(name))
      throw new DataError(`the catalogue has no column '${name}'. Index into a new folder`, {
        file: directory,
      });
  }
  const description: CatalogDescription = {
    formatVersion: FORMAT_VERSION,
    model: { directory: bundle.directory, vectorHash },
    dimension: card.dimension,
    schema: card.schema,
    levelWeights:
      card.levelWeights ?? defaultLevelWeights(card.schema, vectorLayout(card.schema, card.dimension)),
    columns,
    store: `${STORE_PREFIX}${vectorHash.slice(0, 16)}`,
  };
  const catalog = await open(directory, description);
  // The first model's pictures can be searched while they are coming in; another model's only when all are there.
  if (existing === undefined || isSameModel) await writeJson(file, description);
  return {
    catalog,
    async publish() {
      await writeJson(file, description);
      for (const name of await readdir(directory))
        if (name.startsWith(STORE_PREFIX) && name !== description.store)
          await rm(join(directory, name), { recursive: true, force: true });
    },
  };
}

// --- internal ---

const FILE = 'catalog.json';
const FORMAT_VERSION = 1;
const STORE_PREFIX = 'vectors-';

const descriptionFormat = z.object({
  formatVersion: z.int().min(1),
  model: z.object({ directory: z.string(), vectorHash: z.string() }),
  dimension: z.int().min(1),
  schema: schemaFormat,
  levelWeights: z.array(z.array(z.number())),
  columns: z.array(z.string()),
  store: z.string().regex(/^vectors-[0-9a-f]+$/),
});

function parseDescription(value: unknown, file: string): CatalogDescription {
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === 'number' && version > FORMAT_VERSION)
    throw new DataError(
      `the catalogue has format version ${version}, and this semblance reads up to ${FORMAT_VERSION}. Update semblance`,
      { file },
    );
  const result = descriptionFormat.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`, { file });
}

async function open(directory: string, description: CatalogDescription): Promise<Catalog> {
  const layout = vectorLayout(description.schema, description.dimension);
  const store = await openLanceStore(join(directory, description.store), {
    dimension: layout.size,
    columns: description.columns,
  });
  return { directory: resolve(directory), description, layout, store, close: () => store.close() };
}

async function isFile(path: string): Promise<boolean> {
  return await stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
}
