/**
 * P×K batches: P items, K pictures of each, as a pure function of (seed, step). A resumed run asks for its next step
 * and gets the batch that the uninterrupted run would have had.
 *
 * Items are visited epoch by epoch without replacement. A share of each batch's items are siblings instead: items
 * that look alike (same group) as one that the batch holds already, because they are the informative negatives.
 * An item with fewer than K pictures is not dropped: its pictures recur as further views, which augmentation makes
 * different.
 */
import { DataError, Random } from '../util/index.js';

export interface SamplerOptions {
  /** Pictures of one item are neighbours in a batch. P in the literature. */
  itemsPerBatch: number;
  /** K in the literature. Below 2 there are no positive pairs. */
  picturesPerItem: number;
  /** Share of a batch's items that are siblings of its others, 0 to 0.9. Default 0. */
  lookAlikeFraction?: number;
  /** The look of an item, by its number; `undefined` has no siblings. Needed for a share above 0. */
  groupOf?: (item: number) => string | undefined;
  /** Who made a picture, by its row: the K pictures of an item come from different sources first. */
  sourceOf?: (row: number) => string | undefined;
  /** Pairs of rows, of which every batch has some behind its items. */
  pairs?: SampledPairs;
  seed: number;
}

export interface SampledPairs {
  /** F, pairs in a batch, from 1. */
  readonly count: number;
  /** At least one; all are visited, in random order, before one comes again. */
  readonly rows: readonly (readonly [number, number])[];
}

/** Rows and views of a batch, both [P·K + 2F]: item after item, then pair after pair. */
export interface SampledBatch {
  /** Indices into the list that the sampler was made from. */
  readonly rows: Int32Array;
  /** 0 for a row's first time in the batch, 1 for its second, and so on. */
  readonly views: Int32Array;
}

export interface Sampler {
  /** P·K + 2F */
  readonly batchSize: number;
  /** Steps until each item was visited about once. */
  readonly stepsPerEpoch: number;
  /** The batch of a step, from 0, in any order of asking. */
  batch(step: number): SampledBatch;
}

/**
 * @param items item of each row, as whole numbers from 0, e.g. the labels of the training rows; a row of −1 has none, and
 *   comes in pairs alone
 * @throws DataError when there are fewer items than a batch needs, or an option is out of range
 */
export function createSampler(items: ArrayLike<number>, options: SamplerOptions): Sampler {
  const { itemsPerBatch, picturesPerItem, lookAlikeFraction = 0, groupOf, sourceOf, pairs, seed } = options;
  positive('itemsPerBatch', itemsPerBatch);
  positive('picturesPerItem', picturesPerItem);
  if (!(lookAlikeFraction >= 0 && lookAlikeFraction <= 0.9)) {
    throw new DataError(`createSampler: lookAlikeFraction must be from 0 to 0.9, got ${lookAlikeFraction}`);
  }
  const rowsOfItem = new Map<number, number[]>();
  for (let row = 0; row < items.length; row++) {
    if (items[row]! < 0) continue;
    const rows = rowsOfItem.get(items[row]!);
    if (rows === undefined) rowsOfItem.set(items[row]!, [row]);
    else rows.push(row);
  }
  const itemList = [...rowsOfItem.keys()].sort((a, b) => a - b);
  if (itemList.length < itemsPerBatch) {
    throw new DataError(
      `createSampler: items in a batch must be at most the number of items with a readable picture, ${itemList.length}, ` +
        `got ${itemsPerBatch}. Ask for fewer`,
    );
  }
  const siblings = new Map<string, number[]>();
  if (groupOf !== undefined) {
    for (const item of itemList) {
      const group = groupOf(item);
      if (group !== undefined) siblings.set(group, [...(siblings.get(group) ?? []), item]);
    }
  }
  const siblingCount = groupOf === undefined ? 0 : Math.floor(lookAlikeFraction * itemsPerBatch);
  const leaderCount = itemsPerBatch - siblingCount;

  /** Items of leader positions `from` to `from + count` in the endless row of shuffled epochs. */
  const leaders = createEpochs(itemList, seed, EPOCH_STREAM);
  if (pairs !== undefined) {
    positive('pairs.count', pairs.count);
    if (pairs.rows.length === 0) {
      throw new DataError('createSampler: no picture pair that was judged can be read. Check the pictures');
    }
  }
  const pairCount = pairs?.count ?? 0;
  const pairAt = createEpochs([...(pairs?.rows.keys() ?? [])], seed, PAIR_STREAM);

  return {
    batchSize: itemsPerBatch * picturesPerItem + 2 * pairCount,
    stepsPerEpoch: Math.ceil(itemList.length / itemsPerBatch),
    batch(step) {
      if (!Number.isInteger(step) || step < 0) {
        throw new DataError(`sampler.batch: step must be a whole number from 0, got ${step}`);
      }
      const random = Random.from(seed, BATCH_STREAM, step);
      const chosen = new Set<number>();
      for (let position = 0; position < leaderCount; position++) {
        add(leaders(step * leaderCount + position), chosen, itemList, random);
      }
      const anchors = random.shuffled([...chosen]);
      for (let at = 0; at < siblingCount; at++) {
        const group = groupOf?.(anchors[at % anchors.length]!);
        const free =
          group === undefined ? [] : (siblings.get(group) ?? []).filter((item) => !chosen.has(item));
        if (free.length > 0) chosen.add(random.pick(free));
        else add(random.pick(itemList), chosen, itemList, random);
      }
      const rows = new Int32Array(itemsPerBatch * picturesPerItem + 2 * pairCount);
      const views = new Int32Array(rows.length);
      let offset = 0;
      for (const item of chosen) {
        const pictures = bySource(random.shuffled(rowsOfItem.get(item)!), sourceOf);
        for (let k = 0; k < picturesPerItem; k++, offset++) {
          rows[offset] = pictures[k % pictures.length]!;
          views[offset] = Math.floor(k / pictures.length);
        }
      }
      for (let position = 0; position < pairCount; position++) {
        for (const row of pairs!.rows[pairAt(step * pairCount + position)]!) {
          views[offset] = rows.subarray(0, offset).filter((before) => before === row).length;
          rows[offset++] = row;
        }
      }
      return { rows, views };
    },
  };
}

