import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Validator } from '@seriousme/openapi-schema-validator';
import sharp from 'sharp';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { shadeOf, type TinyCatalog, writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import { LiveCatalog } from '../catalog/index.js';
import {
  attributesResponse,
  buildServer,
  explainResponse,
  pictureList,
  problem,
  type SearchResponse,
  type Server,
} from './index.js';

let root = '';
let tiny: TinyCatalog;
let live: LiveCatalog;
let server: Server;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-server-'));
  tiny = await writeTinyCatalog(root);
  live = await LiveCatalog.open(tiny.catalog, { threads: 1, pollMs: 0 });
  const page = join(root, 'page');
  await mkdir(join(page, 'assets'), { recursive: true });
  await writeFile(join(page, 'index.html'), '<!doctype html><title>page</title>');
  await writeFile(join(page, 'assets', 'index-1a2b3c.js'), 'export {};');
  server = await buildServer({ catalog: live, page, limits: { pictureBytes: 200_000 } });
});
afterAll(async () => {
  await server.close();
  await live.close();
  await rm(root, { recursive: true, force: true });
});

const base64 = async (colour: [number, number, number]) =>
  Buffer.from(await plainPicture(colour)).toString('base64');

async function search(request: unknown): Promise<SearchResponse> {
  const answer = await server.inject({ method: 'POST', url: '/v1/search', payload: request as object });
  expect(answer.statusCode, answer.body).toBe(200);
  return answer.json();
}

/** A multipart body as any client sends it. */
async function multipart(parts: Record<string, string | Blob>) {
  const form = new FormData();
  for (const [name, value] of Object.entries(parts)) form.append(name, value);
  const request = new Request('http://localhost/', { method: 'POST', body: form });
  return {
    payload: Buffer.from(await request.arrayBuffer()),
    headers: { 'content-type': request.headers.get('content-type') ?? '' },
  };
}

describe('POST /v1/search', () => {
  it('gives the same hits for a picture in base64, uploaded, by its id, and by its vector', async () => {
    const bytes = await plainPicture(shadeOf(1, 2), { width: 24, height: 16 });
    const asJson = await search({ examples: [{ picture: Buffer.from(bytes).toString('base64') }] });
    const ids = (answer: SearchResponse) => answer.hits.map(({ id }) => id);
    expect(ids(asJson)[0]).toBe('pictures/green 2.png');
    expect(asJson.hits[0]?.score).toBeCloseTo(1, 5);
    expect(asJson.hits[0]).toMatchObject({
      rank: 1,
      itemId: 'green-2',
      source: 'even',
      attributes: { hue: ['green'], price: ['12'] },
    });
    const total = Object.values(asJson.hits[3]?.parts ?? {}).reduce((a, b) => a + b);
    expect(total).toBeCloseTo(asJson.hits[3]?.score as number, 5);

    const file = new Blob([new Uint8Array(bytes)], { type: 'image/png' });
    for (const parts of [
      { picture: file },
      { picture: file, request: JSON.stringify({ examples: [{ upload: true }] }) },
      { request: new Blob([JSON.stringify({ examples: [{ upload: true }] })]), picture: file },
    ]) {
      const answer = await server.inject({ method: 'POST', url: '/v1/search', ...(await multipart(parts)) });
      expect(answer.statusCode, answer.body).toBe(200);
      expect(ids(answer.json())).toEqual(ids(asJson));
    }
    // A record is not among its own hits.
    expect(ids(await search({ examples: [{ id: 'pictures/green 2.png' }] }))).toEqual(ids(asJson).slice(1));
    expect(ids(await search({ examples: [{ vector: asJson.vectors[0] }] }))).toEqual(ids(asJson));
  });

  it('filters, counts facets, and pages without a gap', async () => {
    const request = {
      examples: [{ picture: await base64(shadeOf(0, 1)) }],
      granularity: 'category',
      filter: [{ column: 'hue', noneOf: ['red'] }],
      facets: ['hue'],
      limit: 4,
    };
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const answer: SearchResponse = await search({ ...request, ...(cursor === null ? {} : { cursor }) });
      expect(answer.granularity).toBe(1);
      // Counted without the filter's own condition on the column, so that its other values can be chosen.
      expect(answer.facets.hue).toEqual([
        { value: 'blue', count: 5 },
        { value: 'green', count: 5 },
        { value: 'red', count: 5 },
      ]);
      expect(answer.hits.map(({ rank }) => rank)).toEqual(answer.hits.map((_, i) => found.length + i + 1));
      found.push(...answer.hits.map(({ id }) => id));
      cursor = answer.cursor;
    } while (cursor !== null);
    expect(new Set(found).size).toBe(10);
    expect(found).toHaveLength(10);
  });
});

