/**
 * The feedback of a training run: read from the catalogue when the run begins and kept in the run's folder, so that a run
 * that goes on later sees what it began with, whatever was said since.
 */
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { CATALOG_FILE } from '../catalog/index.js';
import type { Manifest } from '../data/index.js';
import type { Schema } from '../granularity/index.js';
import type { FeedbackEntry } from '../server/index.js';
import type { TrainingConfiguration } from '../training/index.js';
import { DataError, readJson, sha256, writeJson } from '../util/index.js';
import { describeFeedback, type FeedbackPair, feedbackPairs } from './feedback-pairs.js';

/** Name of the copy, in the folder of checkpoints. */
export const KEPT_FEEDBACK = 'feedback.json';

export interface RunFeedback {
  /** With the hash of what was said; without `feedback` where nothing of it can be trained on. */
  readonly configuration: TrainingConfiguration;
  readonly pairs: readonly FeedbackPair[];
}

/**
 * Reads the feedback that a configuration names.
 * @param directory of checkpoints
 * @throws DataError when there is no catalogue, the hash is another, or the directory is of a run with other feedback
 */
export async function openFeedback(
  configuration: TrainingConfiguration,
  {
    manifest,
    schema,
    directory,
    report,
  }: { manifest: Manifest; schema: Schema; directory: string; report: (line: string) => void },
): Promise<RunFeedback> {
  const { feedback, ...without } = configuration;
  const none = { configuration: without, pairs: [] };
  if (feedback === undefined) return none;
  const source = resolve(feedback.source);
  const { FeedbackLog, FEEDBACK_FILE } = await import('../server/index.js');
  const kept = await readKept(join(directory, KEPT_FEEDBACK), source);
  if (kept === undefined && !existsSync(join(source, CATALOG_FILE))) {
    throw new DataError(
      'there is no catalogue. --feedback takes the folder that `semblance serve` was started with',
      { file: source },
    );
  }
  const present = byKey((await FeedbackLog.open(source)).all());
  const entries = kept ?? present;
  const hash = hashOf(entries);
  if (kept !== undefined && hash !== hashOf(present)) {
    report(
      `feedback: what was said in ${source} since this run began is not in it. Train on it with another --out`,
    );
  }
  if (feedback.sha256 !== undefined && feedback.sha256 !== hash) {
    throw new DataError(
      `feedback.sha256: the feedback must have the hash ${feedback.sha256}, got ${hash}. Leave it out to train on what there is`,
      { file: source },
    );
  }
  const { pairs, counts } = await feedbackPairs(entries, source, manifest, schema, configuration.positives);
  await mkdir(directory, { recursive: true });
  await writeJson(join(directory, KEPT_FEEDBACK), { source, entries });
  if (entries.length === 0) {
    report(
      `feedback: nothing was said yet (${join(source, FEEDBACK_FILE)}); training goes by the labels alone`,
    );
    return none;
  }
  report(`feedback: ${describeFeedback(counts)}`);
  if (counts.positive + counts.negative === 0) {
    report('feedback: no verdict makes a pair to train on; training goes by the labels alone');
    return none;
  }
  return { configuration: { ...configuration, feedback: { ...feedback, sha256: hash } }, pairs };
}

// --- internal ---

/** As this module wrote it. */
const keptFormat = z.object({ source: z.string(), entries: z.array(z.unknown()) });

async function readKept(path: string, source: string): Promise<FeedbackEntry[] | undefined> {
  if (!existsSync(path)) return undefined;
  const kept = keptFormat.safeParse(await readJson(path));
  if (!kept.success)
    throw new DataError('is not the feedback of a run. Delete it to start again', { file: path });
  if (kept.data.source !== source) {
    throw new DataError(
      `must be of a run with the feedback of ${source}, got that of ${kept.data.source}. Choose another --out`,
      { file: path },
    );
  }
  const { feedbackEntry } = await import('../server/index.js');
  const entries = z.array(feedbackEntry).safeParse(kept.data.entries);
  if (!entries.success)
    throw new DataError('is not the feedback of a run. Delete it to start again', { file: path });
  return entries.data;
}

/** In the order of what was said, which decides between verdicts of the same pictures. */
function byKey(entries: readonly FeedbackEntry[]): FeedbackEntry[] {
  return [...entries].sort((a, b) => (a.at === b.at ? (a.key < b.key ? -1 : 1) : a.at < b.at ? -1 : 1));
}

function hashOf(entries: readonly FeedbackEntry[]): string {
  return sha256(JSON.stringify(entries.map(({ key, verdict, level }) => [key, verdict, level])));
}
