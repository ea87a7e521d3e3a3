/**
 * A PostgreSQL database with pgvector: the address, the pool of connections, transactions, changes that take turns, and
 * the versions of the tables. Passwords never reach a message.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { hostname } from 'node:os';
import pLimit, { type LimitFunction } from 'p-limit';
import { Pool, type PoolClient, type PoolConfig } from 'pg';
import {
  DataError,
  errorMessage,
  type LockHolder,
  PATIENCE_MS,
  stopwatch,
  type WaitOptions,
} from '../../util/index.js';
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
  const address = addressOf(url);
  const database = new Database(describeUrl(url), address, {
    connectionString: address,
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

/**
 * A database that this process opens once, whoever asks: the last to release it closes it.
 * @throws as `openDatabase`
 */
export async function shareDatabase(url: string): Promise<{ database: Database; release(): Promise<void> }> {
  const address = addressOf(url);
  let entry = shared.get(address);
  if (entry === undefined) {
    entry = { opening: openDatabase(url), users: 0 };
    shared.set(address, entry);
  }
  const { opening } = entry;
  const own = entry;
  own.users++;
  let isHeld = true;
  const release = async () => {
    if (!isHeld) return;
    isHeld = false;
    if (--own.users > 0) return;
    if (shared.get(address) === own) shared.delete(address);
    await opening.then(
      (database) => database.close(),
      () => {},
    );
  };
  try {
    return { database: await opening, release };
  } catch (error) {
    await release();
    throw error;
  }
}

/** One connection, for statements that belong together. */
export interface Connection {
  query<Row extends object>(text: string, values?: unknown[]): Promise<Row[]>;
  release(): void;
}

export class Database {
  /** For messages: without a password. */
  readonly name: string;
  readonly #address: string;
  readonly #pool: Pool;
  #settings = '';

  constructor(name: string, address: string, config: PoolConfig) {
    this.name = name;
    this.#address = address;
    this.#pool = new Pool({
      ...config,
      // Awaited by the pool before anybody gets the connection.
      onConnect: async (client) => {
        await client.query(this.#settings);
      },
    });
    // A connection that breaks is replaced by the pool; the query that had it, or the next one, says what is wrong.
    this.#pool.on('error', () => {});
    this.#pool.on('connect', (client) => client.on('error', () => {}));
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
      const change = this.#change();
      if (change === undefined) return (await this.#pool.query<Row>(text, values)).rows;
      return (await change.turn(() => change.client.query<Row>(text, values))).rows;
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Runs an action in a transaction: all of it counts, or nothing. Within a change it is a part of that. */
  async transaction<T>(action: (client: PoolClient) => Promise<T>): Promise<T> {
    const change = this.#change();
    const [begin, commit, rollback] =
      change === undefined
        ? ['BEGIN', 'COMMIT', 'ROLLBACK']
        : ['SAVEPOINT semblance', 'RELEASE semblance', 'ROLLBACK TO semblance'];
    const run = async (client: PoolClient) => {
      await client.query(begin);
      try {
        const result = await action(client);
        await client.query(commit);
        return result;
      } catch (error) {
        await client.query(rollback).catch(() => {});
        throw error;
      }
    };
    if (change === undefined) return await this.#withClient(run);
    try {
      return await change.turn(() => run(change.client));
    } catch (error) {
      throw this.#failure(error);
    }
  }

  /** Whether what runs now is part of a change (see `change`). */
  get isChanging(): boolean {
    return this.#change() !== undefined;
  }

  /**
   * Runs an action while no other process or part of this one runs one with the same key. All statements of the action
   * to this database, by whatever `Database` object, are one transaction: when its connection breaks, or the process is
   * killed, none of them was done. Holds through poolers that give connections by the transaction.
   * An action within an action is a part of it.
   * @param options.onWait told after two seconds, where the database knows who is waited for: the process says so in
   *   `application_name` for the length of the change
   * @throws what `signal` was aborted with, while it waits
   */
  async change<T>(key: string, action: () => Promise<T>, { signal, onWait }: WaitOptions = {}): Promise<T> {
    if (this.isChanging) return await action();
    const asDatabase = (error: unknown): never => {
      throw this.#failure(error);
    };
    const client = await this.#pool.connect().catch(asDatabase);
    try {
      const waited = stopwatch();
      for (let isTold = onWait === undefined; !(await takeTurn(client, key).catch(asDatabase)); ) {
        signal?.throwIfAborted();
        if (isTold || waited() * 1000 < PATIENCE_MS) continue;
        const holder = await holderOf(client, key).catch(() => undefined); // not everybody may ask
        if (holder === undefined) continue;
        onWait?.(holder);
        isTold = true;
      }
      const change: Change = { address: this.#address, client, turn: pLimit(1), isOpen: true };
      try {
        signal?.throwIfAborted();
        const result = await changes.run(change, action);
        change.isOpen = false;
        await change.turn(() => client.query('COMMIT')).catch(asDatabase);
        return result;
      } catch (error) {
        change.isOpen = false;
        await change.turn(() => client.query('ROLLBACK')).catch(() => {});
        throw error;
      }
    } finally {
      client.release();
    }
  }

  /** Of the change that runs, or else one from the pool. To be released. */
  async connect(): Promise<Connection> {
    const change = this.#change();
    if (change !== undefined) return { query: (text, values) => this.query(text, values), release() {} };
    const client = await this.#pool.connect().catch((error) => {
      throw this.#failure(error);
    });
    return {
      query: async <Row extends object>(text: string, values: unknown[] = []) => {
        try {
          return (await client.query<Row>(text, values)).rows;
        } catch (error) {
          throw this.#failure(error);
        }
      },
      release: () => client.release(),
    };
  }

