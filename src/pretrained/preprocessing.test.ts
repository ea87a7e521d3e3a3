import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Preprocessing, preprocessorConfig } from '../bundle/index.js';
import { type PreprocessingOption, readPreprocessing } from './preprocessing.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-preprocessing-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

/** A model's place with JSON files around it, by their path from the folder above it. */
async function place(files: Record<string, unknown> = {}): Promise<string> {
  const folder = await mkdtemp(join(root, 'case-'));
  await mkdir(join(folder, 'onnx'));
  for (const [name, content] of Object.entries(files))
    await writeFile(join(folder, name), typeof content === 'string' ? content : JSON.stringify(content));
  return join(folder, 'onnx', 'model.onnx');
}

const VIT = {
  do_normalize: true,
  do_rescale: true,
  do_resize: true,
  image_mean: [0.5, 0.5, 0.5],
  image_processor_type: 'ViTImageProcessor',
  image_std: [0.25, 0.5, 0.5],
  resample: 1,
  rescale_factor: 0.00392156862745098,
  size: { height: 224, width: 224 },
};

/** What a picture's red, green and blue byte become in the planes that the backbone sees, in its order. */
function seen(
  { mean, std }: Preprocessing,
  channels: 'rgb' | 'bgr',
  bytes: readonly number[],
): readonly number[] {
  const planes = bytes.map((x, i) => (x / 255 - mean[i]!) / std[i]!);
  return channels === 'bgr' ? planes.reverse() : planes;
}

