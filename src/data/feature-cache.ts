/**
 * A cache of features on disk: records of one size, by key, in one folder a (prefix, transform, shape, precision).
 * Each writer appends to a segment of its own, two files: `N.records`, the numbers, and `N.keys`, an entry with key
 * and checksums a record, written after it. So nothing needs a lock; a writer that is killed loses only what it had
 * not written; a torn or flipped record fails its checksum and counts as missing. Among equal keys the later
 * segment wins. A disk that is full ends the writing, not the run.
 *
 * Layout of an entry (44 bytes, little-endian): magic, CRC-32 of the record, the key's 32 bytes, CRC-32 of the 40
 * bytes before.
 */
import { type FileHandle, open, readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { crc32 } from 'node:zlib';
import { DataError, errorMessage, float16ToFloat32, float32ToFloat16 } from '../util/index.js';
import { leaveSpace, makeRoom, openSpace } from './feature-cache-spaces.js';

export interface FeatureCacheOptions {
  /** Folder of all caches. Default: `features` in the user's cache folder. */
  root?: string;
  /** Hash of all that decides the features beside the pixels: the model's bytes and the names of its outputs. */
  prefix: string;
  /** Hash of all that decides the pixels beside picture and view. */
  transform: string;
  /** Of a picture's features, e.g. [1280] or [192, 7, 7]. */
  shape: readonly number[];
  /**
   * How numbers are stored. `float16` halves the space and rounds to 11 bits (relative error up to 4.9e-4); features
   * beyond ±65,504 are refused. Default `float32`, which gives back what was put in, to the bit.
   */
  precision?: 'float32' | 'float16';
  /** Most bytes under `root`: the folders used longest ago are removed for newer records. Default 20 GB. */
  limitBytes?: number;
  /** Told, once, on one line, when nothing more can be written and why. */
  onFull?: (reason: string) => void;
}

export interface FeatureCacheStatistics {
  /** On disk, of this folder. */
  readonly bytes: number;
  /** Different keys. */
  readonly records: number;
  /** Records that were asked for and found. */
  readonly hits: number;
  readonly misses: number;
  /** Records and entries that failed a checksum since the cache was opened. */
  readonly damaged: number;
}

export interface FeatureCache {
  readonly directory: string;
  /** Numbers in a record. */
  readonly length: number;
  /** Whether a record is stored. It may still prove damaged when it is read. */
  has(key: string): boolean;
  /**
   * Reads records, several at a time.
   * @param keys 64 hexadecimal digits each
   * @param into receives [keys.length, length]. Default: a new array
   * @returns the values, and the positions whose record is missing or damaged, whose values mean nothing
   */
  read(keys: readonly string[], into?: Float32Array): Promise<{ values: Float32Array; missing: number[] }>;
  /**
   * Stores records; they can be read when the promise resolves. Where nothing can be written any more it does nothing.
   * @param values [keys.length, length]; not to be changed before the promise resolves
   * @throws DataError for a number that the precision cannot hold
   */
  append(keys: readonly string[], values: Float32Array): Promise<void>;
  /** False once the disk or the limit is full. */
  readonly isWritable: boolean;
  /** Waits until what was appended is on the disk itself. */
  flush(): Promise<void>;
  close(): Promise<void>;
  statistics(): FeatureCacheStatistics;
}

/**
 * Opens the cache's folder, making it where there is none, and reads its keys.
 * @throws DataError when the folder can be neither made nor read
 */
export async function openFeatureCache(options: FeatureCacheOptions): Promise<FeatureCache> {
  const { prefix, transform, shape, precision = 'float32', limitBytes = 20e9 } = options;
  const length = shape.reduce((product, size) => product * size, 1);
  if (!(Number.isInteger(length) && length > 0)) {
    throw new DataError(`openFeatureCache: shape must hold whole numbers from 1, got [${shape.join(', ')}]`);
  }
  const space = await openSpace({ prefix, transform, shape, precision }, options.root);
  const { directory, root } = space;
  const recordBytes = length * (precision === 'float16' ? 2 : 4);
  const segments: Segment[] = [];
  const places = new Map<string, Place>();
  const counts = { bytes: 0, hits: 0, misses: 0, damaged: 0 };
  for (const number of await segmentNumbers(directory)) {
    const segment: Segment = { number, file: undefined };
    segments.push(segment);
    const { entries, bytes, damaged } = await readEntries(directory, number, recordBytes);
    counts.bytes += bytes;
    counts.damaged += damaged;
    for (const { key, crc, index } of entries) places.set(key, { segment, index, crc, isVerified: false });
  }

  let own: Writer | undefined;
  let othersBytes: number | undefined;
  let isWritable = true;
  let isClosed = false;
  let appended: Promise<void> = Promise.resolve();
  const stopWriting = (reason: string) => {
    if (!isWritable) return;
    isWritable = false;
    options.onFull?.(`feature cache: ${reason}. What is missing is computed when it is needed`);
  };

  async function readRecord(key: string, into: Float32Array, raw: Uint8Array): Promise<boolean> {
    const place = places.get(key);
    if (place === undefined) return false;
    try {
      place.segment.file ??= open(recordsFile(directory, place.segment.number), 'r');
      const file = await place.segment.file;
      let done = 0;
      while (done < recordBytes) {
        const position = place.index * recordBytes + done;
        const { bytesRead } = await file.read(raw, done, recordBytes - done, position);
        if (bytesRead === 0) break;
        done += bytesRead;
      }
      if (done === recordBytes && (place.isVerified || crc32(raw) === place.crc)) {
        place.isVerified = true;
        if (precision === 'float16') {
          float16ToFloat32(new Uint16Array(raw.buffer, raw.byteOffset, length), into);
        }
        return true;
      }
    } catch {
      // A file that is gone or cannot be read: its records are missing, as damaged ones are.
    }
    if (isClosed) throw new DataError('feature cache: closed');
    if (places.get(key) === place) {
      places.delete(key);
      counts.damaged++;
    }
    return false;
  }

  async function appendNow(keys: readonly string[], values: Float32Array): Promise<void> {
    if (isClosed) throw new DataError('feature cache: closed');
    if (!isWritable || keys.length === 0) return;
    const data = encode(values, precision);
    const checksums = keys.map((_, i) => crc32(data.subarray(i * recordBytes, (i + 1) * recordBytes)));
    const entries = Buffer.concat(keys.map((key, i) => entryOf(key, checksums[i]!)));
    const added = data.length + entries.length;
    if (counts.bytes + added + (othersBytes ?? Number.POSITIVE_INFINITY) > limitBytes) {
      othersBytes = await makeRoom(root, directory, counts.bytes + added, limitBytes);
      if (counts.bytes + added + othersBytes > limitBytes) {
        return stopWriting(`the limit of ${limitBytes} bytes is reached`);
      }
    }
    try {
      own ??= await createSegment(directory, segments.at(-1)?.number ?? 0);
      if (!segments.includes(own.segment)) segments.push(own.segment);
      const first = own.count;
      await writeAll(own.records, data, first * recordBytes);
      await writeAll(own.keys, entries, first * ENTRY_BYTES);
      own.count += keys.length;
      counts.bytes += added;
      for (const [i, key] of keys.entries()) {
        places.set(key, { segment: own.segment, index: first + i, crc: checksums[i]!, isVerified: true });
      }
    } catch (error) {
      stopWriting(`cannot be written any more: ${errorMessage(error)}`);
    }
  }

  async function flush(): Promise<void> {
    await appended;
    try {
      await own?.records.datasync();
      await own?.keys.datasync();
    } catch (error) {
      stopWriting(`cannot be written any more: ${errorMessage(error)}`);
    }
  }

  return {
    directory,
    length,
    has: (key) => places.has(key),
    get isWritable() {
      return isWritable;
    },
    async read(keys, into = new Float32Array(keys.length * length)) {
      if (isClosed) throw new DataError('feature cache: closed');
      if (into.length !== keys.length * length) {
        throw new DataError(
          `featureCache.read: room for ${keys.length} × ${length} numbers is required, got ${into.length}`,
        );
      }
      const missing: number[] = [];
      let next = 0;
      const reader = async () => {
        const half = precision === 'float16' ? new Uint8Array(recordBytes) : undefined;
        while (next < keys.length) {
          const at = next++;
          const target = into.subarray(at * length, (at + 1) * length);
          const raw = half ?? new Uint8Array(target.buffer, target.byteOffset, recordBytes);
          if (!(await readRecord(keys[at]!, target, raw))) missing.push(at);
        }
      };
      await Promise.all(Array.from({ length: Math.min(READERS, keys.length) }, reader));
      counts.misses += missing.length;
      counts.hits += keys.length - missing.length;
      return { values: into, missing: missing.sort((a, b) => a - b) };
    },
    append(keys, values) {
      if (values.length !== keys.length * length) {
        throw new DataError(
          `featureCache.append: ${keys.length} × ${length} numbers are required, got ${values.length}`,
        );
      }
      const result = appended.then(() => appendNow(keys, values));
      appended = result.catch(() => {});
      return result;
    },
    flush,
    async close() {
      if (isClosed) return;
      await flush();
      isClosed = true;
      leaveSpace(directory);
      await Promise.allSettled([
        own?.records.close(),
        own?.keys.close(),
        ...segments.map(async ({ file }) => (await file)?.close()),
      ]);
    },
    statistics: () => ({ ...counts, records: places.size }),
  };
}

// --- internal ---

const MAGIC = 0x43_46_4d_53; // 'SMFC'
const ENTRY_BYTES = 44;
/** Reads under way at a time. All of a batch, so that they go on in the thread pool while a model runs on this thread. */
const READERS = 256;

interface Segment {
  readonly number: number;
  /** Opened when it is first read from. */
  file: Promise<FileHandle> | undefined;
}

interface Place {
  readonly segment: Segment;
  readonly index: number;
  readonly crc: number;
  /** Whether the checksum was compared since the cache was opened. */
  isVerified: boolean;
}

interface Writer {
  readonly segment: Segment;
  readonly records: FileHandle;
  readonly keys: FileHandle;
  count: number;
}

const recordsFile = (directory: string, number: number) => join(directory, `${number}.records`);
const keysFile = (directory: string, number: number) => join(directory, `${number}.keys`);

async function segmentNumbers(directory: string): Promise<number[]> {
  const numbers = (await readdir(directory)).flatMap((name) => /^(\d+)\.keys$/.exec(name)?.[1] ?? []);
  return numbers.map(Number).sort((a, b) => a - b);
}

/** The entries of a segment whose record is there; a last one that is torn is no damage but an end. */
async function readEntries(directory: string, number: number, recordBytes: number) {
  const entries: { key: string; crc: number; index: number }[] = [];
  let damaged = 0;
  let bytes: Buffer;
  let size: number;
  try {
    bytes = await readFile(keysFile(directory, number));
    size = (await stat(recordsFile(directory, number))).size;
  } catch {
    return { entries, damaged, bytes: 0 }; // a segment that another process is making or removing
  }
  for (let index = 0; (index + 1) * ENTRY_BYTES <= bytes.length; index++) {
    const entry = bytes.subarray(index * ENTRY_BYTES, (index + 1) * ENTRY_BYTES);
    const isIntact =
      entry.readUInt32LE(0) === MAGIC && entry.readUInt32LE(40) === crc32(entry.subarray(0, 40));
    if (isIntact && (index + 1) * recordBytes <= size) {
      entries.push({ key: entry.toString('hex', 8, 40), crc: entry.readUInt32LE(4), index });
    } else damaged++;
  }
  return { entries, damaged, bytes: bytes.length + size };
}

/** A segment with the first free number above `last`: creating a file that must not exist is atomic. */
async function createSegment(directory: string, last: number): Promise<Writer> {
  for (let number = last + 1; ; number++) {
    try {
      const keys = await open(keysFile(directory, number), 'wx');
      const records = await open(recordsFile(directory, number), 'w+');
      return { segment: { number, file: undefined }, keys, records, count: 0 };
    } catch (error) {
      if (!(error instanceof Error && 'code' in error && error.code === 'EEXIST')) throw error;
    }
  }
}

function entryOf(key: string, crc: number): Buffer {
  const entry = Buffer.alloc(ENTRY_BYTES);
  entry.writeUInt32LE(MAGIC, 0);
  entry.writeUInt32LE(crc, 4);
  if (entry.write(key, 8, 'hex') !== 32 || key.length !== 64) {
    throw new DataError(`featureCache.append: a key must have 64 hexadecimal digits, got '${key}'`);
  }
  entry.writeUInt32LE(crc32(entry.subarray(0, 40)), 40);
  return entry;
}

/** As bytes: float32 without a copy. */
function encode(values: Float32Array, precision: 'float32' | 'float16'): Uint8Array {
  if (precision === 'float32') return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const beyond = values.find((value) => Math.abs(value) >= 65_520);
  if (beyond !== undefined) {
    throw new DataError(
      `feature cache: features must be within ±65504 to be stored as float16, got ${beyond}. Use precision float32`,
    );
  }
  return new Uint8Array(float32ToFloat16(values).buffer);
}

async function writeAll(file: FileHandle, bytes: Uint8Array, position: number): Promise<void> {
  for (let done = 0; done < bytes.length; ) {
    done += (await file.write(bytes, done, bytes.length - done, position + done)).bytesWritten;
  }
}
