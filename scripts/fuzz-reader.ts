/**
 * Reads damaged ONNX files: none may crash, take two seconds, or a gigabyte of memory.
 *
 *     npx tsx scripts/fuzz-reader.ts [FILES] [SEED]
 *
 * Defaults: 10,000 files, seed 0. Prints each failure with its seed; exit code 1 if there is any.
 */

import { Random } from '../src/util/index.js';
import { attempt, mutate, seedModels } from '../test/support/mutated-models.js';

const files = Number(process.argv[2] ?? 10_000);
const seed = Number(process.argv[3] ?? 0);
const models = seedModels();
const counts = { read: 0, refused: 0, crashed: 0 };
let slowest = 0;
let largest = 0;
let failures = 0;
for (let i = 0; i < files; i++) {
  const draw = Random.from(seed, i);
  const model = models[i % models.length] as Uint8Array;
  const { kind, message, milliseconds } = attempt(mutate(model, models, draw));
  counts[kind]++;
  slowest = Math.max(slowest, milliseconds);
  largest = Math.max(largest, process.memoryUsage.rss());
  if (kind === 'crashed' || milliseconds > 2000) {
    failures++;
    console.log(`file ${i} (seed ${seed}): ${kind} after ${milliseconds.toFixed(0)} ms: ${message}`);
  }
}
const memory = Math.round(largest / 2 ** 20);
console.log(
  `${files} files: ${counts.read} read, ${counts.refused} refused, ${counts.crashed} crashed; slowest ${slowest.toFixed(0)} ms, memory ${memory} MB`,
);
process.exitCode = failures > 0 || memory > 1024 ? 1 : 0;
