import { createServer, type Server } from 'node:http';
import type { AddressInfo, LookupFunction } from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { shadeOf } from '../../test/support/tiny-catalog.js';
import { openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { fetchPicture, isPublicAddress } from './remote-picture.js';

let web: Server;
let origin = '';
/** What must not be reached: it answers on every address of this machine, and counts. */
let inside: Server;
let insidePort = 0;
let reached = 0;
beforeAll(async () => {
  const picture = await plainPicture(shadeOf(1, 2), { width: 24, height: 16 });
  web = createServer((request, response) => {
    const { pathname } = new URL(request.url ?? '/', 'http://x');
    if (pathname === '/picture') response.end(picture);
    else if (pathname === '/padded') response.end(Buffer.concat([picture, Buffer.alloc(80_000)]));
    else if (pathname === '/text') response.end('<svg xmlns="http://www.w3.org/2000/svg"/>');
    else if (pathname === '/large') {
      response.writeHead(200);
      const more = () => {
        while (response.write(Buffer.alloc(10_000)));
        response.once('drain', more);
      };
      more();
    } else if (pathname === '/packed') response.writeHead(200, { 'content-encoding': 'gzip' }).end('x');
    else if (pathname === '/named')
      response.writeHead(302, { location: `http://inside.example:${insidePort}/` }).end();
    else if (pathname === '/slow') response.write('x');
    else if (pathname === '/loop') response.writeHead(302, { location: '/loop' }).end();
    else if (pathname === '/hop') response.writeHead(302, { location: '/picture' }).end();
    else if (pathname === '/inside')
      response.writeHead(302, { location: 'http://169.254.169.254/latest' }).end();
    else if (pathname === '/file') response.writeHead(302, { location: 'file:///etc/passwd' }).end();
    else response.writeHead(404).end();
  });
  await new Promise<void>((resolve) => web.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(web.address() as AddressInfo).port}`;
  inside = createServer((_, response) => {
    reached++;
    response.end('secret');
  });
  await new Promise<void>((resolve) => inside.listen(0, '0.0.0.0', resolve));
  insidePort = (inside.address() as AddressInfo).port;
});
afterAll(() => {
  for (const server of [web, inside]) {
    server.closeAllConnections();
    server.close();
  }
});

/** This machine counts as public, everything else as it is. */
const allows = (address: string) => address === '127.0.0.1' || isPublicAddress(address);
const get = (url: string, more: Partial<Parameters<typeof fetchPicture>[1]> = {}) =>
  fetchPicture(url, { maximumBytes: 100_000, signal: new AbortController().signal, allows, ...more });

describe('isPublicAddress', () => {
  it.each([
    '127.0.0.1',
    '10.0.0.1',
    '172.16.0.1',
    '192.168.1.1',
    '169.254.169.254',
    '100.64.0.1',
    '0.0.0.0',
    '224.0.0.1',
    '255.255.255.255',
    '::',
    '::1',
    'fe80::1',
    'fc00::1',
    '::ffff:127.0.0.1',
    '::ffff:10.0.0.1',
    '64:ff9b::7f00:1',
    '2002:7f00:1::',
    'not an address',
    '',
  ])('%s is not', (address) => expect(isPublicAddress(address)).toBe(false));
  it.each(['8.8.8.8', '1.1.1.1', '2606:4700:4700::1111', '::ffff:8.8.8.8'])('%s is', (address) =>
    expect(isPublicAddress(address)).toBe(true),
  );
});

describe('fetchPicture', () => {
  it('gives the bytes, after a redirect too', async () => {
    expect(await get(`${origin}/hop`)).toEqual(await get(`${origin}/picture`));
  });

  it.each([
    [
      'an address of this machine',
      () => get(`${origin}/picture`, { allows: isPublicAddress }),
      'url-not-allowed',
      /not public/,
    ],
    [
      'a name of this machine',
      () => get(origin.replace('127.0.0.1', 'localhost'), { allows: isPublicAddress }),
      'url-not-allowed',
      /localhost: the address is not public/,
    ],
    [
      'an address in other digits',
      () => get('http://0x7f.1/', { allows: isPublicAddress }),
      'url-not-allowed',
      /not public/,
    ],
    [
      'IPv6 around IPv4',
      () => get('http://[::ffff:127.0.0.1]/', { allows: isPublicAddress }),
      'url-not-allowed',
      /not public/,
    ],
    ['a redirect inside', () => get(`${origin}/inside`), 'url-not-allowed', /not public/],
    ['a redirect to a file', () => get(`${origin}/file`), 'url-not-allowed', /only http/],
    ['a password', () => get(origin.replace('//', '//me:secret@')), 'url-not-allowed', /password/],
    [
      'another host',
      () => get(`${origin}/picture`, { hosts: ['images.example'] }),
      'url-not-allowed',
      /only pictures of images.example/,
    ],
    ['a circle', () => get(`${origin}/loop`), 'unreachable-url', /more than 4/],
    ['a packed body', () => get(`${origin}/packed`), 'unreachable-url', /compressed/],
    ['nothing', () => get(`${origin}/gone`), 'unreachable-url', /404/],
    ['too much', () => get(`${origin}/large`), 'too-large', /100000 bytes/],
    ['too slow', () => get(`${origin}/slow`, { timeoutMs: 200 }), 'unreachable-url', /within 0.2 s/],
    ['a closed port', () => get('http://127.0.0.1:1/'), 'unreachable-url', /could not be fetched/],
  ] as const)('refuses %s', async (_, work, code, detail) => {
    const error = await work().then(
      () => undefined,
      (thrown) => thrown,
    );
    expect(error).toMatchObject({ code, message: expect.stringMatching(detail) });
  });
});

describe('names that are made to deceive', () => {
  /** A name → what it stands for, at one question after the other; the last for ever. */
  function changing(table: Readonly<Record<string, readonly string[][]>>) {
    const asked: string[] = [];
    const lookup: LookupFunction = (name, _, done) => {
      const answers = table[name] ?? [];
      const times = asked.filter((one) => one === name).length;
      asked.push(name);
      const found = answers[Math.min(times, answers.length - 1)] ?? [];
      done(
        null,
        found.map((address) => ({ address, family: 4 })),
      );
    };
    return { asked, lookup };
  }

  it('connects to the address that was checked, whatever the name stands for a moment later', async () => {
    const { asked, lookup } = changing({
      'shop.example': [['127.0.0.1'], ['127.0.0.2'], ['127.0.0.1', '127.0.0.2']],
    });
    const url = `http://shop.example:${new URL(origin).port}/picture`;
    expect((await get(url, { lookup })).length).toBeGreaterThan(0);
    expect(asked).toEqual(['shop.example']); // once: no check saw another answer than the connection
    for (let again = 0; again < 2; again++)
      await expect(get(url, { lookup })).rejects.toMatchObject({ code: 'url-not-allowed' });
  });

  it('reaches nothing inside by a redirect to a name', async () => {
    const { lookup } = changing({ 'inside.example': [['127.0.0.2']] });
    await expect(get(`${origin}/named`, { lookup })).rejects.toMatchObject({ code: 'url-not-allowed' });
    expect(reached).toBe(0);
  });
});

