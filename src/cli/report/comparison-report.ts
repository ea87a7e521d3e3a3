/**
 * The report of a comparison: what `comparison.json` holds, the figures of all runs as means over seeds, curves of each
 * method, and a look into one run of each of the best methods.
 */
import { existsSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { readManifest } from '../../data/index.js';
import {
  type Comparison,
  comparisonFormat,
  type MeanFigures,
  meanFigures,
  type ReportData,
  type ReportMethod,
  runResultFormat,
  type SeedRun,
} from '../../evaluation/index.js';
import { LOG_FILE } from '../../training/index.js';
import { DataError, readJson, type StartProgress, sha256OfFile, writeFileAtomic } from '../../util/index.js';
import { COMPARISON_FILE } from '../compare/gather.js';
import type { SplitChoice } from '../splits.js';
import { comparisonLead, differenceLines, searchTables, settingBars } from './comparison-parts.js';
import { type LabelledLog, meanLog, trainingPlots } from './curves.js';
import { type JudgedRun, judgeFolders } from './judged-run.js';
import { levelNames, makingsOf, viewsOfRuns } from './report-data.js';
import { type RunFolder, readLog, readRun } from './run-folder.js';

export interface ComparisonReportOptions {
  /** Folder of the comparison. */
  readonly directory: string;
  readonly out: string;
  /** How the report is made again. */
  readonly command: string;
  /** Methods that are looked into, the best first. Default 4; 0 makes tables and curves alone. */
  readonly lookInto?: number;
  readonly threads?: number | undefined;
  readonly progress: StartProgress;
  /** One line of news. */
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Writes the report of a comparison from whatever runs are done.
 * @returns the size of the file in bytes.
 * @throws DataError when the comparison cannot be read, or no run of it is done.
 */
export async function writeComparisonReport(options: ComparisonReportOptions): Promise<{ bytes: number }> {
  const { directory, out, command } = options;
  const comparison = await readComparison(directory);
  const done = comparison.runs.filter(({ status }) => status === 'done');
  if (done.length === 0)
    throw new DataError('no run of the comparison is done. Run `semblance compare` again', {
      file: directory,
    });
  const rows = await methodRows(directory, comparison);
  const views = await lookInto(comparison, rows, options);
  const labels = views?.labels ?? namesOfLevels(rows[0]!.mean);
  const data: ReportData = {
    title: `Comparison ${comparison.name}`,
    ...comparisonLead(comparison),
    levelLabels: labels,
    methods: rows.map(({ method, setting, label, mean }): ReportMethod => {
      const own = comparison.summaries.find((one) => one.method === method && one.setting === setting);
      return {
        key: label,
        label,
        description: `${mean.seeds} ${mean.seeds === 1 ? 'seed' : 'seeds'}${own === undefined || own.runs === own.wanted ? '' : `, ${own.runs} of ${own.wanted} runs`}`,
        metrics: mean.metrics,
        intervals: mean.intervals,
      };
    }),
    intervalNote: '± is half the 95 % interval over seeds (Student’s t).',
    hasSymmetricIntervals: true,
    differences: differenceLines(comparison),
    bars: settingBars(comparison),
    scatters: costScatters(comparison),
    tables: searchTables(comparison),
    training: trainingPlots(await methodLogs(directory, comparison)),
    ...views?.parts,
    makings: await makings(directory, comparison, views),
    command,
  };
  const { renderReport } = await import('../../evaluation/report/index.js');
  const html = renderReport(data);
  await writeFileAtomic(out, html);
  return { bytes: Buffer.byteLength(html) };
}

/** @throws DataError when there is no `comparison.json`, or it is not one. */
export async function readComparison(directory: string): Promise<Comparison> {
  const file = join(directory, COMPARISON_FILE);
  const result = comparisonFormat.safeParse(await readJson(file));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(
    `${issue?.path.join('.') || 'content'}: ${issue?.message}. Run \`semblance compare\` again`,
    {
      file,
    },
  );
}

// --- internal ---

interface MethodRow {
  readonly method: string;
  readonly setting: string;
  readonly label: string;
  readonly mean: MeanFigures;
}

type DoneRun = Comparison['runs'][number];

function doneRuns({ runs }: Comparison, method: string, setting: string): DoneRun[] {
  return runs.filter((run) => run.status === 'done' && run.method === method && run.setting === setting);
}

/** A method at a setting as it is called. */
function nameOf({ settings }: Comparison, method: string, setting: string): string {
  return settings.length === 1 ? method : `${method}, ${setting}`;
}

async function methodRows(directory: string, comparison: Comparison): Promise<MethodRow[]> {
  const rows: MethodRow[] = [];
  for (const setting of comparison.settings) {
    for (const method of comparison.methods) {
      const runs: SeedRun[] = [];
      for (const { folder, seed } of doneRuns(comparison, method, setting)) {
        const file = join(directory, folder, 'result.json');
        const result = runResultFormat.safeParse(await readJson(file));
        if (!result.success)
          throw new DataError('is no result of a run. Run `semblance compare` again', { file });
        runs.push({ seed, figures: result.data.figures });
      }
      if (runs.length > 0)
        rows.push({ method, setting, label: nameOf(comparison, method, setting), mean: meanFigures(runs) });
    }
  }
  return rows;
}

/** A log a method, at the first setting: the mean over its runs. */
async function methodLogs(directory: string, comparison: Comparison): Promise<LabelledLog[]> {
  const setting = comparison.settings[0] as string;
  const logs: LabelledLog[] = [];
  for (const method of comparison.methods) {
    const runs = doneRuns(comparison, method, setting);
    const own = await Promise.all(
      runs.map(({ folder }) => readLog(join(directory, folder, 'training', LOG_FILE))),
    );
    if (own.length > 0) logs.push({ label: method, log: meanLog(own) });
  }
  return logs;
}

interface Views {
  readonly parts: Awaited<ReturnType<typeof viewsOfRuns>>;
  readonly labels: Record<string, string>;
  readonly folders: readonly RunFolder[];
  readonly runs: readonly JudgedRun[];
}

/** The first seed of each of the best methods, embedded again. */
async function lookInto(
  comparison: Comparison,
  rows: readonly MethodRow[],
  { directory, lookInto: count = 4, threads, progress, report, signal }: ComparisonReportOptions,
): Promise<Views | undefined> {
  if (count === 0) return undefined;
  const setting = comparison.settings[0] as string;
  const best = rows
    .filter((row) => row.setting === setting)
    .sort((a, b) => b.mean.metrics.recallAt1 - a.mean.metrics.recallAt1)
    .slice(0, count);
  const folders: RunFolder[] = [];
  const names: string[] = [];
  for (const { method } of best) {
    const run = doneRuns(comparison, method, setting)[0];
    if (run === undefined || !existsSync(join(directory, run.folder, 'model'))) continue;
    folders.push(await readRun(join(directory, run.folder)));
    names.push(method);
  }
  const file = await dataOf(directory, comparison, folders);
  if (file === undefined) {
    report(
      'the data of the comparison are gone, or its folds do not say where theirs are: no pictures in the report',
    );
    return undefined;
  }
  const manifest = await readManifest(file);
  const isFolded = comparison.folds !== undefined && comparison.split !== 'test';
  const split = (isFolded ? 'test' : comparison.split) as SplitChoice;
  const runs = await judgeFolders(folders, {
    labels: names,
    manifest,
    split,
    threads,
    progress,
    report,
    signal,
  });
  const labels = levelNames((runs as [JudgedRun])[0].schema);
  const parts = await viewsOfRuns({ runs, folders, seed: SEED, labels, progress, signal });
  return { parts, labels, folders, runs };
}

const SEED = 0;

/** The manifest that the first run was judged on: the comparison's, or, of a part of the data, the one with its hash. */
async function dataOf(
  directory: string,
  { data }: Comparison,
  folders: readonly RunFolder[],
): Promise<string | undefined> {
  const wanted = folders[0]?.bundle.card.dataHash;
  const folder = join(directory, 'data');
  const derived = existsSync(folder) ? (await readdir(folder)).map((name) => join(folder, name)) : [];
  for (const file of [data.manifest, ...derived].filter((name) => /\.(csv|jsonl)$/.test(name)))
    if (existsSync(file) && (await sha256OfFile(file)) === wanted) return file;
  return undefined;
}

/** Configurations of the first run of every method, at the first setting. */
async function makings(
  directory: string,
  comparison: Comparison,
  views: Views | undefined,
): Promise<ReportData['makings']> {
  const found: { label: string; folder: RunFolder }[] = [];
  for (const method of comparison.methods) {
    const known = views?.folders[views.runs.findIndex(({ label }) => label === method)];
    const [run] = doneRuns(comparison, method, comparison.settings[0] as string);
    if (known !== undefined) found.push({ label: method, folder: known });
    else if (run !== undefined && existsSync(join(directory, run.folder, 'model')))
      found.push({ label: method, folder: await readRun(join(directory, run.folder)) });
  }
  return makingsOf(
    found,
    found.map(({ folder }) => folder),
  );
}

function namesOfLevels({ metrics }: MeanFigures): Record<string, string> {
  return levelNames({ attributes: [], levels: Object.keys(metrics.byLevel) });
}

/** Recall@1 against what a step costs in time and memory, at the first setting. */
function costScatters(comparison: Comparison): NonNullable<ReportData['scatters']> {
  const own = comparison.summaries.filter(({ setting }) => setting === comparison.settings[0]);
  const timed = new Map(comparison.stepCosts.map((one) => [one.method, one.millisecondsPerStep]));
  const points = (of: (one: (typeof own)[number]) => number | null | undefined) =>
    own.flatMap((one) => {
      const [x, y] = [of(one), one.figures.recallAt1?.mean];
      return x === null || x === undefined || y === undefined ? [] : [{ label: one.method, x, y }];
    });
  const isTimed = own.every(({ method }) => timed.has(method));
  return [
    {
      title: 'Recall@1 against the time of a step',
      note: isTimed
        ? 'Steps timed alone, methods taking turns.'
        : 'Median over the steps of the runs, which shared the machine: only large differences mean anything.',
      across: 'milliseconds a step',
      up: 'Recall@1',
      isPercent: true,
      points: points(({ method, cost }) => (isTimed ? timed.get(method) : cost.millisecondsPerStep)),
    },
    {
      title: 'Recall@1 against memory',
      across: 'peak memory of the process, MB',
      up: 'Recall@1',
      isPercent: true,
      points: points(({ cost }) => cost.peakMemoryMb),
    },
  ].filter((scatter) => scatter.points.length > 1);
}
