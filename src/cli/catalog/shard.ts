/** `semblance catalog shard`: spreads a catalogue in PostgreSQL over several machines. */
import { Command } from 'commander';
import { positiveInteger } from '../options.js';

interface Options {
  catalog: string;
  shards?: number;
  json?: true;
}

export function shardCommand(): Command {
  return new Command('shard')
    .description('spread a catalogue in PostgreSQL over the machines of a Citus cluster, by id')
    .requiredOption('--catalog <url>', 'postgres://user@host/database#name')
    .option(
      '--shards <count>',
      "pieces, which lie on the machines in turn (default: Citus's own)",
      positiveInteger,
    )
    .option('--json', 'print what was done as JSON')
    .addHelpText(
      'after',
      `
After \`semblance embed-jobs add\` and before the workers start it costs nothing; later the records are moved. Another
model's records are another table: run it again.

Example:
  $ semblance catalog shard --catalog postgres://semblance@db/shop#clothes
`,
    )
    .action(async ({ catalog, shards, json }: Options) => {
      const { shardCatalog } = await import('../../catalog/sharding/index.js');
      const { table, wasDistributed } = await shardCatalog(catalog, { shards });
      process.stdout.write(
        json
          ? `${JSON.stringify({ table, wasDistributed })}\n`
          : `${table} ${wasDistributed ? 'was distributed before' : 'is distributed'}\n`,
      );
    });
}
