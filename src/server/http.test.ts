/** What of HTTP itself can go wrong: every answer is a problem, over a real socket where it matters. */
import { once } from 'node:events';
import { Agent, createServer, request as httpRequest, type IncomingMessage } from 'node:http';
import { type AddressInfo, connect } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { multipart, openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { problem } from './index.js';

let tiny: TinyServer;
let port = 0;
beforeAll(async () => {
  tiny = await openTinyServer({ limits: { requestTimeoutMs: 700 } });
  await tiny.server.listen({ port: 0, host: '127.0.0.1' });
  port = (tiny.server.server.address() as AddressInfo).port;
});
afterAll(() => tiny.close());

/** What comes back for bytes that are sent as they are. */
async function exchange(text: string, to = port): Promise<{ status: number; problem: unknown }> {
  const socket = connect(to, '127.0.0.1');
  const chunks: Buffer[] = [];
  socket.on('data', (chunk) => chunks.push(chunk));
  socket.write(text);
  await Promise.race([once(socket, 'close'), wait(4000)]);
  socket.destroy();
  const answer = Buffer.concat(chunks).toString('utf8');
  expect(answer).toMatch(/content-type: application\/problem\+json/i);
  const body = JSON.parse(answer.slice(answer.indexOf('\r\n\r\n') + 4));
  return { status: Number(answer.slice(9, 12)), problem: problem.parse(body) };
}

describe('a broken request', () => {
  const host = 'Host: localhost\r\n';
  for (const [name, text, status, code] of [
    ['no HTTP', 'hello\r\n\r\n', 400, 'bad-request'],
    ['a method that there is not', `FOO / HTTP/1.1\r\n${host}\r\n`, 400, 'bad-request'],
    [
      'two lengths',
      `GET / HTTP/1.1\r\n${host}Content-Length: 1\r\nContent-Length: 2\r\n\r\n`,
      400,
      'bad-request',
    ],
    ['long headers', `GET / HTTP/1.1\r\n${host}X: ${'x'.repeat(20_000)}\r\n\r\n`, 431, 'headers-too-large'],
    [
      'a body that does not come',
      `POST /v1/search HTTP/1.1\r\n${host}Content-Type: application/json\r\nContent-Length: 50\r\n\r\n{`,
      408,
      'request-timeout',
    ],
  ] as const)
    it(name, async () => {
      expect(await exchange(text)).toMatchObject({ status, problem: { status, code } });
    });
});

describe('an answer that takes too long', () => {
  it('is given up, and says when to try again', async () => {
    // A picture that is asked for and does not come: the answer takes as long as we like.
    const web = createServer(() => {});
    await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
    const url = `http://127.0.0.1:${(web.address() as AddressInfo).port}/picture`;
    const slow = await openTinyServer({
      limits: { requestTimeoutMs: 1000 },
      allowUrls: { allows: () => true },
    });
    const baseUrl = await slow.server.listen({ port: 0, host: '127.0.0.1' });
    try {
      const answer = await fetch(`${baseUrl}/v1/search`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ examples: [{ url }] }),
      });
      expect([answer.status, ((await answer.json()) as { code: string }).code]).toEqual([503, 'timeout']);
      expect(answer.headers.get('retry-after')).toBe('5');
    } finally {
      web.closeAllConnections();
      web.close();
      await slow.close();
    }
  });
});

