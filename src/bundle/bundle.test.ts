import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { tinyBundle, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { sha256 } from '../util/index.js';
import { addVariant, readBundle, replaceCalibration, writeBundle } from './bundle.js';
import { parsePreprocessing, preprocessorConfig } from './format.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-bundle-'));
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});
const fresh = async () => await mkdtemp(join(root, 'case-'));
const editCard = async (directory: string, edit: (card: Record<string, unknown>) => unknown) => {
  const file = join(directory, 'semblance.json');
  const card = JSON.parse(await readFile(file, 'utf8')) as Record<string, unknown>;
  await writeFile(file, JSON.stringify(edit(card)));
};

const record = { notes: [], cosineDifference: { largest: 0, mean: 0, pictures: 1 }, measuredOn: 'nothing' };

describe('writeBundle and readBundle', () => {
  it('give back what was written, in the files of a transformers.js folder', async () => {
    const directory = await writeTinyBundle(await fresh());
    const content = tinyBundle();
    const bundle = await readBundle(directory);
    expect(bundle.card).toEqual(content.card);
    expect(bundle.preprocessing).toEqual(content.preprocessing);
    expect(bundle.modelHash).toBe(sha256(content.onnxModel));
    expect((await readdir(directory, { recursive: true })).sort()).toEqual([
      'config.json',
      'onnx',
      join('onnx', 'model.onnx'),
      'preprocessor_config.json',
      'semblance.json',
    ]);
    expect(JSON.parse(await readFile(join(directory, 'config.json'), 'utf8'))).toMatchObject({
      model_type: 'semblance',
      projection_dim: 12,
    });
  });

  it('keep a calibration, and refuse one of other levels', async () => {
    const directory = await writeTinyBundle(await fresh());
    const curve: [number, number][] = [
      [0, 0.1],
      [1, 0.9],
    ];
    const level = { curve, rate: 0.2, pairs: 10, agreeing: 2 };
    await replaceCalibration(directory, { levels: [level, null] });
    expect((await readBundle(directory)).card.calibration).toEqual({ levels: [level, null] });
    await expect(replaceCalibration(directory, { levels: [level] })).rejects.toThrow(
      /calibration: must be of 2 levels, got 1/,
    );
    expect((await readBundle(directory)).card.calibration).toEqual({ levels: [level, null] });
    await editCard(directory, (card) => ({
      ...card,
      calibration: { levels: [{ ...level, rate: 2 }, null] },
    }));
    await expect(readBundle(directory)).rejects.toThrow(/calibration\.levels\.0\.rate/);
  });

  it('tell vectors apart that do not compare: another model, preprocessing or schema', async () => {
    const base = tinyBundle();
    const { schema } = base.card;
    const hashes = new Set<string>();
    for (const content of [
      base,
      tinyBundle({ offset: -0.3 }),
      tinyBundle({ fit: 'cover' }),
      { ...base, card: { ...base.card, schema: { ...schema, levels: ['item_id'] } } },
      { ...base, card: { ...base.card, metrics: { recallAt1: 1 } } },
    ]) {
      const directory = join(await fresh(), 'model');
      await writeBundle(directory, content);
      hashes.add((await readBundle(directory)).vectorHash);
    }
    expect(hashes.size).toBe(4);
  });

  it('replace a bundle, and leave nothing beside it', async () => {
    const folder = await fresh();
    await writeTinyBundle(folder);
    const directory = await writeTinyBundle(folder, { offset: -0.3 });
    expect((await readBundle(directory)).modelHash).toBe(sha256(tinyBundle({ offset: -0.3 }).onnxModel));
    expect(await readdir(folder)).toEqual(['model']);
  });

  it('a reader always finds a whole bundle while a writer replaces it', async () => {
    const folder = await fresh();
    const directory = await writeTinyBundle(folder);
    const hashes = [-0.1, -0.3].map((offset) => sha256(tinyBundle({ offset }).onnxModel));
    let writing = true;
    const seen = new Set<string>();
    const reader = (async () => {
      while (writing) seen.add((await readBundle(directory)).modelHash);
    })();
    for (let round = 0; round < 6; round++)
      await writeTinyBundle(folder, { offset: round % 2 === 0 ? -0.3 : -0.1 });
    writing = false;
    await reader;
    for (const hash of seen) expect(hashes).toContain(hash);
  });

  it('a crash between the two renames loses nothing, for reader and writer', async () => {
    const folder = await fresh();
    const directory = await writeTinyBundle(folder);
    await rename(directory, join(folder, '.model.previous'));
    await mkdir(join(folder, '.model.incoming'));
    expect((await readBundle(directory)).card.dimension).toBe(12);
    await writeTinyBundle(folder, { offset: -0.3 });
    expect(await readdir(folder)).toEqual(['model']);
  });

  it('changes at the same moment are made one after the other, and none undoes another', async () => {
    const folder = await fresh();
    const directory = await writeTinyBundle(folder);
    const { modelHash } = await readBundle(directory);
    const calibration = { levels: [null, null] };
    await Promise.all([
      addVariant(directory, 'fp16', Uint8Array.of(1), record),
      replaceCalibration(directory, calibration, { modelHash }),
      addVariant(directory, 'int8', Uint8Array.of(2), record),
    ]);
    const { card, variants } = await readBundle(directory);
    expect([card.calibration, Object.keys(variants).sort()]).toEqual([calibration, ['fp16', 'int8']]);
    expect(await readdir(folder)).toEqual(['model']);
  });

  it('what was made for another model is refused', async () => {
    const folder = await fresh();
    const { modelHash } = await readBundle(await writeTinyBundle(folder));
    const directory = await writeTinyBundle(folder, { offset: -0.3 });
    for (const change of [
      () => addVariant(directory, 'fp16', Uint8Array.of(1), record, { modelHash }),
      () => replaceCalibration(directory, { levels: [null, null] }, { modelHash }),
    ])
      await expect(change()).rejects.toThrow(/model: the bundle got another model meanwhile\. Run /);
    expect((await readBundle(directory)).variants).toEqual({});
  });

  it('refuse to replace a folder that is no bundle', async () => {
    const folder = await fresh();
    await writeFile(join(folder, 'precious.txt'), 'x');
    await expect(writeBundle(folder, tinyBundle())).rejects.toThrow(/is no model bundle/);
    expect(await readdir(folder)).toEqual(['precious.txt']);
  });

  it('one clear line for what is not there, newer, mixed up or wrong', async () => {
    const directory = await writeTinyBundle(await fresh());
    const copy = async () => {
      const target = join(await fresh(), 'model');
      await cp(directory, target, { recursive: true });
      return target;
    };
    await expect(readBundle(join(root, 'nowhere'))).rejects.toThrow(
      /nowhere: there is no model bundle. Train one/,
    );
    const newer = await copy();
    await editCard(newer, (card) => ({ ...card, formatVersion: 2, schema: 'of a kind not known yet' }));
    await expect(readBundle(newer)).rejects.toThrow(
      /written by a newer semblance: format 2, and this one reads up to 1. Update/,
    );
    const mixed = await copy();
    await writeFile(join(mixed, 'onnx', 'model.onnx'), tinyBundle({ offset: -0.3 }).onnxModel);
    await expect(readBundle(mixed)).rejects.toThrow(/is not the one that semblance.json describes/);
    const noModel = await copy();
    await rm(join(noModel, 'onnx'), { recursive: true });
    await expect(readBundle(noModel)).rejects.toThrow(/model\.onnx: cannot be read/);
    const noDimension = await copy();
    await editCard(noDimension, ({ dimension: _, ...card }) => card);
    await expect(readBundle(noDimension)).rejects.toThrow(/semblance\.json: dimension: /);
    const badWeights = await copy();
    await editCard(badWeights, (card) => ({ ...card, levelWeights: [[1, 0]] }));
    await expect(readBundle(badWeights)).rejects.toThrow(/must be 2 lists of 3 weights/);
    const later = await copy();
    await editCard(later, (card) => ({ ...card, somethingNew: 'an addition of the same format' }));
    await expect(readBundle(later)).resolves.toBeDefined();
  });
});

describe('preprocessor_config.json', () => {
  it.each(['cover', 'contain', 'fill'] as const)('gives %s back', (fit) => {
    const preprocessing = { ...tinyBundle({ fit }).preprocessing, mean: [0.1, 0.2, 0.3] as const };
    const config = JSON.parse(JSON.stringify(preprocessorConfig(preprocessing))) as Record<string, unknown>;
    expect(parsePreprocessing(config, 'file')).toEqual(preprocessing);
  });

  it('refuses steps that are not done here', () => {
    const config = preprocessorConfig(tinyBundle().preprocessing);
    for (const [change, message] of [
      [{ do_normalize: false }, /do_normalize/],
      [{ rescale_factor: 1 }, /must be 1\/255/],
      [{ size: { height: 8, width: 9 } }, /square/],
      [{ size: { shortest_edge: 256 }, crop_size: { height: 224, width: 224 } }, /crop/],
      [{ image_std: [0, 1, 1] }, /image_std/],
    ] as const)
      expect(() => parsePreprocessing({ ...config, ...change }, 'file')).toThrow(message);
  });
});
