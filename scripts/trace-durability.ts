/**
 * Proves by the system calls that what was acknowledged was synced to the disk before: the processes of the crash tests are
 * run under `strace` (a package of that name on Linux), and each acknowledgement is compared with the writes and syncs
 * before it.
 *
 *     npm run trace -- [--kind upsert …] [--writes 30] [--seed 0] [--json]
 *
 * About a minute a kind. Exit code 1 when something was acknowledged that was not on the disk.
 */
import { spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import Table from 'cli-table3';
import { KINDS, type Kind } from '../test/chaos/kinds.js';
import { compileChildren } from '../test/chaos/run-chaos.js';
import { readSyncTrace, type SyncReport, TRACED_CALLS } from '../test/chaos/sync-trace.js';

const { values } = parseArgs({
  options: {
    kind: { type: 'string', multiple: true },
    writes: { type: 'string', default: '30' },
    seed: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help) {
  console.log(
    `npm run trace -- [--kind ${Object.keys(KINDS).join('|')} …] [--writes 30] [--seed 0] [--json]\n\n` +
      'Example: npm run trace -- --kind upsert',
  );
  process.exit(0);
}
const kinds = values.kind ?? Object.keys(KINDS);
const writes = Number(values.writes);
if (kinds.some((kind) => !Object.hasOwn(KINDS, kind)) || !Number.isInteger(writes) || writes < 1) {
  console.error(
    `trace: --writes takes a whole number from 1 on, --kind one of ${Object.keys(KINDS).join(', ')}, got ` +
      `${JSON.stringify(values)}. Correct the command`,
  );
  process.exit(2);
}

const { program, remove } = compileChildren();
process.on('exit', remove);
process.on('SIGINT', () => process.exit(130));
const results: (SyncReport & { kind: string })[] = [];
for (const kind of kinds as Kind[]) {
  process.stderr.write(`${kind}: ${writes} writes under strace\n`);
  results.push({ kind, ...(await traceKind(kind)) });
}
if (values.json) console.log(JSON.stringify(results, null, 2));
else {
  const table = new Table({
    head: ['kind', 'acknowledged', 'files written', 'syncs', 'not synced'],
    style: { head: [], border: [] },
  });
  for (const { kind, acknowledged, written, syncs, violations } of results)
    table.push([kind, acknowledged, written, syncs, violations.length]);
  console.log(table.toString());
  for (const { kind, violations } of results)
    for (const violation of violations) console.log(`${kind}: ${violation}`);
}
process.exitCode = results.some(({ violations, acknowledged }) => violations.length > 0 || acknowledged === 0)
  ? 1
  : 0;

async function traceKind(kind: Kind): Promise<SyncReport> {
  const root = realpathSync(mkdtempSync(join(tmpdir(), `semblance-trace-${kind}-`)));
  const folder = join(root, 'work');
  const trace = join(root, 'trace');
  try {
    const workload = await KINDS[kind]();
    mkdirSync(folder);
    await workload.prepare(folder);
    const argv = [
      '-f',
      '-y',
      '-s',
      '64',
      '-e',
      `trace=${TRACED_CALLS}`,
      '-o',
      trace,
      process.execPath,
      program,
    ];
    const child = spawn('strace', [...argv, kind, folder, String(values.seed), '1'], {
      stdio: ['ignore', 'pipe', 'inherit'],
      detached: true,
    });
    const stop = () => {
      try {
        process.kill(-(child.pid as number), 'SIGKILL');
      } catch {}
    };
    process.once('exit', stop);
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (part: string) => {
      said += part;
      if (said.split('\ndone\n').length > writes || said.endsWith('idle\n')) stop();
    });
    await new Promise<void>((done, reject) => {
      child.on('error', (error) => reject(new Error(`trace: strace must be installed: ${error.message}`)));
      child.on('close', () => done());
    });
    process.off('exit', stop);
    return readSyncTrace(readFileSync(trace, 'utf8'), folder, (path) => isTransient(kind, path));
  } finally {
    rmSync(root, { recursive: true, force: true });
  }
}

/**
 * What need not outlive a power failure: locks, the log of a training run's figures (the checkpoint is what is promised), and
 * cached features, which are computed again where a checksum is wrong.
 */
function isTransient(kind: Kind, path: string): boolean {
  return kind === 'cache' || path.endsWith('/metrics.jsonl') || path.endsWith('.lock');
}
