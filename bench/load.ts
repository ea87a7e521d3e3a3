/**
 * Searches by picture against a server process: alone, at capacity, and at ten times that; latencies of what was accepted and of what
 * was refused, and the server's memory. Alone and at capacity autocannon waits for each answer; rates are kept by a process of its own
 * (`load-client.ts`), whatever the server answers: at ten times it is really sent ten times what it can do. Client and server
 * share the machine, so the figures are ratios, not the server's best; what the client took is told.
 *
 *   npm run build && npx tsx bench/load.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures
 *   … --seconds 60          of each part. Default 60.
 *   … --url http://host:7700 --key semblance_…   a server that runs already; its memory is then not read
 *   … --json
 *
 * For hours at capacity see `soak.ts`.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';
import { type LoadOrder, type LoadResult, readBodies } from './load-client.js';
import { memoryOf, startServer } from './server-process.js';
import { quantile } from './support/times.js';

const { values } = parseArgs({
  options: {
    catalog: { type: 'string' },
    pictures: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    url: { type: 'string' },
    key: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || values.pictures === undefined || (values.catalog ?? values.url) === undefined) {
  console.error(
    'npx tsx bench/load.ts --pictures <folder> (--catalog <folder> | --url <address> [--key <key>]) [--seconds 60] ' +
      '[--json]\n\nExample:\n  npx tsx bench/load.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures',
  );
  process.exit(values.help ? 0 : 2);
}
const seconds = Number(values.seconds);
const key = values.key;
const started =
  values.url === undefined ? await startServer(values.catalog ?? '', ['--read-only']) : undefined;
const url = values.url ?? started?.url ?? '';
const bodies = await readBodies(values.pictures);
let next = 0;

interface Part {
  readonly part: string;
  /** Requests a second that were sent; absent: as fast as answers came. */
  readonly rate: number | undefined;
  readonly accepted: number;
  readonly acceptedASecond: number;
  readonly refused: number;
  /** Of the refused, those that said when to try again. */
  readonly retryAfter: number;
  /** Neither: other statuses, errors of the connection, no answer in ten seconds. */
  readonly failed: number;
  /** Of what was accepted, milliseconds. */
  readonly p50: number;
  readonly p99: number;
  /** Of what was refused, milliseconds. */
  readonly refusedP50: number;
  readonly refusedP99: number;
  /** What the sending process took of the machine, cores; how late it was itself, milliseconds; connections that it opened. */
  readonly client: Pick<LoadResult, 'cores' | 'lagP99' | 'connections'> | undefined;
  /** Of the server's memory: MB at the end of the first tenth, and at the end. */
  readonly memory: readonly [number, number] | undefined;
}

try {
  await measure('warm-up', { connections: 2, seconds: 5 });
  const parts: Part[] = [];
  const add = async (part: string, options: Parameters<typeof measure>[1]) => {
    const made = await measure(part, options);
    parts.push(made);
    if (!values.json) print(made);
    return made;
  };
  const alone = await add('alone', { connections: 1, seconds: seconds / 2 });
  const full = await add('as many as it can', { connections: 8, seconds: seconds / 2 });
  const capacity = full.acceptedASecond;
  await add('at 0.8 of that', { seconds, rate: capacity * 0.8 });
  const over = await add('at ten times that', { seconds, rate: capacity * 10 });
  const ratio = over.p99 / alone.p99;
  if (values.json) console.log(JSON.stringify({ parts, overloadedP99: ratio }, null, 2));
  else console.log(`accepted p99 at ten times: ${ratio.toFixed(2)} × that alone (aim: 3)`);
} finally {
  started?.child.kill('SIGTERM');
}

async function measure(
  part: string,
  options: { readonly connections?: number; readonly seconds: number; readonly rate?: number },
): Promise<Part> {
  const memories: (number | undefined)[] = [];
  const watch = setInterval(async () => memories.push(await memoryOf(started?.child)), 1000);
  const say = setInterval(() => {
    const left = Math.max(0, Math.round(options.seconds - memories.length));
    process.stderr.write(`${part}: ${left} s left\n`);
  }, 10_000);
  const { rate, seconds } = options;
  const made =
    rate === undefined ? await asFastAsItCan(options.connections ?? 1, seconds) : await evenly(rate, seconds);
  clearInterval(watch);
  clearInterval(say);
  const known = memories.filter((value) => value !== undefined);
  return {
    part,
    rate,
    accepted: made.accepted.length,
    acceptedASecond: made.accepted.length / seconds,
    refused: made.refused.length,
    retryAfter: made.retryAfter,
    failed: made.failed,
    p50: quantile(made.accepted, 0.5),
    p99: quantile(made.accepted, 0.99),
    refusedP50: quantile(made.refused, 0.5),
    refusedP99: quantile(made.refused, 0.99),
    client:
      rate === undefined
        ? undefined
        : { cores: made.cores, lagP99: made.lagP99, connections: made.connections },
    memory:
      known.length < 2 ? undefined : [known[Math.floor(known.length / 10)] as number, known.at(-1) as number],
  };
}

async function asFastAsItCan(connections: number, seconds: number): Promise<LoadResult> {
  const [accepted, refused]: [number[], number[]] = [[], []];
  let failed = 0;
  const result = await new Promise<autocannon.Result>((resolve, reject) => {
    const instance = autocannon(
      {
        url: `${url}/v1/search`,
        connections,
        duration: seconds,
        timeout: 10,
        requests: [
          {
            method: 'POST',
            path: '/v1/search',
            headers: {
              'content-type': 'application/json',
              ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
            },
            setupRequest: (asked) => ({ ...asked, body: bodies[next++ % bodies.length] as string }),
          },
        ],
      },
      (error, result) => (error ? reject(error) : resolve(result)),
    );
    instance.on('response', (_client, status, _bytes, milliseconds) => {
      if (status === 200) accepted.push(milliseconds);
      else if (status === 503 || status === 429) refused.push(milliseconds);
      else failed++;
    });
  });
  const connectionsMade = { connections, lagP99: Number.NaN, cores: Number.NaN };
  return {
    accepted,
    refused,
    retryAfter: 0,
    failed: failed + result.errors + result.timeouts,
    ...connectionsMade,
  };
}

/** Sends at a rate from a process of its own. */
async function evenly(rate: number, seconds: number): Promise<LoadResult> {
  const order: LoadOrder = { url, pictures: values.pictures ?? '', key, rate, seconds };
  const script = join(import.meta.dirname, 'load-client.ts');
  const child = spawn(process.execPath, [...process.execArgv, script, JSON.stringify(order)], {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await once(child, 'close');
  return JSON.parse(text) as LoadResult;
}

function print(made: Part): void {
  const { part, rate, acceptedASecond, accepted, refused, failed, p50, p99, memory, client } = made;
  const sent = rate === undefined ? '' : `, ${rate.toFixed(0)}/s sent`;
  const held = memory === undefined ? '' : `, ${memory[0].toFixed(0)} → ${memory[1].toFixed(0)} MB`;
  const no =
    refused === 0
      ? '0 refused'
      : `${refused} refused (${made.retryAfter} say when to come again; p50 ${made.refusedP50.toFixed(1)} ms, p99 ${made.refusedP99.toFixed(1)} ms)`;
  const sender =
    client === undefined
      ? ''
      : `; the client took ${client.cores.toFixed(2)} cores, was ${client.lagP99.toFixed(1)} ms late (p99), opened ${client.connections} connections`;
  console.log(
    `${part}${sent}: ${acceptedASecond.toFixed(1)}/s accepted (${accepted}; p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms), ` +
      `${no}, ${failed} failed${held}${sender}`,
  );
}
