/**
 * The client of `load.ts`, a process of its own: reads what to do as JSON from its arguments, tells what came of it as JSON.
 * Searches with pictures in base64, at a rate.
 */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { openLoop, prepareRequest } from './open-loop.js';

/** What `load.ts` asks for. */
export interface LoadOrder {
  readonly url: string;
  readonly pictures: string;
  readonly key: string | undefined;
  readonly rate: number;
  readonly seconds: number;
}

export interface LoadResult {
  /** Milliseconds. */
  readonly accepted: readonly number[];
  readonly refused: readonly number[];
  /** Of the refused, those that said when to try again. */
  readonly retryAfter: number;
  readonly failed: number;
  readonly connections: number;
  /** By how much this process itself was late, milliseconds. */
  readonly lagP99: number;
  /** Share of one core that this process took. */
  readonly cores: number;
}

/** The bodies of searches with 200 of a folder's pictures. */
export async function readBodies(folder: string): Promise<string[]> {
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

if (process.argv[1] === import.meta.filename) {
  const order = JSON.parse(process.argv[2] ?? '') as LoadOrder;
  const url = new URL(order.url);
  const requests = (await readBodies(order.pictures)).map((body) =>
    prepareRequest(url, {
      kind: 'search',
      method: 'POST',
      path: '/v1/search',
      headers: {
        'content-type': 'application/json',
        ...(order.key === undefined ? {} : { authorization: `Bearer ${order.key}` }),
      },
      body: Buffer.from(body),
    }),
  );
  const [accepted, refused]: [number[], number[]] = [[], []];
  let [n, failed, retryAfter] = [0, 0, 0];
  const lag = monitorEventLoopDelay({ resolution: 1 });
  lag.enable();
  const began = process.cpuUsage();
  const { connections } = await openLoop(url, {
    rate: order.rate,
    seconds: order.seconds,
    next: () => requests[n++ % requests.length] as (typeof requests)[number],
    told(answer) {
      if (answer.status === 200) accepted.push(answer.latency);
      else if (answer.status === 503 || answer.status === 429) {
        refused.push(answer.latency);
        if (answer.retryAfter) retryAfter++;
      } else failed++;
    },
  });
  const { user, system } = process.cpuUsage(began);
  const result: LoadResult = {
    accepted,
    refused,
    retryAfter,
    failed,
    connections,
    lagP99: lag.percentile(99) / 1e6,
    cores: (user + system) / 1e6 / order.seconds,
  };
  process.stdout.write(JSON.stringify(result), () => process.exit(0));
}
