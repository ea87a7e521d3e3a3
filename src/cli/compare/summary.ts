/**
 * From the results of runs to figures that can be believed: means and intervals over seeds, paired differences over seeds
 * and over query items, p-values adjusted for all that was asked. Folds of a seed are averaged first (figures) or put
 * together (queries), so that a seed is one observation.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  bootstrapDifference,
  type Comparison,
  type Difference,
  differenceOverSeeds,
  figureAt,
  holmAdjusted,
  type MethodSummary,
  meanOverSeeds,
  type RunQueries,
  runQueriesFormat,
} from '../../evaluation/index.js';
import { DataError, errorMessage, Random } from '../../util/index.js';
import { QUERIES_FILE } from '../run-result.js';
import type { PlannedRun } from './plan.js';
import type { RunOutcome } from './runs.js';

export interface SummaryOptions {
  /** The comparison's folder. */
  readonly directory: string;
  readonly methods: readonly string[];
  readonly settings: readonly string[];
  readonly metrics: readonly string[];
  readonly comparisons: readonly (readonly [string, string])[];
  /** Resamples of the bootstrap. Default 10,000. */
  readonly rounds?: number;
}

/** What `metrics` are where the configuration names none: of the second line, those that there are. */
export const DEFAULT_METRICS: readonly string[] = ['recallAt1', 'mapAtR'];
export const OPTIONAL_METRICS: readonly string[] = ['attributes.ndcgAt10', 'attributes.spearman'];

/** The metrics that are shown: those asked for, or the defaults that the figures have. */
export function metricsOf(
  asked: readonly string[] | undefined,
  outcomes: readonly RunOutcome[],
): readonly string[] {
  if (asked !== undefined) return asked;
  const done = doneOf(outcomes);
  const optional = OPTIONAL_METRICS.filter(
    (metric) => done.length > 0 && done.every(({ result }) => figureAt(result.figures, metric) !== undefined),
  );
  return [...DEFAULT_METRICS, ...optional];
}

/** The `runs` of `comparison.json`. */
export function runEntries(outcomes: readonly RunOutcome[], metrics: readonly string[]): Comparison['runs'] {
  return outcomes.map((outcome) => {
    const { method, setting, seed, fold, folder } = outcome.run;
    const figures =
      outcome.status === 'done'
        ? metrics.flatMap((metric) => {
            const value = figureAt(outcome.result.figures, metric);
            return value === undefined ? [] : [[metric, value] as const];
          })
        : [];
    return {
      method,
      setting,
      seed,
      ...(fold === undefined ? {} : { fold }),
      folder,
      status: outcome.status,
      ...(outcome.status === 'failed' ? { reason: outcome.reason } : {}),
      figures: Object.fromEntries(figures),
    };
  });
}

/** Mean and interval over seeds of each method at each setting; what has no run that is done is left out. */
export function summarise(outcomes: readonly RunOutcome[], options: SummaryOptions): MethodSummary[] {
  const summaries: MethodSummary[] = [];
  for (const setting of options.settings) {
    const atSetting = options.methods.flatMap((method) => {
      const wanted = outcomes.filter(({ run }) => run.method === method && run.setting === setting);
      const done = doneOf(wanted);
      if (done.length === 0) return [];
      const figures = Object.fromEntries(
        options.metrics.flatMap((metric) => {
          const values = valuesBySeed(done, metric);
          if (values.size === 0) return [];
          const { mean, halfWidth, standardDeviation } = meanOverSeeds([...values.values()]);
          return [
            [
              metric,
              { mean, halfWidth, standardDeviation, values: [...values.values()], seeds: [...values.keys()] },
            ],
          ];
        }),
      );
      const costs = done.map(({ result }) => result.cost);
      const cost = {
        millisecondsPerStep: middle(costs.map((one) => one.millisecondsPerStep)),
        peakMemoryMb: largest(costs.map((one) => one.peakMemoryMb)),
        parameters: costs[0]!.parameters,
        seconds: costs.reduce((sum, one) => sum + one.seconds, 0) / costs.length,
      };
      return [{ method, setting, figures, cost, runs: done.length, wanted: wanted.length }];
    });
    const fewest = Math.min(...atSetting.map(({ cost }) => cost.parameters));
    for (const one of atSetting)
      summaries.push({ ...one, cost: { ...one.cost, extraParameters: one.cost.parameters - fewest } });
  }
  return summaries;
}