describe('readPreprocessing', () => {
  it('caffe-bgr: bytes in BGR order less the mean', async () => {
    const { preprocessing, channels } = await readPreprocessing({
      modelPath: 'x.onnx',
      option: { from: 'caffe-bgr', size: 224 },
    });
    const [r, g, b] = [200, 100, 7];
    const wanted = [b - 103.939, g - 116.779, r - 123.68];
    seen(preprocessing, channels, [r, g, b]).forEach((x, i) => {
      expect(x).toBeCloseTo(wanted[i]!, 4);
    });
  });

  it('presets, with the size of the model, and options before them', async () => {
    const got = await readPreprocessing({ modelPath: 'x.onnx', option: 'imagenet', inputSize: 192 });
    expect(got).toEqual({
      preprocessing: {
        size: 192,
        fit: 'cover',
        background: [255, 255, 255],
        mean: [0.485, 0.456, 0.406],
        std: [0.229, 0.224, 0.225],
      },
      channels: 'rgb',
      source: 'imagenet',
      notes: [],
    });
    const option: PreprocessingOption = { from: 'half', size: 96, fit: 'contain', channels: 'bgr' };
    const over = await readPreprocessing({ modelPath: 'x.onnx', option });
    expect(over).toMatchObject({ channels: 'bgr', preprocessing: { size: 96, fit: 'contain' } });
    const bytes = { mean: [128, 128, 128], std: [128, 128, 128], scale: 1, size: 224 };
    const { preprocessing, source } = await readPreprocessing({ modelPath: 'x.onnx', option: bytes });
    expect(source).toBe('options');
    seen(preprocessing, 'rgb', [0, 128, 255]).forEach((x, i) => {
      expect(x).toBeCloseTo([-1, 0, 127 / 128][i]!, 6);
    });
  });

  it("transformers' file, beside the model or one folder above", async () => {
    for (const name of ['preprocessor_config.json', join('onnx', 'preprocessor_config.json')]) {
      const modelPath = await place({ [name]: VIT });
      const { preprocessing, notes, source } = await readPreprocessing({ modelPath });
      expect(preprocessing).toMatchObject({ size: 224, fit: 'fill', mean: [0.5, 0.5, 0.5] });
      expect(preprocessing.std[0]).toBeCloseTo(0.25, 6);
      expect(notes).toEqual([]);
      expect(source.endsWith('preprocessor_config.json')).toBe(true);
    }
  });

  it.each([
    [{ size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 } }, 224, 'cover', 1],
    [{ size: 256, do_center_crop: true, crop_size: 224, resample: 3 }, 224, 'cover', 2],
    [{ size: { shortest_edge: 224 }, crop_pct: 0.875 }, 224, 'cover', 1],
    [{ size: 384 }, 384, 'cover', 0],
    [{ fit: 'contain' }, 224, 'contain', 0],
  ] as const)('sizes and crops of %j', async (change, size, fit, notes) => {
    const modelPath = await place({ 'preprocessor_config.json': { ...VIT, ...change } });
    const got = await readPreprocessing({ modelPath });
    expect(got.preprocessing).toMatchObject({ size, fit });
    expect(got.notes.length).toBe(notes);
  });

  it('steps that are left out, and channels that are flipped after them', async () => {
    const flat = await place({ 'preprocessor_config.json': { ...VIT, do_normalize: false } });
    expect((await readPreprocessing({ modelPath: flat })).preprocessing).toMatchObject({ mean: [0, 0, 0] });
    const config = { ...VIT, do_rescale: false, do_flip_channel_order: true, image_mean: [10, 20, 30] };
    const flipped = await place({ 'preprocessor_config.json': { ...config, image_std: [1, 2, 4] } });
    const { preprocessing, channels } = await readPreprocessing({ modelPath: flipped });
    seen(preprocessing, channels, [11, 24, 42]).forEach((x, i) => {
      expect(x).toBeCloseTo([3, 2, 1][i]!, 4);
    });
  });

  it("timm's file", async () => {
    const pretrained = {
      input_size: [3, 288, 288],
      crop_pct: 0.9,
      crop_mode: 'center',
      interpolation: 'bicubic',
      mean: [0.1, 0.2, 0.3],
      std: [0.4, 0.5, 0.6],
      num_classes: 1000,
    };
    const modelPath = await place({ 'config.json': { architecture: 'x', pretrained_cfg: pretrained } });
    const got = await readPreprocessing({ modelPath });
    expect(got.preprocessing).toMatchObject({ size: 288, fit: 'cover', mean: [0.1, 0.2, 0.3] });
    expect(got.notes).toEqual([
      expect.stringContaining('resized to 320 and cropped to 288'),
      expect.stringContaining('not bicubic'),
    ]);
    const plain = await place({ 'data.json': { ...pretrained, crop_mode: 'squash', crop_pct: 1 } });
    const option = join(plain, '..', '..', 'data.json');
    expect((await readPreprocessing({ modelPath: plain, option })).preprocessing.fit).toBe('fill');
  });

  it('what a bundle writes is read back', async () => {
    const preprocessing: Preprocessing = {
      size: 32,
      fit: 'contain',
      background: [1, 2, 3],
      mean: [0.25, 0.5, 0.125],
      std: [0.5, 0.25, 1],
    };
    const modelPath = await place({ 'preprocessor_config.json': preprocessorConfig(preprocessing) });
    expect((await readPreprocessing({ modelPath })).preprocessing).toEqual(preprocessing);
  });

  it('never guesses: one line that says what to give', async () => {
    const bare = await place({ 'config.json': { model_type: 'resnet' } });
    const read = (option?: string | PreprocessingOption, modelPath = bare, inputSize?: number) =>
      readPreprocessing({ modelPath, option, inputSize });
    await expect(read()).rejects.toThrow(
      /model\.onnx: the preprocessing must be known, got no preprocessor_config\.json .*Give imagenet, half, clip, caffe-bgr, a JSON file/,
    );
    await expect(read('imagnet')).rejects.toThrow(/must be imagenet, .* or a JSON file, got 'imagnet'/);
    await expect(read('nowhere.json')).rejects.toThrow(/nowhere\.json: cannot be read/);
    await expect(read('imagenet')).rejects.toThrow(/the size of the model's pictures must be known/);
    await expect(read({ from: 'imagenet', size: 256 }, bare, 224)).rejects.toThrow(/own, 224, got 256/);
    await expect(read({ mean: [1, 2], std: [1, 1, 1] })).rejects.toThrow(/mean: must be three numbers/);
    await expect(read({ from: 'half', std: [0, 1, 1] })).rejects.toThrow(/std/);
    for (const [change, message] of [
      [{ do_pad: true }, /do_pad: pictures are not padded/],
      [{ size: { height: 8, width: 9 } }, /size: must be a square, got 8×9/],
      [{ image_mean: undefined }, /image_mean and image_std/],
      [{ image_std: [0, 1, 1] }, /std/],
      [{ size: undefined }, /size of the model's pictures/],
    ] as const)
      await expect(
        read(undefined, await place({ 'preprocessor_config.json': { ...VIT, ...change } })),
      ).rejects.toThrow(message);
    await expect(read(undefined, await place({ 'preprocessor_config.json': '{ broken' }))).rejects.toThrow(
      /is not valid JSON/,
    );
  });

  it('a model of fixed size decides over the file, and it is said', async () => {
    const modelPath = await place({ 'preprocessor_config.json': VIT });
    const got = await readPreprocessing({ modelPath, inputSize: 160 });
    expect(got.preprocessing.size).toBe(160);
    expect(got.notes).toEqual([expect.stringContaining('of 160 pixels are made')]);
  });
});
