/**
 * The command line as a function of its arguments: help, exit codes, and messages for wrong usage and bad data.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { runMain } from '../../test/support/run-main.js';

const COMMANDS = [
  'demo',
  'dataset',
  'train',
  'evaluate',
  'compare',
  'index',
  'search',
  'inspect',
  'gradients',
];

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-program-'));
});
afterEach(() => {
  vi.restoreAllMocks();
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const run = runMain;

describe('help', () => {
  it('lists the commands, on stdout where it is asked for', async () => {
    for (const argv of [['--help'], ['help']]) {
      const { code, stdout, stderr } = await run(...argv);
      expect(code).toBe(0);
      expect(stderr).toBe('');
      for (const command of COMMANDS) expect(stdout).toMatch(new RegExp(`^ {2}${command} `, 'm'));
      expect(stdout).toContain('Example:\n  $ semblance demo');
    }
  });

  it.each(COMMANDS)('%s: says what it does, with an example', async (command) => {
    const { code, stdout } = await run(command, '--help');
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: semblance ${command} [options]`);
    expect(stdout).toMatch(new RegExp(`Example:\\n(  \\$ .*\\n)*  \\$ semblance ${command}`));
    expect((await run('help', command)).stdout).toBe(stdout);
  });

  it('the version is the package’s', async () => {
    const { code, stdout } = await run('--version');
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d+\.\d+\.\d+\n$/);
  });
});

describe('wrong usage ends with 2 and says what is wrong', () => {
  it.each([
    [[], /Usage: semblance/],
    [['serve'], /required option '--catalog <folder>'/],
    [['swim'], /error: unknown command 'swim'/],
    [['trian'], /unknown command 'trian'\s+\(Did you mean train\?\)/],
    [['--verbose'], /error: unknown option '--verbose'/],
    [
      ['train', '--data', 'x', '--out', 'y', '--recipee', 'z'],
      /unknown option '--recipee'\s+\(Did you mean --recipe\?\)/,
    ],
    [['train'], /error: required option '--data <manifest>' not specified/],
    [['train', '--data', 'x'], /error: required option '--out <folder>' not specified/],
    [['train', '--data', 'x', '--out'], /error: option '--out <folder>' argument missing/],
    [['train', '--data', 'x', '--out', 'y', '--steps', '0'], /--steps <count>.*whole number from 1 on/],
    [['train', '--data', 'x', '--out', 'y', '--seed', '-1'], /--seed <number>.*whole number from 0 on/],
    [
      ['train', '--data', 'x', '--out', 'y', '--recipe', 'z'],
      /semblance: train --recipe: must be one of emoji, got 'z'/,
    ],
    [
      ['train', '--data', 'x', '--out', 'y', '--recipe', 'constructor'],
      /must be one of emoji, got 'constructor'/,
    ],
    [
      ['train', '--data', 'x', '--out', 'y', '--set', 'steps'],
      /semblance: train --set: must be path=value, got 'steps'/,
    ],
    [
      ['train', '--data', 'x', '--out', 'y', '--set', 'loss.kind=x'],
      /semblance: configuration: loss\.kind: /,
    ],
    [['train', '--data', 'x', '--out', 'y', '--set', 'loss=5'], /semblance: configuration: loss: /],
    [['evaluate', '--model', 'x'], /evaluate: --model and --data, or --embeddings and --labels are required/],
    [['evaluate', '--model', 'x', '--labels', 'y'], /--model is about a model and --labels about embeddings/],
    [['evaluate', '--labels', 'y'], /--labels needs --embeddings, got none/],
    [['evaluate', '--query', 'y'], /--query and --gallery go together, got only --query/],
    [['evaluate', '--embeddings', 'x', '--levels', 'a,a'], /--levels: must be different names.*got 'a,a'/],
    [['evaluate', '--embeddings', 'x', '--recall-at', '1,0'], /--recall-at.*whole number from 1/],
    [
      ['evaluate', '--model', 'x', '--data', 'y', '--threads', 'z'],
      /--threads <count>.*whole number from 1 on/,
    ],
    [
      ['evaluate', '--model', 'x', '--data', 'y', '--split', 'query'],
      /semblance: --split: must be one of test, val, train, got 'query'/,
    ],
    [
      ['index', '--model', 'x', '--data', 'y', '--catalog', 'z', '--split', 'constructor'],
      /semblance: --split: must be one of all, test, .*, got 'constructor'/,
    ],
    [['index', '--model', 'x', '--data', 'y'], /error: required option '--catalog <folder>' not specified/],
    [['search', '--catalog', 'x'], /error: missing required argument 'picture'/],
    [['search', 'a.png'], /error: required option '--catalog <folder>' not specified/],
    [['search', 'a.png', 'b.png', '--catalog', 'x'], /error: too many arguments/],
    [['dataset', 'nosuch', 'folder'], /unknown command 'nosuch'/],
    [['gradients', 'a.onnx', '--out', 'x'], /required option '--input <name=file.npy>' not specified/],
    [['gradients', 'a.onnx', '--input', 'x=x.npy'], /required option '--out <folder>' not specified/],
    [
      ['gradients', 'a.onnx', '--input', 'x.npy', '--out', 'y'],
      /semblance: gradients --input: must be name=file\.npy, got 'x\.npy'/,
    ],
    [
      ['gradients', 'a.onnx', '--input', 'x=a', '--input', 'x=b', '--out', 'y'],
      /--input: each name once, got 'x' twice/,
    ],
    [['demo', '--seeds', 'x'], /--seeds <count>.*whole number from 1 on/],
  ])('%j', async (argv, message) => {
    const { code, stdout, stderr } = await run(...argv);
    expect(stderr).toMatch(message);
    expect(code).toBe(2);
    expect(stdout).toBe('');
  });
});

describe('bad data ends with 1 and one line that says where', () => {
  const train = (data: string, ...more: string[]) =>
    run('train', '--data', data, '--out', join(root, 'run'), '--quiet', ...more);

  it.each([
    ['nothing', '', /: manifest: a header line is required, got an empty file/],
    ['a header alone', 'path,item_id,split\n', /: manifest: at least one row is required, got none/],
    [
      'a missing column',
      'path,split\na.png,train\n',
      /:1: manifest: a column 'item_id' is required, got 'path', 'split'/,
    ],
    ['a row of too few cells', 'path,item_id,split\na.png,1\n', /:2: /],
    [
      'an unknown split',
      'path,item_id,split\na.png,1,train\nb.png,1,trian\n',
      /:3: split: one of train, val, .* got 'trian'/,
    ],
    [
      'no training pictures',
      'path,item_id,split\na.png,1,test\n',
      /: a manifest must have pictures of split 'train'/,
    ],
    [
      'fewer items than a batch',
      'path,item_id,split,hue\na.png,1,train,red\nb.png,2,train,blue\n',
      /: train: batch\.items must be at most .*, 2, got 32\. Add --set batch\.items=2/,
    ],
  ])('a manifest of %s', async (name, content, message) => {
    const file = join(root, `${name}.csv`);
    await writeFile(file, content);
    const { code, stdout, stderr } = await train(file);
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^semblance: \S.*\n$/);
    expect(stderr).toContain(file);
    expect(stdout).toBe('');
    expect(code).toBe(1);
  });

  it.each([
    [
      'a manifest that is not there',
      () => train(join(root, 'none.csv')),
      /none\.csv: manifest cannot be read: ENOENT/,
    ],
    [
      'a configuration that is not there',
      () => train('x', '--config', join(root, 'none.json')),
      /none\.json: cannot be read as JSON: ENOENT/,
    ],
    [
      'a model that is not there',
      () => run('evaluate', '--model', join(root, 'none'), '--data', 'x'),
      /none: there is no model bundle/,
    ],
    [
      'a catalogue that is not there',
      () => run('search', 'a.png', '--catalog', join(root, 'none')),
      /none: there is no catalogue/,
    ],
  ])('%s', async (_, call, message) => {
    const { code, stderr } = await call();
    expect(stderr).toMatch(message);
    expect(stderr).toMatch(/^semblance: \S.*\n$/);
    expect(code).toBe(1);
  });

  it.each([
    ['no JSON', '{'],
    ['no object', '[1]'],
  ])('a configuration that is %s', async (name, content) => {
    const file = join(root, `${name}.json`);
    await writeFile(file, content);
    const { code, stderr } = await train('x', '--config', file);
    expect(stderr).toMatch(/^semblance: .*\.json: (cannot be read as JSON|must hold one JSON object)/);
    expect(code).toBe(1);
  });
});
