/** Writes batches of ten into a Lance store for ever, and says `acknowledged <n>` after each. Made to be killed. */
import { openLanceStore } from '../../src/catalog/stores/lancedb.js';

const store = await openLanceStore(process.argv[2] as string, { dimension: 4, columns: ['kind'] });
for (let batch = 0; ; batch++) {
  await store.upsert(
    Array.from({ length: 10 }, (_, n) => ({
      id: `${batch}-${n}`,
      vector: Float32Array.from([batch, n, 0, 1]),
      fields: { kind: [`batch-${batch}`] },
    })),
  );
  process.stdout.write(`acknowledged ${batch}\n`);
}
