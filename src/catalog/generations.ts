/**
 * The stores of a catalogue, one a model, and who reads them. A process that keeps a store open says so with a lock in
 * `locks/`; whoever publishes another store leaves it alone as long as that is held, and for ten minutes in any case,
 * for readers that come and go without one (a search on the command line).
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { acquireLock, lockHolder, millisecondsSince, type ProcessLock } from '../util/index.js';
import { isRemote, remoteCatalogs } from './remote-catalog.js';

/** How the folders of stores are called: this and the first 16 digits of the model's hash. */
export const STORE_PREFIX = 'vectors-';

/** Milliseconds for which a store that was replaced stays at least. */
export const GRACE_MS = 600_000;

/**
 * Says that this process reads a store, until it is released or the process ends (of a catalogue in a database: and a
 * minute is over). Where the catalogue cannot be written, nothing is said.
 */
export async function holdStore(directory: string, store: string): Promise<ProcessLock> {
  if (isRemote(directory))
    return await (await remoteCatalogs(directory)).holdStore(directory, store).catch(() => NO_LOCK);
  const file = join(directory, LOCKS, `${store}.${randomBytes(6).toString('hex')}${READER}`);
  return await acquireLock(file).catch(() => NO_LOCK);
}

/** What becomes of a store that is not the catalogue's own. */
export type StoreFate = 'read' | 'recent' | 'unused';

/** The stores beside the one that the catalogue uses: `read` by a process, replaced only a moment ago, or of no use. */
export async function otherStores(directory: string): Promise<{ store: string; fate: StoreFate }[]> {
  const text = isRemote(directory)
    ? await (await remoteCatalogs(directory)).readDescription(directory)
    : await readFile(join(directory, 'catalog.json'), 'utf8');
  if (text === undefined) return [];
  const { store: current, previous } = JSON.parse(text) as {
    store: string;
    previous?: { store: string; retiredAt: string };
  };
  const stores = (await storesOf(directory)).filter(({ store }) => store !== current);
  return stores.map(({ store, isRead }) => {
    if (isRead) return { store, fate: 'read' };
    const isRecent = store === previous?.store && millisecondsSince(previous.retiredAt) < GRACE_MS;
    return { store, fate: isRecent ? 'recent' : 'unused' };
  });
}

/**
 * Removes the stores that the catalogue does not use, nobody reads, and that were not replaced just now.
 * @param options.only nothing but this one
 * @returns those that it removed
 */
export async function sweepStores(
  directory: string,
  { only }: { readonly only?: string } = {},
): Promise<string[]> {
  const removed: string[] = [];
  for (const { store, fate } of await otherStores(directory)) {
    if (fate !== 'unused' || (only !== undefined && only !== store)) continue;
    if (isRemote(directory)) {
      if (!(await (await remoteCatalogs(directory)).dropStore(directory, store))) continue;
    } else await rm(join(directory, store), { recursive: true, force: true });
    removed.push(store);
  }
  return removed;
}

// --- internal ---

const NO_LOCK: ProcessLock = { async handTo() {}, async release() {} };
const LOCKS = 'locks';
const READER = '.reader';

async function storesOf(directory: string): Promise<{ store: string; isRead: boolean }[]> {
  if (isRemote(directory)) return await (await remoteCatalogs(directory)).stores(directory);
  const read = new Set(await heldStores(directory));
  return (await readdir(directory))
    .filter((name) => name.startsWith(STORE_PREFIX))
    .sort()
    .map((store) => ({ store, isRead: read.has(store) }));
}

async function heldStores(directory: string): Promise<string[]> {
  const held: string[] = [];
  for (const name of await readdir(join(directory, LOCKS)).catch(() => [])) {
    if (!name.endsWith(READER)) continue;
    const file = join(directory, LOCKS, name);
    if ((await lockHolder(file)) === undefined) await rm(file, { force: true });
    else held.push(name.slice(0, name.indexOf('.')));
  }
  return held;
}
