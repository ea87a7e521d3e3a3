/**
 * Groups of pictures with the same fingerprint, near enough. Hashes that differ in at most 7 of 128 bits agree in at
 * least one of 8 parts of 16 bits, so only pictures that share a part are compared: exact, and far from N².
 */
import { hashDistance, isSameMiniature, MAXIMUM_HASH_DISTANCE } from './perceptual-hash.js';

/**
 * @param hashes [count, 4]
 * @param miniatures [count, 12, 12, 3]
 * @returns groups of at least two, each ascending, in the order of their first. What is alike to one of a group is in it.
 */
export function groupNearDuplicates(
  hashes: Uint32Array,
  miniatures: Uint8Array,
  count: number,
  { onPart = () => {} }: { onPart?: (done: number, total: number) => void } = {},
): readonly (readonly number[])[] {
  const groups = new DisjointSets(count);
  const halves = new Uint16Array(hashes.buffer, hashes.byteOffset, 2 * hashes.length);
  for (let part = 0; part < PARTS; part++) {
    const buckets = new Map<number, number[]>();
    for (let index = 0; index < count; index++) {
      const key = halves[PARTS * index + part]!;
      const bucket = buckets.get(key);
      if (bucket === undefined) buckets.set(key, [index]);
      else bucket.push(index);
    }
    const isNews = (a: number, b: number) => {
      for (let earlier = 0; earlier < part; earlier++) {
        if (halves[PARTS * a + earlier] === halves[PARTS * b + earlier]) return false;
      }
      return true;
    };
    for (const bucket of buckets.values()) {
      for (let first = 0; first < bucket.length; first++) {
        const a = bucket[first]!;
        for (let second = first + 1; second < bucket.length; second++) {
          const b = bucket[second]!;
          if (!isNews(a, b)) continue; // compared at a part before
          if (hashDistance(hashes, a, b, MAXIMUM_HASH_DISTANCE) > MAXIMUM_HASH_DISTANCE) continue;
          if (groups.find(a) !== groups.find(b) && isSameMiniature(miniatures, a, b)) groups.join(a, b);
        }
      }
    }
    onPart(part + 1, PARTS);
  }
  return groups.list();
}

/** Sets of numbers that grow together. */
export class DisjointSets {
  readonly #parent: Int32Array;

  constructor(count: number) {
    this.#parent = Int32Array.from({ length: count }, (_, index) => index);
  }

  /** The smallest number of the set that a number is in. */
  find(index: number): number {
    let root = index;
    while (this.#parent[root] !== root) root = this.#parent[root]!;
    while (this.#parent[index] !== root) {
      const next = this.#parent[index]!;
      this.#parent[index] = root;
      index = next;
    }
    return root;
  }

  join(a: number, b: number): void {
    const [first, second] = [this.find(a), this.find(b)];
    if (first < second) this.#parent[second] = first;
    else this.#parent[first] = second;
  }

  /** Sets of at least two, each ascending, in the order of their first. */
  list(): readonly (readonly number[])[] {
    const members = new Map<number, number[]>();
    for (let index = 0; index < this.#parent.length; index++) {
      const root = this.find(index);
      const found = members.get(root);
      if (found === undefined) members.set(root, [index]);
      else found.push(index);
    }
    return [...members.values()].filter(({ length }) => length > 1);
  }
}

// --- internal ---

const PARTS = 8;
