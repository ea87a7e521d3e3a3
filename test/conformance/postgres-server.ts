/**
 * Databases for the tests: PostgreSQL compiled to WebAssembly (PGlite) with its pgvector, behind a socket on loopback,
 * in this process; and a real server where `SEMBLANCE_TEST_POSTGRES` names one.
 */
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';

/** The address of a real PostgreSQL with pgvector whose schema `semblance` tests may fill, where there is one. */
export const REAL_POSTGRES = process.env.SEMBLANCE_TEST_POSTGRES;

export async function startPglite(): Promise<{ url: string; stop(): Promise<void> }> {
  const database = await PGlite.create({ extensions: { vector } });
  const server = new PGLiteSocketServer({ db: database, host: '127.0.0.1', port: 0, maxConnections: 100 });
  await server.start();
  return {
    url: `postgres://postgres@${server.getServerConn()}/postgres`,
    async stop() {
      await server.stop();
      await database.close();
    },
  };
}
