/**
 * A catalogue as plain files, to keep or to carry elsewhere, and back:
 *
 *   manifest.csv    for people and other tools; what a spreadsheet would take for a formula has a ' before it
 *   records.jsonl   ids and all columns exactly, one record a line, in the order of the manifest
 *   vectors.npy     [N, S] float32, the stored vectors in that order (optional)
 *   pictures/       the files, each once, called by the SHA-256 of their bytes (optional)
 *   export.json     model, schema and columns; written last, so a folder without it is no export
 */
import { createReadStream } from 'node:fs';
import { mkdir, open, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { stringify } from 'csv-stringify/sync';
import { z } from 'zod';
import type { Embedder } from '../bundle/index.js';
import { manifestPath } from '../data/index.js';
import {
  DataError,
  errorMessage,
  makeFolder,
  npyWriter,
  readJson,
  readNpy,
  refuseNewerFormat,
  type StartProgress,
  StorageError,
  silentProgress,
  syncFolder,
  type WaitOptions,
  writeJson,
} from '../util/index.js';
import {
  type Catalog,
  hasCatalog,
  isBaseColumn,
  openCatalogForIndexing,
  readDescription,
  whileFilling,
  whileWriting,
} from './catalog.js';
import type { Filter } from './filter.js';
import { indexEntries } from './indexing.js';
import { boxOfId, entryOfRecord } from './picture-entries.js';
import { keepPicture, keptPicture } from './picture-files.js';
import type { StoredRecord } from './store.js';

export interface ExportOptions {
  /** Only records that pass. Default: all. */
  readonly filter?: Filter;
  /** Default true. */
  readonly vectors?: boolean;
  /** Copy the pictures; without, the manifest names them where they are. Default true. */
  readonly pictures?: boolean;
  readonly startProgress?: StartProgress;
  readonly signal?: AbortSignal | undefined;
}

export interface ExportReport {
  readonly pictures: number;
  /** Records whose picture could not be copied; they are in the export without it. */
  readonly missing: readonly string[];
}

/**
 * Writes a catalogue into a new folder, which appears under its name when it is whole.
 * @throws DataError when the folder is there, or cannot be written; what `signal` was aborted with.
 */
export async function exportCatalog(
  catalog: Catalog,
  target: string,
  options: ExportOptions = {},
): Promise<ExportReport> {
  const { filter = [], vectors = true, pictures = true, startProgress = silentProgress, signal } = options;
  if (
    await stat(target).then(
      () => true,
      () => false,
    )
  )
    throw new DataError('export: must go into a new folder, and this is there. Choose another', {
      file: target,
    });
  const folder = join(dirname(resolve(target)), `.${basename(target)}.${process.pid}.unfinished`);
  await makeFolder(folder).catch((error) => {
    throw new StorageError(error, { file: target, what: 'export:' });
  });
  const { store, description, layout } = catalog;
  const attributes = description.columns.filter((name) => !isBaseColumn(name));
  const columns = ['path', 'item_id', 'split', 'source', 'source_group', ...BOX_COLUMNS, ...attributes];
  const missing: string[] = [];
  let count = 0;
  const bar = startProgress('exporting', await store.count(filter));
  try {
    const manifest = await open(join(folder, 'manifest.csv'), 'w');
    const lines = await open(join(folder, 'records.jsonl'), 'w');
    const npy = vectors ? await npyWriter(join(folder, 'vectors.npy'), layout.size) : undefined;
    try {
      await manifest.writeFile(stringify([columns]));
      for await (const records of store.scan({ filter, vectors, batchSize: 500 })) {
        signal?.throwIfAborted();
        const copies = await copyPictures(folder, records, pictures);
        records.forEach((record, n) => {
          if (pictures && copies[n] === undefined) missing.push(record.id);
        });
        const rows = records.map((record, n) =>
          manifestCells(
            record,
            attributes,
            copies[n] ?? manifestPath(join(target, 'manifest.csv'), pathOf(record)),
          ),
        );
        await manifest.writeFile(stringify(rows));
        await lines.writeFile(
          records
            .map(({ id, fields }, n) => `${JSON.stringify({ id, fields, picture: copies[n] ?? null })}\n`)
            .join(''),
        );
        const flat = new Float32Array(npy === undefined ? 0 : records.length * layout.size);
        if (npy !== undefined) records.forEach(({ vector }, n) => void flat.set(vector, n * layout.size));
        await npy?.append(flat);
        count += records.length;
        bar.update(count);
      }
      await npy?.finish();
      await manifest.sync();
      await lines.sync();
    } finally {
      await manifest.close();
      await lines.close();
      await npy?.abandon();
    }
    const { model, dimension, schema, numericColumns } = description;
    await writeJson(join(folder, EXPORT_FILE), {
      formatVersion: FORMAT_VERSION,
      model,
      dimension,
      vectorSize: layout.size,
      levels: schema.levels,
      attributes,
      numericColumns,
      records: count,
      vectors,
      pictures,
    });
    await rename(folder, target);
    await syncFolder(dirname(resolve(target)));
    return { pictures: count, missing };
  } catch (error) {
    if (error instanceof DataError || signal?.aborted) throw error;
    throw new StorageError(error, { file: target, what: 'export:' });
  } finally {
    bar.stop();
    await rm(folder, { recursive: true, force: true });
  }
}

/**
 * A cell that no spreadsheet takes for a formula: one that begins with = + - @, a tab or a line break, and is no number,
 * has a ' before it, as has one that begins with '. `fromSafeCell` takes it away again.
 */
export function toSafeCell(text: string): string {
  const isNumber = text.trim() !== '' && Number.isFinite(Number(text)) && !/^[\s=@]/.test(text);
  return !isNumber && /^['=+\-@\t\r\n\uFF1D\uFF0B\uFF0D\uFF20]/.test(text) ? `'${text}` : text;
}

/** The inverse of `toSafeCell`. */
export function fromSafeCell(text: string): string {
  return text.startsWith("'") ? text.slice(1) : text;
}

export interface CatalogImportOptions extends WaitOptions {
  readonly folder: string;
  readonly directory: string;
  readonly embedder: Embedder;
  readonly startProgress?: StartProgress;
}

export interface ImportReport {
  readonly imported: number;
  /** How many of them were embedded again, because the model is another or there are no vectors. */
  readonly embedded: number;
  readonly failures: readonly { readonly id: string; readonly reason: string }[];
  readonly total: number;
}

/** What `export.json` says. @throws DataError when the folder is no whole export, or of a newer format */
export async function readExport(folder: string): Promise<z.infer<typeof exportFormat>> {
  const file = join(folder, EXPORT_FILE);
  const value = await readJson(file);
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
  refuseNewerFormat(version, 'the export', FORMAT_VERSION, file);
  const result = exportFormat.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(
    `is no export that this semblance reads: ${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`,
    { file },
  );
}

/**
 * Reads an export into a catalogue, made where there is none; records of the same ids are replaced. The pictures of the
 * export are kept in the catalogue. Vectors are taken as they are where the embedder's model made them.
 * @throws DataError when the export is damaged, or the catalogue has another model or other columns.
 */
export async function importCatalog(options: CatalogImportOptions): Promise<ImportReport> {
  const about = await readExport(options.folder);
  return await whileFilling(options.directory, () => importExport(about, options), options);
}

async function importExport(
  about: z.infer<typeof exportFormat>,
  { folder, directory, embedder, startProgress = silentProgress, signal, onWait }: CatalogImportOptions,
): Promise<ImportReport> {
  const { vectorHash } = embedder.bundle;
  const vectors =
    about.vectors && about.model.vectorHash === vectorHash
      ? await readVectors(folder, about.records, about.vectorSize)
      : undefined;
  if (await hasCatalog(directory)) {
    const { description } = await readDescription(directory);
    if (description.model.vectorHash !== vectorHash)
      throw new DataError(
        'import: the catalogue must have the same model as is given. Index it with that first, or import into a new folder',
        { file: directory },
      );
  }
  const locked = <T>(change: () => Promise<T>) => whileWriting(directory, change, { signal, onWait });
  const { catalog, publish } = await locked(() =>
    openCatalogForIndexing(directory, embedder.bundle, {
      attributes: about.attributes,
      numericAttributes: about.numericColumns,
    }),
  );
  const bar = startProgress('importing', about.records);
  let [imported, embedded] = [0, 0];
  const failures: { id: string; reason: string }[] = [];
  try {
    let at = 0;
    for await (const lines of readRecords(folder)) {
      signal?.throwIfAborted();
      const records: StoredRecord[] = [];
      for (const { id, fields, picture } of lines) {
        const place = at++;
        try {
          const path =
            picture === null ? undefined : await keep(catalog.directory, join(folder, picture), fields);
          const vector =
            vectors?.subarray(place * about.vectorSize, (place + 1) * about.vectorSize) ??
            new Float32Array(0);
          records.push({ id, vector, fields: path === undefined ? fields : { ...fields, path: [path] } });
        } catch (error) {
          failures.push({ id, reason: errorMessage(error) });
        }
      }
      if (vectors !== undefined) await locked(() => catalog.store.upsert(records));
      else {
        const report = await indexEntries({
          embedder,
          store: catalog.store,
          entries: records.map(entryOfRecord),
          signal,
          write: locked,
        });
        failures.push(...report.failures);
        embedded += report.embedded;
        imported -= report.failures.length;
      }
      imported += records.length;
      bar.update(imported);
    }
    if (at !== about.records)
      throw new DataError(`records.jsonl: must have ${about.records} lines as export.json says, got ${at}`, {
        file: folder,
      });
    await locked(async () => {
      await catalog.store.flush();
      await publish();
    });
    return { imported, embedded, failures, total: await catalog.store.count() };
  } finally {
    bar.stop();
    await catalog.close();
  }
}

// --- internal ---

const FORMAT_VERSION = 1;
const EXPORT_FILE = 'export.json';
const BOX_COLUMNS = ['x_1', 'y_1', 'x_2', 'y_2'] as const;
const LINES_AT_A_TIME = 500;

const exportFormat = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  model: z.object({ directory: z.string(), vectorHash: z.string() }),
  dimension: z.int().min(1),
  vectorSize: z.int().min(1),
  attributes: z.array(z.string()),
  numericColumns: z.array(z.string()),
  records: z.int().min(0),
  vectors: z.boolean(),
  pictures: z.boolean(),
});

const recordFormat = z.object({
  id: z.string().min(1),
  fields: z.record(z.string(), z.array(z.string())),
  picture: z
    .string()
    .regex(/^pictures\/[0-9a-f]{64}\.\w+$/)
    .nullable(),
});

function pathOf({ id, fields }: Pick<StoredRecord, 'id' | 'fields'>): string {
  return fields.path?.[0] ?? id;
}

/** Copies each record's picture into the folder. @returns their names in it; undefined where there is none to read */
async function copyPictures(
  folder: string,
  records: readonly StoredRecord[],
  isWanted: boolean,
): Promise<(string | undefined)[]> {
  if (!isWanted) return records.map(() => undefined);
  await mkdir(join(folder, 'pictures'), { recursive: true });
  const names: (string | undefined)[] = [];
  for (const record of records) {
    try {
      const bytes = await readFile(pathOf(record));
      const name = basename(keptPicture(folder, bytes, record.id).path);
      await writeFile(join(folder, 'pictures', name), bytes, { flag: 'wx' }).catch((error) => {
        if (error.code !== 'EEXIST') throw new DataError(errorMessage(error), { file: folder, cause: error });
      });
      names.push(`pictures/${name}`);
    } catch (error) {
      if (error instanceof DataError && error.file === folder) throw error;
      names.push(undefined);
    }
  }
  return names;
}

/** A row that `readManifest` reads: `|` parts values, so it stands in none; a picture without a split is in the gallery. */
function manifestCells(record: StoredRecord, attributes: readonly string[], path: string): string[] {
  const { id, fields } = record;
  const first = (name: string) => fields[name]?.[0] ?? '';
  const box = entryOfRecord(record).box === undefined ? undefined : boxOfId(id);
  return [
    path,
    first('item_id'),
    first('split') || 'gallery',
    first('source'),
    first('source_group'),
    ...(box === undefined ? ['', '', '', ''] : [box.left, box.top, box.right, box.bottom].map(String)),
    ...attributes.map((name) => (fields[name] ?? []).map((value) => value.replaceAll('|', '/')).join('|')),
  ].map(toSafeCell);
}

async function readVectors(folder: string, records: number, size: number): Promise<Float32Array> {
  const file = join(folder, 'vectors.npy');
  const { shape, data } = await readNpy(file);
  if (!(data instanceof Float32Array) || shape.length !== 2 || shape[0] !== records || shape[1] !== size)
    throw new DataError(
      `must be float32 [${records}, ${size}] as export.json says, got [${shape.join(', ')}]`,
      {
        file,
      },
    );
  return data;
}

async function* readRecords(folder: string): AsyncGenerator<z.infer<typeof recordFormat>[]> {
  const file = join(folder, 'records.jsonl');
  let batch: z.infer<typeof recordFormat>[] = [];
  let line = 0;
  for await (const text of createInterface({
    input: createReadStream(file),
    crlfDelay: Number.POSITIVE_INFINITY,
  })) {
    line++;
    try {
      batch.push(recordFormat.parse(JSON.parse(text)));
    } catch (error) {
      throw new DataError('must be a record as `semblance catalog export` writes them', {
        file,
        line,
        cause: error,
      });
    }
    if (batch.length < LINES_AT_A_TIME) continue;
    yield batch;
    batch = [];
  }
  if (batch.length > 0) yield batch;
}

/** Keeps a picture of the export in the catalogue. @returns its path there */
async function keep(
  directory: string,
  file: string,
  fields: Readonly<Record<string, readonly string[]>>,
): Promise<string> {
  const bytes = await readFile(file);
  const { path, hash } = keptPicture(directory, bytes, file);
  const expected = fields.content_hash?.[0];
  if (expected !== undefined && expected !== hash)
    throw new DataError('is another picture than the record was made of', { file });
  await keepPicture(path, bytes);
  return path;
}
