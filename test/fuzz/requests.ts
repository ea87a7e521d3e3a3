/** Requests for every route of the OpenAPI document: valid ones made of its schemas, and such as nobody should send. */
import fc from 'fast-check';
import { fromSchema, type Hints, type Schema } from './from-schema.js';

export interface FuzzRequest {
  /** Of the route, e.g. `POST /v1/search`; what is no request at all has `socket`. */
  readonly route: string;
  /** What was done to it. */
  readonly kind: string;
  readonly method: string;
  /** As it is sent. */
  readonly path: string;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: Uint8Array | undefined;
}

/** As much of the document as is used. */
export interface ApiDocument {
  readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>;
  readonly components: { readonly schemas: Readonly<Record<string, Schema>> };
}

export interface Operation {
  readonly operationId: string;
  readonly parameters?: readonly { name: string; in: string; required?: boolean; schema: Schema }[];
  readonly requestBody?: { readonly content: Readonly<Record<string, { readonly schema: Schema }>> };
  readonly responses: Readonly<
    Record<string, { readonly content?: Readonly<Record<string, { readonly schema?: Schema }>> }>
  >;
}

/** One request of any route and kind. @param pictures bytes to upload, as the hint `picture` has them in base64 */
export function anyRequest(
  document: ApiDocument,
  hints: Hints,
  pictures: readonly Uint8Array[],
): fc.Arbitrary<FuzzRequest> {
  const valid = Object.entries(document.paths).flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) =>
      validRequest(document, { path, method: method.toUpperCase(), operation, hints, pictures }),
    ),
  );
  const one = fc.oneof(...valid);
  return fc.oneof(
    { arbitrary: one, weight: 4 },
    { arbitrary: malformed(one), weight: 6 },
    { arbitrary: brokenBytes(), weight: 1 },
  );
}

// --- internal ---

interface Route {
  readonly path: string;
  readonly method: string;
  readonly operation: Operation;
  readonly hints: Hints;
  readonly pictures: readonly Uint8Array[];
}

const JSON_TYPE = { 'content-type': 'application/json' };
const BOUNDARY = 'x-fuzz-boundary';
const MULTIPART = { 'content-type': `multipart/form-data; boundary=${BOUNDARY}` };

function validRequest(document: ApiDocument, route: Route): fc.Arbitrary<FuzzRequest> {
  const { operation, hints, method } = route;
  const { schemas } = document.components;
  const parameters = (operation.parameters ?? []).map(({ name, in: place, schema, required }) => {
    const value = name === 'filter' ? fromSchema(schemas.Filter ?? {}, schemas, hints) : undefined;
    const text = (value?.map((one) => JSON.stringify(one)) ??
      fromSchema(schema, schemas, hints, name).map(String)) as fc.Arbitrary<string>;
    const isThere = place === 'path' || required === true ? fc.constant(true) : fc.boolean();
    return fc.record({ name: fc.constant(name), place: fc.constant(place), text, isThere });
  });
  return fc.tuple(fc.tuple(...parameters), bodies(document, route)).map(([values, { headers, body }]) => {
    let path = route.path;
    const query = new URLSearchParams();
    for (const { name, place, text, isThere } of values)
      if (place === 'path') path = path.replace(`{${name}}`, encode(text === '' ? 'x' : text));
      else if (isThere) query.append(name, text);
    const search = query.size === 0 ? '' : `?${query}`;
    return {
      route: `${method} ${route.path}`,
      kind: 'valid',
      method,
      path: path + search,
      headers,
      body,
    };
  });
}

/** As a client encodes; half a surrogate pair cannot be. */
function encode(text: string): string {
  return encodeURIComponent(text.replaceAll(/\p{Surrogate}/gu, '?')).replace(/^\.+$/, '%2E');
}

type Body = Pick<FuzzRequest, 'headers' | 'body'>;

function bodies(document: ApiDocument, { operation, hints, pictures }: Route): fc.Arbitrary<Body> {
  const { schemas } = document.components;
  const content = operation.requestBody?.content;
  if (content === undefined) return fc.constant({ headers: {}, body: undefined });
  const lines = content['application/x-ndjson']?.schema.contentSchema as Schema | undefined;
  if (lines !== undefined)
    return fc
      .array(fc.oneof({ arbitrary: fromSchema(lines, schemas, hints), weight: 4 }, fc.jsonValue()), {
        maxLength: 6,
      })
      .map((values) => ({
        headers: { 'content-type': 'application/x-ndjson' },
        body: Buffer.from(values.map((value) => JSON.stringify(value)).join('\n')),
      }));
  const schema = content['application/json']?.schema ?? {};
  const json = fromSchema(schema, schemas, hints).map((value) => JSON.stringify(value));
  const asJson = json.map((text): Body => ({ headers: JSON_TYPE, body: Buffer.from(text) }));
  if (content['multipart/form-data'] === undefined) return asJson;
  const asMultipart = fc
    .tuple(json, fc.constantFrom(...pictures))
    .map(([request, picture]): Body => ({ headers: MULTIPART, body: form({ request, picture }) }));
  return fc.oneof(asJson, asMultipart);
}

