import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { DataError } from '../util/index.js';
import { createSampler, type SamplerOptions } from './sampler.js';

/** Item of each row, with 1 to 5 pictures an item, in mixed order. */
const pictures = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 4, maxLength: 30 }).chain((counts) =>
  fc.shuffledSubarray(
    counts.flatMap((count, item) => Array<number>(count).fill(item)),
    { minLength: counts.reduce((a, b) => a + b, 0) },
  ),
);

describe('createSampler', () => {
  it('gives P items and K pictures of each, each item once', () => {
    fc.assert(
      fc.property(
        pictures,
        fc.nat(1000),
        fc.integer(),
        fc.constantFrom(0, 0.25, 0.5),
        (items, step, seed, share) => {
          const options = { itemsPerBatch: 4, picturesPerItem: 3, seed };
          const sampler = createSampler(items, {
            ...options,
            lookAlikeFraction: share,
            groupOf: (item) => `${item % 3}`,
          });
          const { rows, views } = sampler.batch(step);
          expect(rows.length).toBe(12);
          const seen = new Set<number>();
          for (let at = 0; at < 12; at += 3) {
            const chosen = [...rows.subarray(at, at + 3)];
            const item = items[chosen[0]!]!;
            expect(chosen.every((row) => items[row] === item)).toBe(true);
            expect(seen.has(item)).toBe(false);
            seen.add(item);
            const available = items.filter((other) => other === item).length;
            expect(new Set(chosen).size).toBe(Math.min(3, available));
            const pairs = chosen.map((row, k) => `${row}/${views[at + k]}`);
            expect(new Set(pairs).size).toBe(3);
          }
        },
      ),
      { numRuns: 200 },
    );
  });

  it('is a function of seed and step, whatever was asked before', () => {
    fc.assert(
      fc.property(pictures, fc.array(fc.nat(500), { minLength: 1, maxLength: 6 }), (items, steps) => {
        const options: SamplerOptions = { itemsPerBatch: 4, picturesPerItem: 2, seed: 5 };
        const used = createSampler(items, options);
        for (const step of steps) {
          expect(used.batch(step)).toEqual(createSampler(items, options).batch(step));
        }
      }),
    );
    const items = Array.from({ length: 200 }, (_, row) => row >> 1);
    const first = (seed: number) => [
      ...createSampler(items, { itemsPerBatch: 8, picturesPerItem: 2, seed }).batch(0).rows,
    ];
    expect(first(1)).not.toEqual(first(2));
  });

  it('visits every item once an epoch', () => {
    const items = Array.from({ length: 60 }, (_, row) => row >> 1); // 30 items
    const sampler = createSampler(items, { itemsPerBatch: 5, picturesPerItem: 2, seed: 3 });
    expect(sampler.stepsPerEpoch).toBe(6);
    for (const epoch of [0, 1, 7]) {
      const visited = new Set<number>();
      for (let step = epoch * 6; step < epoch * 6 + 6; step++) {
        for (const row of sampler.batch(step).rows) visited.add(items[row]!);
      }
      expect(visited.size).toBe(30);
    }
  });

  it('has pairs behind the items, each in turn; rows without an item come in pairs alone', () => {
    const items = [...Array.from({ length: 12 }, (_, row) => row >> 1), -1, -1];
    const rows = [
      [0, 12],
      [3, 5],
      [12, 13],
      [7, 1],
    ] as const;
    const options = { itemsPerBatch: 4, picturesPerItem: 3, seed: 5 };
    const sampler = createSampler(items, { ...options, pairs: { count: 2, rows } });
    const without = createSampler(items.slice(0, 12), options);
    expect(sampler.batchSize).toBe(16);
    const seen: string[] = [];
    for (let step = 0; step < 6; step++) {
      const batch = sampler.batch(step);
      expect(batch.rows.subarray(0, 12)).toEqual(without.batch(step).rows);
      const pairs = [12, 14].map((at) => [...batch.rows.subarray(at, at + 2)].join());
      seen.push(...pairs);
      batch.rows.forEach((row, at) => {
        expect(batch.views[at]).toBe(batch.rows.subarray(0, at).filter((other) => other === row).length);
      });
    }
    // Three epochs of all four, in another order each.
    const epochs = [0, 4, 8].map((start) => seen.slice(start, start + 4));
    for (const epoch of epochs) expect(epoch.toSorted()).toEqual(rows.map((pair) => pair.join()).sort());
    expect(new Set(epochs.map((epoch) => epoch.join(' '))).size).toBeGreaterThan(1);
    expect(() => createSampler(items, { ...options, pairs: { count: 1, rows: [] } })).toThrow(
      'no picture pair that was judged can be read',
    );
  });

  it('takes siblings of the batch’s own items where it is asked to', () => {
    const items = Array.from({ length: 400 }, (_, row) => row >> 1); // 200 items in 50 groups of 4
    const groupOf = (item: number) => `${item >> 2}`;
    const countPairs = (lookAlikeFraction: number) => {
      const sampler = createSampler(items, {
        itemsPerBatch: 8,
        picturesPerItem: 2,
        lookAlikeFraction,
        groupOf,
        seed: 1,
      });
      let siblings = 0;
      for (let step = 0; step < 50; step++) {
        const { rows } = sampler.batch(step);
        const groups = [...rows].filter((_, at) => at % 2 === 0).map((row) => groupOf(items[row]!));
        siblings += groups.length - new Set(groups).size;
      }
      return siblings / 50;
    };
    expect(countPairs(0)).toBeLessThan(1);
    expect(countPairs(0.5)).toBeGreaterThanOrEqual(4);
  });

  it('prefers different sources', () => {
    const items = [0, 0, 0, 0, 1, 1, 1, 1];
    const sources = ['a', 'a', 'a', 'b', 'a', 'b', 'b', 'b'];
    const sampler = createSampler(items, {
      itemsPerBatch: 2,
      picturesPerItem: 2,
      sourceOf: (row) => sources[row],
      seed: 1,
    });
    for (let step = 0; step < 20; step++) {
      const { rows } = sampler.batch(step);
      expect(sources[rows[0]!]).not.toBe(sources[rows[1]!]);
      expect(sources[rows[2]!]).not.toBe(sources[rows[3]!]);
    }
  });

  it('refuses what cannot be done', () => {
    const make = (changes: Partial<SamplerOptions>) => () =>
      createSampler([0, 0, 1, 1], { itemsPerBatch: 2, picturesPerItem: 2, seed: 0, ...changes });
    expect(make({ itemsPerBatch: 3 })).toThrow(DataError);
    expect(make({ itemsPerBatch: 3 })).toThrow(
      'at most the number of items with a readable picture, 2, got 3',
    );
    expect(make({ picturesPerItem: 0 })).toThrow('picturesPerItem');
    expect(make({ lookAlikeFraction: 1 })).toThrow('lookAlikeFraction');
    expect(() => make({})().batch(-1)).toThrow('step');
  });
});
