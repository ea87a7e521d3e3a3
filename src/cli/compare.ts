/**
 * `semblance compare`: methods side by side, each trained with several seeds, judged alike, with intervals and tests. What
 * is done is not done again, so the same command goes on after an interruption, and a changed configuration costs only
 * what it changes.
 */
import { existsSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Command } from 'commander';
import { DataError, formatDuration, silentProgress, streamProgress, streamReport } from '../util/index.js';
import {
  type CarriedOut,
  carryOut,
  type OpenComparison,
  openComparison,
  planned,
  timeMethods,
} from './compare/carry-out.js';
import { readComparisonConfiguration } from './compare/configuration.js';
import { COMPARISON_FILE } from './compare/gather.js';
import { settingsOf } from './compare/plan.js';
import { defaultProcesses, type RunOutcome } from './compare/runs.js';
import { comparisonTables, stepCostTable } from './compare/tables.js';
import { interruptible } from './interruption.js';
import { positiveInteger, repeated } from './options.js';
import { writeComparisonReport } from './report/comparison-report.js';
import { REPORT_FILE } from './report/run-folder.js';
import { parseSettings } from './settings.js';

interface Options {
  out?: string;
  only?: string;
  set?: readonly string[];
  processes?: number;
  dryRun?: true;
  cost?: string | true;
  report?: true;
  json?: true;
  quiet?: true;
}

export function compareCommand(): Command {
  return new Command('compare')
    .description('train and judge several methods alike: seeds, intervals, significance, cost')
    .argument(
      '<configuration>',
      'what is compared, as YAML; or the name of a recipe that comes with the program',
    )
    .option('--out <folder>', 'where everything goes; what is there already is used (default: runs/<name>)')
    .option('--only <methods>', 'run and show these methods alone, e.g. sgml,multitask')
    .option(
      '--set <path=value>',
      'one setting of every training, over the file (may be given again)',
      repeated,
    )
    .option(
      '--processes <count>',
      'runs at the same time (default: as many as cores and memory admit)',
      positiveInteger,
    )
    .option('--dry-run', 'print what would be run, and how long it would take')
    .option(
      '--cost [method]',
      'instead of running: time a step of each method in turns with this one (default: the first)',
    )
    .option('--report', 'run nothing: show what is there')
    .option('--json', 'print the comparison as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nCtrl-C saves what is under way; the same command goes on from there. docs/comparing.md says how to write a\n' +
        'comparison and how to read its tables.\n\nExample:\n  $ semblance compare recipes/emoji.yaml\n' +
        '  $ semblance compare recipes/emoji.yaml --only sgml,multitask --set steps=100 --out runs/try\n',
    )
    .action((file: string, options: Options) => interruptible((signal) => run(file, options, signal)));
}

// --- internal ---

async function run(file: string, options: Options, signal: AbortSignal): Promise<void> {
  const path = await findConfiguration(file);
  const configuration = await readComparisonConfiguration(path);
  const opened = await openComparison({
    configuration,
    base: dirname(path),
    directory: options.out ?? join('runs', configuration.name),
    only: options.only?.split(',').map((name) => name.trim()),
    over: parseSettings(options.set ?? []),
    processes: options.processes ?? defaultProcesses(),
    progress: options.quiet === true ? silentProgress : streamProgress(),
    report: options.quiet === true ? () => {} : streamReport(),
    signal,
  });
  const isJson = options.json === true;
  if (options.dryRun === true) return printPlan(opened, await planned(opened), isJson);
  if (options.cost !== undefined) {
    const timed = await timeMethods(opened, options.cost === true ? undefined : options.cost);
    process.stdout.write(isJson ? `${JSON.stringify(timed, null, 2)}\n` : `${stepCostTable(timed)}\n`);
    return;
  }
  const { trials, runs, comparison } = await carryOut(opened, options.report !== true);
  const reportFile = join(opened.directory, REPORT_FILE);
  const isReported = runs.some(({ status }) => status === 'done');
  if (isReported) {
    const { directory, progress, report } = opened;
    const command = `semblance report ${directory}`;
    await writeComparisonReport({ directory, out: reportFile, command, progress, report, signal });
  }
  if (isJson) process.stdout.write(`${JSON.stringify(comparison, null, 2)}\n`);
  else {
    process.stdout.write(`${comparisonTables(comparison, opened.methods)}\n`);
    process.stdout.write(`figures  ${join(opened.directory, COMPARISON_FILE)}\n`);
    if (isReported) process.stdout.write(`report   ${reportFile}\n`);
  }
  const failed = [...trials, ...runs].filter(({ status }) => status === 'failed');
  if (failed.length === 0) return;
  throw new DataError(
    `compare: every run must end well, but ${failed.length} of ${trials.length + runs.length} failed: ${failed
      .slice(0, 5)
      .map(describeFailure)
      .join('; ')}${failed.length > 5 ? '; …' : ''}. The output of each is in its folder's log.txt`,
  );
}

/** The file; where there is none, the recipe of that name that comes with the program. */
async function findConfiguration(file: string): Promise<string> {
  if (existsSync(file)) return file;
  const name = basename(file).replace(/\.yaml$/, '');
  const recipe = fileURLToPath(new URL(`../../recipes/${name}.yaml`, import.meta.url));
  const isName = file === name || dirname(file) === 'recipes';
  return isName && existsSync(recipe) ? recipe : file;
}

function describeFailure(outcome: RunOutcome): string {
  const reason = outcome.status === 'failed' ? outcome.reason : '';
  return `${outcome.run.folder} (${reason})`;
}

function printPlan(
  { methods, configuration, processes }: OpenComparison,
  { trials, runs }: Omit<CarriedOut, 'comparison'>,
  isJson: boolean,
): void {
  const all = [...trials, ...runs];
  const done = all.filter((one) => one.status === 'done');
  const left = all.filter((one) => one.status !== 'done');
  const steps = (some: readonly RunOutcome[]) => some.reduce((sum, { run: one }) => sum + one.steps, 0);
  const seconds = done.reduce((sum, one) => sum + one.result.cost.seconds, 0);
  const settings = settingsOf(configuration).map(({ name }) => name);
  const plan = {
    methods,
    settings,
    seeds: configuration.seeds,
    folds: configuration.folds?.count ?? null,
    trials: trials.length,
    runs: runs.length,
    done: done.length,
    left: left.length,
    stepsLeft: steps(left),
    processes,
    /** From runs that are done; null before there is one. */
    secondsLeft: steps(done) === 0 ? null : (seconds / steps(done)) * (steps(left) / processes),
  };
  if (isJson) {
    process.stdout.write(`${JSON.stringify(plan, null, 2)}\n`);
    return;
  }
  const time =
    plan.secondsLeft === null
      ? 'the time is known when the first run is done'
      : `about ${formatDuration(plan.secondsLeft)}`;
  process.stdout.write(
    `${configuration.name}: ${methods.length} methods × ${settings.length} settings × ${plan.seeds.length} seeds${plan.folds === null ? '' : ` × ${plan.folds} folds`} = ${plan.runs} runs${plan.trials > 0 ? `, after ${plan.trials} trials of a search` : ''}\n` +
      `${plan.done} done, ${plan.left} left with ${plan.stepsLeft.toLocaleString('en')} steps, ${processes} at a time: ${time}\n`,
  );
}
