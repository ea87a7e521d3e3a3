/** `semblance dataset inshop|cub|… <folder>`: the manifest of a public dataset that the user brings. */
import { Command, InvalidArgumentError, Option } from 'commander';
import { type DatasetReader, type ImportSummary, importDataset } from '../data/index.js';
import { silentProgress, streamProgress } from '../util/index.js';
import { interruptible } from './interruption.js';

interface Options {
  out?: string;
  valShare?: number;
  testShare?: number;
  benchmark?: string;
  boxes?: true;
  keepMissing?: true;
  json?: true;
  quiet?: true;
}

/** The command of one reader. */
export function datasetImportCommand(name: string, reader: DatasetReader): Command {
  const command = new Command(name)
    .description(`write the manifest of ${reader.title}, which you have`)
    .argument('<folder>', 'where it is unpacked')
    .option('--out <file>', "the manifest, CSV or JSONL (default: manifest.csv in the dataset's folder)")
    .option(
      '--val-share <share>',
      `share of the training items that become validation items, 0 to 0.9; 0 keeps the official split (default: ${reader.validationShare})`,
      share,
    )
    .option(
      '--boxes',
      'write the boxes: pictures are then cut to them (published protocols use whole pictures)',
    )
    .option('--keep-missing', 'keep rows whose picture is not on disk')
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress');
  const { benchmarks, testShare } = reader;
  if (testShare !== undefined) {
    command.option(
      '--test-share <share>',
      `share of the items to be judged on where there is no split, 0 to 0.9 (default: ${testShare})`,
      share,
    );
  }
  if (benchmarks !== undefined) {
    command.addOption(
      new Option('--benchmark <name>', 'which queries and gallery')
        .choices(benchmarks)
        .default(benchmarks[0]),
    );
  }
  return command
    .addHelpText(
      'after',
      `\nJudged by ${reader.protocol.judged}, Recall@${reader.protocol.recallAt.join(', ')}.\n` +
        `Licence: ${reader.licence}.\nFrom ${reader.homepage}\n\n` +
        `Example:\n  $ semblance dataset ${name} data/${name} --out ${name}.csv\n`,
    )
    .action(async (folder: string, options: Options) => {
      const summary = await interruptible(
        (signal) =>
          importDataset(reader, folder, {
            ...(options.out === undefined ? {} : { out: options.out }),
            ...(options.valShare === undefined ? {} : { validationShare: options.valShare }),
            ...(options.testShare === undefined ? {} : { testShare: options.testShare }),
            ...(options.benchmark === undefined ? {} : { benchmark: options.benchmark }),
            boxes: options.boxes === true,
            keepMissing: options.keepMissing === true,
            progress: options.quiet ? silentProgress : streamProgress(),
            signal,
          }),
        { isResumable: false },
      );
      process.stdout.write(options.json ? `${JSON.stringify(summary, null, 2)}\n` : `${describe(summary)}\n`);
    });
}

// --- internal ---

function share(text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (number >= 0 && number <= 0.9) return number;
  throw new InvalidArgumentError('It must be a number from 0 to 0.9.');
}

function describe(summary: ImportSummary): string {
  const count = (number: number) => number.toLocaleString('en');
  const splits = Object.entries(summary.splits).map(
    ([split, { pictures, items }]) => `${split} ${count(pictures)} of ${count(items)}`,
  );
  const attributes = Object.entries(summary.attributes).map(
    ([name, { values, pictures }]) => `${name} (${count(values)} values on ${count(pictures)})`,
  );
  const isComplete = summary.differences.length === 0;
  return [
    summary.manifest,
    `  ${summary.dataset}: ${count(summary.pictures)} pictures of ${count(summary.items)} items`,
    `  pictures of items by split: ${splits.join(', ')}`,
    ...(attributes.length === 0 ? [] : [`  attributes: ${attributes.join(', ')}`]),
    ...(summary.levels.length === 0 ? [] : [`  levels: --levels ${summary.levels.join(',')}`]),
    `  judged by ${summary.protocol.judged}, Recall@${summary.protocol.recallAt.join(', ')}`,
    ...summary.notes.map((note) => `  note: ${note}`),
    ...summary.differences.map((difference) => `  not the complete dataset? ${difference}`),
    ...summary.anomalies.map(
      ({ kind, count: number, first }) => `  odd: ${count(number)} ${kind} (first: ${first})`,
    ),
    ...(isComplete && summary.anomalies.length === 0 ? ['  nothing is odd about it'] : []),
    `  licence: ${summary.licence}; ${summary.homepage}`,
    `  sha256 ${summary.manifestHash}`,
  ].join('\n');
}
