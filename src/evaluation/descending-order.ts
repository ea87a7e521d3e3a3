/**
 * Sorts numbers from high to low, carrying their indices: a radix sort on their float32 bits, about five times as fast
 * as a comparison sort at 60,000 and linear, after which the few that differ only beyond float32 are put in order.
 * Stable: equal numbers stay in the order given.
 */

/** Sorts the first `count` of what it is given; buffers are kept between calls, so make one for many sorts. */
export class DescendingOrder {
  /** After `sort`: the numbers from high to low. */
  readonly values: Float64Array;
  /** After `sort`: for each of `values` the payload that came with it. */
  readonly payload: Int32Array;
  readonly #rounded: Float32Array;
  readonly #keys: Uint32Array;
  readonly #otherKeys: Uint32Array;
  readonly #places: Int32Array;
  readonly #otherPlaces: Int32Array;
  readonly #valuesBefore: Float64Array;
  readonly #payloadBefore: Int32Array;
  readonly #counts = new Uint32Array(3 * BUCKETS);

  /** @param capacity the largest `count` that will be sorted. */
  constructor(capacity: number) {
    this.values = new Float64Array(capacity);
    this.payload = new Int32Array(capacity);
    this.#rounded = new Float32Array(capacity);
    this.#keys = new Uint32Array(this.#rounded.buffer);
    this.#otherKeys = new Uint32Array(capacity);
    this.#places = new Int32Array(capacity);
    this.#otherPlaces = new Int32Array(capacity);
    this.#valuesBefore = new Float64Array(capacity);
    this.#payloadBefore = new Int32Array(capacity);
  }

  /** Sorts `values` and `payload` in place, of which the caller has filled the first `count`. No value may be NaN. */
  sort(count: number): void {
    if (count > FEW) this.#sortRounded(count);
    this.#insert(count);
  }

  /** After `sort`: makes equal what is within `tolerance` of the largest of its run. */
  level(count: number, tolerance: number): void {
    const { values } = this;
    let largest = values[0]!;
    for (let i = 1; i < count; i++) {
      if (values[i]! >= largest - tolerance) values[i] = largest;
      else largest = values[i]!;
    }
  }

  #sortRounded(count: number): void {
    const { payload, values } = this;
    const keys = this.#keys;
    const rounded = this.#rounded;
    const places = this.#places;
    const counts = this.#counts.fill(0);
    for (let i = 0; i < count; i++) {
      rounded[i] = values[i]! + 0; // −0 and 0 are a tie, so they must have the same bits
      const bits = keys[i]!;
      const key = bits & SIGN ? bits : ~bits & 0x7fff_ffff; // ascending keys are descending values
      keys[i] = key;
      places[i] = i;
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
    scatter(keys, places, this.#otherKeys, this.#otherPlaces, counts, 0, count);
    scatter(this.#otherKeys, this.#otherPlaces, keys, places, counts, 1, count);
    scatter(keys, places, this.#otherKeys, this.#otherPlaces, counts, 2, count);
    const before = this.#valuesBefore;
    const payloadBefore = this.#payloadBefore;
    before.set(count === values.length ? values : values.subarray(0, count));
    payloadBefore.set(count === payload.length ? payload : payload.subarray(0, count));
    for (let i = 0; i < count; i++) {
      const place = this.#otherPlaces[i]!;
      values[i] = before[place]!;
      payload[i] = payloadBefore[place]!;
    }
  }

  /** Insertion sort: all of a few numbers, or what the rounded sort left, where long unordered runs are compared. */
  #insert(count: number): void {
    const { values, payload } = this;
    let moves = 0;
    for (let i = 1; i < count; i++) {
      const value = values[i]!;
      if (values[i - 1]! >= value) continue;
      const carried = payload[i]!;
      let to = i;
      for (; to > 0 && values[to - 1]! < value; to--) {
        values[to] = values[to - 1]!;
        payload[to] = payload[to - 1]!;
      }
      values[to] = value;
      payload[to] = carried;
      moves += i - to;
      if (moves > MOVES_PER_VALUE * count && count > FEW) {
        this.#compare(count);
        return;
      }
    }
  }

  #compare(count: number): void {
    const { values, payload } = this;
    const before = this.#valuesBefore;
    const payloadBefore = this.#payloadBefore;
    before.set(values.subarray(0, count));
    payloadBefore.set(payload.subarray(0, count));
    const order = Array.from({ length: count }, (_, i) => i).sort((a, b) => before[b]! - before[a]! || a - b);
    for (let i = 0; i < count; i++) {
      values[i] = before[order[i]!]!;
      payload[i] = payloadBefore[order[i]!]!;
    }
  }
}

// --- internal ---

const BUCKETS = 2048;
const MASK = BUCKETS - 1;
const SIGN = 0x8000_0000;
/** Up to so many, insertion is quicker than three passes over the buckets. */
const FEW = 64;
const MOVES_PER_VALUE = 8;

function scatter(
  keys: Uint32Array,
  places: Int32Array,
  toKeys: Uint32Array,
  toPlaces: Int32Array,
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
    toPlaces[place] = places[i]!;
  }
}
