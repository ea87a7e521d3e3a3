/**
 * What a frozen network makes of every view of every picture, computed once and kept on disk. Views are decoded on a
 * worker thread while others are inferred. What an earlier run stored is found again; a damaged record, or one that a
 * full disk left out, is computed when it is asked for.
 */
import { DataError, errorMessage, type StartProgress, silentProgress } from '../util/index.js';
import { hashPicture, type PictureViews, type ViewOptions, viewKey, viewsHash } from './augmented-view.js';
import type { PictureProblem, PictureRow } from './decode-rows.js';
import { type FeatureCacheOptions, type FeatureCacheStatistics, openFeatureCache } from './feature-cache.js';
import { forEachInParallel } from './parallel.js';
import { createViewMaker } from './view-maker.js';

export interface CachedFeaturesOptions {
  /** V, views a picture: the plain one, and V − 1 augmented ones. */
  views: number;
  view: ViewOptions;
  /** Hash of the network that `infer` runs: its bytes and the names of its outputs. */
  prefix: string;
  /** Of a picture's features. */
  shape: readonly number[];
  /**
   * Runs the network: pixels [n, S, S, 3] → features [n, …shape], n at most `batchSize`. The result must be memory that
   * no later call writes to.
   */
  infer(pixels: Uint8Array, count: number): Promise<Float32Array>;
  /** Views in a run of the network. Default 32. */
  batchSize?: number;
  /** Place, precision and limit of the cache. */
  cache?: Pick<FeatureCacheOptions, 'root' | 'precision' | 'limitBytes'>;
  progress?: StartProgress;
  /** Called once for each unreadable picture. */
  onProblem?: (problem: PictureProblem) => void;
  /** Told, once, when nothing more can be stored and why. */
  onFull?: (reason: string) => void;
  signal?: AbortSignal;
}

export interface CachedFeatures {
  /** Numbers in the features of one view. */
  readonly length: number;
  readonly shape: readonly number[];
  /** V */
  readonly views: number;
  readonly view: ViewOptions;
  /** Indices of the rows that could be read, ascending. */
  readonly kept: Int32Array;
  /** Where the features are stored. */
  readonly directory: string;
  /**
   * Features of views: `views[i]` of the picture in row `rows[i]`.
   * @returns `features` [n, length]; `unreadable`, the positions of pictures that are not cached and cannot be read,
   * whose features mean nothing
   */
  read(
    rows: ArrayLike<number>,
    views: ArrayLike<number>,
  ): Promise<{ features: Float32Array; unreadable: readonly number[] }>;
  statistics(): FeatureCacheStatistics;
  close(): Promise<void>;
}

/**
 * Opens the cache and fills it with what is missing, with progress. Interrupted, it goes on where it stopped the next
 * time.
 * @param rows rows of a manifest
 * @throws DataError when no picture can be read, or the network's result has another size; what `signal` was aborted with
 */
