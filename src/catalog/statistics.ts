/** What a catalogue holds, in numbers: one function for the command line and for the API. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { type Catalog, isBaseColumn } from './catalog.js';
import { mapVersion } from './catalog-map.js';
import { PICTURES_FOLDER } from './picture-files.js';
import { isRemote } from './remote-catalog.js';
import type { FacetCount, VectorStore } from './store.js';

export interface ColumnStatistics {
  readonly name: string;
  /** `null`: a column that the model did not learn. */
  readonly kind: 'single' | 'multi' | null;
  /** Most frequent first. */
  readonly values: readonly FacetCount[];
  /** Different values. */
  readonly distinct: number;
  /** Pictures without a value. */
  readonly unknown: number;
  /** Where every value is a number. */
  readonly numeric: { readonly minimum: number; readonly maximum: number } | null;
}

export interface CatalogStatistics {
  readonly pictures: number;
  readonly items: number;
  /** The attributes, then `source`. */
  readonly columns: readonly ColumnStatistics[];
  readonly model: { readonly directory: string; readonly vectorHash: string; readonly dimension: number };
  /** Numbers of a stored vector. */
  readonly vectorSize: number;
  readonly levels: readonly string[];
  /** Of the store and the kept pictures; 0 for a catalogue in a database. */
  readonly bytes: number;
  /** Pictures that the catalogue keeps itself. */
  readonly keptPictures: number;
  /** The first digits of the model's hash: another when the catalogue moves to another model. */
  readonly generation: string;
  /** When the store was last written, ISO 8601; `null` for a catalogue in a database. */
  readonly changedAt: string | null;
  readonly hasMap: boolean;
}

/** Counts a catalogue's records and files. */
export async function catalogStatistics({
  directory,
  description,
  layout,
  store,
}: Catalog): Promise<CatalogStatistics> {
  const names = [...description.columns.filter((column) => !isBaseColumn(column)), 'source'];
  const [pictures, counts, unknown, { own, kept }, map] = await Promise.all([
    store.count(),
    store.facets([...names, 'item_id']),
    Promise.all(names.map((column) => store.count([{ column, known: false }]))),
    filesOf(directory, description.store, store),
    mapVersion(directory),
  ]);
  const { vectorHash } = description.model;
  return {
    pictures,
    items: counts.item_id?.length ?? 0,
    columns: names.map((name, n) => {
      const values = counts[name] ?? [];
      return {
        name,
        kind: description.schema.attributes.find((attribute) => attribute.name === name)?.kind ?? null,
        values,
        distinct: values.length,
        unknown: unknown[n] ?? 0,
        numeric: rangeOf(values.map(({ value }) => value)),
      };
    }),
    model: { ...description.model, dimension: description.dimension },
    vectorSize: layout.size,
    levels: description.schema.levels,
    bytes: own.bytes + kept.bytes,
    keptPictures: kept.files,
    generation: vectorHash.slice(0, 16),
    changedAt: own.files === 0 ? null : new Date(Math.max(own.newest, kept.newest)).toISOString(),
    hasMap: map !== undefined,
  };
}

// --- internal ---

function rangeOf(values: readonly string[]): { minimum: number; maximum: number } | null {
  const numbers = values.map((value) => (value.trim() === '' ? Number.NaN : Number(value)));
  if (numbers.length === 0 || !numbers.every(Number.isFinite)) return null;
  let [minimum, maximum] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY];
  for (const x of numbers) [minimum, maximum] = [Math.min(minimum, x), Math.max(maximum, x)];
  return { minimum, maximum };
}

interface Files {
  readonly files: number;
  readonly bytes: number;
  /** Milliseconds, as `stat` gives them. */
  readonly newest: number;
}

/** Of an open store, by its version: kept pictures change with records, and there may be many of them. */
const counted = new WeakMap<VectorStore, { version: number; own: Files; kept: Files }>();

async function filesOf(
  directory: string,
  folder: string,
  store: VectorStore,
): Promise<{ own: Files; kept: Files }> {
  const version = await store.version();
  const known = counted.get(store);
  if (known?.version === version) return known;
  const [own, kept] = await Promise.all([
    filesBelow(directory, folder),
    filesBelow(directory, PICTURES_FOLDER),
  ]);
  counted.set(store, { version, own, kept });
  return { own, kept };
}

/** What lies below a folder of the catalogue. Files that go away meanwhile do not count. */
async function filesBelow(directory: string, folder: string): Promise<Files> {
  const total = { files: 0, bytes: 0, newest: 0 };
  if (isRemote(directory)) return total;
  const entries = await readdir(join(directory, folder), { recursive: true, withFileTypes: true }).catch(
    () => [],
  );
  const files = entries.filter((entry) => entry.isFile());
  for (let start = 0; start < files.length; start += FILES_AT_A_TIME) {
    const some = files.slice(start, start + FILES_AT_A_TIME);
    const found = await Promise.all(
      some.map(({ parentPath, name }) => stat(join(parentPath, name)).catch(() => undefined)),
    );
    for (const status of found) {
      if (status === undefined) continue;
      total.files++;
      total.bytes += status.size;
      total.newest = Math.max(total.newest, status.mtimeMs);
    }
  }
  return total;
}

const FILES_AT_A_TIME = 256;
