/**
 * A PostgreSQL database with pgvector: the address, the pool of connections, transactions, and the versions of the
 * tables. Passwords never reach a message.
 */
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import { DataError, errorMessage } from '../../util/index.js';
import { MIGRATIONS } from './postgres-sql.js';
import { describeUrl, parseUrl } from './postgres-url.js';

/** How searches use the index; set once a connection. */
export interface IndexSettings {
  /** Candidates that HNSW keeps; more finds more and takes longer. Default 100. */
  readonly efSearch?: number;
  /** How a search goes on when a filter has eaten its candidates. Default `relaxed_order`; hits are sorted anyway. */
  readonly iterativeScan?: 'relaxed_order' | 'strict_order' | 'off';
  /** Tuples that such a search visits at most. Default 20,000 (pgvector's). */
  readonly maxScanTuples?: number;
}

/**
 * Connects, and brings the tables of the metadata up to date.
 * @param url as libpq has it; a password may come from PGPASSWORD or ~/.pgpass instead.
 * @throws DataError when there is no such database, it has no pgvector of 0.8 or later, or a newer semblance made it.
 */
export async function openDatabase(
  url: string,
  settings: IndexSettings & { readonly connections?: number } = {},
): Promise<Database> {
  const parsed = parseUrl(url);
  parsed.hash = '';
  const database = new Database(describeUrl(url), {
    connectionString: parsed.toString(),
    max: settings.connections ?? 8,
    connectionTimeoutMillis: 10_000,
    application_name: 'semblance',
  });
  try {
    database.configure(settings);
    await database.migrate();
    return database;
  } catch (error) {
    await database.close();
    throw error;
  }
}

export class Database {
  /** For messages: without a password. */
  readonly name: string;
  readonly pool: Pool;
  #settings = '';

  constructor(name: string, config: PoolConfig) {
    this.name = name;
    this.pool = new Pool({
      ...config,
      // Awaited by the pool before anybody gets the connection.
      onConnect: async (client) => {
        await client.query(this.#settings);
      },
    });
    // A connection that breaks while idle is replaced by the pool; the next query says what is wrong.
    this.pool.on('error', () => {});
  }

  configure({
    efSearch = 100,
    iterativeScan = 'relaxed_order',
    maxScanTuples = 20_000,
  }: IndexSettings): void {
    for (const [name, value] of Object.entries({ efSearch, maxScanTuples }))
      if (!Number.isInteger(value) || value < 1)
        throw new DataError(`postgres: ${name} must be a whole number from 1 on, got ${value}`);
    if (!['relaxed_order', 'strict_order', 'off'].includes(iterativeScan))
      throw new DataError(`postgres: iterativeScan must be relaxed_order, strict_order or off`);
    this.#settings =
      `SET hnsw.ef_search = ${efSearch}; SET hnsw.iterative_scan = ${iterativeScan}; ` +
      `SET hnsw.max_scan_tuples = ${maxScanTuples}`;
  }

  async query<Row extends object>(text: string, values: unknown[] = []): Promise<Row[]> {
    try {
      return (await this.pool.query<Row>(text, values)).rows;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Runs an action in a transaction: all of it counts, or nothing. */
  async transaction<T>(action: (client: PoolClient) => Promise<T>): Promise<T> {
    return await this.withClient(async (client) => {
      await client.query('BEGIN');
      try {
        const result = await action(client);
        await client.query('COMMIT');
        return result;
      } catch (error) {
        await client.query('ROLLBACK').catch(() => {});
        throw error;
      }
    });
  }

  /** Runs an action on one connection. */
  async withClient<T>(action: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined;
    try {
      client = await this.pool.connect();
      return await action(client);
    } catch (error) {
      throw this.#failure(error);
    } finally {
      client?.release();
    }
  }

  async close(): Promise<void> {
    if (!this.pool.ended && !this.pool.ending) await this.pool.end();
  }

  /** One process at a time, by an advisory lock; each change and its number in one transaction. */
  async migrate(): Promise<void> {
    await this.transaction(async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      const found = await client.query<{ version: string }>(
        "SELECT extversion AS version FROM pg_extension WHERE extname = 'vector'",
      );
      if (found.rows.length === 0) await client.query('CREATE EXTENSION IF NOT EXISTS vector');
      const version = found.rows[0]?.version;
      if (version !== undefined && /^0\.[0-7]\./.test(version))
        throw new DataError(
          `pgvector must be 0.8 or later, got ${version}. Update it: ALTER EXTENSION vector UPDATE`,
        );
      await client.query('CREATE SCHEMA IF NOT EXISTS semblance');
      await client.query('CREATE TABLE IF NOT EXISTS semblance.migrations (number integer PRIMARY KEY)');
      const { rows } = await client.query<{ last: number }>(
        'SELECT coalesce(max(number), 0) AS last FROM semblance.migrations',
      );
      const last = rows[0]?.last ?? 0;
      if (last > MIGRATIONS.length)
        throw new DataError('the database was written by a later semblance. Update semblance', {
          file: this.name,
        });
      for (const [n, sql] of MIGRATIONS.entries()) {
        if (n < last) continue;
        await client.query(sql);
        await client.query('INSERT INTO semblance.migrations VALUES ($1)', [n + 1]);
      }
    });
  }

  #failure(error: unknown): Error {
    if (error instanceof DataError) return error;
    const text = errorMessage(error) || (error as { code?: string }).code || 'the connection failed';
    return new DataError(`the database says: ${text}`, { file: this.name, cause: error });
  }
}

// --- internal ---

const MIGRATION_LOCK = 7_364_120_501;
