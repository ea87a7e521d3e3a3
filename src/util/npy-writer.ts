/**
 * A float32 matrix written as `.npy` row by row, for matrices that do not fit in memory. The file appears under its name
 * when it is whole: until then it is beside it.
 */
import { type FileHandle, mkdir, open, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { DataError, errorMessage } from './errors.js';
import { encodeNpy } from './npy.js';

export interface NpyWriter {
  /** Appends whole rows. @throws DataError when the elements are no whole rows, or cannot be written */
  append(rows: Float32Array): Promise<void>;
  /** Puts the file in its place. @throws DataError when it cannot be written */
  finish(): Promise<void>;
  /** Takes back what was written; does nothing after `finish`. */
  abandon(): Promise<void>;
}

/**
 * Starts a matrix of `columns` columns whose number of rows shows at the end.
 * @throws DataError when the file cannot be made.
 */
export async function npyWriter(path: string, columns: number): Promise<NpyWriter> {
  const unfinished = join(dirname(path), `.${basename(path)}.${process.pid}.unfinished`);
  const attempt = async <T>(work: () => Promise<T>): Promise<T> => {
    try {
      return await work();
    } catch (error) {
      if (error instanceof DataError) throw error;
      throw new DataError(`cannot be written: ${errorMessage(error)}`, { file: path, cause: error });
    }
  };
  let handle: FileHandle | undefined = await attempt(async () => {
    await mkdir(dirname(path), { recursive: true });
    const opened = await open(unfinished, 'w');
    await opened.write(header(0, columns));
    return opened;
  });
  let rowCount = 0;
  return {
    append: (rows) =>
      attempt(async () => {
        if (rows.length % columns !== 0)
          throw new DataError(`npy: rows must have ${columns} elements, got ${rows.length} in all`, {
            file: path,
          });
        await handle?.writeFile(new Uint8Array(rows.buffer, rows.byteOffset, rows.byteLength));
        rowCount += rows.length / columns;
      }),
    finish: () =>
      attempt(async () => {
        await handle?.write(header(rowCount, columns), 0, HEADER_BYTES, 0);
        await handle?.sync();
        await handle?.close();
        handle = undefined;
        await rename(unfinished, path);
      }),
    async abandon() {
      await handle?.close().catch(() => {});
      if (handle !== undefined) await rm(unfinished, { force: true });
      handle = undefined;
    },
  };
}

// --- internal ---

const HEADER_BYTES = 128;

/** The header of a file of so many rows, always of one length: spaces fill it up, as the format allows. */
function header(rows: number, columns: number): Uint8Array {
  const text = Buffer.from(
    encodeNpy({ dataType: 'float32', shape: [0, columns], data: new Float32Array(0) }).subarray(10),
  ).toString('latin1');
  const bytes = Buffer.alloc(HEADER_BYTES, ' ');
  bytes.set([0x93, 0x4e, 0x55, 0x4d, 0x50, 0x59, 1, 0]);
  bytes.writeUInt16LE(HEADER_BYTES - 10, 8);
  bytes.write(text.trimEnd().replace('(0,', `(${rows},`), 10, 'latin1');
  bytes.write('\n', HEADER_BYTES - 1, 'latin1');
  return bytes;
}
