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
    [
      'a size that is no number',
      ['emoji', 'folder', '--size', 'big'],
      "a whole number is required, got 'big'",
    ],
    ['a size out of range', ['emoji', 'folder', '--size', '5'], 'from 16 to 512 is required, got 5'],
  ])('refuses %s', async (_, args, message) => {
    await expect(run(...args)).rejects.toThrow(message);
    await expect(run(...args)).rejects.toBeInstanceOf(CliError);
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
