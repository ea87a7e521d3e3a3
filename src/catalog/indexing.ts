/**
 * Fills a store from manifest rows, or from records: only what is new or has changed is embedded, so that a run that was
 * stopped is resumed, and a catalogue is brought up to date, by running again. A record keeps the hash of its picture's
 * bytes; a row whose picture is the same but whose labels changed is stored again with the vector it has.
 *
 * Comparing, embedding and storing overlap: while the model runs, the next pictures are hashed and decoded, and those
 * before are stored.
 */
import type { Embedder, PictureSource } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { storedVectors } from '../granularity/index.js';
import { errorMessage, type StartProgress, sha256OfFile, silentProgress } from '../util/index.js';
import { entryOfRow, type PictureEntry } from './picture-entries.js';
import type { StoredRecord, VectorStore } from './store.js';

/** What became of the rows. The four counts add up to the number of different pictures. */
export interface IndexReport {
  readonly embedded: number;
  /** Same picture, other labels. */
  readonly relabelled: number;
  readonly unchanged: number;
  /** Pictures that could not be read, with the reason on one line, in the order of the rows. */
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
}

export interface IndexOptions {
  readonly embedder: Embedder;
  readonly store: VectorStore;
  /** Default: none. */
  readonly startProgress?: StartProgress | undefined;
  /** Stops between batches; what was embedded by then is stored. */
  readonly signal?: AbortSignal | undefined;
  /** Pictures that are stored, and thereby safe, at a time. Default 256. */
  readonly chunkSize?: number;
  /** Embed what seems unchanged as well. Default false. */
  readonly always?: boolean;
  /** Has the store tidied when all is there. Default true. */
  readonly flush?: boolean;
  /**
   * The entries were made of the store's own records: one whose record was changed or deleted since is left as it is.
   * Default false.
   */
  readonly ofOwnRecords?: boolean;
  /** Runs each change of the store, e.g. under a lock. Default: at once. */
  readonly write?: (change: () => Promise<void>) => Promise<void>;
}

/**
 * Embeds and stores the rows' pictures. A record's id is `recordId` of its row; of two rows of one picture the later
 * counts. Records that the rows do not mention stay.
 * @throws DataError when the store cannot be written; what `signal` was aborted with.
 */
export async function indexPictures(
  options: IndexOptions & { readonly rows: readonly ManifestRow[] },
): Promise<IndexReport> {
  return await indexEntries({ ...options, entries: options.rows.map(entryOfRow) });
}

