/**
 * A small training run in a process of its own, to be killed: `tsx train-child.ts <directory> <configuration JSON>`.
 * Writes each step's number to stdout, then the hash of the exported model.
 */
import { writeSync } from 'node:fs';
import { train } from '../../src/training/index.js';
import { sha256 } from '../../src/util/index.js';
import { tinyConfiguration, tinyTraining } from './tiny-training.js';

const [directory = '', configuration = '{}'] = process.argv.slice(2);
const controller = new AbortController();
process.on('SIGINT', () => controller.abort(new Error('interrupted')));
try {
  const { onnxModel, bestStep } = await train({
    ...tinyTraining(directory, tinyConfiguration(JSON.parse(configuration))),
    signal: controller.signal,
    progress: () => ({
      update: (done) => writeSync(1, `step ${done}\n`),
      stop() {},
    }),
  });
  writeSync(1, `done ${bestStep} ${sha256(onnxModel)}\n`);
} catch (error) {
  writeSync(2, `${error instanceof Error ? error.message : String(error)}\n`);
  process.exitCode = 1;
}