describe('a stranger’s mistakes', () => {
  const json = (method: 'POST' | 'PATCH', url: string, payload?: unknown) => ({
    method,
    url,
    ...(payload === undefined ? {} : { payload: payload as object }),
  });
  const search = (request: object) => json('POST', '/v1/search', request);
  const examples = [{ id: 'pictures/red 0.png' }];
  const cases: Record<string, [() => object | Promise<object>, number, string, RegExp]> = {
    'no example’s kind': [
      () => search({ examples: [{}] }),
      400,
      'invalid-request',
      /^\/body\/examples\/0: must have exactly one of picture \(base64\)/,
    ],
    'an example of two kinds': [
      () => search({ examples: [{ id: 'x', picture: 'AAAA' }] }),
      400,
      'invalid-request',
      /^\/body\/examples\/0: must have exactly one of/,
    ],
    'an id that is a number': [
      () => search({ examples: [{ id: 5 }] }),
      400,
      'invalid-request',
      /^\/body\/examples\/0\/id: must be of type string, got number$/,
    ],
    'a box inside out': [
      () => search({ examples: [{ ...examples[0], region: { left: 0.9, top: 0, right: 0.1, bottom: 1 } }] }),
      400,
      'invalid-request',
      /^\/body\/examples\/0\/region: must have left below right/,
    ],
    'no examples': [() => search({}), 400, 'invalid-request', /^\/body\/examples: is required \(array\)$/],
    'a granularity of another name': [
      () => search({ examples, granularity: 'kind' }),
      400,
      'invalid-request',
      /^\/body\/granularity: must be item, look, category, or a number/,
    ],
    'half a condition': [
      () => search({ examples, filter: [{ column: 'hue' }] }),
      400,
      'invalid-request',
      /^\/body\/filter\/0: must be \{ column, anyOf: \[values\] \}/,
    ],
    'half an edit': [
      () => search({ examples, edits: [{ attribute: 'hue' }] }),
      400,
      'invalid-request',
      /^\/body\/edits\/0: must be \{ attribute, value, want/,
    ],
    'no body': [
      () => json('POST', '/v1/search'),
      400,
      'invalid-request',
      /^\/body: must be of type object, got null$/,
    ],
    'a key of every object': [
      () => ({
        ...json('PATCH', '/v1/pictures/x'),
        payload: '{"__proto__":1}',
        headers: { 'content-type': 'application/json' },
      }),
      400,
      'invalid-json',
      /__proto__/,
    ],
    'a picture where none is read': [
      async () => ({ ...json('POST', '/v1/facets'), ...(await multipart({ request: '{}' })) }),
      415,
      'unsupported-media-type',
      /takes no picture/,
    ],
    'a filter in the address that is no JSON': [
      () => ({ url: '/v1/pictures?filter=%7B' }),
      400,
      'invalid-request',
      /^\/querystring\/filter: must be JSON$/,
    ],
    'bulk as JSON': [
      () => json('POST', '/v1/bulk', { delete: 'a' }),
      415,
      'unsupported-media-type',
      /application\/x-ndjson/,
    ],
    'bulk of no type': [
      () => json('POST', '/v1/bulk'),
      415,
      'unsupported-media-type',
      /application\/x-ndjson/,
    ],
  };
  for (const [name, [request, status, code, detail]] of Object.entries(cases))
    it(name, async () => {
      const answer = await tiny.server.inject(await request());
      const body = problem.parse(answer.json());
      expect([answer.statusCode, body.code], answer.body).toEqual([status, code]);
      expect(body.detail).toMatch(detail);
    });
});

describe('readiness', () => {
  it('waits for what the server was told to wait for', async () => {
    let finish = () => {};
    const ready = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const starting = await openTinyServer({ ready });
    const early = await starting.server.inject('/health/ready');
    expect([early.statusCode, early.json().code, early.headers['retry-after']]).toEqual([
      503,
      'unavailable',
      '1',
    ]);
    expect((await starting.server.inject('/health/live')).statusCode).toBe(200);
    expect((await starting.server.inject('/v1/pictures/none')).statusCode).toBe(404);
    await starting.live.warm();
    finish();
    await wait(0);
    expect((await starting.server.inject('/health/ready')).statusCode).toBe(200);
    await starting.close();
  });

  it('a server that stops finishes what it accepted, and waits for no kept connection', async () => {
    const stopping = await openTinyServer();
    await stopping.server.listen({ port: 0, host: '127.0.0.1' });
    const agent = new Agent({ keepAlive: true, maxSockets: 1 });
    const { port } = stopping.server.server.address() as AddressInfo;
    const first = httpRequest({
      port,
      host: '127.0.0.1',
      agent,
      method: 'POST',
      path: '/v1/bulk',
      headers: { 'content-type': 'application/x-ndjson' },
    });
    first.write('{"delete":"none"}\n'.repeat(40));
    const [answer] = (await once(first, 'response')) as [IncomingMessage];
    const closed = stopping.server.close();
    await wait(50);
    first.end('{"delete":"last"}\n');
    let text = '';
    for await (const chunk of answer) text += chunk;
    expect(text.trimEnd().split('\n')).toHaveLength(41);
    await closed;
    agent.destroy();
    await stopping.live.close();
  });
});
