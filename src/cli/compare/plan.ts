/**
 * The runs of a comparison: methods × settings × seeds × folds, each with its resolved configuration and a fingerprint.
 * A run's folder is named by both, so that a changed configuration is another run and a run of before is found again.
 */
import { fineTuneRecipe, resolveConfiguration } from '../../training/index.js';
import { CliError, errorMessage, sha256 } from '../../util/index.js';
import { expandPaths, isRecord, merge, recipeSettings } from '../settings.js';
import type { ComparisonConfiguration } from './configuration.js';
import type { Derivation } from './derived-data.js';

/** The name of the setting where there is no grid. */
export const PLAIN_SETTING = 'default';

/** One combination of the grid. */
export interface Setting {
  /** E.g. `items=0.1`. */
  readonly name: string;
  readonly data: { readonly items?: number; readonly picturesPerItem?: number };
  readonly settings: Readonly<Record<string, unknown>>;
}

export interface PlannedRun {
  readonly method: string;
  readonly setting: string;
  readonly seed: number;
  readonly fold?: number;
  /** Of a search for hyperparameters. */
  readonly trial?: number;
  /** Settings of the training, as `train --config` takes them. */
  readonly settings: Readonly<Record<string, unknown>>;
  readonly derivation: Derivation;
  /** Which split of the derived data is judged. */
  readonly split: 'val' | 'test';
  readonly steps: number;
  readonly fingerprint: string;
  /** Folder, relative to the comparison's. */
  readonly folder: string;
}

/** What is the same for all runs. */
export interface PlanContext {
  readonly configuration: ComparisonConfiguration;
  readonly dataHash: string;
  /** Settings over all else, from the command line. */
  readonly over?: Readonly<Record<string, unknown>>;
}

/** The settings of a method as they are written: recipe, common settings, its own. */
export function methodSettings(
  { configuration, over = {} }: PlanContext,
  method: string,
): Record<string, unknown> {
  const common = expandPaths(configuration.settings);
  const own = expandPaths(configuration.methods[method] ?? {});
  const recipe = own.recipe ?? common.recipe;
  const base = recipe === undefined ? {} : recipeSettings('settings.recipe', String(recipe));
  const { recipe: _, ...settings } = merge(merge(merge(base, common), own), { ...over });
  return settings;
}

/** The combinations of the grid, in the order it is written; several grids are put together. */
export function settingsOf({ grid = [{}] }: ComparisonConfiguration): Setting[] {
  const settings = grid.flatMap((axes) => {
    let combinations: [string, unknown][][] = [[]];
    for (const [axis, values] of Object.entries(axes)) {
      combinations = combinations.flatMap((before) =>
        (values as readonly unknown[]).map((value): [string, unknown][] => [...before, [axis, value]]),
      );
    }
    return combinations.map(settingOf);
  });
  return [...new Map(settings.map((setting) => [setting.name, setting])).values()];
}

/**
 * One run.
 * @throws CliError when its settings are no configuration of a training, naming method and setting.
 */
