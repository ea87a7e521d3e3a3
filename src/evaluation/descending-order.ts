/**
 * Sorts float32 similarities from high to low, carrying their indices: a radix sort on their bits, about five times
 * as fast as a comparison sort at 60,000 and linear. Stable: equal similarities stay in the order given.
 */

/** Sorts the first `count` of what it is given; buffers are kept between calls, so make one for many sorts. */
export class DescendingOrder {
  /** After `sort`: the similarities from high to low. */
  readonly values: Float32Array;
  /** After `sort`: for each of `values` the payload that came with it. */
  readonly payload: Int32Array;
  readonly #keys: Uint32Array;
  readonly #otherKeys: Uint32Array;
  readonly #otherPayload: Int32Array;
  readonly #counts = new Uint32Array(3 * BUCKETS);

  /** @param capacity the largest `count` that will be sorted. */
  constructor(capacity: number) {
    this.values = new Float32Array(capacity);
    this.payload = new Int32Array(capacity);
    this.#keys = new Uint32Array(this.values.buffer);
    this.#otherKeys = new Uint32Array(capacity);
    this.#otherPayload = new Int32Array(capacity);
  }

  /** Sorts `values` and `payload` in place, of which the caller has filled the first `count`. No value may be NaN. */
  sort(count: number): void {
    const { payload, values } = this;
    const keys = this.#keys;
    const counts = this.#counts.fill(0);
    for (let i = 0; i < count; i++) {
      if (values[i] === 0) values[i] = 0; // −0 and 0 are a tie, so they must have the same bits
      const bits = keys[i]!;
      const key = bits & SIGN ? bits : ~bits & 0x7fff_ffff; // ascending keys are descending values
      keys[i] = key;
      counts[key & MASK]!++;
      counts[BUCKETS + ((key >>> 11) & MASK)]!++;
      counts[2 * BUCKETS + (key >>> 22)]!++;
    }
    for (let pass = 0; pass < 3; pass++) {
      let total = 0;
      for (let bucket = pass * BUCKETS; bucket < (pass + 1) * BUCKETS; bucket++) {
        const size = counts[bucket]!;
        counts[bucket] = total;
        total += size;
      }
    }
    scatter(keys, payload, this.#otherKeys, this.#otherPayload, counts, 0, count);
    scatter(this.#otherKeys, this.#otherPayload, keys, payload, counts, 1, count);
    scatter(keys, payload, this.#otherKeys, this.#otherPayload, counts, 2, count);
    for (let i = 0; i < count; i++) {
      const key = this.#otherKeys[i]!;
      keys[i] = key & SIGN ? key : ~key & 0x7fff_ffff;
      payload[i] = this.#otherPayload[i]!;
    }
  }
}

// --- internal ---

const BUCKETS = 2048;
const MASK = BUCKETS - 1;
const SIGN = 0x8000_0000;

function scatter(
  keys: Uint32Array,
  payload: Int32Array,
  toKeys: Uint32Array,
  toPayload: Int32Array,
  counts: Uint32Array,
  pass: number,
  count: number,
): void {
  const shift = pass * 11;
  const offset = pass * BUCKETS;
  for (let i = 0; i < count; i++) {
    const key = keys[i]!;
    const place = counts[offset + ((key >>> shift) & MASK)]!++;
    toKeys[place] = key;
    toPayload[place] = payload[i]!;
  }
}
