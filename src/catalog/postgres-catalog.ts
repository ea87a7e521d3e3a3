/**
 * Where a catalogue in PostgreSQL keeps its description: a row of `semblance.catalogs`. A location is
 * `postgres://user@host:port/database#name`; a password comes from PGPASSWORD or ~/.pgpass, because locations are
 * printed, logged and seen in lists of processes.
 *
 * Changes take turns by an advisory lock of the catalogue and are one transaction each. Who reads a store says so in
 * `semblance.readers`, with the time; one that was not heard of for a minute is dead.
 */
import { randomUUID } from 'node:crypto';
import { DataError } from '../util/index.js';
import type { RemoteCatalogs } from './remote-catalog.js';
import { openStoreIn } from './stores/postgres.js';
import { type Database, LOCK_NOT_AVAILABLE, shareDatabase } from './stores/postgres-database.js';
import { escapeText, unescapeText } from './stores/postgres-sql.js';
import { catalogName, describeUrl } from './stores/postgres-url.js';

export const postgresCatalogs: RemoteCatalogs = {
  readDescription: (location) => withDatabase(location, (database) => readDescription(database, location)),

  writeDescription: (location, description) =>
    withDatabase(location, async (database) => {
      await database.query(
        `INSERT INTO semblance.catalogs (name, description) VALUES ($1, $2)
         ON CONFLICT (name) DO UPDATE SET description = excluded.description`,
        [catalogName(location), JSON.stringify(description)],
      );
    }),

  // What a change writes to the database is one transaction.
  whileWriting: (location, change, options) =>
    withDatabase(location, (database) =>
      database.change(`catalog ${catalogName(location)}`, change, options),
    ),

  async openStore(location, store, shape) {
    refusePassword(location);
    const { database, release } = await shareDatabase(location);
    try {
      // From 20,000 pictures on it gets an index. Rows by parameters go through every pooler and PGlite; COPY pays from
      // here on.
      const options = { index: 'hnsw', copyFrom: 1000 } as const;
      return await openStoreIn(database, `${catalogName(location)}/${store}`, shape, options, release);
    } catch (error) {
      await release();
      throw error;
    }
  },

  // Until it is released or was not heard of for a minute.
  async holdStore(location, store) {
    const { database, release } = await shareDatabase(location);
    const reader = randomUUID();
    const say = () =>
      database.query(
        `INSERT INTO semblance.readers (reader, store, seen_at) VALUES ($1, $2, clock_timestamp())
         ON CONFLICT (reader) DO UPDATE SET seen_at = excluded.seen_at`,
        [reader, escapeText(`${catalogName(location)}/${store}`)],
      );
    try {
      await say();
    } catch (error) {
      await release();
      throw error;
    }
    const timer = setInterval(() => void say().catch(() => {}), (READER_SECONDS * 1000) / 4).unref();
    return {
      async handTo() {},
      async release() {
        clearInterval(timer);
        await database.query('DELETE FROM semblance.readers WHERE reader = $1', [reader]).catch(() => {});
        await release();
      },
    };
  },

  stores: (location) => withDatabase(location, (database) => storesOf(database, location)),

  dropStore: (location, store) =>
    postgresCatalogs.whileWriting(location, () =>
      withDatabase(location, (database) => dropStore(database, location, store)),
    ),
};

// --- internal ---

/** After which a reader that says nothing is taken for dead. */
const READER_SECONDS = 60;

async function readDescription(database: Database, location: string): Promise<string | undefined> {
  const [row] = await database.query<{ text: string }>(
    'SELECT description::text AS text FROM semblance.catalogs WHERE name = $1',
    [catalogName(location)],
  );
  return row?.text;
}

/** To be called in a change. */
async function dropStore(database: Database, location: string, store: string): Promise<boolean> {
  const current = JSON.parse((await readDescription(database, location)) ?? '{}') as { store?: string };
  const found = (await storesOf(database, location)).find((one) => one.store === store);
  if (found === undefined || found.isRead || current.store === store) return false;
  try {
    await database.transaction(async (client) => {
      // A statement that still reads it is not waited for; another time will do.
      await client.query("SET LOCAL lock_timeout = '2s'");
      await client.query(`DROP TABLE IF EXISTS semblance.records_${found.number}`);
      await client.query('DELETE FROM semblance.stores WHERE number = $1', [found.number]);
      await client.query('DELETE FROM semblance.readers WHERE store = $1', [
        escapeText(`${catalogName(location)}/${store}`),
      ]);
      await client.query('SET LOCAL lock_timeout TO DEFAULT');
    });
    return true;
  } catch (error) {
    if (((error as Error).cause as { code?: unknown } | undefined)?.code === LOCK_NOT_AVAILABLE) return false;
    throw error;
  }
}

async function storesOf(
  database: Database,
  location: string,
): Promise<{ store: string; number: number; isRead: boolean }[]> {
  const prefix = `${catalogName(location)}/`;
  const rows = await database.query<{ name: string; number: number; isRead: boolean }>(
    `SELECT name, number, EXISTS (
       SELECT 1 FROM semblance.readers
       WHERE store = name AND seen_at > clock_timestamp() - make_interval(secs => $2)
     ) AS "isRead"
     FROM semblance.stores WHERE starts_with(name, $1) ORDER BY name`,
    [escapeText(prefix), READER_SECONDS],
  );
  return rows
    .map(({ name, number, isRead }) => ({
      store: unescapeText(name).slice(prefix.length),
      number,
      isRead,
    }))
    .filter(({ store }) => !store.includes('/'));
}

async function withDatabase<T>(location: string, action: (database: Database) => Promise<T>): Promise<T> {
  refusePassword(location);
  const { database, release } = await shareDatabase(location);
  try {
    return await action(database);
  } finally {
    await release();
  }
}

function refusePassword(location: string): void {
  if (URL.canParse(location) && new URL(location).password !== '')
    throw new DataError(
      'a password must not stand in the location of a catalogue, which is printed and logged. ' +
        'Put it into PGPASSWORD or ~/.pgpass',
      { file: describeUrl(location) },
    );
}