  async close(): Promise<void> {
    if (!this.#pool.ended && !this.#pool.ending) await this.#pool.end();
  }

  /**
   * Brings the tables up to date: one process at a time, by an advisory lock, all changes and their numbers in one
   * transaction. Where they are up to date nothing is written, so that whoever may only read can.
   */
  async migrate(): Promise<void> {
    const [found] = await this.query<{ vector: string | null; isMade: boolean }>(
      `SELECT (SELECT extversion FROM pg_extension WHERE extname = 'vector') AS vector,
              to_regclass('semblance.migrations') IS NOT NULL AS "isMade"`,
    );
    const version = found?.vector ?? undefined;
    if (version !== undefined && /^0\.[0-7]\./.test(version))
      throw new DataError(
        `pgvector must be 0.8 or later, got ${version}. Update it: ALTER EXTENSION vector UPDATE`,
        { file: this.name },
      );
    if (found?.isMade) {
      const [row] = await this.query<{ last: number }>(LAST_MIGRATION);
      if (this.#isUpToDate(row?.last) && version !== undefined) return;
    }
    await this.transaction(async (client) => {
      await client.query('SELECT pg_advisory_xact_lock($1)', [MIGRATION_LOCK]);
      if (version === undefined) await client.query('CREATE EXTENSION IF NOT EXISTS vector');
      await client.query('CREATE SCHEMA IF NOT EXISTS semblance');
      await client.query('CREATE TABLE IF NOT EXISTS semblance.migrations (number integer PRIMARY KEY)');
      const { rows } = await client.query<{ last: number }>(LAST_MIGRATION);
      const last = rows[0]?.last ?? 0;
      if (this.#isUpToDate(last)) return;
      for (const [n, sql] of MIGRATIONS.entries()) {
        if (n < last) continue;
        await client.query(sql);
        await client.query('INSERT INTO semblance.migrations VALUES ($1)', [n + 1]);
      }
    });
  }

  /** @throws DataError when a later semblance was here */
  #isUpToDate(last = 0): boolean {
    if (last > MIGRATIONS.length)
      throw new DataError(
        `the database's tables must be of version ${MIGRATIONS.length} or earlier, got ${last}, which a later semblance made. Update semblance`,
        { file: this.name },
      );
    return last === MIGRATIONS.length;
  }

  #change(): Change | undefined {
    const change = changes.getStore();
    return change?.isOpen && change.address === this.#address ? change : undefined;
  }

  async #withClient<T>(action: (client: PoolClient) => Promise<T>): Promise<T> {
    let client: PoolClient | undefined;
    try {
      client = await this.#pool.connect();
      return await action(client);
    } catch (error) {
      throw this.#failure(error);
    } finally {
      client?.release();
    }
  }

  #failure(error: unknown): Error {
    if (error instanceof DataError) return error;
    const text = errorMessage(error) || (error as { code?: string }).code || 'the connection failed';
    return new DataError(`the database says: ${text}`, { file: this.name, cause: error });
  }
}

// --- internal ---

/** A change under way: its connection, on which one statement runs at a time. */
interface Change {
  readonly address: string;
  readonly client: PoolClient;
  readonly turn: LimitFunction;
  isOpen: boolean;
}

const changes = new AsyncLocalStorage<Change>();
const shared = new Map<string, { readonly opening: Promise<Database>; users: number }>();
const MIGRATION_LOCK = 7_364_120_501;
const LAST_MIGRATION = 'SELECT coalesce(max(number), 0) AS last FROM semblance.migrations';
/** How this process is called while it makes a change: 63 characters at most, and nothing that must be quoted. */
const OWN_NAME = `semblance ${process.pid} ${hostname().replace(/[^\w.-]/g, '_')}`.slice(0, 63);
/** SQLSTATE: a lock was not free in time. */
export const LOCK_NOT_AVAILABLE = '55P03';

/** Begins a transaction that holds the key's lock. @returns false when that was not free for a second */
async function takeTurn(client: PoolClient, key: string): Promise<boolean> {
  await client.query(`BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL application_name = '${OWN_NAME}'`);
  try {
    await client.query('SELECT pg_advisory_xact_lock(hashtextextended($1, 0))', [lockName(key)]);
    // A change may take its time between two statements.
    await client.query(
      'SET LOCAL lock_timeout TO DEFAULT; SET LOCAL idle_in_transaction_session_timeout = 0',
    );
    return true;
  } catch (error) {
    await client.query('ROLLBACK').catch(() => {});
    if ((error as { code?: unknown }).code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

/** The process that holds a key's lock. @returns undefined when it says nothing, or has let go */
async function holderOf(client: PoolClient, key: string): Promise<LockHolder | undefined> {
  const { rows } = await client.query<{ name: string | null }>(
    `SELECT application_name AS name FROM pg_locks JOIN pg_stat_activity USING (pid)
     WHERE locktype = 'advisory' AND granted AND objsubid = 1
       AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
       AND ((classid::bigint << 32) | objid::bigint) = hashtextextended($1, 0)`,
    [lockName(key)],
  );
  const [, number, host] = /^semblance (\d+) (\S+)$/.exec(rows[0]?.name ?? '') ?? [];
  return number === undefined || host === undefined ? undefined : { process: Number(number), host };
}

function lockName(key: string): string {
  return `semblance ${key}`;
}

/** Without the catalogue's name. */
function addressOf(url: string): string {
  const parsed = parseUrl(url);
  parsed.hash = '';
  return parsed.toString();
}
