/** `semblance keys`: the API keys of a server, in a file of hashes. A running server sees a change within a second. */
import CliTable from 'cli-table3';
import { Command, InvalidArgumentError, Option } from 'commander';
import {
  addKey,
  defaultKeysPath,
  isExpired,
  isValid,
  readKeys,
  revokeKey,
  rotateKey,
  SCOPES,
  type Scope,
  type StoredKey,
} from '../server/index.js';
import { presentTime } from '../util/index.js';

export function keysCommand(): Command {
  return new Command('keys')
    .description('API keys of a server; the file holds their hashes, and a running server sees each change')
    .addCommand(
      command('add', 'make a key, and print it: it is shown this once')
        .requiredOption('--name <name>', 'who will have it')
        .addOption(
          new Option('--scope <scope>', 'what it may do; admin includes all (may be given again)').argParser(
            scope,
          ),
        )
        .option('--expires <time>', 'how long it lives, e.g. 90d (default: until it is revoked)', duration)
        .addHelpText('after', '\nExample:\n  $ semblance keys add --name shop --scope search\n')
        .action(add),
    )
    .addCommand(
      command('list', 'list the keys: names, scopes, and which still open')
        .addHelpText('after', '\nExample:\n  $ semblance keys list\n')
        .action(list),
    )
    .addCommand(
      command('rotate', 'make a new key for a name, and let the old one end')
        .argument('<name>', 'whose key')
        .addOption(
          new Option('--grace <time>', 'how long the old one still opens, e.g. 15m, 0s')
            .argParser(duration)
            .default(DAY, '24h'),
        )
        .addHelpText('after', '\nExample:\n  $ semblance keys rotate shop --grace 1h\n')
        .action(rotate),
    )
    .addCommand(
      command('revoke', 'end the keys of a name, or one by its id, at once')
        .argument('<name>', 'a name or an id')
        .addHelpText('after', '\nExample:\n  $ semblance keys revoke shop\n')
        .action(revoke),
    )
    .addHelpText('after', '\nExample:\n  $ semblance keys add --name shop --scope search\n');
}

// --- internal ---

const DAY = 24 * 3600_000;
const UNITS: Readonly<Record<string, number>> = { s: 1000, m: 60_000, h: 3600_000, d: DAY };

interface Shared {
  file: string;
  json?: true;
}

function command(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .option('--file <file>', 'where the keys are', defaultKeysPath())
    .option('--json', 'print JSON');
}

async function add(
  options: Shared & { name: string; scope?: readonly Scope[]; expires?: number },
): Promise<void> {
  const { file, name, scope: scopes = ['search'], expires } = options;
  const made = await addKey(file, {
    name,
    scopes,
    ...(expires === undefined
      ? {}
      : { expiresAt: new Date(Date.parse(presentTime()) + expires).toISOString() }),
  });
  show(options, made);
}

async function rotate(name: string, options: Shared & { grace: number }): Promise<void> {
  show(options, await rotateKey(options.file, name, { graceMs: options.grace }));
}

async function revoke(name: string, { file, json }: Shared): Promise<void> {
  const ended = await revokeKey(file, name);
  if (json === true) print({ revoked: ended.map(withoutHash) });
  else for (const key of ended) process.stdout.write(`revoked ${key.id} (${key.name})\n`);
}

async function list({ file, json }: Shared): Promise<void> {
  const keys = await readKeys(file);
  if (json === true) {
    print({ file, keys: keys.map((key) => ({ ...withoutHash(key), state: stateOf(key) })) });
    return;
  }
  const table = new CliTable({
    head: ['id', 'name', 'scopes', 'made', 'state'],
    style: { head: [], border: [], compact: true },
  });
  for (const key of keys)
    table.push([key.id, key.name, key.scopes.join(' '), minute(key.createdAt), stateOf(key)]);
  process.stdout.write(
    keys.length === 0 ? `there are no keys in ${file}\n` : `${table.toString()}\n${file}\n`,
  );
}

/** The key itself goes to stdout alone, so that it can be piped to where it is kept. */
function show({ json, file }: Shared, { key, token }: { key: StoredKey; token: string }): void {
  if (json === true) {
    print({ ...withoutHash(key), key: token });
    return;
  }
  process.stderr.write(
    `${key.name}: ${key.scopes.join(', ')}; id ${key.id}, its hash is in ${file}. The key is shown this once:\n`,
  );
  process.stdout.write(`${token}\n`);
}

function withoutHash({ hash: _, ...key }: StoredKey): Omit<StoredKey, 'hash'> {
  return key;
}

function stateOf(key: StoredKey): string {
  if (key.revokedAt !== undefined) return `revoked ${minute(key.revokedAt)}`;
  if (isExpired(key)) return `ended ${minute(key.expiresAt ?? '')}`;
  return isValid(key) && key.expiresAt !== undefined ? `valid until ${minute(key.expiresAt)}` : 'valid';
}

function minute(time: string): string {
  return time.slice(0, 16).replace('T', ' ');
}

function print(value: unknown): void {
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function scope(text: string, before: readonly Scope[] = []): readonly Scope[] {
  const found = SCOPES.find((one) => one === text);
  if (found === undefined) throw new InvalidArgumentError(`It must be one of ${SCOPES.join(', ')}.`);
  return [...before, found];
}

/** Milliseconds. */
function duration(text: string): number {
  const [, number, unit = ''] = /^(\d{1,6})([smhd])$/.exec(text.trim()) ?? [];
  const factor = UNITS[unit];
  if (number === undefined || factor === undefined)
    throw new InvalidArgumentError('It must be a number with s, m, h or d: 30s, 15m, 24h, 90d.');
  return Number(number) * factor;
}