describe('reading the catalogue', () => {
  it('lists pictures by id, page by page', async () => {
    const all: string[] = [];
    let url: string | null = '/v1/pictures?limit=6';
    while (url !== null) {
      const list = pictureList.parse((await server.inject(url)).json());
      const { pictures, total } = list;
      const cursor: string | null = list.cursor;
      expect(total).toBe(15);
      all.push(...pictures.map(({ id }) => id));
      url = cursor === null ? null : `/v1/pictures?limit=6&cursor=${encodeURIComponent(cursor)}`;
    }
    expect(all).toEqual(tiny.rows.map(({ relativePath }) => relativePath).sort());
  });

  it('shows a picture, its file, and a WebP of a width', async () => {
    const url = `/v1/pictures/${encodeURIComponent('pictures/blue 3.png')}`;
    expect((await server.inject(url)).json()).toEqual({
      id: 'pictures/blue 3.png',
      itemId: 'blue-3',
      attributes: { hue: ['blue'], price: ['23'] },
    });
    const path = tiny.rows.find(({ relativePath }) => relativePath === 'pictures/blue 3.png')?.path as string;
    const original = await server.inject(`${url}/image`);
    expect(original.headers['content-type']).toBe('image/png');
    expect(original.rawPayload).toEqual(
      Buffer.from(await plainPicture(shadeOf(2, 3), { width: 24, height: 16 })),
    );
    const small = await server.inject(`${url}/image?width=16`);
    expect(small.headers['content-type']).toBe('image/webp');
    const again = await server.inject({
      url: `${url}/image?width=16`,
      headers: { 'if-none-match': String(small.headers.etag) },
    });
    expect([again.statusCode, again.body]).toEqual([304, '']);
    await rename(path, `${path}.away`);
    try {
      const gone = await server.inject(`${url}/image`);
      expect(gone.statusCode).toBe(422);
      expect([gone.headers.etag, gone.headers['cache-control']]).toEqual([undefined, undefined]);
    } finally {
      await rename(`${path}.away`, path);
    }
  });

  it('describes the catalogue', async () => {
    const { pictures, items, levels, attributes, model } = (await server.inject('/v1/catalog')).json();
    expect({ pictures, items, levels }).toEqual({ pictures: 15, items: 12, levels: ['item_id', 'hue'] });
    expect(model).toMatchObject({
      dimension: 12,
      inputSize: 8,
      vectorSize: live.current.catalog.layout.size,
    });
    const byName = Object.fromEntries(attributes.map((one: { name: string }) => [one.name, one]));
    expect(byName.hue).toMatchObject({ kind: 'single', distinct: 3, numeric: null });
    expect(byName.price).toMatchObject({ kind: null, distinct: 15, numeric: { minimum: 0, maximum: 24 } });
  });
});

