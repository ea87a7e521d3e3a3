/**
 * Fine-tuning a file through the built command line: a network trained here stands for the backbone that others made.
 */
import { copyFile, mkdtemp, readdir, rm, truncate } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openEmbedder } from '../../src/bundle/index.js';
import { makePictures, semblance, TINY } from '../support/command-line.js';

let root = '';
let data = '';
let backbone = '';
let cache = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-fine-tune-'));
  data = await makePictures(root);
  cache = join(root, 'cache');
  const { code, stderr } = await semblance([
    ...['train', '--data', data, '--out', join(root, 'base'), ...TINY, '--steps', '6', '--quiet'],
  ]);
  expect(code, stderr).toBe(0);
  // Away from its folder, so that nothing beside it says how it wants its pictures.
  backbone = join(root, 'backbone.onnx');
  await copyFile(join(root, 'base', 'model', 'onnx', 'model.onnx'), backbone);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const SETTINGS = [
  'batch.items=4',
  'batch.picturesPerItem=2',
  'validateEvery=3',
  'warmUpSteps=2',
  'network.embeddingSize=8',
  'backbone.views=2',
].flatMap((setting) => ['--set', setting]);

const tune = (out: string, ...more: readonly string[]) =>
  semblance([
    ...['train', '--data', data, '--out', join(root, out), '--backbone', backbone, '--preprocessing', 'half'],
    ...['--steps', '6', '--cache-folder', cache, '--json', ...SETTINGS, ...more],
  ]);

describe('train --backbone', () => {
  it('heads alone: the backbone runs once a picture and view, and not again in another run', async () => {
    const first = await tune('heads', '--train', 'none');
    expect(first.code, first.stderr).toBe(0);
    expect(first.stderr).toContain('frozen; only the heads are trained');
    expect(first.stderr).toMatch(/cache: 30 pictures in 3 views, \[\d+\] each; 0 % were there/);
    const second = await tune('heads-again', '--train', 'none');
    expect(second.stderr).toMatch(/cache: 30 pictures in 3 views, .* 100 % were there/);
    const summary = (text: string) => (JSON.parse(text) as { validation: unknown }).validation;
    expect(summary(second.stdout)).toEqual(summary(first.stdout));
  });

  it('a torn cache is found out and made again', async () => {
    const folders = await readdir(cache);
    for (const folder of folders) {
      for (const file of await readdir(join(cache, folder))) {
        if (file.endsWith('.records')) await truncate(join(cache, folder, file), 100);
      }
    }
    const { code, stdout, stderr } = await tune('heads-torn', '--train', 'none');
    expect(code, stderr).toBe(0);
    expect(stderr).not.toMatch(/30 pictures in 3 views, .* 100 % were there/);
    const whole = await tune('heads', '--train', 'none');
    expect((JSON.parse(stdout) as { validation: unknown }).validation).toEqual(
      (JSON.parse(whole.stdout) as { validation: unknown }).validation,
    );
  });

  it.each([
    ['the last stage', ['--train', 'last-stage'], /trained are \d+ of its \d+ parameters/],
    [
      'everything',
      ['--train', 'all'],
      /trained are 9 of its 11 parameters, from stem\.convolution\.weight on/,
    ],
    [
      'everything with normalisation',
      ['--train', 'all', '--set', 'backbone.normalization=training'],
      /trained are/,
    ],
    ['adapters', ['--train', 'all', '--adapters', '2'], /low-rank adapters of \d+ matrices/],
    ['without a cache', ['--train', '2', '--cache', 'none'], /trained are/],
  ])('%s: a bundle that gives embeddings', async (name, argv, said) => {
    const { code, stdout, stderr } = await tune(name.replaceAll(' ', '-'), ...argv);
    expect(code, stderr).toBe(0);
    expect(stderr).toMatch(said);
    const { model } = JSON.parse(stdout) as { model: string };
    const embedder = await openEmbedder(model, { threads: 1 });
    const { embedding } = await embedder.embedOne(join(root, 'pictures', '3-1.png'));
    await embedder.close();
    expect(embedding).toHaveLength(8);
    expect(Math.hypot(...embedding)).toBeCloseTo(1, 4);
  });

  it.each([
    ['no preprocessing', ['--backbone', 'B'], 1, /the preprocessing must be known/],
    ['no such file', ['--backbone', 'gone.onnx', '--preprocessing', 'half'], 1, /gone\.onnx: /],
    [
      'a part that is none',
      ['--backbone', 'B', '--preprocessing', 'half', '--train', 'x*'],
      1,
      /names must be among/,
    ],
    [
      'a cache of what is trained',
      ['--backbone', 'B', '--preprocessing', 'half', '--train', 'all', '--cache', 'features'],
      1,
      /what is before 'features' must be frozen/,
    ],
    [
      'a cut that is none',
      ['--backbone', 'B', '--preprocessing', 'half', '--cache', 'stage9'],
      1,
      /backbone\.cache: must be auto, none, or one of features, /,
    ],
    ['flags without a backbone', ['--train', 'all'], 2, /are about a backbone, got none/],
    ['another hash', ['--backbone', 'B', '--preprocessing', 'half', '--sha256', 'a'.repeat(64)], 1, /a{64}/],
  ] as const)('%s is one line', async (_, argv, wanted, message) => {
    const { code, stderr } = await semblance([
      ...['train', '--data', data, '--out', join(root, 'none'), '--quiet', '--cache-folder', cache],
      ...argv.map((argument) => (argument === 'B' ? backbone : argument)),
    ]);
    expect(stderr).toMatch(message);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(code).toBe(wanted);
  });
});
