/** Text and requests that are made to break out of where they belong: paths, types, markup, patterns that never end. */

import { readFile, writeFile } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { createConnection } from 'node:net';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { parseFilter } from '../src/catalog/index.js';
import { parseRegion, sniffContent } from '../src/data/index.js';
import { type ReportData, renderReport } from '../src/evaluation/report/index.js';
import { CliError, DataError, errorMessage } from '../src/util/index.js';
import { mutatePicture, seedPictures } from './support/mutated-pictures.js';
import { plainPicture } from './support/tiny-bundle.js';
import { multipart, openTinyServer, type TinyServer } from './support/tiny-server.js';

let tiny: TinyServer;
let secret = '';
beforeAll(async () => {
  tiny = await openTinyServer();
  secret = join(tiny.root, 'secret.txt');
  await writeFile(secret, 'a secret of this machine');
});
afterAll(() => tiny.close());

const put = async (id: string, bytes: Uint8Array, known: object = {}) =>
  await tiny.server.inject({
    method: 'PUT',
    url: `/v1/pictures/${encodeURIComponent(id)}`,
    ...(await multipart({ picture: bytes, request: JSON.stringify({ itemId: 'x', ...known }) })),
  });

describe('names that are paths', () => {
  it('an id that climbs out of the catalogue is only a name: the bytes lie under their hash', async () => {
    const bytes = await plainPicture([10, 200, 90]);
    for (const id of [
      '../../secret.txt',
      secret,
      '..\\..\\secret.txt',
      'a/../../b.png',
      '%2e%2e%2fsecret.txt',
    ]) {
      expect((await put(id, bytes)).statusCode, id).toBe(201);
      const image = await tiny.server.inject(`/v1/pictures/${encodeURIComponent(id)}/image`);
      expect([image.statusCode, image.rawPayload.equals(Buffer.from(bytes))]).toEqual([200, true]);
      expect(
        (await tiny.server.inject({ method: 'DELETE', url: `/v1/pictures/${encodeURIComponent(id)}` }))
          .statusCode,
      ).toBe(204);
    }
    expect(await readFile(secret, 'utf8')).toBe('a secret of this machine');
  });

  it('a column of ours cannot be set from outside to another file', async () => {
    const bytes = await plainPicture([10, 200, 91]);
    for (const name of ['path', 'content_hash', 'constructor']) {
      const answer = await put('mine', bytes, { attributes: JSON.parse(`{"${name}":["${secret}"]}`) });
      expect([400, 422], `${name}: ${answer.body}`).toContain(answer.statusCode);
    }
    const answer = await put('mine', bytes, { attributes: JSON.parse('{"__proto__":{"polluted":["yes"]}}') });
    expect([201, 400]).toContain(answer.statusCode);
    expect(answer.body).not.toContain('polluted');
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it.each([
    '/v1/pictures/..%2f..%2fsecret.txt/image',
    '/v1/pictures/%2e%2e/%2e%2e/secret.txt',
    '/assets/..%2f..%2fpackage.json',
    '/..%2f..%2f..%2fetc%2fpasswd',
    '//etc/passwd',
  ])('%s is nothing', async (url) => {
    const answer = await tiny.server.inject(url);
    expect([400, 404]).toContain(answer.statusCode);
    expect(answer.body).not.toMatch(/a secret of|root:/);
  });
});

describe('what claims to be of another type', () => {
  it('markup behind a picture is served as the picture that it is, and never guessed at', async () => {
    const bytes = Buffer.concat([
      await plainPicture([200, 10, 90]),
      Buffer.from('<script>alert(1)</script>'),
    ]);
    expect((await put('polyglot.html', bytes)).statusCode).toBe(201);
    const { headers } = await tiny.server.inject('/v1/pictures/polyglot.html/image');
    expect([headers['content-type'], headers['x-content-type-options']]).toEqual(['image/png', 'nosniff']);
    expect(headers['content-security-policy']).toMatch(/default-src 'none'/);
  });

  it('markup is no picture, whatever it is called', async () => {
    for (const text of [
      '<html><script>alert(1)</script>',
      '<svg xmlns="http://www.w3.org/2000/svg" onload="alert(1)"/>',
    ])
      expect((await put('a.png', Buffer.from(text))).json().code).toBe('unreadable-picture');
  });

  it('text that comes back in JSON is JSON to a browser', async () => {
    const name = '<img src=x onerror=alert(1)>.png';
    const answer = await put(name, await plainPicture([3, 4, 5]), {
      itemId: name,
      attributes: { hue: [name] },
    });
    expect(answer.statusCode).toBe(201);
    const problem = await tiny.server.inject(
      `/v1/pictures/${encodeURIComponent('<script>alert(1)</script>')}`,
    );
    for (const { headers } of [answer, problem]) {
      expect(headers['content-type']).toMatch(/^application\/(problem\+)?json/);
      expect(headers['x-content-type-options']).toBe('nosniff');
    }
  });

  it('a name with a line break adds no header', async () => {
    const id = 'a\r\nset-cookie: stolen=1.png';
    expect((await put(id, await plainPicture([5, 5, 5]))).statusCode).toBe(201);
    const answer = await tiny.server.inject(`/v1/pictures/${encodeURIComponent(id)}/image`);
    expect([answer.statusCode, answer.headers['set-cookie']]).toEqual([200, undefined]);
  });

  it('two lengths, or a length and chunks, are refused: no second request is smuggled in', async () => {
    await tiny.server.listen({ port: 0, host: '127.0.0.1' });
    const { port } = tiny.server.server.address() as AddressInfo;
    const send = (head: string, body: string) =>
      new Promise<string>((done, reject) => {
        const socket = createConnection(port, '127.0.0.1', () =>
          socket.write(
            `POST /v1/search HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n${head}\r\n\r\n${body}`,
          ),
        );
        let text = '';
        socket.setEncoding('utf8').on('data', (part) => {
          text += part;
        });
        socket.on('close', () => done(text));
        socket.on('error', reject);
      });
    const smuggled = 'DELETE /v1/pictures/pictures%2Fred%201.png HTTP/1.1\r\nHost: localhost\r\n\r\n';
    for (const head of [
      'Content-Length: 2\r\nContent-Length: 90',
      `Content-Length: 2\r\nTransfer-Encoding: chunked`,
    ])
      expect(await send(head, `0\r\n\r\n${smuggled}`), head).toMatch(/^HTTP\/1\.1 400 /);
    const answer = await tiny.server.inject(`/v1/pictures/${encodeURIComponent('pictures/red 1.png')}`);
    expect(answer.statusCode).toBe(200);
  });
});

it('the server outlives damaged uploads, and answers the next request', { timeout: 120_000 }, async () => {
  const pictures = await seedPictures();
  const codes = new Map<number, number>();
  for (let start = 0; start < 120; start += 8)
    await Promise.all(
      Array.from({ length: 8 }, async (_, i) => {
        const { bytes } = mutatePicture(pictures, 11, start + i);
        const answer = await tiny.server.inject({
          method: 'POST',
          url: '/v1/search',
          ...(await multipart({ picture: bytes, request: JSON.stringify({ examples: [{ upload: true }] }) })),
        });
        codes.set(answer.statusCode, (codes.get(answer.statusCode) ?? 0) + 1);
        if (answer.statusCode !== 200) expect(answer.json().code, answer.body).toBe('unreadable-picture');
      }),
    );
  expect([...codes.keys()].sort()).toEqual([200, 422]);
  expect((await tiny.server.inject('/health/ready')).statusCode).toBe(200);
});

describe('patterns', () => {
  const long = 50_000;
  it.each([
    ['a filter of dots', () => parseFilter([`a=${'.'.repeat(8000)}`])],
    ['a filter of commas', () => parseFilter([`a=${',x'.repeat(long)}`])],
    ['a filter of backslashes', () => parseFilter([`a=${'\\'.repeat(long)}`])],
    ['a filter of digits', () => parseFilter([`a=${'1'.repeat(long)}..${'1'.repeat(long)}x`])],
    ['a filter of alternatives', () => parseFilter([`a=1${'|'.repeat(long)}`])],
    ['a box of digits', () => parseRegion(`${'1'.repeat(long)},${'.'.repeat(long)},1,1`)],
    ['markup of spaces', () => sniffContent(Buffer.from(' '.repeat(long)))],
    ['markup of openings', () => sniffContent(Buffer.from('<svg<!doctype '.repeat(long)))],
    ['a message of spaces', () => errorMessage(new Error(`x${' '.repeat(long)}y`))],
  ])('%s ends at once', (_, read) => {
    const start = process.cpuUsage();
    try {
      read();
    } catch (error) {
      expect(error instanceof CliError || error instanceof DataError, String(error)).toBe(true);
    }
    const { user } = process.cpuUsage(start);
    expect(user / 1000).toBeLessThan(1000);
  });
});

describe('the report', () => {
  it('shows markup in any of its texts as text', () => {
    const hostile = '</script></style><img src=x onerror=alert(1)>"\'><script>alert(2)</script>';
    const html = renderReport(withText(report, hostile));
    expect(html).not.toMatch(/<img src=x|<script>alert|<\/style><img/);
    expect(html).toContain('&lt;img src=x');
  });

  const picture = { dataUri: 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=', caption: 'a' };
  const level = {
    recallAt1: 0.5,
    recallAt10: 0.9,
    mapAtR: 0.3,
    rPrecision: 0.3,
    map: 0.4,
    queries: 9,
    skipped: 0,
  };
  const report: ReportData = {
    title: 'a',
    lead: ['a'],
    figures: [{ label: 'a', value: 'a' }],
    levelLabels: { item_id: 'a' },
    methods: [
      {
        key: 'm',
        label: 'a',
        metrics: {
          recallAt1: 0.5,
          mapAtR: 0.3,
          hap: 0.3,
          asi: 0.4,
          ndcg: 0.7,
          ndcgAt10: 0.4,
          byLevel: { item_id: level },
          pairs: {},
        },
      },
    ],
    training: [
      {
        title: 'a',
        curves: [
          {
            label: 'a',
            points: [
              [0, 1],
              [1, 2],
            ],
          },
        ],
      },
    ],
    grids: [
      {
        id: 'g',
        title: 'a',
        intro: ['a'],
        filters: [{ key: 'f', label: 'a' }],
        queries: [
          {
            picture,
            note: 'a',
            expected: picture,
            filters: ['f'],
            rows: [{ label: 'a', hits: [{ picture, isRight: false, common: 'a' }] }],
          },
        ],
      },
    ],
    makings: [{ label: 'a', configuration: { a: 'a' }, provenance: { a: 'a' } }],
    licences: [{ name: 'a', licence: 'a', pictures: 1 }],
  };

  /** Every text `a` as another. */
  function withText<T>(value: T, text: string): T {
    if (value === 'a') return text as T;
    if (Array.isArray(value)) return value.map((one) => withText(one, text)) as T;
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, one]) => [key === 'a' ? text : key, withText(one, text)]),
    ) as T;
  }
});
