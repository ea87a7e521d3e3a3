/**
 * Search for hyperparameters: random draws, judged on validation, the same number of trials for every method. Trial 0 is
 * the method as it is written. A draw depends on the search's seed, the trial and the setting's name alone, so methods
 * that share a setting try the same values of it. Source: Bergstra and Bengio, Random Search for Hyper-Parameter
 * Optimization (JMLR 2012).
 */
import { figureAt, type SearchSummary } from '../../evaluation/index.js';
import { CliError, Random, sha256 } from '../../util/index.js';
import { expandPaths, merge } from '../settings.js';
import { type ComparisonConfiguration, type Distribution, EVERY_METHOD } from './configuration.js';
import { methodSettings, PLAIN_SETTING, type PlanContext, type PlannedRun, planRun } from './plan.js';
import type { RunOutcome } from './runs.js';

export interface Trial {
  readonly method: string;
  /** By path; empty for trial 0. */
  readonly values: Readonly<Record<string, unknown>>;
  readonly run: PlannedRun;
}

/**
 * What is searched of a method: its own space, and of the space of every method what the method does not set itself.
 */
export function spaceOf(
  { search, methods }: ComparisonConfiguration,
  method: string,
): Readonly<Record<string, Distribution>> {
  const own = search?.space[method] ?? {};
  const settings = expandPaths(methods[method] ?? {});
  const shared = Object.entries(search?.space[EVERY_METHOD] ?? {}).filter(
    ([path]) => !Object.hasOwn(own, path) && !hasPath(settings, path),
  );
  return { ...Object.fromEntries(shared), ...own };
}

/** A value of a distribution, the same for the same seed, trial and path. */
export function draw(distribution: Distribution, seed: number, trial: number, path: string): unknown {
  const random = Random.from(seed, trial, Number.parseInt(sha256(path).slice(0, 8), 16));
  if ('log' in distribution) {
    const [low, high] = distribution.log;
    return Number(Math.exp(random.between(Math.log(low), Math.log(high))).toPrecision(4));
  }
  if ('uniform' in distribution) return Number(random.between(...distribution.uniform).toPrecision(4));
  if ('integer' in distribution) {
    const [low, high] = distribution.integer;
    return low + random.integer(high - low + 1);
  }
  return random.pick(distribution.choice);
}

/**
 * The trials of the methods, trial by trial. A method with nothing to search has none.
 * @throws CliError when drawn settings are no configuration of a training.
 */
export function planTrials(context: PlanContext, methods: readonly string[]): Trial[] {
  const { configuration } = context;
  const { search } = configuration;
  if (search === undefined) return [];
  const trials: Trial[] = [];
  for (let trial = 0; trial < search.trials; trial++) {
    for (const method of methods) {
      const space = Object.entries(spaceOf(configuration, method));
      if (space.length === 0) continue;
      const values =
        trial === 0
          ? {}
          : Object.fromEntries(
              space.map(([path, distribution]) => [path, draw(distribution, search.seed, trial, path)]),
            );
      const written = merge(methodSettings(context, method), expandPaths(values));
      const settings = merge(merge(written, expandPaths(search.settings)), { ...context.over });
      const plain = { name: PLAIN_SETTING, data: {}, settings: {} };
      const run = planRun(context, { method, setting: plain, seed: search.seed, trial, settings });
      trials.push({ method, values, run });
    }
  }
  return trials;
}

/** What the trials of each method found; the earlier trial where two are equal. */
export function searchSummaries(
  configuration: ComparisonConfiguration,
  methods: readonly string[],
  trials: readonly Trial[],
  outcomes: readonly RunOutcome[],
): SearchSummary[] {
  const { search } = configuration;
  if (search === undefined) return [];
  const outcomeOf = new Map(outcomes.map((outcome) => [outcome.run, outcome]));
  return methods.map((method): SearchSummary => {
    const own = trials.filter((trial) => trial.method === method);
    const rows = own.map(({ values, run }) => {
      const outcome = outcomeOf.get(run);
      const score = outcome?.status === 'done' ? scoreOf(outcome.result.figures, search.score) : null;
      return {
        trial: run.trial ?? 0,
        values,
        score,
        folder: run.folder,
        ...(outcome?.status === 'failed' ? { reason: outcome.reason } : {}),
      };
    });
    const scored = rows.filter(({ score }) => score !== null);
    const best = scored.reduce<(typeof rows)[number] | undefined>(
      (before, row) => (before === undefined || row.score! > before.score! ? row : before),
      undefined,
    );
    return {
      method,
      budget: search.trials,
      chosen: best?.values ?? {},
      trial: best?.trial ?? null,
      score: best?.score ?? null,
      trials: rows,
      ...(own.length === 0
        ? { note: `nothing to search within its budget of ${search.trials} trials: used as it is written` }
        : {}),
    };
  });
}

// --- internal ---

function scoreOf(figures: Parameters<typeof figureAt>[0], path: string): number {
  const score = figureAt(figures, path);
  if (score === undefined) {
    throw new CliError(
      `compare: search.score must be a figure of a method, got '${path}'. There are ${Object.keys(figures).join(', ')}`,
    );
  }
  return score;
}

function hasPath(settings: Readonly<Record<string, unknown>>, path: string): boolean {
  let value: unknown = settings;
  for (const key of path.split('.')) {
    if (typeof value !== 'object' || value === null || !Object.hasOwn(value, key)) return false;
    value = (value as Record<string, unknown>)[key];
  }
  return true;
}
