/**
 * How much of the bare model's throughput `index` keeps: the same pictures embedded without anything else, and indexed
 * into a new catalogue, by turns. `bare` decodes and embeds, as `index` does; what `index` adds is hashing, comparing and
 * storing. The aim is 0.9.
 *
 *   npx tsx bench/indexing.ts --model runs/demo/model --data runs/demo/data/manifest.csv [--pictures 512] [--rounds 5]
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import { openEmbedder } from '../src/bundle/index.js';
import { indexCatalog } from '../src/catalog/index.js';
import { readManifest } from '../src/data/index.js';
import { processorStopwatch, stopwatch } from '../src/util/index.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string', default: 'runs/demo/model' },
    data: { type: 'string', default: 'runs/demo/data/manifest.csv' },
    pictures: { type: 'string', default: '512' },
    rounds: { type: 'string', default: '5' },
    threads: { type: 'string', default: '2' },
  },
});
const manifest = await readManifest(values.data);
const rows = manifest.rows.slice(0, Number(values.pictures));
const embedder = await openEmbedder(values.model, { threads: Number(values.threads) });
const root = await mkdtemp(join(tmpdir(), 'semblance-bench-indexing-'));

async function timed(work: () => Promise<unknown>): Promise<{ seconds: number; processor: number }> {
  const [seconds, processor] = [stopwatch(), processorStopwatch()];
  await work();
  return { seconds: seconds(), processor: processor() };
}

const bare = async () => {
  let count = 0;
  for await (const { indices } of embedder.embed(rows)) count += indices.length;
  return count;
};
const data = { rows, attributes: manifest.attributeNames };
const index = (name: string) => indexCatalog({ directory: join(root, name), embedder, data });

try {
  await bare(); // warm: files in memory, session ready
  await index('warm');
  const turns: {
    bare: { seconds: number; processor: number };
    index: { seconds: number; processor: number };
  }[] = [];
  for (let round = 0; round < Number(values.rounds); round++) {
    const first = round % 2 === 0;
    const one = await timed(first ? bare : () => index(`${round}`));
    const two = await timed(first ? () => index(`${round}`) : bare);
    turns.push(first ? { bare: one, index: two } : { bare: two, index: one });
    const { bare: b, index: i } = turns.at(-1)!;
    console.log(
      `bare ${(rows.length / b.seconds).toFixed(0)} pictures/s, index ${(rows.length / i.seconds).toFixed(0)}: ` +
        `${(b.seconds / i.seconds).toFixed(3)} (processor time ${(b.processor / i.processor).toFixed(3)})`,
    );
  }
  const ratio = (key: 'seconds' | 'processor') =>
    median(turns.map((turn) => turn.bare[key] / turn.index[key]));
  console.log(
    `median of ${turns.length} turns, ${rows.length} pictures: index keeps ${ratio('seconds').toFixed(3)} of the bare ` +
      `throughput (by processor time ${ratio('processor').toFixed(3)})`,
  );
} finally {
  await embedder.close();
  await rm(root, { recursive: true, force: true });
}
