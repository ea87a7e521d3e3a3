/**
 * From an ONNX file that others trained to a search model of one's own pictures, and an ONNX file again.
 *
 * Run: `npx tsx examples/fine-tune-onnx.ts [backbone.onnx preprocessing manifest.csv]`, for example
 * `npx tsx examples/fine-tune-onnx.ts mobilenet_v2.onnx imagenet shop.csv`.
 * Without arguments it draws a small catalogue of cloth, and trains a network on one half of it to stand for the
 * backbone that others made; the other half is then the new catalogue. Takes about a minute.
 */
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import * as ort from 'onnxruntime-node';
import sharp from 'sharp';
import {
  backboneSettings,
  fineTuneRecipe,
  gradientGraph,
  type ManifestEntry,
  openBackbone,
  openEmbedder,
  Random,
  readBackboneFile,
  readManifest,
  resolveConfiguration,
  runTraining,
  Session,
  schemaOf,
  silentProgress,
  type TrainingConfigurationInput,
  writeManifest,
  writeModel,
} from '../src/index.js';

const folder = await mkdtemp(join(tmpdir(), 'semblance-example-'));
const quiet = { progress: silentProgress, report: () => {} };
const [file, preprocessing, data] =
  process.argv.length > 4
    ? (process.argv.slice(2) as [string, string, string])
    : await backboneAndCatalogue(folder);

// 1. What is in the file?
const settings = await backboneSettings({ source: file }, { preprocessing }, quiet);
const { model } = await readBackboneFile(file, quiet);
const backbone = openBackbone(model, { size: settings.size });
console.log(`1. ${file}: opset ${model.opsetVersion}, ${backbone.parameters.length} parameters`);
console.log(`   ${backbone.note}`);
for (const { name, end, share } of backbone.stages) {
  console.log(
    `   ${name.padEnd(10)} ends in [${end.shape.join(', ')}], ${(100 * share).toFixed(0)} % of the arithmetic`,
  );
}

// 2. Its gradient: one graph more, which onnxruntime runs. A step against it makes the output smaller.
{
  const { name } = model.graph.inputs[0]!;
  const output = model.graph.outputs[0]!.name;
  const shape = [2, 3, settings.size, settings.size];
  const differentiated = gradientGraph(model.graph, {
    inputShapes: { [name]: shape },
    outputsWithGradient: [output],
  });
  const session = await Session.create(writeModel(differentiated.graph));
  const random = Random.from(1);
  const picture = Float32Array.from({ length: 2 * 3 * settings.size ** 2 }, () => random.between(-1, 1));
  const feeds: Record<string, { dataType: 'float32'; shape: readonly number[]; data: Float32Array }> = {};
  feeds[name] = { dataType: 'float32', shape, data: picture };
  for (const { value, feed } of differentiated.parameters) {
    if (value.origin.kind !== 'constant') continue;
    feeds[feed] = {
      dataType: 'float32',
      shape: value.shape as number[],
      data: value.origin.data as Float32Array,
    };
  }
  const outputShape = (await runFile(file, name, picture, shape))[output]!.dims;
  const size = outputShape.reduce((product, dimension) => product * dimension, 1);
  feeds[differentiated.outputGradientFeeds.get(output)!] = {
    dataType: 'float32',
    shape: outputShape,
    data: new Float32Array(size).fill(1),
  };
  const results = await session.run(feeds);
  const gradient = results[differentiated.inputGradients.get(name)!]!.data as Float32Array;
  const length = Math.hypot(...gradient.subarray(0, 10_000));
  const step = 1e-2 / length;
  const moved = picture.map((pixel, i) => pixel - step * gradient[i]!);
  const sum = (tensor: ort.Tensor) => (tensor.data as Float32Array).reduce((total, x) => total + x, 0);
  const before = sum((await runFile(file, name, picture, shape))[output]!);
  const after = sum((await runFile(file, name, moved, shape))[output]!);
  const predicted = -step * gradient.reduce((total, x) => total + x * x, 0);
  console.log(
    `2. a small step against the gradient changes Σ ${output} by ${(after - before).toExponential(2)} (the gradient says ${predicted.toExponential(2)})`,
  );
  await session.close();
}

// 3. Fine-tune the last two stages. What is before it runs once a picture and view, and is kept on disk.
const manifest = await readManifest(data);
const schema = schemaOf(manifest, () => {});
const configuration = resolveConfiguration({
  ...fineTuneRecipe,
  steps: 100,
  validateEvery: 50,
  batch: { items: 8, picturesPerItem: 4 },
  network: { inputSize: settings.size, embeddingSize: 64 },
  backbone: { ...settings.backbone, trained: { stages: 2 }, views: 2 },
} as TrainingConfigurationInput);
console.log('3. training');
const { modelDirectory, validation } = await runTraining({
  manifest,
  schema,
  configuration,
  directory: join(folder, 'run'),
  cacheFolder: join(folder, 'cache'),
  progress: silentProgress,
  report: (line) => console.log(`   ${line}`),
});
console.log(`   validation Recall@1 ${validation?.recallAt1.toFixed(3)}`);

