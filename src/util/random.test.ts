import { describe, expect, it } from 'vitest';
import { Random } from './index.js';

const draw = (random: Random, count = 20) => Array.from({ length: count }, () => random.uint32());

/** sfc32 as its author states it, one round at a time in BigInt arithmetic. */
function* sfc32(state: readonly number[]): Generator<number> {
  const mask = 0xffffffffn;
  let [a, b, c, counter] = state.map((word) => BigInt(word >>> 0)) as [bigint, bigint, bigint, bigint];
  for (;;) {
    const result = (a + b + counter) & mask;
    counter = (counter + 1n) & mask;
    a = b ^ (b >> 9n);
    b = (c + (c << 3n)) & mask;
    c = (((c << 21n) | (c >> 11n)) + result) & mask;
    yield Number(result);
  }
}

describe('Random', () => {
  it('is sfc32', () => {
    const random = Random.from(3, 1);
    const reference = sfc32(random.state());
    expect(draw(random, 200)).toEqual(Array.from({ length: 200 }, () => reference.next().value));
  });

  it('one seed, one stream; other seeds, orders and lengths, other streams', () => {
    const seeds = [[0], [1], [0, 0], [0, 1], [1, 0], [2 ** 32], [2 ** 40 + 1], [-1], []];
    expect(draw(Random.from(1, 2))).toEqual(draw(Random.from(1, 2)));
    expect(new Set(seeds.map((seed) => draw(Random.from(...seed)).join())).size).toBe(seeds.length);
  });

  it('goes on where its state was taken', () => {
    const random = Random.from(9);
    draw(random, 5);
    const state = JSON.parse(JSON.stringify(random.state())) as ReturnType<Random['state']>;
    expect(draw(Random.resume(state))).toEqual(draw(random));
  });

  it('numbers stay in their ranges and fill them evenly', () => {
    const random = Random.from(4);
    const counts = new Array<number>(10).fill(0);
    for (let i = 0; i < 20_000; i++) {
      const value = random.uniform();
      expect(value >= 0 && value < 1).toBe(true);
      counts[random.integer(10)]! += 1;
      const between = random.between(-2, 3);
      expect(between >= -2 && between < 3).toBe(true);
    }
    // Six standard deviations of a binomial.
    for (const count of counts)
      expect(Math.abs(count - 2000)).toBeLessThan(6 * Math.sqrt(20_000 * 0.1 * 0.9));
  });

  it('normal numbers have mean 0, variance 1 and no skew', () => {
    const random = Random.from(5);
    const values = Array.from({ length: 20_000 }, () => random.normal());
    const moment = (power: number) => values.reduce((sum, x) => sum + x ** power, 0) / values.length;
    expect(Math.abs(moment(1))).toBeLessThan(0.04);
    expect(Math.abs(moment(2) - 1)).toBeLessThan(0.06);
    expect(Math.abs(moment(3))).toBeLessThan(0.15);
    expect(Math.abs(moment(4) - 3)).toBeLessThan(0.4);
  });

  it('shuffled keeps all items and leaves the original alone; every place is reached', () => {
    const random = Random.from(6);
    const items = [1, 2, 3, 4];
    const firsts = new Set<number>();
    for (let i = 0; i < 60; i++) {
      const shuffled = random.shuffled(items);
      expect([...shuffled].sort()).toEqual(items);
      firsts.add(shuffled[0]!);
    }
    expect(items).toEqual([1, 2, 3, 4]);
    expect(firsts.size).toBe(4);
    expect(random.shuffled([])).toEqual([]);
    expect(items).toContain(random.pick(items));
  });
});
