/** Spreading a catalogue in PostgreSQL over several machines, which Citus does. */
import { DataError } from '../../util/index.js';
import { readDescription } from '../catalog.js';
import { shareDatabase } from '../stores/postgres-database.js';
import { escapeText } from '../stores/postgres-sql.js';
import { catalogName, describeUrl, isPostgresUrl } from '../stores/postgres-url.js';

/**
 * Distributes the records of a catalogue by id over the machines of a Citus cluster. Statements stay what they are.
 * @param options.shards pieces, which lie on the machines in turn. Default: Citus's own, 32.
 * @returns the table, and whether it was distributed before.
 * @throws DataError when the catalogue is in no database, or the database has no Citus.
 */
export async function shardCatalog(
  location: string,
  { shards }: { readonly shards?: number | undefined } = {},
): Promise<{ readonly table: string; readonly wasDistributed: boolean }> {
  if (!isPostgresUrl(location))
    throw new DataError(
      `catalog shard: a catalogue in a database is required, postgres://user@host/database#name, got ${location}`,
    );
  const { description } = await readDescription(location);
  const { database, release } = await shareDatabase(location);
  try {
    const citus = await database.query("SELECT 1 FROM pg_extension WHERE extname = 'citus'");
    if (citus.length === 0)
      throw new DataError(
        'catalog shard: the database must have the extension Citus, got none. Install it on every machine of the ' +
          'cluster, then: CREATE EXTENSION citus',
        { file: describeUrl(location) },
      );
    const [store] = await database.query<{ number: number }>(
      'SELECT number FROM semblance.stores WHERE name = $1',
      [escapeText(`${catalogName(location)}/${description.store}`)],
    );
    if (store === undefined)
      throw new DataError('the catalogue has no records. Index first', { file: describeUrl(location) });
    const table = `semblance.records_${store.number}`;
    const found = await database.query('SELECT 1 FROM pg_dist_partition WHERE logicalrelid = $1::regclass', [
      table,
    ]);
    if (found.length > 0) return { table, wasDistributed: true };
    await database.query(
      shards === undefined
        ? "SELECT create_distributed_table($1, 'id')"
        : "SELECT create_distributed_table($1, 'id', shard_count => $2)",
      shards === undefined ? [table] : [table, shards],
    );
    return { table, wasDistributed: false };
  } finally {
    await release();
  }
}
