/**
 * Anyone's embeddings with their labels, as `evaluate --embeddings` takes them: arrays in `.npy` files, a CSV beside each,
 * one array for all rows or one for queries and one for the gallery.
 */
import { type Role, unitRows } from '../evaluation/index.js';
import { DataError, readNpy } from '../util/index.js';
import { type LabelTable, type LabelTableOptions, readLabelTable } from './label-table.js';

/** One array and its labels; `role`, where given, is the role of all its rows. */
export interface EmbeddingSource {
  readonly embeddings: string;
  readonly labels: string;
  readonly role?: 'query' | 'gallery';
}

export interface JudgedEmbeddings {
  /** [N, D], rows of unit length, or 0 for those that have no direction. */
  readonly embeddings: Float64Array;
  readonly dimension: number;
  /** Rows that are 0 throughout. */
  readonly zeroRows: readonly number[];
  readonly levels: Record<string, string[]>;
  /** Absent where a table has no column `item_id`. */
  readonly items?: string[];
  readonly roles: Role[];
  readonly source?: string[];
  readonly attributeNames: readonly string[];
  readonly attributes: LabelTable['attributes'];
}

/**
 * Reads arrays and labels, one below the other.
 * @throws DataError naming file, row and column of what is wrong.
 */
export async function readJudgedEmbeddings(
  sources: readonly EmbeddingSource[],
  options: LabelTableOptions,
): Promise<JudgedEmbeddings> {
  const parts = await Promise.all(
    sources.map(async ({ embeddings, labels, role }) => {
      const array = await readRows(embeddings);
      const table = await readLabelTable(labels, options);
      if (table.lines.length !== array.rows)
        throw new DataError(
          `labels: must have a row for each of the ${array.rows} rows of ${embeddings}, got ${table.lines.length}`,
          { file: labels },
        );
      const unit = unitRows(
        array.data,
        array.dimension,
        (row) => `${embeddings}, row ${row} counted from 0 (${labels}:${table.lines[row]})`,
      );
      return {
        ...array,
        ...unit,
        table,
        roles: role === undefined ? table.roles : table.roles.map(() => role),
      };
    }),
  );
  const [first, ...others] = parts as [(typeof parts)[0], ...typeof parts];
  for (const [index, { dimension, table }] of others.entries()) {
    if (dimension !== first.dimension)
      throw new DataError(
        `embeddings: both arrays must have the same number of columns, got ${first.dimension} in ${sources[0]?.embeddings} and ${dimension}`,
        { file: sources[index + 1]?.embeddings ?? '' },
      );
    const [names, wanted] = [table.attributeNames, first.table.attributeNames];
    const odd = [...names, ...wanted].find((name) => !names.includes(name) || !wanted.includes(name));
    if (odd !== undefined)
      throw new DataError(
        `labels: both tables must have the same attribute columns, but '${odd}' is in one of them. Choose with --attributes`,
        { file: table.file },
      );
  }
  const tables = parts.map(({ table }) => table);
  const embeddings = new Float64Array(parts.reduce((sum, part) => sum + part.embeddings.length, 0));
  const zeroRows: number[] = [];
  let offset = 0;
  for (const part of parts) {
    embeddings.set(part.embeddings, offset * first.dimension);
    zeroRows.push(...part.zeroRows.map((row) => row + offset));
    offset += part.rows;
  }
  return {
    embeddings,
    dimension: first.dimension,
    zeroRows,
    levels: Object.fromEntries(
      options.levels.map((level) => [level, tables.flatMap((table) => table.levels[level] as string[])]),
    ),
    ...(tables.every(({ items }) => items !== undefined)
      ? { items: tables.flatMap(({ items }) => items as string[]) }
      : {}),
    roles: parts.flatMap(({ roles }) => roles),
    ...(options.cross === undefined ? {} : { source: tables.flatMap((table) => table.source as string[]) }),
    attributeNames: first.table.attributeNames,
    attributes: tables.flatMap(({ attributes }) => attributes),
  };
}

// --- internal ---

async function readRows(
  file: string,
): Promise<{ data: Float32Array | Float64Array; rows: number; dimension: number }> {
  const { shape, dataType, data } = await readNpy(file);
  if (dataType !== 'float32' && dataType !== 'float64')
    throw new DataError(`embeddings: float32 is required, got ${dataType}. Convert with array.astype`, {
      file,
    });
  const [rows, dimension] = shape;
  if (shape.length !== 2 || !rows || !dimension)
    throw new DataError(
      `embeddings: shape (N, D) with N and D from 1 is required, got (${shape.join(', ')})`,
      {
        file,
      },
    );
  return { data, rows, dimension };
}
