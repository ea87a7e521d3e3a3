/**
 * Catalogues that do not lie in a folder: in a database (`postgres-catalog.ts`) or in object storage
 * (`object-catalog.ts`). Which it is follows from the location; what they need is loaded when it is needed, because
 * most catalogues are folders.
 */
import type { ProcessLock, WaitOptions } from '../util/index.js';
import type { StoreShape, VectorStore } from './store.js';
import { isObjectUrl } from './stores/object-url.js';
import { isPostgresUrl } from './stores/postgres-url.js';

/** What `catalog.ts` and `generations.ts` do with files where a catalogue is a folder. */
export interface RemoteCatalogs {
  /** @returns the description's JSON; `undefined` where there is no such catalogue. */
  readDescription(location: string): Promise<string | undefined>;
  /** Whole or not at all. */
  writeDescription(location: string, description: object): Promise<void>;
  /**
   * Runs a change of the catalogue while nobody else makes one, on any machine. In a database it waits for its turn; in
   * object storage it is refused at once, with the name of the process that writes.
   */
  whileWriting<T>(location: string, change: () => Promise<T>, options?: WaitOptions): Promise<T>;
  /** Opens one of the catalogue's stores, and makes it where there is none. */
  openStore(location: string, store: string, shape: StoreShape): Promise<VectorStore>;
  /** Says that this process reads a store. */
  holdStore(location: string, store: string): Promise<ProcessLock>;
  /** The catalogue's stores, and whether somebody is known to read them. */
  stores(location: string): Promise<{ store: string; isRead: boolean }[]>;
  /** Removes a store that is not the catalogue's own and that nobody reads. @returns whether it did */
  dropStore(location: string, store: string): Promise<boolean>;
  /** Keeps the other writers out for the length of an indexing run. Absent: they may come in between. */
  holdWriting?(location: string): Promise<{ release(): Promise<void> }>;
}

/** Whether a catalogue's location is no folder. */
export function isRemote(location: string): boolean {
  return isPostgresUrl(location) || isObjectUrl(location);
}

/** @param location one for which `isRemote` says so */
export async function remoteCatalogs(location: string): Promise<RemoteCatalogs> {
  return isPostgresUrl(location)
    ? (await import('./postgres-catalog.js')).postgresCatalogs
    : (await import('./object-catalog.js')).objectCatalogs;
}
