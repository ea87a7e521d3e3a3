/** `semblance report`: what a run, or several side by side, came to, as one HTML file to look at and to keep. */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Command } from 'commander';
import { readManifest } from '../data/index.js';
import {
  CliError,
  formatDuration,
  type StartProgress,
  silentProgress,
  stopwatch,
  streamProgress,
  streamReport,
} from '../util/index.js';
import { COMPARISON_FILE } from './compare/gather.js';
import { interruptible } from './interruption.js';
import { positiveInteger } from './options.js';
import { readComparison, writeComparisonReport } from './report/comparison-report.js';
import { writeEventFile } from './report/event-files.js';
import {
  defaultReportFile,
  manifestOf,
  REPORT_FILE,
  readRun,
  runLabels,
  shownPath,
} from './report/run-folder.js';
import { writeReport } from './report/write-report.js';
import { JUDGED_SPLITS, type SplitChoice, splitChoice } from './splits.js';

interface Options {
  out?: string;
  data?: string;
  split: SplitChoice;
  tensorboard?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function reportCommand(): Command {
  return new Command('report')
    .description('write what a run came to as one HTML file; several runs are put side by side')
    .argument('<run...>', 'folders that `train`, `demo` or `compare` wrote')
    .option('--out <file>', 'where the report goes (default: report.html in the run, or beside the runs)')
    .option('--data <manifest>', 'the manifest to judge on (default: the one of the run)')
    .option(
      '--split <name>',
      `which pictures: ${JUDGED_SPLITS.join(', ')} (test: with query and gallery)`,
      splitChoice(JUDGED_SPLITS),
      'test',
    )
    .option(
      '--tensorboard <folder>',
      'also write the training logs as TensorBoard event files, a folder a run',
    )
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the figures as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nThe file stands alone: it fetches nothing, and reads without JavaScript. docs/reports.md says what each part means.\n\n' +
        'Example:\n  $ semblance report runs/emoji\n  $ semblance report runs/a runs/b --split val --out a-and-b.html\n',
    )
    .action(run);
}

// --- internal ---

async function run(directories: readonly string[], options: Options): Promise<void> {
  const elapsedSeconds = stopwatch();
  const progress: StartProgress = options.quiet === true ? silentProgress : streamProgress();
  const report = options.quiet === true ? () => {} : streamReport();
  const comparisons = directories.filter((directory) => existsSync(join(directory, COMPARISON_FILE)));
  if (comparisons.length > 0) return runComparison(directories, options, { progress, report });
  const folders = await Promise.all(directories.map(readRun));
  const file = manifestOf(folders, options.data);
  const manifest = await readManifest(file);
  const out = options.out ?? defaultReportFile(directories);
  const { split } = options;
  const labels = runLabels(directories);
  if (options.tensorboard !== undefined) {
    for (const [i, folder] of folders.entries())
      report(`events: ${await writeEventFile(options.tensorboard, labels[i]!, folder)}`);
  }
  const { runs, bytes } = await interruptible(
    (signal) =>
      writeReport({
        folders,
        labels,
        manifest,
        split,
        out,
        command: `semblance report ${directories.join(' ')} --split ${split}`,
        threads: options.threads,
        progress,
        report,
        signal,
      }),
    { isResumable: false },
  );
  if (options.json === true) {
    const figures = Object.fromEntries(
      runs.map(({ label, figures: own, intervals }) => [label, { ...own, intervals }]),
    );
    process.stdout.write(`${JSON.stringify({ report: out, split, runs: figures }, null, 2)}\n`);
    return;
  }
  process.stdout.write(madeLine(out, bytes, elapsedSeconds()));
}

async function runComparison(
  directories: readonly string[],
  options: Options,
  { progress, report }: { progress: StartProgress; report: (line: string) => void },
): Promise<void> {
  const [directory] = directories as [string];
  for (const [name, isGiven] of [
    ['--data', options.data !== undefined],
    ['--tensorboard', options.tensorboard !== undefined],
    ['another run', directories.length > 1],
  ] as const) {
    if (isGiven)
      throw new CliError(
        `report: a comparison knows its runs and data and is reported alone, got ${name} with it`,
      );
  }
  const elapsedSeconds = stopwatch();
  const out = options.out ?? join(directory, REPORT_FILE);
  const { bytes } = await interruptible(
    (signal) =>
      writeComparisonReport({
        directory,
        out,
        command: `semblance report ${directory}`,
        threads: options.threads,
        progress,
        report,
        signal,
      }),
    { isResumable: false },
  );
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ report: out, comparison: await readComparison(directory) }, null, 2)}\n`
      : madeLine(out, bytes, elapsedSeconds()),
  );
}

function madeLine(out: string, bytes: number, seconds: number): string {
  return `${shownPath(out)}: ${(bytes / 1e6).toFixed(1)} MB, in ${formatDuration(seconds)}\n`;
}
