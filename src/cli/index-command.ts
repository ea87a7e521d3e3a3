/** `semblance index`: makes a catalogue of a manifest's pictures searchable, or brings it up to date. */
import { Command } from 'commander';
import { openEmbedder } from '../bundle/index.js';
import { type CatalogIndexReport, indexCatalog } from '../catalog/index.js';
import { type ManifestRow, readManifest } from '../data/index.js';
import { CliError, type StartProgress, silentProgress, streamProgress } from '../util/index.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { rowsOfSplit, SPLIT_CHOICES, type SplitChoice, splitChoice } from './splits.js';
import { tellWait } from './waiting.js';

interface Options {
  model: string;
  data?: string;
  catalog: string;
  split: SplitChoice;
  batchSize: number;
  threads?: number;
  prune?: true;
  json?: true;
  quiet?: true;
}

export function indexCommand(): Command {
  return new Command('index')
    .description('embed the pictures of a manifest into a catalogue that can be searched')
    .requiredOption('--model <folder>', 'the model bundle')
    .option(
      '--data <manifest>',
      "the manifest (CSV or JSONL); default: the catalogue's own pictures, for another model",
    )
    .requiredOption(
      '--catalog <folder>',
      'the catalogue; made if it is not there, brought up to date if it is',
    )
    .option(
      '--split <name>',
      `which pictures: ${SPLIT_CHOICES.join(', ')}`,
      splitChoice(SPLIT_CHOICES),
      'all',
    )
    .option('--prune', 'remove the records that --data, or the --split of it, does not mention')
    .option('--batch-size <pictures>', 'pictures that the model sees at a time', positiveInteger, 32)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nOnly new and changed pictures are embedded: the same command goes on after an interruption, and brings a\n' +
        'catalogue up to date. Unreadable pictures are listed, and are no failure. With another model the catalogue is\n' +
        'searched as before until everything is embedded, then all at once with the new one; records that --data does\n' +
        'not mention, and what is written meanwhile, come along.\n\nExample:\n' +
        '  $ semblance index --model runs/demo/model --data runs/demo/data/manifest.csv --catalog runs/demo/catalog --split test\n' +
        '  $ semblance index --model runs/better/model --catalog runs/demo/catalog\n',
    )
    .action(run);
}

/** Brings a catalogue up to date; what it then has is in the report. */
export async function indexRows(options: {
  readonly model: string;
  readonly catalog: string;
  /** Default: the catalogue's own pictures. */
  readonly rows?: readonly ManifestRow[] | undefined;
  /** Names of the manifest's attributes. */
  readonly attributes?: readonly string[] | undefined;
  readonly prune?: boolean;
  readonly batchSize?: number;
  readonly threads?: number;
  readonly progress: StartProgress;
  readonly signal?: AbortSignal;
}): Promise<CatalogIndexReport> {
  const { catalog, rows, attributes = [], prune = false, progress, signal, batchSize, threads } = options;
  const embedder = await openEmbedder(options.model, {
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    return await indexCatalog({
      directory: catalog,
      embedder,
      data: rows === undefined ? undefined : { rows, attributes },
      prune,
      startProgress: progress,
      signal,
      onWait: tellWait(catalog),
    });
  } finally {
    await embedder.close();
  }
}

// --- internal ---

async function run(options: Options): Promise<void> {
  if (options.data === undefined) {
    if (options.prune === true) throw new CliError('--prune: needs --data, which says what stays');
    if (options.split !== 'all') throw new CliError('--split: needs --data, whose splits it chooses from');
  }
  const manifest = options.data === undefined ? undefined : await readManifest(options.data);
  const rows = manifest && rowsOfSplit(manifest.rows, options.split, options.data);
  const report = await interruptible((signal) =>
    indexRows({
      ...options,
      rows,
      attributes: manifest?.attributeNames,
      progress: options.quiet ? silentProgress : streamProgress(),
      signal,
    }),
  );
  print(options, rows?.length, report);
}

function print(options: Options, rows: number | undefined, report: CatalogIndexReport): void {
  const { failures, total, ...counts } = report;
  if (options.json) {
    const summary = { catalog: options.catalog, rows: rows ?? null, ...counts, total, failures };
    process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    return;
  }
  for (const { reason } of failures) process.stderr.write(`unreadable: ${reason}\n`);
  const parts = [
    `${counts.embedded} embedded`,
    ...(counts.relabelled > 0 ? [`${counts.relabelled} with new labels`] : []),
    ...(counts.unchanged > 0 ? [`${counts.unchanged} unchanged`] : []),
    ...(counts.removed > 0 ? [`${counts.removed} removed`] : []),
    ...(counts.followed > 0 ? [`${counts.followed} written meanwhile`] : []),
    ...(failures.length > 0 ? [`${failures.length} unreadable`] : []),
    ...(counts.swapped ? ['the new model is in use'] : []),
  ];
  process.stdout.write(`${options.catalog}: ${total} pictures (${parts.join(', ')})\n`);
}
