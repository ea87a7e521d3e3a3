import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { apiFiles } from '../../test/support/api-files.js';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { shadeOf } from '../../test/support/tiny-catalog.js';
import { openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { createSemblanceClient, ProblemError, type SemblanceClient } from './index.js';

let tiny: TinyServer;
let client: SemblanceClient;
beforeAll(async () => {
  tiny = await openTinyServer();
  const baseUrl = await tiny.server.listen({ port: 0, host: '127.0.0.1' });
  client = createSemblanceClient({ baseUrl: `${baseUrl}/` });
});
afterAll(() => tiny.close());

const picture = async () =>
  new Blob([new Uint8Array(await plainPicture(shadeOf(1, 3), { width: 24, height: 16 }))]);

describe('the client, over a socket', () => {
  it('searches with an upload, and again with the vector it got', async () => {
    const first = await client.search({ examples: [{ upload: true }] }, { picture: await picture() });
    expect(first.hits[0]?.id).toBe('pictures/green 3.png');
    const again = await client.search({
      examples: [{ vector: first.vectors[0] as string }],
      granularity: 'look',
    });
    expect(again.hits).toHaveLength(15);
    expect(again.granularity).toBe(0.5);
  });

  it('reads pictures whose ids hold slashes and spaces, and their images', async () => {
    const { pictures, total } = await client.pictures({ limit: 3 });
    expect([pictures.length, total]).toEqual([3, 15]);
    const id = pictures[0]?.id as string;
    expect(id).toContain('/');
    expect(await client.picture(id)).toEqual(pictures[0]);
    expect((await client.similar(id, { granularity: 'category', limit: 2 })).hits).toHaveLength(2);
    const image = await fetch(client.imageUrl(id, { width: 16 }));
    expect([image.status, image.headers.get('content-type')]).toEqual([200, 'image/webp']);
  });

  it('asks everything else there is', async () => {
    const example = { id: 'pictures/red 0.png' };
    expect((await client.catalog()).pictures).toBe(15);
    expect((await client.facets({ columns: ['hue'] })).facets.hue).toHaveLength(3);
    const seen = await client.attributes({ upload: true }, { picture: await picture() });
    expect([seen.width, seen.height]).toEqual([24, 16]);
    expect((await client.explain({ example, id: 'pictures/red 1.png' })).words).not.toHaveLength(0);
    const said = await client.addFeedback({
      example,
      id: 'pictures/red 1.png',
      verdict: 'up',
      level: 'look',
    });
    expect((await client.feedback()).entries).toEqual([said]);
    await client.deleteFeedback(said.key);
    expect((await client.feedback()).total).toBe(0);
    const { data } = await client.api.GET('/health/ready');
    expect(data).toEqual({ status: 'ok' });
  });

  it('writes: puts, changes, deletes, and many at once', async () => {
    const id = 'own/ä b.png';
    const put = await client.putPicture(id, { itemId: 'one' }, { picture: await picture() });
    expect(put).toEqual({ id, itemId: 'one', attributes: {} });
    const patched = await client.patchPicture(id, { attributes: { hue: ['green'] } });
    expect(patched.attributes).toEqual({ hue: ['green'] });
    await client.deletePicture(id);
    await expect(client.deletePicture(id)).rejects.toMatchObject({ code: 'unknown-picture' });
    const operations = async function* () {
      for (let n = 0; n < 1200; n++) yield { delete: `none/${n}` };
      yield { put: id, itemId: 'two' };
    };
    const results = [];
    for await (const result of client.bulk(operations())) results.push(result);
    // More than one request's worth: the lines count on.
    expect(results.map(({ line }) => line)).toEqual(Array.from({ length: 1201 }, (_, n) => n + 1));
    expect(results[1199]).toEqual({ line: 1200, id: 'none/1199', status: 'not-found' });
    expect(results[1200]).toMatchObject({ id, status: 'failed', detail: expect.stringMatching(/picture/) });
  });

  it('throws problems with their codes, and what fetch throws when it is aborted', async () => {
    const wrong = client.picture('none').catch((error) => error);
    expect(await wrong).toBeInstanceOf(ProblemError);
    expect(await wrong).toMatchObject({ code: 'unknown-picture', status: 404 });
    await expect(client.deleteFeedback('0'.repeat(24))).rejects.toMatchObject({ code: 'unknown-feedback' });
    await expect(client.search({ examples: [] })).rejects.toMatchObject({
      code: 'invalid-request',
      problem: { errors: [{ path: '/body/examples' }] },
    });
    const controller = new AbortController();
    controller.abort();
    await expect(client.catalog({ signal: controller.signal })).rejects.toMatchObject({ name: 'AbortError' });
  });

  it('gives what a proxy answered as a problem, too', async () => {
    const fetch = async () =>
      new Response('<h1>Bad Gateway</h1>', { status: 502, statusText: 'Bad Gateway' });
    const proxied = createSemblanceClient({ baseUrl: 'http://localhost', fetch });
    await expect(proxied.search({ examples: [] })).rejects.toMatchObject({ code: 'unknown', status: 502 });
    await expect(proxied.catalog()).rejects.toMatchObject({ code: 'unknown', status: 502 });
  });
});

it('docs/openapi.json and schema.ts are those of the server (else run scripts/write-openapi.ts)', async () => {
  for (const [path, text] of Object.entries(await apiFiles()))
    expect(await readFile(join(import.meta.dirname, '../..', path), 'utf8'), path).toBe(text);
});