/**
 * The comparisons that were written down, at each setting and metric.
 * @throws DataError when the queries of a run cannot be read, or two runs of one fold judged other queries.
 */
export async function differences(
  outcomes: readonly RunOutcome[],
  options: SummaryOptions,
): Promise<Difference[]> {
  const found: Difference[] = [];
  const queries = new QueryReader(options.directory);
  for (const setting of options.settings) {
    for (const [a, b] of options.comparisons) {
      const [ofA, ofB] = paired(outcomes, setting, a, b);
      for (const metric of options.metrics) {
        const valuesA = valuesBySeed(ofA, metric);
        const valuesB = valuesBySeed(ofB, metric);
        const seeds = [...valuesA.keys()].filter((seed) => valuesB.has(seed));
        if (seeds.length === 0) continue;
        const overSeeds = differenceOverSeeds(
          seeds.map((seed) => valuesA.get(seed)!),
          seeds.map((seed) => valuesB.get(seed)!),
        );
        found.push({
          setting,
          a,
          b,
          metric,
          overSeeds: {
            mean: overSeeds.mean,
            halfWidth: overSeeds.halfWidth,
            pValue: overSeeds.pValue,
            adjustedPValue: null,
            seeds: seeds.length,
            excludesZero: overSeeds.halfWidth !== null && Math.abs(overSeeds.mean) > overSeeds.halfWidth,
          },
          overQueries: await differenceOverQueries(ofA, ofB, metric, queries, options.rounds ?? 10_000),
        });
      }
    }
  }
  return withAdjustedPValues(found);
}

// --- internal ---

type Done = Extract<RunOutcome, { status: 'done' }>;

function doneOf(outcomes: readonly RunOutcome[]): Done[] {
  return outcomes.filter((outcome): outcome is Done => outcome.status === 'done');
}

/** A seed's mean over its folds; seeds that lack the figure in a fold are left out. */
function valuesBySeed(done: readonly Done[], metric: string): Map<number, number> {
  const bySeed = new Map<number, number[]>();
  const incomplete = new Set<number>();
  for (const { run, result } of done) {
    const value = figureAt(result.figures, metric);
    if (value === undefined) incomplete.add(run.seed);
    else bySeed.set(run.seed, [...(bySeed.get(run.seed) ?? []), value]);
  }
  const most = Math.max(0, ...[...bySeed.values()].map((values) => values.length));
  const whole = [...bySeed].filter(([seed, values]) => !incomplete.has(seed) && values.length === most);
  return new Map(
    whole.map(([seed, values]) => [seed, values.reduce((sum, v) => sum + v, 0) / values.length]),
  );
}

const observation = ({ seed, fold }: PlannedRun) => `${seed}/${fold ?? ''}`;

/** The runs of two methods that have the other's of the same seed and fold, in the same order. */
function paired(outcomes: readonly RunOutcome[], setting: string, a: string, b: string): [Done[], Done[]] {
  const of = (method: string) =>
    new Map(
      doneOf(outcomes)
        .filter(({ run }) => run.method === method && run.setting === setting)
        .map((outcome) => [observation(outcome.run), outcome]),
    );
  const [ofA, ofB] = [of(a), of(b)];
  const common = [...ofA.keys()].filter((key) => ofB.has(key)).sort();
  return [common.map((key) => ofA.get(key)!), common.map((key) => ofB.get(key)!)];
}

