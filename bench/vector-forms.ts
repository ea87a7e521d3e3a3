/**
 * What smaller forms of stored vectors lose: recall@10 and @50 against exact search in float32, by the bytes a vector
 * takes in memory. `binary` keeps the sign of each number less its mean; re-ranked, its best candidates are scored again
 * in float32, which may lie on disk.
 * Run: `npx tsx bench/vector-forms.ts [E.npy | catalogue …] [--pictures 20000] [--queries 200]`, E.npy from `semblance
 * embed`. Without either the vectors are made (`bench/stored-vectors.ts`).
 */
import { basename } from 'node:path';
import { parseArgs } from 'node:util';
import { openCatalog } from '../src/catalog/index.js';
import { float16ToFloat32, float32ToFloat16, Random, readNpy } from '../src/util/index.js';
import { BENCH_LAYOUT, benchRecords } from './stored-vectors.js';

const DEPTHS = [10, 50] as const;
const DEEPEST = 50;
/** Candidates of the binary form that are scored again, for each wanted hit. */
const FACTORS = [2, 5, 10, 20] as const;

interface Vectors {
  readonly name: string;
  /** [N, D], rows of unit length. */
  readonly data: Float32Array;
  readonly size: number;
}

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pictures: { type: 'string', default: '20000' },
    queries: { type: 'string', default: '200' },
  },
});
const sets = positionals.length === 0 ? [madeVectors(Number(values.pictures))] : [];
for (const file of positionals) sets.push(await vectorsOf(file));
for (const set of sets) measure(set, Number(values.queries));

function measure({ name, data, size }: Vectors, queryCount: number): void {
  const count = data.length / size;
  const random = Random.from(0, 7);
  const queries = random.shuffled(Array.from({ length: count }, (_, row) => row)).slice(0, queryCount);
  const half = float16ToFloat32(float32ToFloat16(data));
  const bytes = eightBit(data, size);
  const signs = signBits(data, size);
  const words = Math.ceil(size / 32);
  const forms = new Map<string, { bytes: number; found: number[] }>();
  /** @param got the hits for each of `DEPTHS`. */
  const add = (
    form: string,
    bytesEach: number,
    exact: readonly number[],
    got: readonly (readonly number[])[],
  ) => {
    const entry = forms.get(form) ?? { bytes: bytesEach, found: DEPTHS.map(() => 0) };
    forms.set(form, entry);
    DEPTHS.forEach((depth, n) => {
      const truth = new Set(exact.slice(0, depth));
      entry.found[n]! += (got[n] as readonly number[]).filter((row) => truth.has(row)).length / depth;
    });
  };
  const atDepths = (rows: readonly number[]) => DEPTHS.map((depth) => rows.slice(0, depth));
  for (const query of queries) {
    const asked = data.subarray(query * size, (query + 1) * size);
    const bestOf = (rows: Float32Array) =>
      best(
        Float64Array.from({ length: count }, (_, row) => dot(asked, rows, row * size)),
        query,
        DEEPEST,
      );
    const exact = bestOf(data);
    add('float32', 4 * size, exact, atDepths(exact));
    add('float16', 2 * size, exact, atDepths(bestOf(half)));
    add('int8', size + 4, exact, atDepths(bestOf(bytes)));
    const nearness = Float64Array.from(
      { length: count },
      (_, row) => -hammingDistance(signs, query * words, row * words, words),
    );
    const candidates = best(nearness, query, DEEPEST * Math.max(...FACTORS));
    add('binary', 4 * words, exact, atDepths(candidates));
    for (const factor of FACTORS) {
      // Each depth has candidates of its own, as a search for so many hits would.
      const got = DEPTHS.map((depth) =>
        candidates
          .slice(0, factor * depth)
          .sort((a, b) => dot(asked, data, b * size) - dot(asked, data, a * size))
          .slice(0, depth),
      );
      add(`binary, ${factor}k re-ranked`, 4 * words, exact, got);
    }
  }
  console.log(`\n${name}: ${count} vectors of ${size} numbers, ${queries.length} of them ask`);
  console.log('| form | bytes | recall@10 | recall@50 |\n|---|---|---|---|');
  for (const [form, { bytes: each, found }] of forms)
    console.log(
      `| ${form} | ${each} | ${found.map((sum) => (sum / queries.length).toFixed(4)).join(' | ')} |`,
    );
}

