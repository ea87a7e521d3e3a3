/** `semblance catalog tune`: measures how a catalogue is best searched, and has it searched so from then on. */
import CliTable from 'cli-table3';
import { Command, InvalidArgumentError } from 'commander';
import {
  BASE_COLUMNS,
  describePlan,
  isIndexable,
  openHeldCatalog,
  readDescription,
  TUNING_GRANULARITIES,
  type TuningResult,
  tuneIndex,
  whileWriting,
} from '../../catalog/index.js';
import { DataError, silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { positiveInteger } from '../options.js';
import { tellWait } from '../waiting.js';

interface Options {
  catalog: string;
  recall: number;
  k: number;
  queries: number;
  targetMs: number;
  hnsw?: true;
  always?: true;
  json?: true;
  quiet?: true;
}

export function tuneCommand(): Command {
  return new Command('tune')
    .description('measure exact search and indexes on a catalogue, and choose between them')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--recall <share>', 'how much of the exact answer an index must find', share, 0.99)
    .option('-k <count>', 'hits a search', positiveInteger, 50)
    .option('--queries <count>', 'pictures of the catalogue that ask', positiveInteger, 30)
    .option(
      '--target-ms <ms>',
      'exact search is chosen where half of the searches take no longer',
      positiveInteger,
      10,
    )
    .option('--hnsw', 'measure HNSW_SQ too, which takes long to build')
    .option('--always', 'measure indexes although exact search is quick enough (from 5,000 pictures on)')
    .option('--json', 'print the measurements as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      `\nAsks at granularity ${TUNING_GRANULARITIES.join(', ')}, without a filter and with filters of the catalogue's own columns\n` +
        'that keep about 10 % and 1 %; recall is that of the worst granularity. The choice is kept with the store.\n' +
        'Processes that have the catalogue open follow within a second.\n\nExample:\n' +
        '  $ semblance catalog tune --catalog runs/demo/catalog --recall 0.99\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { catalog } = await openHeldCatalog(options.catalog);
  try {
    const { store, description, layout } = catalog;
    if (!isIndexable(store))
      throw new DataError(
        'catalog tune: the catalogue must lie in a folder, got one in a database. Its index is made by itself',
        { file: options.catalog },
      );
    if ((await store.count()) === 0)
      throw new DataError('catalog tune: there must be pictures to measure with, got none', {
        file: options.catalog,
      });
    const result = await interruptible(
      (signal) =>
        tuneIndex({
          store,
          layout,
          levelWeights: description.levelWeights,
          filterColumns: description.columns.filter((column) => !NOT_FILTERED.has(column)),
          recall: options.recall,
          k: options.k,
          queries: options.queries,
          targetMs: options.targetMs,
          kinds: options.hnsw ? ['ivf-flat', 'hnsw-sq'] : ['ivf-flat'],
          always: options.always ?? false,
          startProgress: options.quiet ? silentProgress : streamProgress(),
          whileBuilding: (build, signal) =>
            whileWriting(
              options.catalog,
              async () => {
                const { store: present } = (await readDescription(options.catalog)).description;
                if (present !== description.store)
                  throw new DataError('catalog tune: the catalogue moved to another model. Run it again', {
                    file: options.catalog,
                  });
                await build();
              },
              { signal, onWait: tellWait(options.catalog) },
            ),
          signal,
        }),
      { isResumable: false },
    );
    process.stdout.write(options.json ? `${JSON.stringify(result, null, 2)}\n` : table(options, result));
  } finally {
    await catalog.close();
  }
}

/** Columns that tell pictures apart rather than describe them. */
const NOT_FILTERED: ReadonlySet<string> = new Set(
  BASE_COLUMNS.filter((column) => !/^(split|source)/.test(column)),
);

function table(options: Options, { records, queries, tried, chosen }: TuningResult): string {
  const output = new CliTable({
    head: ['plan', 'filter keeps', 'recall', 'p50 ms', 'p99 ms', 'built in', 'index'],
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { plan, measures, buildMs, bytes } of tried)
    measures.forEach(({ share, recall, p50Ms, p99Ms }, n) => {
      output.push([
        n === 0 ? describePlan(plan) : '',
        `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`,
        recall.toFixed(4),
        p50Ms.toFixed(1),
        p99Ms.toFixed(1),
        n === 0 && buildMs > 0 ? `${(buildMs / 1000).toFixed(1)} s` : '',
        n === 0 && bytes > 0 ? `${(bytes / 2 ** 20).toFixed(0)} MB` : '',
      ]);
    });
  return (
    `${output.toString()}\n${options.catalog}: ${records} pictures, ${queries} of them asked. ` +
    `Searched from now on: ${describePlan(chosen)}\n`
  );
}

function share(text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (!(number > 0 && number <= 1)) throw new InvalidArgumentError('It must be above 0 and at most 1.');
  return number;
}
