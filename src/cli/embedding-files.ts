/**
 * Embeddings as files for other programs: NumPy's `.npy` with a CSV of the rows beside it, or Parquet. Written as they
 * come, a batch at a time; the files appear under their names when they are whole.
 *
 * Letters: D embedding size, A attribute values, n rows of a batch.
 */
import { createWriteStream, renameSync, rmSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { finished } from 'node:stream/promises';
import { stringify } from 'csv-stringify/sync';
import type { SchemaElement } from 'hyparquet';
import { fileWriter, ParquetWriter } from 'hyparquet-writer';
import { DataError, errorMessage, npyWriter, writeJson } from '../util/index.js';

/** A batch of embedded pictures. */
export interface EmbeddingRows {
  /** [n] cells of the columns, in their order. */
  readonly cells: readonly (readonly string[])[];
  /** [n, D] */
  readonly embeddings: Float32Array;
  /** [n, A], or empty. */
  readonly probabilities: Float32Array;
}

export interface EmbeddingWriter {
  append(rows: EmbeddingRows): Promise<void>;
  /** Puts the files in their places. @returns their paths */
  finish(): Promise<readonly string[]>;
  /** Takes back what was written; does nothing after `finish`. */
  abandon(): Promise<void>;
}

export interface EmbeddingLayout {
  /** Columns of text; the first is the picture's path. */
  readonly columns: readonly string[];
  /** D */
  readonly dimension: number;
  /** Names of the A probabilities, `attribute=value`; empty: none are written. */
  readonly probabilities: readonly string[];
  /** Kept in the file, where it has a place for it. */
  readonly metadata: Readonly<Record<string, string>>;
}

/** Endings that `openEmbeddingWriter` knows. */
export const EMBEDDING_FORMATS = ['.npy', '.parquet'] as const;

/**
 * Starts the files; the path's ending decides the format.
 * @throws DataError for another ending, or when a file cannot be made.
 */
export async function openEmbeddingWriter(path: string, layout: EmbeddingLayout): Promise<EmbeddingWriter> {
  await mkdir(dirname(path), { recursive: true }).catch((error) => {
    throw cannotWrite(path, error);
  });
  switch (extname(path).toLowerCase()) {
    case '.npy':
      return await arraysAndTable(path, layout);
    case '.parquet':
      return parquet(path, layout);
    default:
      throw new DataError(`must end with ${EMBEDDING_FORMATS.join(' or ')}`, { file: path });
  }
}

// --- internal ---

const cannotWrite = (file: string, error: unknown) =>
  error instanceof DataError
    ? error
    : new DataError(`cannot be written: ${errorMessage(error)}`, { file, cause: error });

const unfinishedName = (path: string) => join(dirname(path), `.${basename(path)}.${process.pid}.unfinished`);

/** `E.npy`, `E.csv`, and for probabilities `E.attributes.npy` and their names in `E.attributes.json`. */
async function arraysAndTable(path: string, layout: EmbeddingLayout): Promise<EmbeddingWriter> {
  const stem = path.slice(0, -extname(path).length);
  const table = await textWriter(`${stem}.csv`);
  const names = `${stem}.attributes.json`;
  const arrays = [await npyWriter(path, layout.dimension)];
  const hasProbabilities = layout.probabilities.length > 0;
  if (hasProbabilities) arrays.push(await npyWriter(`${stem}.attributes.npy`, layout.probabilities.length));
  await table.append(stringify([layout.columns]));
  return {
    async append({ cells, embeddings, probabilities }) {
      await table.append(stringify(cells as string[][]));
      await arrays[0]?.append(embeddings);
      await arrays[1]?.append(probabilities);
    },
    async finish() {
      if (hasProbabilities) await writeJson(names, layout.probabilities);
      await table.finish();
      for (const array of arrays) await array.finish();
      return [path, `${stem}.csv`, ...(hasProbabilities ? [`${stem}.attributes.npy`, names] : [])];
    },
    async abandon() {
      await table.abandon();
      for (const array of arrays) await array.abandon();
    },
  };
}

async function textWriter(path: string) {
  const unfinished = unfinishedName(path);
  const stream = createWriteStream(unfinished);
  const failed = finished(stream).catch((error) => {
    throw cannotWrite(path, error);
  });
  failed.catch(() => {}); // told by whoever waits for it
  let isOpen = true;
  return {
    async append(text: string) {
      if (stream.write(text)) return;
      await Promise.race([new Promise<void>((resolve) => stream.once('drain', () => resolve())), failed]);
    },
    async finish() {
      stream.end();
      await failed;
      await rename(unfinished, path);
      isOpen = false;
    },
    async abandon() {
      if (!isOpen) return;
      isOpen = false;
      stream.destroy();
      await failed.catch(() => {});
      await rm(unfinished, { force: true });
    },
  };
}

/** Rows of a row group: enough for readers to be quick, few enough for memory. */
const GROUP_ROWS = 2048;

/** Text columns, then `embedding` and `probabilities` as lists of floats. */
function parquet(path: string, layout: EmbeddingLayout): EmbeddingWriter {
  const { columns, metadata } = layout;
  const lists = ['embedding', ...(layout.probabilities.length > 0 ? ['probabilities'] : [])];
  const schema: SchemaElement[] = [
    { name: 'root', num_children: columns.length + lists.length },
    ...columns.map(
      (name): SchemaElement => ({
        name,
        type: 'BYTE_ARRAY',
        converted_type: 'UTF8',
        repetition_type: name === columns[0] ? 'REQUIRED' : 'OPTIONAL',
      }),
    ),
    ...lists.flatMap((name): SchemaElement[] => [
      { name, converted_type: 'LIST', repetition_type: 'REQUIRED', num_children: 1 },
      { name: 'list', repetition_type: 'REPEATED', num_children: 1 },
      { name: 'element', type: 'FLOAT', repetition_type: 'REQUIRED' },
    ]),
  ];
  const unfinished = unfinishedName(path);
  const attempt = <T>(work: () => T): T => {
    try {
      return work();
    } catch (error) {
      throw cannotWrite(path, error);
    }
  };
  const writer = attempt(
    () =>
      new ParquetWriter({
        writer: fileWriter(unfinished),
        schema,
        createdBy: 'semblance',
        kvMetadata: Object.entries({
          ...metadata,
          dimension: String(layout.dimension),
          ...(lists.length > 1 ? { probabilities: JSON.stringify(layout.probabilities) } : {}),
        }).map(([key, value]) => ({ key, value })),
      }),
  );
  let isOpen = true;
  let cells: (readonly string[])[] = [];
  let vectors: number[][] = [];
  let probabilities: number[][] = [];
  const flush = () => {
    if (cells.length === 0) return;
    writer.write({
      columnData: [
        ...columns.map((name, i) => ({
          name,
          data: cells.map((row) => (i > 0 && row[i] === '' ? null : (row[i] ?? ''))),
        })),
        ...lists.map((name, i) => ({
          name,
          data: i === 0 ? vectors : probabilities,
          codec: 'UNCOMPRESSED' as const, // floats do not shrink
          statistics: false,
        })),
      ],
      rowGroupSize: GROUP_ROWS,
      dictionarySize: 0,
    });
    cells = [];
    vectors = [];
    probabilities = [];
  };
  return {
    async append(rows) {
      rows.cells.forEach((row, n) => {
        cells.push(row);
        vectors.push(rowOf(rows.embeddings, n, layout.dimension));
        if (lists.length > 1) probabilities.push(rowOf(rows.probabilities, n, layout.probabilities.length));
      });
      if (cells.length >= GROUP_ROWS) attempt(flush);
    },
    async finish() {
      attempt(() => {
        flush();
        writer.finish();
        renameSync(unfinished, path);
        isOpen = false;
      });
      return [path];
    },
    async abandon() {
      if (isOpen) rmSync(unfinished, { force: true });
      isOpen = false;
    },
  };
}

const rowOf = (data: Float32Array, row: number, width: number) =>
  Array.from(data.subarray(row * width, (row + 1) * width));
