/** Figures of several runs as one: means over seeds, with Student-t intervals; folds of a seed are averaged first. */
import { DataError } from '../util/index.js';
import { meanOverSeeds } from './intervals.js';
import type { MethodMetrics } from './method-metrics.js';
import type { ReportInterval } from './report/data.js';

/** One run's figures. */
export interface SeedRun {
  readonly seed: number;
  readonly figures: MethodMetrics;
}

export interface MeanFigures {
  readonly metrics: MethodMetrics;
  /** 95 % over seeds, by figure as in `ReportMethod.intervals`; empty for one seed. */
  readonly intervals: Readonly<Record<string, ReportInterval>>;
  readonly seeds: number;
}

/**
 * The mean of every number that all runs have.
 * @throws DataError when there is no run.
 */
export function meanFigures(runs: readonly SeedRun[]): MeanFigures {
  const bySeed = new Map<number, MethodMetrics[]>();
  for (const { seed, figures } of runs) bySeed.set(seed, [...(bySeed.get(seed) ?? []), figures]);
  const seeds = [...bySeed.values()].map((folds) => meanOf(folds) as MethodMetrics);
  if (seeds.length === 0) throw new DataError('meanFigures: there must be at least one run, got none.');
  const intervals: Record<string, ReportInterval> = {};
  const add = (key: string, of: (figures: MethodMetrics) => number | undefined) => {
    const values = seeds.map(of);
    if (seeds.length < 2 || !values.every((value): value is number => Number.isFinite(value))) return;
    const { mean, halfWidth } = meanOverSeeds(values);
    intervals[key] = { low: mean - (halfWidth ?? 0), high: mean + (halfWidth ?? 0) };
  };
  for (const key of ['recallAt1', 'mapAtR', 'hap', 'asi', 'ndcgAt10'] as const)
    add(key, (figures) => figures[key]);
  add('attributeNdcgAt10', ({ attributes }) => attributes?.ndcgAt10);
  add('attributeSpearman', ({ attributes }) => attributes?.spearman);
  for (const level of Object.keys(seeds[0]!.byLevel))
    for (const key of ['recallAt1', 'recallAt5', 'recallAt10', 'mapAtR', 'rPrecision', 'map'] as const)
      add(`${level}.${key}`, ({ byLevel }) => byLevel[level]?.[key]);
  return { metrics: meanOf(seeds) as MethodMetrics, intervals, seeds: seeds.length };
}

// --- internal ---

/** The same tree with the mean at each leaf; what one of them lacks is left out. */
function meanOf(trees: readonly unknown[]): unknown {
  const [first] = trees;
  if (typeof first === 'number')
    return trees.reduce<number>((sum, value) => sum + Number(value), 0) / trees.length;
  if (typeof first !== 'object' || first === null) return first;
  return Object.fromEntries(
    Object.keys(first)
      .filter((key) => trees.every((tree) => (tree as Record<string, unknown>)[key] !== undefined))
      .map((key) => [key, meanOf(trees.map((tree) => (tree as Record<string, unknown>)[key]))]),
  );
}
