/**
 * Batches of cached features, as the loader makes batches of pictures: the same sampler, one batch ahead. Which view a
 * picture is seen in is drawn from (seed, step, place in the batch). A batch is a function of (features, options, seed,
 * step).
 */
import { DataError, Random } from '../util/index.js';
import { isMirroredView } from './augmented-view.js';
import type { CachedFeatures } from './cached-features.js';
import { createKeptSampler, groupOfPlace, type SamplerOptions } from './sampler.js';

export interface FeatureLoaderOptions {
  /** As the loader's: `groupOf` is given item numbers, `sourceOf` and `pairs` rows, as passed in. */
  sampler: Omit<SamplerOptions, 'seed'>;
  seed: number;
  /** How many batches are read ahead. Default 1. */
  prefetch?: number;
}

/** B = items × pictures an item, and two a pair. */
export interface FeatureBatch {
  readonly step: number;
  /** [B] indices of the rows as passed in, item after item, then pair after pair. */
  readonly rows: Int32Array;
  /** [B] which view of each picture. */
  readonly views: Int32Array;
  /** [B, …shape]. The caller's own. */
  readonly features: Float32Array;
}

export interface FeatureLoader {
  /** Indices of the rows in use; unreadable ones are missing. */
  readonly kept: Int32Array;
  readonly stepsPerEpoch: number;
  /** The batch of a step, from 0; and begins to read those after it. */
  next(step: number): Promise<FeatureBatch>;
  /** Waits for what is being read. The features stay open: they are the caller's. */
  close(): Promise<void>;
}

/**
 * @param features of the rows
 * @param items item of each row, whole numbers from 0; −1 for a row that comes in pairs alone
 * @throws DataError when the readable pictures are of too few items for a batch
 */
export function createFeatureLoader(
  features: CachedFeatures,
  items: ArrayLike<number>,
  options: FeatureLoaderOptions,
): FeatureLoader {
  const { seed, prefetch = 1 } = options;
  const { kept } = features;
  const { itemsPerBatch, picturesPerItem } = options.sampler;
  const sampler = createKeptSampler(kept, items, { ...options.sampler, seed });
  const classes = viewClasses(features);
  const pending = new Map<number, Promise<FeatureBatch>>();
  let isClosed = false;

  async function load(step: number): Promise<FeatureBatch> {
    const rows = sampler.batch(step).rows.map((index) => kept[index]!);
    const views = drawViews(
      rows,
      (place) => groupOfPlace(place, picturesPerItem, itemsPerBatch * picturesPerItem),
      classes,
      seed,
      step,
    );
    const { features: values, unreadable } = await features.read(rows, views);
    const { length } = features;
    for (const at of unreadable) {
      const bad = new Set(unreadable);
      const start = at - (at % picturesPerItem);
      const order = [...rows.keys()].map((i) => (start + i) % rows.length);
      const other = order.find((i) => !bad.has(i));
      if (other === undefined) {
        throw new DataError(`no picture of the batch of step ${step} can be read`);
      }
      values.copyWithin(at * length, other * length, (other + 1) * length);
      rows[at] = rows[other]!;
      views[at] = views[other]!;
    }
    return { step, rows, views, features: values };
  }

  return {
    kept,
    stepsPerEpoch: sampler.stepsPerEpoch,
    async next(step) {
      if (isClosed) throw new DataError('feature loader: closed');
      for (const ahead of [...pending.keys()]) {
        if (ahead < step || ahead > step + prefetch) pending.delete(ahead);
      }
      for (let ahead = step; ahead <= step + prefetch; ahead++) {
        if (pending.has(ahead)) continue;
        const loading = load(ahead);
        loading.catch(() => {}); // whoever takes it is told
        pending.set(ahead, loading);
      }
      const batch = pending.get(step)!;
      pending.delete(step);
      return await batch;
    },
    async close() {
      isClosed = true;
      await Promise.allSettled(pending.values());
      pending.clear();
    },
  };
}

// --- internal ---

const VIEW_STREAM = 7;

/** The views, those that mirror whole items apart from those that do not. */
function viewClasses({ views, view }: CachedFeatures): readonly (readonly number[])[] {
  const all = Array.from({ length: views }, (_, number) => number);
  return [false, true]
    .map((isMirrored) => all.filter((number) => isMirroredView(view, number) === isMirrored))
    .filter((list) => list.length > 0);
}

/**
 * A view for each place. All pictures of an item or pair are mirrored or none, each class as often as it has views; a row
 * that recurs in a batch recurs in another view while there is one.
 */
function drawViews(
  rows: Int32Array,
  groupOf: (place: number) => number,
  classes: readonly (readonly number[])[],
  seed: number,
  step: number,
): Int32Array {
  const taken = new Map<number, Set<number>>();
  const total = classes.reduce((sum, list) => sum + list.length, 0);
  const views = new Int32Array(rows.length);
  let chosen = classes[0]!;
  for (const [at, row] of rows.entries()) {
    const random = Random.from(seed, VIEW_STREAM, step, at);
    if (at === 0 || groupOf(at) !== groupOf(at - 1)) {
      chosen = random.integer(total) < classes[0]!.length ? classes[0]! : classes[1]!;
    }
    const used = taken.get(row) ?? new Set();
    taken.set(row, used);
    const free = chosen.filter((number) => !used.has(number));
    views[at] = random.pick(free.length > 0 ? free : chosen);
    used.add(views[at]);
  }
  return views;
}
