/**
 * Searches by picture against a server process: alone, at capacity, and at ten times that; latencies of what was accepted, what
 * was refused, and the server's memory. Rates are kept whatever the server answers, evenly spaced (autocannon, which does the
 * rest, sends the requests of a second at its beginning), so at ten times it is really sent ten times what it can do. Client and server share the machine: the figures are ratios, not the server's best.
 *
 *   npm run build && npx tsx bench/load.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures
 *   … --seconds 60          of each part. Default 60.
 *   … --minutes 30          a soak at capacity besides
 *   … --url http://host:7700 --key semblance_…   a server that runs already; its memory is then not read
 *   … --json
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { Agent, request } from 'node:http';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import autocannon from 'autocannon';

const { values } = parseArgs({
  options: {
    catalog: { type: 'string' },
    pictures: { type: 'string' },
    seconds: { type: 'string', default: '60' },
    minutes: { type: 'string' },
    url: { type: 'string' },
    key: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || values.pictures === undefined || (values.catalog ?? values.url) === undefined) {
  console.error(
    'npx tsx bench/load.ts --pictures <folder> (--catalog <folder> | --url <address> [--key <key>]) [--seconds 60] ' +
      '[--minutes 30] [--json]\n\nExample:\n  npx tsx bench/load.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures',
  );
  process.exit(values.help ? 0 : 2);
}
const seconds = Number(values.seconds);
const key = values.key;
const started = values.url === undefined ? await startServer(values.catalog ?? '') : undefined;
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
  /** Neither: other statuses, errors of the connection, no answer in ten seconds. */
  readonly failed: number;
  /** Of what was accepted, milliseconds. */
  readonly p50: number;
  readonly p99: number;
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
  if (values.minutes !== undefined)
    await add(`soak of ${values.minutes} minutes at 0.8`, {
      seconds: 60 * Number(values.minutes),
      rate: capacity * 0.8,
    });
  const ratio = over.p99 / alone.p99;
  if (values.json) console.log(JSON.stringify({ parts, overloadedP99: ratio }, null, 2));
  else console.log(`accepted p99 at ten times: ${ratio.toFixed(2)} × that alone`);
} finally {
  started?.child.kill('SIGTERM');
}

async function measure(
  part: string,
  options: { readonly connections?: number; readonly seconds: number; readonly rate?: number },
): Promise<Part> {
  const latencies: number[] = [];
  let [refused, failed] = [0, 0];
  const memories: (number | undefined)[] = [];
  const watch = setInterval(async () => memories.push(await memoryOf(started?.child)), 1000);
  const say = setInterval(() => {
    const left = Math.max(0, Math.round(options.seconds - memories.length));
    process.stderr.write(`${part}: ${latencies.length} accepted, ${refused} refused, ${left} s left\n`);
  }, 10_000);
  const told = (status: number, milliseconds: number) => {
    if (status === 200) latencies.push(milliseconds);
    else if (status === 503 || status === 429) refused++;
    else failed++;
  };
  if (options.rate === undefined)
    failed += await asFastAsItCan(options.connections ?? 1, options.seconds, told);
  else await evenly(options.rate, options.seconds, told);
  clearInterval(watch);
  clearInterval(say);
  latencies.sort((a, b) => a - b);
  const quantile = (q: number) => latencies[Math.min(latencies.length - 1, Math.floor(q * latencies.length))];
  const known = memories.filter((value) => value !== undefined);
  return {
    part,
    rate: options.rate,
    accepted: latencies.length,
    acceptedASecond: latencies.length / options.seconds,
    refused,
    failed,
    p50: quantile(0.5) ?? Number.NaN,
    p99: quantile(0.99) ?? Number.NaN,
    memory:
      known.length < 2 ? undefined : [known[Math.floor(known.length / 10)] as number, known.at(-1) as number],
  };
}

/** @returns requests that had no answer */
async function asFastAsItCan(
  connections: number,
  seconds: number,
  told: (status: number, milliseconds: number) => void,
): Promise<number> {
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
    instance.on('response', (_client, status, _bytes, milliseconds) => told(status, milliseconds));
  });
  return result.errors + result.timeouts;
}

/** Sends at a rate, whatever comes back. A request without an answer in ten seconds has failed (status 0). */
async function evenly(
  rate: number,
  seconds: number,
  told: (status: number, milliseconds: number) => void,
): Promise<void> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1000 });
  const open = new Set<Promise<void>>();
  const send = () =>
    new Promise<void>((resolve) => {
      const startedAt = performance.now();
      const end = (status: number) => {
        told(status, performance.now() - startedAt);
        resolve();
      };
      const sent = request(
        `${url}/v1/search`,
        {
          method: 'POST',
          agent,
          signal: AbortSignal.timeout(10_000),
          headers: {
            'content-type': 'application/json',
            ...(key === undefined ? {} : { authorization: `Bearer ${key}` }),
          },
        },
        (answer) => {
          answer.resume().once('end', () => end(answer.statusCode ?? 0));
          answer.once('error', () => end(0));
        },
      );
      sent.once('error', () => end(0));
      sent.end(bodies[next++ % bodies.length]);
    });
  const startedAt = performance.now();
  for (let n = 0; n < rate * seconds; n++) {
    const early = startedAt + (1000 * n) / rate - performance.now();
    if (early > 1) await setTimeout(early);
    const one = send();
    open.add(one);
    void one.then(() => open.delete(one));
  }
  await Promise.all(open);
  agent.destroy();
}

function print({ part, rate, acceptedASecond, accepted, refused, failed, p50, p99, memory }: Part): void {
  const sent = rate === undefined ? '' : `, ${rate.toFixed(0)}/s sent`;
  const held = memory === undefined ? '' : `, ${memory[0].toFixed(0)} → ${memory[1].toFixed(0)} MB`;
  console.log(
    `${part}${sent}: ${acceptedASecond.toFixed(1)}/s accepted (${accepted}), ${refused} refused, ${failed} failed; ` +
      `p50 ${p50.toFixed(1)} ms, p99 ${p99.toFixed(1)} ms${held}`,
  );
}

/** Resident, in MB, where the system says so. */
async function memoryOf(child: ChildProcess | undefined): Promise<number | undefined> {
  if (child === undefined) return undefined;
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /VmRSS:\s+(\d+)/.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1000;
}

async function readBodies(folder: string): Promise<string[]> {
  const names = (await readdir(folder, { recursive: true })).filter((name) =>
    /\.(png|jpe?g|webp)$/i.test(name),
  );
  if (names.length === 0) throw new Error(`${folder}: must hold pictures, got none`);
  const step = Math.max(1, Math.floor(names.length / 200));
  const chosen = names.sort().filter((_, i) => i % step === 0);
  return await Promise.all(
    chosen.map(async (name) =>
      JSON.stringify({ examples: [{ picture: (await readFile(join(folder, name))).toString('base64') }] }),
    ),
  );
}

async function startServer(catalog: string): Promise<{ child: ChildProcess; url: string }> {
  const program = join(import.meta.dirname, '../dist/cli/main.js');
  const child = spawn(
    process.execPath,
    [program, 'serve', '--catalog', catalog, '--port', '0', '--read-only'],
    {
      stdio: ['ignore', 'inherit', 'pipe'],
    },
  );
  return await new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      said += bytes;
      const found = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (found !== undefined) resolve({ child, url: found });
    });
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${said}`)));
  });
}
