/** Judges runs on the same pictures and writes their report: what `report` does, and `train` at its end. */
import { sha256OfFile, writeFileAtomic } from '../../util/index.js';
import { type JudgedRun, type JudgeFoldersOptions, judgeFolders } from './judged-run.js';
import { reportData } from './report-data.js';
import { type RunFolder, shownPath } from './run-folder.js';

export interface WriteReportOptions extends JudgeFoldersOptions {
  readonly folders: readonly RunFolder[];
  readonly out: string;
  /** How the report is made again. */
  readonly command: string;
}

/**
 * Writes the report.
 * @returns the judged runs, and the size of the file in bytes.
 * @throws DataError when the split is empty, a model does not fit, or the file cannot be written.
 */
export async function writeReport(
  options: WriteReportOptions,
): Promise<{ runs: JudgedRun[]; bytes: number }> {
  const { folders, labels, manifest, split, out, command, progress, report, signal } = options;
  const hash = await sha256OfFile(manifest.file);
  folders.forEach(({ bundle }, i) => {
    if (bundle.card.dataHash !== undefined && bundle.card.dataHash !== hash)
      report(`${labels[i]} was trained on another manifest than ${shownPath(manifest.file)}`);
  });
  const runs = await judgeFolders(folders, options);
  const data = await reportData({
    title: titleOf(labels),
    runs,
    folders,
    split,
    seed: SEED,
    progress,
    signal,
    command,
  });
  const { renderReport } = await import('../../evaluation/report/index.js');
  const html = renderReport(data);
  await writeFileAtomic(out, html);
  return { runs, bytes: Buffer.byteLength(html) };
}

// --- internal ---

/** Everything random in a report. */
const SEED = 0;

function titleOf(labels: readonly string[]): string {
  if (labels.length === 1) return `Report on ${labels[0]}`;
  if (labels.length > 4) return `Report on ${labels.length} runs`;
  return `Report on ${labels.slice(0, -1).join(', ')} and ${labels.at(-1)}`;
}
