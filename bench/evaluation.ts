/**
 * Retrieval metrics beside the bare matrix products that they need, both by onnxruntime and with as many threads, in turns:
 * Recall@1000 and all else of 60,000 × 60,000 at 512 dimensions, with 5 pictures an item, and with `--levels 3` also looks
 * of 60 pictures and 12 kinds. A slice of the queries is measured; the time for all is extrapolated.
 * Run: `npx tsx bench/evaluation.ts [--rows 60000] [--dimension 512] [--queries 2048] [--levels 1] [--threads 2] [--turns 3]`
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import { evaluateRetrieval, type Role } from '../src/evaluation/index.js';
import { runtimeProducts } from '../src/evaluation/products.js';
import { Random } from '../src/util/index.js';

const { values } = parseArgs({
  options: {
    rows: { type: 'string', default: '60000' },
    dimension: { type: 'string', default: '512' },
    queries: { type: 'string', default: '2048' },
    levels: { type: 'string', default: '1' },
    threads: { type: 'string', default: String(availableParallelism()) },
    turns: { type: 'string', default: '3' },
  },
});
const [rows, dimension, asking, levelCount, threads, turns] = [
  values.rows,
  values.dimension,
  values.queries,
  values.levels,
  values.threads,
  values.turns,
].map(Number) as [number, number, number, number, number, number];
const queries = Math.min(rows, asking);
const BLOCK = 256;
/** Queries by which what beginning costs is told from what a query costs. */
const FEW = 256;
/** Of a picture within its item: enough that not all are found. */
const NOISE = 2.5;

const embeddings = new Float32Array(rows * dimension);
{
  // Windows of one long list of numbers: as good as new ones for a bench, and ready in a moment.
  const random = Random.from(1);
  const normals = Float32Array.from({ length: 2 ** 20 }, () => random.normal());
  const place = (stream: number, index: number) =>
    Random.from(stream, index).integer(normals.length - dimension);
  for (let row = 0; row < rows; row++) {
    const look = Math.floor(row / 60);
    const [own, item] = [place(2, row), place(3, Math.floor(row / 5))];
    const [ofLook, kind] = [place(4, look), place(5, look % 12)];
    let squares = 0;
    for (let d = 0; d < dimension; d++) {
      const value =
        0.3 * normals[kind + d]! +
        0.5 * normals[ofLook + d]! +
        normals[item + d]! +
        NOISE * normals[own + d]!;
      embeddings[row * dimension + d] = value;
      squares += value * value;
    }
    for (let d = 0; d < dimension; d++) embeddings[row * dimension + d]! /= Math.sqrt(squares);
  }
}
const label = (of: (row: number) => number) => Int32Array.from({ length: rows }, (_, row) => of(row));
const levels = Object.fromEntries(
  Object.entries({
    item_id: label((row) => Math.floor(row / 5)),
    look: label((row) => Math.floor(row / 60)),
    category: label((row) => Math.floor(row / 60) % 12),
  }).slice(0, levelCount),
);
const products = await runtimeProducts(threads);
const few = Math.min(queries >> 1, FEW);
const runs: { products: Times; metrics: Times; start: Times }[] = [];
for (let turn = 0; turn < turns; turn++) {
  const start = await timed(() => judge(few));
  const bare = await timed(async () => {
    for (let first = 0; first < queries; first += BLOCK) {
      const end = Math.min(queries, first + BLOCK);
      await products.block(embeddings.subarray(first * dimension, end * dimension), embeddings, dimension);
    }
  });
  const full = await timed(() => judge(queries, turn === 0));
  runs.push({ products: bare, metrics: full, start });
  console.log(
    `turn ${turn + 1}: products ${describe(bare)}; metrics ${describe(full)}, of ${few} queries ${describe(start)}`,
  );
}
await products.close();

/** Of all rows: what beginning costs is paid once. */
const whole = (of: 'seconds' | 'cpu') =>
  runs.map((run) => {
    const each = (run.metrics[of] - run.start[of]) / (queries - few);
    return {
      products: (rows * run.products[of]) / queries,
      metrics: run.start[of] + each * (rows - few),
    };
  });
for (const of of ['seconds', 'cpu'] as const) {
  const all = whole(of);
  console.log(
    `all ${rows} × ${rows} × ${dimension}, ${levelCount} levels, ${threads} threads, ${of === 'cpu' ? 'CPU time' : 'time'}: products ` +
      `${median(all.map((run) => run.products)).toFixed(0)} s, metrics ${median(all.map((run) => run.metrics)).toFixed(0)} s, ` +
      `ratio ${median(all.map((run) => run.metrics / run.products)).toFixed(2)}`,
  );
}
console.log(`peak memory ${Math.round(process.resourceUsage().maxRSS / 1024)} MB`);

async function judge(count: number, isShown = false): Promise<void> {
  const step = Math.floor(rows / count); // queries from all over, so that no item asks more often than others
  const roles = Array.from(
    { length: rows },
    (_, row): Role => (row % step === 0 && row / step < count ? 'both' : 'gallery'),
  );
  const recallAt = [1, 10, 100, 1000];
  const result = await evaluateRetrieval({ embeddings, dimension, levels, roles, recallAt, threads });
  if (isShown) console.log(JSON.stringify(result.levels));
}

interface Times {
  seconds: number;
  cpu: number;
}

async function timed(work: () => Promise<void>): Promise<Times> {
  const start = performance.now();
  const cpu = process.cpuUsage();
  await work();
  const used = process.cpuUsage(cpu);
  return { seconds: (performance.now() - start) / 1000, cpu: (used.user + used.system) / 1e6 };
}

function describe({ seconds, cpu }: Times): string {
  return `${seconds.toFixed(2)} s (CPU ${cpu.toFixed(2)} s)`;
}
