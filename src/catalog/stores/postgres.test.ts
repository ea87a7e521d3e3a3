import { basename } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import {
  NO_REAL_POSTGRES,
  startPglite,
  startRealPostgres,
  type TestServer,
} from '../../../test/conformance/postgres-server.js';
import { vectorStoreConformance } from '../../../test/conformance/vector-store.js';
import { Random } from '../../util/index.js';
import { dotProduct } from '../store.js';
import { openPostgresStore, type PostgresOptions } from './postgres.js';
import { openDatabase } from './postgres-database.js';
import { copyRow, escapeText, filterCondition, unescapeText } from './postgres-sql.js';
import { describeUrl } from './postgres-url.js';

let pglite: TestServer;
let real: TestServer | undefined;
beforeAll(async () => {
  pglite = await startPglite();
  if (NO_REAL_POSTGRES === undefined) real = await startRealPostgres();
}, 240_000);
afterAll(async () => {
  await pglite.stop();
  await real?.stop();
});

// PGlite's socket passes no COPY on: its stores insert by rows.
const PGLITE: PostgresOptions = { copyFrom: Number.POSITIVE_INFINITY, connections: 2 };

vectorStoreConformance('postgres (PGlite)', {
  open: (directory, shape) => openPostgresStore(pglite.url, basename(directory), shape, PGLITE),
  persistent: true,
});

if (NO_REAL_POSTGRES !== undefined) it.skip(`postgres (real): ${NO_REAL_POSTGRES}`, () => {});
else
  vectorStoreConformance('postgres (real, COPY)', {
    open: (directory, shape) =>
      openPostgresStore((real as TestServer).url, basename(directory), shape, { copyFrom: 100 }),
    persistent: true,
  });

describe('postgres', () => {
  it('half precision and an index find what exact search finds', async () => {
    const random = Random.from(1);
    const vectorOf = () => Float32Array.from({ length: 16 }, () => random.normal());
    const records = Array.from({ length: 600 }, (_, n) => ({
      id: `${n}`,
      vector: vectorOf(),
      fields: { kind: [n % 20 === 0 ? 'rare' : 'common'] },
    }));
    const shape = { dimension: 16, columns: ['kind'] };
    const exactHits = (query: Float32Array, rare: boolean) =>
      records
        .filter((_, n) => !rare || n % 20 === 0)
        .sort((a, b) => dotProduct(query, b.vector) - dotProduct(query, a.vector))
        .slice(0, 10)
        .map(({ id }) => id);
    for (const precision of ['single', 'half'] as const) {
      const store = await openPostgresStore(pglite.url, `index-${precision}`, shape, {
        ...PGLITE,
        precision,
        index: 'hnsw',
        indexFrom: 100,
      });
      await store.upsert(records);
      await store.flush();
      let found = 0;
      for (let n = 0; n < 20; n++) {
        const query = vectorOf();
        for (const rare of [false, true]) {
          const filter = rare ? [{ column: 'kind', anyOf: ['rare'] }] : [];
          const hits = await store.search(query, { k: 10, filter });
          expect(hits).toHaveLength(10);
          const wanted = exactHits(query, rare);
          found += hits.filter(({ record }) => wanted.includes(record.id)).length;
        }
      }
      expect(found / 400).toBeGreaterThan(0.97);
      await store.close();
    }
    const database = await openDatabase(pglite.url, { connections: 1 });
    const indices = await database.query("SELECT 1 FROM pg_indexes WHERE indexdef LIKE '%hnsw%'");
    expect(indices).toHaveLength(2);
    await database.close();
  });

  it('keeps the password out of messages', async () => {
    const url = 'postgres://me:s3cret@127.0.0.1:1/db#shop';
    expect(describeUrl(url)).toBe('postgres://me@127.0.0.1:1/db#shop');
    for (const wrong of [url, 'postgres://me:s3cret@[/db']) {
      const error = await openDatabase(wrong).catch((thrown: unknown) => thrown);
      expect(error).toBeInstanceOf(Error);
      expect(String((error as Error).message)).not.toContain('s3cret');
    }
  });

  it('escapes texts without changing their order', () => {
    const texts = ['', '\0', '\0\0', '\0\x01', '\x01', '\x01\x01', '\x01\x02', '\x02', 'a\0b', 'a\x01b', 'a'];
    for (const text of texts) expect(unescapeText(escapeText(text))).toBe(text);
    const order = (list: string[]) =>
      [...list].sort((a, b) => Buffer.compare(Buffer.from(a), Buffer.from(b)));
    expect(order(texts.map(escapeText)).map(unescapeText)).toEqual(order(texts));
    expect(texts.map(escapeText).join('')).not.toContain('\0');
  });

  it('writes values as parameters, never into the statement', () => {
    const values: unknown[] = ['query'];
    const names = { columns: ['kind', "x'; DROP"], numericColumns: ["x'; DROP"] };
    const sql = filterCondition(
      [
        { column: "x'; DROP", anyOf: ["it's"] },
        { or: [{ not: { column: 'kind', known: true } }, { column: "x'; DROP", from: 3 }] },
      ],
      names,
      values,
    );
    expect(sql).toBe(
      "(f1 && $2::text[]) AND (NOT (f0 <> '{}') OR (n0 IS NOT NULL AND n0 >= $3::double precision))",
    );
    expect(values).toEqual(['query', ["it's"], 3]);
  });

  it('writes rows of COPY', () => {
    expect(copyRow(['a\tb\\', null, ['x"y', '\n'], 1.5])).toBe('a\\tb\\\\\t\\N\t{"x\\\\"y","\\n"}\t1.5\n');
  });
});
