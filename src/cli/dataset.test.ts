import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { makeTree, picture } from '../../test/support/file-tree.js';
import { runMain } from '../../test/support/run-main.js';
import { datasetReaders } from '../data/index.js';
import { datasetCommand } from './dataset.js';

let root: string;
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-dataset-command-'));
});
afterEach(() => rm(root, { recursive: true, force: true }));

describe('semblance dataset', () => {
  it.each([
    ['an unknown dataset', ['imagenet', 'folder'], "unknown command 'imagenet'"],
    ['a name of every object', ['constructor', 'folder'], "unknown command 'constructor'"],
    ['no folder', ['emoji'], "missing required argument 'folder'"],
    ['an unknown option', ['inshop', 'folder', '--size', '9'], "unknown option '--size'"],
    ['too much validation', ['inshop', 'folder', '--val-share', '1'], 'It must be a number from 0 to 0.9.'],
    ['no share', ['inshop', 'folder', '--val-share', ''], 'It must be a number from 0 to 0.9.'],
  ])('refuses %s', async (_, args, message) => {
    const { code, stderr } = await runMain('dataset', ...args);
    expect(stderr).toContain(message);
    expect(code).toBe(2);
  });

  it.each(['big', '5', '513', '16.5', ''])('refuses the size %j', async (size) => {
    const { code, stderr } = await runMain('dataset', 'emoji', 'folder', '--size', size);
    expect(stderr).toMatch(/--size <pixels>.*whole number from 16 to 512/);
    expect(code).toBe(2);
  });

  it('has help with an example for every dataset', () => {
    const helpOf = (command: { outputHelp(): void; configureOutput(o: object): unknown }) => {
      let help = '';
      command.configureOutput({ writeOut: (text: string) => (help += text) });
      command.outputHelp();
      return help;
    };
    const command = datasetCommand();
    expect(helpOf(command)).toContain('$ semblance dataset emoji');
    for (const name of ['emoji', ...Object.keys(datasetReaders)]) {
      const found = command.commands.find((subcommand) => subcommand.name() === name)!;
      expect(helpOf(found)).toContain(`$ semblance dataset ${name}`);
    }
  });

  it('writes a manifest and says what it found', async () => {
    await makeTree(
      {
        'Eval/list_eval_partition.txt':
          '3\nimage_name item_id evaluation_status\nimg/MEN/Denim/id_1/01_1_front.jpg id_1 train\n' +
          'img/MEN/Denim/id_1/01_2_side.jpg id_1 train\nimg/MEN/Denim/id_2/01_1_front.jpg id_2 query\n',
        'img/MEN/Denim/id_1/01_1_front.jpg': picture,
        'img/MEN/Denim/id_2/01_1_front.jpg': picture,
      },
      root,
    );
    const out = join(root, 'out', 'inshop.csv');
    const { code, stdout } = await runMain('dataset', 'inshop', root, '--out', out, '--quiet');
    expect(code).toBe(0);
    expect(stdout).toContain('2 pictures of 2 items');
    expect(stdout).toContain('pictures of items by split: train 1 of 1, query 1 of 1');
    expect(stdout).toContain('odd: 1 listed pictures are not on disk and are left out (first: img/MEN');
    expect(stdout).toContain('odd: 1 items of queries have no picture in the gallery (first: id_2)');
    expect(stdout).toContain('not the complete dataset? train: 2 pictures are listed, 25882 are official');
    expect(stdout).toContain('licence: for non-commercial research only');
    expect(await readFile(out, 'utf8')).toContain('../img/MEN/Denim/id_1/01_1_front.jpg,id_1,train,');
    const json = JSON.parse((await runMain('dataset', 'inshop', root, '--json', '--quiet')).stdout);
    expect(json).toMatchObject({ pictures: 2, splits: { train: { pictures: 1, items: 1 } } });
    expect(json.manifest).toBe(join(root, 'manifest.csv'));
  });

  it('fails with one line', async () => {
    const { code, stderr } = await runMain('dataset', 'inshop', join(root, 'gone'));
    expect(code).toBe(1);
    expect(stderr).toBe(
      `semblance: ${join(root, 'gone')}: DeepFashion In-Shop: an existing folder is required, got none of this name\n`,
    );
  });
});
