/** `semblance catalog export`: a catalogue as a manifest, vectors and pictures. */
import { Command } from 'commander';
import { exportCatalog, FILTER_HELP, openHeldCatalog, parseFilter } from '../../catalog/index.js';
import { silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { repeated } from '../options.js';

interface Options {
  catalog: string;
  out: string;
  filter?: readonly string[];
  vectors: boolean;
  pictures: boolean;
  json?: true;
  quiet?: true;
}

export function exportCatalogCommand(): Command {
  return new Command('export')
    .description('write a catalogue as a manifest (CSV), its vectors (NumPy) and its pictures')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .requiredOption('--out <folder>', 'a new folder')
    .option('--filter <condition>', 'only pictures that pass; all of several must hold (see below)', repeated)
    .option('--no-vectors', 'leave the vectors out; an import embeds again')
    .option('--no-pictures', 'leave the pictures where they are')
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nThe folder appears when it is whole. In manifest.csv a cell that a spreadsheet would take for a formula begins\n' +
        `with '; records.jsonl beside it has everything exactly.\n\n${FILTER_HELP}\nExample:\n` +
        '  $ semblance catalog export --catalog shop --out shop-export\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { catalog } = await openHeldCatalog(options.catalog);
  try {
    const { pictures, missing } = await interruptible(
      (signal) =>
        exportCatalog(catalog, options.out, {
          filter: parseFilter(options.filter ?? []),
          vectors: options.vectors,
          pictures: options.pictures,
          startProgress: options.quiet ? silentProgress : streamProgress(),
          signal,
        }),
      { isResumable: false },
    );
    if (options.json)
      process.stdout.write(`${JSON.stringify({ out: options.out, pictures, missing }, null, 2)}\n`);
    else {
      for (const id of missing) process.stderr.write(`without its picture, which cannot be read: ${id}\n`);
      process.stdout.write(`${options.out}: ${pictures.toLocaleString('en')} pictures\n`);
    }
  } finally {
    await catalog.close();
  }
}
