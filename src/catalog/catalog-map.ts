/**
 * The map of a catalogue: a place in the plane for each picture, in the file `map.json` beside `catalog.json`. It is made
 * once and kept; `isMapOf` says whether it is still that of the pictures that are there.
 */
import { createHash } from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { searchVectors, weightsAt } from '../granularity/index.js';
import { DataError, errorMessage, writeFileAtomic } from '../util/index.js';
import type { Catalog } from './catalog.js';
import { isRemote } from './remote-catalog.js';

export interface CatalogMap {
  /** The model of the vectors: its `vectorHash`. */
  readonly vectorHash: string;
  /** `MapContent.fingerprint` of the pictures that it was made of. */
  readonly fingerprint: string;
  /** γ of the vectors that were laid out. */
  readonly granularity: number;
  readonly seed: number;
  /** ISO 8601. */
  readonly madeAt: string;
  /** N ids, by code points. */
  readonly ids: readonly string[];
  /** [N, 2] in [0, 1] */
  readonly positions: Float32Array;
}

/** What a map is made of. */
export interface MapContent {
  readonly ids: readonly string[];
  /** [N, S], such that dot products are the scores of a search at γ. */
  readonly vectors: Float32Array;
  /** Of ids and pictures; labels do not count. */
  readonly fingerprint: string;
}

/** Reads all vectors of a catalogue, weighted for a granularity. N · S · 4 bytes of memory, and half as much again. */
export async function readMapContent(
  { store, layout, description }: Catalog,
  granularity: number,
  { signal }: { readonly signal?: AbortSignal | undefined } = {},
): Promise<MapContent> {
  const weights = weightsAt(description.levelWeights, granularity);
  const ids: string[] = [];
  const blocks: Float32Array[] = [];
  const print = fingerprint();
  for await (const batch of store.scan({ columns: ['content_hash'] })) {
    signal?.throwIfAborted();
    const stored = new Float32Array(batch.length * layout.size);
    batch.forEach((record, n) => {
      ids.push(record.id);
      print.add(record.id, record.fields.content_hash?.[0]);
      stored.set(record.vector, n * layout.size);
    });
    blocks.push(searchVectors(layout, stored, weights));
  }
  const vectors = new Float32Array(ids.length * layout.size);
  let at = 0;
  for (const block of blocks) {
    vectors.set(block, at);
    at += block.length;
  }
  return { ids, vectors, fingerprint: print.digest() };
}

/** Collects the fingerprint of a catalogue's pictures; `add` is to be called by id in code points, as a scan gives them. */
export function fingerprint(): { add(id: string, contentHash: string | undefined): void; digest(): string } {
  const hash = createHash('sha256');
  return {
    add: (id, contentHash = '') => void hash.update(`${JSON.stringify(id)}${contentHash}\n`),
    digest: () => hash.digest('hex'),
  };
}

/** Whether nothing that the map shows has changed: same model, same pictures under the same ids. */
export function isMapOf(
  map: CatalogMap,
  now: { readonly vectorHash: string; readonly fingerprint: string },
): boolean {
  return map.vectorHash === now.vectorHash && map.fingerprint === now.fingerprint;
}

/** Stores the map of a catalogue in place of the one before, atomically. @throws DataError when it cannot be written */
export async function writeMap(directory: string, map: CatalogMap): Promise<void> {
  if (isRemote(directory))
    throw new DataError('catalog map: the catalogue must lie in a folder, got one that does not', {
      file: directory,
    });
  const { positions, ...rest } = map;
  const bytes = Buffer.from(positions.buffer, positions.byteOffset, positions.byteLength);
  const content = { formatVersion: FORMAT_VERSION, ...rest, positions: bytes.toString('base64') };
  await writeFileAtomic(join(directory, MAP_FILE), `${JSON.stringify(content)}\n`);
}

/**
 * Reads the map of a catalogue.
 * @returns undefined when there is none
 * @throws DataError when it is damaged or of a newer format
 */
export async function readMap(directory: string): Promise<CatalogMap | undefined> {
  if (isRemote(directory)) return undefined;
  const file = join(directory, MAP_FILE);
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new DataError(`cannot be read: ${errorMessage(error)}`, { file, cause: error });
  }
  const parsed = mapFormat.safeParse(parseJson(text));
  const { ids, positions = '', ...rest } = parsed.data ?? { ids: [] };
  const bytes = new Uint8Array(Buffer.from(positions, 'base64')); // its own buffer, so that it is aligned
  if (!parsed.success || bytes.length !== 8 * ids.length)
    throw new DataError('is damaged or of a newer semblance. Make it anew: `semblance catalog map`', {
      file,
    });
  return {
    ...(rest as Omit<CatalogMap, 'ids' | 'positions'>),
    ids,
    positions: new Float32Array(bytes.buffer),
  };
}

/** Whether a catalogue has a map, and which: another text whenever it is made anew. */
export async function mapVersion(directory: string): Promise<string | undefined> {
  if (isRemote(directory)) return undefined;
  return await stat(join(directory, MAP_FILE)).then(
    ({ mtimeMs, size, ino }) => `${mtimeMs}-${size}-${ino}`,
    () => undefined,
  );
}

// --- internal ---

const FORMAT_VERSION = 1;
const MAP_FILE = 'map.json';

const mapFormat = z.object({
  formatVersion: z.literal(FORMAT_VERSION),
  vectorHash: z.string(),
  fingerprint: z.string(),
  granularity: z.number().min(0).max(1),
  seed: z.int(),
  madeAt: z.iso.datetime(),
  ids: z.array(z.string()),
  positions: z.string(),
});

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
