/**
 * Manifests: which pictures there are, of which item, in which split, and what is known of them.
 * CSV or JSONL. Columns `path`, `item_id`, `split`, optionally `source`, `source_group` and a box
 * (`x_1`, `y_1`, `x_2`, `y_2`); every other column is an attribute, its values separated by `|`.
 * An empty cell is unknown, never "no". A header of Open Metric Learning's (`label`, `path`, `split`,
 * `is_query`, `is_gallery`) is read as it is. Whether a picture exists is found out when it is decoded.
 */
import { readFile } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep } from 'node:path';
import { stringify } from 'csv-stringify/sync';
import { DataError, errorMessage, writeFileAtomic } from '../util/index.js';
import { parseCsvTable } from './csv-table.js';

/** What a picture is for. Pictures of `test` are both queries and gallery. */
export type Split = 'train' | 'val' | 'query' | 'gallery' | 'test';

/** Every split, in the order used in messages and tables. */
export const SPLITS: readonly Split[] = ['train', 'val', 'query', 'gallery', 'test'];

/** Corners of the part of a picture that shows the item, in pixels of the upright picture. */
export interface Box {
  readonly left: number;
  readonly top: number;
  readonly right: number;
  readonly bottom: number;
}

/** One picture. */
export interface ManifestRow {
  /** Absolute. */
  readonly path: string;
  /** As written in the manifest, relative to its folder. */
  readonly relativePath: string;
  readonly itemId: string;
  readonly split: Split;
  /** Who made the picture, e.g. the artist or photographer. Never an attribute. */
  readonly source: string | undefined;
  /** Sources that are one design share a group; where the manifest says nothing, the source itself. */
  readonly sourceGroup: string | undefined;
  /** Values by attribute; an empty list is unknown. */
  readonly attributes: Readonly<Record<string, readonly string[]>>;
  readonly box?: Box;
  /** Where the row ends in its file, 1-based. */
  readonly line: number;
}

export interface Manifest {
  /** As given to `readManifest`. */
  readonly file: string;
  readonly rows: readonly ManifestRow[];
  /** In the order of the columns. */
  readonly attributeNames: readonly string[];
}

/** What `writeManifest` needs of a row: a `ManifestRow` will do. */
export type ManifestEntry = Pick<ManifestRow, 'relativePath' | 'itemId' | 'split' | 'attributes'> &
  Partial<Pick<ManifestRow, 'source' | 'sourceGroup' | 'box'>>;

/**
 * Reads a manifest; `.jsonl` and `.ndjson` as JSON lines (a list, text, number or boolean a value; `null` is
 * unknown), everything else as CSV with a header.
 * @throws DataError with file and line: unreadable file, broken CSV or JSON, missing or repeated column, unknown
 * split, empty path or item, a box that is no box, no rows.
 */
