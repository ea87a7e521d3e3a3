/**
 * The postgres store's search beside a bare SQL query through the same driver (same table, same order, same limit; ids,
 * fields and distances, once without and once with the vectors, which the store's records have), in turns, exact and by HNSW, without a filter and with filters; and what a record
 * takes on disk in single and half precision.
 * Run: `npx tsx bench/postgres.ts [--pictures 5000] [--queries 40] [--k 50] [--url postgres://user@host/database]`.
 * Without a URL the server is PGlite (PostgreSQL in WebAssembly, one connection at a time), in a process of its own.
 */
import { parseArgs } from 'node:util';
import { Pool } from 'pg';
import { median } from 'simple-statistics';
import type { Filter } from '../src/catalog/filter.js';
import { openPostgresStore } from '../src/catalog/stores/postgres.js';
import { filterCondition, vectorText } from '../src/catalog/stores/postgres-sql.js';
import { BENCH_COLUMNS, BENCH_LAYOUT, BENCH_NUMERIC, benchRecords } from './stored-vectors.js';
import { databaseAt } from './support/database.js';
import { milliseconds } from './support/times.js';

const { values } = parseArgs({
  options: {
    pictures: { type: 'string', default: '5000' },
    queries: { type: 'string', default: '40' },
    k: { type: 'string', default: '50' },
    url: { type: 'string' },
  },
});
const [pictures, queryCount, k] = [Number(values.pictures), Number(values.queries), Number(values.k)];
const FILTERS: readonly { name: string; filter: Filter }[] = [
  { name: 'none', filter: [] },
  { name: '10 %', filter: [{ column: 'tenth', anyOf: ['3'] }] },
  { name: '1 %', filter: [{ column: 'hundredth', anyOf: ['42'] }] },
];
const shape = { dimension: BENCH_LAYOUT.size, columns: BENCH_COLUMNS, numericColumns: BENCH_NUMERIC };

const server = await databaseAt(values.url);
const { url } = server;
const pool = new Pool({
  connectionString: url,
  max: 1,
  onConnect: async (client) => {
    await client.query("SET hnsw.ef_search = 100; SET hnsw.iterative_scan = 'relaxed_order'");
  },
});
const records = benchRecords(0, pictures);
const queries = benchRecords(pictures, pictures + queryCount).map(({ vector }) => vector);

for (const precision of ['single', 'half'] as const) {
  const name = `bench-${precision}`;
  const store = await openPostgresStore(url, name, shape, {
    precision,
    index: 'hnsw',
    indexFrom: 1,
    // PGlite knows no COPY over a socket.
    ...(values.url === undefined && { copyFrom: Number.POSITIVE_INFINITY }),
  });
  const filling = await milliseconds(() => store.upsert(records));
  const [row] = (
    await pool.query<{ number: number; columns: string[] }>(
      'SELECT * FROM semblance.stores WHERE name = $1',
      [name],
    )
  ).rows;
  const table = `semblance.records_${row?.number}`;
  const before = await bytesOf(table);
  await compare('exact', table, precision, true);
  const building = await milliseconds(() => store.flush());
  const after = await bytesOf(table);
  await compare('HNSW', table, precision, false);
  console.log(
    `\n${precision} precision, ${pictures} × ${shape.dimension}, bytes a record: ` +
      `table ${each(before.table)}, its other indexes ${each(before.indexes)}, HNSW ` +
      `${each(after.indexes - before.indexes)}; filled in ${seconds(filling.ms)}, index built in ${seconds(building.ms)}\n`,
  );
  await store.close();

  async function compare(kind: string, of: string, as: typeof precision, exact: boolean): Promise<void> {
    console.log(
      '| search | filter | store p50 ms | bare p50 ms | ratio | bare with vectors p50 ms | ratio | recall |\n|---|---|---|---|---|---|---|---|',
    );
    for (const { name: filterName, filter } of FILTERS) {
      const times = { store: [] as number[], bare: [] as number[], whole: [] as number[] };
      let found = 0;
      let wanted = 0;
      for (const query of queries) {
        const bare = await milliseconds(() => bareQuery(of, as, query, filter, exact));
        const whole = await milliseconds(() => bareQuery(of, as, query, filter, exact, true));
        times.whole.push(whole.ms);
        const own = await milliseconds(() => store.search(query, { k, filter, exact }));
        times.bare.push(bare.ms);
        times.store.push(own.ms);
        const truth = new Set(
          (await store.search(query, { k, filter, exact: true })).map(({ record }) => record.id),
        );
        wanted += truth.size;
        found += own.result.filter(({ record }) => truth.has(record.id)).length;
      }
      const [a, b, c] = [median(times.store), median(times.bare), median(times.whole)];
      const recall = (found / wanted).toFixed(4);
      console.log(
        `| ${kind} | ${filterName} | ${a.toFixed(1)} | ${b.toFixed(1)} | ${(a / b).toFixed(2)} | ` +
          `${c.toFixed(1)} | ${(a / c).toFixed(2)} | ${recall} |`,
      );
    }
  }
}
await pool.end();
server.stop();

async function bareQuery(
  table: string,
  precision: 'single' | 'half',
  query: Float32Array,
  filter: Filter,
  exact: boolean,
  withVectors = false,
): Promise<unknown[]> {
  const parameters: unknown[] = [vectorText(query)];
  const condition = filterCondition(filter, shape, parameters);
  const half = `halfvec(${shape.dimension})`;
  const type = precision === 'half' ? half : `vector(${shape.dimension})`;
  const column = precision === 'half' ? 'vector' : `(vector::${half})`;
  const distance = exact ? `(vector <#> $1::${type}) + 0` : `${column} <#> $1::${half}`;
  const fields = [...shape.columns.map((_, n) => `f${n}`), ...(withVectors ? ['vector'] : [])].join(', ');
  const { rows } = await pool.query(
    `SELECT id, ${fields}, ${distance} AS distance FROM ${table} WHERE ${condition} ORDER BY ${distance} LIMIT ${k}`,
    parameters,
  );
  return rows;
}

async function bytesOf(table: string): Promise<{ table: number; indexes: number }> {
  const { rows } = await pool.query<{ table: string; indexes: string }>(
    'SELECT pg_table_size($1::regclass) AS table, pg_indexes_size($1::regclass) AS indexes',
    [table],
  );
  return { table: Number(rows[0]?.table), indexes: Number(rows[0]?.indexes) };
}

function each(bytes: number): string {
  return (bytes / pictures).toFixed(0);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
