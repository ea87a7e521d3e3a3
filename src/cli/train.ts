/** `semblance train`: trains a model on a manifest's pictures and attributes. */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { type Manifest, readManifest } from '../data/index.js';
import { ITEM_LEVEL } from '../granularity/index.js';
import { fineTuneRecipe, resolveConfiguration } from '../training/index.js';
import {
  CliError,
  DataError,
  errorMessage,
  presentTime,
  type StartProgress,
  silentProgress,
  stopwatch,
  streamProgress,
  streamReport,
} from '../util/index.js';
import { backboneSettings } from './backbone-file.js';
import { interruptible } from './interruption.js';
import { nonNegativeInteger, positiveInteger, repeated } from './options.js';
import { writeEventFile } from './report/event-files.js';
import { machineName, REPORT_FILE, readRun, runLabels, writeRunRecord } from './report/run-folder.js';
import { writeReport } from './report/write-report.js';
import { writeRunResult } from './run-result.js';
import { isRecord, merge, parseSettings, RECIPE_NAMES, recipeSettings } from './settings.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';
import { runTraining, schemaOf } from './training-run.js';

interface Options {
  data: string;
  out: string;
  config?: string;
  recipe?: string;
  set?: readonly string[];
  steps?: number;
  seed?: number;
  backbone?: string;
  sha256?: string;
  preprocessing?: string;
  size?: number;
  train?: string;
  adapters?: true | number;
  cache?: string;
  cacheFolder?: string;
  feedback?: string;
  levels?: string;
  schemaFrom?: string;
  judge?: SplitChoice;
  report: boolean;
  tensorboard?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function trainCommand(): Command {
  return new Command('train')
    .description('train a model on the pictures and attributes of a manifest')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL) with splits train and, better, val')
    .requiredOption('--out <folder>', 'gets training/ (checkpoints, log) and model/ (the bundle)')
    .option('--recipe <name>', `settings to start from: ${RECIPE_NAMES.join(', ')}`)
    .option('--config <file>', 'settings as JSON, over the recipe')
    .option(
      '--set <path=value>',
      'one setting, over the file, e.g. loss.slack=0.2 (may be given again)',
      repeated,
    )
    .option('--steps <count>', 'training steps', positiveInteger)
    .option('--seed <number>', 'seed of everything random', nonNegativeInteger)
    .option('--backbone <file>', 'fine-tune this network: path or https address of an ONNX file')
    .option('--sha256 <hash>', 'SHA-256 that the file must have')
    .option(
      '--preprocessing <name>',
      'how the backbone wants its pictures: imagenet, half, clip, caffe-bgr or a JSON file (default: preprocessor_config.json beside it)',
    )
    .option(
      '--size <pixels>',
      "side of the backbone's pictures (default: what its file says)",
      positiveInteger,
    )
    .option(
      '--train <part>',
      'of the backbone: none (the heads alone), last-stage, a number of stages, all, or names with * (default: last-stage)',
    )
    .option(
      '--adapters [rank]',
      'train low-rank adapters of that part instead (default rank: 8)',
      positiveInteger,
    )
    .option(
      '--cache <cut>',
      "keep what the backbone's frozen part makes of a picture on disk: auto, none, features, or the name of a stage (default: auto)",
    )
    .option('--cache-folder <folder>', "where (default: the user's cache folder)")
    .option(
      '--feedback <catalog>',
      'also train on the thumbs up and down given in this catalogue; how many pairs a batch: --set feedback.pairs=8',
    )
    .option('--levels <names>', 'levels from fine to coarse, e.g. look,category (default: found in the data)')
    .option(
      '--schema-from <manifest>',
      'attributes and levels as this manifest has them, where --data is a part of it',
    )
    .option(
      '--judge <split>',
      `judge the model on ${JUDGED_SPLITS.join(', ')} when it is trained, into result.json and queries.json`,
      splitChoice(JUDGED_SPLITS),
    )
    .option('--no-report', 'write no report.html on the validation pictures at the end')
    .option('--tensorboard <folder>', 'also write the log as TensorBoard event files')
    .option('--threads <count>', 'threads of the step (default: all cores)', positiveInteger)
    .option('--json', 'print the result as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nCtrl-C saves a checkpoint; the same command goes on from there.\n\nExample:\n' +
        '  $ semblance dataset emoji data/emoji\n' +
        '  $ semblance train --data data/emoji/manifest.csv --recipe emoji --out runs/emoji\n' +
        '  $ semblance train --data shop.csv --backbone mobilenet.onnx --preprocessing half --out runs/shop\n' +
        '  $ semblance train --data shop.csv --feedback catalog --out runs/shop-2\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const progress = options.quiet === true ? silentProgress : streamProgress();
  const report = options.quiet === true ? () => {} : streamReport();
  const configuration = resolveConfiguration(
    await withBackbone(await settingsOf(options), options, { progress, report }),
  );
  const manifest = await readManifest(options.data);
  report(`configuration: ${JSON.stringify(configuration)}`);
  const schema = schemaOf(
    options.schemaFrom === undefined ? manifest : await readManifest(options.schemaFrom),
    report,
    options.levels?.split(',').filter((name) => name !== 'item_id'),
  );
  const startedAt = presentTime();
  const elapsedSeconds = stopwatch();
  const judgedRows =
    options.judge === undefined ? undefined : rowsOfSplit(manifest.rows, options.judge, options.data);
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const { modelDirectory, result, validation } = await interruptible(async (signal) => {
    const run = await runTraining({
      manifest,
      schema,
      configuration,
      directory: options.out,
      ...threads,
      cacheFolder: options.cacheFolder,
      progress,
      report,
      signal,
    });
    if (options.judge !== undefined && judgedRows !== undefined) {
      await writeRunResult(
        { directory: options.out, run, schema, rows: judgedRows, manifest: options.data },
        { split: options.judge, seed: configuration.seed, startedAt },
        { ...threads, progress, signal },
      );
    }
    return run;
  });
  const isFinishedBefore = result.stepsRun === 0 && existsSync(join(options.out, REPORT_FILE));
  if (!isFinishedBefore) {
    await writeRunRecord(options.out, {
      data: resolve(options.data),
      command: process.argv.slice(2),
      startedAt,
      finishedAt: presentTime(),
      seconds: elapsedSeconds(),
      machine: machineName(),
    });
  }
  if (options.tensorboard !== undefined)
    report(
      `events: ${await writeEventFile(options.tensorboard, runLabels([options.out])[0]!, await readRun(options.out))}`,
    );
  if (options.report && !isFinishedBefore) await reportOn(options, manifest, { progress, report });
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

/** The report on validation: the model is whole already, so that nothing is lost when this is interrupted. */
async function reportOn(
  { out, threads }: Options,
  manifest: Manifest,
  { progress, report }: { progress: StartProgress; report: (line: string) => void },
): Promise<void> {
  if (!manifest.rows.some(({ split }) => split === 'val')) {
    report("no split 'val': no report. `semblance report` makes one of test pictures");
    return;
  }
  const file = join(out, REPORT_FILE);
  await interruptible(
    async (signal) =>
      writeReport({
        folders: [await readRun(out)],
        labels: runLabels([out]),
        manifest,
        split: 'val',
        out: file,
        command: `semblance report ${out} --split val`,
        threads,
        progress,
        report: () => {}, // what is to be said of the pictures was said while training
        signal,
      }),
    { isResumable: false },
  );
  report(`report: ${file}`);
}

async function settingsOf({
  recipe,
  config,
  set,
  steps,
  seed,
  feedback,
}: Options): Promise<Record<string, unknown>> {
  let settings = recipe === undefined ? {} : recipeSettings('train --recipe', recipe);
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
  if (feedback !== undefined) settings = merge(settings, { feedback: { source: feedback } });
  return settings;
}

/** The settings with all that is to be known of the backbone, where there is one. */
async function withBackbone(
  settings: Record<string, unknown>,
  { backbone: source, sha256, preprocessing, size, train, adapters, cache }: Options,
  { progress, report }: { progress: StartProgress; report: (line: string) => void },
): Promise<Record<string, unknown>> {
  const before = isRecord(settings.backbone) ? settings.backbone : {};
  const chosen = {
    ...before,
    ...(source === undefined ? {} : { source }),
    ...(sha256 === undefined ? {} : { sha256 }),
    ...(train === undefined ? {} : { trained: trainedPartOf(train) }),
    ...(adapters === undefined
      ? {}
      : { adapters: adapters === true ? {} : { rank: adapters, alpha: 2 * adapters } }),
    ...(cache === undefined ? {} : { cache }),
  };
  if (!('source' in chosen) || typeof chosen.source !== 'string') {
    if (Object.keys(chosen).length === 0 && preprocessing === undefined && size === undefined)
      return settings;
    throw new CliError(
      'train: --sha256, --preprocessing, --size, --train, --adapters and --cache are about a backbone, got none. Give --backbone',
    );
  }
  const found = await interruptible((signal) =>
    backboneSettings(
      { ...chosen, source: chosen.source as string },
      { preprocessing, size },
      { sha256: typeof chosen.sha256 === 'string' ? chosen.sha256 : undefined, progress, signal },
    ),
  );
  for (const note of found.notes) report(note);
  return merge(merge(fineTuneRecipe as Record<string, unknown>, { network: { inputSize: found.size } }), {
    ...settings,
    backbone: found.backbone,
  });
}

/** `none`, `last-stage` and `all` as they are; a number of stages; anything else as names of parameters. */
function trainedPartOf(text: string): unknown {
  if (['none', 'last-stage', 'all'].includes(text)) return text;
  if (/^[1-9]\d*$/.test(text)) return { stages: Number(text) };
  return { names: text.split(',') };
}