/**
 * A sampler of the rows that could be read; its rows are indices into `kept`.
 * @param kept the readable rows, as they were passed to the loader; `sourceOf` and `pairs` speak of rows as passed in, too
 */
export function createKeptSampler(
  kept: Int32Array,
  items: ArrayLike<number>,
  { sourceOf, pairs, ...options }: SamplerOptions,
): Sampler {
  const places = pairs === undefined ? undefined : new Map(Array.from(kept, (row, place) => [row, place]));
  return createSampler(
    kept.map((row) => items[row]!),
    {
      ...options,
      ...(sourceOf === undefined ? {} : { sourceOf: (index: number) => sourceOf(kept[index]!) }),
      ...(pairs === undefined
        ? {}
        : {
            pairs: {
              count: pairs.count,
              rows: pairs.rows.flatMap(([a, b]) => {
                const [placeA, placeB] = [places!.get(a), places!.get(b)];
                return placeA === undefined || placeB === undefined ? [] : [[placeA, placeB] as const];
              }),
            },
          }),
    },
  );
}

/**
 * The number of the group that a place in a batch belongs to: the item, or behind the items the pair. What is drawn for a
 * group, as mirroring, is the same for its pictures.
 * @param itemPlaces P·K
 */
export function groupOfPlace(place: number, picturesPerItem: number, itemPlaces: number): number {
  return place < itemPlaces
    ? Math.floor(place / picturesPerItem)
    : Math.floor(itemPlaces / picturesPerItem) + Math.floor((place - itemPlaces) / 2);
}

// --- internal ---

const EPOCH_STREAM = 1;
const BATCH_STREAM = 2;
const PAIR_STREAM = 8;

function positive(name: string, value: number): void {
  if (!Number.isInteger(value) || value < 1) {
    throw new DataError(`createSampler: ${name} must be a whole number from 1, got ${value}`);
  }
}

/** Adds an item; one that is there already (a batch may reach into the next epoch) is replaced by a random other. */
function add(item: number, chosen: Set<number>, all: readonly number[], random: Random): void {
  let next = item;
  while (chosen.has(next)) next = random.pick(all);
  chosen.add(next);
}

/** Random access into shuffled epochs laid end to end; the last two epochs asked for are kept. */
function createEpochs(items: readonly number[], seed: number, stream: number): (position: number) => number {
  const kept = new Map<number, readonly number[]>();
  return (position) => {
    const epoch = Math.floor(position / items.length);
    let order = kept.get(epoch);
    if (order === undefined) {
      order = Random.from(seed, stream, epoch).shuffled(items);
      if (kept.size >= 2) kept.delete(kept.keys().next().value!);
      kept.set(epoch, order);
    }
    return order[position % items.length]!;
  };
}

/** The same rows, one of each source before the second of any. */
function bySource(rows: readonly number[], sourceOf: SamplerOptions['sourceOf']): readonly number[] {
  if (sourceOf === undefined || rows.length < 3) return rows;
  const rounds: number[][] = [];
  const taken = new Map<string, number>();
  for (const row of rows) {
    const source = sourceOf(row) ?? `row ${row}`;
    const round = taken.get(source) ?? 0;
    taken.set(source, round + 1);
    const list = rounds[round];
    if (list === undefined) rounds[round] = [row];
    else list.push(row);
  }
  return rounds.flat();
}
