/** `semblance catalog import`: what `semblance catalog export` wrote, into a catalogue. */
import { Command } from 'commander';
import { openEmbedder } from '../../bundle/index.js';
import { importCatalog, readExport } from '../../catalog/index.js';
import { DataError, errorMessage, silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { positiveInteger } from '../options.js';
import { tellWait } from '../waiting.js';

interface Options {
  catalog: string;
  model?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function importCommand(): Command {
  return new Command('import')
    .description('read an export into a catalogue, which is made if it is not there')
    .argument('<folder>', 'what `semblance catalog export` wrote')
    .requiredOption('--catalog <folder>', 'the catalogue; records of the same ids are replaced')
    .option('--model <folder>', 'the model bundle (default: where the export says it was)')
    .option(
      '--threads <count>',
      'threads of the model, where it is needed (default: all cores)',
      positiveInteger,
    )
    .option('--json', 'print the summary as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nWith the model that the export was made with nothing is embedded again. After an interruption the same command\n' +
        'begins anew, and does no harm.\n\nExample:\n' +
        '  $ semblance catalog import shop-export --catalog copy-of-shop --model runs/shop/model\n',
    )
    .action(run);
}

// --- internal ---

async function run(folder: string, options: Options): Promise<void> {
  const { model } = await readExport(folder);
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const embedder = await openEmbedder(options.model ?? model.directory, threads).catch((error) => {
    if (options.model !== undefined) throw error;
    throw new DataError(
      `the export's model cannot be opened: ${errorMessage(error)}. Give it: --model <folder>`,
      {
        file: folder,
        cause: error,
      },
    );
  });
  try {
    const report = await interruptible((signal) =>
      importCatalog({
        folder,
        directory: options.catalog,
        embedder,
        startProgress: options.quiet ? silentProgress : streamProgress(),
        signal,
        onWait: tellWait(options.catalog),
      }),
    );
    if (options.json) {
      process.stdout.write(`${JSON.stringify({ catalog: options.catalog, ...report }, null, 2)}\n`);
      return;
    }
    for (const { id, reason } of report.failures) process.stderr.write(`not imported: ${id}: ${reason}\n`);
    const again = report.embedded > 0 ? `, ${report.embedded} embedded again` : '';
    process.stdout.write(
      `${options.catalog}: ${report.total} pictures (${report.imported} imported${again})\n`,
    );
  } finally {
    await embedder.close();
  }
}
