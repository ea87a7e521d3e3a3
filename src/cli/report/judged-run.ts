/** One model judged for the report: its vectors, its figures with intervals, and how each query did at each level. */
import type { Manifest } from '../../data/index.js';
import {
  type BootstrapInterval,
  bootstrapMean,
  evaluateRetrieval,
  type MethodMetrics,
  type MethodQueries,
  type ReportInterval,
  recallOfQueries,
} from '../../evaluation/index.js';
import { ITEM_LEVEL, type Schema } from '../../granularity/index.js';
import { Random, type StartProgress } from '../../util/index.js';
import { type EmbeddedRows, embedRows, judgedSchema, judgePerQuery, retrievalLabels } from '../judging.js';
import { rowsOfSplit, type SplitChoice } from '../splits.js';
import type { RunFolder } from './run-folder.js';

/** The rows of the judged pictures, and what decides who may find whom. */
export interface Gallery {
  /** Labels [N] by level, '' for unknown. */
  readonly levels: Readonly<Record<string, readonly string[]>>;
  /** Rows that answer. */
  readonly galleryRows: Int32Array;
  /** [N] where hits must be by another source group. */
  readonly excludeGroups: readonly string[] | undefined;
}

export interface JudgedRun {
  readonly label: string;
  readonly embedded: EmbeddedRows;
  readonly schema: Schema;
  readonly gallery: Gallery;
  readonly figures: MethodMetrics;
  /** Of each query, in the order of `queries.rows`. */
  readonly queries: MethodQueries;
  /** By level: the rank of the first right picture of each query, NaN where there is nothing to find. */
  readonly firstRanks: Readonly<Record<string, Float64Array>>;
  /** 95 % over items, by figure as in `ReportMethod.intervals`. */
  readonly intervals: Readonly<Record<string, ReportInterval>>;
}

/** Judges vectors; the bootstrap draws whole items again, since queries of one item succeed and fail together. */
export async function judgeRun(
  label: string,
  embedded: EmbeddedRows,
  schema: Schema,
  signal?: AbortSignal,
): Promise<JudgedRun> {
  const aborting = signal === undefined ? {} : { signal };
  const { figures, ...queries } = await judgePerQuery(embedded, schema, signal);
  const gallery = galleryOf(embedded, schema);
  const { perQuery } = await evaluateRetrieval({
    embeddings: embedded.embeddings,
    dimension: embedded.dimension,
    ...retrievalLabels(embedded.rows, schema),
    crossSource: gallery.excludeGroups !== undefined,
    perQuery: true,
    ...aborting,
  });
  if (perQuery === undefined) throw new Error('internal: evaluateRetrieval left out the queries');
  const clusters = queries.rows.map((row) => embedded.rows[row]?.itemId ?? '');
  const intervals: Record<string, ReportInterval> = {};
  const add = (key: string, figure: number | undefined, values: ArrayLike<number>) => {
    const interval = intervalOf(figure, values, clusters);
    if (interval !== undefined) intervals[key] = interval;
  };
  add('recallAt1', figures.recallAt1, queries.recallAt1);
  add('mapAtR', figures.mapAtR, queries.mapAtR);
  add('hap', figures.hap, queries.hap);
  add('ndcgAt10', figures.ndcgAt10, queries.ndcgAt10);
  add('attributeNdcgAt10', figures.attributes?.ndcgAt10, queries.attributeNdcgAt10);
  add('attributeSpearman', figures.attributes?.spearman, queries.attributeSpearman);
  for (const [level, { firstRank, mapAtR }] of Object.entries(perQuery.levels)) {
    add(`${level}.recallAt1`, figures.byLevel[level]?.recallAt1, recallOfQueries(firstRank, 1));
    add(`${level}.recallAt10`, figures.byLevel[level]?.recallAt10, recallOfQueries(firstRank, 10));
    add(`${level}.mapAtR`, figures.byLevel[level]?.mapAtR, mapAtR);
  }
  const firstRanks = Object.fromEntries(
    Object.entries(perQuery.levels).map(([level, { firstRank }]) => [level, firstRank]),
  );
  return { label, embedded, schema, gallery, figures, queries, firstRanks, intervals };
}

export interface JudgeFoldersOptions {
  /** In the order of the folders. */
  readonly labels: readonly string[];
  readonly manifest: Manifest;
  readonly split: SplitChoice;
  readonly threads?: number | undefined;
  readonly progress: StartProgress;
  /** One line of news. */
  readonly report: (line: string) => void;
  readonly signal?: AbortSignal | undefined;
}

/**
 * Embeds and judges the models of runs on the same pictures. One schema judges all: that of the model that knows most
 * levels, or the data's where none knows any.
 * @throws DataError when the split is empty or a model does not fit.
 */
export async function judgeFolders(
  folders: readonly RunFolder[],
  { labels, manifest, split, threads, progress, report, signal }: JudgeFoldersOptions,
): Promise<JudgedRun[]> {
  const rows = rowsOfSplit(manifest.rows, split, manifest.file);
  const knowing = folders.reduce((a, b) =>
    b.bundle.card.schema.levels.length > a.bundle.card.schema.levels.length ? b : a,
  );
  const schema = judgedSchema(knowing.bundle, manifest.rows);
  const runs: JudgedRun[] = [];
  for (const [i, { modelDirectory }] of folders.entries()) {
    const embedded = await embedRows(modelDirectory, rows, {
      ...(threads === undefined ? {} : { threads }),
      progress,
      ...(signal === undefined ? {} : { signal }),
    });
    if (i === 0) for (const problem of embedded.problems) report(`left out: ${problem}`);
    runs.push(await judgeRun(labels[i]!, embedded, schema, signal));
  }
  return runs;
}

/** Random numbers of every bootstrap in the report. */
export function bootstrapRandom(): Random {
  return Random.from(BOOTSTRAP_STREAM);
}

// --- internal ---

const BOOTSTRAP_STREAM = 47;

/**
 * The figure with the spread of its mean over queries. Where the figure weights queries otherwise (pairs of sources count
 * the same, however many queries they have), the spread is laid around the figure.
 */
function intervalOf(
  figure: number | undefined,
  values: ArrayLike<number>,
  clusters: readonly string[],
): ReportInterval | undefined {
  if (figure === undefined || Array.from(values).every(Number.isNaN)) return undefined;
  const { mean, low, high }: BootstrapInterval = bootstrapMean(values, {
    random: bootstrapRandom(),
    clusters,
  });
  return { low: low + figure - mean, high: high + figure - mean };
}

function galleryOf({ rows }: EmbeddedRows, schema: Schema): Gallery {
  const { levels, roles, sourceGroup } = retrievalLabels(rows, schema);
  const groups = sourceGroup as readonly (string | undefined)[];
  const isCrossSource = groups.every((group) => group) && new Set(groups).size > 1;
  return {
    levels: levels as Record<string, string[]>,
    galleryRows: Int32Array.from(rows.flatMap((_, row) => (roles?.[row] === 'query' ? [] : [row]))),
    excludeGroups: isCrossSource ? groups.map((group) => group ?? '') : undefined,
  };
}

/** The name of the finest level of a judged run. */
export const FINEST = ITEM_LEVEL;
