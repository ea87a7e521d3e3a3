/**
 * A comparison carried out: the data found, hyperparameters searched, every run trained and judged, and all of it gathered.
 * `compare` and `demo --compare` both call it.
 */
import { join, resolve } from 'node:path';
import {
  builtDatasets,
  defaultDatasetFolder,
  familiesOfDataset,
  type ManifestRow,
  readManifest,
} from '../../data/index.js';
import type { Comparison, SearchSummary, TimedStep } from '../../evaluation/index.js';
import { resolveConfiguration } from '../../training/index.js';
import {
  CliError,
  DataError,
  readJson,
  type StartProgress,
  sha256OfFile,
  writeJson,
} from '../../util/index.js';
import { expandPaths, merge } from '../settings.js';
import { schemaOf } from '../training-run.js';
import type { ComparisonConfiguration } from './configuration.js';
import { derivedManifest } from './derived-data.js';
import { gather } from './gather.js';
import { methodSettings, type PlanContext, type PlannedRun, planRuns, settingsOf } from './plan.js';
import { findRun, type RunOutcome, runAll } from './runs.js';
import { planTrials, searchSummaries } from './search.js';
import { timeSteps } from './step-costs.js';

export interface ComparisonOptions {
  readonly configuration: ComparisonConfiguration;
  /** What the configuration's data are relative to. */
  readonly base: string;
  /** Gets the runs and what is said of them. */
  readonly directory: string;
  /** Methods that are run, where not all are. */
  readonly only?: readonly string[] | undefined;
  /** Settings over all else. */
  readonly over?: Readonly<Record<string, unknown>>;
  /** Runs at the same time. */
  readonly processes: number;
  readonly progress: StartProgress;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

/** A comparison whose data are found. */
export interface OpenComparison
  extends PlanContext,
    Omit<ComparisonOptions, 'only' | 'over' | 'configuration'> {
  readonly over: Readonly<Record<string, unknown>>;
  readonly manifest: string;
  /** Those that are run, in the configuration's order. */
  readonly methods: readonly string[];
  manifestOf(run: PlannedRun): Promise<string>;
}

export interface CarriedOut {
  /** Trials of the search, and runs that the figures are of, of the methods that were run. */
  readonly trials: readonly RunOutcome[];
  readonly runs: readonly RunOutcome[];
  /** Of all methods. */
  readonly comparison: Comparison;
}

/** Finds the data. @throws CliError for a method that is none; DataError where the data cannot be read. */
export async function openComparison(options: ComparisonOptions): Promise<OpenComparison> {
  const { configuration, base, directory, only, over = {} } = options;
  const methods = chosenMethods(configuration, only);
  const file = await findData(configuration.data, base, options);
  const manifest = await readManifest(file);
  const dataHash = await sha256OfFile(file);
  const groupOf = await groupsOf(configuration, file);
  return {
    ...options,
    over,
    dataHash,
    manifest: file,
    methods,
    manifestOf: ({ derivation }) =>
      derivedManifest(manifest, dataHash, derivation, groupOf, join(directory, 'data')),
  };
}

/** The planned runs with what there is of them, nothing being run. */
export async function planned(opened: OpenComparison): Promise<Omit<CarriedOut, 'comparison'>> {
  const { trials, search } = await searched(opened, false);
  const runs = planRuns(opened, opened.methods, settingsFrom(opened, search));
  return {
    trials: trials.filter(({ run }) => opened.methods.includes(run.method)),
    runs: await found(opened, runs),
  };
}

/**
 * Runs what is not done, unless `isRunning` is false, and gathers everything that is done, also of methods that were not
 * to be run. A run that fails is among the outcomes.
 */
export async function carryOut(opened: OpenComparison, isRunning: boolean): Promise<CarriedOut> {
  const { configuration, methods, directory, manifest, dataHash } = opened;
  const all = Object.keys(configuration.methods);
  const { trials, search } = await searched(opened, isRunning);
  const runs = await outcomesOf(
    opened,
    'comparing',
    planRuns(opened, all, settingsFrom(opened, search)),
    isRunning,
  );
  const comparison = await gather(runs, {
    directory,
    configuration,
    methods: all,
    settings: settingsOf(configuration).map(({ name }) => name),
    manifest,
    dataHash,
    search,
    stepCosts: await knownStepCosts(opened),
  });
  const isOwn = ({ run }: RunOutcome) => methods.includes(run.method);
  return { trials: trials.filter(isOwn), runs: runs.filter(isOwn), comparison };
}

/**
 * Times a step of each method in turns with the reference, and keeps it for the comparison's tables.
 * @param reference a method. Default: the first.
 */
export async function timeMethods(
  opened: OpenComparison,
  reference = opened.methods[0]!,
): Promise<TimedStep[]> {
  const { methods, manifest, directory, progress, report, signal, configuration, over } = opened;
  if (!methods.includes(reference)) {
    throw new CliError(
      `compare --cost: must name one of the methods (${methods.join(', ')}), got '${reference}'`,
    );
  }
  const { search } = await searched(opened, false);
  const settings = settingsFrom(opened, search);
  const rows = await readManifest(manifest);
  const timed = await timeSteps({
    manifest: rows,
    schema: schemaOf(rows, report, coarserLevels(configuration)),
    configurations: Object.fromEntries(
      methods.map((method) => [method, resolveConfiguration(settings(method))]),
    ),
    reference,
    steps: TIMED_STEPS,
    progress,
    signal,
  });
  await writeJson(join(directory, STEP_COSTS_FILE), { configuration, over, timed });
  return timed;
}

// --- internal ---

const TIMED_STEPS = 60;
const STEP_COSTS_FILE = 'step-costs.json';

async function searched(
  opened: OpenComparison,
  isRunning: boolean,
): Promise<{ trials: RunOutcome[]; search: SearchSummary[] }> {
  const methods = Object.keys(opened.configuration.methods);
  const planned = planTrials(opened, methods);
  const trials = await outcomesOf(
    opened,
    'searching',
    planned.map(({ run }) => run),
    isRunning,
  );
  return { trials, search: searchSummaries(opened.configuration, methods, planned, trials) };
}

/** A method's settings with what the search has chosen. */
function settingsFrom(opened: OpenComparison, search: readonly SearchSummary[]) {
  const chosen = new Map(search.map((summary) => [summary.method, summary.chosen]));
  return (method: string): Record<string, unknown> =>
    merge(merge(methodSettings(opened, method), expandPaths(chosen.get(method) ?? {})), { ...opened.over });
}

/** Runs those of the chosen methods; of others there is what there is. In the order of `runs`. */
async function outcomesOf(
  opened: OpenComparison,
  task: string,
  runs: readonly PlannedRun[],
  isRunning: boolean,
): Promise<RunOutcome[]> {
  const own = runs.filter(({ method }) => opened.methods.includes(method));
  const outcomes = new Map((await found(opened, runs)).map((outcome) => [outcome.run, outcome] as const));
  if (isRunning) {
    const { configuration } = opened;
    for (const outcome of await runAll(task, own, { ...opened, levels: coarserLevels(configuration) }))
      outcomes.set(outcome.run, outcome);
  }
  return runs.map((run) => outcomes.get(run) as RunOutcome);
}

function found({ directory }: OpenComparison, runs: readonly PlannedRun[]): Promise<RunOutcome[]> {
  return Promise.all(runs.map((run) => findRun(directory, run)));
}

function coarserLevels({ levels }: ComparisonConfiguration): string[] | undefined {
  return levels?.filter((level) => level !== 'item_id');
}

function chosenMethods(
  { methods }: ComparisonConfiguration,
  only: readonly string[] | undefined,
): readonly string[] {
  const names = Object.keys(methods);
  for (const name of only ?? []) {
    if (!names.includes(name))
      throw new CliError(
        `compare --only: must name methods of the configuration (${names.join(', ')}), got '${name}'`,
      );
  }
  return only === undefined ? names : names.filter((name) => only.includes(name));
}

/** The manifest: built, where the data are named, in the user's cache folder; otherwise relative to `base`. */
async function findData(
  data: string,
  base: string,
  { progress, report, signal }: ComparisonOptions,
): Promise<string> {
  const build = Object.hasOwn(builtDatasets, data) ? builtDatasets[data] : undefined;
  if (build === undefined) return resolve(base, data);
  const summary = await build(defaultDatasetFolder(data), { progress, onNotice: report, signal });
  return summary.manifest;
}

/** What is never on two sides of a fold. */
async function groupsOf(
  { folds }: ComparisonConfiguration,
  manifest: string,
): Promise<(row: ManifestRow) => string> {
  if (folds === undefined) return ({ itemId }) => itemId;
  const { by } = folds;
  if (by !== undefined && by !== 'item_id') {
    return (row) => {
      const value = by === 'source' ? row.source : row.attributes[by]?.join('|');
      if (value !== undefined && value !== '') return value;
      throw new DataError(`folds.by: every picture of train and val must have a value of '${by}', got none`, {
        file: manifest,
        line: row.line,
      });
    };
  }
  const families = by === undefined ? await familiesOfDataset(manifest) : undefined;
  return ({ itemId }) => families?.get(itemId) ?? itemId;
}

/** What `--cost` found, if it was with the same configuration. */
async function knownStepCosts({ directory, configuration, over }: OpenComparison): Promise<TimedStep[]> {
  try {
    const known = (await readJson(join(directory, STEP_COSTS_FILE))) as { timed: TimedStep[] };
    const isSame =
      JSON.stringify({ ...known, timed: [] }) === JSON.stringify({ configuration, over, timed: [] });
    return isSame ? known.timed : [];
  } catch {
    return []; // never timed
  }
}
