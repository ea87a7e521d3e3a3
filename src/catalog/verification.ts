/**
 * Finds out what of a catalogue is broken, and mends what can be mended without guessing: a description is restored from
 * the copy beside the vectors, a picture that changed or a vector that is wrong is embedded again, what nobody needs is
 * removed. Records whose pictures are gone are removed only when that is asked for: a drive may merely be away.
 */
import { access, constants, readdir, readFile, rm, stat } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { openEmbedder } from '../bundle/index.js';
import type { VectorLayout } from '../granularity/index.js';
import {
  DataError,
  errorMessage,
  isLeftUnfinished,
  NewerFormatError,
  type StartProgress,
  StorageError,
  sha256OfFile,
  silentProgress,
  storageFault,
  type WaitOptions,
} from '../util/index.js';
import {
  CATALOG_FILE,
  type Catalog,
  type CatalogDescription,
  openDescribed,
  parseDescription,
  whileWriting,
  writeDescription,
} from './catalog.js';
import { fingerprint, isMapOf, readMap } from './catalog-map.js';
import { otherStores, STORE_PREFIX, sweepStores } from './generations.js';
import { indexEntries } from './indexing.js';
import { entryOfRecord } from './picture-entries.js';
import { isKept, keptPictures, PICTURES_FOLDER, removeKept } from './picture-files.js';
import { applyRemoval } from './record-writes.js';
import { isRemote } from './remote-catalog.js';
import type { StoredRecord, VectorStore } from './store.js';

/** What can be wrong. */
export const PROBLEM_KINDS = {
  description: 'catalog.json cannot be read',
  store: 'the vectors cannot be read',
  model: 'the model cannot be used',
  vector: 'the vector is no vector of the model: a part is not of unit length, or not a number',
  'missing-picture': 'the picture is not there',
  'moved-picture': 'the picture is in the catalogue, and the record has another place for it',
  'changed-picture': 'the picture is another than the one that was embedded',
  'old-store': 'a store of vectors that nobody uses, e.g. of an indexing run that did not end',
  'unfinished-file': 'a file that a process which was killed left',
  'unused-picture': 'a kept picture that no record shows',
  map: 'the map cannot be read',
} as const;

export type CatalogProblemKind = keyof typeof PROBLEM_KINDS;

export interface CatalogProblem {
  readonly kind: CatalogProblemKind;
  /** The record, or the file inside the catalogue. */
  readonly subject: string;
  readonly detail: string;
  /** Whether a repair mended it. */
  readonly repaired: boolean;
}

export interface VerifyReport {
  /** Records that were looked at; `null` where the store cannot be read. */
  readonly pictures: number | null;
  readonly problems: readonly CatalogProblem[];
  /** The map is of an earlier state: not broken. */
  readonly isMapStale: boolean;
}

export interface VerifyOptions extends WaitOptions {
  /** Mend. Default false. */
  readonly repair?: boolean;
  /** With `repair`: remove the records whose pictures are gone. Default false. */
  readonly removeMissing?: boolean;
  /** Hash every picture; without, only whether it is there. Default true. */
  readonly hashes?: boolean;
  /** The model bundle. Default: where `catalog.json` says. */
  readonly model?: string | undefined;
  readonly startProgress?: StartProgress;
}

/**
 * Looks at all of a catalogue in a folder.
 * @throws DataError when there is no catalogue, or it is in no folder; what `signal` was aborted with.
 */
