import { mkdtemp, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Writable } from 'node:stream';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture } from '../../../test/support/tiny-bundle.js';
import { multipart, openTinyServer, type TinyServer } from '../../../test/support/tiny-server.js';
import type { ServerOptions } from '../index.js';
import { KeyRing } from './key-ring.js';
import { addKey, revokeKey, rotateKey, type Scope } from './keys.js';
import { OPERATION_SCOPES } from './scopes.js';

let root = '';
const open: TinyServer[] = [];
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-access-'));
});
afterEach(async () => {
  for (const server of open.splice(0)) await server.close();
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** One server for several tests that only ask. */
function sharedServer(): () => Promise<Guarded> {
  let made: Promise<Guarded> | undefined;
  afterAll(async () => (await made)?.close());
  return () => {
    made ??= guarded('shared').then((tiny) => {
      open.splice(open.indexOf(tiny), 1);
      return tiny;
    });
    return made;
  };
}

type Guarded = TinyServer & { file: string; tokens: Record<Scope, string> };

/** A server that demands keys, and a key of each scope. */
async function guarded(name: string, options: Omit<ServerOptions, 'catalog'> = {}): Promise<Guarded> {
  const file = join(root, `${name}.json`);
  const tokens = {} as Record<Scope, string>;
  for (const scope of ['search', 'write', 'admin'] as const)
    tokens[scope] = (await addKey(file, { name: `the ${scope} one`, scopes: [scope] })).token;
  const tiny = await openTinyServer({ ...options, keys: new KeyRing(file, { pollMs: 0 }) });
  const made = { ...tiny, file, tokens };
  open.push(made);
  return made;
}

const bearer = (token: string) => ({ authorization: `Bearer ${token}` });
const green = `/v1/pictures/${encodeURIComponent('pictures/green 2.png')}`;

describe('keys', () => {
  it('opens what the scope of a key covers, and nothing without a key', async () => {
    const { server, tokens } = await guarded('scopes');
    const requests = [
      ['search', { method: 'GET', url: '/v1/catalog' }],
      ['search', { method: 'GET', url: `${green}/image` }],
      ['search', { method: 'POST', url: '/v1/facets', payload: { columns: ['hue'] } }],
      ['write', { method: 'PATCH', url: green, payload: { attributes: { hue: ['teal'] } } }],
      ['write', { method: 'DELETE', url: '/v1/feedback/0123456789abcdef01234567' }],
      [
        'write',
        { method: 'POST', url: '/v1/bulk', payload: '', headers: { 'content-type': 'application/x-ndjson' } },
      ],
      ['admin', { method: 'GET', url: '/metrics' }],
    ] as const;
    for (const [scope, { headers, ...request }] of requests.map(
      ([scope, request]) => [scope, { headers: {}, ...request }] as const,
    )) {
      const none = await server.inject({ ...request, headers });
      expect(none.statusCode, request.url).toBe(401);
      expect(none.headers['www-authenticate']).toMatch(/^Bearer realm=/);
      expect(none.headers['content-type']).toMatch('application/problem+json');
      expect(none.json()).toMatchObject({ status: 401, code: 'unauthorized' });
      for (const held of ['search', 'write', 'admin'] as const) {
        const answer = await server.inject({ ...request, headers: { ...headers, ...bearer(tokens[held]) } });
        const isAllowed = held === scope || held === 'admin';
        if (isAllowed) expect([200, 204, 404], `${request.url} ${held}`).toContain(answer.statusCode);
        else expect(answer.json()).toMatchObject({ status: 403, code: 'forbidden' });
      }
    }
    for (const url of ['/health/live', '/health/ready', '/openapi.json'])
      expect((await server.inject(url)).statusCode).toBe(200);
  });

  const shared = sharedServer();
  it.each([
    ['another secret', (token: string) => `Bearer ${token.slice(0, -1)}${token.endsWith('A') ? 'B' : 'A'}`],
    ['another id', (token: string) => `Bearer ${token.replace(/_\w{12}_/, '_000000000000_')}`],
    ['a longer one', (token: string) => `Bearer ${token}A`],
    ['its hash', () => `Bearer ${'0'.repeat(64)}`],
    ['another scheme', (token: string) => `Basic ${token}`],
    ['nothing', () => 'Bearer '],
    ['a name of every object', () => 'Bearer constructor'],
    ['a flood', () => `Bearer ${'a'.repeat(8000)}`],
  ])('refuses %s', async (_name, header) => {
    const { server, tokens } = await shared();
    const answer = await server.inject({
      url: '/v1/catalog',
      headers: { authorization: header(tokens.admin) },
    });
    expect(answer.statusCode).toBe(401);
  });

  it('a rotated key has as long to live as the one before, not for ever', async () => {
    const { file } = await guarded('lifetime');
    const day = 86_400_000;
    const before = Date.now();
    await addKey(file, {
      name: 'short',
      scopes: ['search'],
      expiresAt: new Date(before + 90 * day).toISOString(),
    });
    const { key } = await rotateKey(file, 'short', { graceMs: 0 });
    const life = Date.parse(key.expiresAt as string) - Date.parse(key.createdAt);
    expect(life / day).toBeCloseTo(90, 3);
  });

  it('follows the file: rotation with an overlap, revocation, a broken file, a file that is gone', async () => {
    const { server, file, tokens } = await guarded('followed');
    const status = async (token: string) =>
      (await server.inject({ url: '/v1/catalog', headers: bearer(token) })).statusCode;
    expect(await status(tokens.search)).toBe(200);
    const second = await rotateKey(file, 'the search one', { graceMs: 3600_000 });
    expect(await status(tokens.search)).toBe(200);
    expect(await status(second.token)).toBe(200);
    const third = await rotateKey(file, 'the search one', { graceMs: 0 });
    expect(await status(tokens.search)).toBe(401);
    expect(await status(second.token)).toBe(401);
    expect(await status(third.token)).toBe(200);
    await revokeKey(file, 'the search one');
    expect(await status(third.token)).toBe(401);
    expect(await status(tokens.admin)).toBe(200);

    const good = await readFile(file);
    await writeFile(file, good.subarray(0, good.length / 2));
    expect(await status(tokens.admin)).toBe(503);
    await writeFile(file, good);
    expect(await status(tokens.admin)).toBe(200);
    await rename(file, `${file}.away`);
    expect(await status(tokens.admin)).toBe(401);
  });

  it('keeps hashes only, for the owner only', async () => {
    const { file, tokens } = await guarded('at rest');
    const text = await readFile(file, 'utf8');
    for (const token of Object.values(tokens)) expect(text).not.toContain(token.slice(-43));
    if (process.platform !== 'win32') expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('takes the cookie for pictures, and for nothing else', async () => {
    const { server, tokens } = await guarded('cookie');
    const headers = { cookie: `a=b; semblance-key=${tokens.search}; c=d` };
    expect((await server.inject({ url: `${green}/image`, headers })).statusCode).toBe(200);
    expect((await server.inject({ url: green, headers })).statusCode).toBe(401);
    expect((await server.inject({ method: 'DELETE', url: green, headers })).statusCode).toBe(401);
  });

  it('says in the OpenAPI document what each operation demands, and has thought of each', async () => {
    const { server } = await shared();
    const document = (await server.inject('/openapi.json')).json();
    const found: Record<string, string> = {};
    for (const path of Object.values<Record<string, { operationId: string; security: { key?: string[] }[] }>>(
      document.paths,
    ))
      for (const { operationId, security } of Object.values(path))
        found[operationId] = security[0]?.key?.[0] ?? 'open';
    expect(found).toEqual(OPERATION_SCOPES);
    expect(document.components.securitySchemes.key).toMatchObject({ type: 'http', scheme: 'bearer' });
  });
});

describe('limits', () => {
  it('counts by key, and by address before a key', async () => {
    const { server, tokens } = await guarded('limits', {
      requestsPerMinute: 5,
      trustedProxies: ['127.0.0.1'],
    });
    const ask = (token: string, address: string) =>
      server.inject({
        url: '/v1/catalog',
        headers: { ...bearer(token), 'x-forwarded-for': address },
      });
    // One key from many addresses.
    for (let n = 0; n < 5; n++) expect((await ask(tokens.search, `192.0.2.${n}`)).statusCode).toBe(200);
    const refused = await ask(tokens.search, '192.0.2.9');
    expect(refused.json()).toMatchObject({ status: 429, code: 'too-many-requests' });
    const wait = Number(refused.headers['retry-after']);
    expect(wait).toBeGreaterThan(0);
    expect(wait).toBeLessThanOrEqual(60);
    // One address, whatever key: all of an IPv6 network of 64 bits are one.
    for (let n = 0; n < 5; n++) expect((await ask(tokens.admin, `2001:db8::${n}`)).statusCode).toBe(200);
    expect((await ask(tokens.write, '2001:db8::99')).statusCode).toBe(429);
    expect((await ask(tokens.write, '2001:db8:0:1::99')).statusCode).toBe(403);
    expect((await server.inject('/health/live')).statusCode).toBe(200);
  });

  it('slows down who tries keys', async () => {
    const { server, tokens } = await guarded('guesses');
    const wrong = bearer(tokens.search.replace(/.{43}$/, 'x'.repeat(43)));
    const codes = new Set<number>();
    for (let n = 0; n < 40; n++)
      codes.add((await server.inject({ url: '/v1/catalog', headers: wrong })).statusCode);
    expect([...codes]).toEqual([401, 429]);
  });
});

describe('origins', () => {
  it('refuses what another page sends where no key is asked for', async () => {
    const tiny = await openTinyServer({ origins: ['https://shop.example'] });
    open.push(tiny);
    const form = await multipart({
      picture: await plainPicture([9, 9, 9]),
      request: JSON.stringify({
        example: { upload: true },
        id: 'pictures/green 2.png',
        verdict: 'up',
        level: 'item',
      }),
    });
    const send = (origin?: string) =>
      tiny.server.inject({
        method: 'POST',
        url: '/v1/feedback',
        payload: form.payload,
        headers: {
          host: 'localhost:7700',
          ...form.headers,
          ...(origin === undefined ? {} : { origin }),
        },
      });
    for (const origin of ['https://evil.example', 'null', 'http://localhost.evil.example'])
      expect((await send(origin)).json()).toMatchObject({ status: 403, code: 'wrong-origin' });
    for (const origin of [undefined, 'http://localhost:7700', 'https://shop.example'])
      expect((await send(origin)).statusCode, origin).toBe(201);
  });

  it('lets pages of allowed origins read answers and refusals, and no others', async () => {
    const { server } = await guarded('cors', { origins: ['https://shop.example'] });
    const from = (origin: string) => server.inject({ url: '/v1/catalog', headers: { origin } });
    const refused = await from('https://shop.example');
    expect(refused.statusCode).toBe(401);
    expect(refused.headers['access-control-allow-origin']).toBe('https://shop.example');
    expect(refused.headers['access-control-allow-credentials']).toBeUndefined();
    expect((await from('https://evil.example')).headers['access-control-allow-origin']).toBeUndefined();
    const preflight = await server.inject({
      method: 'OPTIONS',
      url: '/v1/search',
      headers: {
        origin: 'https://shop.example',
        'access-control-request-method': 'POST',
        'access-control-request-headers': 'authorization,content-type',
      },
    });
    expect(preflight.statusCode).toBe(204);
    expect(preflight.headers['access-control-allow-headers']).toBe('authorization,content-type');
  });
});

describe('what is written down', () => {
  it('tells each write with who, what and when, and no key, in audit and log', async () => {
    const audit = join(root, 'audit', 'audit.jsonl');
    let log = '';
    const stream = new Writable({
      write(part, _encoding, done) {
        log += part;
        done();
      },
    });
    const { server, tokens, file } = await guarded('told', { audit, log: { level: 'debug', stream } });
    const headers = bearer(tokens.write);
    const patch = { method: 'PATCH', url: green, payload: { attributes: { hue: ['teal'] } } } as const;
    expect((await server.inject({ ...patch, headers })).statusCode).toBe(200);
    expect((await server.inject({ ...patch, headers: bearer(tokens.search) })).statusCode).toBe(403);
    expect((await server.inject(patch)).statusCode).toBe(401);
    const bulk = await server.inject({
      method: 'POST',
      url: '/v1/bulk',
      headers: { ...headers, 'content-type': 'application/x-ndjson' },
      payload: `{"delete":"pictures/blue 1.png"}\n{"delete":"nobody"}\n{"delete":"pictures/blue 2.png"}\nnonsense\n`,
    });
    expect(bulk.statusCode).toBe(200);
    await server.inject({ url: '/v1/catalog', headers: bearer(tokens.search) });
    await server.inject({ url: `${green}/image`, headers: { cookie: `semblance-key=${tokens.search}` } });
    await server.inject({ url: '/v1/catalog', headers: bearer(`${tokens.search}x`) });
    await server.inject({
      method: 'POST',
      url: '/v1/search',
      payload: '{"examples":',
      headers: { ...bearer(tokens.search), 'content-type': 'application/json' },
    });

    const lines = (await readFile(audit, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines.map(({ at: _, request: __, keyId: ___, ...line }) => line)).toEqual([
      {
        who: 'the write one',
        address: '127.0.0.1',
        operation: 'patchPicture',
        target: 'pictures/green 2.png',
        status: 200,
      },
      {
        who: 'the search one',
        address: '127.0.0.1',
        operation: 'patchPicture',
        target: 'pictures/green 2.png',
        status: 403,
      },
      {
        who: 'anonymous',
        address: '127.0.0.1',
        operation: 'patchPicture',
        target: 'pictures/green 2.png',
        status: 401,
      },
      { who: 'the write one', address: '127.0.0.1', operation: 'bulk', status: 200 },
      {
        who: 'the write one',
        address: '127.0.0.1',
        operation: 'bulk',
        deleted: ['pictures/blue 1.png', 'pictures/blue 2.png'],
      },
    ]);
    for (const { at } of lines) expect(new Date(at).toISOString()).toBe(at);
    expect(log).toContain('"who":"the write one"');
    const secrets = [...Object.values(tokens), JSON.parse(await readFile(file, 'utf8')).keys[0].hash];
    for (const secret of secrets.map((token) => token.slice(-43)))
      expect(`${log}${await readFile(audit, 'utf8')}`).not.toContain(secret);
  });

  it('has sixty lines a minute for what was refused, and says how many had none', async () => {
    const audit = join(root, 'bounded.jsonl');
    const { server, tokens } = await guarded('bounded', { audit });
    const patch = { method: 'PATCH', url: green, payload: { attributes: { hue: ['teal'] } } } as const;
    for (let n = 0; n < 75; n++) expect((await server.inject(patch)).statusCode).toBe(401);
    expect((await server.inject({ ...patch, headers: bearer(tokens.write) })).statusCode).toBe(200);
    const lines = (await readFile(audit, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(lines).toHaveLength(61);
    expect(lines.at(-1)).toMatchObject({ status: 200, untold: 15 });
    expect(lines.at(-2)).not.toHaveProperty('untold');
  });

  it('acknowledges no write that it could not tell', async () => {
    const blocked = join(root, 'a file');
    await writeFile(blocked, '');
    const { server, tokens } = await guarded('untold', { audit: join(blocked, 'audit.jsonl'), log: false });
    const answer = await server.inject({
      method: 'PATCH',
      url: green,
      payload: { attributes: { hue: ['teal'] } },
      headers: bearer(tokens.write),
    });
    expect(answer.json()).toMatchObject({ status: 507, code: 'cannot-write' });
  });
});
