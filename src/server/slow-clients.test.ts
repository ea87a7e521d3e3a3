/** Clients that are slow, that leave, that do not read, and that are too many: over real sockets. Who is none of these is served. */
import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { type AddressInfo, connect, type Socket } from 'node:net';
import { Writable } from 'node:stream';
import { setTimeout as wait } from 'node:timers/promises';
import sharp from 'sharp';
import { afterEach, describe, expect, it } from 'vitest';
import { openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import type { ServerOptions } from './index.js';

const LIMIT_MS = 800;
const opened: { tiny: TinyServer; sockets: Socket[] }[] = [];
afterEach(async () => {
  for (const { tiny, sockets } of opened.splice(0)) {
    for (const socket of sockets) socket.destroy();
    await tiny.close();
  }
});

async function listening(options: Omit<ServerOptions, 'catalog'> = {}) {
  const limits = { requestTimeoutMs: LIMIT_MS, ...options.limits };
  const tiny = await openTinyServer({ ...options, limits });
  const base = await tiny.server.listen({ port: 0, host: '127.0.0.1' });
  const { port } = tiny.server.server.address() as AddressInfo;
  const sockets: Socket[] = [];
  opened.push({ tiny, sockets });
  const search = (body: object) =>
    fetch(`${base}/v1/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify(body),
    });
  return {
    tiny,
    base,
    search,
    searchStatus: async () => {
      const answer = await search({ examples: [{ id: 'pictures/red 0.png' }] });
      await answer.arrayBuffer();
      return answer.status;
    },
    /** A client that says what it is told to. */
    raw: () => {
      const socket = connect(port, '127.0.0.1').on('error', () => {});
      sockets.push(socket);
      let heard = '';
      return {
        socket,
        listen: () => socket.on('data', (part) => (heard += part.toString('latin1'))),
        heard: () => heard,
        closed: new Promise<void>((resolve) => socket.once('close', () => resolve())),
      };
    },
  };
}

const head = (method: string, path: string, length: number | 'chunked', type = 'application/json') =>
  `${method} ${path} HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\n` +
  `${length === 'chunked' ? 'Transfer-Encoding: chunked' : `Content-Length: ${length}`}\r\n\r\n`;
const chunk = (text: string) => `${Buffer.byteLength(text).toString(16)}\r\n${text}\r\n`;

/** Waits until something is so. @throws when it is not within ten seconds */
async function until(isSo: () => Promise<boolean>): Promise<void> {
  for (let n = 0; n < 400; n++) {
    if (await isSo()) return;
    await wait(25);
  }
  throw new Error('it did not come about');
}

const connections = ({ server }: TinyServer) =>
  new Promise<number>((resolve) => server.server.getConnections((_, count) => resolve(count)));

describe('a body', () => {
  it('that comes a byte at a time is given up, and keeps nobody from searching meanwhile', async () => {
    const { raw, searchStatus, tiny } = await listening({ limits: { searches: 2 } });
    const clients = Array.from({ length: 5 }, raw);
    const timers = clients.map(({ socket, listen }) => {
      listen();
      socket.write(head('POST', '/v1/search', 5000));
      return setInterval(() => socket.writable && socket.write(' '), 30);
    });
    // Places are lent to bodies that are on their way, and taken back from slow ones.
    await until(async () => (await searchStatus()) === 200);
    await Promise.all(clients.map(({ closed }) => closed));
    for (const timer of timers) clearInterval(timer);
    expect(clients.map(({ heard }) => heard().slice(9, 12))).toEqual(['408', '408', '408', '408', '408']);
    expect(await searchStatus()).toBe(200);
    await until(async () => (await connections(tiny)) <= 1);
  });

  it('whose client leaves half-way gives its bytes back at once', async () => {
    const { raw, searchStatus, search } = await listening({
      limits: { requestTimeoutMs: 60_000, bodyBytes: 100_000 },
    });
    const parts = ['application/json', 'multipart/form-data; boundary=b'];
    const clients = parts.map((type) => {
      const client = raw();
      client.socket.write(head('POST', '/v1/search', 60_000, type));
      client.socket.write(
        type.startsWith('multipart')
          ? `--b\r\nContent-Disposition: form-data; name="picture"; filename="x"\r\n\r\n${'x'.repeat(20_000)}`
          : `{"examples":[{"picture":"${'A'.repeat(20_000)}`,
      );
      return client;
    });
    const large = () => search({ examples: [{ picture: 'A'.repeat(60_000) }] }).then(({ status }) => status);
    await until(async () => (await large()) === 503);
    for (const { socket } of clients) socket.destroy();
    await until(async () => (await large()) === 422); // read, and no picture
    expect(await searchStatus()).toBe(200);
  });
});