export async function verifyCatalog(directory: string, options: VerifyOptions = {}): Promise<VerifyReport> {
  if (isRemote(directory))
    throw new DataError(
      'catalog verify: the catalogue must lie in a folder; a database or object storage looks after itself',
      {
        file: directory,
      },
    );
  const { repair = false, signal } = options;
  const problems = new Problems();
  const description = await findDescription(directory, options, problems);
  if (description === undefined) return { pictures: null, problems: problems.list, isMapStale: false };
  // Says at once, and as what it is, that nothing can be mended here.
  if (repair)
    await access(directory, constants.W_OK).catch((error) => {
      throw new StorageError(error, { file: directory });
    });
  let catalog: Catalog | undefined;
  let pictures: number | null = null;
  let isMapStale = false;
  try {
    await requireFolder(join(directory, description.store));
    catalog = await openDescribed(directory, description);
    const found = await lookAtRecords(catalog, options, problems);
    pictures = found.pictures;
    isMapStale = await lookAtMap(directory, found, repair, problems);
    const again = [...found.broken.values()];
    await embedAgain(catalog, again, options, problems);
    if (found.moved.length > 0 && repair) {
      const { store } = catalog;
      await whileWriting(directory, () => movePaths(store, found.moved), options);
    }
    if (found.missing.length > 0 && repair && options.removeMissing === true) {
      const open = catalog;
      await whileWriting(
        directory,
        async () => applyRemoval(open, await stillAt(open.store, found.missing)),
        options,
      );
      for (const { id } of found.missing) problems.mended('missing-picture', id);
    }
    await lookAtLeftovers(directory, catalog, options, problems);
  } catch (error) {
    if (signal?.aborted) throw error;
    const advice =
      storageFault(error).fault === 'not-permitted'
        ? 'Let this user read the catalogue'
        : 'Index again, or import an export';
    problems.add('store', description.store, `${errorMessage(error)}. ${advice}`);
  } finally {
    await catalog?.close();
  }
  return { pictures, problems: problems.list, isMapStale };
}

// --- internal ---

class Problems {
  readonly #all = new Map<string, CatalogProblem>();