async function differenceOverQueries(
  ofA: readonly Done[],
  ofB: readonly Done[],
  metric: string,
  reader: QueryReader,
  rounds: number,
): Promise<Difference['overQueries']> {
  // Mean over seeds of a query's value; a query is judged once a seed: folds hold different ones.
  const sums = new Map<string, { item: string; a: number; b: number; count: number }>();
  for (const [i, one] of ofA.entries()) {
    const [queriesA, queriesB] = [await reader.read(one.run), await reader.read(ofB[i]!.run)];
    const [valuesA, valuesB] = [queriesA.figures[metric], queriesB.figures[metric]];
    if (valuesA === undefined || valuesB === undefined) return null;
    const placeInB = new Map(queriesB.paths.map((path, place) => [path, place]));
    queriesA.paths.forEach((path, place) => {
      const a = valuesA[place] ?? null;
      const b = valuesB[placeInB.get(path) ?? -1] ?? null;
      if (a === null || b === null) return;
      const sum = sums.get(path) ?? { item: queriesA.itemIds[place]!, a: 0, b: 0, count: 0 };
      sum.a += a;
      sum.b += b;
      sum.count++;
      sums.set(path, sum);
    });
  }
  if (sums.size === 0) return null;
  // By name, so that the resamples do not depend on the order of the files.
  const all = [...sums].sort(([x], [y]) => (x < y ? -1 : 1)).map(([, sum]) => sum);
  const { mean, low, high, pValue, queries, clusters } = bootstrapDifference(
    all.map(({ a, count }) => a / count),
    all.map(({ b, count }) => b / count),
    { random: Random.from(BOOTSTRAP_SEED), rounds, clusters: all.map(({ item }) => item) },
  );
  return {
    mean,
    low,
    high,
    pValue,
    adjustedPValue: pValue,
    queries,
    items: clusters,
    excludesZero: low > 0 || high < 0,
  };
}

const BOOTSTRAP_SEED = 1906;

/** Holm over everything that was asked: once for the tests over seeds, once for those over queries. */
function withAdjustedPValues(found: readonly Difference[]): Difference[] {
  const seeds = found.filter(({ overSeeds }) => overSeeds.pValue !== null);
  const adjustedSeeds = holmAdjusted(seeds.map(({ overSeeds }) => overSeeds.pValue as number));
  const queries = found.filter(({ overQueries }) => overQueries !== null);
  const adjustedQueries = holmAdjusted(queries.map(({ overQueries }) => overQueries!.pValue));
  return found.map((one) => {
    const s = seeds.indexOf(one);
    const q = queries.indexOf(one);
    return {
      ...one,
      overSeeds: { ...one.overSeeds, adjustedPValue: s < 0 ? null : adjustedSeeds[s]! },
      overQueries:
        one.overQueries === null ? null : { ...one.overQueries, adjustedPValue: adjustedQueries[q]! },
    };
  });
}

/** Reads each run's queries once. */
class QueryReader {
  readonly #directory: string;
  readonly #known = new Map<string, RunQueries>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  async read({ folder }: PlannedRun): Promise<RunQueries> {
    const known = this.#known.get(folder);
    if (known !== undefined) return known;
    const file = join(this.#directory, folder, QUERIES_FILE);
    try {
      const queries = runQueriesFormat.parse(JSON.parse(await readFile(file, 'utf8')));
      this.#known.set(folder, queries);
      return queries;
    } catch (error) {
      throw new DataError(`cannot be read: ${errorMessage(error)}. Delete ${folder} and compare again`, {
        file,
        cause: error,
      });
    }
  }
}

function middle(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null).sort((a, b) => a - b);
  if (known.length === 0) return null;
  const half = Math.floor(known.length / 2);
  return known.length % 2 === 1 ? known[half]! : (known[half - 1]! + known[half]!) / 2;
}

function largest(values: readonly (number | null)[]): number | null {
  const known = values.filter((value) => value !== null);
  return known.length === 0 ? null : Math.max(...known);
}
