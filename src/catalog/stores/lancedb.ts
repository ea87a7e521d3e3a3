/**
 * The embedded store: a LanceDB table in a folder; nothing to start, any number of readers beside one writer.
 *
 * Search is exact: Lance scans the vectors, and scores are computed again in double precision, so that near ties
 * have the order that every store gives. That is fast enough to about 100,000 pictures; an index is not built yet.
 * LanceDB 0.37 writes without fsync, so each commit's new files are synced here before it is acknowledged. What that
 * cannot cover: a power cut in the middle of a commit may leave that newest, unacknowledged version unreadable.
 */
import { open, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { type Connection, connect, type Table } from '@lancedb/lancedb';
import { Field, FixedSizeList, Float32, List, Schema, Utf8, type Vector } from 'apache-arrow';
import { byCodePoint } from '../../granularity/index.js';
import { DataError, errorMessage } from '../../util/index.js';
import { checkFilter, type Filter } from '../filter.js';
import {
  checkK,
  checkQuery,
  checkRecords,
  dotProduct,
  type Hit,
  type StoredRecord,
  type StoreShape,
  type VectorStore,
} from '../store.js';
import { countValues } from './memory.js';

/**
 * Opens the table in a folder, and makes it where there is none.
 * @throws DataError when the folder holds a table of another dimension or other columns, or cannot be read.
 */
export async function openLanceStore(directory: string, shape: StoreShape): Promise<VectorStore> {
  try {
    // 0: each read asks for the newest version, so a reader sees what a writer elsewhere has acknowledged.
    const connection = await connect(directory, { readConsistencyInterval: 0 });
    const isThere = (await connection.tableNames()).includes(TABLE);
    const table = isThere
      ? await connection.openTable(TABLE)
      : await connection.createEmptyTable(TABLE, arrowSchema(shape));
    await checkShape(directory, table, shape);
    const folder = join(directory, `${TABLE}.lance`);
    const synced = new Set<string>();
    await syncNewFiles(folder, synced);
    return new LanceStore(connection, table, folder, synced, shape);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`the store cannot be opened: ${errorMessage(error)}`, {
      file: directory,
      cause: error,
    });
  }
}

/**
 * Syncs to disk the files below a folder that are not yet in `synced`, then the folders that hold them.
 * @returns the files synced now, relative to the folder.
 */
