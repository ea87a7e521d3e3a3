/**
 * The store for more than one machine: a table in PostgreSQL with pgvector.
 *
 * Search is exact until the store has an index (`index: 'hnsw'`, made by `flush` once there are `indexFrom` records);
 * with one it is approximate, and an iterative scan goes on where a filter eats the candidates. In both, scores are
 * computed again in double precision from the stored vectors, so that near ties have the order that every store gives.
 * A write is one transaction, durable when it returns (PostgreSQL's own default). Writers take turns by the lock on
 * the store's row in `semblance.stores`, whose version each write raises.
 */
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import type { PoolClient } from 'pg';
import { from as copyFrom } from 'pg-copy-streams';
import { byCodePoint } from '../../granularity/index.js';
import { DataError } from '../../util/index.js';
import { type Filter, numberOf } from '../filter.js';
import {
  checkAsked,
  checkK,
  checkQuery,
  checkRecords,
  dotProduct,
  type FacetCount,
  type Hit,
  resolveScan,
  type ScanOptions,
  type SearchOptions,
  type StoredRecord,
  type StoreShape,
  type VectorStore,
} from '../store.js';
import { type Database, type IndexSettings, openDatabase } from './postgres-database.js';
import {
  copyRow,
  escapeText,
  filterCondition,
  type Precision,
  parseVector,
  tableStatements,
  unescapeText,
  vectorText,
  vectorType,
} from './postgres-sql.js';

export interface PostgresOptions extends IndexSettings {
  /** How vectors are kept, when the store is made. Default `single`. */
  readonly precision?: Precision;
  /** `hnsw`: `flush` makes an index, which has half precision. Default `none`: search is exact. */
  readonly index?: 'none' | 'hnsw';
  /** Records from which on an index is worth making. Default 20,000. */
  readonly indexFrom?: number;
  /** Search exactly although there is an index. Default false. */
  readonly exact?: boolean;
  /** Records in one upsert from which on they are sent by `COPY`. Default 500. */
  readonly copyFrom?: number;
  /** Connections at most. Default 8. */
  readonly connections?: number;
}

/**
 * Opens a store in a database, and makes it where there is none.
 * @param url postgres://user@host:port/database
 * @param name of the store in the database; any text.
 * @throws DataError when the store has another dimension or other columns, or the database cannot be used.
 */
export async function openPostgresStore(
  url: string,
  name: string,
  shape: StoreShape,
  options: PostgresOptions = {},
): Promise<VectorStore> {
  const database = await openDatabase(url, options);
  try {
    return await openStoreIn(database, name, shape, options, () => database.close());
  } catch (error) {
    await database.close();
    throw error;
  }
}

/** Opens a store in a database that is already open. `close` is called when the store is closed. */
export async function openStoreIn(
  database: Database,
  name: string,
  shape: StoreShape,
  options: PostgresOptions,
  close: () => Promise<void>,
): Promise<VectorStore> {
  const { dimension, columns, numericColumns = [] } = shape;
  const find = 'SELECT * FROM semblance.stores WHERE name = $1';
  const [existing] = await database.query<StoreRow>(find, [escapeText(name)]);
  const create = async (client: PoolClient) => {
    await client.query('LOCK TABLE semblance.stores IN SHARE ROW EXCLUSIVE MODE');
    const found = await client.query<StoreRow>(find, [escapeText(name)]);
    if (found.rows[0] !== undefined) return found.rows[0];
    const { precision = 'single' } = options;
    const made = await client.query<StoreRow>(
      `INSERT INTO semblance.stores (name, dimension, columns, numeric_columns, precision)
       VALUES ($1, $2, $3, $4, $5) RETURNING *`,
      [escapeText(name), dimension, JSON.stringify(columns), JSON.stringify(numericColumns), precision],
    );
    const created = made.rows[0] as StoreRow;
    const sizes = {
      dimension,
      columns: columns.length,
      numericColumns: numericColumns.length,
      precision,
    };
    for (const sql of tableStatements(tableOf(created.number), sizes)) await client.query(sql);
    return created;
  };
  const row = existing ?? (await database.transaction(create));
  const asked = JSON.stringify([dimension, columns, numericColumns]);
  if (JSON.stringify([row.dimension, row.columns, row.numeric_columns]) !== asked)
    throw new DataError(
      'the store has other columns or another vector size than asked for. Index into a new catalogue',
      { file: database.name },
    );
  return new PostgresStore(database, row, options, close);
}

