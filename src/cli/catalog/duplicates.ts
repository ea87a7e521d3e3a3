/** `semblance catalog duplicates`: pictures that are nearly the same, for whoever tidies a catalogue up. */
import CliTable from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  FILTER_HELP,
  findNearCopies,
  type NearCopies,
  openHeldCatalog,
  parseFilter,
} from '../../catalog/index.js';
import { runtimeProducts } from '../../evaluation/index.js';
import { silentProgress, streamProgress, writeFileAtomic } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { positiveInteger, repeated } from '../options.js';
import { printable } from '../printable.js';
import { copiesSheet } from './copies-sheet.js';

interface Options {
  catalog: string;
  threshold: number;
  items: 'same' | 'different' | 'both';
  filter?: readonly string[];
  limit: number;
  out?: string;
  threads: number;
  json?: true;
  quiet?: true;
}

export function duplicatesCommand(): Command {
  return new Command('duplicates')
    .description('pairs of pictures whose embeddings are nearly the same')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--threshold <cosine>', 'from this likeness on, above 0 and at most 1', cosine, 0.98)
    .addOption(
      new Option('--items <which>', 'pairs of the same item, of different items, or both')
        .choices(['same', 'different', 'both'])
        .default('both'),
    )
    .option('--filter <condition>', 'only among pictures that pass; all of several must hold', repeated)
    .option('--limit <pairs>', 'so many at most, the most alike', positiveInteger, 100)
    .option('--out <file>', 'also write the pairs side by side, as one HTML file')
    .option('--threads <count>', 'of the comparison', positiveInteger, 2)
    .option('--json', 'print the pairs as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nNearly the same for the model: two views of one thing may be as well as copies of a file. Different items that are\n' +
        `nearly the same are often one item under two names.\n\n${FILTER_HELP}\nExample:\n` +
        '  $ semblance catalog duplicates --catalog runs/demo/catalog --items different --out duplicates.html\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { threshold, items, limit } = options;
  const startProgress = options.quiet ? silentProgress : streamProgress();
  const { catalog } = await openHeldCatalog(options.catalog);
  const products = await runtimeProducts(options.threads);
  try {
    const { pairs, total, pictures } = await interruptible(
      async (signal) => {
        const result = await findNearCopies(catalog, {
          threshold,
          across: items,
          limit,
          filter: parseFilter(options.filter ?? []),
          products: products.block,
          startProgress,
          signal,
        });
        if (options.out !== undefined)
          await writeFileAtomic(
            options.out,
            await copiesSheet(result.pairs, {
              title: `${options.catalog}: pictures alike from ${threshold} on`,
              startProgress,
              signal,
            }),
          );
        return result;
      },
      { isResumable: false },
    );
    if (options.json) {
      const shown = pairs.map(({ similarity, isSameItem, pictures: two }) => ({
        similarity,
        sameItem: isSameItem,
        pictures: two.map(({ id, fields }) => ({
          id,
          item: fields.item_id?.[0] ?? '',
          path: fields.path?.[0] ?? id,
        })),
      }));
      process.stdout.write(`${JSON.stringify({ pictures, threshold, total, pairs: shown }, null, 2)}\n`);
      return;
    }
    if (pairs.length > 0) process.stdout.write(`${table(pairs)}\n`);
    process.stdout.write(
      `${options.catalog}: ${total.toLocaleString('en')} ${total === 1 ? 'pair' : 'pairs'} from ${threshold} on among ` +
        `${pictures.toLocaleString('en')} pictures${total > pairs.length ? `, the first ${pairs.length} shown` : ''}\n`,
    );
    if (options.out !== undefined) process.stdout.write(`side by side: ${options.out}\n`);
  } finally {
    await products.close();
    await catalog.close();
  }
}

function table(pairs: readonly NearCopies[]): string {
  const output = new CliTable({
    head: ['likeness', 'items', 'picture', 'and'],
    colAligns: ['right', 'left', 'left', 'left'],
    style: { head: [], border: [], compact: true },
  });
  for (const { pictures, similarity, isSameItem } of pairs) {
    const [a, b] = pictures;
    const names = isSameItem
      ? `same: ${a.fields.item_id?.[0] ?? ''}`
      : `${a.fields.item_id?.[0] ?? ''} ≠ ${b.fields.item_id?.[0] ?? ''}`;
    output.push([similarity.toFixed(4), names, a.id, b.id].map((cell) => printable(cell)));
  }
  return output.toString();
}

function cosine(text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (!(number > 0 && number <= 1)) throw new InvalidArgumentError('It must be above 0 and at most 1.');
  return number;
}