  get list(): CatalogProblem[] {
    return [...this.#all.values()];
  }

  add(
    kind: CatalogProblemKind,
    subject: string,
    detail: string = PROBLEM_KINDS[kind],
    repaired = false,
  ): void {
    this.#all.set(`${kind} ${subject}`, { kind, subject, detail, repaired });
  }

  mended(kind: CatalogProblemKind, subject: string): void {
    const problem = this.#all.get(`${kind} ${subject}`);
    if (problem !== undefined) this.#all.set(`${kind} ${subject}`, { ...problem, repaired: true });
  }
}

async function requireFolder(path: string): Promise<void> {
  // Opening would make an empty store.
  if (
    !(await stat(path).then(
      (status) => status.isDirectory(),
      () => false,
    ))
  )
    throw new DataError('the folder of the vectors is not there', { file: path });
}

/** What `catalog.json` says, or the newest copy of it beside vectors where it is broken. */
async function findDescription(
  directory: string,
  { repair = false, signal, onWait }: VerifyOptions,
  problems: Problems,
): Promise<CatalogDescription | undefined> {
  const file = join(directory, CATALOG_FILE);
  const reason = await readFile(file, 'utf8').then(
    (text) => {
      try {
        return parseDescription(text, file);
      } catch (error) {
        if (error instanceof NewerFormatError) throw error;
        return errorMessage(error);
      }
    },
    (error) => errorMessage(error),
  );
  if (typeof reason !== 'string') return reason;
  const copies: { description: CatalogDescription; writtenAt: number }[] = [];
  for (const name of await readdir(directory).catch(() => [])) {
    if (!name.startsWith(STORE_PREFIX)) continue;
    const copy = join(directory, name, CATALOG_FILE);
    try {
      const description = parseDescription(await readFile(copy, 'utf8'), copy);
      if (description.store === name) copies.push({ description, writtenAt: (await stat(copy)).mtimeMs });
    } catch {
      // A store without a whole copy is of a run that did not end.
    }
  }
  copies.sort((a, b) => b.writtenAt - a.writtenAt);
  const found = copies[0]?.description;
  if (
    found === undefined &&
    !(await stat(file).then(
      () => true,
      () => false,
    ))
  )
    throw new DataError('there is no catalogue. Make one with `semblance index`, or correct the path', {
      file: directory,
    });
  problems.add(
    'description',
    CATALOG_FILE,
    found === undefined ? `${reason}. There is no copy to restore it from: index again` : reason,
    repair && found !== undefined,
  );
  if (found !== undefined && repair)
    await whileWriting(
      directory,
      async () => {
        // An indexing run may have made it whole since.
        const present = await readFile(file, 'utf8').catch(() => '');
        if (!isDescription(present, file)) await writeDescription(directory, found);
      },
      { signal, onWait },
    );
  return found;
}

function isDescription(text: string, file: string): boolean {
  try {
    parseDescription(text, file);
    return true;
  } catch {
    return false;
  }
}

interface Found {
  pictures: number;
  fingerprint: string;
  /** To be embedded again, by id. */
  broken: Map<string, StoredRecord>;
  moved: { id: string; from: string; to: string }[];
  missing: { id: string; from: string }[];
}

const AT_A_TIME = 500;

async function lookAtRecords(
  { store, layout, directory }: Catalog,
  { hashes = true, repair = false, startProgress = silentProgress, signal }: VerifyOptions,
  problems: Problems,
): Promise<Found> {
  const print = fingerprint();
  const found: Omit<Found, 'fingerprint'> = { pictures: 0, broken: new Map(), moved: [], missing: [] };
  const bar = startProgress('verifying', await store.count());
  const kept = new Map((await keptPictures(directory)).map((path) => [hashOfName(path), path]));
  try {
    for await (const records of store.scan({ batchSize: AT_A_TIME })) {
      signal?.throwIfAborted();
      const states = await Promise.all(records.map((record) => pictureState(record, hashes, kept)));
      records.forEach((record, n) => {
        const { id, fields } = record;
        const state = states[n];
        print.add(id, fields.content_hash?.[0]);
        if (state?.kind === 'moved-picture') {
          problems.add('moved-picture', id, `${PROBLEM_KINDS['moved-picture']}: ${state.path}`, repair);
          found.moved.push({ id, from: fields.path?.[0] ?? id, to: state.path });
        } else if (state !== undefined) {
          problems.add(state.kind, id, `${PROBLEM_KINDS[state.kind]}: ${state.path}`);
          if (state.kind === 'missing-picture') found.missing.push({ id, from: state.path });
          else found.broken.set(id, record);
        }
        const wrong = wrongPart(layout, record.vector);
        if (wrong === undefined) return;
        problems.add('vector', id, `${PROBLEM_KINDS.vector}: ${wrong}`);
        if (state?.kind !== 'missing-picture') found.broken.set(id, record);
      });
      found.pictures += records.length;
      bar.update(found.pictures, problems.list.length === 0 ? '' : `${problems.list.length} problems`);
    }
  } finally {
    bar.stop();
  }
  return { ...found, fingerprint: print.digest() };
}

/** Writes go on while a catalogue is looked at: what is mended is the record as it is by now, if it still is at its place. */
async function movePaths(store: VectorStore, moved: Found['moved']): Promise<void> {
  const records = await store.get(moved.map(({ id }) => id));
  await store.upsert(
    records.flatMap((record, n) => {
      const { from, to } = moved[n] as Found['moved'][number];
      if (record === undefined || (record.fields.path?.[0] ?? record.id) !== from) return [];
      return [{ ...record, fields: { ...record.fields, path: [to] } }];
    }),
  );
}

/** Ids of the records that nobody has given another picture since. */
async function stillAt(store: VectorStore, missing: Found['missing']): Promise<string[]> {
  const records = await store.get(missing.map(({ id }) => id));
  return missing.flatMap(({ id, from }, n) => ((records[n]?.fields.path?.[0] ?? id) === from ? [id] : []));
}

async function pictureState(
  { id, fields }: StoredRecord,
  hashes: boolean,
  kept: ReadonlyMap<string, string>,
): Promise<{ kind: 'missing-picture' | 'moved-picture' | 'changed-picture'; path: string } | undefined> {
  const path = fields.path?.[0] ?? id;
  const expected = fields.content_hash?.[0] ?? '';
  const isThere = await stat(path).then(
    (status) => status.isFile(),
    () => false,
  );
  if (!isThere) {
    const own = kept.get(expected);
    return own === undefined ? { kind: 'missing-picture', path } : { kind: 'moved-picture', path: own };
  }
  if (!hashes) return undefined;
  const hash = await sha256OfFile(path).catch(() => undefined);
  if (hash === undefined) return { kind: 'missing-picture', path };
  return hash === expected ? undefined : { kind: 'changed-picture', path };
}

/** SHA-256 of a kept picture, by its name. */
function hashOfName(path: string): string {
  return /([0-9a-f]{64})\.\w+$/.exec(path)?.[1] ?? path;
}

/** How far from 1 the length of a part may be. float32 in, float32 out: a millionth is usual. */
const LENGTH_TOLERANCE = 1e-3;

/** @returns the first part that is not of unit length */
function wrongPart(layout: VectorLayout, vector: Float32Array): string | undefined {
  for (const { name, offset, size } of layout.parts) {
    let sum = 0;
    for (let i = offset; i < offset + size; i++) sum += (vector[i] ?? Number.NaN) ** 2;
    if (!(Math.abs(Math.sqrt(sum) - 1) <= LENGTH_TOLERANCE)) return `'${name}' has length ${Math.sqrt(sum)}`;
  }
  return undefined;
}

/** @returns whether there is a map of an earlier state */
async function lookAtMap(
  directory: string,
  found: Found,
  repair: boolean,
  problems: Problems,
): Promise<boolean> {
  try {
    const map = await readMap(directory);
    return map !== undefined && !isMapOf(map, { vectorHash: map.vectorHash, fingerprint: found.fingerprint });
  } catch (error) {
    problems.add('map', 'map.json', errorMessage(error), repair);
    if (repair) await rm(join(directory, 'map.json'), { force: true });
    return false;
  }
}

/** Sees whether the model is there; embeds the broken records again where that is asked for. */
async function embedAgain(
  catalog: Catalog,
  broken: readonly StoredRecord[],
  { repair = false, model, signal, onWait, startProgress = silentProgress }: VerifyOptions,
  problems: Problems,
): Promise<void> {
  const { directory, description, store } = catalog;
  const folder = model ?? description.model.directory;
  try {
    const embedder = await openEmbedder(folder);
    try {
      if (embedder.bundle.vectorHash !== description.model.vectorHash)
        throw new DataError('is another model than the one that made the vectors. Index again with it', {
          file: folder,
        });
      if (!repair || broken.length === 0) return;
      const write = (change: () => Promise<unknown>) =>
        whileWriting(directory, async () => void (await change()), { signal, onWait });
      const entries = broken.map(entryOfRecord);
      const common = { embedder, store, signal, startProgress, write, always: true, ofOwnRecords: true };
      const { failures } = await indexEntries({ ...common, entries });
      const failed = new Map(failures.map(({ id, reason }) => [id, reason]));
      for (const { id } of broken)
        for (const kind of ['vector', 'changed-picture'] as const)
          if (!failed.has(id)) problems.mended(kind, id);
          else if (problems.list.some((problem) => problem.kind === kind && problem.subject === id))
            problems.add(kind, id, failed.get(id));
    } finally {
      await embedder.close();
    }
  } catch (error) {
    if (signal?.aborted) throw error;
    problems.add('model', folder, errorMessage(error));
  }
}

async function lookAtLeftovers(
  directory: string,
  catalog: Catalog,
  { repair = false, signal, onWait }: VerifyOptions,
  problems: Problems,
): Promise<void> {
  if (
    await stat(join(directory, CATALOG_FILE)).then(
      () => true,
      () => false,
    )
  ) {
    const removed = repair ? await sweepStores(directory) : [];
    for (const store of removed) problems.add('old-store', store, undefined, true);
    for (const { store, fate } of await otherStores(directory).catch(() => []))
      if (fate === 'unused') problems.add('old-store', store);
  }
  for (const entry of await readdir(directory, { withFileTypes: true, recursive: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || !(await isLeftUnfinished(path))) continue;
    problems.add('unfinished-file', relative(directory, path), undefined, repair);
    if (repair) await rm(path, { force: true });
  }
  const unused = async () => {
    const shown = new Set<string>();
    for await (const records of catalog.store.scan({ vectors: false, columns: ['path', 'content_hash'] }))
      for (const { fields } of records) {
        for (const hash of fields.content_hash ?? []) shown.add(hash);
        for (const path of fields.path ?? []) shown.add(hashOfName(path));
      }
    return (await keptPictures(directory)).filter(
      (path) => isKept(directory, path) && !shown.has(hashOfName(path)),
    );
  };
  const paths = repair
    ? await whileWriting(
        directory,
        async () => {
          const found = await unused();
          for (const path of found) await removeKept(path);
          return found;
        },
        { signal, onWait },
      )
    : await unused();
  for (const path of paths)
    problems.add('unused-picture', path.slice(path.lastIndexOf(PICTURES_FOLDER)), undefined, repair);
}
