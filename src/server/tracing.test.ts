import { execFile } from 'node:child_process';
import { cp, mkdir, readdir, readFile, realpath, symlink } from 'node:fs/promises';
import { createServer, type IncomingHttpHeaders } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, expect, it } from 'vitest';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { openTinyServer } from '../../test/support/tiny-server.js';
import { openTracing } from './tracing.js';

interface Span {
  readonly traceId: string;
  readonly spanId: string;
  readonly parentSpanId?: string;
  readonly name: string;
  readonly kind: number;
  readonly startTimeUnixNano: string;
  readonly endTimeUnixNano: string;
  readonly attributes: readonly { readonly key: string; readonly value: object }[];
  readonly status: { readonly code?: number };
}

const TSX = new URL(import.meta.resolve('tsx/esm')).href;

const closers: (() => Promise<unknown>)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).reverse()) await close();
});

/** A collector that takes OTLP as JSON over HTTP, as others speak it. */
async function openCollector(status = 200) {
  const received: { url: string | undefined; headers: IncomingHttpHeaders; text: string }[] = [];
  const server = createServer((request, response) => {
    let text = '';
    request.on('data', (part) => (text += part));
    request.on('end', () => {
      received.push({ url: request.url, headers: request.headers, text });
      response.writeHead(status, { 'content-type': 'application/json' }).end('{}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  closers.push(() => new Promise((resolve) => server.close(resolve)));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    received,
    spans: (): Span[] =>
      received.flatMap(({ text }) =>
        JSON.parse(text).resourceSpans.flatMap((resource: { scopeSpans: { spans: Span[] }[] }) =>
          resource.scopeSpans.flatMap(({ spans }) => spans),
        ),
      ),
  };
}

it('sends a span a request, with search, wait, decoding, embedding and store in it, of the trace that came', async () => {
  const collector = await openCollector();
  const tracing = await openTracing({ endpoint: collector.url });
  const tiny = await openTinyServer({ tracing });
  closers.push(() => tiny.close());
  const [traceId, parentId] = ['0af7651916cd43dd8448eb211c80319c', 'b7ad6b7169203331'];
  const picture = Buffer.from(await plainPicture([200, 10, 90])).toString('base64');
  const url = await tiny.server.listen({ port: 0, host: '127.0.0.1' });
  const answers = await Promise.all(
    [traceId, undefined].map((id) =>
      fetch(`${url}/v1/search`, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          authorization: 'Bearer semblance_secret',
          ...(id === undefined ? {} : { traceparent: `00-${id}-${parentId}-01` }),
        },
        body: JSON.stringify({ examples: [{ picture }] }),
      }),
    ),
  );
  expect(answers.map(({ status }) => status)).toEqual([200, 200]);
  expect((await fetch(`${url}/v1/pictures/a-secret-id`)).status).toBe(404);
  expect((await fetch(`${url}/v1/search`, { method: 'POST', body: '{' })).status).toBe(400);
  await Promise.all(answers.map((answer) => answer.arrayBuffer()));
  await tiny.server.close();
  await tracing.close();

  expect(collector.received[0]).toMatchObject({ url: '/v1/traces' });
  expect(collector.received[0]?.headers['content-type']).toBe('application/json');
  const spans = collector.spans();
  const own = spans.filter((span) => span.traceId === traceId);
  const byName = new Map(own.map((span) => [span.name, span]));
  expect([...byName.keys()].sort()).toEqual([
    'POST /v1/search',
    'decode',
    'embed',
    'search',
    'store search',
    'wait for the model',
  ]);
  const request = byName.get('POST /v1/search');
  expect(request).toMatchObject({ parentSpanId: parentId, kind: 2 });
  expect(Object.fromEntries(request?.attributes.map(({ key, value }) => [key, value]) ?? [])).toMatchObject({
    'http.request.method': { stringValue: 'POST' },
    'http.route': { stringValue: '/v1/search' },
    'http.response.status_code': { intValue: 200 },
  });
  expect(byName.get('search')?.parentSpanId).toBe(request?.spanId);
  for (const name of ['wait for the model', 'decode', 'embed']) {
    const [inner, outer] = [byName.get(name) as Span, byName.get('search') as Span];
    expect(inner.parentSpanId, name).toBe(outer.spanId);
    expect(BigInt(inner.startTimeUnixNano) >= BigInt(outer.startTimeUnixNano), name).toBe(true);
    expect(BigInt(inner.endTimeUnixNano) <= BigInt(outer.endTimeUnixNano), name).toBe(true);
  }
  expect(BigInt(byName.get('decode')!.startTimeUnixNano)).toBeGreaterThanOrEqual(
    BigInt(byName.get('wait for the model')!.startTimeUnixNano),
  );
  // Times are whole milliseconds where a span begins.
  expect(byName.get('store search')?.parentSpanId).toBe(byName.get('search')?.spanId);
  expect(BigInt(byName.get('store search')!.startTimeUnixNano)).toBeGreaterThanOrEqual(
    BigInt(byName.get('embed')!.startTimeUnixNano),
  );
  // Who brings no trace gets one, and learns which.
  const other = /^00-([0-9a-f]{32})-([0-9a-f]{16})-01$/.exec(answers[1]?.headers.get('traceresponse') ?? '');
  expect(other?.[1]).not.toBe(traceId);
  expect(spans.filter((span) => span.traceId === other?.[1]).length).toBe(6);
  const looked = spans.find(({ name }) => name === 'GET /v1/pictures/:id');
  expect(spans.filter(({ name }) => name === 'store get').map((span) => span.parentSpanId)).toEqual([
    looked?.spanId,
  ]);
  // No id, no key, no picture, and nothing of where the files are.
  const sent = collector.received.map(({ text }) => text).join('');
  for (const secret of ['a-secret-id', 'semblance_secret', picture.slice(0, 20), tiny.root, 'red 0'])
    expect(sent).not.toContain(secret);
});

it('says once that spans cannot be sent, and the server answers as before', async () => {
  const collector = await openCollector(400);
  const told: string[] = [];
  const tracing = await openTracing({ endpoint: collector.url, onFailure: (reason) => told.push(reason) });
  const tiny = await openTinyServer({ tracing });
  closers.push(() => tiny.close());
  for (let n = 0; n < 3; n++) expect((await tiny.server.inject('/v1/catalog')).statusCode).toBe(200);
  await tracing.close();
  expect(told).toHaveLength(1);
});

it('one line says what to install where traces are asked for and the packages are missing', async () => {
  const tiny = await openTinyServer();
  closers.push(() => tiny.close());
  // The same program where everything but those packages is installed.
  const project = join(import.meta.dirname, '..', '..');
  const [bare, modules] = [join(tiny.root, 'bare'), await realpath(join(project, 'node_modules'))];
  await cp(join(project, 'package.json'), join(bare, 'package.json'));
  await cp(join(project, 'src'), join(bare, 'src'), { recursive: true });
  await mkdir(join(bare, 'node_modules'));
  for (const name of await readdir(modules))
    if (name !== '@opentelemetry') await symlink(join(modules, name), join(bare, 'node_modules', name));
  const argv = ['--import', TSX, join(bare, 'src', 'cli', 'main.ts'), 'serve', '--catalog', tiny.catalog];
  const serving = promisify(execFile)(
    process.execPath,
    [...argv, '--port', '0', '--threads', '1', '--traces', 'http://127.0.0.1:9'],
    { timeout: 60_000 },
  );
  const { code, stdout, stderr } = await serving.catch((error) => error);
  expect([code, stdout]).toEqual([1, '']);
  const [line, packages] = /^(.*npm install )([^\n]*)\n$/.exec(stderr)?.slice(1) ?? [stderr];
  expect(line).toBe(
    "semblance: traces: OpenTelemetry's packages must be installed beside semblance. Install them: npm install ",
  );
  // Those that are tested with.
  const { devDependencies } = JSON.parse(await readFile(join(project, 'package.json'), 'utf8'));
  const tested = Object.entries(devDependencies).filter(([name]) => name.startsWith('@opentelemetry/'));
  expect(packages?.split(' ').sort()).toEqual(tested.map(([name, version]) => `${name}@${version}`).sort());
});

it('loads nothing of OpenTelemetry before it is asked for', async () => {
  const program = (ask: boolean) => `
import { createRequire } from 'node:module';
const { openTracing } = await import('${new URL('./index.ts', import.meta.url).href}');
if (${ask}) await (await openTracing({ endpoint: 'http://127.0.0.1:9' })).close();
const loaded = Object.keys(createRequire(import.meta.url).cache).filter((file) => file.includes('@opentelemetry/sdk-trace'));
process.stdout.write(loaded.length > 0 ? 'loaded' : 'nothing');
`;
  const run = async (ask: boolean) => {
    const argv = ['--import', TSX, '--input-type=module', '-e', program(ask)];
    return (await promisify(execFile)(process.execPath, argv, { cwd: import.meta.dirname })).stdout;
  };
  expect([await run(false), await run(true)]).toEqual(['nothing', 'loaded']);
});