// --- internal ---

interface StoreRow {
  number: number;
  dimension: number;
  columns: string[];
  numeric_columns: string[];
  precision: Precision;
}

type Row = { id: string; vector?: Buffer } & Record<`f${number}`, string[]>;

/** Rows fetched beyond k, so that ties at the end of the list seldom need a second query. */
const SPARE_HITS = 8;
/** Parameters of one statement; the protocol has 65,535. */
const MOST_PARAMETERS = 30_000;
let cursors = 0;

class PostgresStore implements VectorStore {
  readonly dimension: number;
  readonly columns: readonly string[];
  readonly numericColumns: readonly string[];
  readonly #database: Database;
  readonly #number: number;
  readonly #table: string;
  readonly #precision: Precision;
  readonly #options: PostgresOptions;
  readonly #close: () => Promise<void>;
  #hasIndex: Promise<boolean> | undefined;
  #lastWrite: Promise<unknown> = Promise.resolve();
  #closed = false;

  constructor(database: Database, row: StoreRow, options: PostgresOptions, close: () => Promise<void>) {
    this.dimension = row.dimension;
    this.columns = row.columns;
    this.numericColumns = row.numeric_columns;
    this.#database = database;
    this.#number = row.number;
    this.#table = tableOf(row.number);
    this.#precision = row.precision;
    this.#options = options;
    this.#close = close;
  }