describe('a server that allows URLs', () => {
  let tiny: TinyServer;
  beforeAll(async () => {
    tiny = await openTinyServer({ allowUrls: { allows } });
  });
  afterAll(() => tiny.close());

  it('searches by a URL, and shows its picture from its own address', async () => {
    const url = `${origin}/picture`;
    const found = await tiny.server.inject({
      method: 'POST',
      url: '/v1/search',
      payload: { examples: [{ url }] },
    });
    expect(found.json().hits[0]).toMatchObject({ id: 'pictures/green 2.png' });
    expect((await tiny.server.inject('/v1/catalog')).json().capabilities.url).toBe(true);
    const shown = await tiny.server.inject(`/v1/remote-picture?url=${encodeURIComponent(url)}&width=16`);
    expect([shown.statusCode, shown.headers['content-type']]).toEqual([200, 'image/webp']);
  });

  it('passes nothing on that is no picture', async () => {
    const shown = await tiny.server.inject(`/v1/remote-picture?url=${encodeURIComponent(`${origin}/text`)}`);
    expect([shown.statusCode, shown.json().code]).toEqual([422, 'unreadable-picture']);
  });

  it('holds no more bytes of all its requests than it is allowed', async () => {
    const small = await openTinyServer({ allowUrls: { allows }, limits: { bodyBytes: 250_000 } });
    const search = async (pictures: number) => {
      const examples = Array.from({ length: pictures }, () => ({ url: `${origin}/padded` }));
      const answer = await small.server.inject({ method: 'POST', url: '/v1/search', payload: { examples } });
      return answer.json().code ?? answer.statusCode;
    };
    try {
      // What was held is free again when a request is over.
      for (let n = 0; n < 3; n++) expect(await search(2)).toBe(200);
      expect(await search(8)).toBe('too-busy');
      expect(await search(2)).toBe(200);
    } finally {
      await small.close();
    }
  });

  it('is off by default', async () => {
    const usual = await openTinyServer();
    const shown = await usual.server.inject(
      `/v1/remote-picture?url=${encodeURIComponent(`${origin}/picture`)}`,
    );
    expect([shown.statusCode, shown.json().code]).toEqual([403, 'url-not-allowed']);
    await usual.close();
  });
});
