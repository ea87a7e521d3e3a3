/** Kind `cache`: features that are appended to the cache on disk, in batches, flushed now and then. */
import { openFeatureCache } from '../../src/data/index.js';
import { sha256 } from '../../src/util/index.js';
import { unfinishedFiles } from './litter.js';
import type { Workload } from './workload.js';

const LENGTH = 5000;

export function cacheWorkload(): Workload {
  const known = new Set<number>();
  const openAt = (root: string) =>
    openFeatureCache({ root, prefix: 'chaos', transform: 'none', shape: [LENGTH] });
  return {
    kind: 'cache',
    what: 'appending to the cache of features',
    writes: 8,
    prepare: async () => {},
    async work(folder, random, teller) {
      teller.opening();
      const cache = await openAt(folder);
      for (;;) {
        const numbers = Array.from({ length: 1 + random.integer(16) }, () => random.integer(1 << 30));
        const values = new Float32Array(numbers.length * LENGTH);
        for (const [i, number] of numbers.entries()) values.set(featuresOf(number), i * LENGTH);
        await teller.write(numbers, () => cache.append(numbers.map(keyOf), values));
        if (random.uniform() < 0.2) await cache.flush();
      }
    },
    async check(folder, told) {
      const violations: string[] = [];
      for (const { intent, isDone } of told)
        if (isDone) for (const number of intent as number[]) known.add(number);
      const underWay = told.filter(({ isDone }) => !isDone).flatMap(({ intent }) => intent as number[]);
      const cache = await openAt(folder);
      try {
        const read = async (numbers: readonly number[]) => {
          const { values, missing } = await cache.read(numbers.map(keyOf));
          const isMissing = new Set(missing);
          numbers.forEach((number, i) => {
            const part = values.subarray(i * LENGTH, (i + 1) * LENGTH);
            if (!isMissing.has(i) && featuresOf(number).some((x, k) => x !== part[k]))
              violations.push(`record ${number} holds something else`);
          });
          return missing.map((i) => numbers[i]!);
        };
        // The last ones of this round and some of all earlier ones: reading all each time would take too long.
        const recent = [...known].slice(-400);
        const earlier = [...known].filter((_, i) => (i + told.length) % 16 === 0).slice(0, 400);
        for (const number of [...(await read(recent)), ...(await read(earlier))])
          violations.push(`record ${number} was acknowledged and is gone`);
        const lost = [...known].filter((number) => !cache.has(keyOf(number)));
        if (lost.length > 0) violations.push(`${lost.length} acknowledged records are gone`);
        const gone = new Set(await read(underWay));
        for (const number of underWay) if (!gone.has(number)) known.add(number);
      } finally {
        await cache.close();
      }
      return violations;
    },
    litter: unfinishedFiles,
  };
}

// --- internal ---

const keyOf = (number: number) => sha256(String(number));

function featuresOf(number: number): Float32Array {
  return Float32Array.from({ length: LENGTH }, (_, i) => Math.fround(number / 7 + i));
}
