import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { blots } from '../../test/support/pictures.js';
import { writeSmallNetworkBundle } from '../../test/support/small-network-bundle.js';
import { writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { openEmbedder, readBundle } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import { packageVersion, sha256 } from '../util/index.js';
import { exportVariants } from './export.js';
import { main } from './program.js';

let root = '';
let manifest = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-export-test-'));
  const lines = ['path,item_id,split'];
  for (let i = 0; i < 12; i++) {
    await writeFile(join(root, `${i}.png`), await blots(i >> 1, 32 + 8 * (i % 2)));
    lines.push(`${i}.png,item ${i >> 1},val`);
  }
  lines.push('gone.png,item 9,val');
  manifest = join(root, 'manifest.csv');
  await writeFile(manifest, `${lines.join('\n')}\n`);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});
const fresh = () => mkdtemp(join(root, 'case-'));

describe('exportVariants', () => {
  it('a vector does not depend on the pictures beside it, in integers either', async () => {
    const directory = await writeSmallNetworkBundle(await fresh());
    await exportVariants(directory, ['int8']);
    const embedder = await openEmbedder(directory, { threads: 1, variant: 'int8' });
    const white = await blots(1, 32, 1);
    const pictures = [join(root, '0.png'), white, join(root, '5.png')];
    for await (const { embeddings } of embedder.embed(pictures))
      for (const [n, picture] of pictures.entries())
        expect(embeddings.slice(24 * n, 24 * (n + 1))).toEqual((await embedder.embedOne(picture)).embedding);
    await embedder.close();
  });

  it('writes both beside the model, with what they lose; the embedder opens them', async () => {
    const directory = await writeSmallNetworkBundle(await fresh());
    const before = await readBundle(directory);
    const { rows } = await readManifest(manifest);
    const records = await exportVariants(directory, ['fp16', 'int8'], { rows, threads: 1 });
    expect((await readdir(join(directory, 'onnx'))).sort()).toEqual([
      'model.onnx',
      'model_fp16.onnx',
      'model_quantized.onnx',
    ]);
    const { variants, vectorHash, card } = await readBundle(directory);
    expect(variants).toEqual(records);
    expect([vectorHash, card]).toEqual([before.vectorHash, before.card]);
    const whole = (await stat(before.modelPath)).size;
    const paths = rows.slice(0, 12).map(({ path }) => path);
    const embeddings = async (variant: 'fp32' | 'fp16' | 'int8') => {
      const embedder = await openEmbedder(directory, { threads: 1, variant });
      const vectors = [];
      for (const path of paths) vectors.push((await embedder.embedOne(path)).embedding);
      await embedder.close();
      return vectors;
    };
    const exact = await embeddings('fp32');
    for (const [variant, file, share, loss] of [
      ['fp16', 'model_fp16.onnx', 0.65, 1e-6],
      ['int8', 'model_quantized.onnx', 0.55, 5e-3],
    ] as const) {
      const record = records[variant]!;
      const bytes = await readFile(join(directory, 'onnx', file));
      expect([record.bytes, record.hash]).toEqual([bytes.length, sha256(bytes)]);
      expect(bytes.length).toBeLessThan(share * whole);
      expect(record.cosineDifference.pictures).toBe(12);
      expect(record.cosineDifference.largest).toBeLessThan(loss);
      const lost = (await embeddings(variant)).map(
        (vector, i) => 1 - vector.reduce((sum, x, d) => sum + x * exact[i]![d]!, 0),
      );
      expect(record.cosineDifference.largest).toBeCloseTo(Math.max(0, ...lost), 6);
      expect(record.figures?.fp32.item_id?.recallAt1).toBeGreaterThan(0.5);
      expect(record.figures?.variant.item_id?.recallAt1).toBeGreaterThan(0.5);
      expect(record.measuredOn).toBe('split val');
    }
    expect(JSON.parse(await readFile(join(directory, 'semblance.json'), 'utf8')).onnx).toEqual({
      irVersion: 8,
      opset: 18,
      producer: `semblance ${packageVersion()}`,
    });
  });

  it('a variant that is missing or is another is refused', async () => {
    const directory = await writeSmallNetworkBundle(await fresh());
    await expect(openEmbedder(directory, { variant: 'int8' })).rejects.toThrow(
      /there is no variant int8, only fp32. Make it with `semblance export --model .* --int8`/,
    );
    const records = await exportVariants(directory, ['fp16']);
    expect(records.fp16).toMatchObject({ measuredOn: 'made-up pictures' });
    expect(records.fp16?.figures).toBeUndefined();
    const path = join(directory, 'onnx', 'model_fp16.onnx');
    await writeFile(path, (await readFile(path)).fill(0, 100));
    await expect(openEmbedder(directory, { variant: 'fp16' })).rejects.toThrow(
      /model_fp16\.onnx: the model is not the one that semblance\.json describes/,
    );
    await (await openEmbedder(directory)).close();
    await exportVariants(directory, ['fp16', 'int8']);
    await (await openEmbedder(directory, { variant: 'fp16' })).close();
    expect(Object.keys((await readBundle(directory)).variants)).toEqual(['fp16', 'int8']);
  });

  it('a model without weights has no variants, and stays as it is', async () => {
    const directory = await writeTinyBundle(await fresh());
    await expect(exportVariants(directory, ['fp16'])).rejects.toThrow(/for fp16 the model must have weights/);
    expect(await readdir(join(directory, 'onnx'))).toEqual(['model.onnx']);
  });

  it('command line: --split without --data is wrong usage', async () => {
    expect(await main(['export', '--model', root, '--split', 'val'])).toBe(2);
    expect(await main(['export', '--model', join(root, 'nowhere')])).toBe(1);
  });
});
