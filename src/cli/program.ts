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
    summary: 'build a dataset, write the manifest of one that you have, or check a manifest',
    load: async () => (await import('./dataset.js')).datasetCommand(),
  },
  train: {
    summary: 'train a model on the pictures and attributes of a manifest',
    load: async () => (await import('./train.js')).trainCommand(),
  },
  evaluate: {
    summary: 'judge a model, or embeddings from anywhere: Recall@K, MAP@R and more, at every level',
    load: async () => (await import('./evaluate.js')).evaluateCommand(),
  },
  calibrate: {
    summary: 'fit how likely a hit is the same item, look or category, for a model that is there',
    load: async () => (await import('./calibrate.js')).calibrateCommand(),
  },
  compare: {
    summary: 'train and judge several methods alike: seeds, intervals, significance, cost',
    load: async () => (await import('./compare.js')).compareCommand(),
  },
  robustness: {
    summary: 'attack the pictures that ask, and see what is left of the figures',
    load: async () => (await import('./robustness.js')).robustnessCommand(),
  },
  report: {
    summary: 'write what a run came to as one HTML file; several runs side by side',
    load: async () => (await import('./report.js')).reportCommand(),
  },
  embed: {
    summary: 'write the embeddings of pictures to a file (NumPy, Parquet)',
    load: async () => (await import('./embed.js')).embedCommand(),
  },
  export: {
    summary: 'make smaller variants of a model (fp16, int8), and measure what they lose',
    load: async () => (await import('./export.js')).exportCommand(),
  },
  index: {
    summary: 'embed the pictures of a manifest into a catalogue',
    load: async () => (await import('./index-command.js')).indexCommand(),
  },
  'embed-jobs': {
    summary: 'share the embedding of a catalogue in PostgreSQL among machines',
    load: async () => (await import('./embed-jobs.js')).embedJobsCommand(),
  },
  'embed-worker': {
    summary: 'embed pictures that are on the queue of such a catalogue',
    load: async () => (await import('./embed-worker.js')).embedWorkerCommand(),
  },
  catalog: {
    summary: 'look after a catalogue: statistics, add and remove, export and import, check, map',
    load: async () => (await import('./catalog.js')).catalogCommand(),
  },
  search: {
    summary: 'find the pictures of a catalogue that are like a picture',
    load: async () => (await import('./search.js')).searchCommand(),
  },
  serve: {
    summary: 'serve a catalogue: the page to search it with, and the HTTP API',
    load: async () => (await import('./serve.js')).serveCommand(),
  },
  doctor: {
    summary: 'try what semblance stands on: Node, onnxruntime, decoders, LanceDB, disk, catalogue, model',
    load: async () => (await import('./doctor.js')).doctorCommand(),
  },
  keys: {
    summary: 'API keys of a server: make, list, rotate, revoke',
    load: async () => (await import('./keys.js')).keysCommand(),
  },
  explain: {
    summary: 'say why one picture is like another, in words and with heat maps on both',
    load: async () => (await import('./explain.js')).explainCommand(),
  },
  plan: {
    summary: 'estimate what a catalogue of a given size needs: engine, machines, memory, time',
    load: async () => (await import('./plan.js')).planCommand(),
  },
  attributes: {
    summary: 'say what the model sees in a picture: its attributes, with probabilities',
    load: async () => (await import('./attributes.js')).attributesCommand(),
  },
  cache: {
    summary: 'the features of frozen networks that are kept on disk: list them, remove them',
    load: async () => (await import('./cache.js')).cacheCommand(),
  },
  inspect: {
    summary: 'say what an ONNX file holds, what of it can be trained, and what a training step costs',
    load: async () => (await import('./inspect.js')).inspectCommand(),
  },
  gradients: {
    summary: 'differentiate an ONNX file: outputs and gradients as .npy, to check against another framework',
    load: async () => (await import('./gradients.js')).gradientsCommand(),
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
