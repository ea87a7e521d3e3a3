/**
 * The command line as a function. Commands are loaded when they are called, so that `--help` is quick. Exit codes: 0 fine, 1 failed,
 * 2 wrong usage, 130 interrupted.
 */
import { readFileSync } from 'node:fs';
import { Command, CommanderError } from 'commander';
import { CliError, errorMessage } from '../util/index.js';
import { Interrupted } from './interruption.js';

const COMMANDS: Readonly<Record<string, { summary: string; load: () => Promise<Command> }>> = {
  demo: {
    summary: 'the whole way on emoji: data, training, judgement, index, search, report',
    load: async () => (await import('./demo.js')).demoCommand(),
  },
  dataset: {
    summary: 'build a dataset: pictures and their manifest',
    load: async () => (await import('./dataset.js')).datasetCommand(),
  },
  train: {
    summary: 'train a model on the pictures and attributes of a manifest',
    load: async () => (await import('./train.js')).trainCommand(),
  },
  evaluate: {
    summary: 'judge a model: Recall@K, MAP@R and more, at every level',
    load: async () => (await import('./evaluate.js')).evaluateCommand(),
  },
  index: {
    summary: 'embed the pictures of a manifest into a catalogue',
    load: async () => (await import('./index-command.js')).indexCommand(),
  },
  search: {
    summary: 'find the pictures of a catalogue that are like a picture',
    load: async () => (await import('./search.js')).searchCommand(),
  },
};

/** Runs a command line, `argv` without node and script. @returns the exit code */
export async function main(argv: readonly string[]): Promise<number> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as {
    version: string;
  };
  const program = new Command('semblance')
    .description('visual search that knows how alike two pictures are')
    .version(version)
    .showHelpAfterError('(add --help for the options)')
    .addHelpText('after', '\nExample:\n  $ semblance demo\n');
  const names = argv.filter((argument) => !argument.startsWith('-'));
  const called = names[0] === 'help' ? names[1] : names[0];
  for (const [name, { summary, load }] of Object.entries(COMMANDS)) {
    program.addCommand(name === called ? await load() : new Command(name).description(summary));
  }
  exitByThrowing(program);
  try {
    await program.parseAsync(argv, { from: 'user' });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    process.stderr.write(`semblance: ${errorMessage(error)}\n`);
    if (error instanceof CliError) return 2;
    return error instanceof Interrupted ? 130 : 1;
  }
}

// --- internal ---

function exitByThrowing(command: Command): void {
  command.exitOverride();
  for (const subcommand of command.commands) exitByThrowing(subcommand);
}
