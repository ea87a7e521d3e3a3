/**
 * Kind `train`: a training run that saves a checkpoint every other step. After each kill the next round goes on from it;
 * a run that comes to its end must have the same model, to the bit, as one that nobody disturbed.
 */
import { readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { train } from '../../src/training/index.js';
import { readTensorFile } from '../../src/training/tensor-file.js';
import { sha256 } from '../../src/util/index.js';
import { tinyConfiguration, tinyTraining } from '../support/tiny-training.js';
import { unfinishedFiles } from './litter.js';
import type { Workload } from './workload.js';

const CHECKPOINT_EVERY = 2;
const CONFIGURATION = tinyConfiguration({ steps: 60, checkpointEvery: CHECKPOINT_EVERY, validateEvery: 5 });

export function trainingWorkload(): Workload {
  let wanted = '';
  let saved = 0;
  return {
    kind: 'train',
    what: 'training, with a checkpoint every other step',
    writes: 12,
    async prepare(folder) {
      const directory = join(folder, 'undisturbed');
      wanted = sha256((await train(tinyTraining(directory, CONFIGURATION))).onnxModel);
      await rm(directory, { recursive: true });
    },
    async work(folder, _random, teller) {
      teller.opening();
      let isFirst = true;
      const { onnxModel } = await train({
        ...tinyTraining(join(folder, 'run'), CONFIGURATION),
        progress: () => ({
          update(step) {
            // A step ends when the one before has been saved, where it was to be.
            if (!isFirst) teller.done();
            isFirst = false;
            teller.will(step);
          },
          stop() {},
        }),
      });
      if (!isFirst) teller.done();
      await teller.write({ model: sha256(onnxModel) }, async () => {});
      await teller.idle();
    },
    async check(folder, told) {
      const directory = join(folder, 'run');
      const violations: string[] = [];
      const steps = told.filter(({ isDone }) => isDone).map(({ intent }) => intent);
      const last = Math.max(0, ...steps.filter((step) => typeof step === 'number'));
      const acknowledged = Math.max(saved, last - (last % CHECKPOINT_EVERY));
      let found = 0;
      try {
        const { metadata } = await readTensorFile(join(directory, 'checkpoint.safetensors'));
        found = Number(metadata.step);
        if (JSON.parse(metadata.best ?? '{}').step >= 0)
          await readTensorFile(join(directory, 'best.safetensors'));
      } catch (error) {
        if (acknowledged > 0) violations.push(`the checkpoint does not open: ${String(error)}`);
      }
      if (found < acknowledged) violations.push(`step ${acknowledged} was saved, and step ${found} is there`);
      const log = await readFile(join(directory, 'metrics.jsonl'), 'utf8').catch(() => '');
      for (const line of log.split('\n').slice(0, -1)) JSON.parse(line);
      saved = found;
      const model = steps.map((step) => (step as { model?: string }).model).find(Boolean);
      if (model !== undefined) {
        if (model !== wanted) violations.push(`the model is ${model}, undisturbed it is ${wanted}`);
        await rm(directory, { recursive: true });
        saved = 0;
      }
      return violations;
    },
    litter: unfinishedFiles,
  };
}
