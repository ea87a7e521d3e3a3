/** `semblance search`: finds the pictures of a catalogue that are most like a given one. */
import CliTable from 'cli-table3';
import { Command } from 'commander';
import { openEmbedder } from '../bundle/index.js';
import { openCatalog, parseFilter, type SearchHit, searchByPicture } from '../catalog/index.js';
import { GRANULARITY_NAMES, parseGranularity } from '../granularity/index.js';
import { CliError, errorMessage } from '../util/index.js';
import { positiveInteger, repeated } from './options.js';

interface Options {
  catalog: string;
  model?: string;
  granularity: number;
  filter?: readonly string[];
  k: number;
  threads?: number;
  json?: true;
}

export function searchCommand(): Command {
  const names = Object.entries(GRANULARITY_NAMES).map(([name, gamma]) => `${name} (${gamma})`);
  return new Command('search')
    .description('find the pictures of a catalogue that are most like a given one')
    .argument('<picture>', 'a JPEG, PNG, WebP, GIF, AVIF or TIFF')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--granularity <how>', `how alike: ${names.join(', ')}, or a number between`, granularity, 0)
    .option(
      '--filter <condition>',
      'only where column=value,value or column!=value; all of several must hold',
      repeated,
    )
    .option('-k <count>', 'how many pictures', positiveInteger, 10)
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the hits as JSON, with the parts of each score and all attributes')
    .addHelpText(
      'after',
      '\nColumns to filter by: path, item_id, split, source, source_group and the attributes of the manifest. A comma\n' +
        'inside a value is written \\, .\n\nExample:\n' +
        '  $ semblance search cat.png --catalog runs/demo/catalog --granularity look --filter group=animals-nature -k 5\n',
    )
    .action(run);
}

// --- internal ---

async function run(picture: string, options: Options): Promise<void> {
  const filter = parseFilter(options.filter ?? []);
  const catalog = await openCatalog(options.catalog);
  try {
    const embedder = await openEmbedder(options.model ?? catalog.description.model.directory, {
      batchSize: 1,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    try {
      const { granularity, k } = options;
      const hits = await searchByPicture({ catalog, embedder, picture, granularity, k, filter });
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ picture, granularity, k, filter, hits }, null, 2)}\n`
          : table(hits),
      );
    } finally {
      await embedder.close();
    }
  } finally {
    await catalog.close();
  }
}

function table(hits: readonly SearchHit[]): string {
  if (hits.length === 0) return 'no picture passes the filter\n';
  const output = new CliTable({
    head: ['', 'score', 'item', 'picture', 'attributes'],
    colAligns: ['right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const hit of hits) {
    const attributes = Object.values(hit.attributes).map((values) => values.join(' '));
    output.push(
      [hit.rank, hit.score.toFixed(3), hit.itemId, hit.id, attributes.join(' · ')].map((cell) =>
        shorten(printable(String(cell))),
      ),
    );
  }
  return `${output.toString()}\n`;
}

/** Control characters in names must not reach the terminal. */
function printable(text: string): string {
  return text.replace(/\p{Cc}/gu, (character) => JSON.stringify(character).slice(1, -1));
}

const LONGEST_CELL = 48;

function shorten(text: string): string {
  const characters = [...text];
  return characters.length <= LONGEST_CELL ? text : `${characters.slice(0, LONGEST_CELL - 1).join('')}…`;
}

function granularity(text: string): number {
  try {
    return parseGranularity(text);
  } catch (error) {
    throw new CliError(`search --${errorMessage(error)}`);
  }
}