/** As `indexPictures`, for entries from anywhere. */
export async function indexEntries(
  options: IndexOptions & { readonly entries: readonly PictureEntry[] },
): Promise<IndexReport> {
  const {
    embedder,
    store,
    startProgress = silentProgress,
    signal,
    chunkSize = 256,
    always = false,
    flush = true,
    ofOwnRecords = false,
  } = options;
  const write = options.write ?? ((change) => change());
  const storeRecords = (records: readonly StoredRecord[]) =>
    write(async () => await store.upsert(ofOwnRecords ? await stillAsRead(store, records) : records));
  const entries = [...new Map(options.entries.map((entry) => [entry.id, entry])).values()];
  const failures: { id: string; reason: string }[] = [];
  let [embedded, relabelled, unchanged] = [0, 0, 0];
  const progress = startProgress('indexing', entries.length);
  const report = () => {
    const done = embedded + relabelled + unchanged + failures.length;
    progress.update(done, failures.length === 0 ? '' : `${failures.length} unreadable`);
  };

  const toEmbed: (Planned | undefined)[] = [];
  async function* changed(): AsyncGenerator<PictureSource> {
    for (let start = 0; start < entries.length; start += chunkSize) {
      signal?.throwIfAborted();
      const plan = await planChunk(entries.slice(start, start + chunkSize), store, { always, failures });
      unchanged += plan.unchanged;
      if (plan.relabelled.length > 0) await storeRecords(plan.relabelled);
      relabelled += plan.relabelled.length;
      report();
      for (const planned of plan.toEmbed) {
        toEmbed.push(planned);
        const { path, box } = planned.entry;
        yield box === undefined ? path : { path, box };
      }
    }
  }

  const waiting: StoredRecord[] = [];
  let storing: Promise<void> = Promise.resolve();
  /** One chunk is stored while the next is embedded. */
  const storeChunk = async () => {
    await storing;
    const records = waiting.splice(0, chunkSize);
    storing = storeRecords(records);
    storing.catch(() => {}); // reported when it is awaited
  };
  try {
    try {
      for await (const batch of embedder.embed(changed(), { signal })) {
        for (const { index, reason } of batch.failures)
          failures.push({ id: (toEmbed[index] as Planned).entry.id, reason });
        const vectors = storedVectors(embedder.bundle.card.schema, embedder.dimension, batch);
        batch.indices.forEach((index, n) => {
          const { entry, fields } = toEmbed[index] as Planned;
          toEmbed[index] = undefined;
          const vector = vectors.subarray(n * store.dimension, (n + 1) * store.dimension);
          waiting.push({ id: entry.id, vector, fields });
        });
        embedded += batch.indices.length;
        report();
        while (waiting.length >= chunkSize) await storeChunk();
      }
    } finally {
      while (waiting.length > 0) await storeChunk();
      await storing;
    }
    if (flush && embedded + relabelled > 0) await write(() => store.flush());
  } finally {
    progress.stop();
  }
  const position = new Map(entries.map(({ id }, index) => [id, index]));
  failures.sort((a, b) => (position.get(a.id) ?? 0) - (position.get(b.id) ?? 0));
  return { embedded, relabelled, unchanged, failures };
}

// --- internal ---

interface Planned {
  entry: PictureEntry;
  fields: Record<string, readonly string[]>;
}

/** Hashes the pictures of a chunk and compares with what the store has. */
async function planChunk(
  entries: readonly PictureEntry[],
  store: VectorStore,
  { always, failures }: { always: boolean; failures: { id: string; reason: string }[] },
): Promise<{ toEmbed: Planned[]; relabelled: StoredRecord[]; unchanged: number }> {
  const existing = await store.get(entries.map(({ id }) => id));
  const hashes = await Promise.allSettled(entries.map(({ path }) => sha256OfFile(path)));
  const toEmbed: Planned[] = [];
  const relabelled: StoredRecord[] = [];
  let unchanged = 0;
  entries.forEach((entry, n) => {
    const [hash, record] = [hashes[n] as PromiseSettledResult<string>, existing[n]];
    if (hash.status === 'rejected') {
      failures.push({ id: entry.id, reason: `${entry.path}: cannot be read: ${errorMessage(hash.reason)}` });
      return;
    }
    const fields = { ...entry.fields, content_hash: [hash.value] };
    if (always || record?.fields.content_hash?.[0] !== hash.value) toEmbed.push({ entry, fields });
    else if (haveSameFields(store.columns, record.fields, fields)) unchanged++;
    else relabelled.push({ ...record, fields });
  });
  return { toEmbed, relabelled, unchanged };
}

/** Those whose records still have the labels that they are to be stored with. */
async function stillAsRead(store: VectorStore, records: readonly StoredRecord[]): Promise<StoredRecord[]> {
  const labels = store.columns.filter((name) => name !== 'content_hash');
  const present = await store.get(records.map(({ id }) => id));
  return records.filter(({ fields }, n) => {
    const now = present[n];
    return now !== undefined && haveSameFields(labels, now.fields, fields);
  });
}

function haveSameFields(
  columns: readonly string[],
  a: Readonly<Record<string, readonly string[]>>,
  b: Readonly<Record<string, readonly string[]>>,
): boolean {
  return columns.every((column) => JSON.stringify(a[column] ?? []) === JSON.stringify(b[column] ?? []));
}
