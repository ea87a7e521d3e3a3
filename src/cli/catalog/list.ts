/** `semblance catalog list`: the records of a catalogue, by id. */
import CliTable from 'cli-table3';
import { Command } from 'commander';
import {
  FILTER_HELP,
  type Filter,
  isBaseColumn,
  openCatalog,
  parseFilter,
  type StoredRecord,
} from '../../catalog/index.js';
import { positiveInteger, repeated } from '../options.js';
import { printable } from '../printable.js';

interface Options {
  catalog: string;
  filter?: readonly string[];
  after?: string;
  limit: number;
  ids?: true;
  json?: true;
}

export function listCommand(): Command {
  return new Command('list')
    .description('the pictures of a catalogue, by id, all or those that pass a filter')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--filter <condition>', 'only pictures that pass; all of several must hold (see below)', repeated)
    .option('--after <id>', 'go on after this id')
    .option('--limit <count>', 'so many at most', positiveInteger, 50)
    .option('--ids', 'print the ids alone, one a line')
    .option('--json', 'print the records as JSON')
    .addHelpText(
      'after',
      `\n${FILTER_HELP}Columns: path, item_id, split, source, source_group, content_hash and the attributes.\n\nExample:\n` +
        '  $ semblance catalog list --catalog runs/demo/catalog --filter group=animals-nature --limit 10\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { limit, after } = options;
  const filter: Filter = parseFilter(options.filter ?? []);
  const catalog = await openCatalog(options.catalog);
  try {
    const { store, description } = catalog;
    const total = await store.count(filter);
    const reached: StoredRecord[] = [];
    const scan = { vectors: false, filter, limit: limit + 1, ...(after === undefined ? {} : { after }) };
    for await (const records of store.scan(scan)) reached.push(...records);
    const found = reached.slice(0, limit);
    const last = reached.length > limit ? found.at(-1)?.id : undefined;
    if (options.json) {
      const pictures = found.map(({ id, fields }) => ({ id, ...fields }));
      process.stdout.write(`${JSON.stringify({ total, pictures, next: last ?? null }, null, 2)}\n`);
    } else if (options.ids) process.stdout.write(found.map(({ id }) => `${id}\n`).join(''));
    else process.stdout.write(`${table(description.columns, found)}\n${found.length} of ${total}\n`);
    if (last !== undefined && !options.json) process.stderr.write(`more: --after ${JSON.stringify(last)}\n`);
  } finally {
    await catalog.close();
  }
}

function table(columns: readonly string[], records: readonly StoredRecord[]): string {
  const own = columns.filter((name) => !isBaseColumn(name));
  const shown = ['item_id', 'source', ...own].filter((name) =>
    records.some(({ fields }) => (fields[name]?.length ?? 0) > 0),
  );
  const output = new CliTable({ head: ['id', ...shown], style: { head: [], border: [], compact: true } });
  for (const { id, fields } of records)
    output.push(
      [id, ...shown.map((name) => (fields[name] ?? []).join(', ').slice(0, 40))].map((cell) =>
        printable(cell),
      ),
    );
  return output.toString();
}
