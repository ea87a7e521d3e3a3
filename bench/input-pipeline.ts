/**
 * Whether the input pipeline hides behind the training step: blocks of steps with augmented pictures from the loader and
 * with one constant batch, in turn.
 *
 * Run: `npx tsx bench/input-pipeline.ts MANIFEST [blocks] [steps a block]`, e.g. with `runs/demo/data/manifest.csv`.
 */

import { median } from 'simple-statistics';
import { createLoader, readManifest } from '../src/data/index.js';
import type { Schema } from '../src/granularity/index.js';
import { floatTensor, Session, StatefulSession, writeModel } from '../src/onnx/index.js';
import {
  buildTrainingStep,
  emojiRecipe,
  initialStates,
  resolveConfiguration,
} from '../src/training/index.js';

const [manifestFile = 'runs/demo/data/manifest.csv', blockCount = '8', blockLength = '15'] =
  process.argv.slice(2);
const manifest = await readManifest(manifestFile);
const rows = manifest.rows.filter(({ split }) => split === 'train');
const itemIds = [...new Set(rows.map(({ itemId }) => itemId))];
const numberOf = new Map(itemIds.map((itemId, number) => [itemId, number]));
const configuration = resolveConfiguration({
  ...emojiRecipe,
  attributeWeight: 0,
  loss: { kind: 'binomial-deviance' },
});
const { network, batch } = configuration;
const schema: Schema = { attributes: [], levels: ['item_id'] };

const loader = await createLoader(
  rows,
  rows.map(({ itemId }) => numberOf.get(itemId) as number),
  {
    size: network.inputSize,
    sourceSize: configuration.sourceSize,
    seed: 0,
    sampler: { itemsPerBatch: batch.items, picturesPerItem: batch.picturesPerItem },
    augmentation: configuration.augmentation,
  },
);
const step = buildTrainingStep(configuration, schema);
const session = new StatefulSession(
  await Session.create(writeModel(step.graph)),
  initialStates(step, configuration),
);
const size = batch.items * batch.picturesPerItem;
const ids = BigInt64Array.from({ length: size }, (_, i) => BigInt(Math.floor(i / batch.picturesPerItem)));
let steps = 0;
const run = async (pictures: Uint8Array) => {
  await session.step({
    pictures: { dataType: 'uint8', shape: [size, network.inputSize, network.inputSize, 3], data: pictures },
    item_ids: { dataType: 'int64', shape: [size], data: ids },
    learning_rate: floatTensor(Float32Array.of(1e-3), []),
    step: floatTensor(Float32Array.of(++steps), []),
  });
};

const constant = (await loader.next(0)).pictures.slice();
const times: Record<'loader' | 'constant', number[]> = { loader: [], constant: [] };
let loaded = 1;
for (let block = -1; block < Number(blockCount); block++) {
  for (const kind of ['loader', 'constant'] as const) {
    if (kind === 'loader') await run((await loader.next(loaded++)).pictures); // fills the queue again
    const started = performance.now();
    for (let i = 0; i < Number(blockLength); i++) {
      await run(kind === 'constant' ? constant : (await loader.next(loaded++)).pictures);
    }
    if (block >= 0) times[kind].push((performance.now() - started) / Number(blockLength));
  }
}
await loader.close();
await session.close();

const ratios = times.loader.map((time, i) => time / (times.constant[i] as number));
console.log(
  `constant batch ${median(times.constant).toFixed(1)} ms a step, loader ${median(times.loader).toFixed(1)} ms`,
);
console.log(`ratio of neighbouring blocks: median ${median(ratios).toFixed(3)}`);
