import { expect, it } from 'vitest';
import { meanOverSeeds } from './intervals.js';
import { meanFigures } from './mean-figures.js';
import type { LevelSummary, MethodMetrics } from './method-metrics.js';

function figures(recallAt1: number, hasAttributes = true): MethodMetrics {
  const level: LevelSummary = {
    recallAt1,
    recallAt10: 0.9,
    mapAtR: recallAt1 / 2,
    rPrecision: 0.3,
    map: 0.4,
    queries: 10,
    skipped: 1,
  };
  return {
    recallAt1,
    mapAtR: recallAt1 / 2,
    hap: 0.5,
    asi: 0.5,
    ndcg: 0.5,
    ndcgAt10: 0.5,
    ...(hasAttributes
      ? { attributes: { ndcgAt10: recallAt1, spearman: 0.1, queries: 10, spearmanQueries: 10 } }
      : {}),
    byLevel: { item_id: level },
    pairs: { 'a->b': { recallAt1, mapAtR: 0.1, queries: 5 } },
  };
}

it('averages folds within a seed, then seeds, at every depth', () => {
  const { metrics, intervals, seeds } = meanFigures([
    { seed: 0, figures: figures(0.1) },
    { seed: 0, figures: figures(0.3) },
    { seed: 1, figures: figures(0.6) },
  ]);
  expect(seeds).toBe(2);
  expect(metrics.recallAt1).toBeCloseTo(0.4, 12);
  expect(metrics.byLevel.item_id!.mapAtR).toBeCloseTo(0.2, 12);
  expect(metrics.pairs['a->b']!.recallAt1).toBeCloseTo(0.4, 12);
  expect(metrics.attributes!.ndcgAt10).toBeCloseTo(0.4, 12);
  const { mean, halfWidth } = meanOverSeeds([0.2, 0.6]);
  expect(intervals.recallAt1!.low).toBeCloseTo(mean - halfWidth!, 12);
  expect(intervals['item_id.mapAtR']!.high).toBeCloseTo(mean / 2 + halfWidth! / 2, 12);
});

it('leaves out what a run lacks, and has no interval of one seed', () => {
  const two = meanFigures([
    { seed: 0, figures: figures(0.1) },
    { seed: 1, figures: figures(0.3, false) },
  ]);
  expect(two.metrics.attributes).toBeUndefined();
  expect(two.intervals.attributeNdcgAt10).toBeUndefined();
  expect(meanFigures([{ seed: 0, figures: figures(0.1) }]).intervals).toEqual({});
  expect(() => meanFigures([])).toThrow('at least one run');
});