export async function syncNewFiles(folder: string, synced: Set<string>): Promise<string[]> {
  const added: string[] = [];
  const folders = new Set<string>();
  for (const entry of await readdir(folder, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    // The hint of the newest version is the one file that is written over in place.
    if (!entry.isFile() || (synced.has(path) && entry.name !== 'latest_version_hint.json')) continue;
    if (!(await sync(path, 'r+'))) continue;
    synced.add(path);
    folders.add(entry.parentPath);
    added.push(path.slice(folder.length + 1));
  }
  if (added.length > 0) folders.add(folder);
  if (process.platform !== 'win32') for (const path of folders) await sync(path, 'r');
  return added;
}

/** A filter in Lance's SQL. Values are quoted; columns must have been checked. `undefined` where all pass. */
export function filterSql(filter: Filter): string | undefined {
  if (filter.length === 0) return undefined;
  return filter
    .map((condition) => {
      const [values, not] = 'anyOf' in condition ? [condition.anyOf, ''] : [condition.noneOf, 'NOT '];
      if (values.length === 0) return not === '' ? 'false' : 'true';
      return `${not}array_has_any(\`${columnName(condition.column)}\`, make_array(${values.map(quote).join(', ')}))`;
    })
    .join(' AND ');
}

// --- internal ---

const TABLE = 'pictures';
/** Ids in one SQL list: long lists make slow plans. */
const IDS_PER_QUERY = 1000;
/** Rows fetched beyond k, so that ties at the end of the list seldom need a second query. */
const SPARE_HITS = 8;

class LanceStore implements VectorStore {
  readonly dimension: number;
  readonly columns: readonly string[];
  readonly #connection: Connection;
  readonly #table: Table;
  readonly #folder: string;
  readonly #synced: Set<string>;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(connection: Connection, table: Table, folder: string, synced: Set<string>, shape: StoreShape) {
    this.#connection = connection;
    this.#table = table;
    this.#folder = folder;
    this.#synced = synced;
    this.dimension = shape.dimension;
    this.columns = [...shape.columns];
  }

  async upsert(records: readonly StoredRecord[]): Promise<void> {
    const rows = checkRecords(this, records).map(({ id, vector, fields }) => ({
      id,
      vector,
      ...Object.fromEntries(this.columns.map((column) => [columnName(column), [...(fields[column] ?? [])]])),
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
    const found = new Map<string, StoredRecord>();
    for (const sql of idLists(ids))
      for (const row of await this.#table.query().where(sql).toArray()) {
        const record = this.#toRecord(row as Row);
        found.set(record.id, record);
      }
    return ids.map((id) => found.get(id));
  }

  async search(vector: Float32Array, options: { k: number; filter?: Filter }): Promise<Hit[]> {
    this.#checkOpen();
    const { k, filter = [] } = options;
    checkK(k);
    checkQuery(this, vector);
    checkFilter(filter, this.columns);
    if (k === 0) return [];
    const sql = filterSql(filter);
    for (let limit = k + SPARE_HITS; ; limit *= 8) {
      const query = this.#table
        .query()
        .nearestTo(vector)
        .distanceType('dot')
        .bypassVectorIndex()
        .limit(limit);
      if (sql !== undefined) query.where(sql);
      const rows = (await query.toArray()) as Row[];
      const hits = rows.map((row) => {
        const record = this.#toRecord(row);
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

  async count(filter: Filter = []): Promise<number> {
    this.#checkOpen();
    checkFilter(filter, this.columns);
    return await this.#table.countRows(filterSql(filter));
  }

  async facets(columns: readonly string[], filter: Filter = []) {
    this.#checkOpen();
    checkFilter([...filter, ...columns.map((column) => ({ column, anyOf: [] }))], this.columns);
    if (columns.length === 0) return {};
    const query = this.#table.query().select(columns.map(columnName));
    const sql = filterSql(filter);
    if (sql !== undefined) query.where(sql);
    const table = await query.toArrow();
    return Object.fromEntries(
      columns.map((column) => [column, countValues(listsOf(table.getChild(columnName(column))))]),
    );
  }

  async flush(): Promise<void> {
    await this.#write(() => this.#table.optimize());
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastWrite.catch(() => {});
    this.#table.close();
    this.#connection.close();
  }

  /** One write at a time; its files are on the disk before it counts as done. */
  #write<T>(action: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    const done = this.#lastWrite
      .catch(() => {})
      .then(async () => {
        try {
          const result = await action();
          await syncNewFiles(this.#folder, this.#synced);
          return result;
        } catch (error) {
          throw new DataError(`the store cannot be written: ${errorMessage(error)}`, {
            file: this.#folder,
            cause: error,
          });
        }
      });
    this.#lastWrite = done;
    return done;
  }

  #checkOpen(): void {
    if (this.#closed) throw new DataError('store: must be open, got a call after close()');
  }

  #toRecord(row: Row): StoredRecord {
    return {
      id: String(row.id),
      vector: Float32Array.from(row.vector as Iterable<number>),
      fields: Object.fromEntries(this.columns.map((column) => [column, toTexts(row[columnName(column)])])),
    };
  }
}

type Row = Record<string, unknown>;

function toTexts(value: unknown): string[] {
  return value == null ? [] : Array.from(value as Iterable<unknown>, String);
}

/** The lists of a column, read from Arrow's buffers: a row object each would take ten times as long. */
function* listsOf(column: Vector | null): Generator<string[]> {
  const texts = column?.getChildAt(0);
  let start = 0;
  for (const { valueOffsets, length, children } of column?.data ?? []) {
    for (let row = 0; row < length; row++) {
      const list: string[] = [];
      for (let i = valueOffsets[row] as number; i < (valueOffsets[row + 1] as number); i++)
        list.push(texts?.get(start + i) as string);
      yield list;
    }
    start += children[0]?.length ?? 0;
  }
}

/** A plain lower-case name stays as it is, for whoever opens the table with other tools; any other is spelt in hex. */
function columnName(column: string): string {
  const isPlain = /^[a-z][a-z0-9_]*$/.test(column) && !/^(id|vector|x_.*)$/.test(column);
  return isPlain ? column : `x_${Buffer.from(column).toString('hex')}`;
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

function* idLists(ids: readonly string[]): Generator<string> {
  const unique = [...new Set(ids)];
  for (let start = 0; start < unique.length; start += IDS_PER_QUERY)
    yield `id IN (${unique
      .slice(start, start + IDS_PER_QUERY)
      .map(quote)
      .join(', ')})`;
}

function arrowSchema({ dimension, columns }: StoreShape): Schema {
  return new Schema([
    new Field('id', new Utf8(), false),
    new Field('vector', new FixedSizeList(dimension, new Field('item', new Float32(), true)), false),
    ...columns.map(
      (column) => new Field(columnName(column), new List(new Field('item', new Utf8(), true)), false),
    ),
  ]);
}

async function checkShape(directory: string, table: Table, shape: StoreShape): Promise<void> {
  const describe = (schema: Schema) =>
    schema.fields.map(({ name, type }) => `${name}: ${(type as { listSize?: number }).listSize ?? 'text'}`);
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

/** @returns whether there was something to sync; a file that is gone again was of no matter. */
async function sync(path: string, mode: 'r' | 'r+'): Promise<boolean> {
  let handle: Awaited<ReturnType<typeof open>>;
  try {
    handle = await open(path, mode);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw error;
  }
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
  return true;
}