describe('what the model sees', () => {
  it('predicts attributes, and gives the size of the upright picture and its vector', async () => {
    const picture = await sharp(await plainPicture(shadeOf(0, 0), { width: 24, height: 16 }))
      .withMetadata({ orientation: 6 })
      .jpeg()
      .toBuffer();
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/attributes',
      ...(await multipart({ picture: new Blob([new Uint8Array(picture)]) })),
    });
    const seen = attributesResponse.parse(answer.json());
    expect([seen.width, seen.height]).toEqual([16, 24]);
    expect(seen.attributes[0]).toMatchObject({
      name: 'hue',
      kind: 'single',
      values: [{ value: 'red' }, {}, {}],
    });
    const found = await search({ examples: [{ vector: seen.vector }], limit: 1 });
    expect(found.hits[0]).toMatchObject({ id: 'pictures/red 0.png' });
  });

  it('explains a hit by the same score that the search gave, with maps that add up to the cosine', async () => {
    const example = { id: 'pictures/red 1.png' };
    const edits = [{ attribute: 'hue', value: 'green', want: true }];
    const [first] = (await search({ examples: [example], granularity: 0.7, edits })).hits;
    const answer = await server.inject({
      method: 'POST',
      url: '/v1/explain',
      payload: { example, id: first?.id, granularity: 0.7, edits },
    });
    const why = explainResponse.parse(answer.json());
    expect(why.score).toBeCloseTo(first?.score as number, 5);
    expect(why.parts).toEqual(first?.parts);
    expect(why.words.length).toBeGreaterThan(0);
    const { heatMaps } = why;
    for (const map of [heatMaps?.query, heatMaps?.hit]) {
      expect(map?.values).toHaveLength((map?.width ?? 0) * (map?.height ?? 0));
      const sum = map?.values.reduce((a, b) => a + b, 0) as number;
      if (heatMaps?.method === 'exact') expect(sum).toBeCloseTo(heatMaps.cosine, 4);
    }
    const vectors = (await search({ examples: [example] })).vectors;
    const withoutPicture = await server.inject({
      method: 'POST',
      url: '/v1/explain',
      payload: { example: { vector: vectors[0] }, id: first?.id },
    });
    expect(explainResponse.parse(withoutPicture.json()).heatMaps).toBeUndefined();
  });

  it('finds what is similar to a picture as a search by its id does', async () => {
    const id = 'pictures/blue 1.png';
    const answer = await server.inject(
      `/v1/pictures/${encodeURIComponent(id)}/similar?granularity=look&limit=3`,
    );
    const expected = await search({ examples: [{ id }], granularity: 'look', limit: 3 });
    expect(answer.json().hits).toEqual(expected.hits);
    expect(answer.json().cursor).toBe(expected.cursor);
  });
});

describe('for whoever runs it', () => {
  it('has a valid OpenAPI document with every route', async () => {
    const document = (await server.inject('/openapi.json')).json();
    expect(document.openapi).toBe('3.1.0');
    expect(await new Validator().validate(document)).toEqual({ valid: true });
  });

  it('counts requests by route, not by address', async () => {
    await server.inject('/v1/pictures/no-such-picture');
    const { body, headers } = await server.inject('/metrics');
    expect(headers['content-type']).toMatch(/^text\/plain/);
    expect(body).toMatch(
      /semblance_http_requests_total{method="GET",route="\/v1\/pictures\/:id",status="404"} \d+/,
    );
    expect(body).toContain('semblance_catalog_pictures 15');
    expect(body).not.toContain('no-such-picture');
  });

  it('says that it is alive and ready', async () => {
    for (const url of ['/health/live', '/health/ready'])
      expect((await server.inject(url)).json()).toEqual({ status: 'ok' });
  });
});

describe('the page', () => {
  it('answers its address and its files, with the right caching', async () => {
    for (const url of ['/', '/index.html', '/?utm=1']) {
      const answer = await server.inject(url);
      expect([answer.statusCode, answer.headers['cache-control']], url).toEqual([200, 'no-cache']);
      expect(answer.body).toContain('<title>page</title>');
      expect(answer.headers['content-security-policy']).toMatch(/script-src 'self';/);
    }
    const asset = await server.inject('/assets/index-1a2b3c.js');
    expect(asset.headers['cache-control']).toBe('public, max-age=31536000, immutable');
    for (const url of ['/assets/gone.js', '/v1/gone', '/favicon.ico', '/elsewhere', '/../etc/passwd'])
      expect((await server.inject(url)).statusCode, url).toBe(404);
  });
});

