/**
 * Hours of what a shop does, at about capacity: searches by upload and by id, filters with facets, lists, pictures for a screen,
 * writes and deletions, on a copy of a catalogue. Tells latencies by the minute, and by how much the server's memory grew: a
 * straight line through its resident memory after the warm-up (a third of the time). The aim is 5 % at most over half an hour.
 *
 *   npm run build && npx tsx bench/soak.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures
 *   … --minutes 30     Default 30.
 *   … --rate 40        requests a second. Default: nine tenths of what eight clients got done in ten seconds
 *   … --mix put=50,delete=50   shares of the traffic, to see what makes memory grow. Default: all kinds
 *   … --json
 */
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { linearRegression } from 'simple-statistics';
import { type Answer, openLoop, type PreparedRequest, prepareRequest } from './open-loop.js';
import { memoryOf, startServer } from './server-process.js';
import { quantile } from './support/times.js';

const { values } = parseArgs({
  options: {
    catalog: { type: 'string' },
    pictures: { type: 'string' },
    minutes: { type: 'string', default: '30' },
    rate: { type: 'string' },
    mix: { type: 'string' },
    json: { type: 'boolean', default: false },
    help: { type: 'boolean', default: false },
  },
});
if (values.help || values.catalog === undefined || values.pictures === undefined) {
  console.error(
    'npx tsx bench/soak.ts --catalog <folder> --pictures <folder> [--minutes 30] [--rate <requests a second>] [--mix upload=40,id=60] [--json]\n\n' +
      'Example:\n  npx tsx bench/soak.ts --catalog runs/demo/catalog --pictures runs/demo/data/pictures',
  );
  process.exit(values.help ? 0 : 2);
}

/** Shares of the traffic, in percent. */
const SHARES = { upload: 40, id: 22, filter: 10, image: 14, list: 4, put: 5, delete: 5 } as const;
type Kind = keyof typeof SHARES;
/** Of pictures for a screen, pixels: few, as a page has, so that what is kept of them is full before memory is watched. */
const WIDTHS = [96, 160, 240, 320] as const;
const shares: Partial<Record<Kind, number>> =
  values.mix === undefined
    ? SHARES
    : Object.fromEntries(values.mix.split(',').map((one) => [one.split('=')[0], Number(one.split('=')[1])]));
const KINDS = (Object.keys(SHARES) as Kind[]).flatMap((kind) => Array<Kind>(shares[kind] ?? 0).fill(kind));

const minutes = Number(values.minutes);
const root = await mkdtemp(join(tmpdir(), 'semblance-soak-'));
const stop = new AbortController();
process.once('SIGINT', () => stop.abort());
await cp(values.catalog, join(root, 'catalog'), { recursive: true });
const { child, url: address } = await startServer(join(root, 'catalog'));
try {
  const url = new URL(address);
  const make = await requestMaker(url, values.pictures);
  await capacity(make); // the first are slow
  const rate = values.rate === undefined ? 0.9 * (await capacity(make)) : Number(values.rate);
  process.stderr.write(`${rate.toFixed(1)} requests a second for ${minutes} minutes\n`);
  const samples: [number, number][] = [];
  const startedAt = performance.now();
  const since = () => (performance.now() - startedAt) / 60_000;
  const byMinute: Answer[][] = [];
  const statuses: Record<string, number> = {};
  const look = setInterval(async () => {
    const memory = await memoryOf(child);
    if (memory !== undefined) samples.push([since(), memory]);
  }, 1000);
  const say = setInterval(() => {
    const left = Math.max(0, minutes - since()).toFixed(1);
    process.stderr.write(`${samples.at(-1)?.[1].toFixed(0)} MB, ${left} min left\n`);
  }, 30_000);
  await openLoop(url, {
    rate,
    seconds: 60 * minutes,
    signal: stop.signal,
    next: make,
    told(answer) {
      const minute = Math.floor(since());
      byMinute[minute] ??= [];
      byMinute[minute].push(answer);
      const name = `${answer.kind} ${answer.status}`;
      statuses[name] = (statuses[name] ?? 0) + 1;
    },
  });
  clearInterval(look);
  clearInterval(say);
  const settled = samples.filter(([at]) => at > minutes / 3);
  const { m, b } = linearRegression(settled);
  const [from, to] = [b + m * (settled[0]?.[0] ?? 0), b + m * (settled.at(-1)?.[0] ?? 0)];
  const growth = (100 * (to - from)) / from;
  const rows = byMinute.map((answers, minute) => {
    const of = answers
      .filter(({ kind, status }) => (kind === 'upload' || kind === 'id') && status === 200)
      .map(({ latency }) => latency);
    const at = samples.filter(([time]) => Math.floor(time) === minute).map(([, memory]) => memory);
    const mean = at.reduce((sum, memory) => sum + memory, 0) / at.length;
    return {
      minute,
      requests: answers.length,
      refused: answers.filter(({ status }) => status === 503 || status === 429).length,
      p50: quantile(of, 0.5),
      p99: quantile(of, 0.99),
      memory: mean,
    };
  });
  if (values.json) console.log(JSON.stringify({ rate, minutes, growth, from, to, statuses, rows }, null, 2));
  else {
    console.log(
      '| minute | requests | refused | search p50, ms | p99, ms | memory, MB |\n|---|---|---|---|---|---|',
    );
    for (const { minute, requests, refused, p50, p99, memory } of rows)
      console.log(
        `| ${minute} | ${requests} | ${refused} | ${p50.toFixed(1)} | ${p99.toFixed(1)} | ${memory.toFixed(0)} |`,
      );
    console.log(
      Object.entries(statuses)
        .sort()
        .map(([name, count]) => `${name}: ${count}`)
        .join(', '),
    );
    console.log(
      `memory after the warm-up: ${from.toFixed(0)} → ${to.toFixed(0)} MB, ${growth.toFixed(1)} % (aim: at most 5)`,
    );
  }
} finally {
  child.kill('SIGTERM');
  await rm(root, { recursive: true, force: true, maxRetries: 5, retryDelay: 500 });
}

