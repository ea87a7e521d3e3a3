/**
 * Features of pictures through a frozen network, from JPEGs on disk: (a) the whole of ours, hashing, decoding on a
 * worker, inference and the cache on disk; (b) onnxruntime alone on tensors that are ready; (c) PyTorch with its own
 * loader (bench/feature_extraction.py), where it is installed. Rounds in turn, since the machine may be shared.
 *
 * Run: `npx tsx bench/feature-extraction.ts MODEL.onnx FOLDER [--pictures 500] [--rounds 3] [--batch 32] [--output NAME]
 * [--without-pytorch]`.
 * The model takes float32 [N, 3, 224, 224] in [−1, 1], as MobileNetV2 does.
 */
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { availableParallelism, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { median } from 'simple-statistics';
import { cachedFeatures } from '../src/data/index.js';
import { buildGraph, input, substitute } from '../src/graph/index.js';
import { normalizePictures } from '../src/models/index.js';
import { floatTensor, readModel, Session, writeModel } from '../src/onnx/index.js';
import { Random, sha256 } from '../src/util/index.js';
import { openRival } from './support/pytorch.js';

const { values: flags, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    pictures: { type: 'string', default: '500' },
    rounds: { type: 'string', default: '3' },
    batch: { type: 'string', default: '32' },
    output: { type: 'string' },
    'without-pytorch': { type: 'boolean', default: false },
  },
});
const [modelFile, folder] = positionals;
if (modelFile === undefined || folder === undefined) throw new Error('usage: MODEL.onnx FOLDER');
const [size, batchSize, threads] = [224, Number(flags.batch), availableParallelism()];
const paths = (await readdir(folder))
  .filter((name) => /\.jpe?g$/i.test(name))
  .sort()
  .slice(0, Number(flags.pictures))
  .map((name) => resolve(folder, name));

const { graph } = readModel(await readFile(modelFile));
const pixels = graph.inputs[0]!;
const { value: output } = graph.outputs.find(
  ({ name }) => flags.output === undefined || name === flags.output,
)!;
const pictures = input('pictures', 'uint8', ['N', size, size, 3]);
const [features] = substitute([output], new Map([[pixels.value, normalizePictures(pictures)]]));
const bytes = writeModel(buildGraph([pictures], { features: features! }));
const ours = await Session.create(bytes, { threads, spinning: false });
const alone = await Session.create(writeModel(buildGraph([pixels.value], { features: output })), { threads });
const width = output.shape[1] as number;
const random = Random.from(1);
const ready = floatTensor(
  Float32Array.from({ length: batchSize * 3 * size * size }, () => random.between(-1, 1)),
  [batchSize, 3, size, size],
);

async function whole(): Promise<number> {
  const root = await mkdtemp(join(tmpdir(), 'semblance-bench-'));
  const started = performance.now();
  const cached = await cachedFeatures(
    paths.map((path) => ({ path })),
    {
      views: 1,
      view: { size, seed: 0 },
      prefix: sha256(bytes),
      shape: [width],
      batchSize,
      cache: { root },
      async infer(data, count) {
        const results = await ours.run({
          pictures: { dataType: 'uint8', shape: [count, size, size, 3], data },
        });
        return results.features!.data as Float32Array;
      },
    },
  );
  const seconds = (performance.now() - started) / 1000;
  await cached.close();
  await rm(root, { recursive: true });
  return seconds;
}

async function inference(): Promise<number> {
  const started = performance.now();
  for (let done = 0; done < paths.length; done += batchSize) {
    await alone.run({ [alone.inputNames[0]!]: ready });
  }
  return (performance.now() - started) / 1000;
}

const rival = flags['without-pytorch']
  ? undefined
  : await openRival('feature_extraction.py', [JSON.stringify({ size, batchSize, threads, workers: 2 })]);
const rounds: { a: number; b: number; c: number }[] = [];
for (let round = -1; round < Number(flags.rounds); round++) {
  const result = {
    a: await whole(),
    b: await inference(),
    c: (await rival?.ask(JSON.stringify(paths))) ?? Number.NaN,
  };
  const rate = (seconds: number) => (paths.length / seconds).toFixed(1);
  console.log(
    `${round < 0 ? 'warm-up' : `round ${round + 1}`}: ours ${rate(result.a)} pictures/s, onnxruntime alone ${rate(result.b)}, ` +
      `PyTorch ${rate(result.c)}; ours / alone ${(result.b / result.a).toFixed(2)}, ours / PyTorch ${(result.c / result.a).toFixed(2)}`,
  );
  if (round >= 0) rounds.push(result);
}
console.log(
  `median of ${rounds.length}: ours / alone ${median(rounds.map(({ a, b }) => b / a)).toFixed(2)}, ` +
    `ours / PyTorch ${median(rounds.map(({ a, c }) => c / a)).toFixed(2)}`,
);
rival?.close();
await Promise.all([ours.close(), alone.close()]);
