/** `comparison.json` and what people read of it, from whatever runs are done. */
import { join } from 'node:path';
import type { Comparison, SearchSummary, TimedStep } from '../../evaluation/index.js';
import { RESULT_FORMAT } from '../../evaluation/index.js';
import { writeJson } from '../../util/index.js';
import { versions } from '../versions.js';
import type { ComparisonConfiguration } from './configuration.js';
import type { RunOutcome } from './runs.js';
import { differences, metricsOf, runEntries, summarise } from './summary.js';

/** Name of the file in the comparison's folder. */
export const COMPARISON_FILE = 'comparison.json';

export interface GatherOptions {
  readonly directory: string;
  readonly configuration: ComparisonConfiguration;
  readonly methods: readonly string[];
  readonly settings: readonly string[];
  readonly manifest: string;
  readonly dataHash: string;
  readonly search: readonly SearchSummary[];
  readonly stepCosts: readonly TimedStep[];
}

/** Summarises outcomes and writes `comparison.json`, where any run was tried. */
export async function gather(outcomes: readonly RunOutcome[], options: GatherOptions): Promise<Comparison> {
  const { directory, configuration, methods, settings } = options;
  const metrics = metricsOf(configuration.metrics, outcomes);
  const { comparisons } = configuration;
  const summary = { directory, methods, settings, metrics, comparisons };
  const comparison: Comparison = {
    format: RESULT_FORMAT,
    name: configuration.name,
    split: configuration.judge,
    data: { manifest: options.manifest, hash: options.dataHash },
    methods: [...methods],
    settings: [...settings],
    seeds: configuration.seeds,
    ...(configuration.folds === undefined ? {} : { folds: configuration.folds.count }),
    metrics: [...metrics],
    configuration,
    runs: runEntries(outcomes, metrics),
    summaries: summarise(outcomes, summary),
    differences: await differences(outcomes, summary),
    search: [...options.search],
    stepCosts: [...options.stepCosts],
    provenance: versions(),
  };
  // Nothing is no reason to write over what an earlier configuration came to.
  if (outcomes.some(({ status }) => status !== 'missing'))
    await writeJson(join(directory, COMPARISON_FILE), comparison);
  return comparison;
}
