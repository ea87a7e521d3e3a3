/** `semblance serve` as processes: asked to stop while it works, and two of them over one catalogue of which one is killed. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { type ClientRequest, type IncomingMessage, request } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { semblance } from '../support/command-line.js';
import { plainPicture, writeTinyBundle } from '../support/tiny-bundle.js';
import { shadeOf, type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';

const PROGRAM = join(import.meta.dirname, '../../dist/cli/main.js');

interface Served {
  readonly child: ChildProcess;
  readonly url: string;
  /** What it said on standard error so far. */
  said(): string;
  /** Its exit code, or the signal that ended it. */
  readonly ended: Promise<number | string>;
}

let root = '';
let tiny: TinyCatalog;
let started: Served[] = [];
beforeEach(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-serve-'));
  tiny = await writeTinyCatalog(root);
});
afterEach(async () => {
  for (const { child } of started) child.kill('SIGKILL');
  await Promise.all(started.map(({ ended }) => ended));
  started = [];
  await rm(root, { recursive: true, force: true });
});

async function serve(): Promise<Served> {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: run npm run build`);
  const argv = [PROGRAM, 'serve', '--catalog', tiny.catalog, '--port', '0', '--threads', '1'];
  const child = spawn(process.execPath, argv, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.setEncoding('utf8').on('data', (part: string) => {
    said += part;
  });
  const ended = once(child, 'exit').then(([code, signal]) => (code ?? signal) as number | string);
  const isUp = async () => /http:\/\/[\d.]+:\d+/.test(said) || child.exitCode !== null;
  await until(isUp);
  const url = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
  if (url === undefined) throw new Error(`serve did not begin: ${said}`);
  const served = { child, url, said: () => said, ended };
  started.push(served);
  return served;
}

/** @throws when it is not so within 30 seconds */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 1500; n++) {
    if (await isSo()) return;
    await wait(20);
  }
  throw new Error('it did not come about');
}

interface Sent {
  readonly request: ClientRequest;
  readonly status: Promise<number>;
}

/** A request whose body is sent later. */
function begin(url: string, method: string, path: string, type: string): Sent {
  const sent = request(`${url}${path}`, { method, headers: { 'content-type': type } });
  const status = new Promise<number>((resolve, reject) => {
    sent.once('error', reject);
    sent.once('response', (answer: IncomingMessage) => {
      answer.resume().once('end', () => resolve(answer.statusCode ?? 0));
      answer.once('error', reject);
    });
  });
  status.catch(() => {});
  return { request: sent, status };
}

const search = async (url: string, id = 'pictures/red 0.png') => {
  const answer = await fetch(`${url}/v1/search`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ examples: [{ id }] }),
  });
  return {
    status: answer.status,
    body: (await answer.json()) as { generation: string; hits: { id: string }[] },
  };
};
const put = async (url: string, id: string, shade: number) => {
  const picture = Buffer.from(await plainPicture(shadeOf(1, shade % 5))).toString('base64');
  const answer = await fetch(`${url}/v1/pictures/${encodeURIComponent(id)}`, {
    method: 'PUT',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ itemId: 'new', picture }),
  });
  await answer.arrayBuffer();
  return answer.status;
};
const has = async (url: string, id: string) =>
  (await fetch(`${url}/v1/pictures/${encodeURIComponent(id)}`)).status === 200;

describe('asked to stop', () => {
  it('answers all that it accepted, takes nothing new, and ends with 0', async () => {
    const { child, url, said, ended } = await serve();
    const picture = Buffer.from(await plainPicture(shadeOf(2, 1))).toString('base64');
    const bodies = [
      ...Array.from({ length: 6 }, () => JSON.stringify({ examples: [{ picture }] })),
      ...Array.from({ length: 6 }, () => JSON.stringify({ itemId: 'late', picture })),
    ];
    const sent = bodies.map((body, n) => {
      const isWrite = n >= 6;
      const path = isWrite ? `/v1/pictures/late%20${n}` : '/v1/search';
      const one = begin(url, isWrite ? 'PUT' : 'POST', path, 'application/json');
      one.request.write(body.slice(0, 40));
      return one;
    });
    const bulk = begin(url, 'POST', '/v1/bulk', 'application/x-ndjson');
    bulk.request.write('{"delete":"nobody"}\n');
    await wait(250);
    const asked = performance.now();
    child.kill('SIGTERM');
    await until(async () => said().includes('stopping'));
    await until(async () =>
      fetch(`${url}/health/live`).then(
        () => false,
        () => true,
      ),
    );
    for (const [n, { request: one }] of sent.entries()) one.end((bodies[n] as string).slice(40));
    bulk.request.end('{"delete":"nobody"}\n');
    expect(await Promise.all(sent.map(({ status }) => status))).toEqual([
      ...Array<number>(6).fill(200),
      ...Array<number>(6).fill(201),
    ]);
    expect(await bulk.status).toBe(200);
    expect(await ended).toBe(0);
    expect(performance.now() - asked).toBeLessThan(20_000);
    // What it acknowledged is there.
    const next = await serve();
    for (let n = 6; n < 12; n++) expect(await has(next.url, `late ${n}`)).toBe(true);
  });

  it('twice, ends at once', async () => {
    const { child, url, said, ended } = await serve();
    const held = begin(url, 'POST', '/v1/bulk', 'application/x-ndjson');
    held.request.write('{"delete":"nobody"}\n');
    await wait(200);
    child.kill('SIGTERM');
    await until(async () => said().includes('again to end at once'));
    await wait(300);
    expect(child.exitCode).toBe(null); // it waits for the one that it accepted
    const asked = performance.now();
    child.kill('SIGTERM');
    expect(await ended).toBe(130);
    expect(performance.now() - asked).toBeLessThan(3000);
    await expect(held.status).rejects.toThrow();
  });
});

describe('two servers over one catalogue', () => {
  it('see what the other wrote within a second, and both go on while it is indexed with another model', async () => {
    const [first, second] = await Promise.all([serve(), serve()]);
    const delays: number[] = [];
    for (let n = 0; n < 5; n++) {
      const id = `of the first ${n}`;
      expect(await put(first.url, id, n)).toBe(201);
      const written = performance.now();
      await until(() => has(second.url, id));
      delays.push(performance.now() - written);
    }
    expect(Math.max(...delays)).toBeLessThan(1000);
    // A search finds it too.
    const found = await search(second.url, 'of the first 0');
    expect(found.body.hits.map(({ id }) => id)).toContain('of the first 4');

    const before = found.body.generation;
    const other = await writeTinyBundle(join(root, 'other'), { offset: -0.4 });
    let isOver = false;
    const searching = [first, second].map(async ({ url }) => {
      const generations: string[] = [];
      while (!isOver) {
        const { status, body } = await search(url);
        expect(status).toBe(200);
        generations.push(body.generation);
      }
      return generations;
    });
    const { code, stderr } = await semblance([
      'index',
      '--catalog',
      tiny.catalog,
      '--model',
      other,
      '--quiet',
    ]);
    expect(code, stderr).toBe(0);
    await until(async () =>
      (await Promise.all([first, second].map(({ url }) => search(url)))).every(
        ({ body }) => body.generation !== before,
      ),
    );
    isOver = true;
    for (const generations of await Promise.all(searching)) {
      expect(generations).toContain(before);
      // Never back: once a server has moved, it stays.
      const moved = generations.findIndex((generation) => generation !== before);
      if (moved !== -1) expect(generations.slice(moved)).not.toContain(before);
    }
    expect(await has(second.url, 'of the first 4')).toBe(true);
  });

  it('one killed while it writes holds up nobody, and what it acknowledged is there', async () => {
    const [first, second] = await Promise.all([serve(), serve()]);
    const acknowledged: string[] = [];
    const writing = (async () => {
      for (let n = 0; ; n++) {
        const id = `kill ${n}`;
        if ((await put(first.url, id, n)) === 201) acknowledged.push(id);
      }
    })().catch(() => {});
    await until(async () => acknowledged.length >= 5);
    await wait(17);
    first.child.kill('SIGKILL');
    expect(await first.ended).toBe('SIGKILL');
    await writing;
    const killed = performance.now();
    expect(await put(second.url, 'after', 0)).toBe(201);
    expect(performance.now() - killed).toBeLessThan(20_000);
    expect((await search(second.url)).status).toBe(200);
    for (const id of [...acknowledged, 'after']) expect(await has(second.url, id), id).toBe(true);
  });
});
