/** `semblance index`: makes a catalogue of a manifest's pictures searchable, or brings it up to date. */
import { Command } from 'commander';
import { openEmbedder } from '../bundle/index.js';
import {
  findNumericColumns,
  type IndexReport,
  indexPictures,
  openCatalogForIndexing,
} from '../catalog/index.js';
import { type ManifestRow, readManifest } from '../data/index.js';
import { type StartProgress, silentProgress, streamProgress } from '../util/index.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { rowsOfSplit, SPLIT_CHOICES, type SplitChoice, splitChoice } from './splits.js';

interface Options {
  model: string;
  data: string;
  catalog: string;
  split: SplitChoice;
  batchSize: number;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function indexCommand(): Command {
  return new Command('index')
    .description('embed the pictures of a manifest into a catalogue that can be searched')
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL)')
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
    .option('--batch-size <pictures>', 'pictures that the model sees at a time', positiveInteger, 32)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nOnly new and changed pictures are embedded: the same command goes on after an interruption, and brings a\n' +
        'catalogue up to date. Unreadable pictures are listed, and are no failure.\n\nExample:\n' +
        '  $ semblance index --model runs/demo/model --data runs/demo/data/manifest.csv --catalog runs/demo/catalog --split test\n',
    )
    .action(run);
}

/** Brings a catalogue up to date with rows; `total` is the number of records it then has. */
export async function indexRows(options: {
  readonly model: string;
  readonly catalog: string;
  readonly rows: readonly ManifestRow[];
  /** Names of the manifest's attributes. */
  readonly attributes: readonly string[];
  readonly batchSize?: number;
  readonly threads?: number;
  readonly progress: StartProgress;
  readonly signal?: AbortSignal;
}): Promise<{ report: IndexReport; total: number }> {
  const { rows, attributes, progress, signal, batchSize, threads } = options;
  const embedder = await openEmbedder(options.model, {
    ...(batchSize === undefined ? {} : { batchSize }),
    ...(threads === undefined ? {} : { threads }),
  });
  try {
    const { catalog, publish } = await openCatalogForIndexing(options.catalog, embedder.bundle, {
      attributes,
      numericAttributes: findNumericColumns(
        rows.map((row) => row.attributes),
        attributes,
      ),
    });
    try {
      const report = await indexPictures({
        embedder,
        rows,
        store: catalog.store,
        startProgress: progress,
        signal,
      });
      await publish();
      return { report, total: await catalog.store.count() };
    } finally {
      await catalog.close();
    }
  } finally {
    await embedder.close();
  }
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const manifest = await readManifest(options.data);
  const rows = rowsOfSplit(manifest.rows, options.split, options.data);
  const { report, total } = await interruptible((signal) =>
    indexRows({
      ...options,
      rows,
      attributes: manifest.attributeNames,
      progress: options.quiet ? silentProgress : streamProgress(),
      signal,
    }),
  );
  print(options, rows, report, total);
}

function print(options: Options, rows: readonly ManifestRow[], report: IndexReport, total: number): void {
  const { failures, ...counts } = report;
  if (options.json) {
    const summary = { catalog: options.catalog, rows: rows.length, ...counts, total, failures };
    process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
    return;
  }
  for (const { reason } of failures) process.stderr.write(`unreadable: ${reason}\n`);
  const parts = [
    `${counts.embedded} embedded`,
    ...(counts.relabelled > 0 ? [`${counts.relabelled} with new labels`] : []),
    ...(counts.unchanged > 0 ? [`${counts.unchanged} unchanged`] : []),
    ...(failures.length > 0 ? [`${failures.length} unreadable`] : []),
  ];
  process.stdout.write(`${options.catalog}: ${total} pictures (${parts.join(', ')})\n`);
}
