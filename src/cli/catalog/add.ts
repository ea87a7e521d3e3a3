/** `semblance catalog add`: picture files into a catalogue, one by one or many, without a manifest. */
import { parse } from 'node:path';
import { Command } from 'commander';
import { LiveCatalog, type PictureWrite, type WriteOutcome } from '../../catalog/index.js';
import { CliError, DataError, silentProgress, streamProgress } from '../../util/index.js';
import { interruptible } from '../interruption.js';
import { positiveInteger, repeated } from '../options.js';
import { tellWait } from '../waiting.js';

interface Options {
  catalog: string;
  item?: string;
  id?: string;
  attribute?: readonly string[];
  source?: string;
  copy?: true;
  model?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function addCommand(): Command {
  return new Command('add')
    .description('add picture files to a catalogue, or replace those of the same ids')
    .argument('<pictures...>', 'JPEG, PNG, WebP, GIF, AVIF or TIFF files')
    .requiredOption('--catalog <folder>', 'the catalogue, made by `semblance index`')
    .option('--item <id>', 'the item that all of them show (default: each file is an item of its name)')
    .option('--id <id>', 'the id of the record, for one file (default: the path as it was given)')
    .option(
      '--attribute <name=value>',
      'what is known of them; may be given again, for one name too',
      repeated,
    )
    .option('--source <name>', 'who made them')
    .option('--copy', 'keep a copy of the files in the catalogue (default: they stay where they are)')
    .option('--model <folder>', 'the model bundle (default: the one the catalogue was made with)')
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print what became of each as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nA server that has the catalogue open finds them with its next search. Exit code 1 when a file could not be added;\n' +
        'the others are. For many with different labels write a manifest and use `semblance index`.\n\nExample:\n' +
        '  $ semblance catalog add new/*.jpg --catalog shop --item shirt-17 --attribute colour=red --copy\n',
    )
    .action(run);
}

// --- internal ---

const AT_A_TIME = 64;

async function run(files: readonly string[], options: Options): Promise<void> {
  if (options.id !== undefined && files.length > 1)
    throw new CliError(`--id: names one picture, got ${files.length} files. Leave it out`);
  const attributes = parseAttributes(options.attribute ?? []);
  const writes = files.map(
    (path): PictureWrite => ({
      id: options.id ?? path.split('\\').join('/'),
      picture: { path, isCopied: options.copy === true },
      itemId: options.item ?? parse(path).name,
      attributes,
      ...(options.source === undefined ? {} : { source: options.source }),
    }),
  );
  const outcomes: WriteOutcome[] = [];
  await interruptible(async (signal) => {
    const live = await LiveCatalog.open(options.catalog, {
      pollMs: 0,
      onEvent: (event) => event.kind === 'waiting' && tellWait(options.catalog)(event),
      ...(options.model === undefined ? {} : { model: options.model }),
      ...(options.threads === undefined ? {} : { threads: options.threads }),
    });
    const bar = (options.quiet ? silentProgress : streamProgress())('adding', writes.length);
    try {
      for (let start = 0; start < writes.length; start += AT_A_TIME) {
        outcomes.push(...(await live.put(writes.slice(start, start + AT_A_TIME), { signal })));
        bar.update(outcomes.length);
      }
    } finally {
      bar.stop();
      await live.close();
    }
  });
  const failed = outcomes.flatMap((outcome) => (outcome.status === 'failed' ? [outcome] : []));
  const number = (status: WriteOutcome['status']) => outcomes.filter((one) => one.status === status).length;
  if (options.json) {
    const pictures = outcomes.map((one) =>
      one.status === 'failed' ? one : { id: one.id, status: one.status },
    );
    process.stdout.write(`${JSON.stringify({ catalog: options.catalog, pictures }, null, 2)}\n`);
  } else {
    for (const { reason } of failed) process.stderr.write(`not added: ${reason}\n`);
    process.stdout.write(
      `${options.catalog}: ${number('added')} added, ${number('replaced')} replaced, ${failed.length} not added\n`,
    );
  }
  if (failed.length > 0)
    throw new DataError(
      `catalog add: all pictures must be readable, got ${failed.length} that are not; see above`,
    );
}

function parseAttributes(texts: readonly string[]): Record<string, string[]> {
  const attributes: Record<string, string[]> = {};
  for (const text of texts) {
    const at = text.indexOf('=');
    if (at < 1 || at === text.length - 1)
      throw new CliError(`--attribute: must read name=value, got '${text}'`);
    const name = text.slice(0, at);
    attributes[name] = [...(attributes[name] ?? []), text.slice(at + 1)];
  }
  return attributes;
}
