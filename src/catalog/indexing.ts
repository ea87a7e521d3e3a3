/**
 * Fills a store from manifest rows: only what is new or has changed is embedded, so that a run that was stopped is
 * resumed, and a catalogue is brought up to date, by running again. A record keeps the hash of its picture's bytes;
 * a row whose picture is the same but whose labels changed is stored again with the vector it has.
 */
import type { Embedder } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import { storedVectors } from '../granularity/index.js';
import { errorMessage, type StartProgress, sha256OfFile, silentProgress } from '../util/index.js';
import { recordId } from './picture-entries.js';
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

/**
 * Embeds and stores the rows' pictures. A record's id is `recordId` of its row; of two rows of one picture the later
 * counts. Records that the rows do not mention stay.
 * @param options.startProgress default: none.
 * @param options.signal stops between batches; what was embedded by then is stored.
 * @param options.chunkSize pictures that are stored, and thereby safe, at a time. Default 256.
 * @throws DataError when the store cannot be written.
 */
export async function indexPictures(options: {
  readonly embedder: Embedder;
  readonly rows: readonly ManifestRow[];
  readonly store: VectorStore;
  readonly startProgress?: StartProgress;
  readonly signal?: AbortSignal | undefined;
  readonly chunkSize?: number;
}): Promise<IndexReport> {
  const { embedder, store, startProgress = silentProgress, signal, chunkSize = 256 } = options;
  const rows = [...new Map(options.rows.map((row) => [recordId(row), row])).values()];
  const failures: { id: string; reason: string }[] = [];
  let [embedded, relabelled, unchanged] = [0, 0, 0];
  const progress = startProgress('indexing', rows.length);
  const report = () => {
    const done = embedded + relabelled + unchanged + failures.length;
    progress.update(done, failures.length === 0 ? '' : `${failures.length} unreadable`);
  };
  try {
    for (let start = 0; start < rows.length; start += chunkSize) {
      signal?.throwIfAborted();
      const plan = await planChunk(rows.slice(start, start + chunkSize), store, failures);
      unchanged += plan.unchanged;
      await store.upsert(plan.relabelled);
      relabelled += plan.relabelled.length;
      report();
      const stored: StoredRecord[] = [];
      try {
        const pictures = plan.toEmbed.map(({ row }) => row);
        for await (const batch of embedder.embed(pictures, { signal })) {
          for (const { index, reason } of batch.failures)
            failures.push({ id: recordId((plan.toEmbed[index] as Planned).row), reason });
          const vectors = storedVectors(embedder.bundle.card.schema, embedder.dimension, batch);
          batch.indices.forEach((index, n) => {
            const { row, fields } = plan.toEmbed[index] as Planned;
            const vector = vectors.subarray(n * store.dimension, (n + 1) * store.dimension);
            stored.push({ id: recordId(row), vector, fields });
          });
          embedded += batch.indices.length;
          report();
        }
      } finally {
        await store.upsert(stored);
      }
    }
    if (embedded + relabelled > 0) await store.flush();
  } finally {
    progress.stop();
  }
  const position = new Map(rows.map((row, index) => [recordId(row), index]));
  failures.sort((a, b) => (position.get(a.id) ?? 0) - (position.get(b.id) ?? 0));
  return { embedded, relabelled, unchanged, failures };
}

// --- internal ---

interface Planned {
  row: ManifestRow;
  fields: Record<string, readonly string[]>;
}

/** Hashes the pictures of a chunk and compares with what the store has. */
async function planChunk(
  rows: readonly ManifestRow[],
  store: VectorStore,
  failures: { id: string; reason: string }[],
): Promise<{ toEmbed: Planned[]; relabelled: StoredRecord[]; unchanged: number }> {
  const existing = await store.get(rows.map(recordId));
  const hashes = await Promise.allSettled(rows.map((row) => sha256OfFile(row.path)));
  const toEmbed: Planned[] = [];
  const relabelled: StoredRecord[] = [];
  let unchanged = 0;
  rows.forEach((row, n) => {
    const [hash, record] = [hashes[n] as PromiseSettledResult<string>, existing[n]];
    if (hash.status === 'rejected') {
      failures.push({
        id: recordId(row),
        reason: `${row.path}: cannot be read: ${errorMessage(hash.reason)}`,
      });
      return;
    }
    const fields = fieldsOf(row, hash.value);
    if (record?.fields.content_hash?.[0] !== hash.value) toEmbed.push({ row, fields });
    else if (haveSameFields(store.columns, record.fields, fields)) unchanged++;
    else relabelled.push({ ...record, fields });
  });
  return { toEmbed, relabelled, unchanged };
}

function fieldsOf(row: ManifestRow, contentHash: string): Record<string, readonly string[]> {
  const optional = (value: string | undefined) => (value === undefined ? [] : [value]);
  return {
    ...row.attributes,
    path: [row.path],
    item_id: [row.itemId],
    split: [row.split],
    source: optional(row.source),
    source_group: optional(row.sourceGroup),
    content_hash: [contentHash],
  };
}

function haveSameFields(
  columns: readonly string[],
  a: Readonly<Record<string, readonly string[]>>,
  b: Readonly<Record<string, readonly string[]>>,
): boolean {
  return columns.every((column) => JSON.stringify(a[column] ?? []) === JSON.stringify(b[column] ?? []));
}
