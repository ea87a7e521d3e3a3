/**
 * Changes of a catalogue's records: put, change, delete. What they do to the store and to the kept pictures is done
 * under the catalogue's write lock (`whileWriting`) by whoever calls; embedding goes before, outside it.
 *
 * An id that ends with `#left,top,right,bottom` is that box of its picture, as in a catalogue made from a manifest.
 */
import { resolve } from 'node:path';
import type { Embedder } from '../bundle/index.js';
import { readPictureBytes } from '../data/index.js';
import { storedVectors } from '../granularity/index.js';
import { DataError, errorMessage } from '../util/index.js';
import { type Catalog, isBaseColumn } from './catalog.js';
import { boxOfId } from './picture-entries.js';
import { isKept, keepPicture, keptPicture, removeKept } from './picture-files.js';
import type { StoredRecord } from './store.js';

/** A picture with what is known of it. */
export interface PictureWrite {
  readonly id: string;
  /**
   * Its bytes, which the catalogue keeps, or the path of a file. A file is read once and stays where it is, unless
   * `isCopied`; then the catalogue keeps its bytes.
   */
  readonly picture: Uint8Array | { readonly path: string; readonly isCopied?: boolean };
  readonly itemId: string;
  /** Who made it. Default: unknown. */
  readonly source?: string | undefined;
  /** Sources of one design. Default: the source. */
  readonly sourceGroup?: string | undefined;
  /** Default: none. */
  readonly split?: string | undefined;
  /** Column → values; those that are missing are unknown. */
  readonly attributes?: Readonly<Record<string, readonly string[]>>;
}

/** What is to be another. What is not named stays. */
export interface PictureChange {
  readonly itemId?: string | undefined;
  /** `null` or empty: unknown. Another source is a group of its own, unless `sourceGroup` says otherwise. */
  readonly source?: string | null | undefined;
  /** `null` or empty: unknown. */
  readonly sourceGroup?: string | null | undefined;
  /** Column → values; an empty list makes unknown. */
  readonly attributes?: Readonly<Record<string, readonly string[]>> | undefined;
}

/** What became of a picture that was put. */
export type WriteOutcome =
  | { readonly id: string; readonly status: 'added' | 'replaced'; readonly record: StoredRecord }
  | { readonly id: string; readonly status: 'failed'; readonly reason: string };

/** A picture that is ready to be stored, or why it is not. */
export type EmbeddedPicture =
  | { readonly id: string; readonly reason: string }
  | { readonly record: StoredRecord; readonly kept: Uint8Array | undefined };

/**
 * Reads, checks and embeds pictures; stores nothing.
 * @returns one a picture, in their order
 */
export async function embedPictures(
  { catalog, embedder }: { readonly catalog: Catalog; readonly embedder: Embedder },
  pictures: readonly PictureWrite[],
  signal?: AbortSignal | undefined,
  maximumPixels?: number,
): Promise<EmbeddedPicture[]> {
  const prepared = await Promise.all(
    pictures.map((picture) =>
      prepare(catalog, picture).catch((error) => {
        if (error instanceof DataError) return { id: picture.id, reason: errorMessage(error) };
        throw error;
      }),
    ),
  );
  const ready = prepared.flatMap((one, index) => ('bytes' in one ? [{ ...one, index }] : []));
  const results: EmbeddedPicture[] = prepared.map((one) =>
    'bytes' in one ? { id: one.id, reason: 'internal: was not embedded' } : one,
  );
  const { schema, dimension } = catalog.description;
  const sources = ready.map(({ id, bytes }) => ({ bytes, box: boxOfId(id), name: id, maximumPixels }));
  for await (const batch of embedder.embed(sources, { signal })) {
    for (const { index, reason } of batch.failures) {
      const { id, index: place } = ready[index] as (typeof ready)[number];
      results[place] = { id, reason };
    }
    const vectors = storedVectors(schema, dimension, batch);
    batch.indices.forEach((index, n) => {
      const { id, fields, bytes, isKeptHere, index: place } = ready[index] as (typeof ready)[number];
      const vector = vectors.slice(n * catalog.layout.size, (n + 1) * catalog.layout.size);
      results[place] = { record: { id, vector, fields }, kept: isKeptHere ? bytes : undefined };
    });
  }
  return results;
}

