/**
 * Cross-batch memory in the training step: what it holds after each step, and that none is none.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import {
  ITEMS,
  PICTURES_PER_ITEM,
  SCHEMA,
  SIZE,
  tinyBatch,
  tinyConfiguration,
  tinyTraining,
} from '../../test/support/tiny-training.js';
import { floatTensor, Session, StatefulSession, type Tensor, writeModel } from '../onnx/index.js';
import {
  buildInferenceGraph,
  buildTrainingStep,
  embedPictures,
  initialParameters,
  initialStates,
  type TrainingConfigurationInput,
  train,
} from './index.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-memory-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const B = ITEMS * PICTURES_PER_ITEM;
/** Without normalisation a picture's embedding does not depend on its batch. */
const network = {
  inputSize: SIZE,
  widths: [8, 16],
  blocks: [1],
  embeddingSize: 8,
  normalization: 'none' as const,
};

it('holds the last batches, newest first, once it has begun', async () => {
  const configuration = tinyConfiguration({
    network,
    loss: { kind: 'soft-binomial-deviance', source: 'blend' },
    memory: { batches: 2, startStep: 1 },
  });
  const step = buildTrainingStep(configuration, SCHEMA);
  const session = await Session.create(writeModel(step.graph), { threads: 1 });
  const stateful = new StatefulSession(session, initialStates(step, configuration));
  const parameters = initialParameters(step.parameters, configuration);
  const model = writeModel(buildInferenceGraph(configuration, SCHEMA, parameters));
  const batches = [0, 1, 2, 3].map((index) => tinyBatch(configuration, SCHEMA, index));
  const embedded = await Promise.all(
    batches.map(({ source }) => embedPictures(model, source as Uint8Array, SIZE, { threads: 1 })),
  );
  for (const [index, batch] of batches.entries()) {
    await stateful.step({
      pictures: { dataType: 'uint8', shape: [B, SIZE, SIZE, 3], data: batch.source },
      item_ids: { dataType: 'int64', shape: [B], data: batch.itemIds },
      attribute_labels: floatTensor(batch.attributeLabels, [B, 5]),
      attribute_known: floatTensor(batch.attributeKnown, [B, 2]),
      learning_rate: floatTensor(Float32Array.of(0), []),
      step: floatTensor(Float32Array.of(index + 1), []),
    });
    const memory = stateful.state() as Record<string, Tensor>;
    const numbers = (name: string) => Array.from(memory[`memory.${name}`]?.data as Float32Array);
    const half = (isFilled: boolean) => new Array(B).fill(isFilled ? 1 : 0);
    expect(numbers('is_filled')).toEqual([...half(index >= 1), ...half(index >= 2)]);
    const held = [index, index - 1].filter((i) => i >= 0);
    const wanted = (of: (i: number) => ArrayLike<number | bigint>) => {
      const values = held.flatMap((i) => Array.from(of(i), Number));
      const rest = numbers('is_filled').length / B - held.length;
      return [...values, ...new Array((rest * values.length) / held.length).fill(0)];
    };
    expectNear(
      numbers('embeddings'),
      wanted((i) => embedded[i]!.embeddings),
      1e-5,
    );
    expectNear(
      numbers('attribute_probabilities'),
      wanted((i) => embedded[i]!.attributes),
      1e-5,
    );
    expect(numbers('item_ids')).toEqual(wanted((i) => batches[i]!.itemIds));
    expect(numbers('attribute_labels')).toEqual(wanted((i) => batches[i]!.attributeLabels));
    expect(numbers('attribute_known')).toEqual(wanted((i) => batches[i]!.attributeKnown));
  }
  await stateful.close();
});

it('at a standstill, a memory of the batch itself leaves the mean over pairs of other items as it is', async () => {
  const outputs = async (memory: TrainingConfigurationInput['memory']) => {
    const configuration = tinyConfiguration({
      network,
      attributeWeight: 0,
      // Positive pairs weigh next to nothing at this steepness of negatives: what is compared is their mean.
      loss: { kind: 'binomial-deviance', alpha: 1e-6, negativeCost: 1e7 },
      ...(memory === undefined ? {} : { memory }),
    });
    const step = buildTrainingStep(configuration, { attributes: [], levels: ['item_id'] });
    const session = await Session.create(writeModel(step.graph), { threads: 1 });
    const stateful = new StatefulSession(session, initialStates(step, configuration));
    const { source, itemIds } = tinyBatch(configuration, SCHEMA, 0);
    const losses: number[] = [];
    for (let index = 1; index <= 3; index++) {
      const results = await stateful.step({
        pictures: { dataType: 'uint8', shape: [B, SIZE, SIZE, 3], data: source },
        item_ids: { dataType: 'int64', shape: [B], data: itemIds },
        learning_rate: floatTensor(Float32Array.of(0), []),
        step: floatTensor(Float32Array.of(index), []),
      });
      losses.push(Number(results.loss?.data[0]));
    }
    await stateful.close();
    return losses;
  };
  const [without, ...rest] = await outputs(undefined);
  expectNear([...rest, ...(await outputs({ batches: 2 }))], new Array(5).fill(without));
});

it('of no batches is none, to the byte; of some it changes what is learnt', async () => {
  const models = [];
  for (const [i, memory] of [undefined, { batches: 0 }, { batches: 2 }].entries()) {
    const configuration = tinyConfiguration({ steps: 12, ...(memory === undefined ? {} : { memory }) });
    models.push(Buffer.from((await train(tinyTraining(join(root, `${i}`), configuration))).onnxModel));
  }
  const [without, none, some] = models as [Buffer, Buffer, Buffer];
  expect(none.equals(without)).toBe(true);
  expect(some.equals(without)).toBe(false);
});

it.each<TrainingConfigurationInput>([
  { loss: { kind: 'soft-binomial-deviance', source: 'predicted' } },
  { loss: { kind: 'contrastive' } },
  { loss: { kind: 'triplet', mining: 'batch-hard' } },
  { loss: { kind: 'triplet' } },
  { loss: { kind: 'multi-similarity' } },
  { loss: { kind: 'binomial-deviance' }, batch: { items: ITEMS, picturesPerItem: 2, accumulate: 2 } },
])('trains with a memory: %j', async (over) => {
  const configuration = tinyConfiguration({ ...over, memory: { batches: 3, startStep: 5 } });
  const { batch: _, ...options } = tinyTraining(join(root, JSON.stringify(over)), configuration);
  const batch = async (index: number) => tinyBatch(configuration, SCHEMA, index);
  expect((await train({ ...options, batch })).bestScore).toBeGreaterThan(0.9);
});