export async function cachedFeatures(
  rows: readonly PictureRow[],
  options: CachedFeaturesOptions,
): Promise<CachedFeatures> {
  const { views, view, shape, prefix, batchSize = 32, progress: start = silentProgress, signal } = options;
  for (const [name, value] of [
    ['views', views],
    ['batchSize', batchSize],
  ] as const) {
    if (!Number.isInteger(value) || value < 1) {
      throw new DataError(`cachedFeatures: ${name} must be a whole number from 1, got ${value}`);
    }
  }
  const problems = new Map<number, PictureProblem>();
  const report = (row: number, message: string) => {
    if (problems.has(row)) return;
    const problem = { row, path: rows[row]!.path, message };
    problems.set(row, problem);
    options.onProblem?.(problem);
  };
  const hashes = await hashRows(rows, report, start, signal);
  requireReadable(rows.length, problems);
  const cache = await openFeatureCache({
    ...options.cache,
    prefix,
    transform: viewsHash(view, views),
    shape,
    ...(options.onFull === undefined ? {} : { onFull: options.onFull }),
  });
  const { length } = cache;
  const maker = createViewMaker(view);
  const pictureOf = (row: number): PictureViews => {
    const { path, box } = rows[row]!;
    return { path, ...(box === undefined ? {} : { box }), hash: hashes[row] ?? '', views: [] };
  };
  const keyOf = (row: number, number: number) => viewKey(pictureOf(row), number);

  /** Requests the views of slots, which lie row by row; then `finish` infers, stores and returns the readable ones. */
  function request(slots: readonly Slot[]) {
    const pictures: (PictureViews & { row: number; views: number[] })[] = [];
    for (const { row, view: number } of slots) {
      if (pictures.at(-1)?.row !== row) pictures.push({ ...pictureOf(row), row, views: [] });
      pictures.at(-1)!.views.push(number);
    }
    const making = maker.make(pictures);
    making.catch(() => {}); // reported when it is awaited
    return async (): Promise<{ slots: readonly Slot[]; features: Float32Array }> => {
      const { pixels, problems: found } = await making;
      for (const { picture, message } of found) report(pictures[picture]!.row, message);
      const good = slots.filter(({ row }) => !problems.has(row));
      if (good.length === 0) return { slots: good, features: new Float32Array(0) };
      const features = await options.infer(pixels, good.length);
      if (features.length !== good.length * length) {
        throw new DataError(
          `cachedFeatures: infer must return ${good.length} × [${shape.join(', ')}] numbers, got ${features.length}`,
        );
      }
      return { slots: good, features };
    };
  }

  async function fill(): Promise<void> {
    const seen = new Set<string>();
    const missing: Slot[] = [];
    for (const row of rows.keys()) {
      if (hashes[row] === undefined) continue;
      for (let number = 0; number < views; number++) {
        const key = keyOf(row, number);
        if (seen.has(key)) continue; // the same picture in two rows
        seen.add(key);
        if (!cache.has(key)) missing.push({ row, view: number, key });
      }
    }
    if (missing.length === 0) return;
    const found = seen.size - missing.length;
    const progress = start('features', seen.size, found);
    const ahead: ReturnType<typeof request>[] = [];
    let storing: Promise<void> = Promise.resolve();
    try {
      let next = 0;
      for (let done = 0; done < missing.length && cache.isWritable; done += batchSize) {
        for (; ahead.length < AHEAD && next < missing.length; next += batchSize) {
          ahead.push(request(missing.slice(next, next + batchSize)));
        }
        signal?.throwIfAborted();
        const { slots, features } = await ahead.shift()!();
        await storing;
        storing = cache.append(
          slots.map(({ key }) => key),
          features,
        );
        storing.catch(() => {}); // reported when it is awaited
        progress.update(found + Math.min(missing.length, done + batchSize));
      }
      await storing;
      await cache.flush();
    } finally {
      progress.stop();
    }
  }

  const close = async () => {
    await maker.close();
    await cache.close();
  };
  try {
    await fill();
    requireReadable(rows.length, problems);
  } catch (error) {
    await close();
    throw error;
  }
  return {
    length,
    shape,
    views,
    view,
    directory: cache.directory,
    kept: Int32Array.from(rows.keys()).filter((row) => !problems.has(row)),
    async read(wantedRows, wantedViews) {
      const slots = Array.from(
        wantedRows,
        (row, i): Slot => ({ row, view: wantedViews[i]!, key: keyOf(row, wantedViews[i]!) }),
      );
      const { values, missing } = await cache.read(slots.map(({ key }) => key));
      const byKey = new Map<string, { slot: Slot; positions: number[] }>();
      for (const at of missing) {
        const slot = slots[at]!;
        if (problems.has(slot.row)) continue;
        const entry = byKey.get(slot.key);
        if (entry === undefined) byKey.set(slot.key, { slot, positions: [at] });
        else entry.positions.push(at);
      }
      const wanted = [...byKey.values()].map(({ slot }) => slot).sort((a, b) => a.row - b.row);
      for (let from = 0; from < wanted.length; from += batchSize) {
        signal?.throwIfAborted();
        const { slots: made, features } = await request(wanted.slice(from, from + batchSize))();
        for (const [i, { key }] of made.entries()) {
          for (const at of byKey.get(key)!.positions) {
            values.set(features.subarray(i * length, (i + 1) * length), at * length);
          }
        }
        await cache.append(
          made.map(({ key }) => key),
          features,
        );
      }
      return { features: values, unreadable: missing.filter((at) => problems.has(slots[at]!.row)) };
    },
    statistics: () => cache.statistics(),
    close,
  };
}

// --- internal ---

/** Batches of views that are decoded, or waited for, at a time. */
const AHEAD = 3;

/** One view of one picture. */
interface Slot {
  readonly row: number;
  readonly view: number;
  readonly key: string;
}

/** The hash of each row's file; missing where it cannot be read. */
async function hashRows(
  rows: readonly PictureRow[],
  report: (row: number, message: string) => void,
  start: StartProgress,
  signal: AbortSignal | undefined,
): Promise<(string | undefined)[]> {
  const hashes: (string | undefined)[] = new Array(rows.length).fill(undefined);
  const found = new Map<number, string>();
  const byPath = new Map<string, Promise<string>>();
  const progress = start('hashing', rows.length);
  let done = 0;
  try {
    await forEachInParallel(
      rows.length,
      async (row) => {
        const { path } = rows[row]!;
        const hashing = byPath.get(path) ?? hashPicture(path);
        byPath.set(path, hashing);
        try {
          hashes[row] = await hashing;
        } catch (error) {
          if (!(error instanceof DataError)) throw error;
          found.set(row, errorMessage(error));
        }
        progress.update(++done);
      },
      { signal },
    );
  } finally {
    progress.stop();
  }
  for (const row of [...found.keys()].sort((a, b) => a - b)) report(row, found.get(row)!);
  return hashes;
}

function requireReadable(count: number, problems: ReadonlyMap<number, PictureProblem>): void {
  if (count === 0 || problems.size < count) return;
  throw new DataError(
    `none of ${count} pictures can be read; the first: ${[...problems.values()][0]!.message}`,
  );
}
