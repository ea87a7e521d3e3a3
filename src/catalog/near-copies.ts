/** Pictures of a catalogue whose embeddings are nearly the same. */
import { type StartProgress, silentProgress } from '../util/index.js';
import type { Catalog } from './catalog.js';
import type { Filter } from './filter.js';
import type { StoredRecord } from './store.js';

/** One picture of a pair. */
export type CopiedPicture = Pick<StoredRecord, 'id' | 'fields'>;

/** Two pictures that are nearly the same. */
export interface NearCopies {
  /** By id. */
  readonly pictures: readonly [CopiedPicture, CopiedPicture];
  /** Cosine of the two embeddings. */
  readonly similarity: number;
  readonly isSameItem: boolean;
}

/** [Q, G] products of [Q, D] and [G, D] rows; what it returns may be overwritten by the next call. */
export type Products = (
  queries: Float32Array,
  gallery: Float32Array,
  dimension: number,
) => Promise<Float32Array | Float64Array> | Float32Array | Float64Array;

/**
 * Compares all pictures with all others: N² / 2 products, N · D · 4 bytes of memory.
 * @param options.threshold cosine from which two count, in (0, 1]
 * @param options.across pairs within an item, across items, or both. Default both.
 * @param options.limit pairs kept at most, the most alike. Default 1000.
 * @returns the pairs, most alike first, ties by id; and how many there are in all
 */
export async function findNearCopies(
  { store, layout, description }: Catalog,
  options: {
    readonly threshold: number;
    readonly products: Products;
    readonly across?: 'same' | 'different' | 'both';
    readonly limit?: number;
    readonly filter?: Filter;
    readonly startProgress?: StartProgress;
    readonly signal?: AbortSignal | undefined;
  },
): Promise<{ pairs: NearCopies[]; total: number; pictures: number }> {
  const { threshold, products, across = 'both', limit = 1000, filter = [], signal } = options;
  const part = layout.parts.find(({ name }) => name === 'embedding') ?? {
    offset: 0,
    size: description.dimension,
  };
  const D = part.size;
  const records: CopiedPicture[] = [];
  const blocks: Float32Array[] = [];
  for await (const batch of store.scan({ filter })) {
    signal?.throwIfAborted();
    const block = new Float32Array(batch.length * D);
    batch.forEach(({ id, fields, vector }, n) => {
      records.push({ id, fields });
      block.set(vector.subarray(part.offset, part.offset + D), n * D);
    });
    blocks.push(block);
  }
  const N = records.length;
  const embeddings = new Float32Array(N * D);
  let at = 0;
  for (const block of blocks) {
    embeddings.set(block, at);
    at += block.length;
  }
  const items = records.map(({ fields }) => fields.item_id?.[0] ?? '');
  let found: { a: number; b: number; similarity: number }[] = [];
  let total = 0;
  const best = () => {
    found.sort((x, y) => y.similarity - x.similarity || x.a - y.a || x.b - y.b);
    found = found.slice(0, limit);
  };
  const bar = (options.startProgress ?? silentProgress)('comparing', N);
  try {
    for (let start = 0; start < N; start += BLOCK) {
      signal?.throwIfAborted();
      const count = Math.min(BLOCK, N - start);
      // Only with those from here on: each pair once.
      const similarities = await products(
        embeddings.subarray(start * D, (start + count) * D),
        embeddings.subarray(start * D),
        D,
      );
      const width = N - start;
      for (let i = 0; i < count; i++)
        for (let j = i + 1; j < width; j++) {
          const similarity = similarities[i * width + j]!;
          if (similarity < threshold) continue;
          const [a, b] = [start + i, start + j];
          if (across !== 'both' && (items[a] === items[b]) !== (across === 'same')) continue;
          total++;
          found.push({ a, b, similarity });
          // In between too: a low threshold has a block give millions.
          if (found.length >= MOST_AT_A_TIME + 2 * limit) best();
        }
      bar.update(start + count);
    }
  } finally {
    bar.stop();
  }
  best();
  return {
    pairs: found.map(({ a, b, similarity }) => ({
      pictures: [records[a] as CopiedPicture, records[b] as CopiedPicture],
      similarity,
      isSameItem: items[a] === items[b],
    })),
    total,
    pictures: N,
  };
}

// --- internal ---

/** Rows at a time: 256 · 100,000 similarities are 100 MB. */
const BLOCK = 256;
/** Pairs beyond those wanted that are gathered before the best are chosen. */
const MOST_AT_A_TIME = 10_000;
