/** `semblance catalog remove`: records out of a catalogue, by id or by filter. */
import { createInterface } from 'node:readline/promises';
import { Command } from 'commander';
import { FILTER_HELP, openCatalog, parseFilter, removeRecords } from '../../catalog/index.js';
import { CliError, DataError, silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { repeated } from '../options.js';
import { printable } from '../printable.js';
import { tellWait } from '../waiting.js';

interface Options {
  catalog: string;
  filter?: readonly string[];
  yes?: true;
  dryRun?: true;
  json?: true;
  quiet?: true;
}

export function removeCommand(): Command {
  return new Command('remove')
    .description('remove pictures from a catalogue, by id or by filter')
    .argument('[ids...]', 'ids, as `semblance catalog list` shows them')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--filter <condition>', 'all pictures that pass; all of several must hold (see below)', repeated)
    .option('--yes', 'do not ask')
    .option('--dry-run', 'say what would be removed, and remove nothing')
    .option('--json', 'print the removed ids as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      `\nPictures that the catalogue keeps itself are deleted with their last record; other files stay.\n\n${FILTER_HELP}\nExample:\n` +
        "  $ semblance catalog remove --catalog shop --filter 'season=2019' --dry-run\n",
    )
    .action(run);
}

// --- internal ---

const AT_A_TIME = 500;

async function run(given: readonly string[], options: Options): Promise<void> {
  if (given.length > 0 === (options.filter !== undefined))
    throw new CliError('catalog remove: needs ids or --filter, and not both');
  const { ids, unknown } = await find(given, options);
  if (unknown.length > 0)
    throw new DataError(
      `catalog remove: every id must be in the catalogue, got '${unknown[0]}'${unknown.length > 1 ? ` and ${unknown.length - 1} more` : ''}. Nothing was removed`,
      { file: options.catalog },
    );
  if (options.dryRun !== true && ids.length > 0) await confirm(ids, options);
  const removed: string[] = [];
  if (options.dryRun !== true)
    await interruptible(async (signal) => {
      const bar = (options.quiet ? silentProgress : streamProgress())('removing', ids.length);
      try {
        for (let start = 0; start < ids.length; start += AT_A_TIME) {
          signal.throwIfAborted();
          removed.push(
            ...(await removeRecords(options.catalog, ids.slice(start, start + AT_A_TIME), {
              signal,
              onWait: tellWait(options.catalog),
            })),
          );
          bar.update(removed.length);
        }
      } finally {
        bar.stop();
      }
    });
  const shown = options.dryRun === true ? ids : removed;
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ catalog: options.catalog, dryRun: options.dryRun === true, ids: shown }, null, 2)}\n`,
    );
  else
    process.stdout.write(
      `${options.catalog}: ${shown.length} ${options.dryRun === true ? 'would be removed' : 'removed'}\n`,
    );
}

async function find(
  given: readonly string[],
  { catalog: directory, filter }: Options,
): Promise<{ ids: string[]; unknown: string[] }> {
  const catalog = await openCatalog(directory);
  try {
    if (filter === undefined) {
      const asked = [...new Set(given)];
      const records = await catalog.store.get(asked);
      return {
        ids: asked.filter((_, n) => records[n] !== undefined),
        unknown: asked.filter((_, n) => records[n] === undefined),
      };
    }
    const ids: string[] = [];
    const scan = { vectors: false, columns: ['path'], filter: parseFilter(filter) };
    for await (const records of catalog.store.scan(scan)) ids.push(...records.map(({ id }) => id));
    return { ids, unknown: [] };
  } finally {
    await catalog.close();
  }
}

async function confirm(ids: readonly string[], options: Options): Promise<void> {
  if (options.yes === true) return;
  const what = `${ids.length} ${ids.length === 1 ? 'picture' : 'pictures'} (${printable(ids.slice(0, 3).join(', '))}${ids.length > 3 ? ', …' : ''})`;
  if (process.stdin.isTTY !== true)
    throw new CliError(`catalog remove: would remove ${what}, and there is nobody to ask. Add --yes`);
  const lines = createInterface({ input: process.stdin, output: process.stderr });
  try {
    const answer = await lines.question(`Remove ${what} from ${options.catalog}? [y/N] `);
    if (!/^y(es)?$/i.test(answer.trim())) throw new DataError('catalog remove: nothing was removed');
  } finally {
    lines.close();
  }
}
