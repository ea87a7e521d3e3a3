/**
 * The pictures that were searched with, kept on this device (IndexedDB) under random keys so that going back, reloading
 * and reasons have them. The oldest go first. Where the browser refuses storage, they last as long as the page.
 */
const DATABASE = 'semblance';
const STORE = 'pictures';
const KEPT = 60;

const memory = new Map<string, Blob>();
let opened: Promise<IDBDatabase | null> | undefined;

/** Keeps a picture and returns its key. */
export async function keepPicture(picture: Blob): Promise<string> {
  const bytes = crypto.getRandomValues(new Uint8Array(9));
  const key = btoa(String.fromCharCode(...bytes))
    .replaceAll('+', '-')
    .replaceAll('/', '_');
  memory.set(key, picture);
  const database = await open();
  if (database !== null)
    await run(database, 'readwrite', (store) => store.put({ picture, at: Date.now() }, key))
      .then(() => evict(database))
      .catch(() => undefined); // a full disk costs the picture after a reload, no more
  return key;
}

/** The picture of a key, or null when this device does not have it. */
export async function findPicture(key: string): Promise<Blob | null> {
  const found = memory.get(key);
  if (found !== undefined) return found;
  const database = await open();
  if (database === null || key === '') return null;
  const entry = await run<{ picture: Blob } | undefined>(database, 'readonly', (store) =>
    store.get(key),
  ).catch(() => undefined);
  if (entry === undefined) return null;
  memory.set(key, entry.picture);
  return entry.picture;
}

const addresses = new Map<string, string>();

/** An address of a kept picture for `<img>`, the same one for as long as the page is open. */
export async function pictureAddress(key: string): Promise<string | null> {
  const known = addresses.get(key);
  if (known !== undefined) return known;
  const picture = await findPicture(key);
  if (picture === null) return null;
  const address = URL.createObjectURL(picture);
  addresses.set(key, address);
  return address;
}

// --- internal ---

function open(): Promise<IDBDatabase | null> {
  opened ??= new Promise((resolve) => {
    try {
      const request = indexedDB.open(DATABASE, 1);
      request.onupgradeneeded = () => {
        request.result.createObjectStore(STORE).createIndex('at', 'at');
      };
      request.onsuccess = () => resolve(request.result);
      request.onerror = () => resolve(null);
      request.onblocked = () => resolve(null);
    } catch {
      resolve(null);
    }
  });
  return opened;
}

function run<T>(
  database: IDBDatabase,
  mode: IDBTransactionMode,
  work: (store: IDBObjectStore) => IDBRequest,
): Promise<T> {
  return new Promise((resolve, reject) => {
    const request = work(database.transaction(STORE, mode).objectStore(STORE));
    request.onsuccess = () => resolve(request.result as T);
    request.onerror = () => reject(request.error);
  });
}

async function evict(database: IDBDatabase): Promise<void> {
  const count = await run<number>(database, 'readonly', (store) => store.count());
  if (count <= KEPT) return;
  const store = database.transaction(STORE, 'readwrite').objectStore(STORE);
  let left = count - KEPT;
  const cursor = store.index('at').openKeyCursor();
  cursor.onsuccess = () => {
    if (cursor.result === null || left-- <= 0) return;
    store.delete(cursor.result.primaryKey);
    cursor.result.continue();
  };
}