export function planRun(
  context: PlanContext,
  {
    method,
    setting,
    seed,
    fold,
    trial,
    settings,
  }: Pick<PlannedRun, 'method' | 'seed' | 'fold' | 'trial' | 'settings'> & { setting: Setting },
): PlannedRun {
  const { configuration } = context;
  const full = merge(merge({ ...settings }, { ...setting.settings }), { seed });
  const resolved = isResolvable(full) ? resolvedFor(withFineTuning(full), method, setting.name) : undefined;
  const isReduced = Object.keys(setting.data).length > 0;
  const foldCount = configuration.folds?.count;
  const split =
    trial === undefined
      ? fold === undefined || configuration.judge === 'test'
        ? configuration.judge
        : 'test'
      : 'val';
  const derivation: Derivation = {
    ...setting.data,
    ...(isReduced ? { seed } : {}),
    ...(fold === undefined || foldCount === undefined
      ? {}
      : {
          fold: {
            index: fold,
            count: foldCount,
            ...(configuration.folds?.by === undefined ? {} : { by: configuration.folds.by }),
            as: configuration.judge === 'test' ? ('val' as const) : ('test' as const),
          },
        }),
  };
  const fingerprint = sha256(
    JSON.stringify([resolved ?? full, context.dataHash, derivation, split, configuration.levels ?? null]),
  );
  const parts = [
    trial === undefined ? method : `search-${method}`,
    ...(setting.name === PLAIN_SETTING ? [] : [setting.name]),
    ...(trial === undefined ? [`seed${seed}`] : [`trial${trial}`]),
    ...(fold === undefined ? [] : [`fold${fold}`]),
    fingerprint.slice(0, 8),
  ];
  return {
    method,
    setting: setting.name,
    seed,
    ...(fold === undefined ? {} : { fold }),
    ...(trial === undefined ? {} : { trial }),
    settings: resolved ?? full,
    derivation,
    split,
    steps: resolved?.steps ?? Number(full.steps ?? fineTuneRecipe.steps),
    fingerprint,
    folder: `runs/${parts.join('_').replace(/[^A-Za-z0-9_.=+-]/g, '-')}`,
  };
}

/**
 * The runs that the figures are of, seed by seed, so that all methods are there early.
 * @param settingsOfMethod as `methodSettings`, with what a search has chosen.
 */
export function planRuns(
  context: PlanContext,
  methods: readonly string[],
  settingsOfMethod: (method: string) => Readonly<Record<string, unknown>>,
): PlannedRun[] {
  const { configuration } = context;
  const folds =
    configuration.folds === undefined ? [undefined] : [...Array(configuration.folds.count).keys()];
  const settings = settingsOf(configuration);
  return configuration.seeds.flatMap((seed) =>
    settings.flatMap((setting) =>
      folds.flatMap((fold) =>
        methods.map((method) =>
          planRun(context, {
            method,
            setting,
            seed,
            ...(fold === undefined ? {} : { fold }),
            settings: settingsOfMethod(method),
          }),
        ),
      ),
    ),
  );
}

// --- internal ---

function settingOf(combination: readonly [string, unknown][]): Setting {
  const data: { items?: number; picturesPerItem?: number } = {};
  const settings: Record<string, unknown> = {};
  for (const [axis, value] of combination) {
    if (axis === 'items') {
      if (value !== 1) data.items = value as number;
    } else if (axis === 'picturesPerItem') {
      if (value !== 'all') data.picturesPerItem = value as number;
    } else settings[axis] = value;
  }
  const text = (value: unknown) => (typeof value === 'object' ? JSON.stringify(value) : String(value));
  const name = combination.map(([axis, value]) => `${axis}=${text(value)}`).join(',');
  return { name: name === '' ? PLAIN_SETTING : name, data, settings: expandPaths(settings) };
}

/** What is not written of a backbone is looked up in its file, by `train`: until then nothing can be resolved. */
function isResolvable({ backbone, network }: Record<string, unknown>): boolean {
  if (backbone === undefined) return true;
  return (
    isRecord(backbone) &&
    'mean' in backbone &&
    'std' in backbone &&
    isRecord(network) &&
    'inputSize' in network
  );
}

/** A backbone's training starts from the recipe of fine-tuning, as in `train`. */
function withFineTuning(settings: Record<string, unknown>): Record<string, unknown> {
  return settings.backbone === undefined
    ? settings
    : merge(fineTuneRecipe as Record<string, unknown>, settings);
}

function resolvedFor(settings: Record<string, unknown>, method: string, setting: string) {
  try {
    return resolveConfiguration(settings);
  } catch (error) {
    if (!(error instanceof CliError)) throw error;
    const where = setting === PLAIN_SETTING ? method : `${method}, ${setting}`;
    throw new CliError(`compare: method ${where}: ${errorMessage(error)}`);
  }
}
