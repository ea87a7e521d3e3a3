import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { openTinyServer, type TinyServer } from '../../test/support/tiny-server.js';
import { readBundle, replaceCalibration } from '../bundle/index.js';
import { recalibrateCatalog } from '../catalog/index.js';
import type { CatalogResponse, ExplainResponse, SearchResponse } from './index.js';

let tiny: TinyServer;
beforeAll(async () => {
  tiny = await openTinyServer();
});
afterAll(async () => {
  await tiny.close();
});

async function post<T>(url: string, payload: object): Promise<{ status: number; body: T }> {
  const answer = await tiny.server.inject({ method: 'POST', url, payload });
  return { status: answer.statusCode, body: answer.json() };
}
const capabilities = async () =>
  (await tiny.server.inject('/v1/catalog')).json<CatalogResponse>().capabilities;

const level = (low: number, high: number) => ({
  curve: [
    [0, low],
    [1, high],
  ] as [number, number][],
  rate: 0.2,
  pairs: 100,
  agreeing: 20,
});
const example = { id: 'pictures/red 0.png' };
const minimumProbability = { level: 'category', probability: 0.6 };

describe('a server', () => {
  it('without calibration has no probabilities, and says how to get them', async () => {
    expect((await capabilities()).calibrated).toBe(false);
    const { body } = await post<SearchResponse>('/v1/search', { examples: [example] });
    expect(body.nothingSimilar).toBe(false);
    expect(body.hits[0]).toMatchObject({ level: null });
    expect(body.hits[0]).not.toHaveProperty('probabilities');
    const refused = await post<{ code: string; detail: string }>('/v1/search', {
      examples: [example],
      minimumProbability,
    });
    expect(refused.status).toBe(422);
    expect(refused.body.detail).toMatch(/semblance calibrate/);
  });

  it('takes a calibration up while it runs: hits, cut-off, reasons', async () => {
    await replaceCalibration(tiny.model, { levels: [level(0.01, 0.9), level(0.02, 0.95)] });
    const { rates } = await recalibrateCatalog(tiny.catalog, await readBundle(tiny.model));
    expect(rates[1]).toBeGreaterThan(0);
    await tiny.live.refresh();
    expect((await capabilities()).calibrated).toBe(true);

    const all = (await post<SearchResponse>('/v1/search', { examples: [example], limit: 50 })).body;
    expect(all.hits).toHaveLength(14);
    for (const { probabilities, level: name } of all.hits) {
      const { item = Number.NaN, look = Number.NaN, category = Number.NaN } = probabilities ?? {};
      expect(item).toBeLessThanOrEqual(look);
      expect(look).toBe(category);
      expect(name).toBe(item >= 0.5 ? 'item' : look >= 0.5 ? 'look' : null);
    }
    const likely = all.hits.filter(({ probabilities }) => (probabilities?.category ?? 0) >= 0.6);
    expect(likely.length).toBeGreaterThan(0);
    expect(likely.length).toBeLessThan(14);
    for (const granularity of [0, 1]) {
      const asked = { examples: [example], granularity, limit: 50, minimumProbability };
      const cut = (await post<SearchResponse>('/v1/search', asked)).body;
      expect(cut.hits.map(({ id }) => id).sort()).toEqual(likely.map(({ id }) => id).sort());
      expect(cut.nothingSimilar).toBe(false);
    }

    const [first] = all.hits;
    const why = await post<ExplainResponse>('/v1/explain', { example, id: first?.id, granularity: 1 });
    expect(why.body.probabilities).toEqual(first?.probabilities);
  });
});
