/**
 * The store's search beside the store's own bare query (LanceDB's flat scan, ids and distances only), which is exact: in
 * turns, without a filter and with filters, at γ 0, ½ and 1.
 * Run: `npx tsx bench/search.ts [--pictures 100000] [--queries 200] [--k 50] [--folder <kept store>] [--bare-queries 5]`
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { connect } from '@lancedb/lancedb';
import type { Filter } from '../src/catalog/filter.js';
import { filterSql } from '../src/catalog/stores/lance-sql.js';
import { openLanceStore } from '../src/catalog/stores/lancedb.js';
import { queryVector, weightsAt } from '../src/granularity/index.js';
import {
  BENCH_COLUMNS,
  BENCH_LAYOUT,
  BENCH_LEVEL_WEIGHTS,
  BENCH_NUMERIC,
  benchRecords,
} from './stored-vectors.js';
import { milliseconds, quantileText } from './support/times.js';

const { values } = parseArgs({
  options: {
    pictures: { type: 'string', default: '100000' },
    queries: { type: 'string', default: '200' },
    k: { type: 'string', default: '50' },
    folder: { type: 'string' },
    'bare-queries': { type: 'string', default: '5' },
  },
});
const [pictures, queryCount, k, bareQueries] = [
  values.pictures,
  values.queries,
  values.k,
  values['bare-queries'],
].map(Number) as [number, number, number, number];

const FILTERS: readonly { name: string; filter: Filter }[] = [
  { name: 'none', filter: [] },
  { name: '10 %', filter: [{ column: 'tenth', anyOf: ['3'] }] },
  { name: '1 %', filter: [{ column: 'hundredth', anyOf: ['3'] }] },
  { name: 'subgroup (1.4 %)', filter: [{ column: 'subgroup', anyOf: ['subgroup-5'] }] },
  { name: 'price 10..20', filter: [{ column: 'price', from: 10, to: 20 }] },
  { name: 'not 1 %', filter: [{ column: 'hundredth', noneOf: ['3'] }] },
];
const GRANULARITIES = [0, 0.5, 1];
const CHUNK = 10_000;

const directory = values.folder ?? (await mkdtemp(join(tmpdir(), 'semblance-bench-search-')));
const shape = { dimension: BENCH_LAYOUT.size, columns: BENCH_COLUMNS, numericColumns: BENCH_NUMERIC };
const store = await openLanceStore(directory, shape, { memoryLimit: Number.POSITIVE_INFINITY });
await fill();
const table = await (await connect(directory)).openTable('pictures');
const loading = await milliseconds(() => store.warm());
console.log(
  `${pictures} pictures × ${BENCH_LAYOUT.size}, k = ${k}: into memory in ${(loading.ms / 1000).toFixed(1)} s, ` +
    `${(process.memoryUsage().rss / 2 ** 20).toFixed(0)} MB resident`,
);

const queries = benchRecords(pictures, pictures + queryCount);
console.log('| filter | γ | search p50 | p99 | in turns: search | bare query | recall |');
console.log('|---|---|---|---|---|---|---|');
for (const { name, filter } of FILTERS)
  for (const granularity of GRANULARITIES) {
    const asked = queries.map(({ vector }) =>
      queryVector(BENCH_LAYOUT, vector, weightsAt(BENCH_LEVEL_WEIGHTS, granularity)),
    );
    const beside = { search: [] as number[], bare: [] as number[] };
    let [found, wanted] = [0, 0];
    for (const query of asked.slice(0, bareQueries)) {
      const hits = await milliseconds(() => store.search(query, { k, filter }));
      const bare = await milliseconds(() => bareQuery(query, filter));
      beside.search.push(hits.ms);
      beside.bare.push(bare.ms);
      const ids = new Set(hits.result.map(({ record }) => record.id));
      wanted += bare.result.length;
      found += bare.result.filter((id) => ids.has(id)).length;
    }
    // By themselves: a scan leaves the caches to others and garbage behind it.
    const alone: number[] = [];
    for (const query of asked) alone.push((await milliseconds(() => store.search(query, { k, filter }))).ms);
    const cells = [
      name,
      granularity,
      quantileText(alone, 0.5),
      quantileText(alone, 0.99),
      quantileText(beside.search, 0.5),
      quantileText(beside.bare, 0.5),
      (found / wanted).toFixed(4),
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
for (const columns of [['subgroup', 'group', 'tags'], ['item_id']]) {
  const first = await milliseconds(() => store.facets(columns));
  const filtered = await milliseconds(() => store.facets(columns, FILTERS[1]?.filter));
  console.log(
    `facets of ${columns.join(', ')}: ${first.ms.toFixed(1)} ms; of 10 %: ${filtered.ms.toFixed(1)} ms`,
  );
}
{
  const asked = queries.slice(0, 32).map(({ vector }) => vector);
  const together = await milliseconds(() => Promise.all(asked.map((vector) => store.search(vector, { k }))));
  console.log(`${asked.length} searches at once: ${(together.ms / asked.length).toFixed(1)} ms each`);
  const [record] = benchRecords(pictures + queryCount, pictures + queryCount + 1);
  const written = await milliseconds(() => store.upsert(record === undefined ? [] : [record]));
  const after = await milliseconds(() => store.search(asked[0] as Float32Array, { k }));
  console.log(
    `an upsert of one: ${written.ms.toFixed(0)} ms; the first search after it: ${after.ms.toFixed(0)} ms`,
  );
  await store.delete(record === undefined ? [] : [record.id]);
}
table.close();
await store.close();
if (values.folder === undefined) await rm(directory, { recursive: true, force: true });

async function fill(): Promise<void> {
  for (let start = await store.count(); start < pictures; start += CHUNK)
    await store.upsert(benchRecords(start, Math.min(start + CHUNK, pictures)));
}

async function bareQuery(query: Float32Array, filter: Filter): Promise<string[]> {
  const bare = table.query().nearestTo(query).distanceType('dot').bypassVectorIndex().limit(k);
  const sql = filterSql(filter);
  if (sql !== undefined) bare.where(sql);
  const arrow = await bare.select(['id', '_distance']).toArrow();
  return Array.from(arrow.getChild('id') ?? [], String);
}
