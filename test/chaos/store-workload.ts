/**
 * Kind `upsert`: a store of vectors that is written to in small batches, with deletions and compactions between. A
 * record's vector and field both tell its version, so that a mixture of two would show.
 */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { openLanceStore } from '../../src/catalog/stores/lancedb.js';
import type { Workload } from './workload.js';

interface Intent {
  /** Ids with their new versions. */
  readonly put?: Readonly<Record<string, number>>;
  readonly remove?: readonly string[];
}

const SHAPE = { dimension: 8, columns: ['version'] };
const IDS = 40;

export function storeWorkload(): Workload {
  let known = new Map<string, number>();
  return {
    kind: 'upsert',
    what: 'upserting, deleting and compacting in a store',
    writes: 8,
    prepare: async () => {},
    async work(folder, random, teller) {
      teller.opening();
      const store = await openLanceStore(join(folder, 'store'), SHAPE);
      for (;;) {
        const ids = random.shuffled(Array.from({ length: IDS }, (_, i) => `k${i}`));
        const action = random.uniform();
        if (action < 0.15) await teller.write({}, () => store.flush());
        else if (action < 0.4) {
          const remove = ids.slice(0, 1 + random.integer(5));
          await teller.write({ remove } satisfies Intent, () => store.delete(remove));
        } else {
          const put = Object.fromEntries(
            ids.slice(0, 1 + random.integer(10)).map((id) => [id, random.integer(1 << 20)]),
          );
          const records = Object.entries(put).map(([id, version]) => ({
            id,
            vector: vectorOf(id, version),
            fields: { version: [String(version)] },
          }));
          await teller.write({ put } satisfies Intent, () => store.upsert(records));
        }
      }
    },
    async check(folder, told) {
      const store = await openLanceStore(join(folder, 'store'), SHAPE);
      const found = new Map<string, number>();
      const violations: string[] = [];
      try {
        for await (const batch of store.scan())
          for (const { id, vector, fields } of batch) {
            const version = Number(fields.version?.[0]);
            found.set(id, version);
            if (vectorOf(id, version).some((x, i) => x !== vector[i]))
              violations.push(`${id}: the vector is not that of version ${version}`);
          }
        const count = await store.count();
        if (count !== found.size) violations.push(`counted ${count} records, found ${found.size}`);
        // The store goes on from here: a write must be possible at once.
        await store.upsert([]);
      } finally {
        await store.close();
      }
      const wanted = new Map(known);
      for (const { intent, isDone } of told) if (isDone) apply(wanted, intent as Intent);
      const last = told.at(-1);
      const orElse = new Map(wanted);
      if (last !== undefined && !last.isDone) apply(orElse, last.intent as Intent);
      if (!isSame(found, wanted) && !isSame(found, orElse))
        violations.push(`${difference(found, wanted)} (under way: ${JSON.stringify(last)})`);
      known = found;
      return violations;
    },
    async litter(folder) {
      // LanceDB's own (`.tmp…`) stay for an hour: by then their writer is surely dead.
      const names = await readdir(join(folder, 'store'), { recursive: true }).catch(() => []);
      return names.filter((name) => /unfinished/.test(name)).length;
    },
  };
}

// --- internal ---

function vectorOf(id: string, version: number): Float32Array {
  return Float32Array.from(
    { length: SHAPE.dimension },
    (_, i) => Number(id.slice(1)) * 1000 + version * (i + 1),
  );
}

function apply(records: Map<string, number>, { put = {}, remove = [] }: Intent): void {
  for (const id of remove) records.delete(id);
  for (const [id, version] of Object.entries(put)) records.set(id, version);
}

function isSame(a: ReadonlyMap<string, number>, b: ReadonlyMap<string, number>): boolean {
  return a.size === b.size && [...a].every(([id, version]) => b.get(id) === version);
}

function difference(found: ReadonlyMap<string, number>, wanted: ReadonlyMap<string, number>): string {
  const ids = [...new Set([...found.keys(), ...wanted.keys()])].filter(
    (id) => found.get(id) !== wanted.get(id),
  );
  return ids
    .slice(0, 5)
    .map((id) => `${id}: acknowledged ${wanted.get(id) ?? 'gone'}, found ${found.get(id) ?? 'gone'}`)
    .join('; ');
}
