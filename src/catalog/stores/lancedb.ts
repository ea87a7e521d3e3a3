/**
 * The embedded store: a LanceDB table in a folder or in object storage; nothing to start, any number of readers beside
 * one writer.
 *
 * Search is exact, with scores in double precision, so that near ties have the order that every store gives. A process
 * that searches more than once keeps the records in memory (`lance-mirror.ts`) where they fit; else Lance scans them.
 * LanceDB 0.37 writes without fsync, so each commit's new files are synced here before it is acknowledged. What that
 * cannot cover: a power cut in the middle of a commit may leave that newest, unacknowledged version unreadable.
 */
import { totalmem } from 'node:os';
import { join } from 'node:path';
import type { Connection, Table } from '@lancedb/lancedb';
import { Field, FixedSizeList, Float32, Float64, List, Schema, Utf8 } from 'apache-arrow';
import { byCodePoint } from '../../granularity/index.js';
import {
  DataError,
  errorMessage,
  makeFolder,
  StorageError,
  storageFault,
  syncFolder,
  timeBefore,
} from '../../util/index.js';
import { type Filter, numberOf } from '../filter.js';
import type { IndexPlan, IndexState } from '../index-plan.js';
import {
  checkAsked,
  checkK,
  checkQuery,
  checkRecords,
  dotProduct,
  type FacetCount,
  type Hit,
  type IndexableStore,
  resolveScan,
  type ScanOptions,
  type SearchOptions,
  type StoredRecord,
  type StoreShape,
} from '../store.js';
import { connectLance, connectObjectStorage, openIfThere } from './lance-connection.js';
import { removeAbandoned, removeUnmade, SyncedFolder } from './lance-files.js';
import { askedAs, buildPlan, FollowedPlan, readIndexState } from './lance-index.js';
import { LanceMirror, listsOf } from './lance-mirror.js';
import { columnName, filterSql, idLists, numbersName, quote } from './lance-sql.js';
import { countValues } from './memory.js';
import { isObjectUrl } from './object-url.js';

/** How a Lance store answers. */
export interface LanceOptions {
  /**
   * Whether records are kept in memory: `auto`, from the second search of this process on, where they fit; `always`,
   * from the first read on; `never`. What is found is the same; only time and memory differ. Default `auto`.
   */
  readonly inMemory?: 'auto' | 'always' | 'never';
  /** Bytes that the vectors kept in memory may take. Default: a quarter of the machine's memory. */
  readonly memoryLimit?: number;
}

/**
 * Opens the table in a folder, and makes it where there is none.
 * @throws DataError when the folder holds a table of another dimension or other columns, or cannot be read.
 */
export async function openLanceStore(
  directory: string,
  shape: StoreShape,
  options: LanceOptions = {},
): Promise<IndexableStore> {
  try {
    if (isObjectUrl(directory)) return await openInObjectStorage(directory, shape, options);
    await makeFolder(directory);
    const { connection } = await connectLance(directory);
    const isThere =
      (await connection.tableNames()).includes(TABLE) &&
      !(await removeUnmade(join(directory, `${TABLE}.lance`)));
    const table = isThere
      ? await connection.openTable(TABLE)
      : await connection.createEmptyTable(TABLE, arrowSchema(shape));
    await checkShape(directory, table, shape);
    if (!isThere) await syncFolder(directory);
    const folder = join(directory, `${TABLE}.lance`);
    const synced = new SyncedFolder(folder);
    await synced.syncNew();
    return new LanceStore({
      directory,
      connection,
      table,
      synced,
      shape,
      options,
      plan: await FollowedPlan.open(directory),
    });
  } catch (error) {
    if (error instanceof DataError) throw error;
    const { fault, reason } = storageFault(error);
    if (fault === 'full' || fault === 'read-only')
      throw new StorageError(error, { file: directory, what: 'the store' });
    throw new DataError(`the store cannot be opened: ${reason}`, { file: directory, cause: error });
  }
}