function madeVectors(count: number): Vectors {
  const { size } = BENCH_LAYOUT;
  const data = new Float32Array(count * size);
  benchRecords(0, count).forEach(({ vector }, row) => {
    data.set(normalised(vector), row * size);
  });
  return { name: 'made', data, size };
}

async function vectorsOf(file: string): Promise<Vectors> {
  if (!file.endsWith('.npy')) return await catalogVectors(file);
  const { shape, dataType, data } = await readNpy(file);
  const [, size] = shape;
  if (dataType !== 'float32' || size === undefined || shape.length !== 2)
    throw new Error(`${file}: float32 [N, D] is required, got ${dataType} [${shape.join(', ')}]`);
  const rows = Float32Array.from(data);
  for (let start = 0; start < rows.length; start += size)
    rows.set(normalised(rows.subarray(start, start + size)), start);
  return { name: basename(file), data: rows, size };
}

async function catalogVectors(folder: string): Promise<Vectors> {
  const catalog = await openCatalog(folder);
  const rows: Float32Array[] = [];
  for await (const records of catalog.store.scan({ columns: [] }))
    for (const { vector } of records) rows.push(normalised(vector));
  await catalog.close();
  const { size } = catalog.layout;
  const data = new Float32Array(rows.length * size);
  rows.forEach((row, n) => {
    data.set(row, n * size);
  });
  return { name: `${basename(folder)} (stored vectors)`, data, size };
}

function normalised(vector: Float32Array): Float32Array {
  const norm = Math.sqrt(dot(vector, vector, 0));
  return vector.map((x) => x / norm);
}

/** Each row in steps of its largest number / 127, as it reads back. */
function eightBit(data: Float32Array, size: number): Float32Array {
  const rounded = new Float32Array(data.length);
  for (let start = 0; start < data.length; start += size) {
    const row = data.subarray(start, start + size);
    const step = row.reduce((most, x) => Math.max(most, Math.abs(x)), 0) / 127;
    rounded.set(
      row.map((x) => Math.round(x / step) * step),
      start,
    );
  }
  return rounded;
}

function signBits(data: Float32Array, size: number): Uint32Array {
  const count = data.length / size;
  const means = new Float64Array(size);
  for (let i = 0; i < data.length; i++) means[i % size]! += (data[i] as number) / count;
  const words = Math.ceil(size / 32);
  const bits = new Uint32Array(count * words);
  for (let row = 0; row < count; row++)
    for (let i = 0; i < size; i++)
      if ((data[row * size + i] as number) > (means[i] as number))
        bits[row * words + (i >> 5)]! |= 1 << (i & 31);
  return bits;
}

function hammingDistance(bits: Uint32Array, a: number, b: number, words: number): number {
  let distance = 0;
  for (let word = 0; word < words; word++) {
    let x = (bits[a + word] as number) ^ (bits[b + word] as number);
    x -= (x >>> 1) & 0x55555555;
    x = (x & 0x33333333) + ((x >>> 2) & 0x33333333);
    distance += Math.imul((x + (x >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
  }
  return distance;
}

function dot(a: Float32Array, rows: Float32Array, offset: number): number {
  let sum = 0;
  for (let i = 0; i < a.length; i++) sum += (a[i] as number) * (rows[offset + i] as number);
  return sum;
}

/** The rows of the largest scores, without `self`; equal scores by row. */
function best(scores: Float64Array, self: number, depth: number): number[] {
  const rows = Array.from(scores.keys()).filter((row) => row !== self);
  return rows.sort((a, b) => (scores[b] as number) - (scores[a] as number) || a - b).slice(0, depth);
}