/** A multipart body. */
function form({ request, picture }: { request: string; picture: Uint8Array }): Buffer {
  const part = (name: string, more = '') =>
    `--${BOUNDARY}\r\nContent-Disposition: form-data; name="${name}"${more}\r\n`;
  return Buffer.concat([
    Buffer.from(`${part('request')}\r\n${request}\r\n`),
    Buffer.from(`${part('picture', '; filename="a.png"')}Content-Type: image/png\r\n\r\n`),
    picture,
    Buffer.from(`\r\n--${BOUNDARY}--\r\n`),
  ]);
}

type Change = (request: FuzzRequest) => fc.Arbitrary<FuzzRequest>;

const ODD_NUMBERS = ['1e999', '-1e999', '1e308', '9007199254740993', '-0', '0.1e-400', '1'.repeat(400)];
const ODD_TEXTS = [
  '\u0000',
  '\ud800',
  '__proto__',
  'constructor',
  'toString',
  '../../etc/passwd',
  "' OR 1=1 --",
  '{{7*7}}',
  '%s%n',
  '\u202e',
  'x'.repeat(70_000),
  '(a+)+$',
  'NaN',
  '=cmd()',
];
const deep = (open: string, close: string, depth = 50_000) => open.repeat(depth) + close.repeat(depth);
const RAW_BODIES: readonly (string | Uint8Array)[] = [
  '',
  'null',
  '[]',
  '0',
  '"x"',
  '{',
  '{"examples":',
  '\ufeff{}',
  '{}{}',
  "{'a':1}",
  'NaN',
  deep('[', ']'),
  deep('{"a":', '}').replace('}', '1}'),
  `{"examples":${deep('[', ']')}}`,
  `{"filter":${deep('[{"or":', '}]', 5000).replace('}]', '[]}]')},"examples":[{"id":"x"}],"columns":["hue"]}`,
  '{"__proto__":{"polluted":true},"examples":[{"id":"x"}]}',
  '{"constructor":{"prototype":{"polluted":true}},"examples":[{"id":"x"}]}',
  '{"examples":[{"id":"x"}],"examples":[{"id":"y"}]}',
  '{"examples":[{"__proto__":{"id":"x"}}]}',
  '{"itemId":"x","attributes":{"__proto__":["x"],"constructor":["y"]}}',
  '{"attributes":{"toString":["x"]}}',
  Uint8Array.of(0xff, 0xfe, 0x7b, 0x00, 0x7d, 0x00),
  Buffer.concat([
    Buffer.from('{"examples":[{"id":"'),
    Uint8Array.of(0xc0, 0xaf, 0xed, 0xa0, 0x80),
    Buffer.from('"}]}'),
  ]),
];
const TYPES = [
  '',
  'text/plain',
  'application/json; charset=utf-16',
  'application/JSON;;;',
  'application/xml',
  'image/jpeg',
  'application/x-ndjson',
  'application/x-www-form-urlencoded',
  'multipart/form-data',
  'multipart/form-data; boundary=',
  `multipart/form-data; boundary="${'b'.repeat(300)}"`,
  `multipart/mixed; boundary=${BOUNDARY}`,
  MULTIPART['content-type'],
  '*/*',
  'x',
];
const PATHS = [
  '/v1/pictures/..%2f..%2f..%2fetc%2fpasswd',
  '/v1/pictures/..%2f..%2f..%2fetc%2fpasswd/image',
  '/v1/pictures/%2e%2e/image',
  '/v1/pictures/%00',
  '/v1/pictures/a%00b/image',
  '/v1/pictures/%ff',
  '/v1/pictures/%c0%af',
  '/v1/pictures/%ed%a0%80',
  '/v1/pictures/%',
  '/v1/pictures//image',
  `/v1/pictures/${'a'.repeat(9000)}`,
  '/v1/../etc/passwd',
  '/../../etc/passwd',
  '//evil.example/v1/catalog',
  'http://evil.example/v1/catalog',
  '/v1/catalog;x=1',
  '/v1/catalog/',
  '/V1/CATALOG',
  '/v1/catalog#x',
  '/v1/pictures/__proto__',
  '/v1/pictures/constructor/similar',
  '/.git/config',
  '/assets/..%2f..%2fpackage.json',
  '/assets/%5c..%5c..%5cpackage.json',
  '*',
];
const QUERIES = [
  'limit=1&limit=2',
  'limit[]=1',
  'limit=1e9',
  'limit=-1',
  'limit=0x10',
  'limit=%20',
  '__proto__=1',
  '__proto__[x]=1',
  'constructor=1',
  'filter=%7B',
  'filter=null',
  'filter=%5B%7B%22column%22%3A%22hue%22%2C%22anyOf%22%3A%5B%22%00%22%5D%7D%5D',
  `filter=${'%5B'.repeat(3000)}`,
  'width=16.5',
  'width=NaN',
  'granularity=%E0%A4%A',
  '=',
  '&&&',
  'a'.repeat(5000),
];

