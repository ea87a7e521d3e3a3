/** `semblance dataset <name> <folder>`: builds a dataset that anybody can build. */
import { Command } from 'commander';
import { datasets } from '../data/index.js';
import { CliError, silentProgress, streamProgress } from '../util/index.js';
import { interruptible } from './interruption.js';
import { wholeNumber } from './options.js';

interface Options {
  size: number;
  art?: string[];
  json?: true;
  quiet?: true;
}

export function datasetCommand(): Command {
  const list = Object.entries(datasets).map(([name, { description }]) => `  ${name}  ${description}`);
  return new Command('dataset')
    .description('build a dataset: pictures, manifest, licences and a contact sheet')
    .argument('<name>', `one of: ${Object.keys(datasets).join(', ')}`)
    .argument('<folder>', 'where to build it; what is there already is kept')
    .option('--size <pixels>', 'width and height of the pictures, 16 to 512', wholeNumber(16, 512), 96)
    .option('--art <folder...>', 'look for installed art packages here first')
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      `\nDatasets:\n${list.join('\n')}\n\nExample:\n  $ semblance dataset emoji data/emoji\n`,
    )
    .action(async (name: string, folder: string, options: Options) => {
      const dataset = Object.hasOwn(datasets, name) ? datasets[name] : undefined;
      if (dataset === undefined) {
        throw new CliError(`dataset: one of ${Object.keys(datasets).join(', ')} is required, got '${name}'`);
      }
      const summary = await interruptible((signal) =>
        dataset.build(folder, {
          size: options.size,
          progress: options.quiet ? silentProgress : streamProgress(),
          onNotice: (line) => process.stderr.write(`${line}\n`),
          signal,
          ...(options.art === undefined ? {} : { artDirectories: options.art }),
        }),
      );
      process.stdout.write(options.json ? `${JSON.stringify(summary, null, 2)}\n` : `${describe(summary)}\n`);
    });
}

// --- internal ---

type Summary = Awaited<ReturnType<(typeof datasets)[string]['build']>>;

function describe(summary: Summary): string {
  const list = (counts: Readonly<Record<string, number>>) =>
    Object.entries(counts)
      .map(([name, count]) => `${name} ${count}`)
      .join(', ');
  return [
    `${summary.manifest}${summary.reused ? ' (was there already)' : ''}`,
    `  ${summary.pictures} pictures of ${summary.items} items`,
    `  items by split: ${list(summary.splits)}`,
    `  pictures by source: ${list(summary.sources)}`,
    `  sha256 ${summary.manifestHash}`,
  ].join('\n');
}
