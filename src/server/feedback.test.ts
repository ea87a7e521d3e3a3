import { access, appendFile, mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { multipart, openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { type FeedbackEntry, feedbackEntry, feedbackList } from './contract.js';
import { FeedbackLog } from './feedback-log.js';

let tiny: TinyServer;
beforeAll(async () => {
  tiny = await openTinyServer();
});
afterAll(() => tiny.close());

async function say(payload: object): Promise<FeedbackEntry> {
  const answer = await tiny.server.inject({ method: 'POST', url: '/v1/feedback', payload });
  expect(answer.statusCode, answer.body).toBe(201);
  return feedbackEntry.parse(answer.json());
}

const list = async (query = '') =>
  feedbackList.parse((await tiny.server.inject(`/v1/feedback${query}`)).json());
const lines = async () =>
  (await readFile(join(tiny.catalog, 'feedback.jsonl'), 'utf8'))
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line));

describe('feedback', () => {
  it('is appended to the file that training reads, and the last word of a pair counts', async () => {
    const [query, hit] = ['pictures/red 0.png', 'pictures/red 1.png'];
    const first = await say({ example: { id: query }, id: hit, verdict: 'up' });
    expect(first).toMatchObject({
      query: { id: query, path: query },
      hit: { id: hit, path: hit },
      level: 'item',
    });
    const second = await say({ example: { id: query }, id: hit, verdict: 'down' });
    expect(second.key).toBe(first.key);
    await say({ example: { id: query }, id: hit, verdict: 'up', level: 'look' });
    expect((await list()).entries.map(({ level, verdict }) => [level, verdict])).toEqual([
      ['look', 'up'],
      ['item', 'down'],
    ]);
    const written = await lines();
    expect(written).toHaveLength(3);
    // The file, unlike the wire, says where the pictures lie.
    expect(written[0].query.path).toBe(join(tiny.root, query));
    expect(written[0].hit.path).toBe(join(tiny.root, hit));

    const gone = await tiny.server.inject({ method: 'DELETE', url: `/v1/feedback/${first.key}` });
    expect([gone.statusCode, gone.body]).toEqual([204, '']);
    expect((await lines()).at(-1)).toMatchObject({ key: first.key, deleted: true });
    expect((await list()).entries.map(({ level }) => level)).toEqual(['look']);
    const again = await tiny.server.inject({ method: 'DELETE', url: `/v1/feedback/${first.key}` });
    expect([again.statusCode, again.json().code]).toEqual([404, 'unknown-feedback']);
  });

  it('keeps what was uploaded, whole or its region, once', async () => {
    const picture = await plainPicture([200, 10, 10], { width: 30, height: 20 });
    const request = { example: { upload: true }, id: 'pictures/red 1.png', verdict: 'up' };
    const send = async (body: object) =>
      tiny.server.inject({
        method: 'POST',
        url: '/v1/feedback',
        ...(await multipart({ picture, request: JSON.stringify(body) })),
      });
    const whole = feedbackEntry.parse((await send(request)).json());
    expect(whole.query.path).toMatch(/^feedback\/[0-9a-f]{32}\.png$/);
    expect(await readFile(join(tiny.catalog, whole.query.path))).toEqual(Buffer.from(picture));
    expect((await send(request)).json().key).toBe(whole.key);
    const region = { left: 0.5, top: 0, right: 1, bottom: 1 };
    const part = feedbackEntry.parse((await send({ ...request, example: { upload: true, region } })).json());
    expect(part.query.path).not.toBe(whole.query.path);
    // Of a record's region it is kept which record that is: nobody trains on what is judged.
    const hue = 'pictures/red 0.png';
    const cut = await say({ example: { id: hue, region }, id: 'pictures/red 1.png', verdict: 'up' });
    expect(cut.query).toEqual({ path: expect.stringMatching(/^feedback\//), of: { id: hue, path: hue } });
    expect((await lines()).at(-1).query.of).toEqual({ id: hue, path: join(tiny.root, hue) });
    const image = await tiny.server.inject(`/v1/feedback/${part.key}/image`);
    expect(image.headers['content-type']).toBe('image/png');
    expect([image.rawPayload.readUInt32BE(16), image.rawPayload.readUInt32BE(20)]).toEqual([15, 20]);
  });

  it('taken back, takes its picture along, unless another verdict has it', async () => {
    const picture = Buffer.from(await plainPicture([3, 90, 200])).toString('base64');
    const [red, blue] = await Promise.all(
      ['pictures/red 1.png', 'pictures/blue 1.png'].map((id) =>
        say({ example: { picture }, id, verdict: 'up' }),
      ),
    );
    const [path] = (await lines()).filter(({ key }) => key === red?.key).map(({ query }) => query.path);
    const isThere = () =>
      access(join(tiny.catalog, path)).then(
        () => true,
        () => false,
      );
    const takeBack = (entry?: FeedbackEntry) =>
      tiny.server.inject({ method: 'DELETE', url: `/v1/feedback/${entry?.key}` });
    expect(await isThere()).toBe(true);
    expect((await takeBack(red)).statusCode).toBe(204);
    expect(await isThere()).toBe(true);
    expect((await takeBack(blue)).statusCode).toBe(204);
    expect(await isThere()).toBe(false);
  });

  it('refuses what no training could use', async () => {
    const vector = Buffer.from(new Float32Array(20).buffer).toString('base64');
    for (const [example, status] of [
      [{ vector }, 400],
      [{ id: 'none' }, 404],
      [{ picture: 'aGVsbG8=' }, 422],
    ] as const) {
      const payload = { example, id: 'pictures/red 1.png', verdict: 'up' };
      const answer = await tiny.server.inject({ method: 'POST', url: '/v1/feedback', payload });
      expect(answer.statusCode, answer.body).toBe(status);
    }
  });

  it('is paged, the last word first', async () => {
    for (let n = 0; n < 5; n++)
      await say({ example: { id: `pictures/blue ${n}.png` }, id: 'pictures/blue 0.png', verdict: 'up' });
    const { total } = await list();
    const found: string[] = [];
    let cursor: string | null = null;
    do {
      const page = await list(`?limit=2${cursor === null ? '' : `&cursor=${cursor}`}`);
      found.push(...page.entries.map(({ key }) => key));
      cursor = page.cursor;
    } while (cursor !== null);
    expect(found).toHaveLength(total);
    expect(new Set(found).size).toBe(total);
    expect(found).toEqual((await list('?limit=500')).entries.map(({ key }) => key));
  });
});

describe('FeedbackLog', () => {
  it('reads what another process wrote, less a line that a crash cut off, and goes on in a new line', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'semblance-feedback-'));
    const entry = (key: string): FeedbackEntry => ({
      key,
      query: { path: 'feedback/a.png' },
      hit: { id: 'x', path: '/x' },
      verdict: 'up',
      level: 'item',
      at: '2026-01-01T00:00:00.000Z',
    });
    const log = await FeedbackLog.open(folder);
    await Promise.all(['a', 'b', 'c'].map((key) => log.add(entry(key))));
    await log.delete('b', '2026-01-02T00:00:00.000Z');
    await appendFile(join(folder, 'feedback.jsonl'), '{"key":"d","query":{"pa');
    const again = await FeedbackLog.open(folder);
    expect(again.page(9).map(({ key }) => key)).toEqual(['c', 'a']);
    await again.add(entry('e'));
    expect((await FeedbackLog.open(folder)).page(9).map(({ key }) => key)).toEqual(['e', 'c', 'a']);
    await rm(folder, { recursive: true });
  });
});
