/**
 * The text files of public datasets, line by line: streamed, since some have millions of lines, and forgiving about
 * what unpacking and editing do to them (byte order mark, CRLF, blank lines, runs of spaces, backslashes in paths).
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import {
  DataError,
  errorMessage,
  type Progress,
  type StartProgress,
  silentProgress,
} from '../../util/index.js';

/**
 * Calls `visit` for each line that is not blank, without its line end.
 * @param visit gets the line and its number, 1-based
 * @throws DataError when the file cannot be read or is not text; whatever `visit` throws
 */
export async function forEachLine(
  file: string,
  visit: (line: string, number: number) => void,
  { signal, progress = silentProgress }: { signal?: AbortSignal | undefined; progress?: StartProgress } = {},
): Promise<void> {
  let rest = '';
  let number = 0;
  const take = (line: string) => {
    number++;
    const text = number === 1 ? line.replace(/^\uFEFF/, '') : line;
    const end = text.endsWith('\r') ? text.slice(0, -1) : text;
    if (end.trim() !== '') visit(end, number);
  };
  const refuse = () => {
    throw new DataError('must be text in UTF-8, got other bytes. Unpack the dataset again', {
      file,
      line: number + 1,
    });
  };
  for await (const chunk of chunksOf(file, progress)) {
    signal?.throwIfAborted();
    if (chunk.includes('\0')) refuse();
    const lines = (rest + chunk).split('\n');
    rest = lines.pop()!;
    if (rest.length > LONGEST_LINE) refuse();
    for (const line of lines) take(line);
  }
  if (rest !== '') take(rest);
}

/** All lines that are not blank, with their numbers. @throws DataError as `forEachLine` */
export async function readLines(file: string): Promise<readonly { text: string; line: number }[]> {
  const lines: { text: string; line: number }[] = [];
  await forEachLine(file, (text, line) => {
    lines.push({ text, line });
  });
  return lines;
}

/**
 * A path as datasets write it, as a path relative to the folder of pictures: forward slashes, no `./`, no empty part.
 * @param where file and line, for the error
 * @throws DataError for an empty path and one that leaves the folder
 */
export function picturePath(text: string, where: { file: string; line: number }): string {
  const parts = text
    .trim()
    .replace(/\\/g, '/')
    .split('/')
    .filter((part) => part !== '' && part !== '.');
  if (parts.length === 0 || parts.includes('..')) {
    throw new DataError(
      `path: the place of a picture inside the dataset is required, got '${text.trim()}'. Correct the line`,
      where,
    );
  }
  return parts.join('/');
}

/**
 * A whole number of 0 or more that stands in a file.
 * @param name what it is, for the error
 * @throws DataError when it is none, or larger than `maximum`
 */
export function numberIn(
  text: string | undefined,
  name: string,
  where: { file: string; line: number },
  { minimum = 0, maximum = Number.MAX_SAFE_INTEGER }: { minimum?: number; maximum?: number } = {},
): number {
  const number = text !== undefined && /^\d+$/.test(text) ? Number(text) : Number.NaN;
  if (number >= minimum && number <= maximum) return number;
  const range = maximum === Number.MAX_SAFE_INTEGER ? `from ${minimum} on` : `from ${minimum} to ${maximum}`;
  throw new DataError(
    `${name}: a whole number ${range} is required, got ${text === undefined ? 'nothing' : `'${text.slice(0, 40)}'`}. ` +
      'Correct the line, or unpack the dataset again',
    where,
  );
}

/**
 * A file's text in pieces of a megabyte, with progress where it is large.
 * @throws DataError when it cannot be read
 */
export async function* chunksOf(
  file: string,
  startProgress: StartProgress,
): AsyncGenerator<string, void, undefined> {
  const bytes = await stat(file).then(
    ({ size }) => size,
    () => 0,
  );
  const progress: Progress =
    bytes < WORTH_PROGRESS ? silentProgress('', 0) : startProgress(`reading ${basename(file)}`, bytes);
  const stream = createReadStream(file, { encoding: 'utf8', highWaterMark: 1 << 20 });
  const chunks = stream[Symbol.asyncIterator]();
  try {
    while (true) {
      let next: IteratorResult<string>;
      try {
        next = (await chunks.next()) as IteratorResult<string>;
      } catch (error) {
        const missing = error instanceof Error && 'code' in error && error.code === 'ENOENT';
        throw new DataError(`cannot be read: ${missing ? 'no such file' : errorMessage(error)}`, {
          file,
          cause: error,
        });
      }
      if (next.done === true) return;
      progress.update(stream.bytesRead);
      yield next.value;
    }
  } finally {
    progress.stop();
    stream.destroy();
  }
}

// --- internal ---

const LONGEST_LINE = 1_000_000;
const WORTH_PROGRESS = 8_000_000;