/** Removes a store of object storage, whole. */
export async function dropLanceStore(address: string): Promise<void> {
  const connection = await connectObjectStorage(address);
  try {
    const table = await openIfThere(connection, TABLE);
    table?.close();
    if (table !== undefined) await connection.dropTable(TABLE);
  } finally {
    connection.close();
  }
}

// --- internal ---

async function openInObjectStorage(
  address: string,
  shape: StoreShape,
  options: LanceOptions,
): Promise<IndexableStore> {
  const connection = await connectObjectStorage(address);
  const table =
    (await openIfThere(connection, TABLE)) ?? (await connection.createEmptyTable(TABLE, arrowSchema(shape)));
  await checkShape(address, table, shape);
  return new LanceStore({
    directory: address,
    connection,
    table,
    synced: undefined,
    shape,
    options,
    plan: undefined,
  });
}

/**
 * How long versions stay that were replaced: as long as a search may take. Lance's own default, a week, fills disks, and each
 * write and each compaction looks at all that are there: with 8,000 a write took two and a half times as long.
 */
const KEPT_VERSIONS_MS = 120_000;

const TABLE = 'pictures';
/** Rows fetched beyond k, so that ties at the end of the list seldom need a second query. */
const SPARE_HITS = 8;
const EXACT: IndexPlan = { kind: 'exact' };
/** Facets kept where records are not in memory. */
const MOST_COUNTED = 64;

interface LanceParts {
  readonly directory: string;
  readonly connection: Connection;
  readonly table: Table;
  /** `undefined`: in object storage, where there is no index. */
  readonly plan: FollowedPlan | undefined;
  /** `undefined`: in object storage, where an answered write is kept. */
  readonly synced: SyncedFolder | undefined;
  readonly shape: StoreShape;
  readonly options: LanceOptions;
}

class LanceStore implements IndexableStore {
  readonly dimension: number;
  readonly columns: readonly string[];
  readonly numericColumns: readonly string[];
  readonly #connection: Connection;
  readonly #table: Table;
  readonly #directory: string;
  readonly #folder: string;
  readonly #plan: FollowedPlan | undefined;
  readonly #synced: SyncedFolder | undefined;
  #lastWrite: Promise<unknown> = Promise.resolve();
  readonly #inMemory: 'auto' | 'always' | 'never';
  readonly #memoryLimit: number;
  /** Facets by what was asked, of one version. */
  #counted = { version: 0, facets: new Map<string, Record<string, FacetCount[]>>() };
  #searches = 0;
  /** Being made ready, or ready; `undefined` when it does not fit. */
  #loading: Promise<LanceMirror | undefined> | undefined;
  /** Ready. */
  #mirror: LanceMirror | undefined;
  #closed = false;

  constructor({ directory, connection, table, synced, shape, options, plan }: LanceParts) {
    this.#directory = directory;
    this.#plan = plan;
    this.#connection = connection;
    this.#table = table;
    this.#folder = synced === undefined ? directory : join(directory, `${TABLE}.lance`);
    this.#synced = synced;
    this.#inMemory = options.inMemory ?? 'auto';
    this.#memoryLimit = options.memoryLimit ?? totalmem() / 4;
    this.dimension = shape.dimension;
    this.columns = [...shape.columns];
    this.numericColumns = [...(shape.numericColumns ?? [])];
  }

