import { CommanderError } from 'commander';
import { describe, expect, it } from 'vitest';
import { CliError } from '../util/index.js';
import { datasetCommand } from './dataset.js';

const run = (...args: string[]) =>
  datasetCommand()
    .exitOverride()
    .configureOutput({ writeErr() {}, writeOut() {} })
    .parseAsync(args, { from: 'user' });

describe('semblance dataset', () => {
  it.each([
    ['an unknown dataset', ['imagenet', 'folder'], "one of emoji is required, got 'imagenet'"],
    ['a name of every object', ['constructor', 'folder'], "got 'constructor'"],
  ])('refuses %s', async (_, args, message) => {
    await expect(run(...args)).rejects.toThrow(message);
    await expect(run(...args)).rejects.toBeInstanceOf(CliError);
  });

  it.each(['big', '5', '513', '16.5', ''])('refuses the size %j', async (size) => {
    const promise = run('emoji', 'folder', '--size', size);
    await expect(promise).rejects.toThrow(/--size <pixels>.*whole number from 16 to 512/);
    await expect(promise).rejects.toBeInstanceOf(CommanderError);
  });

  it('has help with an example', () => {
    let help = '';
    const command = datasetCommand().configureOutput({ writeOut: (text) => (help += text) });
    command.outputHelp();
    expect(help).toContain('$ semblance dataset emoji');
    expect(help).toContain('1,640 emoji');
  });

  it('wants both arguments', async () => {
    await expect(run('emoji')).rejects.toMatchObject({ code: 'commander.missingArgument' });
  });
});
