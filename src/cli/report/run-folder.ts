/**
 * A run's folder as `train` or `demo` leaves it: `model/` (the bundle), `training/` (log, configuration), and, where it
 * was written, `run.json` (from what and when). A bundle alone will do: then there are no curves.
 */
import { existsSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { z } from 'zod';
import { type Bundle, readBundle } from '../../bundle/index.js';
import { LOG_FILE, type LogEntry } from '../../training/index.js';
import { CliError, DataError, errorMessage, readJson, writeJson } from '../../util/index.js';

/** What `run.json` says: where a run came from. */
export interface RunRecord {
  /** The manifest, absolute. */
  readonly data: string;
  /** The command line, without the program. */
  readonly command: readonly string[];
  /** ISO 8601, of the attempt that ended it. */
  readonly startedAt: string;
  readonly finishedAt: string;
  /** Wall time of that attempt. */
  readonly seconds: number;
  /** Processor and cores. */
  readonly machine: string;
}

export interface RunFolder {
  readonly directory: string;
  readonly modelDirectory: string;
  readonly bundle: Bundle;
  /** The training log; empty where there is none. */
  readonly log: readonly LogEntry[];
  readonly record: RunRecord | undefined;
}

/**
 * Reads a run's folder.
 * @throws DataError when there is no model in it, or a file of it is damaged.
 */
export async function readRun(directory: string): Promise<RunFolder> {
  const isBundle = existsSync(join(directory, 'semblance.json'));
  const modelDirectory = isBundle ? directory : join(directory, 'model');
  if (!existsSync(modelDirectory)) {
    throw new DataError(
      `is no run: a folder that \`semblance train\`, \`demo\` or \`compare\` wrote must hold model/, got ${existsSync(directory) ? 'none' : 'no such folder'}`,
      { file: directory },
    );
  }
  return {
    directory,
    modelDirectory,
    bundle: await readBundle(modelDirectory),
    log: isBundle ? [] : await readLog(join(directory, 'training', LOG_FILE)),
    record: await readRecord(join(directory, RECORD_FILE)),
  };
}

/** Keeps where a run came from in its folder. */
export function writeRunRecord(directory: string, record: RunRecord): Promise<void> {
  return writeJson(join(directory, RECORD_FILE), record);
}

/** What ran: processor and cores. */
export function machineName(): string {
  return `${cpus().length} × ${cpus()[0]?.model.trim() ?? 'unknown processor'}`;
}

/**
 * The log of a training, an entry a line.
 * @returns nothing where there is no such file.
 * @throws DataError with the line that is no entry.
 */
export async function readLog(file: string): Promise<LogEntry[]> {
  if (!existsSync(file)) return [];
  const lines = (await readFile(file, 'utf8')).split('\n');
  return lines.flatMap((text, index) => {
    if (text.trim() === '') return [];
    try {
      const entry = JSON.parse(text) as LogEntry;
      if (typeof entry.step !== 'number') throw new Error("no number 'step'");
      return [entry];
    } catch (error) {
      throw new DataError(`must be an entry of the log: ${errorMessage(error)}`, { file, line: index + 1 });
    }
  });
}

/**
 * The manifest that runs are judged on: the one that is given, or the one that all of them were trained on.
 * @throws CliError when nothing says which, or they were trained on several.
 */
export function manifestOf(runs: readonly RunFolder[], given: string | undefined): string {
  if (given !== undefined) return given;
  const found = runs.map(({ directory, record }) => {
    const ofDemo = join(directory, 'data', 'manifest.csv');
    return [record?.data, ofDemo].find((file) => file !== undefined && existsSync(file));
  });
  const different = [...new Set(found.filter((file) => file !== undefined).map((file) => resolve(file)))];
  if (different.length === 1) return different[0]!;
  if (different.length === 0) {
    throw new CliError('report: the runs do not say where their data are, or it is gone. Give --data');
  }
  throw new CliError(
    `report: the runs must have one manifest to be compared on, got ${different.join(', ')}. Give --data`,
  );
}

/** Short names of folders: the last part of each path, with as many parts before it as make them different. */
export function runLabels(directories: readonly string[]): string[] {
  const paths = directories.map((directory) => resolve(directory));
  const parts = paths.map((path) => path.split(/[\\/]/).filter((part) => part !== ''));
  for (let count = 1; ; count++) {
    const labels = parts.map((own) => own.slice(-count).join('/'));
    if (new Set(labels).size === labels.length || count > Math.max(...parts.map((own) => own.length)))
      return labels;
  }
}

/** Where the report of runs goes when nothing is said: into the one, or beside the several. */
export function defaultReportFile(directories: readonly string[]): string {
  const [first] = directories;
  if (directories.length === 1) return join(first!, REPORT_FILE);
  const parents = new Set(directories.map((directory) => dirname(resolve(directory))));
  return parents.size === 1 ? relative('.', join([...parents][0]!, REPORT_FILE)) : REPORT_FILE;
}

/** Name of the report in a run's folder. */
export const REPORT_FILE = 'report.html';

/** A path as it is shown. */
export function shownPath(path: string): string {
  const short = relative('.', path);
  return short.startsWith('..') ? path : short || basename(path);
}

// --- internal ---

const RECORD_FILE = 'run.json';

const recordFormat = z.object({
  data: z.string(),
  command: z.array(z.string()),
  startedAt: z.string(),
  finishedAt: z.string(),
  seconds: z.number(),
  machine: z.string(),
});

async function readRecord(file: string): Promise<RunRecord | undefined> {
  if (!existsSync(file)) return undefined;
  const result = recordFormat.safeParse(await readJson(file));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message}. Delete it or correct it`, {
    file,
  });
}
