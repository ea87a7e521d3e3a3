/** `semblance search`: finds the pictures of a catalogue that are most like a given one. */
import CliTable from 'cli-table3';
import { Command, Option } from 'commander';
import { openEmbedder, sourceParts } from '../bundle/index.js';
import {
  type Catalog,
  type Edit,
  type Example,
  FILTER_HELP,
  openCatalog,
  PAGING_DEPTH,
  parseFilter,
  recordPicture,
  type SearchHit,
  type SearchResult,
  search,
  UnknownPictureError,
} from '../catalog/index.js';
import type { Region } from '../data/index.js';
import { GRANULARITY_NAMES, type LevelName, parseGranularity } from '../granularity/index.js';
import { CliError, errorMessage } from '../util/index.js';
import { positiveInteger, repeated, wholeNumber } from './options.js';
import { printable } from './printable.js';
import { BOX_HELP, boxOption } from './regions.js';

interface Options {
  catalog: string;
  model?: string;
  granularity: number;
  box?: Region;
  filter?: readonly string[];
  like?: readonly string[];
  unlike?: readonly string[];
  want?: readonly string[];
  avoid?: readonly string[];
  any?: readonly string[];
  groupBy: 'item' | 'none';
  diversity: number;
  minimumProbability?: number;
  level?: LevelName;
  sort?: string;
  facet?: readonly string[];
  cursor?: string;
  k: number;
  threads?: number;
  json?: true;
}

export function searchCommand(): Command {
  const names = Object.entries(GRANULARITY_NAMES).map(([name, gamma]) => `${name} (${gamma})`);
  return new Command('search')
    .description('find the pictures of a catalogue that are most like a given one')
    .argument('<picture>', 'a JPEG, PNG, WebP, GIF, AVIF or TIFF, or id:<id> of one in the catalogue')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--granularity <how>', `how alike: ${names.join(', ')}, or a number between`, granularity, 0)
    .option(
      '--filter <condition>',
      'only pictures that pass, e.g. colour=red,blue; all of several must hold (see below)',
      repeated,
    )
    .option('--box <box>', `only this part of the picture: ${BOX_HELP}`, boxOption)
    .option('--like <picture>', 'a further example: more like this one too', repeated)
    .option('--unlike <picture>', 'an example against: less like this one', repeated)
    .option('--want <attribute=value>', 'ask for a value, whatever the picture shows', repeated)
    .option('--avoid <attribute=value>', 'ask against a value', repeated)
    .option('--any <attribute>', 'the attribute counts no more', repeated)
    .addOption(
      new Option('--group-by <what>', 'item: the best picture of each item only')
        .choices(['item', 'none'])
        .default('none'),
    )
    .option('--diversity <share>', 'from 0, by likeness alone, to 1, all different', share('--diversity'), 0)
    .option(
      '--minimum-probability <share>',
      'only hits that agree at --level with at least this probability, from 0 to 1',
      share('--minimum-probability'),
    )
    .addOption(
      new Option('--level <name>', 'at which level --minimum-probability must hold (default: item)').choices(
        Object.keys(GRANULARITY_NAMES),
      ),
    )
    .option('--sort <column>', 'order the best by a column; column:descending for the other way round')
    .option('--facet <column>', 'count the values of a column over the best', repeated)
    .option('--cursor <text>', 'the next page: the cursor that the page before ended with')
    .option('-k <count>', `how many pictures, ${PAGING_DEPTH} at most`, wholeNumber(1, PAGING_DEPTH), 10)
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the hits as JSON, with the parts of each score and all attributes')
    .addHelpText(
      'after',
      `\n${FILTER_HELP}Columns: path, item_id, split, source, source_group and the attributes of the manifest.\n\nExample:\n` +
        '  $ semblance search cat.png --catalog runs/demo/catalog --granularity look --filter group=animals-nature -k 5\n' +
        '  $ semblance search shirt.jpg --catalog shop --granularity look --want colour=blue --avoid pattern=striped --group-by item\n' +
        '  $ semblance search cat.png --catalog runs/demo/catalog --minimum-probability 0.9 --level item\n',
    )
    .action(run);
}

// --- internal ---

