/**
 * Indexing into a catalogue that may be in use meanwhile: from the rows of a manifest, or the catalogue's own pictures;
 * with the model that it has, or with another, which takes its place all at once when everything is there.
 *
 * With another model, records that the manifest does not mention are embedded again too, and what is written to the
 * catalogue while the run goes on is followed: the two stores are compared until they agree, the last time under the
 * write lock under which the new one is published. So no acknowledged write is lost, and no search sees a mixture.
 */
import type { Embedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { DataError, type LockHolder, type StartProgress, sha256, silentProgress } from '../util/index.js';
import {
  type Catalog,
  type CatalogDescription,
  hasCatalog,
  isBaseColumn,
  movedMeanwhile,
  openCatalogForIndexing,
  openDescribed,
  readDescription,
  whileFilling,
  whileWriting,
} from './catalog.js';
import { findNumericColumns } from './filter.js';
import { holdStore } from './generations.js';
import { type IndexReport, indexEntries } from './indexing.js';
import { entryOfRecord, entryOfRow, type PictureEntry } from './picture-entries.js';
import { applyRemoval } from './record-writes.js';
import type { StoredRecord, VectorStore } from './store.js';

export interface IndexCatalogOptions {
  readonly directory: string;
  readonly embedder: Embedder;
  /** What is to be in the catalogue. Default: what is in it. */
  readonly data?:
    | { readonly rows: readonly ManifestRow[]; readonly attributes: readonly string[] }
    | undefined;
  /** Remove the records that the rows do not mention. Default false. */
  readonly prune?: boolean;
  /** Default: none. */
  readonly startProgress?: StartProgress | undefined;
  /** Stops between batches; what was embedded by then is stored, and the next run goes on from there. */
  readonly signal?: AbortSignal | undefined;
  /** Pictures that are stored at a time. Default 256. */
  readonly chunkSize?: number;
  /** Told when another process is indexing into the catalogue, or writes to it for long, which is waited for. */
  readonly onWait?: ((holder: LockHolder) => void) | undefined;
}

export interface CatalogIndexReport extends IndexReport {
  /** Records that were removed because the rows do not mention them. */
  readonly removed: number;
  /** Writes of others that were taken over from the store before. */
  readonly followed: number;
  /** Whether another model's store took the place of the one before. */
  readonly swapped: boolean;
  /** Records that the catalogue then has. */
  readonly total: number;
}

/**
 * Brings a catalogue up to date, and makes it where there is none. One process at a time; searches and writes go on.
 * @throws DataError when there is neither a catalogue nor data, a column is missing, no picture at all can be read, or the
 *   catalogue moved to a third model meanwhile; what `signal` was aborted with.
 */
export async function indexCatalog(options: IndexCatalogOptions): Promise<CatalogIndexReport> {
  const { directory } = options;
  if (options.data === undefined) await readDescription(directory); // no folder is made where there is no catalogue
  return await whileFilling(directory, () => index(options), options);
}

// --- internal ---

/** With so few writes left to follow, the rest is done under the lock. */
const FEW_WRITES = 16;
const MOST_ROUNDS = 8;
const REMOVED_AT_A_TIME = 500;

async function index(options: IndexCatalogOptions): Promise<CatalogIndexReport> {
  const {
    directory,
    embedder,
    data,
    prune = false,
    signal,
    onWait,
    startProgress = silentProgress,
  } = options;
  const { bundle } = embedder;
  const before = (await hasCatalog(directory)) ? (await readDescription(directory)).description : undefined;
  if (data === undefined && before === undefined) await readDescription(directory); // says what is missing
  const isOther = before !== undefined && before.model.vectorHash !== bundle.vectorHash;
  const { catalog, publish } = await whileWriting(
    directory,
    () => openCatalogForIndexing(directory, bundle, columnsFor(options, before, isOther)),
    { signal, onWait },
  );
  const { store } = catalog;
  // Who closes a store that was replaced before must not remove it while it is filled again.
  const hold = await holdStore(catalog.directory, catalog.description.store);
  const old = isOther ? await openDescribed(directory, before) : undefined;
  const inUse = before?.store ?? catalog.description.store;
  const stillInUse = async () => {
    const { description } = await readDescription(directory);
    if (description.store !== inUse) throw movedMeanwhile(directory);
  };
  const locked = <T>(change: () => Promise<T>) =>
    whileWriting(
      directory,
      async () => {
        await stillInUse();
        return await change();
      },
      { signal, onWait },
    );
  try {
    const source = old?.store ?? store;
    const writes = await WriteFollower.start(source);
    const entries = new Map<string, PictureEntry>(
      data?.rows.map(entryOfRow).map((entry) => [entry.id, entry]),
    );
    const mentioned = new Set(entries.keys());
    if (data === undefined || (isOther && !prune))
      for await (const records of source.scan({ vectors: false }))
        for (const record of records)
          if (!mentioned.has(record.id)) entries.set(record.id, entryOfRecord(record));
    const common = {
      embedder,
      store,
      signal,
      ...(options.chunkSize ? { chunkSize: options.chunkSize } : {}),
    };
    const report = await indexEntries({
      ...common,
      entries: [...entries.values()],
      startProgress,
      ofOwnRecords: data === undefined && !isOther,
      write: locked,
    });
    if (entries.size > 0 && report.failures.length === entries.size)
      throw new DataError(
        `no picture can be read, so the catalogue stays as it is. The first: ${report.failures[0]?.reason}`,
        { file: directory },
      );
    let failures = report.failures;
    let [removed, followed] = [0, 0];
    if (old !== undefined) {
      // What an earlier run left that did not come to its end.
      await removeOthers(store, (id) => entries.has(id));
      if (prune) removed = [...writes.ids()].filter((id) => !mentioned.has(id)).length;
      const follow = async (write: (change: () => Promise<void>) => Promise<void>) => {
        const { changed, gone } = await writes.next();
        if (gone.length > 0) await write(async () => void (await store.delete(gone)));
        const touched = new Set([...gone, ...changed.map(({ id }) => id)]);
        failures = failures.filter(({ id }) => !touched.has(id));
        if (changed.length > 0) {
          const late = await indexEntries({ ...common, entries: changed.map(entryOfRecord), write });
          failures = [...failures, ...late.failures];
        }
        followed += touched.size;
        return touched.size;
      };
      for (let round = 0; round < MOST_ROUNDS && (await follow(locked)) > FEW_WRITES; round++);
      await locked(async () => {
        await follow((change) => change());
        await publish();
      });
    } else {
      if (prune && data !== undefined) {
        const unmentioned = [...writes.ids()].filter((id) => !mentioned.has(id));
        for (let start = 0; start < unmentioned.length; start += REMOVED_AT_A_TIME) {
          signal?.throwIfAborted();
          const ids = unmentioned.slice(start, start + REMOVED_AT_A_TIME);
          removed += (await locked(() => applyRemoval(catalog, ids))).length;
        }
      }
      await locked(publish);
    }
    return { ...report, failures, removed, followed, swapped: isOther, total: await store.count() };
  } finally {
    await old?.close();
    await catalog.close();
    await hold.release();
  }
}

/** The columns of the store that is indexed into: those of the data, and what the catalogue's other records have. */
function columnsFor(
  { data, prune = false }: IndexCatalogOptions,
  before: CatalogDescription | undefined,
  isOther: boolean,
): { attributes: string[]; numericAttributes: string[] } {
  const own = (before?.columns ?? []).filter((name) => !isBaseColumn(name));
  const given = data?.attributes ?? [];
  const kept = data === undefined || (isOther && !prune) ? own.filter((name) => !given.includes(name)) : [];
  const numericGiven = findNumericColumns(
    (data?.rows ?? []).map((row) => row.attributes),
    given,
  );
  const numericKept = kept.filter((name) => before?.numericColumns.includes(name));
  return { attributes: [...given, ...kept], numericAttributes: [...numericGiven, ...numericKept] };
}

async function removeOthers(store: VectorStore, isWanted: (id: string) => boolean): Promise<void> {
  const others: string[] = [];
  for await (const records of store.scan({ vectors: false, columns: ['path'] }))
    for (const { id } of records) if (!isWanted(id)) others.push(id);
  if (others.length > 0) await store.delete(others);
}

/** Finds out what was written to a store since it was last looked at. */
class WriteFollower {
  readonly #store: Catalog['store'];
  #version: number | undefined;
  #digests = new Map<string, string>();

  private constructor(store: Catalog['store']) {
    this.#store = store;
  }

  static async start(store: Catalog['store']): Promise<WriteFollower> {
    const follower = new WriteFollower(store);
    await follower.next();
    return follower;
  }

  ids(): Iterable<string> {
    return this.#digests.keys();
  }

  async next(): Promise<{ changed: StoredRecord[]; gone: string[] }> {
    const version = await this.#store.version();
    if (version === this.#version) return { changed: [], gone: [] };
    const isFirst = this.#version === undefined;
    const digests = new Map<string, string>();
    const changed: StoredRecord[] = [];
    for await (const records of this.#store.scan({ vectors: false }))
      for (const record of records) {
        const digest = sha256(JSON.stringify(this.#store.columns.map((name) => record.fields[name] ?? [])));
        digests.set(record.id, digest);
        if (!isFirst && this.#digests.get(record.id) !== digest) changed.push(record);
      }
    const gone = [...this.#digests.keys()].filter((id) => !digests.has(id));
    this.#digests = digests;
    this.#version = version;
    return { changed, gone };
  }
}
