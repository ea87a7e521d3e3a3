/**
 * What people said of pairs of pictures, as the masks that a batch's loss takes. A verdict is about two rows; who is not in
 * the data has no item, and counts in the pairs of its verdicts alone.
 */

/** What a verdict says at the level that is trained: alike, not alike, or that labels must not push the two apart. */
export type PairVerdict = 'positive' | 'negative' | 'spared';

export interface JudgedPair {
  /** Numbers of two different rows. */
  readonly rows: readonly [number, number];
  readonly verdict: PairVerdict;
}

/** The masks of a batch of B pictures, all [B, B]: see `PairVerdicts` of the losses. */
export interface BatchVerdicts {
  /** 0 or 1 */
  readonly isJudged: Uint8Array;
  readonly positive: Float32Array;
  readonly negative: Float32Array;
}

/**
 * Prepares the masks of batches.
 *
 * - A pair with a verdict is what the verdict says.
 * - Two items with a positive verdict between them, directly or by way of others, may be one: their other pairs count as
 *   neither alike nor different, so that labels do not take back what was said.
 * - A row without an item (−1) is in no other pair.
 * - All other pairs are left to the item ids.
 * @param items item of each row, −1 for none
 * @param pairs the last one of two rows counts
 * @returns the masks of a batch, from its rows [B]
 */
export function batchVerdicts(
  items: ArrayLike<number>,
  pairs: readonly JudgedPair[],
): (rows: ArrayLike<number>) => BatchVerdicts {
  const verdicts = new Map<number, PairVerdict>();
  const keyOf = (a: number, b: number) => Math.min(a, b) * items.length + Math.max(a, b);
  for (const { rows, verdict } of pairs) verdicts.set(keyOf(...rows), verdict);
  const groupOf = linkedItems(
    [...verdicts].flatMap(([key, verdict]) => {
      const linked = [Math.floor(key / items.length), key % items.length].map((row) => items[row] as number);
      return verdict === 'positive' && linked.every((item) => item >= 0) ? [linked as [number, number]] : [];
    }),
  );
  return (rows) => {
    const count = rows.length;
    const isJudged = new Uint8Array(count * count);
    const positive = new Float32Array(count * count);
    const negative = new Float32Array(count * count);
    for (let i = 0; i < count; i++) {
      for (let j = 0; j < count; j++) {
        if (i === j) continue;
        const [a, b] = [rows[i] as number, rows[j] as number];
        const [itemA, itemB] = [items[a] as number, items[b] as number];
        const at = i * count + j;
        const verdict = a === b ? undefined : verdicts.get(keyOf(a, b));
        if (verdict === 'spared') {
          // Labels that say the same item know more than one who says the same look.
          isJudged[at] = itemA === itemB && itemA >= 0 ? 0 : 1;
        } else if (verdict !== undefined) {
          isJudged[at] = 1;
          (verdict === 'positive' ? positive : negative)[at] = 1;
        } else if (itemA < 0 || itemB < 0 || (itemA !== itemB && groupOf(itemA) === groupOf(itemB))) {
          isJudged[at] = 1;
        }
      }
    }
    return { isJudged, positive, negative };
  };
}

// --- internal ---

/** The group of an item: that of all that links connect with it; of an item without links, itself. */
function linkedItems(links: readonly (readonly [number, number])[]): (item: number) => number {
  const parents = new Map<number, number>();
  const rootOf = (item: number): number => {
    let root = item;
    for (let next = parents.get(root); next !== undefined; next = parents.get(root)) root = next;
    return root;
  };
  for (const [a, b] of links) {
    const [rootA, rootB] = [rootOf(a), rootOf(b)];
    if (rootA !== rootB) parents.set(Math.max(rootA, rootB), Math.min(rootA, rootB));
  }
  return rootOf;
}
