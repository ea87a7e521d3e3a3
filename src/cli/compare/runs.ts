/**
 * Runs of a comparison as child processes of this command line, several at once: each trains, judges and writes its own
 * folder, so that nothing is shared and a run that ends badly takes no other with it. A folder whose `result.json` has the
 * run's fingerprint is done. Children are told to save and stop when this process is, also when it is killed.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, open, readFile } from 'node:fs/promises';
import { availableParallelism, freemem } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import pLimit from 'p-limit';
import { RESULT_FORMAT, type RunResult, runResultFormat } from '../../evaluation/index.js';
import { LOG_FILE } from '../../training/index.js';
import { errorMessage, type StartProgress, writeJson } from '../../util/index.js';
import { RESULT_FILE } from '../run-result.js';
import type { PlannedRun } from './plan.js';
import { lockRun, type RunLock } from './run-lock.js';

export interface RunOptions {
  /** The comparison's folder. */
  readonly directory: string;
  /** The data that runs' data are a part of: what the schema is taken from, so that all are judged alike. */
  readonly manifest: string;
  /** File of the manifest of a run. */
  manifestOf(run: PlannedRun): Promise<string>;
  readonly levels?: readonly string[] | undefined;
  readonly processes: number;
  readonly progress: StartProgress;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

export type RunOutcome =
  | { readonly run: PlannedRun; readonly status: 'done'; readonly result: RunResult }
  | { readonly run: PlannedRun; readonly status: 'failed'; readonly reason: string }
  | { readonly run: PlannedRun; readonly status: 'missing' };

/** A run takes about this much memory: a small network of the demo's size with its pictures. */
const BYTES_PER_RUN = 1.5e9;

/** As many processes as there are cores, fewer where memory is short. */
export function defaultProcesses(): number {
  return Math.max(1, Math.min(availableParallelism(), Math.floor(freemem() / BYTES_PER_RUN)));
}

/** What there is of a run: its result when it is done. */
export async function findRun(directory: string, run: PlannedRun): Promise<RunOutcome> {
  try {
    const text = await readFile(join(directory, run.folder, RESULT_FILE), 'utf8');
    const result = runResultFormat.safeParse(JSON.parse(text));
    if (result.success && result.data.fingerprint === run.fingerprint)
      return { run, status: 'done', result: result.data };
  } catch {
    // not there, or cut off: not done
  }
  return { run, status: 'missing' };
}

/**
 * Runs what is not done. A run that fails is part of what is returned; the others go on.
 * @returns an outcome a run, in their order.
 * @throws what the signal was aborted with, when all children have saved what they had.
 */
export async function runAll(
  task: string,
  runs: readonly PlannedRun[],
  options: RunOptions,
): Promise<RunOutcome[]> {
  const { directory, processes, signal, report } = options;
  const found = await Promise.all(runs.map((run) => findRun(directory, run)));
  const left = runs.filter((_, i) => found[i]!.status !== 'done');
  const outcomes = new Map(found.map((outcome) => [outcome.run, outcome]));
  if (left.length === 0) return found;

  const total = runs.reduce((sum, { steps }) => sum + steps, 0);
  const stepsOf = new Map<PlannedRun, number>();
  for (const run of runs)
    stepsOf.set(run, left.includes(run) ? await loggedSteps(directory, run) : run.steps);
  const stepsDone = () => [...stepsOf.values()].reduce((sum, steps) => sum + steps, 0);
  const running = new Set<PlannedRun>();
  let runsDone = runs.length - left.length;
  const bar = options.progress(task, total, stepsDone());
  const show = () => bar.update(stepsDone(), `${runsDone}/${runs.length} runs done`);
  const poll = setInterval(async () => {
    // A run that is still being judged has not all of its steps behind it.
    for (const run of running) stepsOf.set(run, Math.min(run.steps - 1, await loggedSteps(directory, run)));
    show();
  }, POLL_MS);
  const limit = pLimit(processes);
  try {
    await Promise.all(
      left.map((run) =>
        limit(async () => {
          if (signal.aborted) return;
          running.add(run);
          const outcome = await runOne(run, options);
          running.delete(run);
          if (signal.aborted) return;
          outcomes.set(run, outcome);
          stepsOf.set(run, run.steps);
          runsDone++;
          if (outcome.status === 'failed') report(`failed: ${run.folder}: ${outcome.reason}`);
          show();
        }),
      ),
    );
  } finally {
    clearInterval(poll);
    bar.stop();
  }
  signal.throwIfAborted();
  return runs.map((run) => outcomes.get(run) as RunOutcome);
}

// --- internal ---

const POLL_MS = 1000;
/** Names of files in a run's folder. */
const SETTINGS_FILE = 'settings.json';
const CHILD_LOG = 'log.txt';

