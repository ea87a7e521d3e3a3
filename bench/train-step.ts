/**
 * The training step against the same network in PyTorch, interleaved step by step on the same cores.
 *
 * Run: `npx tsx bench/train-step.ts [--steps 30] [--set network.inputSize=48 …]`
 * PyTorch: `apt-get install python3-torch libopenblas0-pthread` (with the reference BLAS it is 30 times slower and no
 * rival); where `/usr/bin/python3` has no torch, only ours is timed. The idle rival sleeps: each has both cores to itself.
 */
import { availableParallelism } from 'node:os';
import { parseArgs } from 'node:util';
import { merge, parseSettings } from '../src/cli/settings.js';
import type { Schema } from '../src/granularity/index.js';
import { floatTensor, Session, StatefulSession, type Tensor, writeModel } from '../src/onnx/index.js';
import {
  buildTrainingStep,
  emojiRecipe,
  initialStates,
  resolveConfiguration,
} from '../src/training/index.js';
import { Random } from '../src/util/index.js';
import { openRival } from './support/pytorch.js';

const { values: flags } = parseArgs({
  options: {
    steps: { type: 'string', default: '30' },
    set: { type: 'string', multiple: true, default: [] },
    profile: { type: 'string' },
  },
});
const threads = availableParallelism();
const configuration = resolveConfiguration(
  merge(emojiRecipe as Record<string, unknown>, parseSettings(flags.set)),
);
const { network, batch } = configuration;
const attributes = [96, 9];
const schema: Schema = {
  attributes: attributes.map((count, i) => ({
    name: `attribute${i}`,
    kind: 'single',
    values: Array.from({ length: count }, (_, value) => `value${value}`),
  })),
  levels: ['item_id', 'attribute0', 'attribute1'],
};

const ours = await openOurs();
const rival = await openRival('train_step.py', [
  JSON.stringify({ ...network, ...batch, attributes, threads, denormalsAreZero: true }),
]);
const times: { ours: number[]; torch: number[] } = { ours: [], torch: [] };
const WARM_UP = 5;
for (let index = 0; index < Number(flags.steps) + WARM_UP; index++) {
  const ownTime = await ours.step(index + 1);
  const rivalTime = await rival?.ask('step');
  if (index < WARM_UP) continue;
  times.ours.push(ownTime);
  if (rivalTime !== undefined) times.torch.push(rivalTime);
}
await ours.close();
rival?.close();

const describe = (list: readonly number[]) => {
  const sorted = [...list].sort((a, b) => a - b);
  const at = (share: number) => (sorted[Math.floor(share * (sorted.length - 1))] as number).toFixed(1);
  return `median ${at(0.5)} ms (quartiles ${at(0.25)} to ${at(0.75)}, least ${at(0)})`;
};
console.log(
  `network ${network.widths.join('-')}, ${network.inputSize} px, batch ${batch.items}×${batch.picturesPerItem}, ${threads} threads`,
);
console.log(`semblance  ${describe(times.ours)}`);
if (times.torch.length > 0) {
  console.log(`PyTorch    ${describe(times.torch)}`);
  const ratios = times.ours.map((time, i) => time / (times.torch[i] as number)).sort((a, b) => a - b);
  console.log(`ratio of neighbouring steps: median ${(ratios[ratios.length >> 1] as number).toFixed(2)}`);
}

async function openOurs() {
  const step = buildTrainingStep(configuration, schema);
  const session = await Session.create(writeModel(step.graph), {
    threads,
    ...(flags.profile === undefined ? {} : { profilePrefix: flags.profile }),
  });
  const stateful = new StatefulSession(session, initialStates(step, configuration));
  const random = Random.from(2);
  const size = batch.items * batch.picturesPerItem;
  const side = network.inputSize;
  const ids = Array.from({ length: size }, (_, i) => Math.floor(i / batch.picturesPerItem));
  const width = attributes.reduce((sum, count) => sum + count, 0);
  const labels = new Float32Array(size * width);
  ids.forEach((id, i) => {
    let offset = 0;
    for (const count of attributes) {
      labels[i * width + offset + (id % count)] = 1;
      offset += count;
    }
  });
  const feeds: Record<string, Tensor> = {
    pictures: {
      dataType: 'uint8',
      shape: [size, side, side, 3],
      data: Uint8Array.from({ length: size * side * side * 3 }, () => random.integer(256)),
    },
    item_ids: { dataType: 'int64', shape: [size], data: BigInt64Array.from(ids, BigInt) },
    attribute_labels: floatTensor(labels, [size, width]),
    attribute_known: floatTensor(new Float32Array(size * attributes.length).fill(1), [
      size,
      attributes.length,
    ]),
    learning_rate: floatTensor(Float32Array.of(1e-3), []),
  };
  return {
    async step(number: number): Promise<number> {
      const started = performance.now();
      await stateful.step({ ...feeds, step: floatTensor(Float32Array.of(number), []) });
      return performance.now() - started;
    },
    async close() {
      if (flags.profile !== undefined) session.endProfiling();
      await stateful.close();
    },
  };
}
