/**
 * Embedding shared by any number of machines: jobs of some dozens of pictures in the catalogue's own database (pg-boss).
 *
 * A job is done at least once. That does no harm, because a picture whose record is up to date is left alone. A worker
 * that is killed keeps its job until `takeOverAfter`; then another gets it. A job that ended several workers is taken
 * apart, and a picture that ends a worker by itself is *set aside* with the reason, as is one that cannot be read.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import PgBoss from 'pg-boss';
import type { Bundle, Embedder } from '../../bundle/index.js';
import type { ManifestRow } from '../../data/index.js';
import { DataError, errorMessage, sha256, type WaitOptions } from '../../util/index.js';
import {
  hasCatalog,
  openCatalog,
  openCatalogForIndexing,
  readDescription,
  recalibrateCatalog,
  whileWriting,
} from '../catalog.js';
import { findNumericColumns } from '../filter.js';
import { indexEntries } from '../indexing.js';
import { entryOfRow, type PictureEntry } from '../picture-entries.js';
import { type Database, openDatabase } from '../stores/postgres-database.js';
import { escapeText, unescapeText } from '../stores/postgres-sql.js';
import { catalogName, describeUrl, isPostgresUrl } from '../stores/postgres-url.js';

/** How far the whole has come, in pictures. The first three and `setAside` add up to `total`. */
export interface JobProgress {
  readonly total: number;
  readonly waiting: number;
  /** With a worker, which may be dead. */
  readonly active: number;
  readonly done: number;
  /** That no worker could embed. */
  readonly setAside: number;
}

/** A picture that was left out, and why. */
export interface SetAside {
  readonly id: string;
  readonly reason: string;
}

export interface WorkOptions extends WaitOptions {
  readonly embedder: Embedder;
  /** Stay when there is nothing to do, for jobs to come. Default false: stop when no job is left, nor any at work elsewhere. */
  readonly stay?: boolean;
  /** Told after each job, and while waiting. */
  readonly onProgress?: (progress: JobProgress) => void;
}

export class EmbeddingJobs {
  readonly #location: string;
  readonly #boss: PgBoss;
  readonly #database: Database;
  readonly #queues: Queues;

  private constructor(location: string, boss: PgBoss, database: Database) {
    this.#location = location;
    this.#boss = boss;
    this.#database = database;
    this.#queues = queuesOf(catalogName(location));
  }

