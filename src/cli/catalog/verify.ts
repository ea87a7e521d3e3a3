/** `semblance catalog verify`: names what of a catalogue is broken, and mends it. */
import { Command } from 'commander';
import { type CatalogProblem, verifyCatalog } from '../../catalog/index.js';
import { CliError, DataError, silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { tellWait } from '../waiting.js';

interface Options {
  catalog: string;
  repair?: true;
  removeMissing?: true;
  hashes: boolean;
  model?: string;
  json?: true;
  quiet?: true;
}

export function verifyCommand(): Command {
  return new Command('verify')
    .description('look for what is broken: pictures, vectors, files, model; mend it with --repair')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option(
      '--repair',
      'restore catalog.json, embed changed pictures and wrong vectors again, remove what nobody needs',
    )
    .option('--remove-missing', 'with --repair: remove the records whose pictures are gone')
    .option('--no-hashes', 'only see whether pictures are there, do not read them')
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--json', 'print the problems as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nExit code 0 when nothing is broken, or all of it was mended; 1 else. Servers may go on meanwhile.\n\nExample:\n' +
        '  $ semblance catalog verify --catalog runs/demo/catalog --repair\n',
    )
    .action(run);
}

// --- internal ---

/** Problems of one kind that are named. */
const NAMED = 10;

async function run(options: Options): Promise<void> {
  if (options.removeMissing === true && options.repair !== true)
    throw new CliError('--remove-missing: needs --repair');
  const { pictures, problems, isMapStale } = await interruptible(
    (signal) =>
      verifyCatalog(options.catalog, {
        repair: options.repair === true,
        removeMissing: options.removeMissing === true,
        hashes: options.hashes,
        model: options.model,
        startProgress: options.quiet ? silentProgress : streamProgress(),
        signal,
        onWait: tellWait(options.catalog),
      }),
    { isResumable: false },
  );
  const left = problems.filter(({ repaired }) => !repaired);
  if (options.json)
    process.stdout.write(
      `${JSON.stringify({ catalog: options.catalog, pictures, problems, left: left.length, isMapStale }, null, 2)}\n`,
    );
  else {
    const seen =
      pictures === null ? 'the vectors cannot be read' : `${pictures.toLocaleString('en')} pictures`;
    const mended = problems.length - left.length;
    process.stdout.write(
      `${options.catalog}: ${seen}, ${problems.length === 0 ? 'nothing is broken' : `${problems.length} problems, ${mended} mended`}\n${describe(problems)}`,
    );
    if (isMapStale)
      process.stdout.write('the map is of an earlier state: `semblance catalog map` makes it anew\n');
  }
  if (left.length > 0) {
    const isMissing = left.some(({ kind }) => kind === 'missing-picture');
    const advice = options.repair !== true ? '--repair mends what can be mended' : 'See above';
    throw new DataError(
      `catalog verify: nothing must be broken, got ${left.length} ${left.length === 1 ? 'problem' : 'problems'}. ${advice}${isMissing ? '; --repair --remove-missing removes records without pictures' : ''}`,
      { file: options.catalog },
    );
  }
}

function describe(problems: readonly CatalogProblem[]): string {
  const kinds = [...new Set(problems.map(({ kind }) => kind))];
  return kinds
    .map((kind) => {
      const own = problems.filter((problem) => problem.kind === kind);
      const lines = own
        .slice(0, NAMED)
        .map(({ subject, detail, repaired }) => `  ${repaired ? 'mended ' : ''}${subject}: ${detail}\n`);
      if (own.length > NAMED) lines.push(`  and ${own.length - NAMED} more\n`);
      return `${kind} (${own.length})\n${lines.join('')}`;
    })
    .join('');
}