/** Requests a second that eight clients get answered, each of whom waits for its answers. */
async function capacity(make: () => PreparedRequest): Promise<number> {
  let done = 0;
  const seconds = 10;
  const end = performance.now() + 1000 * seconds;
  const url = new URL(address);
  const one = async () => {
    while (performance.now() < end && !stop.signal.aborted)
      await openLoop(url, {
        rate: 1,
        seconds: 1,
        next: make,
        told: ({ status }) => {
          if (status !== 0 && status !== 503) done++;
        },
      });
  };
  await Promise.all(Array.from({ length: 8 }, one));
  return done / seconds;
}

/** What makes the next request, in a fixed order. */
async function requestMaker(url: URL, folder: string): Promise<() => PreparedRequest> {
  const ask = async (path: string) => (await (await fetch(new URL(path, url))).json()) as never;
  const { pictures: known } = (await ask('/v1/pictures?limit=300')) as { pictures: { id: string }[] };
  const { attributes } = (await ask('/v1/catalog')) as {
    attributes: { name: string; values: { value: string }[] }[];
  };
  const [attribute] = attributes.filter(({ values: each }) => each.length > 1);
  const names = (await readdir(folder, { recursive: true })).filter((name) =>
    /\.(png|jpe?g|webp)$/i.test(name),
  );
  const step = Math.max(1, Math.floor(names.length / 300));
  const chosen = names.sort().filter((_, i) => i % step === 0);
  const pictures = await Promise.all(
    chosen.map(async (name) => (await readFile(join(folder, name))).toString('base64')),
  );
  let n = 0;
  const pick = <T>(of: readonly T[]): T => of[(n * 7919) % of.length] as T;
  const json = (kind: Kind, method: string, path: string, body: object) =>
    prepareRequest(url, {
      kind,
      method,
      path,
      headers: { 'content-type': 'application/json' },
      body: Buffer.from(JSON.stringify(body)),
    });
  return () => {
    n++;
    const kind = KINDS[(n * 37) % KINDS.length] as Kind;
    const id = encodeURIComponent(pick(known).id);
    if (kind === 'upload')
      return json(kind, 'POST', '/v1/search', {
        examples: [{ picture: pick(pictures) }],
        granularity: (n % 11) / 10,
      });
    if (kind === 'filter' && attribute !== undefined)
      return json(kind, 'POST', '/v1/search', {
        examples: [{ id: pick(known).id }],
        filter: [{ column: attribute.name, anyOf: [pick(attribute.values).value] }],
        facets: [attribute.name],
      });
    if (kind === 'put')
      return json(kind, 'PUT', `/v1/pictures/soak%20${n % 500}`, { picture: pick(pictures), itemId: 'soak' });
    if (kind === 'delete')
      return prepareRequest(url, { kind, method: 'DELETE', path: `/v1/pictures/soak%20${(n * 3) % 500}` });
    const path =
      kind === 'image'
        ? `/v1/pictures/${id}/image?width=${WIDTHS[n % WIDTHS.length]}`
        : kind === 'list'
          ? '/v1/pictures?limit=50'
          : `/v1/pictures/${id}/similar?limit=24`;
    return prepareRequest(url, { kind, method: 'GET', path });
  };
}
