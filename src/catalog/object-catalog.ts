/**
 * A catalogue in S3-compatible object storage, which many machines read and one writes: `s3://bucket/path`. Everything
 * in it is a LanceDB table, so that one library speaks with the storage and finds the credentials: `catalog` with the
 * description, `writer` while somebody writes, and `vectors-<hash>/pictures`.
 *
 * Publishing is one commit of `catalog`, which readers poll. The writer holds a lease, the table `writer`: whoever can
 * create it has it, and one that was not renewed for 90 seconds may be taken over. Two that create it at the same moment
 * are told apart where the storage knows conditional writes (S3, R2, MinIO do); else the later look, a moment after, has
 * to do.
 */
import { randomUUID } from 'node:crypto';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Connection } from '@lancedb/lancedb';
import { DataError, errorMessage, millisecondsSince, presentTime } from '../util/index.js';
import type { RemoteCatalogs } from './remote-catalog.js';
import { connectObjectStorage, openIfThere } from './stores/lance-connection.js';
import { dropLanceStore, openLanceStore } from './stores/lancedb.js';
import { objectLocation } from './stores/object-url.js';

export const objectCatalogs: RemoteCatalogs = {
  readDescription: (location) =>
    connected(location, async (connection) => {
      const rows = await readRows(connection, DESCRIPTION);
      return rows.find(({ key }) => key === DESCRIPTION)?.value;
    }),

  writeDescription: (location, description) =>
    connected(location, (connection) =>
      writeRow(connection, DESCRIPTION, { key: DESCRIPTION, value: JSON.stringify(description) }),
    ),

  async whileWriting(location, change, { signal } = {}) {
    const lease = await takeLease(location);
    try {
      // One at a time within this process as well.
      const done = lease.turns
        .catch(() => {})
        .then(async () => {
          signal?.throwIfAborted();
          await lease.requireHeld();
          return await change();
        });
      lease.turns = done;
      return await done;
    } finally {
      await lease.release();
    }
  },

  openStore: (location, store, shape) => openLanceStore(`${objectLocation(location)}/${store}`, shape),

  // Who reads is not known; what was replaced stays for a while, and a server moves within a moment.
  holdStore: async () => ({ async handTo() {}, async release() {} }),

  async stores(location) {
    const { store, previous } = JSON.parse((await objectCatalogs.readDescription(location)) ?? '{}') as {
      store?: string;
      previous?: { store: string };
    };
    const named = [store, previous?.store].filter((name) => name !== undefined);
    return [...new Set(named)].map((name) => ({ store: name, isRead: false }));
  },

  async dropStore(location, store) {
    // Who only reads removes nothing.
    if (!leases.has(objectLocation(location))) return false;
    await dropLanceStore(`${objectLocation(location)}/${store}`);
    return true;
  },

  holdWriting: (location) => takeLease(location),
};

// --- internal ---

const DESCRIPTION = 'catalog';
const LEASE = 'writer';
const LEASE_MS = 90_000;
/** After which whoever takes a lease looks whether it still is its own. */
const SETTLE_MS = 200;

interface Row {
  readonly key: string;
  readonly value: string;
}

async function connected<T>(location: string, action: (connection: Connection) => Promise<T>): Promise<T> {
  const address = objectLocation(location);
  let connection: Connection | undefined;
  try {
    connection = await connectObjectStorage(address);
    return await action(connection);
  } catch (error) {
    if (error instanceof DataError) throw error;
    throw new DataError(`the object storage says: ${withoutSecrets(errorMessage(error))}`, {
      file: address,
      cause: error,
    });
  } finally {
    connection?.close();
  }
}

/** @returns none where there is no such table */
async function readRows(connection: Connection, name: string): Promise<Row[]> {
  const table = await openIfThere(connection, name);
  if (table === undefined) return [];
  try {
    return ((await table.query().toArray()) as Row[]).map(({ key, value }) => ({ key, value }));
  } finally {
    table.close();
  }
}

