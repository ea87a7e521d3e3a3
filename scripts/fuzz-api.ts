/**
 * Fuzzes every route of the HTTP API: a real `semblance serve` in a process of its own, on a small catalogue, is sent valid
 * requests made of the OpenAPI document and such as nobody should send. No 5xx but a deliberate 503, no answer later than
 * five seconds, every error a problem, every success as documented; at the end the server searches, and its memory is flat.
 *
 *     npm run fuzz:api -- [--cases 5000] [--seed 0] [--json]
 *
 * Exit code 1 on a failure; each is printed with what is needed to send it again.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { parseArgs } from 'node:util';
import { streamProgress } from '../src/util/index.js';
import { describeFailure, fuzzApi } from '../test/fuzz/fuzz-api.js';
import { tinyHints } from '../test/fuzz/tiny-hints.js';
import { writeTinyCatalog } from '../test/support/tiny-catalog.js';

const { values } = parseArgs({
  options: {
    cases: { type: 'string', default: '5000' },
    seed: { type: 'string', default: '0' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
const [cases, seed] = [Number(values.cases), Number(values.seed)];
if (values.help || !Number.isInteger(cases) || cases < 1 || !Number.isInteger(seed)) {
  console.error('npm run fuzz:api -- [--cases 5000] [--seed 0] [--json]: two whole numbers, cases from 1 on');
  process.exit(values.help ? 0 : 2);
}

const root = await mkdtemp(join(tmpdir(), 'semblance-fuzz-'));
const tiny = await writeTinyCatalog(root);
const main = join(import.meta.dirname, '../src/cli/main.ts');
const server = spawn(
  process.execPath,
  ['--import', 'tsx', main, 'serve', '--catalog', tiny.catalog, '--port', '0', '--threads', '1'],
  { stdio: ['ignore', 'inherit', 'pipe'] },
);
process.on('exit', () => server.kill());
process.on('SIGINT', () => process.exit(130));
const said: string[] = [];
const baseUrl = await new Promise<string>((resolve, reject) => {
  createInterface({ input: server.stderr }).on('line', (line) => {
    said.push(line);
    const url = /^http:\S+/.exec(line)?.[0];
    if (url !== undefined) resolve(url);
  });
  server.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${said.join('\n')}`)));
});

const hints = await tinyHints(baseUrl, tiny);
const warmUp = Math.min(1000, Math.ceil(cases / 4));
console.error(`server at ${baseUrl}`);
const progress = streamProgress()('requests', cases);
const options = { baseUrl, ...hints };
const first = await fuzzApi({ ...options, cases: warmUp, seed: seed + 1_000_000 });
const before = await memory();
const result = await fuzzApi({
  ...options,
  cases,
  seed,
  onCase: (done, failures) => progress.update(done, `${failures} failures`),
});
progress.stop();
const after = await memory();
const failures = [...first.failures, ...result.failures];
if (server.exitCode !== null)
  console.log(`the server ended with ${server.exitCode}: ${said.slice(-5).join('\n')}`);
const search = await fetch(
  `${baseUrl}/v1/pictures/${encodeURIComponent('pictures/red 0.png')}/similar`,
).catch(() => undefined);
const isAlive = search?.status === 200 || search?.status === 404;
for (const failure of failures.slice(0, 20)) console.log(describeFailure(failure));
const grown = (after - before) / before;
const figures = {
  cases: first.cases + result.cases,
  failures: failures.length,
  slowestMs: Math.round(Math.max(first.slowestMs, result.slowestMs)),
  memoryMb: { before: Math.round(before / 2 ** 20), after: Math.round(after / 2 ** 20) },
  isAlive,
};
console.log(
  JSON.stringify(
    values.json ? { ...figures, valid: result.valid, statuses: result.statuses } : figures,
    null,
    2,
  ),
);
if (!values.json)
  for (const [route, [succeeded, of]] of Object.entries(result.valid))
    console.log(`${route}: ${succeeded} of ${of} valid requests succeeded`);
server.kill('SIGTERM');
await once(server, 'exit');
await rm(root, { recursive: true, force: true });
process.exitCode = failures.length > 0 || !isAlive || grown > 0.25 ? 1 : 0;

/** Bytes that the server holds: the heap after what can be freed was, and what is outside of it. */
async function memory(): Promise<number> {
  const text = await (await fetch(`${baseUrl}/metrics`)).text();
  return Number(/^process_resident_memory_bytes (\S+)/m.exec(text)?.[1] ?? Number.NaN);
}
