/**
 * The pictures of manifest rows, decoded in parallel. An unreadable picture is reported and left out; only when
 * nothing can be read is that an error.
 */
import { DataError, errorMessage, type StartProgress, silentProgress } from '../util/index.js';
import { type Colour, type DecodeOptions, decodePicture } from './decode.js';
import type { Box } from './manifest.js';
import { forEachInParallel } from './parallel.js';

/** What is decoded of a manifest row. */
export interface PictureRow {
  /** Absolute path. */
  readonly path: string;
  /** Only this part, pixels of the upright picture. */
  readonly box?: Box;
}

/** A row that was left out, and why: one line that names the file. */
export interface PictureProblem {
  /** Index of the row. */
  readonly row: number;
  readonly path: string;
  readonly message: string;
}

export interface DecodeRowsOptions {
  /** Width and height of the results, pixels. */
  size: number;
  /** Default `cover`. */
  fit?: DecodeOptions['fit'];
  /** Default white. */
  background?: Colour;
  /** Pictures in a block. Default 256. */
  blockSize?: number;
  progress?: StartProgress;
  /** Called for each unreadable picture, in the order of the rows within a block. */
  onProblem?: (problem: PictureProblem) => void;
  signal?: AbortSignal;
}

export interface DecodedBlock {
  /** Indices of the rows, ascending; unreadable ones are missing. */
  readonly rows: Int32Array;
  /** [rows.length, size, size, 3] */
  readonly pictures: Uint8Array;
}

/**
 * Yields the pictures of all rows in blocks, in order, one block ahead of the consumer: memory is that of two blocks.
 * A block may be empty. Same preparation as for search, no augmentation.
 */
export async function* decodeBlocks(
  rows: readonly PictureRow[],
  options: DecodeRowsOptions,
): AsyncGenerator<DecodedBlock, void, undefined> {
  const { size, blockSize = 256, progress: start = silentProgress } = options;
  const bytes = size * size * 3;
  const progress = start('decoding', rows.length);
  const stop = new AbortController();
  const signal = options.signal === undefined ? stop.signal : AbortSignal.any([options.signal, stop.signal]);
  const decodeBlock = async (
    from: number,
  ): Promise<DecodedBlock & { problems: readonly PictureProblem[] }> => {
    const part = rows.slice(from, from + blockSize);
    const pictures = new Uint8Array(part.length * bytes);
    const problems = await decodeInto(part, pictures, 3, { ...options, signal });
    const bad = new Set(problems.map((problem) => problem.row));
    const good = part.map((_, index) => index).filter((index) => !bad.has(index));
    for (const [to, index] of good.entries()) {
      if (to !== index) pictures.copyWithin(to * bytes, index * bytes, (index + 1) * bytes);
    }
    return {
      rows: Int32Array.from(good, (index) => from + index),
      pictures: pictures.subarray(0, good.length * bytes),
      problems: problems.map((problem) => ({ ...problem, row: from + problem.row })),
    };
  };
  let ahead: ReturnType<typeof decodeBlock> | undefined;
  try {
    for (let from = 0; from < rows.length; from += blockSize) {
      const { problems, ...block } = await (ahead ?? decodeBlock(from));
      ahead = from + blockSize < rows.length ? decodeBlock(from + blockSize) : undefined;
      ahead?.catch(() => {}); // reported when it is awaited
      for (const problem of problems) options.onProblem?.(problem);
      progress.update(Math.min(rows.length, from + blockSize));
      yield block;
    }
  } finally {
    progress.stop();
    stop.abort();
    await ahead?.catch(() => {});
  }
}

/**
 * All pictures at once, for sets that fit in memory.
 * @returns `pictures` [kept.length, size, size, 3]; `kept`, indices of the rows that could be read; `problems`
 * @throws DataError when there are rows and none can be read
 */
export async function decodeAll(
  rows: readonly PictureRow[],
  options: DecodeRowsOptions,
): Promise<{ pictures: Uint8Array; kept: Int32Array; problems: readonly PictureProblem[] }> {
  const bytes = options.size * options.size * 3;
  const pictures = new Uint8Array(rows.length * bytes);
  const kept: number[] = [];
  const problems: PictureProblem[] = [];
  const onProblem = (problem: PictureProblem) => {
    problems.push(problem);
    options.onProblem?.(problem);
  };
  for await (const block of decodeBlocks(rows, { ...options, onProblem })) {
    pictures.set(block.pictures, kept.length * bytes);
    kept.push(...block.rows);
  }
  requireSome(rows.length, problems);
  return { pictures: pictures.subarray(0, kept.length * bytes), kept: Int32Array.from(kept), problems };
}

/**
 * Decodes rows into one array, [rows.length, size, size, channels]; a picture that cannot be read stays as it was.
 * @returns the problems, by row
 */
export async function decodeInto(
  rows: readonly PictureRow[],
  target: Uint8Array,
  channels: 3 | 4,
  options: Pick<DecodeRowsOptions, 'size' | 'fit' | 'background' | 'signal'> & { onDecoded?: () => void },
): Promise<readonly PictureProblem[]> {
  const { size, fit, background, signal, onDecoded } = options;
  const bytes = size * size * channels;
  const problems: PictureProblem[] = [];
  await forEachInParallel(
    rows.length,
    async (row) => {
      const { path, box } = rows[row]!;
      try {
        const picture = await decodePicture(path, {
          size,
          keepAlpha: channels === 4,
          ...(fit === undefined ? {} : { fit }),
          ...(background === undefined ? {} : { background }),
          ...(box === undefined ? {} : { box }),
        });
        target.set(picture.data, row * bytes);
      } catch (error) {
        if (!(error instanceof DataError)) throw error;
        problems.push({ row, path, message: errorMessage(error) });
      }
      onDecoded?.();
    },
    { signal },
  );
  return problems.sort((a, b) => a.row - b.row);
}

/** @throws DataError naming the first problem when no picture is left */
export function requireSome(rowCount: number, problems: readonly PictureProblem[]): void {
  const first = problems[0];
  if (first === undefined || problems.length < rowCount) return;
  throw new DataError(`none of ${rowCount} pictures can be read; the first: ${first.message}`);
}