export async function readManifest(file: string): Promise<Manifest> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new DataError(`manifest cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  const table = /\.(jsonl|ndjson)$/i.test(file) ? readJsonLines(file, text) : readCsv(file, text);
  const isOpenMetricLearning = !table.columns.includes('item_id') && table.columns.includes('label');
  for (const column of ['path', isOpenMetricLearning ? 'label' : 'item_id', 'split']) {
    if (!table.columns.includes(column)) {
      throw new DataError(
        `manifest: a column '${column}' is required, got ${table.columns.map((name) => `'${name}'`).join(', ')}. ` +
          `Name the columns in the first line`,
        { file, line: 1 },
      );
    }
  }
  if (table.records.length === 0) {
    throw new DataError('manifest: at least one row is required, got none. List one picture a line', {
      file,
    });
  }
  const reserved = isOpenMetricLearning ? OML_COLUMNS : RESERVED_COLUMNS;
  const attributeNames = table.columns.filter((name) => !reserved.has(name));
  const folder = dirname(resolve(file));
  const rows = table.records.map(({ cells, line }): ManifestRow => {
    const single = (column: string) => cells.get(column)?.[0] ?? '';
    const relativePath = single('path');
    const itemId = single(isOpenMetricLearning ? 'label' : 'item_id');
    if (relativePath.trim() === '') {
      throw new DataError(
        'path: the place of a picture is required, got an empty cell. Fill it in or delete the row',
        {
          file,
          line,
        },
      );
    }
    if (itemId.trim() === '') {
      throw new DataError(
        `${isOpenMetricLearning ? 'label' : 'item_id'}: the item that the picture shows is required, got an empty ` +
          'cell. Fill it in or delete the row',
        { file, line },
      );
    }
    const source = single('source') || undefined;
    const box = readBox(file, line, single);
    return {
      path: resolve(folder, relativePath),
      relativePath,
      itemId,
      split: isOpenMetricLearning ? readOmlSplit(file, line, cells) : readSplit(file, line, single('split')),
      source,
      sourceGroup: single('source_group') || source,
      attributes: Object.fromEntries(
        attributeNames.map((name) => [name, splitValues(cells.get(name) ?? [])]),
      ),
      ...(box === undefined ? {} : { box }),
      line,
    };
  });
  return { file, rows, attributeNames };
}

/**
 * Writes a manifest: CSV, or JSONL when the name ends so. The same rows give the same bytes. Atomic.
 * @param attributeNames columns of attributes in their order; default: the order in which the rows first have a value
 *   of them, then those without any
 * @throws DataError when a value contains `|`, or the file cannot be written
 */
export async function writeManifest(
  file: string,
  rows: readonly ManifestEntry[],
  { attributeNames }: { attributeNames?: readonly string[] } = {},
): Promise<void> {
  const names = attributeNames ?? namesByFirstValue(rows);
  for (const name of names) {
    if (RESERVED_COLUMNS.has(name)) {
      throw new DataError(
        `writeManifest: an attribute must not be named '${name}', which is a reserved column`,
        {
          file,
        },
      );
    }
  }
  const hasSource = rows.some((row) => row.source !== undefined);
  const hasGroup = rows.some((row) => row.sourceGroup !== undefined);
  const hasBox = rows.some((row) => row.box !== undefined);
  const joined = (row: ManifestEntry, name: string) => {
    const values = row.attributes[name] ?? [];
    const bad = values.find((value) => value.includes('|'));
    if (bad !== undefined) {
      throw new DataError(
        `writeManifest: a value of '${name}' must not contain '|', got '${bad}'. Rename it`,
        { file },
      );
    }
    return values.join('|');
  };
  const columns = [
    'path',
    'item_id',
    'split',
    ...(hasSource ? ['source'] : []),
    ...(hasGroup ? ['source_group'] : []),
    ...(hasBox ? BOX_COLUMNS : []),
    ...names,
  ];
  const cells = rows.map((row) => [
    row.relativePath,
    row.itemId,
    row.split,
    ...(hasSource ? [row.source ?? ''] : []),
    ...(hasGroup ? [row.sourceGroup ?? ''] : []),
    ...(hasBox ? boxCells(row.box) : []),
    ...names.map((name) => joined(row, name)),
  ]);
  const text = /\.(jsonl|ndjson)$/i.test(file)
    ? cells.map((row) => `${JSON.stringify(toObject(columns, row))}\n`).join('')
    : stringify([columns, ...cells], { record_delimiter: '\n' });
  await writeFileAtomic(file, text);
}

/**
 * How a manifest names a picture: relative to its own folder, with forward slashes; absolute where there is no way from
 * one to the other (another drive).
 */
export function manifestPath(manifestFile: string, picture: string): string {
  const path = relative(dirname(resolve(manifestFile)), resolve(picture));
  return isAbsolute(path) ? path : path.split(sep).join('/');
}

// --- internal ---

const BOX_COLUMNS: readonly string[] = ['x_1', 'y_1', 'x_2', 'y_2'];
const RESERVED_COLUMNS: ReadonlySet<string> = new Set([
  'path',
  'item_id',
  'split',
  'source',
  'source_group',
  ...BOX_COLUMNS,
]);
/** `sequence` names neighbouring frames of one video there: an identity, not an attribute. */
const OML_COLUMNS: ReadonlySet<string> = new Set([
  ...RESERVED_COLUMNS,
  'label',
  'is_query',
  'is_gallery',
  'sequence',
]);

/** An order that reading back gives again, also from JSON lines, which leave out what is unknown. */
function namesByFirstValue(rows: readonly ManifestEntry[]): string[] {
  const entries = rows.flatMap((row) => Object.entries(row.attributes));
  const valued = entries.filter(([, values]) => values.length > 0);
  return [...new Set([...valued, ...entries].map(([name]) => name))];
}

type Cells = ReadonlyMap<string, readonly string[]>;

interface Table {
  columns: readonly string[];
  records: readonly { cells: Cells; line: number }[];
}

function readCsv(file: string, text: string): Table {
  const { columns, records } = parseCsvTable(text, { file, what: 'manifest' });
  return {
    columns,
    records: records.map(({ cells, line }) => ({
      cells: new Map(columns.map((name, index) => [name, [cells[index]!]])),
      line,
    })),
  };
}

function readJsonLines(file: string, text: string): Table {
  const columns = new Set<string>();
  const records: { cells: Cells; line: number }[] = [];
  for (const [index, source] of text
    .replace(/^\uFEFF/, '')
    .split('\n')
    .entries()) {
    if (source.trim() === '') continue;
    const line = index + 1;
    let value: unknown;
    try {
      value = JSON.parse(source);
    } catch (error) {
      throw new DataError(`manifest is not valid JSON: ${errorMessage(error)}`, { file, line, cause: error });
    }
    if (typeof value !== 'object' || value === null || Array.isArray(value)) {
      throw new DataError(`manifest: a line must be a JSON object, got ${source.trim().slice(0, 40)}`, {
        file,
        line,
      });
    }
    const cells = new Map<string, readonly string[]>();
    for (const [name, cell] of Object.entries(value)) {
      columns.add(name);
      const values = (Array.isArray(cell) ? cell : [cell]).filter((part) => part !== null);
      for (const part of values) {
        if (typeof part === 'object') {
          throw new DataError(
            `${name}: text, a number, a boolean or a list of them is required, got an object`,
            {
              file,
              line,
            },
          );
        }
      }
      cells.set(name, values.map(String));
    }
    records.push({ cells, line });
  }
  return { columns: [...columns], records };
}

function splitValues(cell: readonly string[]): readonly string[] {
  const values = cell.flatMap((part) => part.split('|')).map((value) => value.trim());
  return [...new Set(values.filter((value) => value !== ''))];
}

function readSplit(file: string, line: number, value: string): Split {
  const split = SPLITS.find((name) => name === value.trim());
  if (split === undefined) {
    throw new DataError(`split: one of ${SPLITS.join(', ')} is required, got '${value}'`, { file, line });
  }
  return split;
}

/** What Open Metric Learning calls validation is what it judges on: query, gallery, or both (`test`). */
function readOmlSplit(file: string, line: number, cells: Cells): Split {
  const value = cells.get('split')?.[0] ?? '';
  if (value === 'train') return 'train';
  if (value !== 'validation') {
    throw new DataError(`split: one of train, validation is required, got '${value}'`, { file, line });
  }
  const flag = (column: string): boolean => {
    const cell = cells.get(column);
    if (cell === undefined) {
      throw new DataError(`manifest: rows of the split 'validation' require a column '${column}'`, {
        file,
        line,
      });
    }
    return /^(true|1|1\.0)$/i.test(cell[0] ?? '');
  };
  const isQuery = flag('is_query');
  const isGallery = flag('is_gallery');
  if (isQuery) return isGallery ? 'test' : 'query';
  if (isGallery) return 'gallery';
  throw new DataError('split: a row of validation must be a query, of the gallery, or both, got neither', {
    file,
    line,
  });
}

function readBox(file: string, line: number, single: (column: string) => string): Box | undefined {
  const cells = BOX_COLUMNS.map((column) => single(column).trim());
  if (cells.every((cell) => cell === '')) return undefined;
  const [left, top, right, bottom] = cells.map((cell) => (cell === '' ? Number.NaN : Number(cell)));
  if (
    !(left! >= 0 && top! >= 0 && right! > left! && bottom! > top!) ||
    right === Infinity ||
    bottom === Infinity
  ) {
    throw new DataError(
      `box: x_1 < x_2 and y_1 < y_2 in pixels are required, got x ${cells[0]} to ${cells[2]}, y ${cells[1]} to ` +
        `${cells[3]}. Correct the four cells or leave them empty`,
      { file, line },
    );
  }
  return { left: left!, top: top!, right: right!, bottom: bottom! };
}

function boxCells(box: Box | undefined): string[] {
  if (box === undefined) return ['', '', '', ''];
  return [box.left, box.top, box.right, box.bottom].map(String);
}

function toObject(columns: readonly string[], cells: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    columns.map((name, index) => [name, cells[index]!]).filter(([, cell]) => cell !== ''),
  );
}
