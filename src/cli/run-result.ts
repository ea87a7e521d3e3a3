/** `result.json` and `queries.json` of a training run: what a comparison is made of. */
import { join } from 'node:path';
import type { ManifestRow } from '../data/index.js';
import { QUERY_FIGURES, RESULT_FORMAT, type RunQueries, type RunResult } from '../evaluation/index.js';
import type { Schema } from '../granularity/index.js';
import { sha256OfFile, writeFileAtomic, writeJson } from '../util/index.js';
import { type EmbedRowsOptions, embedRows, judgePerQuery } from './judging.js';
import type { TrainingRun } from './training-run.js';
import { versions } from './versions.js';

/** Names of the files in a run's folder. */
export const RESULT_FILE = 'result.json';
export const QUERIES_FILE = 'queries.json';

export interface JudgedRun {
  /** Gets the two files. */
  readonly directory: string;
  readonly run: TrainingRun;
  readonly schema: Schema;
  /** Those that are judged. */
  readonly rows: readonly ManifestRow[];
  /** File of the manifest. */
  readonly manifest: string;
}

/**
 * Judges a trained model on rows and writes both files, the result last: where it is, the run is whole.
 * @returns what `result.json` holds.
 */
export async function writeRunResult(
  { directory, run, schema, rows, manifest }: JudgedRun,
  { split, seed, startedAt }: { split: string; seed: number; startedAt: string },
  options: EmbedRowsOptions,
): Promise<RunResult> {
  const embedded = await embedRows(run.modelDirectory, rows, options);
  const perQuery = await judgePerQuery(embedded, schema, options.signal);
  const { semblance, node, 'onnxruntime-node': onnxruntime } = versions();
  const result: RunResult = {
    format: RESULT_FORMAT,
    seed,
    split,
    figures: perQuery.figures,
    ...(run.validation === undefined ? {} : { validation: run.validation }),
    cost: run.cost,
    provenance: {
      version: semblance ?? '?',
      node: node ?? '?',
      onnxruntime: onnxruntime ?? '?',
      dataHash: await sha256OfFile(manifest),
      startedAt,
    },
  };
  const asked = perQuery.rows.map((row) => embedded.rows[row] as ManifestRow);
  const queries: RunQueries = {
    paths: asked.map(({ path }) => path),
    itemIds: asked.map(({ itemId }) => itemId),
    figures: Object.fromEntries(
      Object.entries(QUERY_FIGURES).map(([figure, name]) => [
        figure,
        Array.from(perQuery[name], (value) => (Number.isNaN(value) ? null : value)),
      ]),
    ),
  };
  await writeFileAtomic(join(directory, QUERIES_FILE), `${JSON.stringify(queries)}\n`);
  await writeJson(join(directory, RESULT_FILE), result);
  return result;
}
