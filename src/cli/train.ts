/** `semblance train`: trains a model on a manifest's pictures and attributes. */
import { readFile } from 'node:fs/promises';
import { Command } from 'commander';
import { readManifest } from '../data/index.js';
import { ITEM_LEVEL } from '../granularity/index.js';
import { emojiRecipe, resolveConfiguration } from '../training/index.js';
import {
  CliError,
  DataError,
  errorMessage,
  silentProgress,
  streamProgress,
  streamReport,
} from '../util/index.js';
import { interruptible } from './interruption.js';
import { nonNegativeInteger, positiveInteger, repeated } from './options.js';
import { runTraining, schemaOf } from './training-run.js';

interface Options {
  data: string;
  out: string;
  config?: string;
  recipe?: string;
  set?: readonly string[];
  steps?: number;
  seed?: number;
  levels?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

const RECIPES: Readonly<Record<string, unknown>> = { emoji: emojiRecipe };

export function trainCommand(): Command {
  return new Command('train')
    .description('train a model on the pictures and attributes of a manifest')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL) with splits train and, better, val')
    .requiredOption('--out <folder>', 'gets training/ (checkpoints, log) and model/ (the bundle)')
    .option('--recipe <name>', `settings to start from: ${Object.keys(RECIPES).join(', ')}`)
    .option('--config <file>', 'settings as JSON, over the recipe')
    .option(
      '--set <path=value>',
      'one setting, over the file, e.g. loss.slack=0.2 (may be given again)',
      repeated,
    )
    .option('--steps <count>', 'training steps', positiveInteger)
    .option('--seed <number>', 'seed of everything random', nonNegativeInteger)
    .option('--levels <names>', 'levels from fine to coarse, e.g. look,category (default: found in the data)')
    .option('--threads <count>', 'threads of the step (default: all cores)', positiveInteger)
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nCtrl-C saves a checkpoint; the same command goes on from there.\n\nExample:\n' +
        '  $ semblance dataset emoji data/emoji\n' +
        '  $ semblance train --data data/emoji/manifest.csv --recipe emoji --out runs/emoji\n',
    )
    .action(run);
}

/**
 * Reads `a.b=value` pairs into nested settings; values are JSON where they parse, text otherwise.
 * @throws CliError when there is no `=`.
 */
export function parseSettings(pairs: readonly string[]): Record<string, unknown> {
  const settings: Record<string, unknown> = {};
  for (const pair of pairs) {
    const at = pair.indexOf('=');
    if (at < 1) throw new CliError(`train --set: must be path=value, got '${pair}'`);
    const path = pair.slice(0, at).split('.');
    const text = pair.slice(at + 1);
    let value: unknown = text;
    try {
      value = JSON.parse(text);
    } catch {
      // not JSON: the text itself
    }
    const nested = path.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value);
    Object.assign(settings, merge(settings, nested as Record<string, unknown>));
  }
  return settings;
}

/** `over` on top of `base`; objects are merged, all else is replaced, and a new `kind` replaces the whole object. */
export function merge(base: Record<string, unknown>, over: Record<string, unknown>): Record<string, unknown> {
  const result = new Map(Object.entries(base));
  for (const [key, value] of Object.entries(over)) {
    const before = result.get(key);
    const isOtherKind =
      isRecord(before) && isRecord(value) && value.kind !== undefined && value.kind !== before.kind;
    result.set(key, isRecord(before) && isRecord(value) && !isOtherKind ? merge(before, value) : value);
  }
  return Object.fromEntries(result);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const configuration = resolveConfiguration(await settingsOf(options));
  const manifest = await readManifest(options.data);
  const progress = options.quiet === true ? silentProgress : streamProgress();
  const report = options.quiet === true ? () => {} : streamReport();
  report(`configuration: ${JSON.stringify(configuration)}`);
  const schema = schemaOf(
    manifest,
    report,
    options.levels?.split(',').filter((name) => name !== 'item_id'),
  );
  const { modelDirectory, result, validation } = await interruptible((signal) =>
    runTraining({
      manifest,
      schema,
      configuration,
      directory: options.out,
      ...(options.threads === undefined ? {} : { threads: options.threads }),
      progress,
      report,
      signal,
    }),
  );
  const summary = {
    model: modelDirectory,
    steps: configuration.steps,
    bestStep: result.bestStep,
    ...(validation === undefined ? {} : { validation }),
  };
  if (options.json === true) process.stdout.write(`${JSON.stringify(summary, null, 2)}\n`);
  else {
    const figures =
      validation === undefined || validation.byLevel[ITEM_LEVEL]?.queries === 0
        ? ''
        : `; validation Recall@1 ${validation.recallAt1.toFixed(3)}, MAP@R ${validation.mapAtR.toFixed(3)}`;
    process.stdout.write(
      `${modelDirectory}: best of ${configuration.steps} steps is step ${result.bestStep}${figures}\n`,
    );
  }
}

async function settingsOf({ recipe, config, set, steps, seed }: Options): Promise<Record<string, unknown>> {
  let settings: Record<string, unknown> = {};
  if (recipe !== undefined) {
    if (!Object.hasOwn(RECIPES, recipe)) {
      throw new CliError(
        `train --recipe: must be one of ${Object.keys(RECIPES).join(', ')}, got '${recipe}'`,
      );
    }
    settings = RECIPES[recipe] as Record<string, unknown>;
  }
  if (config !== undefined) {
    let value: unknown;
    try {
      value = JSON.parse(await readFile(config, 'utf8'));
    } catch (error) {
      throw new DataError(`cannot be read as JSON: ${errorMessage(error)}`, { file: config });
    }
    if (!isRecord(value)) throw new DataError('must hold one JSON object of settings', { file: config });
    settings = merge(settings, value);
  }
  settings = merge(settings, parseSettings(set ?? []));
  if (steps !== undefined) settings.steps = steps;
  if (seed !== undefined) settings.seed = seed;
  return settings;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
