import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import { buildGraph, constant, input, matmul } from '../graph/index.js';
import { writeModel } from '../onnx/index.js';
import { sha256 } from '../util/index.js';
import { fetchBackbone } from './fetch-backbone.js';

/** A model of random weights, 260 kB. */
function model(): Buffer {
  const bytes = randomBytes(256 * 256 * 4);
  for (let i = 3; i < bytes.length; i += 4) bytes[i] = 0x3e; // finite
  const weights = constant(new Float32Array(new Uint8Array(bytes).buffer), [256, 256], { name: 'weights' });
  const x = input('x', 'float32', ['N', 256]);
  return Buffer.from(writeModel(buildGraph([x], { y: matmul(x, weights) })));
}
const first = model();
const second = model();

type Handler = (request: IncomingMessage, response: ServerResponse) => void;
let root = '';
let server: Server;
let handler: Handler = () => {};
let requests: IncomingMessage[] = [];
let base = '';

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-fetch-'));
  server = createServer((request, response) => {
    requests.push(request);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterEach(() => {
  requests = [];
});
afterAll(async () => {
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  await rm(root, { recursive: true, force: true });
});
/** The newest. */
let cacheFolder = '';
const cache = async () => {
  cacheFolder = await mkdtemp(join(root, 'case-'));
  return cacheFolder;
};
const leftovers = async (folder: string) =>
  (await readdir(folder, { recursive: true })).filter((name) => /partial-|left-/.test(name));

/** Until a download into the newest cache has so many bytes on the disk. */
async function arrival(bytes: number): Promise<void> {
  const sizes = async () => {
    const names = await readdir(cacheFolder, { recursive: true });
    const files = names.filter((name) => basename(name) === 'data').map((name) => join(cacheFolder, name));
    return await Promise.all(files.map(async (file) => (await stat(file)).size));
  };
  await expect.poll(sizes, { timeout: 60_000 }).toContain(bytes);
}

/** A server as it should be: ranges, ETag, If-Range. `cutAt`: the connection dies there, once for each entry. */
function serve(
  content: () => Buffer,
  { cutAt = [], ranges = true, tags = true }: ServeOptions = {},
): Handler {
  const cuts = [...cutAt];
  return (request, response) => {
    const body = content();
    const tag = `"${sha256(body).slice(0, 16)}"`;
    const asked = Number(/bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    const isSame = request.headers['if-range'] === undefined || request.headers['if-range'] === tag;
    const from = ranges && isSame ? asked : 0;
    response.writeHead(from > 0 ? 206 : 200, {
      'content-length': body.length - from,
      ...(tags ? { etag: tag } : {}),
      ...(from > 0 ? { 'content-range': `bytes ${from}-${body.length - 1}/${body.length}` } : {}),
    });
    const cut = cuts.shift();
    if (cut === undefined) response.end(body.subarray(from));
    else {
      response.write(body.subarray(from, cut));
      arrival(cut).finally(() => response.destroy());
    }
  };
}
interface ServeOptions {
  readonly cutAt?: readonly number[];
  readonly ranges?: boolean;
  readonly tags?: boolean;
}

// Every download is synced to disk, which takes seconds on a busy one.
describe('fetchBackbone', { timeout: 180_000 }, () => {
  it('a path and a file: address are taken as they are', async () => {
    const path = join(await cache(), 'b.onnx');
    await writeFile(path, first);
    const wanted = { path, sha256: sha256(first), source: path };
    expect(await fetchBackbone(path)).toEqual(wanted);
    expect(await fetchBackbone(pathToFileURL(path).href, { sha256: sha256(first).toUpperCase() })).toEqual(
      wanted,
    );
    await expect(fetchBackbone(path, { sha256: sha256(second) })).rejects.toThrow(
      `${path}: the SHA-256 must be ${sha256(second)}, got ${sha256(first)}. Take`,
    );
    await expect(fetchBackbone(join(root, 'nowhere.onnx'))).rejects.toThrow(/nowhere\.onnx: cannot be read/);
    await expect(fetchBackbone(path, { sha256: '12' })).rejects.toThrow(/64 hexadecimal digits, got '12'/);
  });

  it('downloads once; then the cache serves, and a damaged file in it is fetched again', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first);
    const reports: number[] = [];
    const got = await fetchBackbone(`${base}/models/my%20net.onnx?token=secret`, {
      cacheDirectory,
      progress: (_, total) => {
        expect(total).toBe(Math.round(first.length / 1000));
        return { update: (done) => reports.push(done), stop() {} };
      },
    });
    expect(await readFile(got.path)).toEqual(first);
    expect(got).toMatchObject({ sha256: sha256(first), source: `${base}/models/my%20net.onnx` });
    expect(got.path.endsWith('my_net.onnx')).toBe(true);
    expect(reports.at(-1)).toBe(Math.round(first.length / 1000));
    const again = () => fetchBackbone(`${base}/models/my%20net.onnx?token=secret`, { cacheDirectory });
    expect(await again()).toEqual(got);
    expect(requests.length).toBe(1);
    await writeFile(got.path, first.subarray(0, 1000));
    expect(await again()).toEqual(got);
    expect(await readFile(got.path)).toEqual(first);
    expect(requests.length).toBe(2);
    expect(await leftovers(cacheDirectory)).toEqual([]);
  });

  it('goes on where the connection was cut, within a call and from one call to the next', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first, { cutAt: [100_000, 150_000] });
    await expect(fetchBackbone(`${base}/a.onnx`, { cacheDirectory, attempts: 1 })).rejects.toThrow(
      /a\.onnx: .*Try again: what was received is kept$/,
    );
    const { path } = await fetchBackbone(`${base}/a.onnx`, { cacheDirectory });
    expect(await readFile(path)).toEqual(first);
    expect(requests.map(({ headers }) => headers.range)).toEqual([
      undefined,
      'bytes=100000-',
      'bytes=150000-',
    ]);
    expect(await leftovers(cacheDirectory)).toEqual([]);
  });

  it('takes over what a process that is gone had received, not what one that lives is receiving', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first, { cutAt: [100_000] });
    await expect(fetchBackbone(`${base}/d.onnx`, { cacheDirectory, attempts: 1 })).rejects.toThrow();
    const folder = join(cacheDirectory, (await readdir(cacheDirectory))[0] as string);
    const left = (await readdir(folder))[0] as string;
    await rename(join(folder, left), join(folder, `partial-${process.ppid}-0`));
    handler = serve(() => first, { cutAt: [50_000] });
    await expect(fetchBackbone(`${base}/d.onnx`, { cacheDirectory, attempts: 1 })).rejects.toThrow();
    expect(requests.at(-1)?.headers.range).toBeUndefined();
    await rename(join(folder, `partial-${process.ppid}-0`), join(folder, 'partial-999999999-0'));
    await fetchBackbone(`${base}/d.onnx`, { cacheDirectory });
    expect(requests.at(-1)?.headers.range).toBe('bytes=100000-');
  });

  it('starts again where the server knows no ranges', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first, { cutAt: [100_000], ranges: false });
    const { path } = await fetchBackbone(`${base}/a.onnx`, { cacheDirectory });
    expect(await readFile(path)).toEqual(first);
    expect(requests.length).toBe(2);
  });

  it.each([true, false])('is whole when the file changed between two tries (tags: %s)', async (tags) => {
    const cacheDirectory = await cache();
    let current = first;
    handler = serve(() => current, { cutAt: [100_000], tags });
    await expect(fetchBackbone(`${base}/a.onnx`, { cacheDirectory, attempts: 1 })).rejects.toThrow();
    current = second;
    const { path, sha256: hash } = await fetchBackbone(`${base}/a.onnx`, { cacheDirectory });
    expect(await readFile(path)).toEqual(second);
    expect(hash).toBe(sha256(second));
  });

  it('two halves of different files do not pass a pin: it starts once more', async () => {
    const cacheDirectory = await cache();
    let current = first;
    handler = serve(() => current, { cutAt: [100_000], tags: false });
    const options = { cacheDirectory, sha256: sha256(second) };
    await expect(fetchBackbone(`${base}/a.onnx`, { ...options, attempts: 1 })).rejects.toThrow();
    current = second;
    const { path } = await fetchBackbone(`${base}/a.onnx`, options);
    expect(requests.map(({ headers }) => headers.range)).toEqual([undefined, 'bytes=100000-', undefined]);
    expect(await readFile(path)).toEqual(second);
  });

  it('refuses a file of another hash than given or than at first, naming both', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first);
    await expect(fetchBackbone(`${base}/a.onnx`, { cacheDirectory, sha256: sha256(second) })).rejects.toThrow(
      `${base}/a.onnx: the SHA-256 must be ${sha256(second)}, got ${sha256(first)} (${first.length} bytes). Correct`,
    );
    expect(await leftovers(cacheDirectory)).toEqual([]);
    const { path } = await fetchBackbone(`${base}/a.onnx`, { cacheDirectory });
    await rm(path);
    handler = serve(() => second);
    await expect(fetchBackbone(`${base}/a.onnx`, { cacheDirectory })).rejects.toThrow(
      /It was another file when/,
    );
    // A hash that is given decides.
    expect((await fetchBackbone(`${base}/a.onnx`, { cacheDirectory, sha256: sha256(second) })).sha256).toBe(
      sha256(second),
    );
    expect((await fetchBackbone(`${base}/a.onnx`, { cacheDirectory })).sha256).toBe(sha256(second));
  });

  it('follows redirects, but not for ever and not to where it may not', async () => {
    const cacheDirectory = await cache();
    const good = serve(() => first);
    handler = (request, response) => {
      const target = { '/old': '/a.onnx', '/loop': '/loop', '/away': 'http://example.com/a.onnx' }[
        request.url as string
      ];
      if (target === undefined) good(request, response);
      else response.writeHead(302, { location: target }).end();
    };
    expect(await readFile((await fetchBackbone(`${base}/old`, { cacheDirectory })).path)).toEqual(first);
    await expect(fetchBackbone(`${base}/loop`, { cacheDirectory })).rejects.toThrow(/at most 5 redirects/);
    await expect(fetchBackbone(`${base}/away`, { cacheDirectory })).rejects.toThrow(
      /must begin with https:\/\/, got http/,
    );
  });

  it('gives up a connection that brings nothing, and goes on with another', async () => {
    const cacheDirectory = await cache();
    const good = serve(() => first);
    handler = (request, response) => {
      if (requests.length > 1) return good(request, response);
      response.writeHead(200, {
        'content-length': first.length,
        etag: `"${sha256(first).slice(0, 16)}"`,
      });
      response.write(first.subarray(0, 70_000)); // and never a word more
    };
    const options = { cacheDirectory, stallMs: 200 };
    await expect(fetchBackbone(`${base}/s.onnx`, { ...options, attempts: 1 })).rejects.toThrow(
      /s\.onnx: nothing came for 0.2 s/,
    );
    expect(await readFile((await fetchBackbone(`${base}/s.onnx`, options)).path)).toEqual(first);
    expect(requests[1]?.headers.range).toBe('bytes=70000-');
    handler = () => {};
    await expect(fetchBackbone(`${base}/t.onnx`, { ...options, attempts: 2 })).rejects.toThrow(
      /nothing came for 0.2 s, 2 times/,
    );
  });

  it('downloads at the same time do not harm one another', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first, { cutAt: [1000] });
    const results = await Promise.all(
      Array.from({ length: 3 }, () => fetchBackbone(`${base}/c.onnx`, { cacheDirectory })),
    );
    for (const { path } of results) expect(await readFile(path)).toEqual(first);
    expect(await leftovers(cacheDirectory)).toEqual([]);
  });

  it('can be stopped, and goes on', async () => {
    const cacheDirectory = await cache();
    const controller = new AbortController();
    handler = (_, response) => {
      response.writeHead(200, { 'content-length': first.length, etag: `"${sha256(first).slice(0, 16)}"` });
      response.write(first.subarray(0, 50_000));
    };
    const { signal } = controller;
    const stopped = expect(fetchBackbone(`${base}/x.onnx`, { cacheDirectory, signal })).rejects.toThrow(
      'stopped',
    );
    await arrival(50_000);
    controller.abort(new Error('stopped'));
    await stopped;
    handler = serve(() => first);
    expect(await readFile((await fetchBackbone(`${base}/x.onnx`, { cacheDirectory })).path)).toEqual(first);
    expect(requests.at(-1)?.headers.range).toBe('bytes=50000-');
  });

  it('one line for what cannot be had', async () => {
    const cacheDirectory = await cache();
    const get = (path: string, over: object = {}) =>
      fetchBackbone(`${base}${path}`, { cacheDirectory, attempts: 1, ...over });
    handler = (request, response) => {
      const status = Number(request.url?.slice(1, 4)) || 200;
      const text = {
        '/page': '<!DOCTYPE html>\n<title>',
        '/lfs': 'version https://git-lfs.github.com/spec/v1',
      };
      response
        .writeHead(status)
        .end(text[request.url as '/page'] ?? (request.url === '/big' ? first : 'words, words, words'));
    };
    await expect(get('/404')).rejects.toThrow(
      `${base}/404: there must be a file, got 404 Not Found. Correct the address`,
    );
    await expect(get('/403')).rejects.toThrow(/got 403 Forbidden. It is not for everyone/);
    await expect(get('/503')).rejects.toThrow(/the server says 503 Service Unavailable. Try again/);
    await expect(get('/page')).rejects.toThrow(/got a web page. Give the address of the file itself/);
    await expect(get('/lfs')).rejects.toThrow(/got a pointer of Git LFS/);
    await expect(get('/words')).rejects.toThrow(/in one file, got something else/);
    await expect(get('/big', { maximumBytes: 1000 })).rejects.toThrow(/must be at most 1000 bytes, got \d+/);
    const nobody = createServer();
    await new Promise<void>((resolve) => nobody.listen(0, '127.0.0.1', resolve));
    const { port } = nobody.address() as AddressInfo;
    await new Promise((resolve) => nobody.close(resolve));
    await expect(
      fetchBackbone(`http://127.0.0.1:${port}/a.onnx`, { cacheDirectory, attempts: 1 }),
    ).rejects.toThrow(/the server refuses the connection/);
    for (const [source, message] of [
      ['http://example.com/a.onnx', /must begin with https:\/\/, got http:/],
      ['ftp://example.com/a.onnx', /must begin with https:\/\/, got ftp:/],
      ['https://user:word@example.com/a.onnx', /without user and password/],
    ] as const)
      await expect(fetchBackbone(source, { cacheDirectory })).rejects.toThrow(message);
    await expect(fetchBackbone('https://user:word@example.com/a.onnx', { cacheDirectory })).rejects.toThrow(
      /^(?!.*word@)/,
    );
    const file = join(cacheDirectory, 'a file');
    await writeFile(file, '');
    await expect(get('/big', { cacheDirectory: file })).rejects.toThrow(/cannot be made/);
  });

  it('odd addresses: a file name that cannot be decoded, a file of another machine', async () => {
    const cacheDirectory = await cache();
    handler = serve(() => first);
    const { path } = await fetchBackbone(`${base}/a%zz/%e4%2F..%2Fb.onnx`, { cacheDirectory });
    expect(path.startsWith(cacheDirectory)).toBe(true);
    expect(path.endsWith('__.._b.onnx')).toBe(true);
    await expect(fetchBackbone('file://elsewhere/b.onnx')).rejects.toThrow(
      /file:\/\/elsewhere\/b\.onnx: must be the address of a file of this machine/,
    );
  });

  it('a model with weights in other files is refused with what to do', async () => {
    const cacheDirectory = await cache();
    // ModelProto.graph.initializer: dims [1], data_type 1, name w, external_data location=w.bin, data_location 1
    const entry = Buffer.from('\x0a\x08location\x12\x05w.bin', 'latin1');
    const tensor = Buffer.concat([
      Buffer.from([0x08, 1, 0x10, 1, 0x42, 1, 0x77, 0x6a, entry.length]),
      entry,
      Buffer.from([0x70, 1]),
    ]);
    const graph = Buffer.concat([Buffer.from([0x2a, tensor.length]), tensor]);
    const file = Buffer.concat([Buffer.from([0x08, 8, 0x3a, graph.length]), graph]);
    handler = serve(() => file);
    await expect(fetchBackbone(`${base}/e.onnx`, { cacheDirectory })).rejects.toThrow(
      /whose weights are in w\.bin, and only one file is downloaded. Download all of them into one folder/,
    );
    await mkdir(cacheDirectory, { recursive: true });
    expect(await leftovers(cacheDirectory)).toEqual([]);
  });
});
