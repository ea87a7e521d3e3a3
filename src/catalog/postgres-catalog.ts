/**
 * Where a catalogue in PostgreSQL keeps its description: a row of `semblance.catalogs`. A location is
 * `postgres://user@host:port/database#name`; a password comes from PGPASSWORD or ~/.pgpass, because locations are
 * printed, logged and seen in lists of processes.
 */
import { DataError } from '../util/index.js';
import type { StoreShape, VectorStore } from './store.js';
import { openPostgresStore } from './stores/postgres.js';
import { type Database, openDatabase } from './stores/postgres-database.js';
import { catalogName, describeUrl } from './stores/postgres-url.js';

/** @returns the description's JSON; `undefined` where there is no such catalogue. */
export async function readDatabaseDescription(location: string): Promise<string | undefined> {
  return await withDatabase(location, async (database) => {
    const [row] = await database.query<{ text: string }>(
      'SELECT description::text AS text FROM semblance.catalogs WHERE name = $1',
      [catalogName(location)],
    );
    return row?.text;
  });
}

/** Writes the description, whole or not at all. */
export async function writeDatabaseDescription(location: string, description: object): Promise<void> {
  await withDatabase(location, (database) =>
    database.query(
      `INSERT INTO semblance.catalogs (name, description) VALUES ($1, $2)
       ON CONFLICT (name) DO UPDATE SET description = excluded.description`,
      [catalogName(location), JSON.stringify(description)],
    ),
  );
}

/** Opens one of the catalogue's stores. From 20,000 pictures on it gets an index. */
export async function openDatabaseStore(
  location: string,
  store: string,
  shape: StoreShape,
): Promise<VectorStore> {
  refusePassword(location);
  return await openPostgresStore(location, `${catalogName(location)}/${store}`, shape, {
    index: 'hnsw',
    // Rows by parameters go through every pooler and PGlite; COPY pays from here on.
    copyFrom: 1000,
  });
}

// --- internal ---

async function withDatabase<T>(location: string, action: (database: Database) => Promise<T>): Promise<T> {
  refusePassword(location);
  const database = await openDatabase(location, { connections: 1 });
  try {
    return await action(database);
  } finally {
    await database.close();
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
