/** `semblance dataset …`: builds the emoji, writes the manifest of a public dataset, or checks a manifest. */
import { Command } from 'commander';
import { buildEmojiDataset, type DatasetSummary, datasetReaders } from '../data/index.js';
import { silentProgress, streamProgress } from '../util/index.js';
import { datasetCheckCommand } from './dataset-check.js';
import { datasetImportCommand } from './dataset-import.js';
import { interruptible } from './interruption.js';
import { wholeNumber } from './options.js';

export function datasetCommand(): Command {
  const command = new Command('dataset')
    .description('build a dataset, write the manifest of one that you have, or check a manifest')
    .addHelpText(
      'after',
      '\nExample:\n  $ semblance dataset emoji data/emoji\n  $ semblance dataset inshop ~/data/in-shop --out inshop.csv\n' +
        '  $ semblance dataset check inshop.csv --contact-sheet inshop.png\n',
    );
  command.addCommand(emojiCommand());
  for (const [name, reader] of Object.entries(datasetReaders)) {
    command.addCommand(datasetImportCommand(name, reader));
  }
  command.addCommand(datasetCheckCommand());
  return command;
}

// --- internal ---

interface EmojiOptions {
  size: number;
  art?: string[];
  json?: true;
  quiet?: true;
}

function emojiCommand(): Command {
  return new Command('emoji')
    .description('build 1,640 emoji, each drawn by up to six artists (artwork, not photographs)')
    .argument('<folder>', 'where to build it; what is there already is kept')
    .option('--size <pixels>', 'width and height of the pictures, 16 to 512', wholeNumber(16, 512), 96)
    .option('--art <folder...>', 'look for installed art packages here first')
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nWrites pictures, manifest.csv, licences and a contact sheet.\n\nExample:\n  $ semblance dataset emoji data/emoji\n',
    )
    .action(async (folder: string, options: EmojiOptions) => {
      const summary = await interruptible((signal) =>
        buildEmojiDataset(folder, {
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

function describe(summary: DatasetSummary): string {
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
