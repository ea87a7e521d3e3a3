/**
 * Files that are whole or absent: written beside their place, synced to disk and renamed over it.
 */
import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import writeFileAtomicOriginal from 'write-file-atomic';
import { DataError, errorMessage } from './errors.js';

/**
 * Writes a file so that a reader, or a machine that loses power, sees the old content or the new one, never a part.
 * Makes the folder if it is missing.
 * @throws DataError naming the file when it cannot be written (full disk, no permission); the old content stays.
 */
export async function writeFileAtomic(path: string, data: string | Uint8Array): Promise<void> {
  try {
    await mkdir(dirname(path), { recursive: true });
    await writeFileAtomicOriginal(
      path,
      typeof data === 'string' ? data : Buffer.from(data.buffer, data.byteOffset, data.byteLength),
    );
  } catch (error) {
    throw new DataError(`cannot be written: ${errorMessage(error)}`, { file: path, cause: error });
  }
}

/** Writes a value as indented JSON, atomically. */
export async function writeJson(path: string, value: unknown): Promise<void> {
  await writeFileAtomic(path, `${JSON.stringify(value, null, 2)}\n`);
}

/**
 * Reads a JSON file.
 * @throws DataError naming the file when it is missing or is not JSON.
 */
export async function readJson(path: string): Promise<unknown> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file: path, cause: error });
  }
  try {
    return JSON.parse(text);
  } catch (error) {
    throw new DataError(`is not valid JSON: ${errorMessage(error)}`, { file: path, cause: error });
  }
}

/** SHA-256 of a text or bytes, as 64 hexadecimal digits. */
export function sha256(data: string | Uint8Array): string {
  return createHash('sha256').update(data).digest('hex');
}

/** SHA-256 of a file's content, streamed. */
export async function sha256OfFile(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}