  async upsert(records: readonly StoredRecord[]): Promise<void> {
    const rows = checkRecords(this, records).map(({ id, vector, fields }) => [
      escapeText(id),
      vectorText(vector),
      ...this.columns.map((column) => (fields[column] ?? []).map(escapeText)),
      ...this.numericColumns.map((column) => numberOf(fields[column]) ?? null),
    ]);
    await this.#write(async () => {
      if (rows.length === 0) return;
      await this.#change(async (client) => {
        if (rows.length >= (this.#options.copyFrom ?? 500)) await this.#copy(client, rows);
        else await this.#insert(client, rows);
        return rows.length;
      });
    });
  }

  async delete(ids: readonly string[]): Promise<number> {
    return await this.#write(() =>
      this.#change(async (client) => {
        const { rowCount } = await client.query(`DELETE FROM ${this.#table} WHERE id = ANY($1::text[])`, [
          ids.map(escapeText),
        ]);
        return rowCount ?? 0;
      }),
    );
  }

  async get(ids: readonly string[]): Promise<(StoredRecord | undefined)[]> {
    this.#checkOpen();
    if (ids.length === 0) return [];
    const rows = await this.#database.query<Row>(
      `SELECT ${this.#selection()} FROM ${this.#table} WHERE id = ANY($1::text[])`,
      [ids.map(escapeText)],
    );
    const found = new Map(rows.map((row) => [unescapeText(row.id), this.#toRecord(row)]));
    return ids.map((id) => found.get(id));
  }

  async search(vector: Float32Array, { k, filter = [], exact = false }: SearchOptions): Promise<Hit[]> {
    this.#checkOpen();
    checkK(k);
    checkQuery(this, vector);
    checkAsked(this, filter);
    if (k === 0) return [];
    const approximate = this.#options.exact !== true && !exact && (await this.#indexed());
    const values: unknown[] = [vectorText(vector)];
    const condition = filterCondition(filter, this, values);
    const query = `$1::${vectorType(this.#precision)}(${this.dimension})`;
    // What the index does not match is computed for every row that passes.
    const order = approximate
      ? `${indexed(this.#precision, this.dimension)} <#> $1::halfvec(${this.dimension})`
      : `(vector <#> ${query}) + 0`;
    const limitAt = values.length + 1;
    // What is sent is made of the rows that are found; without the subquery of every row that is sorted.
    const text =
      `SELECT ${this.#selection()} FROM (SELECT * FROM ${this.#table} WHERE ${condition} ` +
      `ORDER BY ${order} LIMIT $${limitAt}::bigint) AS found`;
    for (let limit = k + SPARE_HITS; ; limit *= 8) {
      const rows = await this.#database.query<Row>(text, [...values, limit]);
      const hits = rows.map((row) => {
        const record = this.#toRecord(row);
        return { score: dotProduct(vector, record.vector), record };
      });
      hits.sort((a, b) => b.score - a.score || byCodePoint(a.record.id, b.record.id));
      const [kth, last] = [hits[k - 1], hits.at(-1)];
      // Rows that were left out score no more than the last, give or take single precision.
      const complete = approximate || rows.length < limit || kth === undefined || last === undefined;
      if (complete || last.score < kth.score - 1e-5 * Math.max(1, Math.abs(kth.score)))
        return hits.slice(0, k);
    }
  }

  async count(filter: Filter = []): Promise<number> {
    this.#checkOpen();
    checkAsked(this, filter);
    const values: unknown[] = [];
    const condition = filterCondition(filter, this, values);
    const [row] = await this.#database.query<{ count: string }>(
      `SELECT count(*) AS count FROM ${this.#table} WHERE ${condition}`,
      values,
    );
    return Number(row?.count);
  }

  async facets(columns: readonly string[], filter: Filter = []): Promise<Record<string, FacetCount[]>> {
    this.#checkOpen();
    checkAsked(this, filter, columns);
    const counted: Record<string, FacetCount[]> = {};
    for (const column of columns) {
      const values: unknown[] = [];
      const condition = filterCondition(filter, this, values);
      const name = `f${this.columns.indexOf(column)}`;
      const rows = await this.#database.query<{ value: string; count: string }>(
        `SELECT value, count(*) AS count FROM ${this.#table},
           LATERAL (SELECT DISTINCT unnest(${name}) COLLATE "C" AS value) AS shown
         WHERE ${condition} GROUP BY value ORDER BY count(*) DESC, value`,
        values,
      );
      counted[column] = rows.map(({ value, count }) => ({
        value: unescapeText(value),
        count: Number(count),
      }));
    }
    return counted;
  }

  /** By a cursor that the server holds, in a temporary file of its own where it is long. */
  async *scan(options: ScanOptions = {}): AsyncGenerator<StoredRecord[], void, undefined> {
    this.#checkOpen();
    const { columns, vectors, batchSize, after, limit, filter } = resolveScan(this, options);
    const values: unknown[] = [];
    const conditions = [filterCondition(filter, this, values)];
    if (after !== undefined) conditions.push(`id > $${values.push(escapeText(after))}::text COLLATE "C"`);
    const most = Number.isFinite(limit) ? ` LIMIT $${values.push(limit)}::bigint` : '';
    const cursor = `semblance_scan_${process.pid}_${cursors++}`;
    const connection = await this.#database.connect();
    try {
      await connection.query(
        `DECLARE ${cursor} NO SCROLL CURSOR WITH HOLD FOR SELECT ${this.#selection(columns, vectors)} ` +
          `FROM ${this.#table} WHERE ${conditions.join(' AND ')} ORDER BY id${most}`,
        values,
      );
      for (;;) {
        const rows = await connection.query<Row>(`FETCH ${batchSize} FROM ${cursor}`);
        if (rows.length === 0) return;
        yield rows.map((row) => this.#toRecord(row, columns));
      }
    } finally {
      await connection.query(`CLOSE ${cursor}`).catch(() => {});
      connection.release();
    }
  }

  async version(): Promise<number> {
    this.#checkOpen();
    const [row] = await this.#database.query<{ version: string }>(
      'SELECT version FROM semblance.stores WHERE number = $1',
      [this.#number],
    );
    return Number(row?.version ?? 0);
  }

  async warm(): Promise<void> {
    await this.search(new Float32Array(this.dimension), { k: 1 });
  }

  async flush(): Promise<void> {
    await this.#write(async () => {
      const { index = 'none', indexFrom = 20_000 } = this.#options;
      const isWanted = index === 'hnsw' && !(await this.#indexed()) && (await this.count()) >= indexFrom;
      if (isWanted)
        await this.#database.query(
          `CREATE INDEX IF NOT EXISTS ${this.#indexName()} ON ${this.#table} ` +
            `USING hnsw ((${indexed(this.#precision, this.dimension)}) halfvec_ip_ops)`,
        );
      this.#hasIndex = undefined;
      await this.#database.query(`ANALYZE ${this.#table}`);
    });
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    await this.#lastWrite.catch(() => {});
    await this.#close();
  }

  /** One transaction, which raises the version where something changed. */
  async #change(action: (client: PoolClient) => Promise<number>): Promise<number> {
    return await this.#database.transaction(async (client) => {
      const raised = await client.query(
        'UPDATE semblance.stores SET version = version + 1 WHERE number = $1',
        [this.#number],
      );
      if (raised.rowCount === 0)
        throw new DataError('the store is gone: another model has taken its place. Open the catalogue again');
      return await action(client);
    });
  }

  async #insert(client: PoolClient, rows: readonly unknown[][]): Promise<void> {
    const width = rows[0]?.length ?? 1;
    const types = ['text', vectorType(this.#precision), ...this.columns.map(() => 'text[]')];
    const perStatement = Math.max(1, Math.floor(MOST_PARAMETERS / width));
    for (let start = 0; start < rows.length; start += perStatement) {
      const chunk = rows.slice(start, start + perStatement);
      const tuples = chunk.map(
        (row, n) => `(${row.map((_, i) => `$${n * width + i + 1}::${types[i] ?? 'double precision'}`)})`,
      );
      await client.query(
        `INSERT INTO ${this.#table} (${this.#names()}) VALUES ${tuples.join(', ')} ${this.#onConflict()}`,
        chunk.flat(),
      );
    }
  }

  async #copy(
    client: PoolClient,
    rows: readonly (readonly (string | number | null | readonly string[])[])[],
  ): Promise<void> {
    const staging = `semblance_staging_${this.#number}`;
    await client.query(
      `CREATE TEMP TABLE ${staging} ON COMMIT DROP AS SELECT * FROM ${this.#table} WITH NO DATA`,
    );
    const stream = client.query(copyFrom(`COPY ${staging} (${this.#names()}) FROM STDIN`));
    const done = once(stream, 'finish');
    await Promise.all([pipeline(Readable.from(rows.map(copyRow)), stream), done]);
    await client.query(
      `INSERT INTO ${this.#table} (${this.#names()}) SELECT ${this.#names()} FROM ${staging} ${this.#onConflict()}`,
    );
    await client.query(`DROP TABLE ${staging}`);
  }

  #names(): string {
    return ['id', 'vector', ...this.columns.map((_, n) => `f${n}`), ...this.#numbers()].join(', ');
  }

  #numbers(): string[] {
    return this.numericColumns.map((_, n) => `n${n}`);
  }

  #onConflict(): string {
    const names = ['vector', ...this.columns.map((_, n) => `f${n}`), ...this.#numbers()];
    return `ON CONFLICT (id) DO UPDATE SET ${names.map((name) => `${name} = excluded.${name}`).join(', ')}`;
  }

  /** Vectors as bytes: their texts would be three times as long, and slow to read. */
  #selection(columns: readonly string[] = this.columns, vectors = true): string {
    const bytes = this.#precision === 'half' ? 'vector_send(vector::vector)' : 'vector_send(vector)';
    return [
      'id',
      ...(vectors ? [`${bytes} AS vector`] : []),
      ...columns.map((column) => `f${this.columns.indexOf(column)}`),
    ].join(', ');
  }

  #toRecord(row: Row, columns: readonly string[] = this.columns): StoredRecord {
    return {
      id: unescapeText(row.id),
      vector: row.vector === undefined ? new Float32Array() : parseVector(row.vector),
      fields: Object.fromEntries(
        columns.map((column) => [
          column,
          (row[`f${this.columns.indexOf(column)}`] as string[]).map(unescapeText),
        ]),
      ),
    };
  }

  #indexName(): string {
    return `records_${this.#number}_hnsw`;
  }

  /** Whether there is an index; asked once, and again after `flush`. */
  async #indexed(): Promise<boolean> {
    this.#hasIndex ??= this.#database
      .query<{ is: boolean }>('SELECT to_regclass($1) IS NOT NULL AS is', [`semblance.${this.#indexName()}`])
      .then((rows) => rows[0]?.is === true);
    return await this.#hasIndex;
  }

  /** One write at a time, in the order they were asked for. In a change that has the turn nothing is waited for. */
  #write<T>(action: () => Promise<T>): Promise<T> {
    this.#checkOpen();
    if (this.#database.isChanging) return action();
    const done = this.#lastWrite.catch(() => {}).then(action);
    this.#lastWrite = done;
    return done;
  }

  #checkOpen(): void {
    if (this.#closed) throw new DataError('store: must be open, got a call after close()');
  }
}

function tableOf(number: number): string {
  return `semblance.records_${number}`;
}

/** What the index is of. */
function indexed(precision: Precision, dimension: number): string {
  return precision === 'half' ? 'vector' : `(vector::halfvec(${dimension}))`;
}
