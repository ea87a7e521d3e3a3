/**
 * Time and memory of retrieval metrics, by default at the size of Stanford Online Products' test set (60,000 × 60,000,
 * 128 numbers, 5 pictures an item, 12 kinds) with the plain loop.
 * Run: `npx tsx bench/evaluation.ts [rows=60000] [dimension=128] [queries=rows]`; with fewer queries the time for all
 * is extrapolated.
 */
import { evaluateRetrieval } from '../src/evaluation/index.js';
import { Random, streamProgress } from '../src/util/index.js';

const [rows = 60_000, dimension = 128, asking] = process.argv.slice(2).map(Number);
const queries = Math.min(rows, asking ?? rows);
const random = Random.from(1);
const embeddings = new Float32Array(rows * dimension);
for (let row = 0; row < rows; row++) {
  const item = Random.from(2, Math.floor(row / 5));
  let squares = 0;
  for (let d = 0; d < dimension; d++) {
    const value = item.normal() + 1.2 * random.normal();
    embeddings[row * dimension + d] = value;
    squares += value * value;
  }
  for (let d = 0; d < dimension; d++) embeddings[row * dimension + d]! /= Math.sqrt(squares);
}
const items = Int32Array.from({ length: rows }, (_, row) => Math.floor(row / 5));

const start = performance.now();
const result = await evaluateRetrieval({
  embeddings,
  dimension,
  levels: { item_id: items, group: items.map((item) => item % 12) },
  roles: Array.from({ length: rows }, (_, row) => (row < queries ? 'both' : 'gallery')),
  recallAt: [1, 10, 100, 1000],
  progress: streamProgress(),
});
const seconds = (performance.now() - start) / 1000;
const peakMemoryMb = Math.round(process.resourceUsage().maxRSS / 1024);
console.log(JSON.stringify(result.levels, null, 2));
console.log(
  `${queries} queries × ${rows} gallery × ${dimension}: ${seconds.toFixed(1)} s` +
    (queries < rows ? ` (all ${rows}: about ${((seconds * rows) / queries).toFixed(0)} s)` : '') +
    `, peak memory ${peakMemoryMb} MB`,
);
