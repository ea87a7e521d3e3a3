/**
 * Two `semblance embed-worker`s beside one, each with one thread, over the same queue: times of the whole run, in turns, on
 * new catalogues; and their processor time, which says what two cost beside one where the cores are busy with other work. The
 * database is PGlite in a process of its own unless one is given; it takes its share of the cores.
 * Run: `npm run build && npx tsx bench/embed-workers.ts --model runs/demo/model --data runs/demo/data/manifest.csv
 *   [--split test] [--rounds 2] [--url postgres://user@host/database]`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { databaseAt } from './support/database.js';

const { values } = parseArgs({
  options: {
    model: { type: 'string' },
    data: { type: 'string' },
    split: { type: 'string', default: 'test' },
    rounds: { type: 'string', default: '2' },
    url: { type: 'string' },
  },
});
const { model, data, split } = values;
if (model === undefined || data === undefined) throw new Error('--model and --data are required');
const main = join(import.meta.dirname, '..', 'dist', 'cli', 'main.js');

const server = await databaseAt(values.url);
const { url } = server;
const times: Record<1 | 2, number[]> = { 1: [], 2: [] };
const processor: Record<1 | 2, number> = { 1: 0, 2: 0 };
for (let round = 0; round < Number(values.rounds); round++)
  for (const workers of [1, 2] as const) {
    const catalog = `${url}#bench-${process.pid}-${round}-${workers}`;
    await run('embed-jobs', 'add', '--catalog', catalog, '--model', model, '--data', data, '--split', split);
    const start = performance.now();
    const worker = () =>
      run('embed-worker', '--catalog', catalog, '--model', model, '--threads', '1', '--quiet');
    const said = await Promise.all(Array.from({ length: workers }, worker));
    const seconds = (performance.now() - start) / 1000;
    times[workers].push(seconds);
    const busy = said.reduce((sum, one) => sum + one.seconds, 0);
    processor[workers] += busy;
    console.log(
      `${workers}: ${seconds.toFixed(1)} s, of the processor ${busy.toFixed(1)} s · ` +
        said.map(({ text }) => text.trim()).join(' · '),
    );
  }
const total = (n: 1 | 2) => times[n].reduce((sum, time) => sum + time, 0);
console.log(`two workers are ${(total(1) / total(2)).toFixed(2)} times as fast as one`);
console.log(`and take ${(processor[2] / processor[1]).toFixed(2)} times its processor time`);
server.stop();

/** What it said, and the processor time that it took (by the shell's `times`, of its children). */
async function run(...args: string[]): Promise<{ text: string; seconds: number }> {
  const script = '"$@"; code=$?; times >&2; exit $code';
  const child = spawn('/bin/sh', ['-c', script, 'sh', process.execPath, main, ...args], {
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let [text, errors] = ['', ''];
  child.stdout.on('data', (chunk) => {
    text += chunk;
  });
  child.stderr.on('data', (chunk) => {
    errors += chunk;
  });
  const [code] = await once(child, 'close');
  if (code !== 0) throw new Error(`semblance ${args[0]} ended with ${code}: ${errors}`);
  const last = errors.trim().split('\n').at(-1) ?? '';
  const seconds = [...last.matchAll(/(\d+)m([\d.]+)s/g)].reduce(
    (sum, [, minutes, rest]) => sum + 60 * Number(minutes) + Number(rest),
    0,
  );
  return { text, seconds };
}