function malformed(valid: fc.Arbitrary<FuzzRequest>): fc.Arbitrary<FuzzRequest> {
  const changes: readonly Change[] = [
    changedValue,
    changedValue,
    changedValue,
    oddCursor,
    (request) =>
      fc.constantFrom(...RAW_BODIES).map((body) => as(request, 'raw body', { body: Buffer.from(body) })),
    (request) =>
      fc
        .constantFrom(...TYPES)
        .map((type) =>
          as(request, 'content type', { headers: { ...request.headers, 'content-type': type } }),
        ),
    (request) => fc.constantFrom(...PATHS).map((path) => as(request, 'path', { path })),
    (request) =>
      fc
        .constantFrom(...QUERIES)
        .map((query) => as(request, 'query', { path: `${request.path.split('?')[0]}?${query}` })),
    (request) =>
      fc
        .constantFrom(
          'GET',
          'HEAD',
          'POST',
          'PUT',
          'PATCH',
          'DELETE',
          'OPTIONS',
          'TRACE',
          'PROPFIND',
          'QUERY',
        )
        .map((method) => as(request, 'method', { method })),
    damagedBytes,
    brokenMultipart,
    (request) =>
      fc
        .uint8Array({ maxLength: 3000 })
        .map((body) => as(request, 'random body', { body: Buffer.from(body) })),
    (request) =>
      fc
        .constantFrom<Record<string, string>>(
          { host: 'evil.example' },
          { origin: 'https://evil.example' },
          { 'transfer-encoding': 'chunked, chunked' },
          { 'content-encoding': 'gzip' },
          { expect: '100-continue' },
          { range: 'bytes=0-1,5-' },
          { 'if-none-match': '*' },
          { accept: 'text/html' },
          { 'x-forwarded-for': '1'.repeat(4000) },
          { cookie: '='.repeat(2000) },
          { upgrade: 'websocket', connection: 'upgrade' },
        )
        .map((headers) => as(request, 'headers', { headers: { ...request.headers, ...headers } })),
  ];
  return valid.chain((request) => fc.oneof(...changes.map((change) => change(request))));
}

function as(request: FuzzRequest, kind: string, change: Partial<FuzzRequest>): FuzzRequest {
  return { ...request, kind, ...change };
}

/** One value of a JSON body, or of its lines, becomes another; odd numbers and texts among them. */
const changedValue: Change = (request) => {
  const text = Buffer.from(request.body ?? []).toString('utf8');
  const tokens = [...text.matchAll(/"(?:[^"\\]|\\.)*"|-?\d[\d.eE+-]*|true|false|null|\[\]|\{\}/g)];
  const odd = fc.oneof(
    fc.constantFrom(
      ...ODD_NUMBERS,
      ...ODD_TEXTS.map((one) => JSON.stringify(one)),
      'null',
      '{}',
      '[]',
      'true',
      '[[]]',
    ),
    fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value)),
  );
  if (tokens.length === 0 || text.length > 100_000)
    return odd.map((value) => as(request, 'value', { body: Buffer.from(value) }));
  return fc.tuple(fc.nat(tokens.length - 1), odd).map(([at, value]) => {
    const token = tokens[at] as RegExpExecArray;
    const changed = text.slice(0, token.index) + value + text.slice(token.index + token[0].length);
    return as(request, 'value', { body: Buffer.from(changed) });
  });
};

/** Cursors that are base64 of something, of which some look like ours. */
const oddCursor: Change = (request) => {
  const key = fc.oneof(fc.jsonValue({ maxDepth: 2 }), fc.tuple(fc.double(), fc.string()));
  const value = fc.oneof(
    fc.jsonValue({ maxDepth: 2 }),
    fc.record({ shown: fc.oneof(fc.integer(), fc.double()), key, search: fc.string() }, { requiredKeys: [] }),
    fc.tuple(fc.string(), fc.string()),
  );
  const cursor = fc.oneof(
    value.map((one) => Buffer.from(JSON.stringify(one) ?? '').toString('base64url')),
    fc.string(),
  );
  return cursor.map((text) => {
    if (request.body === undefined)
      return as(request, 'cursor', { path: `${request.path.split('?')[0]}?cursor=${encode(text)}` });
    let body: unknown;
    try {
      body = JSON.parse(Buffer.from(request.body).toString('utf8'));
    } catch {}
    const plain = typeof body === 'object' && body !== null && !Array.isArray(body) ? body : {};
    return as(request, 'cursor', {
      headers: JSON_TYPE,
      body: Buffer.from(JSON.stringify({ ...plain, cursor: text })),
    });
  });
};

