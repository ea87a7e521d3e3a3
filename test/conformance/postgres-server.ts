/**
 * Databases for the tests: PostgreSQL compiled to WebAssembly (PGlite) with its pgvector, behind a socket on loopback,
 * in this process; and a real server where there is one: the one that `SEMBLANCE_TEST_POSTGRES` names, or PostgreSQL of
 * this machine with pgvector, started in a folder of its own.
 *
 * PGlite is one session: what needs two connections at once is tested with the real server alone.
 */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { chownSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { PGlite } from '@electric-sql/pglite';
import { vector } from '@electric-sql/pglite-pgvector';
import { PGLiteSocketServer } from '@electric-sql/pglite-socket';
import { Client } from 'pg';

export interface TestServer {
  /** postgres://user@host:port/database, without a catalogue. */
  readonly url: string;
  stop(): Promise<void>;
}

export async function startPglite(): Promise<TestServer> {
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

/** Why there is no real server to test with; `undefined` where there is one. */
export const NO_REAL_POSTGRES: string | undefined = findRealPostgres().reason;

/**
 * A new database of a real server.
 * @throws Error where there is none (see `NO_REAL_POSTGRES`)
 */
export async function startRealPostgres(): Promise<TestServer> {
  const found = findRealPostgres();
  if (found.url !== undefined) return await newDatabase(found.url, async () => {});
  if (found.programs === undefined) throw new Error(found.reason);
  const { user, programs } = found;
  const folder = mkdtempSync(join(tmpdir(), 'semblance-postgres-'));
  if (user !== undefined) chownSync(folder, user.uid, user.gid);
  const data = join(folder, 'data');
  execFileSync(
    join(programs, 'initdb'),
    ['-D', data, '-U', 'postgres', '-A', 'trust', '-E', 'UTF8', '--no-locale', '--no-sync'],
    {
      ...user,
      stdio: ['ignore', 'ignore', 'inherit'],
      cwd: folder,
    },
  );
  const port = await freePort();
  // The shell ends the server when its own input closes, as it does when these tests are killed.
  const child = spawn(
    '/bin/sh',
    [
      '-c',
      '"$@" & server=$!; read -r _; kill -INT $server; wait $server',
      'sh',
      join(programs, 'postgres'),
      ...['-D', data, '-h', '127.0.0.1', '-p', `${port}`, '-k', folder, '-F'],
    ],
    { ...user, cwd: folder, stdio: ['pipe', 'ignore', 'ignore'] },
  );
  const stop = async () => {
    const ended = child.exitCode === null ? once(child, 'close') : undefined;
    child.stdin?.end();
    await ended;
    rmSync(folder, { recursive: true, force: true });
  };
  try {
    return await newDatabase(`postgres://postgres@127.0.0.1:${port}/postgres`, stop);
  } catch (error) {
    await stop();
    throw error;
  }
}

// --- internal ---

interface RealPostgres {
  readonly reason?: string;
  readonly url?: string;
  /** The folder of `initdb` and `postgres`. */
  readonly programs?: string;
  /** PostgreSQL refuses to run as root. */
  readonly user?: { readonly uid: number; readonly gid: number } | undefined;
}

function findRealPostgres(): RealPostgres {
  const url = process.env.SEMBLANCE_TEST_POSTGRES;
  if (url !== undefined && url !== '') return { url };
  const debian = '/usr/lib/postgresql';
  const versions = existsSync(debian) ? readdirSync(debian).sort((a, b) => Number(b) - Number(a)) : [];
  const folders = [
    ...versions.map((version) => join(debian, version, 'bin')),
    ...(process.env.PATH ?? '').split(delimiter),
  ];
  const installed = folders.filter((folder) =>
    ['initdb', 'postgres', 'pg_config'].every((name) => existsSync(join(folder, name))),
  );
  const programs = installed.find((folder) => {
    const share = execFileSync(join(folder, 'pg_config'), ['--sharedir'], { encoding: 'utf8' }).trim();
    return existsSync(join(share, 'extension', 'vector.control'));
  });
  if (programs === undefined)
    return {
      reason:
        installed.length === 0
          ? 'no PostgreSQL is installed, and SEMBLANCE_TEST_POSTGRES names no server'
          : `PostgreSQL in ${installed[0]} has no pgvector, and SEMBLANCE_TEST_POSTGRES names no server`,
    };
  if (process.getuid?.() !== 0) return { programs };
  const entry = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .map((line) => line.split(':'))
    .find(([name]) => name === 'postgres');
  if (entry === undefined)
    return { reason: 'PostgreSQL does not run as root, and there is no user postgres' };
  return { programs, user: { uid: Number(entry[2]), gid: Number(entry[3]) } };
}

/** Makes a database on a server that may just be starting. */
async function newDatabase(server: string, stop: () => Promise<void>): Promise<TestServer> {
  const name = `semblance_test_${process.pid}_${databases++}`;
  for (let attempt = 0; ; attempt++) {
    const client = new Client({ connectionString: server });
    try {
      await client.connect();
      await client.query(`CREATE DATABASE ${name}`);
      await client.end();
      break;
    } catch (error) {
      await client.end().catch(() => {});
      if (attempt >= 200) throw error;
      await sleep(50);
    }
  }
  const url = new URL(server);
  url.pathname = `/${name}`;
  return {
    url: url.toString(),
    async stop() {
      const client = new Client({ connectionString: server });
      await client.connect();
      await client.query(`DROP DATABASE IF EXISTS ${name} WITH (FORCE)`);
      await client.end();
      await stop();
    },
  };
}

let databases = 0;

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  server.close();
  await once(server, 'close');
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
