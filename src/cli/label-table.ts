/**
 * The labels of embeddings that come from anywhere: a CSV with a row for each row of the array. `item_id`, and where
 * wanted `role`, `source` and coarser levels; every other column is an attribute, its values separated by `|`. An empty
 * cell is unknown, never "no". What `semblance embed` writes beside an array reads as it is.
 */
import { readFile } from 'node:fs/promises';
import { type CsvTable, parseCsvTable } from '../data/index.js';
import type { AttributeSet, Role } from '../evaluation/index.js';
import { DataError, errorMessage } from '../util/index.js';

export interface LabelTableOptions {
  /** Fine to coarse, each a column. */
  readonly levels: readonly string[];
  /** The column whose groups do not find themselves. */
  readonly cross?: string | undefined;
  /** Columns that are attributes. Default: all that have no other meaning. */
  readonly attributes?: readonly string[] | undefined;
}

export interface LabelTable {
  readonly file: string;
  /** [N] labels by level, '' for unknown. */
  readonly levels: Record<string, string[]>;
  /** [N] of the column `item_id`, '' for unknown; absent without the column. */
  readonly items?: string[];
  /** [N] */
  readonly roles: Role[];
  /** [N], with `cross`. */
  readonly source?: string[];
  readonly attributeNames: readonly string[];
  /** [N] */
  readonly attributes: AttributeSet[];
  /** [N], where each row ends in the file, 1-based. */
  readonly lines: number[];
}

/**
 * Reads a table of labels.
 * @throws DataError with file, line and column: unreadable file, broken CSV, a column that is asked for and missing, an
 * unknown role, a row without a source where `cross` needs it.
 */
export async function readLabelTable(file: string, options: LabelTableOptions): Promise<LabelTable> {
  const { levels, cross } = options;
  const { columns, records } = await readCsv(file);
  const required = (column: string, option: string) => {
    if (columns.includes(column)) return;
    throw new DataError(
      `labels: ${option} needs a column '${column}', got ${columns.map((name) => `'${name}'`).join(', ')}`,
      { file, line: 1 },
    );
  };
  for (const level of levels) required(level, '--levels');
  if (cross !== undefined) required(cross, '--cross');
  for (const name of options.attributes ?? []) required(name, '--attributes');
  const taken = new Set([...NO_ATTRIBUTES, ...levels, ...(cross === undefined ? [] : [cross])]);
  const attributeNames = options.attributes ?? columns.filter((name) => !taken.has(name));
  const at = new Map(columns.map((name, index) => [name, index]));
  const cell = (cells: readonly string[], column: string) => cells[at.get(column) ?? -1]?.trim() ?? '';
  return {
    file,
    levels: Object.fromEntries(
      levels.map((level) => [level, records.map(({ cells }) => cell(cells, level))]),
    ),
    ...(columns.includes('item_id') ? { items: records.map(({ cells }) => cell(cells, 'item_id')) } : {}),
    roles: records.map(({ cells, line }) => roleOf(file, line, cell(cells, 'role'), cell(cells, 'split'))),
    ...(cross === undefined
      ? {}
      : {
          source: records.map(({ cells, line }) => {
            const source = cell(cells, cross);
            if (source !== '') return source;
            throw new DataError(
              `${cross}: --cross ${cross} needs the ${cross} of every row, got an empty cell. Fill it in`,
              { file, line },
            );
          }),
        }),
    attributeNames,
    attributes: records.map(({ cells }) =>
      Object.fromEntries(attributeNames.map((name) => [name, splitValues(cell(cells, name))])),
    ),
    lines: records.map(({ line }) => line),
  };
}

// --- internal ---

/** Columns that a manifest, or `semblance embed`, gives another meaning. */
const NO_ATTRIBUTES: readonly string[] = [
  'item_id',
  'role',
  'source',
  'source_group',
  'path',
  'split',
  'x_1',
  'y_1',
  'x_2',
  'y_2',
];

const ROLES: readonly Role[] = ['query', 'gallery', 'both'];

function roleOf(file: string, line: number, role: string, split: string): Role {
  if (role === '') return split === 'query' || split === 'gallery' ? split : 'both';
  const known = ROLES.find((name) => name === role);
  if (known !== undefined) return known;
  throw new DataError(`role: one of ${ROLES.join(', ')} is required, got '${role}'`, { file, line });
}

function splitValues(cell: string): string[] {
  return [
    ...new Set(
      cell
        .split('|')
        .map((value) => value.trim())
        .filter((value) => value !== ''),
    ),
  ];
}

async function readCsv(file: string): Promise<CsvTable> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    throw new DataError(`labels cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  return parseCsvTable(text, { file, what: 'labels', isPlural: true });
}
