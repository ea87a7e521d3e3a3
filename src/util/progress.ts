/**
 * Progress of anything that takes more than two seconds: a bar with the time left on a terminal, a line every few
 * seconds elsewhere (a log, CI). Always on stderr, so that stdout stays for results.
 */
import { MultiBar, type SingleBar } from 'cli-progress';

export interface Progress {
  /** Reports `done` of the total, with a few words such as the loss. */
  update(done: number, detail?: string): void;
  /** Ends the bar. Calling it twice does no harm. */
  stop(): void;
}

/**
 * Starts reports on one task, e.g. `startProgress('training', 1700)`. `from`, default 0, is how much an earlier run did:
 * the time left is judged without it.
 */
export type StartProgress = (task: string, total: number, from?: number) => Progress;

/** Reports nothing; for tests and `--quiet`. */
export const silentProgress: StartProgress = () => ({ update() {}, stop() {} });

/** `95` → `1m35s`. */
export function formatDuration(seconds: number): string {
  if (!Number.isFinite(seconds)) return '?';
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole}s`;
  const minutes = Math.floor(whole / 60);
  if (minutes < 60) return `${minutes}m${String(whole % 60).padStart(2, '0')}s`;
  return `${Math.floor(minutes / 60)}h${String(minutes % 60).padStart(2, '0')}m`;
}

/**
 * Reports on the given stream.
 * @param intervalMs on a stream that is no terminal: at least this long between two lines. Default 5000.
 */
export function streamProgress(
  stream: NodeJS.WriteStream = process.stderr,
  { intervalMs = 5000 }: { intervalMs?: number } = {},
): StartProgress {
  return (task, total, from = 0) =>
    stream.isTTY
      ? terminalProgress(stream, task, total, from)
      : lineProgress(stream, task, total, from, intervalMs);
}

/** Starts a clock. @returns a function that gives the seconds since then */
export function stopwatch(): () => number {
  const startedAt = performance.now();
  return () => (performance.now() - startedAt) / 1000;
}

/**
 * Starts a clock of the processor time of this process, all its threads: what work costs whatever else the machine does.
 * @returns a function that gives the seconds since then
 */
export function processorStopwatch(): () => number {
  const startedAt = process.cpuUsage();
  return () => {
    const { user, system } = process.cpuUsage(startedAt);
    return (user + system) / 1e6;
  };
}

/** The present as ISO 8601 in UTC, for provenance. */
export function presentTime(): string {
  return new Date().toISOString();
}

/** The moment some milliseconds ago. */
export function timeBefore(milliseconds: number): Date {
  return new Date(Date.now() - milliseconds);
}

/** Milliseconds from a moment of `presentTime` to the present. */
export function millisecondsSince(time: string): number {
  return Date.now() - Date.parse(time);
}

/** Writes lines of news beside the progress on the same stream: on a terminal each takes the place of the bar. */
export function streamReport(stream: NodeJS.WriteStream = process.stderr): (line: string) => void {
  return (line) => {
    stream.write(stream.isTTY ? `\r\x1b[K${line}\n` : `${line}\n`);
  };
}

// --- internal ---

function timeLeft(startedAt: number, done: number, total: number, from: number): string {
  if (done <= from) return '?';
  const seconds = (performance.now() - startedAt) / 1000;
  return formatDuration((seconds / (done - from)) * (total - done));
}

function terminalProgress(stream: NodeJS.WriteStream, task: string, total: number, from: number): Progress {
  const startedAt = performance.now();
  const bars = new MultiBar({
    format: '{task} {bar} {percentage}% | {value}/{total} | {left} left {detail}',
    stream,
    hideCursor: true,
    barsize: 24,
    fps: 8,
    gracefulExit: false,
  });
  const bar: SingleBar = bars.create(total, from, { task: task.padEnd(12), left: '?', detail: '' });
  return {
    update(done, detail = '') {
      bar.update(done, {
        left: timeLeft(startedAt, done, total, from),
        detail: detail === '' ? '' : `| ${detail}`,
      });
    },
    stop() {
      bars.stop();
    },
  };
}

function lineProgress(
  stream: NodeJS.WriteStream,
  task: string,
  total: number,
  from: number,
  intervalMs: number,
): Progress {
  const startedAt = performance.now();
  let printedAt = startedAt;
  let last: { done: number; detail: string } | undefined;
  let printedDone = -1;
  const print = () => {
    if (last === undefined || last.done === printedDone) return;
    printedDone = last.done;
    const percent = total > 0 ? Math.floor((100 * last.done) / total) : 100;
    const time =
      last.done >= total
        ? `in ${formatDuration((performance.now() - startedAt) / 1000)}`
        : `${timeLeft(startedAt, last.done, total, from)} left`;
    stream.write(
      `${task}: ${last.done}/${total} (${percent}%), ${time}${last.detail === '' ? '' : `, ${last.detail}`}\n`,
    );
  };
  return {
    update(done, detail = '') {
      last = { done, detail };
      const now = performance.now();
      if (now - printedAt < intervalMs) return;
      printedAt = now;
      print();
    },
    stop() {
      print();
      last = undefined;
    },
  };
}