/** Some bytes of the body are others, or it ends early. */
const damagedBytes: Change = (request) => {
  const bytes = Buffer.from(request.body ?? 'x');
  return fc
    .tuple(fc.array(fc.tuple(fc.nat(), fc.nat(255)), { minLength: 1, maxLength: 6 }), fc.option(fc.nat()))
    .map(([changes, end]) => {
      const damaged = Buffer.from(bytes);
      for (const [at, value] of changes) damaged[at % Math.max(1, damaged.length)] = value;
      const body = end === null ? damaged : damaged.subarray(0, end % (damaged.length + 1));
      return as(request, 'damaged bytes', { body });
    });
};

const brokenMultipart: Change = (request) => {
  const line = (name: string) => `Content-Disposition: form-data; name="${name}"`;
  const open = `--${BOUNDARY}\r\n`;
  const close = `\r\n--${BOUNDARY}--\r\n`;
  const broken = [
    '',
    open,
    `${open}${line('request')}`,
    `${open}${line('request')}\r\n\r\n{}`,
    `${open}${line('request')}\r\n\r\n{}${close}`.repeat(2),
    `${open}${line('__proto__')}\r\n\r\n{}${close}`,
    `${open}${line('request')}\r\n\r\n{}\r\n`.repeat(30) + close,
    `${open}${line('picture')}; filename="a"\r\n\r\nx\r\n`.repeat(30) + close,
    `${open}${line('request')}\r\nContent-Type: application/json\r\n\r\n{"__proto__":1}${close}`,
    `${open}${line('request')}\r\nContent-Transfer-Encoding: base64\r\n\r\n%%%${close}`,
    `${open}${'X-Header: y\r\n'.repeat(3000)}${line('request')}\r\n\r\n{}${close}`,
    `${open}${line('x'.repeat(20_000))}\r\n\r\n{}${close}`,
    `${open}Content-Disposition: attachment\r\n\r\n{}${close}`,
    `${open}${line('picture')}; filename="../../etc/passwd"\r\n\r\nx${close}`,
    `${open}${line('picture')}; filename*=utf-8''%ff%00\r\n\r\nx${close}`,
    `${open}\r\n\r\n${close}`,
    close,
  ];
  return fc
    .constantFrom(...broken)
    .map((text) => as(request, 'broken multipart', { headers: MULTIPART, body: Buffer.from(text) }));
};

/** What is sent as it is, over a socket: `body` is all of it. */
function brokenBytes(): fc.Arbitrary<FuzzRequest> {
  const host = 'Host: localhost\r\n';
  const post = `POST /v1/search HTTP/1.1\r\n${host}Content-Type: application/json\r\n`;
  const fixed = [
    'GET / HTTP/1.1\r\n\r\n',
    'GET / HTTP/9.9\r\n\r\n',
    `GET /\u0000 HTTP/1.1\r\n${host}\r\n`,
    `GET  / HTTP/1.1\r\n${host}\r\n`,
    `GET / HTTP/1.1\r\n${host}Bad Header\r\n\r\n`,
    `GET / HTTP/1.1\r\n${host}X: a\r\n b\r\n\r\n`,
    `GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n`,
    `${post}Content-Length: -1\r\n\r\n{}`,
    `${post}Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}`,
    `${post}Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n`,
    `${post}Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n`,
    `${post}Transfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n{}`,
    `${post}Content-Length: 99999999999999999999\r\n\r\n{}`,
    `GET /health/live HTTP/1.1\r\n${host}\r\n`.repeat(50),
    `GET / HTTP/1.1\r\n${host}${'A: b\r\n'.repeat(3000)}\r\n`,
    'PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n',
    '\u0016\u0003\u0001\u0002\u0000\u0001\u0000',
  ];
  return fc
    .oneof(
      fc.constantFrom(...fixed).map((text) => Buffer.from(text, 'latin1')),
      fc.uint8Array({ minLength: 1, maxLength: 500 }).map((bytes) => Buffer.from(bytes)),
      fc
        .tuple(fc.string({ maxLength: 20 }), fc.uint8Array({ maxLength: 200 }))
        .map(([path, bytes]) => Buffer.concat([Buffer.from(`GET /${path} HTTP/1.1\r\n${host}`), bytes])),
    )
    .map((body) => ({ route: 'socket', kind: 'bytes', method: '', path: '', headers: {}, body }));
}