describe('problems', () => {
  const post = (payload: unknown, url = '/v1/search') => ({
    method: 'POST' as const,
    url,
    payload: payload as object,
  });
  const raw = (payload: string, type: string) => ({
    method: 'POST' as const,
    url: '/v1/search',
    payload,
    headers: { 'content-type': type },
  });
  const filter = [{ column: 'colour', anyOf: ['red'] }];
  const examples = [{ id: 'pictures/red 0.png' }];
  const cases: Record<string, [() => object | Promise<object>, number, string, RegExp?]> = {
    'no such route': [() => ({ url: '/v1/nothing' }), 404, 'not-found'],
    'another method': [
      () => ({ method: 'DELETE', url: '/v1/catalog' }),
      405,
      'method-not-allowed',
      /GET, HEAD/,
    ],
    'a path that is not encoded': [() => ({ url: '/v1/pictures/%ff' }), 400, 'invalid-url'],
    'no such picture': [() => ({ url: '/v1/pictures/none' }), 404, 'unknown-picture'],
    'no examples': [() => post({ examples: [] }), 400, 'invalid-request', /\/body\/examples/],
    'a field too many': [() => post({ examples, colour: 1 }), 400, 'invalid-request', /colour/],
    'not JSON': [() => raw('{"exa', 'application/json'), 400, 'invalid-json'],
    'no body': [() => raw('', 'application/json'), 400, 'invalid-json'],
    'another type': [() => raw('x', 'image/png'), 415, 'unsupported-media-type'],
    'bad base64': [() => post({ examples: [{ picture: '%%%' }] }), 400, 'invalid-request'],
    'no picture': [
      () => post({ examples: [{ picture: 'aGVsbG8=' }] }),
      422,
      'unreadable-picture',
      /text, not a picture/,
    ],
    'half a picture': [
      async () => post({ examples: [{ picture: (await base64([9, 9, 9])).slice(0, 80) }] }),
      422,
      'unreadable-picture',
      /^picture: is a (truncated|corrupt) PNG/,
    ],
    'too large': [() => post({ examples: [{ picture: 'AAAA'.repeat(700_000) }] }), 413, 'too-large'],
    'an id that is not there': [() => post({ examples: [{ id: 'none' }] }), 404, 'unknown-picture'],
    "another model's vector": [() => post({ examples: [{ vector: 'AAAAAA==' }] }), 409, 'other-model'],
    'an unknown column': [() => post({ examples, filter }), 422, 'unknown-column', /Choose from: .*hue/],
    'an unknown facet': [() => post({ examples, facets: ['colour'] }), 422, 'unknown-column'],
    'how pictures were split': [
      () => post({ examples, filter: [{ column: 'split', anyOf: ['test'] }] }),
      422,
      'unknown-column',
    ],
    'what pictures hash to': [() => post({ columns: ['content_hash'] }, '/v1/facets'), 422, 'unknown-column'],
    'whose design it is': [() => post({ examples, facets: ['source_group'] }), 422, 'unknown-column'],
    'where files lie': [() => post({ columns: ['path'] }, '/v1/facets'), 422, 'unknown-column'],
    'a filter by where files lie': [
      () => post({ examples, filter: [{ column: 'path', known: true }] }),
      422,
      'unknown-column',
    ],
    'a made-up cursor': [() => post({ examples, cursor: 'abc' }), 400, 'invalid-cursor'],
    'a URL': [() => post({ examples: [{ url: 'http://localhost/x' }] }), 403, 'url-not-allowed'],
    'an upload without a file': [() => post({ examples: [{ upload: true }] }), 400, 'invalid-multipart'],
    'multipart without a boundary': [() => raw('x', 'multipart/form-data'), 400, 'invalid-multipart'],
    'an unknown part': [
      async () => ({ method: 'POST', url: '/v1/search', ...(await multipart({ colour: 'red' })) }),
      400,
      'invalid-multipart',
      /'colour'/,
    ],
    'a file too large': [
      async () => ({
        method: 'POST',
        url: '/v1/search',
        ...(await multipart({ picture: new Blob([new Uint8Array(200_001)]) })),
      }),
      413,
      'too-large',
    ],
  };
  for (const [name, [request, status, code, detail]] of Object.entries(cases))
    it(name, async () => {
      const answer = await server.inject(await request());
      const body = answer.json();
      expect([answer.statusCode, body.code], answer.body).toEqual([status, code]);
      expect(answer.headers['content-type']).toBe('application/problem+json; charset=utf-8');
      expect(problem.parse(body)).toMatchObject({ status, code });
      if (detail !== undefined) expect(body.detail).toMatch(detail);
      expect(answer.body).not.toContain(root);
      expect(answer.body).not.toMatch(/\bat .*\.(ts|js):\d/);
    });
});