// 4. What comes out is an ordinary ONNX file: onnxruntime runs it without us, and finds what the embedder finds.
const embedder = await openEmbedder(modelDirectory);
const picture = manifest.rows.find(({ split }) => split === 'test')!.path;
const { embedding } = await embedder.embedOne(picture);
const { size, mean, std } = embedder.bundle.preprocessing;
const pixels = await sharp(picture).resize(size, size, { fit: 'cover' }).removeAlpha().raw().toBuffer();
const planes = Float32Array.from({ length: 3 * size * size }, (_, i) => {
  const channel = Math.floor(i / size ** 2);
  return (pixels[3 * (i % size ** 2) + channel]! / 255 - mean[channel]!) / std[channel]!;
});
const exported = await runFile(embedder.bundle.modelPath, 'pixel_values', planes, [1, 3, size, size]);
const alone = exported.image_embeds!.data as Float32Array;
const cosine = embedding.reduce((total, x, i) => total + x * alone[i]!, 0);
console.log(`4. ${embedder.bundle.modelPath}: cosine of the two embeddings ${cosine.toFixed(6)}`);
await embedder.close();
await rm(folder, { recursive: true, force: true });
if (!(cosine > 0.999)) process.exitCode = 1;

async function runFile(path: string, name: string, pixelValues: Float32Array, shape: readonly number[]) {
  const session = await ort.InferenceSession.create(path);
  try {
    return await session.run({ [name]: new ort.Tensor('float32', pixelValues, shape) });
  } finally {
    await session.release();
  }
}

/** Two catalogues of cloth, and a network trained on the first. @returns file, preprocessing, manifest of the second */
async function backboneAndCatalogue(root: string): Promise<[string, string, string]> {
  const first = await cloth(join(root, 'first'), 1);
  const manifest = await readManifest(first);
  const schema = schemaOf(manifest, () => {});
  const { modelDirectory } = await runTraining({
    manifest,
    schema,
    configuration: resolveConfiguration({
      steps: 80,
      network: { inputSize: 48, widths: [16, 32, 64, 96], blocks: [1, 1, 1], embeddingSize: 64 },
      batch: { items: 12, picturesPerItem: 4 },
      validateEvery: 80,
    }),
    directory: join(root, 'backbone'),
    ...quiet,
  });
  return [join(modelDirectory, 'onnx', 'model.onnx'), 'half', await cloth(join(root, 'second'), 2)];
}

/** 32 cloths, each a pattern in two colours, photographed five times: moved, turned, in other light. */
async function cloth(root: string, seed: number): Promise<string> {
  await mkdir(root, { recursive: true });
  const random = Random.from(seed, 5);
  const patterns = ['stripes', 'dots', 'checks', 'zigzag'];
  const rows: ManifestEntry[] = [];
  for (let item = 0; item < 32; item++) {
    const pattern = patterns[item % patterns.length]!;
    const hue = Math.floor(random.between(0, 360));
    const width = 10 + random.integer(14);
    const [light, dark] = [random.between(60, 90), random.between(15, 45)];
    for (let shot = 0; shot < 5; shot++) {
      const turn = random.between(-25, 25);
      const shift = random.integer(40);
      const bright = random.between(0.8, 1.2);
      const colour = (lightness: number) => `hsl(${hue}, 60%, ${Math.min(95, lightness * bright)}%)`;
      const shapes: Record<string, string> = {
        stripes: `<rect width="${width / 2}" height="${width}" fill="${colour(dark)}"/>`,
        dots: `<circle cx="${width / 2}" cy="${width / 2}" r="${width / 3}" fill="${colour(dark)}"/>`,
        checks: `<path d="M0 0h${width / 2}v${width}h${width / 2}v${-width / 2}h${-width}z" fill="${colour(dark)}"/>`,
        zigzag: `<path d="M0 ${width / 2}L${width / 2} 0L${width} ${width / 2}" stroke="${colour(dark)}" stroke-width="${width / 5}" fill="none"/>`,
      };
      const svg =
        `<svg xmlns="http://www.w3.org/2000/svg" width="96" height="96"><defs><pattern id="p" width="${width}" height="${width}" ` +
        `patternUnits="userSpaceOnUse" patternTransform="rotate(${turn}) translate(${shift})">${shapes[pattern]}</pattern></defs>` +
        `<rect width="96" height="96" fill="${colour(light)}"/><rect width="96" height="96" fill="url(#p)"/></svg>`;
      const name = `${item}-${shot}.png`;
      await sharp(Buffer.from(svg)).png().toFile(join(root, name));
      rows.push({
        relativePath: name,
        itemId: `cloth-${item}`,
        split: item < 16 ? 'train' : item < 24 ? 'val' : 'test',
        attributes: { pattern: [pattern] },
      });
    }
  }
  const file = join(root, 'manifest.csv');
  await writeManifest(file, rows);
  return file;
}
