import { describe, expect, it } from 'vitest';
import type { LevelSummary, MethodMetrics } from '../method-metrics.js';
import { thin } from './charts.js';
import { type ReportData, renderReport } from './index.js';

const PIXEL = 'data:image/gif;base64,R0lGODlhAQABAAAAACwAAAAAAQABAAA=';
const picture = (caption: string) => ({ dataUri: PIXEL, caption });

function level(recallAt1: number): LevelSummary {
  const rest = { recallAt10: 0.9, mapAtR: 0.3, rPrecision: 0.35, map: 0.4, queries: 10, skipped: 0 };
  return { recallAt1, ...rest };
}

function metrics(recallAt1: number): MethodMetrics {
  return {
    recallAt1,
    mapAtR: 0.3,
    hap: 0.35,
    asi: 0.4,
    ndcg: 0.7,
    ndcgAt10: 0.45,
    byLevel: { item_id: level(recallAt1), group: level(0.8) },
    pairs: {
      'noto->twemoji': { recallAt1: 0.25, mapAtR: 0.2, queries: 8 },
      'twemoji->noto': { recallAt1: 0.625, mapAtR: 0.5, queries: 8 },
    },
  };
}

const data: ReportData = {
  title: 'Hats & <gloves>',
  lead: ['Learned from "hats".'],
  figures: [{ label: 'Recall@1', value: '52.3 %' }],
  levelLabels: { item_id: 'same item' },
  methods: [
    {
      key: 'sgml',
      label: 'SGML',
      metrics: metrics(0.523),
      intervals: { recallAt1: { low: 0.501, high: 0.544 } },
    },
    { key: 'pixels', label: 'Raw <pixels>', metrics: metrics(0.29) },
  ],
  training: [
    {
      title: 'Loss',
      curves: [
        {
          label: 'total',
          points: Array.from({ length: 2000 }, (_, step) => [step, 1 / (1 + step)] as const),
        },
      ],
    },
    {
      title: 'Recall@1 on validation',
      isPercent: true,
      curves: [
        {
          label: 'Recall@1',
          points: [
            [0, 0.1],
            [100, 0.5],
          ],
        },
      ],
    },
  ],
  grids: [
    {
      id: 'neighbours',
      title: 'What it finds',
      intro: ['Some queries.'],
      filters: [{ key: 'wrong item', label: 'nearest is "wrong"' }],
      queries: [
        {
          picture: picture('a hat'),
          rows: [
            {
              label: 'same item',
              hits: [
                { picture: picture('another hat'), isRight: true },
                { picture: picture('a pot'), isRight: false, common: 'same kind' },
              ],
            },
          ],
        },
        {
          picture: picture('a cap'),
          note: 'first right picture at rank 41',
          expected: picture('that cap'),
          filters: ['wrong item'],
          rows: [{ label: 'same item', hits: [{ picture: picture('a lid'), isRight: false }] }],
        },
      ],
    },
  ],
  makings: [
    {
      label: 'sgml',
      configuration: { loss: { name: 'soft-binomial-deviance', alpha: 2 }, widths: [24, 48] },
      provenance: { seed: '1' },
    },
  ],
  licences: [{ name: 'Hats', licence: 'CC0-1.0', pictures: 12 }],
};

describe('renderReport', () => {
  const html = renderReport(data);

  it('is one file that fetches nothing; its only script has no address', () => {
    expect(html.startsWith('<!doctype html>\n<html lang="en">')).toBe(true);
    expect(html).not.toMatch(/<link|@import|javascript:|<[^>]*\son\w+=/i);
    expect(html.match(/<script[^>]*>/g)).toEqual(['<script>']);
    expect(html).not.toMatch(/https?:\/\/(?!www\.w3\.org\/)|fetch\(|XMLHttpRequest|import\(/);
    const addresses = [...html.matchAll(/(?:src|href|url)\s*[=(]\s*["']?([^"')\s>]+)/g)].map(
      (match) => match[1]!,
    );
    for (const address of addresses) expect(address).toMatch(/^(data:image\/|#)/);
  });

  it('says what was measured, in percent', () => {
    for (const text of [
      '52.3',
      '50.1 – 54.4',
      '29.0',
      '62.5',
      '25.0',
      'same item',
      'group',
      'first right picture at rank 41',
    ]) {
      expect(html).toContain(text);
    }
  });

  it('escapes text, in the plots as well', () => {
    expect(html).toContain('Hats &amp; &lt;gloves>');
    expect(html).not.toMatch(/<gloves>|<pixels>/);
  });

  it('marks right and wrong by sign and in the alternative text, and gives each picture one', () => {
    expect(html).toContain('alt="Right: another hat"');
    expect(html).toContain('alt="Wrong, but same kind: a pot"');
    expect(html.match(/✓/g)!.length).toBe(3); // the hit, what was looked for, and the key to the marks
    for (const [image] of html.matchAll(/<img[^>]*>/g)) expect(image).toMatch(/alt="[^"]+"/);
  });

  it('names of things on the page are unique, and every section is reached from the top', () => {
    const ids = [...html.matchAll(/\sid="([^"]+)"/g)].map((match) => match[1]!);
    expect(new Set(ids).size).toBe(ids.length);
    for (const [, target] of html.matchAll(/href="#([^"]+)"/g)) expect(ids).toContain(target);
    for (const [, target] of html.matchAll(/url\(#([^)]+)\)/g)) expect(ids).toContain(target);
  });

  it('is the same to the byte the second time', () => {
    expect(renderReport(data)).toBe(html);
  });

  it('leaves out what there is no data for', () => {
    const bare = renderReport({
      title: data.title,
      lead: [],
      figures: [],
      methods: [{ key: 'a', label: 'A', metrics: { ...metrics(0.5), pairs: {} } }],
      makings: data.makings,
    });
    for (const title of ['How it learned', 'What it finds', 'Every pair', 'Whose pictures']) {
      expect(bare).not.toContain(title);
    }
    expect(bare).toContain('How it was made');
  });

  it('refuses pictures that are elsewhere, and no method at all', () => {
    const away = { picture: { dataUri: 'hat.png', caption: 'hat' }, rows: [] };
    const grids = [{ id: 'away', title: 'Away', intro: [], queries: [away] }];
    expect(() => renderReport({ ...data, grids })).toThrow(/data URIs, got 'hat.png' for 'hat'/);
    expect(() => renderReport({ ...data, methods: [] })).toThrow(/at least one method/);
  });
});

it('thin averages neighbours and keeps the last step', () => {
  expect(
    thin(
      [
        [1, 0],
        [2, 2],
        [3, 4],
        [4, 8],
        [5, 5],
      ],
      3,
    ),
  ).toEqual([
    [2, 1],
    [4, 6],
    [5, 5],
  ]);
});
