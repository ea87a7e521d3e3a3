/**
 * A training run of a second on made-up pictures: 8 items of 2 plain colours each, some noise, two attributes. Everything
 * is a function of the step, as `train` wants it.
 */
import type { Schema } from '../../src/granularity/index.js';
import {
  embedPictures,
  resolveConfiguration,
  type TrainingBatch,
  type TrainingConfiguration,
  type TrainingConfigurationInput,
  type TrainingOptions,
  type Validation,
} from '../../src/training/index.js';
import { Random } from '../../src/util/index.js';

export const ITEMS = 8;
export const PICTURES_PER_ITEM = 2;
export const SIZE = 16;

export const SCHEMA: Schema = {
  attributes: [
    { name: 'kind', kind: 'single', values: ['a', 'b'] },
    { name: 'tags', kind: 'multi', values: ['dark', 'light', 'odd'] },
  ],
  levels: ['item_id', 'kind'],
};

export function tinyConfiguration(over: TrainingConfigurationInput = {}): TrainingConfiguration {
  return resolveConfiguration({
    steps: 30,
    warmUpSteps: 5,
    network: { inputSize: SIZE, widths: [8, 16], blocks: [1], embeddingSize: 8 },
    learningRate: 0.01,
    averageDecay: 0.8,
    batch: { items: ITEMS, picturesPerItem: PICTURES_PER_ITEM },
    validateEvery: 10,
    checkpointEvery: 10,
    ...over,
  });
}

/** Options for `train` in a directory, at one thread. */
export function tinyTraining(
  directory: string,
  configuration: TrainingConfiguration = tinyConfiguration(),
  schema: Schema = SCHEMA,
): TrainingOptions {
  return {
    configuration,
    schema,
    dataHash: 'tiny',
    classes: ITEMS,
    directory,
    threads: 1,
    batch: async (step) => tinyBatch(configuration, schema, step),
    validate: validateTiny,
  };
}

/** The batch of a step: items from 0 on, each picture its item's colour and noise. */
export function tinyBatch(
  { seed, batch }: TrainingConfiguration,
  schema: Schema,
  step: number,
): TrainingBatch {
  const count = batch.items * batch.picturesPerItem;
  const ids = Array.from({ length: count }, (_, i) => Math.floor(i / batch.picturesPerItem));
  const width = schema.attributes.reduce((sum, { values }) => sum + values.length, 0);
  const attributeLabels = new Float32Array(count * width);
  const attributeKnown = new Float32Array(count * schema.attributes.length);
  ids.forEach((item, i) => {
    let offset = i * width;
    schema.attributes.forEach(({ values }, k) => {
      // Every third item lacks the second attribute.
      const isKnown = k !== 1 || item % 3 !== 2;
      attributeKnown[i * schema.attributes.length + k] = isKnown ? 1 : 0;
      if (isKnown) attributeLabels[offset + ((item >> k) % values.length)] = 1;
      offset += values.length;
    });
  });
  return {
    source: pictures(ids, Random.from(seed, 100 + step)),
    itemIds: BigInt64Array.from(ids, BigInt),
    attributeLabels,
    attributeKnown,
  };
}

/** Recall@1 on four new pictures of each item, by a plain loop. */
export async function validateTiny(onnxModel: Uint8Array): Promise<Validation> {
  const ids = Array.from({ length: 4 * ITEMS }, (_, i) => i % ITEMS);
  const { embeddings, dimension } = await embedPictures(onnxModel, pictures(ids, Random.from(77)), SIZE, {
    threads: 1,
  });
  let hits = 0;
  ids.forEach((item, i) => {
    let best = { cosine: -2, item: -1 };
    ids.forEach((other, j) => {
      if (i === j) return;
      let cosine = 0;
      for (let d = 0; d < dimension; d++)
        cosine += embeddings[i * dimension + d]! * embeddings[j * dimension + d]!;
      if (cosine > best.cosine) best = { cosine, item: other };
    });
    if (best.item === item) hits++;
  });
  const recallAt1 = hits / ids.length;
  return { score: recallAt1, details: { recallAt1 } };
}

// --- internal ---

/** Bytes of pictures whose left and right half have their item's two colours. */
function pictures(ids: readonly number[], random: Random): Uint8Array {
  const bytes = new Uint8Array(ids.length * SIZE * SIZE * 3);
  ids.forEach((item, i) => {
    for (let pixel = 0; pixel < SIZE * SIZE; pixel++) {
      const isRight = pixel % SIZE >= SIZE / 2;
      for (let channel = 0; channel < 3; channel++) {
        const bit = (isRight ? item * 5 + 3 : item) >> channel;
        const noise = random.integer(81) - 40;
        bytes[(i * SIZE * SIZE + pixel) * 3 + channel] = (bit & 1 ? 180 : 75) + noise;
      }
    }
  });
  return bytes;
}
