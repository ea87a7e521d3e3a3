/**
 * Seeded random numbers. A generator is passed to whatever needs one; nothing in the project calls `Math.random`.
 * The generator is sfc32 (Doty-Humphrey, PractRand), seeded through splitmix32; its whole state is four 32-bit
 * words, so that a checkpoint can hold it and a resumed run draws the same numbers.
 */

export type RandomState = readonly [number, number, number, number];

export class Random {
  #a: number;
  #b: number;
  #c: number;
  #counter: number;

  private constructor(state: RandomState) {
    [this.#a, this.#b, this.#c, this.#counter] = state;
  }

  /** A generator from a seed: any integers, e.g. `Random.from(seed, epoch, index)`. Different lists, different streams. */
  static from(...seed: number[]): Random {
    let hash = 0x9e3779b9;
    const next = () => {
      hash = (hash + 0x9e3779b9) | 0;
      let t = hash ^ (hash >>> 16);
      t = Math.imul(t, 0x21f0aaad);
      t ^= t >>> 15;
      t = Math.imul(t, 0x735a2d97);
      return (t ^ (t >>> 15)) | 0;
    };
    for (const part of seed) {
      hash ^= part | 0;
      hash = next() ^ Math.floor(part / 0x1_0000_0000);
    }
    const random = new Random([next(), next(), next(), 1]);
    for (let round = 0; round < 12; round++) random.uint32();
    return random;
  }

  /** Goes on where `state()` was taken. */
  static resume(state: RandomState): Random {
    return new Random(state);
  }

  state(): RandomState {
    return [this.#a, this.#b, this.#c, this.#counter];
  }

  /** An integer in [0, 2³²). */
  uint32(): number {
    const t = (((this.#a + this.#b) | 0) + this.#counter) | 0;
    this.#counter = (this.#counter + 1) | 0;
    this.#a = this.#b ^ (this.#b >>> 9);
    this.#b = (this.#c + (this.#c << 3)) | 0;
    this.#c = (this.#c << 21) | (this.#c >>> 11);
    this.#c = (this.#c + t) | 0;
    return t >>> 0;
  }

  /** A number in [0, 1). */
  uniform(): number {
    return this.uint32() / 0x1_0000_0000;
  }

  /** A number in [low, high). */
  between(low: number, high: number): number {
    return low + (high - low) * this.uniform();
  }

  /** An integer in [0, count). */
  integer(count: number): number {
    return Math.floor(this.uniform() * count);
  }

  /** A standard normal number (Box–Muller; one of the pair is dropped so that the state stays four words). */
  normal(): number {
    const radius = Math.sqrt(-2 * Math.log(1 - this.uniform()));
    return radius * Math.cos(2 * Math.PI * this.uniform());
  }

  /** One of `items`, which must not be empty. */
  pick<T>(items: readonly T[]): T {
    return items[this.integer(items.length)] as T;
  }

  /** A new array in random order (Fisher–Yates). */
  shuffled<T>(items: readonly T[]): T[] {
    const result = [...items];
    for (let i = result.length - 1; i > 0; i--) {
      const j = this.integer(i + 1);
      [result[i], result[j]] = [result[j] as T, result[i] as T];
    }
    return result;
  }
}