  /**
   * @param location of a catalogue in a database, `postgres://user@host/database#name`.
   * @throws DataError when it is none, or cannot be reached.
   */
  static async open(location: string): Promise<EmbeddingJobs> {
    if (!isPostgresUrl(location))
      throw new DataError(
        `jobs: a catalogue in a database is required, postgres://user@host/database#name, got ${location}. ` +
          'For one in a folder use `semblance index`',
      );
    const database = await openDatabase(location, { connections: 1 });
    const url = new URL(location);
    url.hash = '';
    const boss = new PgBoss({
      connectionString: url.toString(),
      schema: 'semblance_jobs',
      application_name: 'semblance',
      max: 2,
      supervise: false,
      schedule: false,
    });
    boss.on('error', () => {}); // of idle connections; the next call says what is wrong
    try {
      await boss.start();
      const jobs = new EmbeddingJobs(location, boss, database);
      for (const queue of jobs.#queueSettings(TAKE_OVER_AFTER)) await boss.createQueue(queue.name, queue);
      return jobs;
    } catch (error) {
      await boss.stop({ graceful: false }).catch(() => {});
      await database.close();
      throw error instanceof DataError
        ? error
        : new DataError(`the database says: ${errorMessage(error)}`, {
            file: describeUrl(location),
            cause: error,
          });
    }
  }

  /**
   * Puts the rows' pictures on the queue, and makes the catalogue where there is none.
   * @param options.picturesPerJob default 64.
   * @param options.takeOverAfter seconds after which a job that a worker does not answer for goes to another; longer
   *   than a job may take. Of these jobs, not of those that are on the queue already. Default 300.
   * @returns pictures, and jobs.
   * @throws DataError when the catalogue was made with another model, or has other columns.
   */
  async add(options: {
    readonly bundle: Bundle;
    readonly rows: readonly ManifestRow[];
    readonly attributes: readonly string[];
    readonly picturesPerJob?: number;
    readonly takeOverAfter?: number;
  }): Promise<{ pictures: number; jobs: number }> {
    const { bundle, rows, attributes, picturesPerJob = 64, takeOverAfter = TAKE_OVER_AFTER } = options;
    await this.#prepareCatalog(bundle, rows, attributes);
    const before = await this.progress();
    if (before.waiting + before.active === 0) await this.#clear();
    // A job gets its queue's settings when it is put there.
    for (const queue of this.#queueSettings(takeOverAfter)) await this.#boss.updateQueue(queue.name, queue);
    const entries = [...new Map(rows.map(entryOfRow).map((entry) => [entry.id, entry])).values()];
    const jobs = chunks(entries, picturesPerJob).map((chunk) => jobOf(this.#queues.chunk, chunk));
    for (const some of chunks(jobs, JOBS_AT_A_TIME)) await this.#boss.insert(some);
    return { pictures: entries.length, jobs: jobs.length };
  }

  async progress(): Promise<JobProgress> {
    const rows = await this.#database.query<{ name: string; state: string; pictures: string }>(
      `SELECT name, state, coalesce(sum(jsonb_array_length(data->'entries')), 0) AS pictures
       FROM semblance_jobs.job WHERE name = ANY($1::text[]) GROUP BY name, state`,
      [Object.values(this.#queues)],
    );
    const { chunk, single, poison } = this.#queues;
    const pictures = (names: readonly string[], states?: readonly string[]) =>
      rows
        .filter(({ name, state }) => names.includes(name) && (states === undefined || states.includes(state)))
        .reduce((sum, row) => sum + Number(row.pictures), 0);
    const total = pictures([chunk]);
    const active = pictures([chunk, single], ['active']);
    const [count] = await this.#database.query<{ count: string }>(
      'SELECT count(*) AS count FROM semblance.set_aside WHERE catalog = $1',
      [escapeText(catalogName(this.#location))],
    );
    const setAside = Number(count?.count ?? 0);
    // A job that failed for good has copies in other queues, which are counted there.
    const handled = pictures([chunk, single], ['completed']) + pictures([poison], ['completed']);
    const done = Math.max(0, handled - setAside);
    return { total, active, done, setAside, waiting: Math.max(0, total - active - done - setAside) };
  }

  async setAside(): Promise<SetAside[]> {
    const rows = await this.#database.query<{ id: string; reason: string }>(
      'SELECT id, reason FROM semblance.set_aside WHERE catalog = $1 ORDER BY id',
      [escapeText(catalogName(this.#location))],
    );
    return rows.map(({ id, reason }) => ({ id: unescapeText(id), reason: unescapeText(reason) }));
  }

  /**
   * Takes jobs until there are none. What was embedded is stored job by job; whoever finishes last makes the index.
   * @returns pictures that this worker embedded.
   * @throws DataError when the catalogue was made with another model, or the database is gone; what `signal` was aborted
   *   with, after the job in hand was given back.
   */
  async work({ embedder, stay = false, signal, onWait, onProgress }: WorkOptions): Promise<number> {
    const catalog = await openCatalog(this.#location);
    let embedded = 0;
    try {
      const { vectorHash } = catalog.description.model;
      if (vectorHash !== embedder.bundle.vectorHash)
        throw new DataError(
          `the catalogue was made with another model (${vectorHash.slice(0, 12)}…, not ` +
            `${embedder.bundle.vectorHash.slice(0, 12)}…). Give --model that one`,
          { file: describeUrl(this.#location) },
        );
      for (;;) {
        signal?.throwIfAborted();
        await this.#boss.expire();
        const job = await this.#next();
        if (job !== undefined)
          embedded += await this.#handle(job, catalog.store, embedder, { signal, onWait });
        const progress = await this.progress();
        onProgress?.(progress);
        if (job !== undefined) continue;
        if (!stay && progress.waiting + progress.active === 0) break;
        await sleep(POLL_MS, undefined, { signal }).catch(() => {}); // the loop begins with the signal
      }
      await whileWriting(this.#location, () => catalog.store.flush(), { signal, onWait });
    } finally {
      await catalog.close();
    }
    if (embedder.bundle.card.calibration !== undefined)
      await recalibrateCatalog(this.#location, embedder.bundle, { signal, onWait });
    return embedded;
  }

  async close(): Promise<void> {
    await this.#boss.stop({ graceful: false, wait: true });
    await this.#database.close();
  }

  async #prepareCatalog(
    bundle: Bundle,
    rows: readonly ManifestRow[],
    attributes: readonly string[],
  ): Promise<void> {
    if (await hasCatalog(this.#location)) {
      const { description } = await readDescription(this.#location);
      if (description.model.vectorHash !== bundle.vectorHash)
        throw new DataError(
          'the catalogue was made with another model. Add the pictures to a new one, #another-name, and serve that',
          { file: describeUrl(this.#location) },
        );
    }
    const numericAttributes = findNumericColumns(
      rows.map((row) => row.attributes),
      attributes,
    );
    const { catalog } = await openCatalogForIndexing(this.#location, bundle, {
      attributes,
      numericAttributes,
    });
    await catalog.close();
  }

  #queueSettings(expireInSeconds: number): PgBoss.Queue[] {
    const { chunk, split, single, poison } = this.#queues;
    const common = { expireInSeconds, retryDelay: 0, retentionDays: 365 };
    return [
      { ...common, name: poison, retryLimit: 10 },
      { ...common, name: single, retryLimit: 1, deadLetter: poison },
      { ...common, name: split, retryLimit: 10 },
      { ...common, name: chunk, retryLimit: 2, deadLetter: split },
    ];
  }

  /** A new run counts from nothing. */
  async #clear(): Promise<void> {
    await this.#database.query('DELETE FROM semblance_jobs.job WHERE name = ANY($1::text[])', [
      Object.values(this.#queues),
    ]);
    await this.#database.query('DELETE FROM semblance.set_aside WHERE catalog = $1', [
      escapeText(catalogName(this.#location)),
    ]);
  }

  async #next(): Promise<Job | undefined> {
    const { chunk, split, single, poison } = this.#queues;
    for (const name of [poison, split, single, chunk]) {
      const [job] = await this.#boss.fetch<JobData>(name);
      if (job) return { id: job.id, queue: name, entries: job.data.entries };
    }
    return undefined;
  }

  async #handle(
    job: Job,
    store: Parameters<typeof indexEntries>[0]['store'],
    embedder: Embedder,
    { signal, onWait }: WaitOptions,
  ): Promise<number> {
    const { queue, id, entries } = job;
    const { split, single, poison } = this.#queues;
    if (queue === split) {
      await this.#boss.insert(entries.map((entry) => jobOf(single, [entry])));
      await this.#boss.complete(queue, id);
      return 0;
    }
    if (queue === poison) {
      await this.#leaveOut(
        entries.map((entry) => ({ id: entry.id, reason: 'it ended every worker that tried it' })),
      );
      await this.#boss.complete(queue, id);
      return 0;
    }
    try {
      const report = await indexEntries({
        embedder,
        store,
        entries,
        signal,
        flush: false,
        write: (change) => whileWriting(this.#location, change, { onWait }),
      });
      await this.#leaveOut(report.failures);
      await this.#boss.complete(queue, id);
      return report.embedded;
    } catch (error) {
      if (signal?.aborted) await this.#giveBack(job).catch(() => {});
      else await this.#boss.fail(queue, id, { reason: errorMessage(error) }).catch(() => {});
      throw error;
    }
  }

  /** A worker that was told to stop says nothing against its job: that it was tried does not count. */
  async #giveBack({ queue, id }: Job): Promise<void> {
    await this.#database.query(
      `UPDATE semblance_jobs.job SET state = 'created', started_on = NULL
       WHERE name = $1 AND id = $2 AND state = 'active'`,
      [queue, id],
    );
  }

  async #leaveOut(pictures: readonly SetAside[]): Promise<void> {
    for (const { id, reason } of pictures)
      await this.#database.query(
        `INSERT INTO semblance.set_aside (catalog, id, reason) VALUES ($1, $2, $3)
         ON CONFLICT (catalog, id) DO UPDATE SET reason = excluded.reason, at = now()`,
        [escapeText(catalogName(this.#location)), escapeText(id), escapeText(reason)],
      );
  }
}

// --- internal ---

const POLL_MS = 1000;
/** Seconds. */
const TAKE_OVER_AFTER = 300;
const JOBS_AT_A_TIME = 500;

interface JobData {
  entries: PictureEntry[];
}

interface Job extends JobData {
  readonly id: string;
  readonly queue: string;
}

/** Of a catalogue: jobs as they were added, those to be taken apart, single pictures, and what ends workers. */
type Queues = Readonly<Record<'chunk' | 'split' | 'single' | 'poison', string>>;

function queuesOf(catalog: string): Queues {
  const base = `embed-${sha256(catalog).slice(0, 16)}`;
  return { chunk: base, split: `${base}-split`, single: `${base}-single`, poison: `${base}-poison` };
}

function jobOf(name: string, entries: readonly PictureEntry[]): PgBoss.JobInsert<JobData> {
  return { name, data: { entries: [...entries] } };
}

function chunks<T>(values: readonly T[], size: number): T[][] {
  return Array.from({ length: Math.ceil(values.length / size) }, (_, n) =>
    values.slice(n * size, (n + 1) * size),
  );
}
