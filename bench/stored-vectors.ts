/**
 * Stored vectors with the structure of real ones, of any number, for benches: 512 numbers, of which 320 are an embedding
 * whose spectrum falls as that of a trained network does (measured on the demo's: eigenvalues 0.05, 0.003 at 50, 0.0005
 * at 100), the rest attributes and levels as a classifier that errs in three of ten would give them. Pictures are of
 * items (five each), items of 72 subgroups, those of 8 groups.
 */
import type { StoredRecord } from '../src/catalog/store.js';
import {
  attributeBlocks,
  attributeCount,
  defaultLevelWeights,
  type Schema,
  storedVectors,
  type VectorLayout,
  vectorLayout,
} from '../src/granularity/index.js';
import { Random } from '../src/util/index.js';

const EMBEDDING = 320;
const GROUPS = 8;
const SUBGROUPS = 72;
const TAGS = 32;

export const BENCH_SCHEMA: Schema = {
  attributes: [
    { name: 'subgroup', kind: 'single', values: names('subgroup', SUBGROUPS) },
    { name: 'group', kind: 'single', values: names('group', GROUPS) },
    { name: 'tags', kind: 'multi', values: names('tag', TAGS) },
  ],
  levels: ['item_id', 'subgroup', 'group'],
};
export const BENCH_LAYOUT: VectorLayout = vectorLayout(BENCH_SCHEMA, EMBEDDING);
export const BENCH_LEVEL_WEIGHTS = defaultLevelWeights(BENCH_SCHEMA, BENCH_LAYOUT);
export const BENCH_COLUMNS = [
  'path',
  'item_id',
  'subgroup',
  'group',
  'tags',
  'hundredth',
  'tenth',
  'price',
] as const;
export const BENCH_NUMERIC = ['price'] as const;

/** Makes pictures `start` to `end`; the same whatever the bounds. `hundredth` and `tenth` have nothing to do with looks. */
export function benchRecords(start: number, end: number, seed = 1): StoredRecord[] {
  const width = attributeCount(BENCH_SCHEMA);
  const count = end - start;
  const embeddings = new Float32Array(count * EMBEDDING);
  const attributes = new Float32Array(count * width);
  const blocks = attributeBlocks(BENCH_SCHEMA);
  const fields: Record<string, readonly string[]>[] = [];
  for (let n = 0; n < count; n++) {
    const id = start + n;
    const random = Random.from(seed, 1, id);
    const item = Math.floor(id / 5);
    const ofItem = Random.from(seed, 2, item);
    const subgroup = ofItem.integer(SUBGROUPS);
    const group = subgroup % GROUPS;
    const tags = [ofItem.integer(TAGS), ofItem.integer(TAGS)];
    const own = embeddings.subarray(n * EMBEDDING, (n + 1) * EMBEDDING);
    for (const [scale, source] of [
      [0.6, Random.from(seed, 3, group)],
      [0.8, Random.from(seed, 4, subgroup)],
      [1, ofItem],
      [0.7, random],
    ] as const)
      for (let i = 0; i < EMBEDDING; i++) own[i]! += scale * (SPECTRUM[i] as number) * source.normal();
    for (const mirror of MIRRORS) reflect(own, mirror);
    const guess = (truth: number, values: number) =>
      random.uniform() < 0.3 ? random.integer(values) : truth;
    const logits = attributes.subarray(n * width, (n + 1) * width);
    for (const { name, offset, size } of blocks) {
      const block = logits.subarray(offset, offset + size);
      if (name === 'tags') {
        for (let i = 0; i < size; i++) block[i] = sigmoid(random.normal() - (tags.includes(i) ? -2 : 4));
        continue;
      }
      const top = guess(name === 'group' ? group : subgroup, size);
      let sum = 0;
      for (let i = 0; i < size; i++) sum += block[i] = Math.exp(1.5 * random.normal() + (i === top ? 6 : 0));
      for (let i = 0; i < size; i++) block[i]! /= sum;
    }
    fields.push({
      path: [`/pictures/${id}.jpg`],
      item_id: [`item-${item}`],
      subgroup: [`subgroup-${subgroup}`],
      group: [`group-${group}`],
      tags: [...new Set(tags)].map((tag) => `tag-${tag}`),
      hundredth: [String(random.integer(100))],
      tenth: [String(random.integer(10))],
      price: [(random.uniform() * 100).toFixed(2)],
    });
  }
  const vectors = storedVectors(BENCH_SCHEMA, EMBEDDING, { embeddings, attributes });
  return fields.map((of, n) => ({
    id: `${start + n}.jpg`,
    vector: vectors.slice(n * BENCH_LAYOUT.size, (n + 1) * BENCH_LAYOUT.size),
    fields: of,
  }));
}

// --- internal ---

const SPECTRUM = Array.from({ length: EMBEDDING }, (_, i) => Math.exp(-i / 45) + 0.02);

/** Reflections turn the axes of the spectrum away from those of the vectors. */
const MIRRORS = Array.from({ length: 6 }, (_, n) => {
  const random = Random.from(99, n);
  const mirror = Float64Array.from({ length: EMBEDDING }, () => random.normal());
  const norm = Math.sqrt(mirror.reduce((sum, x) => sum + x * x, 0));
  return mirror.map((x) => x / norm);
});

function reflect(vector: Float32Array, mirror: Float64Array): void {
  let product = 0;
  for (let i = 0; i < vector.length; i++) product += vector[i]! * mirror[i]!;
  for (let i = 0; i < vector.length; i++) vector[i]! -= 2 * product * mirror[i]!;
}

function sigmoid(x: number): number {
  return 1 / (1 + Math.exp(-x));
}

function names(prefix: string, count: number): string[] {
  return Array.from({ length: count }, (_, n) => `${prefix}-${n}`);
}
