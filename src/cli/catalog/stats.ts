/** `semblance catalog stats`: what a catalogue holds, in numbers. */
import CliTable from 'cli-table3';
import { Command } from 'commander';
import { type CatalogStatistics, catalogStatistics, openCatalog } from '../../catalog/index.js';

interface Options {
  catalog: string;
  json?: true;
}

export function statsCommand(): Command {
  return new Command('stats')
    .description('pictures, items, columns with their values, model, size')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--json', 'print all of it as JSON')
    .addHelpText('after', '\nExample:\n  $ semblance catalog stats --catalog runs/demo/catalog\n')
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const catalog = await openCatalog(options.catalog);
  try {
    const statistics = await catalogStatistics(catalog);
    process.stdout.write(
      options.json ? `${JSON.stringify(statistics, null, 2)}\n` : describe(options.catalog, statistics),
    );
  } finally {
    await catalog.close();
  }
}

const count = (number: number) => number.toLocaleString('en');

function describe(directory: string, statistics: CatalogStatistics): string {
  const { pictures, items, columns, model, levels, bytes, keptPictures, generation } = statistics;
  const lines = [
    `${directory}: ${count(pictures)} pictures of ${count(items)} items`,
    `  model       ${model.directory}, generation ${generation}, ${model.dimension} dimensions (${statistics.vectorSize} stored)`,
    `  levels      ${levels.join(' > ')}`,
    `  on disk     ${(bytes / 2 ** 20).toFixed(1)} MB${keptPictures > 0 ? `, ${count(keptPictures)} pictures kept` : ''}`,
    `  changed     ${statistics.changedAt ?? 'unknown'}`,
    `  map         ${statistics.hasMap ? 'yes' : 'none; `semblance catalog map` makes one'}`,
  ];
  const table = new CliTable({
    head: ['column', 'kind', 'values', 'unknown', 'most frequent'],
    colAligns: ['left', 'left', 'right', 'right', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { name, kind, values, distinct, unknown, numeric } of columns)
    table.push([
      name.slice(0, 30),
      kind ?? (numeric === null ? '' : 'number'),
      count(distinct),
      count(unknown),
      values
        .slice(0, 3)
        .map(({ value, count: own }) => `${value.slice(0, 24)} (${count(own)})`)
        .join(', '),
    ]);
  return `${lines.join('\n')}\n${table.toString()}\n`;
}
