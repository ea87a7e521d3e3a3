/**
 * One process a run's folder: two comparisons that share a run, or one that was killed and started again while its runs
 * still save what they had, wait for each other.
 */
import { join } from 'node:path';
import { acquireLock, type ProcessLock } from '../../util/index.js';

export type RunLock = ProcessLock;

/**
 * Locks a folder, when the process at work in it, if any, has ended.
 * @param report told once whom this waits for
 * @throws what the signal was aborted with; DataError when the folder cannot be written
 */
export async function lockRun(
  folder: string,
  { report, signal }: { report: (line: string) => void; signal: AbortSignal },
): Promise<RunLock> {
  const file = join(folder, 'process.lock');
  return await acquireLock(file, {
    signal,
    pollMs: 200,
    onWait: ({ process }) =>
      report(`waiting for process ${process}, which is at work in ${folder} (if it is not, delete ${file})`),
  });
}
