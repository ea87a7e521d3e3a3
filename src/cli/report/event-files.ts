/** TensorBoard event files of runs, a folder each, so that TensorBoard shows them side by side. */
import { stat } from 'node:fs/promises';
import { join } from 'node:path';
import { encodeEvents, LOG_FILE, scalarsOf } from '../../training/index.js';
import { DataError, writeFileAtomic } from '../../util/index.js';
import type { RunFolder } from './run-folder.js';

/**
 * Writes `<folder>/<label>/events.out.tfevents.….semblance`; written again, the same run gives the same file.
 * @returns the file.
 * @throws DataError when the run has no log.
 */
export async function writeEventFile(folder: string, label: string, run: RunFolder): Promise<string> {
  if (run.log.length === 0) {
    throw new DataError(
      `has no log to make event files of: training/${LOG_FILE} must have entries, got none`,
      {
        file: run.directory,
      },
    );
  }
  const { mtimeMs } = await stat(join(run.directory, 'training', LOG_FILE));
  const seconds = (run.record === undefined ? mtimeMs : Date.parse(run.record.finishedAt)) / 1000;
  const file = join(folder, label, `events.out.tfevents.${Math.floor(seconds)}.semblance`);
  await writeFileAtomic(file, encodeEvents(scalarsOf(run.log), seconds));
  return file;
}
