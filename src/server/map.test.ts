import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture } from '../../test/support/tiny-bundle.js';
import { HUES } from '../../test/support/tiny-catalog.js';
import { openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import type { MapResponse } from './index.js';

let tiny: TinyServer;
beforeAll(async () => {
  tiny = await openTinyServer();
});
afterAll(async () => await tiny.close());

const get = (url: string) => tiny.server.inject(url);

async function map(column = 'hue'): Promise<MapResponse & { places: Float32Array }> {
  const answer = await get(`/v1/map?column=${column}`);
  expect(answer.statusCode, answer.body).toBe(200);
  const body = answer.json() as MapResponse;
  const bytes = new Uint8Array(Buffer.from(body.positions, 'base64'));
  return { ...body, places: new Float32Array(bytes.buffer) };
}

describe('GET /v1/map', () => {
  it('is a problem of its own until there is one', async () => {
    expect((await get('/v1/map')).json()).toMatchObject({ status: 404, code: 'no-map' });
    expect((await get('/v1/catalog')).json().capabilities.map).toBe(false);
  });

  it('has a place and a value for each picture, alike ones nearer, and the same at the same seed', async () => {
    const made = await runMain('catalog', 'map', '--catalog', tiny.catalog, '--seed', '3', '--quiet');
    expect(made).toMatchObject({ code: 0, stdout: expect.stringMatching(/map of 15 pictures/) });
    expect((await get('/v1/catalog')).json().capabilities.map).toBe(true);
    const first = await map();
    expect(first).toMatchObject({ column: 'hue', stale: false });
    expect(first.ids).toEqual(tiny.rows.map(({ relativePath }) => relativePath).sort());
    expect(first.values).toEqual(first.ids.map((id) => HUES.find((hue) => id.includes(hue))));
    expect(first.places).toHaveLength(30);
    expect(Array.from(first.places).every((x) => x >= 0 && x <= 1)).toBe(true);
    let [same, other, sameCount, otherCount] = [0, 0, 0, 0];
    for (let a = 0; a < 15; a++)
      for (let b = 0; b < a; b++) {
        const { places, values } = first;
        const distance = Math.hypot(
          Number(places[2 * a]) - Number(places[2 * b]),
          Number(places[2 * a + 1]) - Number(places[2 * b + 1]),
        );
        if (values[a] === values[b]) [same, sameCount] = [same + distance, sameCount + 1];
        else [other, otherCount] = [other + distance, otherCount + 1];
      }
    expect(same / sameCount).toBeLessThan(other / otherCount);
    await runMain('catalog', 'map', '--catalog', tiny.catalog, '--seed', '3', '--quiet');
    expect((await map()).positions).toBe(first.positions);
    await runMain('catalog', 'map', '--catalog', tiny.catalog, '--seed', '4', '--quiet');
    expect((await map()).positions).not.toBe(first.positions);
  });

  it('says when pictures came, went or are others, and leaves out those that went; labels do not count', async () => {
    const [first, second] = tiny.rows.map(({ relativePath }) => relativePath) as [string, string];
    await tiny.live.change(first, { attributes: { hue: ['pink'] } });
    const relabelled = await map();
    expect(relabelled.stale).toBe(false);
    expect(relabelled.values[relabelled.ids.indexOf(first)]).toBe('pink');
    await tiny.live.delete([second]);
    const without = await map();
    expect(without).toMatchObject({ stale: true });
    expect(without.ids).toHaveLength(14);
    expect(without.places).toHaveLength(28);
    await runMain('catalog', 'map', '--catalog', tiny.catalog, '--quiet');
    expect((await map()).stale).toBe(false);
    await tiny.live.put([{ id: first, picture: await plainPicture([1, 2, 3]), itemId: 'x' }]);
    expect((await map()).stale).toBe(true);
  });

  it('shows no column that is the server’s own business, and survives a damaged file', async () => {
    for (const column of ['path', 'content_hash', 'nothing'])
      expect((await get(`/v1/map?column=${column}`)).json()).toMatchObject({ code: 'unknown-column' });
    expect((await map('item_id')).values.every((value) => value !== '')).toBe(true);
    await writeFile(join(tiny.catalog, 'map.json'), '{"formatVersion":1,"ids":["a"]');
    const answer = (await get('/v1/map')).json();
    expect(answer).toMatchObject({ code: 'no-map', detail: expect.stringMatching(/damaged.*catalog map/) });
    expect(answer.detail).not.toContain(tiny.root);
  });
});
