import { readdir } from 'node:fs/promises';
import { request } from 'node:http';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { multipart, openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { type BulkResult, bulkResult } from './contract.js';
import { readLines } from './ndjson.js';

let tiny: TinyServer;
beforeAll(async () => {
  tiny = await openTinyServer();
});
afterAll(() => tiny.close());

const address = (id: string) => `/v1/pictures/${encodeURIComponent(id)}`;
const base64 = async (colour: [number, number, number]) =>
  Buffer.from(await plainPicture(colour)).toString('base64');

async function nearest(colour: [number, number, number]): Promise<string> {
  const payload = { examples: [{ picture: await base64(colour) }], limit: 1 };
  return (await tiny.server.inject({ method: 'POST', url: '/v1/search', payload })).json().hits[0].id;
}

describe('writing one picture', () => {
  it('is found, changed and gone as soon as it was answered', async () => {
    const id = 'new/ä #1?.png';
    const colour: [number, number, number] = [130, 120, 10];
    const known = { itemId: 'olive', source: 'me', attributes: { hue: ['red'], price: ['77'] } };
    const put = async () =>
      tiny.server.inject({
        method: 'PUT',
        url: address(id),
        payload: { ...known, picture: await base64(colour) },
      });
    const added = await put();
    expect([added.statusCode, added.json()]).toEqual([201, { id, ...known }]);
    expect((await put()).statusCode).toBe(200);
    expect(await nearest(colour)).toBe(id);
    expect((await tiny.server.inject(`${address(id)}/image?width=16`)).statusCode).toBe(200);

    const patched = await tiny.server.inject({
      method: 'PATCH',
      url: address(id),
      payload: { itemId: 'moss', attributes: { price: [] } },
    });
    expect(patched.json()).toEqual({ ...known, id, itemId: 'moss', attributes: { hue: ['red'] } });

    const nobody = await tiny.server.inject({ method: 'PATCH', url: address(id), payload: { source: '' } });
    expect(nobody.json()).toEqual({ id, itemId: 'moss', attributes: { hue: ['red'] } });

    const form = await multipart({
      picture: await plainPicture([20, 120, 130]),
      request: JSON.stringify({ itemId: 'teal' }),
    });
    const replaced = await tiny.server.inject({ method: 'PUT', url: address(id), ...form });
    expect([replaced.statusCode, replaced.json()]).toEqual([200, { id, itemId: 'teal', attributes: {} }]);
    expect(await nearest([20, 120, 130])).toBe(id);

    const deleted = await tiny.server.inject({ method: 'DELETE', url: address(id) });
    expect([deleted.statusCode, deleted.body]).toEqual([204, '']);
    expect(await nearest([20, 120, 130])).not.toBe(id);
    const kept = await readdir(join(tiny.catalog, 'pictures'), { recursive: true, withFileTypes: true });
    expect(kept.filter((entry) => entry.isFile())).toEqual([]);
  });

  it('says what is wrong with it', async () => {
    const picture = await base64([1, 2, 3]);
    const put = { method: 'PUT' as const, url: address('x') };
    const red = address('pictures/red 0.png');
    for (const [asked, status, code] of [
      [{ ...put, payload: { itemId: 'x' } }, 400, 'invalid-request'],
      [{ ...put, payload: { picture } }, 400, 'invalid-request'],
      [{ ...put, payload: { itemId: 'x', picture: 'aGVsbG8=' } }, 422, 'unreadable-picture'],
      [{ ...put, payload: { itemId: 'x', picture, attributes: { size: ['1'] } } }, 422, 'unknown-column'],
      [{ method: 'PATCH' as const, url: address('none'), payload: {} }, 404, 'unknown-picture'],
      [
        { method: 'PATCH' as const, url: red, payload: { attributes: { item_id: [] } } },
        422,
        'unknown-column',
      ],
      [
        { method: 'PATCH' as const, url: red, payload: { attributes: { path: ['x'] } } },
        422,
        'unknown-column',
      ],
      [{ method: 'PATCH' as const, url: red, payload: { itemId: '\ud800' } }, 400, 'invalid-request'],
      [
        { method: 'PATCH' as const, url: red, payload: { attributes: { hue: ['\udc00x'] } } },
        400,
        'invalid-request',
      ],
      [{ ...put, payload: { itemId: 'x', source: 'a\ud800', picture } }, 400, 'invalid-request'],
      [{ ...put, payload: { itemId: 'x', attributes: { hue: [''] }, picture } }, 400, 'invalid-request'],
      [
        { method: 'PATCH' as const, url: red, payload: { attributes: { hue: [''] } } },
        400,
        'invalid-request',
      ],
      [{ method: 'DELETE' as const, url: address('none') }, 404, 'unknown-picture'],
    ] as const) {
      const answer = await tiny.server.inject(asked);
      expect([answer.statusCode, answer.json().code], answer.body).toEqual([status, code]);
    }
  });

  it('is refused where the server is read-only, feedback too', async () => {
    const readOnly = await openTinyServer({ readOnly: true });
    const payload = { itemId: 'x' };
    for (const asked of [
      { method: 'PUT' as const, url: address('x'), payload },
      { method: 'PATCH' as const, url: address('x'), payload },
      { method: 'DELETE' as const, url: address('x') },
      {
        method: 'POST' as const,
        url: '/v1/bulk',
        payload: '',
        headers: { 'content-type': 'application/x-ndjson' },
      },
      { method: 'POST' as const, url: '/v1/feedback', payload },
      { method: 'DELETE' as const, url: `/v1/feedback/${'0'.repeat(24)}` },
    ]) {
      const answer = await readOnly.server.inject(asked);
      expect([answer.statusCode, answer.json().code], asked.url).toEqual([403, 'read-only']);
    }
    expect((await readOnly.server.inject('/v1/catalog')).json().capabilities.writable).toBe(false);
    await readOnly.close();
  });
});

describe('POST /v1/bulk', () => {
  const bulk = async (lines: readonly (string | object)[]): Promise<BulkResult[]> => {
    const payload = lines.map((line) => (typeof line === 'string' ? line : JSON.stringify(line))).join('\n');
    const answer = await tiny.server.inject({
      method: 'POST',
      url: '/v1/bulk',
      payload,
      headers: { 'content-type': 'application/x-ndjson' },
    });
    expect(answer.statusCode, answer.body).toBe(200);
    return answer.body
      .trimEnd()
      .split('\n')
      .map((line) => bulkResult.parse(JSON.parse(line)));
  };

  it('carries out each line in order, and answers each', async () => {
    const picture = await base64([120, 20, 120]);
    const results = await bulk([
      { put: 'a', itemId: 'plum', picture },
      { patch: 'a', itemId: 'violet' },
      '',
      { put: 'b', itemId: 'plum', picture: 'aGVsbG8=' },
      '{"put":',
      { put: 'c', itemId: 'plum' },
      { put: 'd', itemId: 'plum', picture, attributes: { size: ['1'] } },
      { delete: 'a' },
      { delete: 'a' },
      { patch: 'a', itemId: 'x' },
      { colour: 'red' },
      { put: 'e', itemId: 'plum', picture },
    ]);
    expect(results.map(({ line, id, status }) => [line, id, status])).toEqual([
      [1, 'a', 'stored'],
      [2, 'a', 'changed'],
      [4, 'b', 'failed'],
      [5, null, 'failed'],
      [6, 'c', 'failed'],
      [7, 'd', 'failed'],
      [8, 'a', 'deleted'],
      [9, 'a', 'not-found'],
      [10, 'a', 'not-found'],
      [11, null, 'failed'],
      [12, 'e', 'stored'],
    ]);
    expect(results[2]?.detail).toMatch(/text, not a picture/);
    expect((await tiny.server.inject(address('e'))).json()).toMatchObject({ itemId: 'plum' });
  });

  it('answers what it has while more is still to come', async () => {
    const url = new URL('/v1/bulk', await tiny.server.listen({ port: 0, host: '127.0.0.1' }));
    const outgoing = request(url, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
    const answered = new Promise<string>((resolve, reject) => {
      outgoing.on('error', reject);
      outgoing.on('response', (response) => {
        let text = '';
        response.on('data', (chunk) => {
          text += chunk;
          // The first batch was answered before the rest was sent.
          if (!outgoing.writableEnded) outgoing.end('{"delete":"last"}\n');
        });
        response.on('end', () => resolve(text));
      });
    });
    outgoing.write('{"delete":"none"}\n'.repeat(40));
    const lines = (await answered).trimEnd().split('\n');
    expect(lines).toHaveLength(41);
    expect(JSON.parse(lines[40] as string)).toEqual({ line: 41, id: 'last', status: 'not-found' });
  });

  it('gives up on who sends nothing more, and lets the server end', async () => {
    const patient = await openTinyServer({ limits: { requestTimeoutMs: 200 } });
    const url = new URL('/v1/bulk', await patient.server.listen({ port: 0, host: '127.0.0.1' }));
    const outgoing = request(url, { method: 'POST', headers: { 'content-type': 'application/x-ndjson' } });
    const given = new Promise<string>((resolve) => {
      outgoing.on('error', () => resolve('broken'));
      outgoing.on('response', (response) => {
        response.resume();
        response.on('error', () => resolve('broken'));
        response.on('end', () => resolve('ended'));
      });
    });
    outgoing.write('{"delete":"none"}\n'.repeat(33));
    expect(await given).toBe('broken');
    await patient.close();
  });

  it('reads no other type', async () => {
    const answer = await tiny.server.inject({ method: 'POST', url: '/v1/bulk', payload: { delete: 'a' } });
    expect([answer.statusCode, answer.json().code]).toEqual([415, 'unsupported-media-type']);
  });
});

describe('readLines', () => {
  it('gives the same lines however the text is cut, and skips what is too long', async () => {
    const text = `{"a":"ä"}\n\n${'x'.repeat(50)}\r\nlast`;
    const bytes = Buffer.from(text);
    for (const size of [1, 3, 7, 1000]) {
      const chunks = function* () {
        for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
      };
      const lines: unknown[] = [];
      const source = (async function* () {
        yield* chunks();
      })();
      for await (const line of readLines(source, 40)) lines.push(line);
      expect(lines).toEqual([
        { number: 1, text: '{"a":"ä"}' },
        { number: 3, text: undefined },
        { number: 4, text: 'last' },
      ]);
    }
  });
});
