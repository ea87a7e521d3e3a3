/**
 * A catalogue that is in use for long, by a server: it follows `catalog.json`, and can be written while it is searched.
 *
 * - A *generation* is a store with the model that made its vectors, and with nothing else is it ever used. When another
 *   process publishes a new one (`semblance index --model NEW`), it is opened beside the old, new requests get it from
 *   one moment to the next, and the old is closed when the last request that has it is done.
 * - A write goes to the newest published generation: that is looked up under the catalogue's write lock, which whoever
 *   publishes holds too. What is written while a new generation is being prepared reaches it because the indexing run
 *   compares the two stores before it publishes (`reindexing.ts`).
 * - A write that was acknowledged is on the disk, as is the picture that belongs to it.
 */
import { type Embedder, openEmbedder } from '../bundle/index.js';
import type { ModelVariant } from '../onnx/index.js';
import { DataError, errorMessage, stopwatch } from '../util/index.js';
import { type Catalog, openHeldCatalog, readDescription, whileWriting } from './catalog.js';
import {
  applyChange,
  applyRemoval,
  type EmbeddedPicture,
  embedPictures,
  type PictureChange,
  type PictureWrite,
  storePictures,
  type WriteOutcome,
} from './record-writes.js';
import type { StoredRecord } from './store.js';

/** A store, and the model that made its vectors. */
export interface Generation {
  /** Another for another model: the first digits of the model's hash. */
  readonly id: string;
  readonly catalog: Catalog;
  readonly embedder: Embedder;
  /** Has something closed with the generation, before its store and model are, e.g. a second graph of the model. */
  onClose(close: () => Promise<void>): void;
}

/** What a live catalogue tells whoever opened it. */
export type LiveEvent =
  | { readonly kind: 'switched'; readonly from: string; readonly to: string }
  | { readonly kind: 'closed'; readonly generation: string }
  /** A write has waited for two seconds for that of another process. */
  | { readonly kind: 'waiting'; readonly process: number; readonly host: string }
  /** A generation that was published cannot be opened, or tidying up failed; what was in use stays in use. */
  | { readonly kind: 'failed'; readonly reason: string };

export interface LiveCatalogOptions {
  /** A model folder in place of the one that `catalog.json` names; it must be the same model. */
  readonly model?: string;
  /** Threads of the model. Default: all cores. */
  readonly threads?: number;
  /** Pictures of a run of the model. Default 32. */
  readonly batchSize?: number;
  /** Default `fp32`. */
  readonly variant?: ModelVariant;
  /** Milliseconds between two looks at `catalog.json`. 0: only when `refresh` is called or something is written. Default 1000. */
  readonly pollMs?: number;
  readonly onEvent?: (event: LiveEvent) => void;
}

export class LiveCatalog {
  readonly directory: string;
  readonly #options: LiveCatalogOptions;
  #current: OpenGeneration;
  #timer: NodeJS.Timeout | undefined;
  #refreshing: Promise<boolean> | undefined;
  #failed: { readonly text: string; readonly since: () => number } | undefined;
  #writes: Promise<unknown> = Promise.resolve();
  #commits = 0;
  #isClosed = false;
  #isWarm = false;
  readonly #open = new Set<OpenGeneration>();
  /** Of generations that are not in use any more. */
  readonly #closing = new Set<Promise<void>>();

  private constructor(directory: string, first: OpenGeneration, options: LiveCatalogOptions) {
    this.directory = directory;
    this.#options = options;
    this.#current = first;
    this.#open.add(first);
    const { pollMs = 1000 } = options;
    if (pollMs > 0) {
      this.#timer = setInterval(() => void this.refresh(), pollMs);
      this.#timer.unref();
    }
  }

  /**
   * Opens a catalogue and its model.
   * @throws DataError when there is no catalogue, or its model is gone or is another than the one of the vectors.
   */
  static async open(directory: string, options: LiveCatalogOptions = {}): Promise<LiveCatalog> {
    return new LiveCatalog(directory, await openGeneration(directory, options), options);
  }

  /** What a request that begins now gets. To look at only: it may be closed any time; work goes through `use`. */
  get current(): Generation {
    return this.#current;
  }

  /** Runs work with one generation, which stays open until the work is done. */
  async use<T>(work: (generation: Generation) => Promise<T>): Promise<T> {
    const { generation, release } = this.acquire();
    try {
      return await work(generation);
    } finally {
      release();
    }
  }