/** Stores what was embedded: first the pictures' bytes, then the records. To be called under the write lock. */
export async function storePictures(
  catalog: Catalog,
  embedded: readonly EmbeddedPicture[],
): Promise<WriteOutcome[]> {
  const { store } = catalog;
  // Of two of one id the later counts; the bytes of the earlier would be nobody's.
  const last = new Map(embedded.flatMap((one) => ('record' in one ? [[one.record.id, one]] : [])));
  const records = new Map<string, StoredRecord>();
  for (const { record, kept } of last.values()) {
    const path = record.fields.path?.[0];
    if (kept !== undefined && path !== undefined) await keepPicture(path, kept);
    records.set(record.id, record);
  }
  const before = await store.get([...records.keys()]);
  await store.upsert([...records.values()]);
  await removeUnused(catalog, before);
  const known = new Set(before.flatMap((record) => (record === undefined ? [] : [record.id])));
  return embedded.map((one) => {
    if (!('record' in one)) return { id: one.id, status: 'failed', reason: one.reason };
    const { id } = one.record;
    const status = known.has(id) ? 'replaced' : 'added';
    known.add(id);
    return { id, status, record: records.get(id) as StoredRecord };
  });
}

/**
 * Changes a record, and gives it back as it then is; `undefined` when there is none. To be called under the write lock.
 * @throws DataError when a column is not there
 */
export async function applyChange(
  catalog: Catalog,
  id: string,
  change: PictureChange,
): Promise<StoredRecord | undefined> {
  checkAttributes(catalog, change.attributes ?? {});
  const [record] = await catalog.store.get([id]);
  if (record === undefined) return undefined;
  const optional = (value: string | null) => (value === null || value === '' ? [] : [value]);
  const { itemId, source, sourceGroup, attributes } = change;
  if (itemId !== undefined) checkItem(itemId);
  const changed: StoredRecord = {
    ...record,
    fields: {
      ...record.fields,
      ...attributes,
      ...(itemId === undefined ? {} : { item_id: [itemId] }),
      ...(source === undefined ? {} : { source: optional(source), source_group: optional(source) }),
      ...(sourceGroup === undefined ? {} : { source_group: optional(sourceGroup) }),
    },
  };
  await catalog.store.upsert([changed]);
  return changed;
}

/** Deletes records. To be called under the write lock. @returns the ids of those that there were */
export async function applyRemoval(catalog: Catalog, ids: readonly string[]): Promise<string[]> {
  const records = (await catalog.store.get([...new Set(ids)])).flatMap((record) => record ?? []);
  if (records.length === 0) return [];
  await catalog.store.delete(records.map(({ id }) => id));
  await removeUnused(catalog, records);
  return records.map(({ id }) => id);
}

// --- internal ---

interface Prepared {
  id: string;
  bytes: Uint8Array;
  isKeptHere: boolean;
  fields: Record<string, readonly string[]>;
}

async function prepare(catalog: Catalog, write: PictureWrite): Promise<Prepared> {
  const { id, picture, itemId, source, split, attributes = {} } = write;
  checkId(id);
  checkItem(itemId);
  checkAttributes(catalog, attributes);
  const isFile = !(picture instanceof Uint8Array);
  const bytes = isFile ? await readPictureBytes(picture.path) : picture;
  const isKeptHere = !isFile || picture.isCopied === true;
  const kept = keptPicture(catalog.directory, bytes, isFile ? picture.path : id);
  const optional = (value: string | undefined) => (value === undefined || value === '' ? [] : [value]);
  return {
    id,
    bytes,
    isKeptHere,
    fields: {
      ...attributes,
      path: [isFile && !isKeptHere ? resolve(picture.path) : kept.path],
      item_id: [itemId],
      split: optional(split),
      source: optional(source),
      source_group: optional(write.sourceGroup ?? source),
      content_hash: [kept.hash],
    },
  };
}

/** Removes kept pictures of records that are no more, where no other record shows them. */
async function removeUnused(catalog: Catalog, records: readonly (StoredRecord | undefined)[]): Promise<void> {
  const paths = new Map<string, string>();
  for (const record of records) {
    const [path, hash] = [record?.fields.path?.[0], record?.fields.content_hash?.[0]];
    if (path !== undefined && hash !== undefined && isKept(catalog.directory, path)) paths.set(path, hash);
  }
  for (const [path, hash] of paths)
    if ((await catalog.store.count([{ column: 'content_hash', anyOf: [hash] }])) === 0)
      await removeKept(path);
}

function checkAttributes(
  { description }: Catalog,
  attributes: Readonly<Record<string, readonly string[]>>,
): void {
  const own = description.columns.filter((name) => !isBaseColumn(name));
  for (const [name, values] of Object.entries(attributes)) {
    if (!own.includes(name))
      throw new DataError(`there is no attribute '${name}'. The catalogue has: ${own.join(', ')}`);
    for (const value of values) checkText(`a value of '${name}'`, value);
  }
}

function checkItem(itemId: string): void {
  checkText('the item', itemId);
}

function checkId(id: string): void {
  checkText('the id', id);
}

function checkText(what: string, text: string): void {
  if (text === '' || /\p{Surrogate}/u.test(text))
    throw new DataError(
      `${what} must be well-formed Unicode and not empty, got ${JSON.stringify(text).slice(0, 100)}`,
    );
}
