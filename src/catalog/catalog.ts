/**
 * A searchable catalogue on disk: a folder with `catalog.json` and one store of vectors a model, `vectors-<hash>`.
 *
 * `catalog.json` names the store that searches use. Indexing with another model fills a new store beside it and
 * becomes the catalogue when it is done, so a search never mixes two models' vectors.
 */
import { readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type Bundle, readBundle } from '../bundle/index.js';
import {
  defaultLevelWeights,
  type Schema,
  schemaFormat,
  type VectorLayout,
  vectorLayout,
} from '../granularity/index.js';
import {
  acquireLock,
  DataError,
  errorMessage,
  type LockHolder,
  lockHolder,
  PATIENCE_MS,
  presentTime,
  refuseNewerFormat,
  type WaitOptions,
  writeJson,
} from '../util/index.js';
import {
  type CatalogCalibration,
  calibrationOf,
  catalogCalibrationFormat,
  catalogRates,
} from './catalog-calibration.js';
import { holdStore, STORE_PREFIX, sweepStores } from './generations.js';
import { isRemote, remoteCatalogs } from './remote-catalog.js';
import type { VectorStore } from './store.js';
import { openLanceStore } from './stores/lancedb.js';

/** The columns that every catalogue has before the attributes. */
export const BASE_COLUMNS = ['path', 'item_id', 'split', 'source', 'source_group', 'content_hash'] as const;

/** Whether a column is one of these, and no attribute. */
export function isBaseColumn(name: string): boolean {
  return (BASE_COLUMNS as readonly string[]).includes(name);
}

/** The file that makes a folder a catalogue, and the name of its copy in the folder of a store. */
export const CATALOG_FILE = 'catalog.json';

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
  /** The model's calibration and this catalogue's rates; absent: the model has none, so hits have no probabilities. */
  readonly calibration?: CatalogCalibration | undefined;
  readonly columns: readonly string[];
  /** Those of the columns that ranges can be asked of. */
  readonly numericColumns: readonly string[];
  /** The folder of the store, inside the catalogue. */
  readonly store: string;
  /** The store that this one took the place of, and when (ISO 8601): readers elsewhere may still be in it. */
  readonly previous?: { readonly store: string; readonly retiredAt: string } | undefined;
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
  return await openDescribed(directory, (await readDescription(directory)).description);
}

/**
 * As `openCatalog`, for work that takes longer than a moment: until the catalogue is closed, nobody removes the store that
 * is read, even if the catalogue moves to another model meanwhile.
 * @returns also the text of the description, see `readDescription`.
 */
export async function openHeldCatalog(directory: string): Promise<{ catalog: Catalog; text: string }> {
  for (;;) {
    const { description, text } = await readDescription(directory);
    const lock = await holdStore(directory, description.store);
    try {
      // Between the reading and the lock the store may have been replaced and removed.
      if ((await readDescription(directory)).text === text) {
        const catalog = await openDescribed(directory, description);
        const close = async () => {
          await catalog.close();
          await lock.release();
          // Where it was replaced, it may have stayed for this process alone.
          await sweepStores(directory, { only: description.store }).catch(() => {});
        };
        return { catalog: { ...catalog, close }, text };
      }
    } catch (error) {
      await lock.release();
      throw error;
    }
    await lock.release();
  }
}

/**
 * Reads `catalog.json`.
 * @returns what it says, and its text: as long as that is the same, so is the catalogue's store.
 * @throws DataError when there is none, it is of a newer format, or it cannot be read.
 */