describe('an answer that nobody reads', () => {
  it('of a picture is cut off', async () => {
    const { raw, tiny } = await listening();
    const id = 'pictures/red 0.png';
    const noise = { type: 'gaussian' as const, mean: 128, sigma: 60 };
    const large = sharp({ create: { width: 3000, height: 3000, channels: 3, background: 'red', noise } });
    await writeFile(`${tiny.root}/${id}`, await large.png({ compressionLevel: 0 }).toBuffer());
    const { socket, closed } = raw();
    socket.pause();
    socket.write(`GET /v1/pictures/${encodeURIComponent(id)}/image HTTP/1.1\r\nHost: x\r\n\r\n`);
    await until(async () => (await connections(tiny)) === 1);
    expect((await tiny.server.inject('/v1/catalog')).statusCode).toBe(200);
    await until(async () => (await connections(tiny)) === 0);
    socket.destroy();
    await closed;
  });

  it('of a bulk request keeps no generation and no place for ever', async () => {
    const { raw, base, tiny, searchStatus } = await listening({ limits: { bulks: 1 } });
    const { socket } = raw();
    socket.pause();
    socket.write(head('POST', '/v1/bulk', 'chunked', 'application/x-ndjson'));
    // Each line is answered with its id, and nothing is written. The answers are more than all buffers on the way hold.
    const lines = `${JSON.stringify({ put: 'x'.repeat(1000) })}\n`.repeat(500);
    let sent = 0;
    const send = () => {
      while (!socket.destroyed && sent < 120) {
        sent++;
        if (!socket.write(chunk(lines))) {
          socket.once('drain', send);
          return;
        }
      }
    };
    send();
    const bulk = () =>
      fetch(`${base}/v1/bulk`, {
        method: 'POST',
        headers: { 'content-type': 'application/x-ndjson' },
        body: '{"delete":"nobody"}\n',
      });
    await until(async () => sent > 2);
    const refused = await bulk();
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
    expect(await searchStatus()).toBe(200);
    await until(async () => {
      const answer = await bulk();
      return (await answer.text()).includes('not-found') && answer.status === 200;
    });
    socket.destroy();
    await tiny.server.close();
    await tiny.live.close(); // waits for whoever holds a generation
  });
});

describe('too many', () => {
  it('are refused before they are read, can hear it, and are told once a second', async () => {
    const web = createServer(() => {}); // pictures that never come
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    let log = '';
    const stream = new Writable({
      write(part, _encoding, done) {
        log += part;
        done();
      },
    });
    const { search, base, raw, tiny } = await listening({
      limits: { searches: 2, requestTimeoutMs: 6000 },
      allowUrls: { allows: () => true },
      origins: ['https://shop.example'],
      log: { level: 'warn', stream },
    });
    const byId = () => search({ examples: [{ id: 'pictures/red 0.png' }] });
    for (let n = 0; n < 3; n++) expect((await byId()).status).toBe(200); // how long one takes is known
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/`;
    const held = [search({ examples: [{ url }] }), search({ examples: [{ url }] })];
    await until(async () => (await new Promise<number>((r) => web.getConnections((_, n) => r(n)))) === 2);

    const refused = await fetch(`${base}/v1/search`, {
      method: 'POST',
      headers: { 'content-type': 'application/json', origin: 'https://shop.example' },
      body: '{}',
    });
    expect([refused.status, refused.headers.get('retry-after')]).toEqual([503, '2']);
    expect(refused.headers.get('content-type')).toMatch('application/problem+json');
    expect(refused.headers.get('access-control-allow-origin')).toBe('https://shop.example');
    expect(refused.headers.get('x-content-type-options')).toBe('nosniff');
    expect(await refused.json()).toMatchObject({ code: 'too-busy', status: 503 });
    const similar = await fetch(`${base}/v1/pictures/x/similar`);
    expect(similar.status).toBe(503);
    expect((await fetch(`${base}/v1/pictures/x`)).status).toBe(404);

    // A client that sends all before it listens hears the answer too.
    const { socket, listen, heard, closed } = raw();
    socket.write(head('POST', '/v1/search', 5_000_000));
    socket.write(Buffer.alloc(5_000_000, 32), () => listen());
    await closed;
    expect(heard()).toMatch(/^HTTP\/1\.1 503 .*connection: close.*"code":"too-busy"/is);
    // And one that asks before it sends is spared the sending.
    const asking = raw();
    asking.listen();
    asking.socket.write(
      head('POST', '/v1/search', 5_000_000).replace('\r\n\r\n', '\r\nExpect: 100-continue\r\n\r\n'),
    );
    await until(async () => asking.heard().includes('too-busy'));
    expect(asking.heard()).not.toContain('100 Continue');

    await Promise.all(Array.from({ length: 50 }, () => search({}).then((answer) => answer.arrayBuffer())));
    await wait(1200);
    const told = log
      .trim()
      .split('\n')
      .filter((line) => line.includes('too busy'));
    expect(told.length).toBeLessThanOrEqual(3);
    const counted = told.reduce((sum, line) => sum + JSON.parse(line).refused, 0);
    expect(counted).toBe(54);
    const metrics = (await tiny.server.inject('/metrics')).body;
    expect(metrics).toContain(
      'semblance_http_requests_total{method="POST",route="/v1/search",status="503"} 53',
    );

    web.closeAllConnections();
    web.close();
    expect((await Promise.all(held)).map(({ status }) => status)).toEqual([422, 422]);
    expect((await byId()).status).toBe(200);
  });

  it('connections and requests are bounded', async () => {
    const { raw, searchStatus, base } = await listening({
      limits: { requests: 3, connections: 12, requestTimeoutMs: 60_000 },
    });
    const slow = Array.from({ length: 3 }, raw);
    for (const { socket } of slow) socket.write(head('POST', '/v1/facets', 50));
    await until(async () => (await searchStatus()) === 503);
    expect((await fetch(`${base}/health/live`)).status).toBe(200);
    const more = Array.from({ length: 12 }, raw);
    await Promise.any(more.map(({ closed }) => closed)); // beyond twelve, without an answer
    for (const { socket } of [...slow, ...more]) socket.destroy();
    await until(async () => (await searchStatus().catch(() => 0)) === 200);
  });
});
