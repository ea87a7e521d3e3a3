import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { startPglite, type TestServer } from '../../../test/conformance/postgres-server.js';
import { openPostgresStore } from './postgres.js';
import { type Database, openDatabase, shareDatabase } from './postgres-database.js';
import { MIGRATIONS } from './postgres-sql.js';

describe('the versions of the tables', () => {
  let server: TestServer;
  let database: Database;
  const shape = { dimension: 2, columns: ['kind'] };
  const record = { id: 'a', vector: Float32Array.of(1, 2), fields: { kind: ['cat'] } };
  const store = () => openPostgresStore(server.url, 'kept', shape, { connections: 1 });
  const statement = (sql: string) => database.transaction((client) => client.query(sql));
  beforeAll(async () => {
    server = await startPglite();
    database = await openDatabase(server.url, { connections: 1 });
  }, 240_000);
  afterEach(async () => {
    await statement(`DELETE FROM semblance.migrations WHERE number > ${MIGRATIONS.length}`);
  });
  afterAll(async () => {
    await database.close();
    await server.stop();
  });

  it('brings an older version up to date and keeps what is in it', async () => {
    await statement('DROP SCHEMA semblance CASCADE; CREATE SCHEMA semblance');
    await statement(
      'CREATE TABLE semblance.migrations (number integer PRIMARY KEY); INSERT INTO semblance.migrations VALUES (1)',
    );
    await statement(MIGRATIONS[0] as string);
    // As the first version wrote it.
    await statement(
      `INSERT INTO semblance.stores (name, dimension, columns, numeric_columns, precision)
       VALUES ('kept', 2, '["kind"]', '[]', 'single');
       CREATE TABLE semblance.records_1 (
         id text COLLATE "C" PRIMARY KEY, vector vector(2) NOT NULL, f0 text[] COLLATE "C" NOT NULL
       );
       INSERT INTO semblance.records_1 VALUES ('a', '[1,2]', '{cat}')`,
    );
    const opened = await store();
    expect(await opened.get(['a'])).toEqual([record]);
    await opened.close();
    const numbers = await database.query('SELECT number FROM semblance.migrations ORDER BY number');
    expect(numbers).toEqual(MIGRATIONS.map((_, n) => ({ number: n + 1 })));
    for (const table of ['set_aside', 'readers'])
      expect(await database.query(`SELECT * FROM semblance.${table}`)).toEqual([]);
  });

  it('refuses a later version in one line that says what to do', async () => {
    const later = MIGRATIONS.length + 1;
    await statement(`INSERT INTO semblance.migrations VALUES (${later})`);
    const error = await store().catch((thrown: unknown) => thrown);
    const message = (error as Error).message;
    expect(message).toMatch(
      new RegExp(`version ${MIGRATIONS.length} or earlier, got ${later}, .*Update semblance`),
    );
    expect(message).not.toContain('\n');
  });

  it('is shared within a process, and closed by the last that has it', async () => {
    const [one, two] = await Promise.all([shareDatabase(server.url), shareDatabase(`${server.url}#x`)]);
    expect(one.database).toBe(two.database);
    await one.release();
    await one.release();
    expect(await two.database.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    await two.release();
    await expect(two.database.query('SELECT 1')).rejects.toThrow(/the database says/);
    const again = await shareDatabase(server.url);
    expect(await again.database.query('SELECT 2 AS two')).toEqual([{ two: 2 }]);
    await again.release();
  });

  it('undoes a part of a change that failed, and with the change all of it', async () => {
    await statement('CREATE TABLE IF NOT EXISTS tried (n integer)');
    const insert = (n: number) => database.query('INSERT INTO tried VALUES ($1)', [n]);
    const numbers = async () =>
      (await database.query<{ n: number }>('SELECT n FROM tried ORDER BY n')).map(({ n }) => n);
    await database.change('key', async () => {
      expect(database.isChanging).toBe(true);
      await Promise.all([insert(1), insert(2)]);
      const part = database.transaction(async (client) => {
        await client.query('INSERT INTO tried VALUES (3)');
        throw new Error('no');
      });
      await expect(part).rejects.toThrow('no');
      await database.change('key', () => insert(4));
    });
    expect(database.isChanging).toBe(false);
    expect(await numbers()).toEqual([1, 2, 4]);
    const mistake = new TypeError('a mistake of ours');
    const failed = database.change('key', async () => {
      await insert(5);
      throw mistake;
    });
    await expect(failed).rejects.toBe(mistake);
    expect(await numbers()).toEqual([1, 2, 4]);
  });
});