async function run(picture: string, options: Options): Promise<void> {
  const { minimumProbability, level } = options;
  if (level !== undefined && minimumProbability === undefined)
    throw new CliError('search --level: must come with --minimum-probability. Give that as well');
  const filter = parseFilter(options.filter ?? []);
  const catalog = await openCatalog(options.catalog);
  try {
    const embedder = await openEmbedder(options.model ?? catalog.description.model.directory, {
      batchSize: 1,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    try {
      const { granularity, k } = options;
      const result = await search(catalog, embedder, {
        examples: [
          await queryExample(catalog, picture, options.box),
          ...(options.like ?? []).map((text) => example(text, 1)),
          ...(options.unlike ?? []).map((text) => example(text, -1)),
        ],
        granularity,
        limit: k,
        filter,
        edits: editsOf(options),
        groupBy: options.groupBy,
        diversity: options.diversity,
        ...(minimumProbability === undefined
          ? {}
          : { minimumProbability: { level: level ?? 'item', probability: minimumProbability } }),
        sort: sortOf(options.sort),
        facets: options.facet ?? [],
        cursor: options.cursor,
      });
      const { vectors: _, ...answer } = result;
      process.stdout.write(
        options.json
          ? `${JSON.stringify({ picture, granularity, k, filter, ...answer }, null, 2)}\n`
          : text(result, minimumProbability !== undefined),
      );
    } finally {
      await embedder.close();
    }
  } finally {
    await catalog.close();
  }
}

function text({ hits, facets, cursor, nothingSimilar }: SearchResult, isCut: boolean): string {
  const counts = Object.entries(facets).map(
    ([column, values]) =>
      `${column}: ${values
        .slice(0, SHOWN_FACETS)
        .map(({ value, count }) => `${printable(value)} ${count}`)
        .join(', ')}${values.length > SHOWN_FACETS ? ', …' : ''}\n`,
  );
  const next = cursor === undefined || hits.length === 0 ? '' : `more: --cursor ${cursor}\n`;
  const verdict =
    nothingSimilar === true
      ? 'nothing similar: no picture is more likely than not to be the same item, look or category\n'
      : '';
  const none = isCut ? 'no picture is likely enough; try a lower --minimum-probability\n' : undefined;
  return verdict + table(hits, none) + counts.join('') + next;
}

/** The picture to search for; with a box, that part of it, of one in the catalogue as well. */
async function queryExample(catalog: Catalog, text: string, box: Region | undefined): Promise<Example> {
  const plain = example(text, 1);
  if (box === undefined) return plain;
  if (!('id' in plain)) return { picture: { path: text, box } };
  const [record] = await catalog.store.get([plain.id]);
  if (record === undefined) throw new UnknownPictureError(plain.id);
  return { picture: { path: sourceParts(recordPicture(record)).source as string, box } };
}

function example(text: string, weight: 1 | -1): Example {
  return text.startsWith('id:') ? { id: text.slice('id:'.length), weight } : { picture: text, weight };
}

function editsOf({ want = [], avoid = [], any = [] }: Options): Edit[] {
  const parse = (option: string, text: string) => {
    const equals = text.indexOf('=');
    if (equals < 1 || equals === text.length - 1)
      throw new CliError(`search --${option}: must read attribute=value, got '${text}'`);
    return { attribute: text.slice(0, equals), value: text.slice(equals + 1) };
  };
  return [
    ...want.map((text) => ({ ...parse('want', text), want: true })),
    ...avoid.map((text) => ({ ...parse('avoid', text), want: false })),
    ...any.map((attribute) => ({ attribute, any: true as const })),
  ];
}

function sortOf(text: string | undefined) {
  if (text === undefined) return undefined;
  const [, column, direction] = /^(.*?)(?::(ascending|descending))?$/s.exec(text) as RegExpExecArray;
  return { column: column as string, direction: (direction ?? 'ascending') as 'ascending' | 'descending' };
}

function share(flag: string): (text: string) => number {
  return (text) => {
    const number = text.trim() === '' ? Number.NaN : Number(text);
    if (number >= 0 && number <= 1) return number;
    throw new CliError(`search ${flag}: must be a number from 0 to 1, got '${text}'`);
  };
}

const SHOWN_FACETS = 10;

function table(hits: readonly SearchHit[], none = 'no picture passes the filter\n'): string {
  if (hits.length === 0) return none;
  const isCalibrated = hits[0]?.probabilities !== undefined;
  const output = new CliTable({
    head: [
      '',
      'score',
      ...(isCalibrated ? ['same', 'item/look/category'] : []),
      'item',
      'picture',
      'attributes',
    ],
    colAligns: ['right', 'right', ...(isCalibrated ? (['left', 'right'] as const) : [])],
    style: { head: [], border: [], compact: true },
  });
  for (const hit of hits) {
    const attributes = Object.values(hit.attributes).map((values) => values.join(' '));
    output.push(
      [hit.rank, hit.score.toFixed(3), ...likelihood(hit), hit.itemId, hit.id, attributes.join(' · ')].map(
        (cell) => shorten(printable(String(cell))),
      ),
    );
  }
  return `${output.toString()}\n`;
}

/** The level, and the probabilities of all three; nothing where the catalogue is not calibrated. */
function likelihood({ probabilities, level }: SearchHit): string[] {
  if (probabilities === undefined) return [];
  const { item, look, category } = probabilities;
  const percents = [item, look, category].map((probability) => percent(probability));
  return [level ?? '–', `${percents.join(' / ')} %`];
}

/** Never 0 or 100: nothing is certain. */
function percent(probability: number): string {
  if (probability < 0.005) return '<1';
  return probability > 0.995 ? '>99' : String(Math.round(100 * probability));
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