async function writeRow(connection: Connection, name: string, row: Row): Promise<void> {
  const rows = [{ ...row }];
  const table = await openIfThere(connection, name);
  if (table === undefined) {
    (await connection.createTable(name, rows)).close();
    return;
  }
  try {
    await table.mergeInsert('key').whenMatchedUpdateAll().whenNotMatchedInsertAll().execute(rows);
  } finally {
    table.close();
  }
}

/** The leases that this process has, by address. */
const leases = new Map<string, Promise<Lease>>();

interface Holder {
  readonly host: string;
  readonly pid: number;
  readonly renewedAt: string;
}

/** @throws DataError when another process writes */
async function takeLease(location: string): Promise<Lease> {
  const address = objectLocation(location);
  for (;;) {
    let taking = leases.get(address);
    if (taking === undefined) {
      taking = Lease.take(address).catch((error) => {
        leases.delete(address);
        throw error;
      });
      leases.set(address, taking);
    }
    const lease = await taking;
    if (lease.hold()) return lease;
    await lease.gone; // it was on its way out
  }
}

class Lease {
  turns: Promise<unknown> = Promise.resolve();
  readonly #address: string;
  readonly #key = randomUUID();
  readonly #timer: NodeJS.Timeout;
  #users = 0;
  #gone: Promise<void> | undefined;

  private constructor(address: string) {
    this.#address = address;
    this.#timer = setInterval(() => void this.#renew().catch(() => {}), LEASE_MS / 4).unref();
  }

  static async take(address: string): Promise<Lease> {
    const lease = new Lease(address);
    try {
      await connected(address, async (connection) => {
        const [held] = await readRows(connection, LEASE);
        if (held !== undefined) {
          const { host, pid, renewedAt } = JSON.parse(held.value) as Holder;
          if (millisecondsSince(renewedAt) < LEASE_MS)
            throw new DataError(
              `only one process may write, and process ${pid} on ${host} does since ${renewedAt} or longer. ` +
                'Wait for it; if it was killed, try again in two minutes',
              { file: address },
            );
          await connection.dropTable(LEASE);
        }
        const table = await connection.createTable(LEASE, [lease.#row()]).catch((error) => {
          throw new DataError('only one process may write, and another just began to. Wait for it', {
            file: address,
            cause: error,
          });
        });
        table.close();
      });
      await sleep(SETTLE_MS);
      await lease.requireHeld();
      return lease;
    } catch (error) {
      clearInterval(lease.#timer);
      throw error;
    }
  }

  get gone(): Promise<void> {
    return this.#gone ?? Promise.resolve();
  }

  /** @returns false when it is being given back */
  hold(): boolean {
    if (this.#gone !== undefined) return false;
    this.#users++;
    return true;
  }

  async release(): Promise<void> {
    if (--this.#users > 0) return;
    clearInterval(this.#timer);
    this.#gone = connected(this.#address, async (connection) => {
      if ((await this.#holder(connection)) === this.#key) await connection.dropTable(LEASE);
    })
      .catch(() => {}) // it runs out by itself
      .finally(() => leases.delete(this.#address));
    await this.#gone;
  }

  /** @throws DataError when another process took it over */
  async requireHeld(): Promise<void> {
    const key = await connected(this.#address, (connection) => this.#holder(connection));
    if (key !== this.#key)
      throw new DataError('only one process may write, and another took over meanwhile. Run it again later', {
        file: this.#address,
      });
  }

  async #holder(connection: Connection): Promise<string | undefined> {
    return (await readRows(connection, LEASE))[0]?.key;
  }

  async #renew(): Promise<void> {
    await this.requireHeld();
    await connected(this.#address, (connection) => writeRow(connection, LEASE, this.#row()));
  }

  #row() {
    const holder: Holder = { host: hostname(), pid: process.pid, renewedAt: presentTime() };
    return { key: this.#key, value: JSON.stringify(holder) };
  }
}

/** A storage's answers name the key that they were asked with. */
function withoutSecrets(text: string): string {
  const secrets = ['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY', 'AWS_SESSION_TOKEN']
    .map((name) => process.env[name])
    .filter((value) => value !== undefined && value !== '');
  const line = text.replace(/\s+/g, ' ').slice(0, 2000);
  return secrets.reduce((kept: string, secret) => kept.replaceAll(secret as string, '…'), line).slice(0, 400);
}