  /** As `use`, for work that is no function: `release` must be called once it is done. Twice does no harm. */
  acquire(): { readonly generation: Generation; release(): void } {
    if (this.#isClosed) throw new DataError('catalogue: must be open, got a call after close()');
    const generation = this.#current;
    generation.users++;
    let isHeld = true;
    return {
      generation,
      release: () => {
        if (!isHeld) return;
        isHeld = false;
        generation.users--;
        this.#closeUnused();
      },
    };
  }

  /**
   * Reads into memory what searches need, so that the first is as fast as the later ones. From then on another generation
   * is used only once it is warm as well.
   */
  async warm(): Promise<void> {
    this.#isWarm = true;
    await this.use(({ catalog }) => catalog.store.warm());
  }

  /**
   * Looks at `catalog.json` at once, and switches if it names another generation. Where that cannot be opened, the
   * reason goes to `onEvent` once, and the one in use stays; it is tried again from time to time, as its model may still be
   * on its way.
   * @returns whether it switched
   */
  async refresh(): Promise<boolean> {
    this.#refreshing ??= this.#follow().finally(() => {
      this.#refreshing = undefined;
    });
    return await this.#refreshing;
  }

  /**
   * Adds pictures, or replaces those of the same ids, with all that is known of them.
   * @returns one outcome a picture, in their order. One that is no picture, or has a column that the catalogue has not,
   *   fails alone.
   * @throws DataError when the catalogue cannot be written; what `signal` was aborted with.
   */
  async put(
    pictures: readonly PictureWrite[],
    {
      signal,
      maximumPixels,
    }: { readonly signal?: AbortSignal | undefined; readonly maximumPixels?: number } = {},
  ): Promise<WriteOutcome[]> {
    return await this.#write(
      async (generation) => await embedPictures(generation, pictures, signal, maximumPixels),
      async ({ catalog }, embedded: readonly EmbeddedPicture[]) => await storePictures(catalog, embedded),
      signal,
    );
  }

  /**
   * Changes what is known of a picture, not the picture.
   * @returns the record after it; `undefined` when there is none of that id.
   * @throws DataError when it names a column that the catalogue has not, or the catalogue cannot be written.
   */
  async change(id: string, change: PictureChange): Promise<StoredRecord | undefined> {
    return await this.#write(
      async () => {},
      async ({ catalog }) => await applyChange(catalog, id, change),
    );
  }

  /**
   * Deletes records, and the pictures that the catalogue kept for them alone.
   * @returns the ids of those that there were.
   */
  async delete(ids: readonly string[]): Promise<string[]> {
    return await this.#write(
      async () => {},
      async ({ catalog }) => await applyRemoval(catalog, ids),
    );
  }

  /** Waits for writes and requests under way, and closes everything. */
  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    clearInterval(this.#timer);
    await this.#refreshing?.catch(() => {});
    await this.#writes.catch(() => {});
    while ([...this.#open].some(({ users }) => users > 0))
      await new Promise((resolve) => setTimeout(resolve, 5));
    await Promise.all([...this.#closing, ...[...this.#open].map((generation) => generation.close())]);
  }

  // --- internal ---

  async #follow(): Promise<boolean> {
    if (this.#isClosed) return false;
    let text = '';
    try {
      text = (await readDescription(this.directory)).text;
      if (text === this.#current.text) return false;
      const { pollMs = 1000 } = this.#options;
      if (text === this.#failed?.text && this.#failed.since() * 1000 < LOOKS_BETWEEN_TRIES * pollMs)
        return false;
      const next = await openGeneration(this.directory, this.#options);
      if (this.#isWarm) await warmOrClose(next);
      const before = this.#current;
      this.#current = next;
      this.#failed = undefined;
      this.#open.add(next);
      this.#tell({ kind: 'switched', from: before.id, to: next.id });
      this.#closeUnused();
      return true;
    } catch (error) {
      const reason = errorMessage(error);
      const known = this.#failed?.text;
      this.#failed = { text: text === '' ? reason : text, since: stopwatch() };
      if (this.#failed.text !== known) this.#tell({ kind: 'failed', reason });
      return false;
    }
  }

  #closeUnused(): void {
    for (const generation of this.#open) {
      if (generation === this.#current || generation.users > 0 || this.#isClosed) continue;
      this.#open.delete(generation);
      const closing: Promise<void> = generation
        .close()
        .then(() => this.#tell({ kind: 'closed', generation: generation.id }))
        .catch((error) => this.#tell({ kind: 'failed', reason: errorMessage(error) }))
        .finally(() => this.#closing.delete(closing));
      this.#closing.add(closing);
    }
  }

  #tell(event: LiveEvent): void {
    this.#options.onEvent?.(event);
  }

  /**
   * Prepares a write outside the lock and does it under it, one after the other within this process; begins anew when
   * another generation was published in between.
   */
  async #write<P, T>(
    prepare: (generation: Generation) => Promise<P>,
    commit: (generation: Generation, prepared: P) => Promise<T>,
    signal?: AbortSignal | undefined,
  ): Promise<T> {
    for (let attempt = 0; ; attempt++) {
      const { generation, release } = this.acquire();
      try {
        const prepared = await prepare(generation);
        const written = this.#writes
          .catch(() => {})
          .then(
            async () =>
              await whileWriting(
                this.directory,
                async () => {
                  const { text } = await readDescription(this.directory);
                  if (text !== (generation as OpenGeneration).text) return undefined;
                  return { result: await commit(generation, prepared) };
                },
                { signal, onWait: (holder) => this.#tell({ kind: 'waiting', ...holder }) },
              ),
          );
        this.#writes = written;
        const done = await written;
        if (done !== undefined) {
          if (++this.#commits % COMMITS_PER_FLUSH === 0) this.#tidyUp();
          return done.result;
        }
      } finally {
        release();
      }
      await this.refresh();
      if (this.#current === generation && attempt > 0)
        throw new DataError(
          'the catalogue has moved to another model, which cannot be opened here. See the message before this one, or start again',
          { file: this.directory },
        );
    }
  }

  /** Many small writes leave many small files. */
  #tidyUp(): void {
    if (this.#isClosed) return; // the write that comes before is done, and is to be acknowledged
    const { generation, release } = this.acquire();
    this.#writes = this.#writes
      .catch(() => {})
      .then(() => whileWriting(this.directory, () => generation.catalog.store.flush()))
      .catch((error) => this.#tell({ kind: 'failed', reason: errorMessage(error) }))
      .finally(release);
  }
}

/** Of `catalog.json`, between two tries to open a generation that could not be opened. */
const LOOKS_BETWEEN_TRIES = 30;

/** Writes between two compactions of the store. */
const COMMITS_PER_FLUSH = 100;

class OpenGeneration implements Generation {
  readonly id: string;
  users = 0;
  readonly #closers: (() => Promise<void>)[] = [];

  constructor(
    readonly catalog: Catalog,
    readonly embedder: Embedder,
    /** Of `catalog.json`. */
    readonly text: string,
  ) {
    this.id = catalog.description.model.vectorHash.slice(0, 16);
  }

  onClose(close: () => Promise<void>): void {
    this.#closers.push(close);
  }

  async close(): Promise<void> {
    const results = await Promise.allSettled(this.#closers.map((close) => close()));
    await this.catalog.close();
    await this.embedder.close();
    for (const result of results) if (result.status === 'rejected') throw result.reason;
  }
}

async function warmOrClose(generation: OpenGeneration): Promise<void> {
  try {
    await generation.catalog.store.warm();
  } catch (error) {
    await generation.close();
    throw error;
  }
}

async function openGeneration(directory: string, options: LiveCatalogOptions): Promise<OpenGeneration> {
  const { model, threads, batchSize, variant } = options;
  for (let attempt = 0; ; attempt++) {
    const { catalog, text } = await openHeldCatalog(directory);
    const { description } = catalog;
    let embedder: Embedder | undefined;
    try {
      embedder = await openModel(model, description.model, { threads, batchSize, variant });
      if (embedder.bundle.vectorHash !== description.model.vectorHash)
        throw new DataError(
          `the catalogue was made with another model (${description.model.vectorHash.slice(0, 12)}…) than ` +
            `${embedder.bundle.directory} (${embedder.bundle.vectorHash.slice(0, 12)}…). Index again with that model`,
          { file: directory },
        );
      return new OpenGeneration(catalog, embedder, text);
    } catch (error) {
      await embedder?.close();
      await catalog.close();
      if (attempt >= 3 || (await readDescription(directory)).text === text) throw error;
    }
  }
}

/** A folder given for the catalogue's first model does for no later one: that is where `catalog.json` says. */
async function openModel(
  model: string | undefined,
  described: { readonly directory: string; readonly vectorHash: string },
  options: {
    threads: number | undefined;
    batchSize: number | undefined;
    variant: ModelVariant | undefined;
  },
): Promise<Embedder> {
  const given: NonNullable<Parameters<typeof openEmbedder>[1]> = {
    ...Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)),
    spinning: false, // the cores decode other requests' pictures meanwhile
  };
  if (model === undefined) return await openEmbedder(described.directory, given);
  const embedder = await openEmbedder(model, given);
  if (embedder.bundle.vectorHash === described.vectorHash) return embedder;
  const other = await openEmbedder(described.directory, given).catch(() => undefined);
  if (other?.bundle.vectorHash !== described.vectorHash) {
    await other?.close();
    return embedder;
  }
  await embedder.close();
  return other;
}