  async upsert(records: readonly StoredRecord[]): Promise<void> {
    const rows = checkRecords(this, records).map(({ id, vector, fields }) => ({
      id,
      vector,
      ...Object.fromEntries(this.columns.map((column) => [columnName(column), [...(fields[column] ?? [])]])),
      ...Object.fromEntries(
        this.numericColumns.map((column) => [numbersName(column), numberOf(fields[column]) ?? null]),
      ),
    }));
    await this.#write(async () => {
      if (rows.length === 0) return;
      await this.#table.mergeInsert('id').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows);
    });
  }

  async delete(ids: readonly string[]): Promise<number> {
    return await this.#write(async () => {
      let deleted = 0;
      for (const sql of idLists(ids)) {
        const found = await this.#table.countRows(sql);
        if (found > 0) await this.#table.delete(sql);
        deleted += found;
      }
      return deleted;
    });
  }

  async get(ids: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    this.#checkOpen();
    const mirror = await this.#ready();
    if (mirror !== undefined) return await mirror.read((records) => records.get(ids));
    const rows = await this.#rowsOf(ids);
    const found = new Map(rows.map((row) => [String(row.id), toRecord(row, this.columns)]));
    return ids.map((id) => found.get(id));
  }

  async search(vector: Float32Array, options: SearchOptions): Promise<Hit[]> {
    this.#checkOpen();
    const { k, filter = [], exact = false } = options;
    checkK(k);
    checkQuery(this, vector);
    checkAsked(this, filter);
    if (k === 0) return [];
    const plan = (await this.#plan?.present()) ?? EXACT;
    if (!exact && plan.kind !== 'exact') {
      const hits = await this.#scan(vector, k, filter, plan);
      // An index may run dry under a narrow filter, where looking at all that pass is quick.
      if (hits.length === k) return hits;
    }
    if (this.#inMemory === 'auto' && plan.kind === 'exact' && ++this.#searches === 2)
      void this.#load().catch(() => {});
    const mirror = await this.#ready();
    if (mirror !== undefined) return await mirror.search({ vector: vector.slice(), k, filter });
    return await this.#scan(vector, k, filter, EXACT);
  }

  async count(filter: Filter = []): Promise<number> {
    this.#checkOpen();
    checkAsked(this, filter);
    const mirror = await this.#ready();
    if (mirror !== undefined) return await mirror.read((records) => records.count(filter));
    return await this.#table.countRows(filterSql(filter));
  }

  async facets(columns: readonly string[], filter: Filter = []): Promise<Record<string, FacetCount[]>> {
    this.#checkOpen();
    checkAsked(this, filter, columns);
    if (columns.length === 0) return {};
    const mirror = await this.#ready();
    if (mirror !== undefined) return await mirror.read((records) => records.facets(columns, filter));
    const version = await this.#table.version();
    if (version !== this.#counted.version) this.#counted = { version, facets: new Map() };
    const { facets } = this.#counted;
    const key = JSON.stringify([columns, filter]);
    let counts = facets.get(key);
    if (counts === undefined) {
      const query = this.#table.query().select(columns.map(columnName));
      const sql = filterSql(filter);
      if (sql !== undefined) query.where(sql);
      const table = await query.toArrow();
      counts = Object.fromEntries(
        columns.map((column) => [column, countValues(listsOf(table.getChild(columnName(column))))]),
      );
      if (facets.size >= MOST_COUNTED) facets.clear();
      facets.set(key, counts);
    }
    return structuredClone(counts);
  }

  async *scan(options: ScanOptions = {}): AsyncGenerator<StoredRecord[], void, undefined> {
    this.#checkOpen();
    const { columns, vectors, batchSize, after, limit, filter } = resolveScan(this, options);
    // A handle of its own, held at one version: its row ids stay right whatever is written or compacted meanwhile.
    const table = await this.#connection.openTable(TABLE);
    try {
      const version = await table.version();
      await table.checkout(version);
      const query = table.query().select(['id']).withRowId();
      const conditions = [filterSql(filter), after === undefined ? undefined : `id > ${quote(after)}`];
      for (const sql of conditions) if (sql !== undefined) query.where(sql);
      const arrow = await query.toArrow();
      const rowIds = arrow.getChild('_rowid')?.toArray() as BigUint64Array | undefined;
      const found = Array.from(arrow.getChild('id') ?? [], (id, n) => ({
        id: String(id),
        row: rowIds?.[n] ?? 0n,
      }))
        .sort((a, b) => byCodePoint(a.id, b.id))
        .slice(0, limit);
      const selected = ['id', ...(vectors ? ['vector'] : []), ...columns.map(columnName)];
      let isHeld = true;
      for (let start = 0; start < found.length; start += batchSize) {
        const batch = found.slice(start, start + batchSize);
        let rows: Row[] | undefined;
        if (isHeld)
          rows = await (
            table
              .takeRowIds(batch.map(({ row }) => row))
              .select(selected)
              .toArray() as Promise<Row[]>
          ).catch(async (error) => {
            if (!isMissingFile(error) || (await this.#table.version()) === version) throw error;
            return undefined;
          });
        // A scan can take longer than versions are kept: what is left of it is read as it now is.
        isHeld = rows !== undefined;
        rows ??= await this.#rowsOf(
          batch.map(({ id }) => id),
          selected,
        );
        const records = new Map(rows.map((row) => [String(row.id), toRecord(row, columns)]));
        const there = batch.flatMap(({ id }) => records.get(id) ?? []);
        if (there.length > 0) yield there;
      }
    } finally {
      table.close();
    }
  }

  async version(): Promise<number> {
    this.#checkOpen();
    return await this.#table.version();
  }

  async buildIndex(plan: IndexPlan): Promise<void> {
    const followed = this.#plan;
    if (followed === undefined)
      throw new DataError('index: the store must lie in a folder, got one in object storage', {
        file: this.#directory,
      });
    const few: string[] = [];
    if (plan.kind !== 'exact') {
      const most = (await this.count()) / 10;
      for (const column of this.columns)
        if (((await this.facets([column]))[column]?.length ?? 0) <= most) few.push(columnName(column));
    }
    await this.#write(async () => {
      const numbers = this.numericColumns.map(numbersName);
      await buildPlan(this.#directory, this.#table, plan, {
        before: await followed.look(),
        columns: few,
        numbers,
      });
      await followed.look();
    });
  }

  async indexState(): Promise<IndexState> {
    this.#checkOpen();
    return await readIndexState(this.#directory, this.#table, (await this.#plan?.look()) ?? EXACT);
  }

  async warm({ exact = false }: { readonly exact?: boolean } = {}): Promise<void> {
    this.#checkOpen();
    if (exact || ((await this.#plan?.present()) ?? EXACT).kind === 'exact') await this.#load();
    else await this.#table.prewarmIndex('vector_idx');
  }

  async flush(): Promise<void> {
    await this.#write(async () => {
      const optimize = () => this.#table.optimize({ cleanupOlderThan: timeBefore(KEPT_VERSIONS_MS) });
      await (this.#mirror === undefined ? optimize() : this.#mirror.whileRowsMove(optimize));
      if (this.#synced !== undefined) await removeAbandoned(this.#folder);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastWrite.catch(() => {});
    await (await this.#loading?.catch(() => undefined))?.close();
    this.#table.close();
    this.#connection.close();
  }

  /** The newest rows of some ids, in any order; those that there are. */
  async #rowsOf(ids: readonly string[], selected?: string[]): Promise<Row[]> {
    const rows: Row[] = [];
    for (const sql of idLists(ids)) {
      const query = this.#table.query().where(sql);
      rows.push(...((await (selected === undefined ? query : query.select(selected)).toArray()) as Row[]));
    }
    return rows;
  }

  /** Lance's own search, by the plan; scores in double precision. */
  async #scan(vector: Float32Array, k: number, filter: Filter, plan: IndexPlan): Promise<Hit[]> {
    const sql = filterSql(filter);
    for (let limit = k + SPARE_HITS; ; limit *= 8) {
      const query = askedAs(this.#table.query().nearestTo(vector).distanceType('dot'), plan, limit);
      if (sql !== undefined) query.where(sql);
      const rows = (await query.toArray()) as Row[];
      const hits = rows.map((row) => {
        const record = toRecord(row, this.columns);
        return { score: dotProduct(vector, record.vector), record };
      });
      hits.sort((a, b) => b.score - a.score || byCodePoint(a.record.id, b.record.id));
      const [kth, last] = [hits[k - 1], hits.at(-1)];
      // Rows that Lance left out score no more than the last, give or take single precision.
      const complete = rows.length < limit || kth === undefined || last === undefined;
      if (complete || last.score < kth.score - 1e-5 * Math.max(1, Math.abs(kth.score)))
        return hits.slice(0, k);
    }
  }

  /** The records in memory, where they are there or must be. */
  async #ready(): Promise<LanceMirror | undefined> {
    return this.#inMemory === 'always' ? await this.#load() : this.#mirror;
  }

  /** Reads the records into memory, once, unless they do not fit. */
  async #load(): Promise<LanceMirror | undefined> {
    this.#loading ??= (async () => {
      if (this.#inMemory === 'never') return undefined;
      const bytes = (await this.#table.countRows()) * this.dimension * Float32Array.BYTES_PER_ELEMENT;
      if (bytes > this.#memoryLimit) return undefined;
      const mirror = new LanceMirror({
        table: await this.#connection.openTable(TABLE),
        newestVersion: () => this.#table.version(),
        dimension: this.dimension,
        columns: this.columns,
        columnName,
      });
      await mirror.read(() => {});
      this.#mirror = mirror;
      return mirror;
    })();
    try {
      return await this.#loading;
    } catch (error) {
      this.#loading = undefined;
      throw new DataError(`the store cannot be read: ${errorMessage(error)}`, {
        file: this.#folder,
        cause: error,
      });
    }
  }

  /** One write at a time; its files are on the disk before it counts as done. */
  #write<T>(action: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    const done = this.#lastWrite
      .catch(() => {})
      .then(async () => {
        try {
          const result = await action();
          await this.#synced?.syncNew();
          return result;
        } catch (error) {
          if (error instanceof StorageError) throw error;
          throw new StorageError(error, { file: this.#folder, what: 'the store' });
        }
      });
    this.#lastWrite = done;
    return done;
  }

  #checkOpen(): void {
    if (this.#closed) throw new DataError('store: must be open, got a call after close()');
  }
}

type Row = Record<string, unknown>;

/** Whether Lance did not find a file, as is said in a folder ("Not found: …") or by object storage ("… not found: …"). */
function isMissingFile(error: unknown): boolean {
  return /\bnot found: /i.test(errorMessage(error));
}

/** Without a vector where the row has none. */
function toRecord(row: Row, columns: readonly string[]): StoredRecord {
  return {
    id: String(row.id),
    vector: Float32Array.from((row.vector ?? []) as Iterable<number>),
    fields: Object.fromEntries(columns.map((column) => [column, toTexts(row[columnName(column)])])),
  };
}

function toTexts(value: unknown): string[] {
  return value == null ? [] : Array.from(value as Iterable<unknown>, String);
}

function arrowSchema({ dimension, columns, numericColumns = [] }: StoreShape): Schema {
  return new Schema([
    new Field('id', new Utf8(), false),
    new Field('vector', new FixedSizeList(dimension, new Field('item', new Float32(), true)), false),
    ...columns.map(
      (column) => new Field(columnName(column), new List(new Field('item', new Utf8(), true)), false),
    ),
    ...numericColumns.map((column) => new Field(numbersName(column), new Float64(), true)),
  ]);
}

async function checkShape(directory: string, table: Table, shape: StoreShape): Promise<void> {
  const describe = (schema: Schema) =>
    schema.fields.map(
      ({ name, type }) => `${name}: ${(type as { listSize?: number }).listSize ?? String(type)}`,
    );
  const [wanted, found] = [
    describe(arrowSchema(shape)),
    describe((await table.schema()) as unknown as Schema),
  ];
  const missing = wanted.find((column) => !found.includes(column)) ?? found.find((c) => !wanted.includes(c));
  if (missing !== undefined)
    throw new DataError(
      `the store has other columns or another vector size than asked for (${missing}). Index into a new folder`,
      { file: directory },
    );
}