export async function readDescription(
  directory: string,
): Promise<{ description: CatalogDescription; text: string }> {
  if (isRemote(directory)) {
    const text = await (await remoteCatalogs(directory)).readDescription(directory);
    if (text === undefined)
      throw new DataError('there is no catalogue. Make one with `semblance index`, or correct the location', {
        file: directory,
      });
    return { description: parseDescription(text, directory), text };
  }
  const file = join(directory, CATALOG_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    const isMissing = ['ENOENT', 'ENOTDIR'].includes((error as NodeJS.ErrnoException).code ?? '');
    throw isMissing
      ? new DataError('there is no catalogue. Make one with `semblance index`, or correct the path', {
          file: directory,
          cause: error,
        })
      : new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  return { description: parseDescription(text, file), text };
}

/** Writes `catalog.json`, and a copy beside the vectors, from which `catalog verify` restores it. */
export async function writeDescription(directory: string, description: CatalogDescription): Promise<void> {
  if (isRemote(directory))
    return await (await remoteCatalogs(directory)).writeDescription(directory, description);
  await writeJson(join(directory, description.store, CATALOG_FILE), description);
  await writeJson(join(directory, CATALOG_FILE), description);
}

/**
 * Runs a change of the catalogue's records or pictures, or of `catalog.json`, while no other process makes one.
 * Changes are short; an indexing run takes its turn for each batch that it stores. In a database a change is one
 * transaction: when it fails, nothing was written.
 */
export async function whileWriting<T>(
  directory: string,
  change: () => Promise<T>,
  options: WaitOptions = {},
): Promise<T> {
  if (isRemote(directory))
    return await (await remoteCatalogs(directory)).whileWriting(directory, change, options);
  const lock = await acquireLock(join(directory, WRITE_LOCK), {
    ...options,
    pollMs: 10,
    tellAfterMs: PATIENCE_MS,
  });
  try {
    return await change();
  } finally {
    await lock.release();
  }
}

/**
 * Runs what fills a catalogue, and publishes it in the end, while no other process does: indexing and importing. Other
 * writes go on.
 */
export async function whileFilling<T>(
  directory: string,
  work: () => Promise<T>,
  options: WaitOptions = {},
): Promise<T> {
  const lock = isRemote(directory)
    ? await (await remoteCatalogs(directory)).holdWriting?.(directory)
    : await acquireLock(join(directory, INDEX_LOCK), options);
  try {
    return await work();
  } finally {
    await lock?.release();
  }
}

/** Who writes to a catalogue at this moment: `filling` an indexing run or an import, `writing` a short change. */
export async function catalogWriters(
  directory: string,
): Promise<{ readonly filling?: LockHolder | undefined; readonly writing?: LockHolder | undefined }> {
  if (isRemote(directory)) return {};
  return {
    filling: await lockHolder(join(directory, INDEX_LOCK)),
    writing: await lockHolder(join(directory, WRITE_LOCK)),
  };
}

/**
 * Opens a catalogue to index into it with a bundle's model, and makes it where there is none.
 * @param options.attributes the names of the attributes that records will have.
 * @param options.numericAttributes those of them that hold numbers (see `findNumericColumns`), for ranges in filters;
 *   used when the store is made. Default: none.
 * @returns the catalogue, and `publish`, to be called when indexing is done: it makes the catalogue the one that
 *   searches use. The store that was used before stays until nobody reads it (see `sweepStores`); others go.
 * @throws DataError when the catalogue has other columns, or an attribute has the name of a base column.
 */
export async function openCatalogForIndexing(
  directory: string,
  bundle: Bundle,
  options: { attributes: readonly string[]; numericAttributes?: readonly string[] },
): Promise<{ catalog: Catalog; publish(): Promise<void> }> {
  const existing = (await hasCatalog(directory)) ? (await readDescription(directory)).description : undefined;
  const { card, vectorHash } = await asItIsNow(bundle);
  const isSameModel = existing?.model.vectorHash === vectorHash;
  const columns = isSameModel ? existing.columns : [...BASE_COLUMNS, ...options.attributes];
  for (const name of options.attributes) {
    if (isBaseColumn(name))
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
    // The rates of the records that there are; `publish` counts again.
    ...(card.calibration === undefined
      ? {}
      : {
          calibration: {
            levels: card.calibration.levels,
            rates:
              (isSameModel ? existing.calibration?.rates : undefined) ?? card.schema.levels.map(() => null),
          },
        }),
    columns,
    numericColumns: isSameModel ? existing.numericColumns : (options.numericAttributes ?? []),
    store: `${STORE_PREFIX}${vectorHash.slice(0, 16)}`,
    ...(isSameModel && existing.previous !== undefined ? { previous: existing.previous } : {}),
  };
  const catalog = await openDescribed(directory, description);
  // The first model's pictures can be searched while they are coming in; another model's only when all are there.
  if (existing === undefined || isSameModel) await writeDescription(directory, description);
  return {
    catalog,
    async publish() {
      const present = (await hasCatalog(directory))
        ? (await readDescription(directory)).description
        : undefined;
      const inUse = existing === undefined || isSameModel ? description.store : existing.store;
      if (present?.store !== inUse) throw movedMeanwhile(directory);
      const fitted = await calibrationOf(catalog.store, await asItIsNow(bundle));
      const before = description.calibration?.levels;
      const levels = present.calibration?.levels;
      // `semblance calibrate` may have fitted anew since this began, in another folder of the model: that counts.
      const isNewer =
        present.store === description.store && levels !== undefined && !isDeepStrictEqual(levels, before);
      const calibration = isNewer
        ? { levels, rates: fitted?.rates ?? (await catalogRates(catalog.store, description.schema)) }
        : fitted;
      const complete = { ...description, ...(calibration === undefined ? {} : { calibration }) };
      if (existing !== undefined && !isSameModel) {
        const previous = { store: existing.store, retiredAt: presentTime() };
        await writeDescription(directory, { ...complete, previous });
      } else if (calibration !== undefined) await writeDescription(directory, complete);
      await sweepStores(directory);
    },
  };
}

/**
 * Gives a catalogue the calibration that its model's bundle has now, and counts its rates again. No picture is looked at.
 * @throws DataError when there is no catalogue, it was made with another model, or the bundle has no calibration.
 */
export async function recalibrateCatalog(
  directory: string,
  bundle: Bundle,
  options: WaitOptions = {},
): Promise<CatalogCalibration> {
  const catalog = await openCatalog(directory);
  try {
    const calibration = await calibrationOf(catalog.store, bundle);
    if (calibration === undefined)
      throw new DataError('the model has no calibration. Fit it with `semblance calibrate`', {
        file: bundle.directory,
      });
    await whileWriting(
      directory,
      async () => {
        const { description } = await readDescription(directory);
        if (description.model.vectorHash !== bundle.vectorHash)
          throw new DataError(
            `the catalogue was made with another model (${description.model.vectorHash.slice(0, 12)}…, not ${bundle.vectorHash.slice(0, 12)}…). Index with this model first`,
            { file: directory },
          );
        await writeDescription(directory, { ...description, calibration });
      },
      options,
    );
    return calibration;
  } finally {
    await catalog.close();
  }
}

/** Whether a folder is a catalogue. A broken one is one. */
export async function hasCatalog(directory: string): Promise<boolean> {
  if (isRemote(directory))
    return (await (await remoteCatalogs(directory)).readDescription(directory)) !== undefined;
  return await stat(join(directory, CATALOG_FILE)).then(
    () => true,
    (error: NodeJS.ErrnoException) => !['ENOENT', 'ENOTDIR'].includes(error.code ?? ''),
  );
}

/** Opens the catalogue that a description describes. */
export async function openDescribed(directory: string, description: CatalogDescription): Promise<Catalog> {
  const layout = vectorLayout(description.schema, description.dimension);
  const shape = {
    dimension: layout.size,
    columns: description.columns,
    numericColumns: description.numericColumns,
  };
  if (isRemote(directory)) {
    const store = await (await remoteCatalogs(directory)).openStore(directory, description.store, shape);
    return { directory, description, layout, store, close: () => store.close() };
  }
  const store = await openLanceStore(join(directory, description.store), shape);
  return { directory: resolve(directory), description, layout, store, close: () => store.close() };
}

/** @throws DataError naming the file when the text is no description, or one of a newer format */
export function parseDescription(text: string, file: string): CatalogDescription {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (error) {
    throw new DataError(
      `is not valid JSON: ${errorMessage(error)}. \`semblance catalog verify --repair\` restores it`,
      { file, cause: error },
    );
  }
  const { formatVersion, model } = (value ?? {}) as { formatVersion?: unknown; model?: { hash?: unknown } };
  refuseNewerFormat(formatVersion, 'the catalogue', FORMAT_VERSION, file);
  if (typeof model?.hash === 'string')
    throw new DataError(
      'the catalogue is of the first days of semblance, when vectors did not say how pictures were prepared. Index into a new folder',
      { file },
    );
  const result = descriptionFormat.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`, { file });
}

/** That a catalogue has another store than when work on it began. */
export function movedMeanwhile(directory: string): DataError {
  return new DataError('the catalogue moved to another model while it was indexed. Index again', {
    file: directory,
  });
}

// --- internal ---

/** A bundle as its folder has it at this moment: its calibration may be newer than what was read when work began. */
async function asItIsNow(bundle: Bundle): Promise<Bundle> {
  const present = await readBundle(bundle.directory).catch(() => bundle);
  return present.vectorHash === bundle.vectorHash ? present : bundle;
}

const FORMAT_VERSION = 1;
const WRITE_LOCK = join('locks', 'write.lock');
const INDEX_LOCK = join('locks', 'index.lock');

const descriptionFormat = z.object({
  formatVersion: z.int().min(1),
  model: z.object({ directory: z.string(), vectorHash: z.string() }),
  dimension: z.int().min(1),
  schema: schemaFormat,
  levelWeights: z.array(z.array(z.number())),
  calibration: catalogCalibrationFormat.optional(),
  columns: z.array(z.string()),
  numericColumns: z.array(z.string()).default([]),
  store: z.string().regex(/^vectors-[0-9a-f]+$/),
  previous: z.object({ store: z.string(), retiredAt: z.iso.datetime() }).optional(),
});
