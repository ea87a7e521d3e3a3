import { describe, expect, it } from 'vitest';
import type { Comparison } from '../../evaluation/index.js';
import {
  comparisonLead,
  differenceLines,
  metricName,
  searchTables,
  settingBars,
} from './comparison-parts.js';

const figure = (mean: number) => ({
  mean,
  halfWidth: 0.02,
  standardDeviation: 0.01,
  values: [mean],
  seeds: [0],
});
const cost = { millisecondsPerStep: 10, peakMemoryMb: 100, parameters: 5, seconds: 1, extraParameters: 0 };

function comparison(adjustedPValue: number | null): Comparison {
  return {
    format: 1,
    name: 'tiny',
    split: 'test',
    data: { manifest: 'm.csv', hash: 'h' },
    methods: ['linked', 'plain'],
    settings: ['default', 'items=0.1'],
    seeds: [0, 1],
    metrics: ['recallAt1', 'attributes.ndcgAt10'],
    configuration: {},
    runs: [
      { method: 'linked', setting: 'default', seed: 0, folder: 'a', status: 'done', figures: {} },
      { method: 'plain', setting: 'default', seed: 0, folder: 'b', status: 'failed', figures: {} },
    ],
    summaries: [
      { method: 'linked', setting: 'default', figures: { recallAt1: figure(0.5) }, cost, runs: 1, wanted: 2 },
      { method: 'plain', setting: 'default', figures: { recallAt1: figure(0.4) }, cost, runs: 2, wanted: 2 },
      {
        method: 'plain',
        setting: 'items=0.1',
        figures: { recallAt1: figure(0.2) },
        cost,
        runs: 2,
        wanted: 2,
      },
    ],
    differences: [
      {
        setting: 'default',
        a: 'linked',
        b: 'plain',
        metric: 'recallAt1',
        overSeeds: {
          mean: 0.1,
          halfWidth: adjustedPValue === null ? null : 0.03,
          pValue: adjustedPValue,
          adjustedPValue,
          seeds: 2,
          excludesZero: true,
        },
        overQueries: {
          mean: 0.1,
          low: 0.05,
          high: 0.16,
          pValue: 0.01,
          adjustedPValue: 0.02,
          queries: 30,
          items: 10,
          excludesZero: true,
        },
      },
    ],
    search: [
      {
        method: 'plain',
        budget: 2,
        chosen: { learningRate: 0.01 },
        trial: 1,
        score: 0.3,
        trials: [
          { trial: 0, values: {}, score: null, folder: 't0', reason: 'diverged' },
          { trial: 1, values: { learningRate: 0.0123456, kind: 'x' }, score: 0.3, folder: 't1' },
        ],
      },
    ],
    stepCosts: [],
    provenance: {},
  };
}

describe('a comparison in a report', () => {
  it('begins with who is best, what is missing, and which differences hold', () => {
    const { lead, figures } = comparisonLead(comparison(0.01));
    expect(lead[0]).toBe(
      '2 methods at 2 settings, 2 seeds each, judged on split test; all else is the same. 1 run of 2 is missing.',
    );
    expect(lead[1]).toContain('linked above plain in Recall@1 by 10.0');
    expect(figures).toEqual([{ label: 'best Recall@1', value: '50.0 %', note: 'linked ± 2.0' }]);
  });

  it('claims nothing where p is too large, or there is one seed', () => {
    expect(comparisonLead(comparison(0.2)).lead[1]).toContain('none can be told from chance');
    expect(comparisonLead(comparison(null)).lead[1]).toContain('One seed cannot tell');
  });

  it('has a line for each way of drawing again, without the one that one seed cannot give', () => {
    const lines = differenceLines(comparison(0.01));
    expect(lines.map(({ figure: name, note }) => `${name}: ${note}`)).toEqual([
      'Recall@1, over seeds: 2 seeds, p = 0.010',
      'Recall@1, over items: 10 items, p = 0.020',
    ]);
    expect(lines[0]!.low).toBeCloseTo(0.07, 12);
    expect(differenceLines(comparison(null))).toHaveLength(1);
  });

  it('shows settings side by side, 0 where nothing was run', () => {
    const [bars] = settingBars(comparison(0.01));
    expect(bars!.groups).toEqual(['default', 'items=0.1']);
    expect(bars!.series).toEqual([
      { label: 'linked', values: [0.5, 0] },
      { label: 'plain', values: [0.4, 0.2] },
    ]);
    expect(settingBars({ ...comparison(0.01), settings: ['default'] })).toEqual([]);
  });

  it('lists trials, the chosen one and the reason of one that failed', () => {
    const [table] = searchTables(comparison(0.01));
    expect(table!.columns).toEqual(['trial', 'score', 'learningRate', 'kind']);
    expect(table!.rows).toEqual([
      ['0', 'diverged', '', ''],
      ['1, chosen', 0.3, 0.01235, 'x'],
    ]);
  });
});

it.each([
  ['recallAt1', 'Recall@1'],
  ['attributes.ndcgAt10', 'attributes nDCG@10'],
  ['byLevel.subgroup.mapAtR', 'subgroup MAP@R'],
  ['hap', 'H-AP'],
])('%s is called %s', (path, name) => {
  expect(metricName(path)).toBe(name);
});
