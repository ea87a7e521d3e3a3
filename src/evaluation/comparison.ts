/**
 * The files of a comparison: `result.json` and `queries.json` of a run, `comparison.json` of all. Written by `compare`,
 * read by `compare` and `report`; the formats check what is read. Figures are fractions in [0, 1], by dotted path into
 * `MethodMetrics` (`recallAt1`, `attributes.ndcgAt10`, `byLevel.subgroup.mapAtR`).
 */
import { z } from 'zod';
import type { MethodMetrics, MethodQueries } from './method-metrics.js';

/** Raised when results of before lack something: such a run is judged again, not trained again. */
export const RESULT_FORMAT = 1;

const number = z.number();
const orNull = z.number().nullable();
const methodMetrics = z.custom<MethodMetrics>(
  (value) => typeof value === 'object' && value !== null && 'recallAt1' in value && 'byLevel' in value,
  'must be the figures of a method',
);

/** Cost of a run; null where it took no step that could be timed. */
const runCostFormat = z.object({
  /** Median over the steps of the model's own time: other runs may have shared the machine. */
  millisecondsPerStep: orNull,
  peakMemoryMb: orNull,
  /** Numbers that are trained. */
  parameters: number,
  /** Wall time of training with its judgements on validation. */
  seconds: number,
});

/** `result.json`: a finished run. What names it (`method`, `setting`, `seed`, `fold`) is there when `compare` ran it. */
export const runResultFormat = z.object({
  format: z.literal(RESULT_FORMAT),
  method: z.string().optional(),
  setting: z.string().optional(),
  seed: number,
  fold: number.optional(),
  /** Trial of the search for hyperparameters. */
  trial: number.optional(),
  /** What makes the run what it is; another one is another run. */
  fingerprint: z.string().optional(),
  split: z.string(),
  figures: methodMetrics,
  validation: methodMetrics.optional(),
  cost: runCostFormat,
  provenance: z.object({
    version: z.string(),
    node: z.string(),
    onnxruntime: z.string(),
    dataHash: z.string(),
    startedAt: z.string(),
  }),
});
export type RunResult = z.infer<typeof runResultFormat>;

/** `queries.json`: the judged rows of a run, and how each did as a query; null where it had nothing to find. */
export const runQueriesFormat = z.object({
  paths: z.array(z.string()),
  itemIds: z.array(z.string()),
  /** By figure, one value a row. */
  figures: z.record(z.string(), z.array(orNull)),
});
export type RunQueries = z.infer<typeof runQueriesFormat>;

/** The figures of `MethodMetrics` that single queries have, and what they are called in `MethodQueries`. */
export const QUERY_FIGURES = {
  recallAt1: 'recallAt1',
  mapAtR: 'mapAtR',
  hap: 'hap',
  ndcgAt10: 'ndcgAt10',
  'attributes.ndcgAt10': 'attributeNdcgAt10',
  'attributes.spearman': 'attributeSpearman',
} as const satisfies Readonly<Record<string, Exclude<keyof MethodQueries, 'rows'>>>;

const seedFigure = z.object({
  mean: number,
  /** Half of the 95 % interval over seeds (Student's t); null for one seed. */
  halfWidth: orNull,
  standardDeviation: orNull,
  /** In the order of `seeds`; of several folds their mean. */
  values: z.array(number),
  seeds: z.array(number),
});

const methodSummary = z.object({
  method: z.string(),
  setting: z.string(),
  /** By metric; a metric that the figures lack is left out. */
  figures: z.record(z.string(), seedFigure),
  cost: runCostFormat.extend({
    /** Trained numbers beyond those of the method that has fewest, at this setting. */
    extraParameters: number,
  }),
  /** Runs that the figures are of, and runs that were asked for. */
  runs: number,
  wanted: number,
});

const difference = z.object({
  setting: z.string(),
  a: z.string(),
  b: z.string(),
  metric: z.string(),
  /** `mean(a − b)` over the seeds that both have, with the paired t interval and test; null for one seed. */
  overSeeds: z.object({
    mean: number,
    halfWidth: orNull,
    pValue: orNull,
    /** After Holm, over all comparisons × metrics × settings. */
    adjustedPValue: orNull,
    seeds: number,
    excludesZero: z.boolean(),
  }),
  /** The same over query items drawn again (seeds averaged); null where a metric has no value of single queries. */
  overQueries: z
    .object({
      mean: number,
      low: number,
      high: number,
      pValue: number,
      adjustedPValue: number,
      queries: number,
      items: number,
      excludesZero: z.boolean(),
    })
    .nullable(),
});

const searchSummary = z.object({
  method: z.string(),
  /** Trials that every method has. */
  budget: number,
  /** Settings of the best trial, by path; empty where the method as it is written was best. */
  chosen: z.record(z.string(), z.unknown()),
  trial: number.nullable(),
  score: orNull,
  trials: z.array(
    z.object({
      trial: number,
      values: z.record(z.string(), z.unknown()),
      score: orNull,
      folder: z.string(),
      reason: z.string().optional(),
    }),
  ),
  note: z.string().optional(),
});

/** A method's step on one thread, taking turns with the first method's. */
const timedStep = z.object({
  method: z.string(),
  /** Processor time, median. */
  millisecondsPerStep: number,
  /** To the first method's: median over the turns, with its 95 % interval. */
  ratio: number,
  low: number,
  high: number,
  steps: number,
});

/** `comparison.json`. */
export const comparisonFormat = z.object({
  format: z.literal(RESULT_FORMAT),
  name: z.string(),
  split: z.string(),
  data: z.object({ manifest: z.string(), hash: z.string() }),
  methods: z.array(z.string()),
  settings: z.array(z.string()),
  seeds: z.array(number),
  folds: number.optional(),
  metrics: z.array(z.string()),
  /** As it was given, with what was chosen filled in. */
  configuration: z.unknown(),
  runs: z.array(
    z.object({
      method: z.string(),
      setting: z.string(),
      seed: number,
      fold: number.optional(),
      /** Relative to the comparison's folder. */
      folder: z.string(),
      status: z.enum(['done', 'failed', 'missing']),
      reason: z.string().optional(),
      figures: z.record(z.string(), number),
    }),
  ),
  summaries: z.array(methodSummary),
  differences: z.array(difference),
  search: z.array(searchSummary),
  stepCosts: z.array(timedStep),
  provenance: z.record(z.string(), z.string()),
});
export type Comparison = z.infer<typeof comparisonFormat>;
export type MethodSummary = z.infer<typeof methodSummary>;
export type Difference = z.infer<typeof difference>;
export type SearchSummary = z.infer<typeof searchSummary>;
export type TimedStep = z.infer<typeof timedStep>;

/** The figure at a dotted path; undefined where there is none or it is no finite number. */
export function figureAt(figures: MethodMetrics, path: string): number | undefined {
  let value: unknown = figures;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return undefined;
    value = (value as Record<string, unknown>)[key];
  }
  return typeof value === 'number' && Number.isFinite(value) ? value : undefined;
}