async function runOne(run: PlannedRun, options: RunOptions): Promise<RunOutcome> {
  const { directory } = options;
  const folder = join(directory, run.folder);
  try {
    await mkdir(folder, { recursive: true });
    const lock = await lockRun(folder, options);
    try {
      // Another comparison may have done it meanwhile.
      const found = await findRun(directory, run);
      return found.status === 'done' ? found : await trainAndJudge(run, folder, lock, options);
    } finally {
      await lock.release();
    }
  } catch (error) {
    return { run, status: 'failed', reason: errorMessage(error) };
  }
}

async function trainAndJudge(
  run: PlannedRun,
  folder: string,
  lock: RunLock,
  options: RunOptions,
): Promise<RunOutcome> {
  const { levels, signal } = options;
  await writeJson(join(folder, SETTINGS_FILE), run.settings);
  const code = await runChild(
    [
      'train',
      ...['--data', await options.manifestOf(run), '--schema-from', options.manifest],
      ...['--config', join(folder, SETTINGS_FILE)],
      ...['--out', folder, '--judge', run.split, '--threads', '1', '--no-report'],
      ...(levels === undefined ? [] : ['--levels', levels.join(',')]),
    ],
    join(folder, CHILD_LOG),
    { signal, started: (pid) => lock.handTo(pid) },
  );
  await lock.handTo(process.pid);
  if (code !== 0) return { run, status: 'failed', reason: await reasonIn(join(folder, CHILD_LOG), code) };
  return { run, status: 'done', result: await nameResult(join(folder, RESULT_FILE), run) };
}

/** Runs this command line with arguments, its output into a file. @returns the exit code, or the signal that ended it */
async function runChild(
  argv: readonly string[],
  logFile: string,
  { signal, started }: { signal: AbortSignal; started: (pid: number) => Promise<void> },
): Promise<number | string> {
  const log = await open(logFile, 'w');
  let child: ChildProcess;
  try {
    child = spawn(process.execPath, [...program(), ...argv], {
      // Its own group: Ctrl-C in the terminal reaches this process alone, which tells the children once.
      detached: true,
      windowsHide: true,
      // A channel that closes when this process ends, however it does; see `interruptible`.
      stdio: ['ignore', log.fd, log.fd, 'ipc'],
    });
  } finally {
    await log.close();
  }
  const stop = () => child.kill('SIGTERM');
  if (signal.aborted) stop();
  signal.addEventListener('abort', stop);
  const ended = new Promise<number | string>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code, by) => resolve(code ?? by ?? 'no exit code'));
  });
  try {
    if (child.pid !== undefined) await started(child.pid);
    return await ended;
  } finally {
    signal.removeEventListener('abort', stop);
  }
}

/** This program for `node`: compiled, or as TypeScript through tsx where this file is. */
function program(): string[] {
  const isSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(isSource ? '../main.ts' : '../main.js', import.meta.url));
  return isSource ? ['--import', 'tsx', main] : [main];
}

/** What the run's output ends with: the line that the command line fails with, or the last one. */
async function reasonIn(file: string, code: number | string): Promise<string> {
  const lines = (await readFile(file, 'utf8')).split('\n').filter((line) => line.trim() !== '');
  const said = lines.findLast((line) => line.startsWith('semblance: ')) ?? lines.at(-1);
  const ended = typeof code === 'number' ? `exit code ${code}` : `ended by ${code}`;
  return typeof code === 'number' && said?.startsWith('semblance: ')
    ? said.slice('semblance: '.length)
    : `${ended}: ${said ?? 'no output'}`;
}

/** Adds to a result what the run is called; from then on it counts as done. */
async function nameResult(file: string, run: PlannedRun): Promise<RunResult> {
  const result = runResultFormat.parse(JSON.parse(await readFile(file, 'utf8')));
  const { method, setting, seed, fold, trial, fingerprint } = run;
  const named: RunResult = {
    ...result,
    format: RESULT_FORMAT,
    method,
    setting,
    seed,
    ...(fold === undefined ? {} : { fold }),
    ...(trial === undefined ? {} : { trial }),
    fingerprint,
  };
  await writeJson(file, named);
  return named;
}

/** The last step in a run's log; 0 before there is one. */
async function loggedSteps(directory: string, run: PlannedRun): Promise<number> {
  try {
    const text = await readFile(join(directory, run.folder, 'training', LOG_FILE), 'utf8');
    const steps = text
      .trimEnd()
      .split('\n')
      .slice(-2)
      .map((line) => (JSON.parse(line) as { step: number }).step);
    return Math.min(run.steps, Math.max(...steps));
  } catch {
    return 0;
  }
}
