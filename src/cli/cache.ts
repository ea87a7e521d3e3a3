/** `semblance cache`: what is kept of frozen networks' features on disk, and its removal. */
import CliTable from 'cli-table3';
import { Argument, Command, InvalidArgumentError } from 'commander';
import {
  clearFeatureCaches,
  defaultFeatureCacheRoot,
  type FeatureSpaceFolder,
  listFeatureCaches,
} from '../data/index.js';

interface Options {
  folder: string;
  downTo: number;
}

export function cacheCommand(): Command {
  return new Command('cache')
    .description('list or remove the features of frozen networks that are kept on disk')
    .addArgument(
      new Argument('[action]', 'list what there is, or remove it').choices(['list', 'clear']).default('list'),
    )
    .option('--folder <folder>', 'where the features are kept', defaultFeatureCacheRoot())
    .option(
      '--down-to <gigabytes>',
      'clear: remove only what was used longest ago, until no more is left than this',
      gigabytes,
      0,
    )
    .addHelpText(
      'after',
      '\nWhat is removed is computed again when it is needed.\n\nExample:\n  $ semblance cache clear --down-to 5\n',
    )
    .action(run);
}

// --- internal ---

async function run(action: 'list' | 'clear', { folder, downTo }: Options): Promise<void> {
  if (action === 'list') {
    const folders = await listFeatureCaches(folder);
    process.stdout.write(
      `${folders.length === 0 ? '' : `${table(folders)}\n`}${total(folders)} in ${folder}\n`,
    );
    return;
  }
  const removed = await clearFeatureCaches(folder, downTo);
  process.stdout.write(`removed ${total(removed)} from ${folder}\n`);
}

function table(folders: readonly FeatureSpaceFolder[]): string {
  const output = new CliTable({
    head: ['folder', 'last used', 'network', 'features', 'stored as', 'records', 'size'],
    colAligns: ['left', 'left', 'left', 'left', 'left', 'right', 'right'],
    style: { head: [], border: [], compact: true },
  });
  for (const { directory, lastUsed, prefix, shape, precision, records, bytes } of folders) {
    output.push([
      directory.slice(-32, -24),
      new Date(lastUsed).toISOString().slice(0, 16).replace('T', ' '),
      prefix.slice(0, 8),
      shape.join('×'),
      precision,
      records.toLocaleString('en'),
      formatBytes(bytes),
    ]);
  }
  return output.toString();
}

function total(folders: readonly FeatureSpaceFolder[]): string {
  const bytes = folders.reduce((sum, folder) => sum + folder.bytes, 0);
  const records = folders.reduce((sum, folder) => sum + folder.records, 0);
  return `${records.toLocaleString('en')} records, ${formatBytes(bytes)}`;
}

/** In decimal units: 1 MB is a million bytes. */
function formatBytes(bytes: number): string {
  for (const [unit, size] of [
    ['GB', 1e9],
    ['MB', 1e6],
    ['kB', 1e3],
  ] as const) {
    if (bytes >= size) return `${(bytes / size).toFixed(1)} ${unit}`;
  }
  return `${bytes} bytes`;
}

function gigabytes(text: string): number {
  const number = text.trim() === '' ? Number.NaN : Number(text);
  if (!(Number.isFinite(number) && number >= 0)) {
    throw new InvalidArgumentError('It must be a number of gigabytes from 0 on.');
  }
  return number * 1e9;
}
