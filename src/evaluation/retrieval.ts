/**
 * The retrieval protocol: who asks, who answers, and the metrics at each level. Query against gallery and
 * leave-one-out are one thing: each row has a role, and a row that is both never finds itself.
 */
import { DataError, ShapeError, type StartProgress } from '../util/index.js';
import type { AttributeSet } from './attribute-agreement.js';
import { type GradedQueryMetrics, type GradedSummary, summariseGraded } from './graded.js';
import { rank } from './rank.js';
import { checkRows, encodeLabels, type Labels, type QueryMetrics } from './ranking.js';
import type { Embeddings, SimilarityBlock } from './similarity.js';

/** What a row does: `both` asks, and answers others (leave-one-out when every row is `both`). */
export type Role = 'query' | 'gallery' | 'both';

export interface RetrievalOptions {
  /** [N, D], row-major, rows of unit length. */
  embeddings: Embeddings;
  /** D. */
  dimension: number;
  /**
   * Labels [N] by the level's name, fine to coarse, e.g. `{ item_id, subgroup, group }`. Relevant at a level means
   * the same label there; an unknown label ('' or −1) is never relevant and such a row is not a query at that level.
   */
  levels: Readonly<Record<string, Labels>>;
  /** [N]; default: every row is `both`. */
  roles?: readonly Role[] | undefined;
  /** [N], who made the picture. Needed for `crossSource` unless `sourceGroup` is given. */
  source?: readonly (string | undefined)[] | undefined;
  /** [N], sources that are one design; default: the source itself. */
  sourceGroup?: readonly (string | undefined)[] | undefined;
  /** Leaves pictures of the query's own source group out of its gallery. Default false. */
  crossSource?: boolean | undefined;
  /** The K of Recall@K. Default [1, 5, 10]. */
  recallAt?: readonly number[] | undefined;
  /** Also returns H-AP, ASI and nDCG of the whole rankings. Default false. */
  graded?: boolean | undefined;
  /** [N], for graded metrics: the ground truth that nDCG and Spearman of attributes are against. */
  attributes?: readonly AttributeSet[] | undefined;
  /** [N], for `attributes`: pictures of one item do not judge each other. Default: the finest level. */
  items?: Labels | undefined;
  /** [N], attributes that are known although no value of them is in `attributes`. */
  knownAttributes?: readonly Readonly<Record<string, boolean>>[] | undefined;
  /** Also returns the metrics of single queries, e.g. for `bootstrapMean`. Default false. */
  perQuery?: boolean | undefined;
  /**
   * Dot products. Default: a plain loop in float64, and above `LARGE_RANKING` products onnxruntime in float32 on several
   * threads.
   */
  similarity?: SimilarityBlock | undefined;
  /** Threads for what is large. Default: all cores. */
  threads?: number | undefined;
  /** Similarities closer than this are ties. Default 1e-12 in float64, otherwise 1e-6. */
  tieTolerance?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

/** Means over the queries that have something relevant at the level; all in [0, 1], and 0 when there is no query. */
export interface LevelMetrics {
  /** Share of queries with a relevant picture among the first K, by K. */
  recall: Record<number, number>;
  mapAtR: number;
  rPrecision: number;
  /** Mean average precision over the whole ranking. */
  map: number;
  /** Queries that the means are over. */
  queries: number;
  /** Queries without a known label or with nothing relevant in their gallery. */
  skipped: number;
}

/** Why queries are not judged, each counted once. */
export interface SkipReasons {
  /** Its own label is unknown. */
  unknownLabel: number;
  /** With `crossSource`: what is relevant is all of the query's own source. */
  onlyOwnSource: number;
  /** No other picture of the gallery has its label (singletons). */
  nothingRelevant: number;
}

export interface RetrievalResult {
  /** In the order of the options' levels. */
  levels: Record<string, LevelMetrics>;
  /** Rows that asked. */
  queries: number;
  /** Rows that asked but had nothing relevant at any level. */
  skipped: number;
  /** Why, `skipped` in all. Where the reasons of the levels differ, the last of `unknownLabel`, `nothingRelevant`,
   * `onlyOwnSource` counts. */
  skippedBecause: SkipReasons;
  /** The same for each level. */
  levelsSkippedBecause: Record<string, SkipReasons>;
  /** With `graded`. */
  graded?: GradedSummary;
  /** With `perQuery`: the rows that asked, and each level's metrics in that order. */
  perQuery?: { rows: Int32Array; levels: Record<string, QueryMetrics>; graded?: GradedQueryMetrics };
}

/**
 * Recall@K, MAP@R, R-Precision and mAP at each level, with pessimistic ties.
 * @throws ShapeError where lengths disagree; DataError for NaN embeddings, or with `crossSource` for a row without a
 * source.
 */
export async function evaluateRetrieval(options: RetrievalOptions): Promise<RetrievalResult> {
  const rows = checkRows('evaluateRetrieval', options.embeddings, options.dimension);
  const recallAt = options.recallAt ?? [1, 5, 10];
  for (const k of recallAt) {
    if (!Number.isInteger(k) || k < 1) {
      throw new ShapeError(`evaluateRetrieval: recallAt must hold whole numbers from 1, got ${k}.`);
    }
  }
  const { roles } = options;
  if (roles !== undefined && roles.length !== rows) {
    throw new ShapeError(
      `evaluateRetrieval: roles must have shape [N] = [${rows}], got [${roles.length}]. Give one role for each row.`,
    );
  }
  const queryRows = rowsWhere(rows, (row) => roles?.[row] !== 'gallery');
  const galleryRows = rowsWhere(rows, (row) => roles?.[row] !== 'query');
  const { metrics, graded } = await rank({
    embeddings: options.embeddings,
    dimension: options.dimension,
    levels: options.levels,
    queryRows,
    galleryRows,
    excludeGroups: options.crossSource
      ? sourceGroups('evaluateRetrieval', rows, options.source, options.sourceGroup)
      : undefined,
    graded: options.graded,
    attributes: options.attributes,
    knownAttributes: options.knownAttributes,
    items: options.items,
    tieTolerance: options.tieTolerance,
    similarity: options.similarity,
    threads: options.threads,
    signal: options.signal,
    progress: options.progress,
  });
  const reasons = skipReasons(metrics, rows, queryRows, galleryRows, options);
  const result: RetrievalResult = {
    levels: Object.fromEntries(
      Object.entries(metrics).map(([name, queries]) => [name, summariseQueries(queries, recallAt)]),
    ),
    queries: queryRows.length,
    skipped: Object.values(reasons.everywhere).reduce((sum, count) => sum + count, 0),
    skippedBecause: reasons.everywhere,
    levelsSkippedBecause: reasons.byLevel,
  };
  if (graded !== undefined) result.graded = summariseGraded(graded, options.attributes !== undefined);
  if (options.perQuery) {
    result.perQuery = {
      rows: queryRows,
      levels: metrics,
      ...(graded === undefined ? {} : { graded }),
    };
  }
  return result;
}

/** Means of one level's query metrics over the queries that count. */
export function summariseQueries(metrics: QueryMetrics, recallAt: readonly number[]): LevelMetrics {
  const asked = metrics.firstRank.length;
  let queries = 0;
  let mapAtR = 0;
  let rPrecision = 0;
  let map = 0;
  const found = recallAt.map(() => 0);
  for (let q = 0; q < asked; q++) {
    const rank = metrics.firstRank[q]!;
    if (Number.isNaN(rank)) continue;
    queries++;
    mapAtR += metrics.mapAtR[q]!;
    rPrecision += metrics.rPrecision[q]!;
    map += metrics.averagePrecision[q]!;
    for (let i = 0; i < recallAt.length; i++) if (rank <= recallAt[i]!) found[i]!++;
  }
  const over = Math.max(1, queries);
  return {
    recall: Object.fromEntries(recallAt.map((k, i) => [k, found[i]! / over])),
    mapAtR: mapAtR / over,
    rPrecision: rPrecision / over,
    map: map / over,
    queries,
    skipped: asked - queries,
  };
}

/**
 * The source group of each row: `sourceGroup` where known, otherwise the source.
 * @throws DataError for a row that has neither: whether a hit is by another source could not be told.
 */
export function sourceGroups(
  where: string,
  rows: number,
  source: readonly (string | undefined)[] | undefined,
  sourceGroup: readonly (string | undefined)[] | undefined,
): string[] {
  return Array.from({ length: rows }, (_, row) => {
    const group = sourceGroup?.[row] || source?.[row];
    if (group) return group;
    throw new DataError(
      `${where}: hits of another source need the source of every row, got none in row ${row}. Fill the column 'source' or evaluate without crossSource.`,
    );
  });
}

// --- internal ---

function rowsWhere(rows: number, isIn: (row: number) => boolean): Int32Array {
  return Int32Array.from(Array.from({ length: rows }, (_, row) => row).filter(isIn));
}

/** By rising claim to be judged: of a query's reasons at several levels the last one counts. */
const REASONS = ['unknownLabel', 'nothingRelevant', 'onlyOwnSource'] as const;

function skipReasons(
  metrics: Record<string, QueryMetrics>,
  rows: number,
  queryRows: Int32Array,
  galleryRows: Int32Array,
  { levels, crossSource }: RetrievalOptions,
): { everywhere: SkipReasons; byLevel: Record<string, SkipReasons> } {
  const none = (): SkipReasons => ({ unknownLabel: 0, onlyOwnSource: 0, nothingRelevant: 0 });
  const everywhere = none();
  const byLevel = Object.fromEntries(Object.keys(levels).map((name) => [name, none()]));
  const prepared = Object.entries(levels).map(([name, labels]) => {
    const codes = encodeLabels(`evaluateRetrieval: level '${name}'`, labels, rows);
    const holders = new Map<number, number>();
    for (const row of galleryRows) holders.set(codes[row]!, (holders.get(codes[row]!) ?? 0) + 1);
    return { reasons: byLevel[name]!, codes, holders, firstRank: metrics[name]!.firstRank };
  });
  const isInGallery = new Uint8Array(rows);
  for (const row of galleryRows) isInGallery[row] = 1;
  queryRows.forEach((row, q) => {
    let strongest = -1;
    for (const { reasons, codes, holders, firstRank } of prepared) {
      if (!Number.isNaN(firstRank[q])) {
        strongest = REASONS.length;
        continue;
      }
      const code = codes[row]!;
      const others = (holders.get(code) ?? 0) - isInGallery[row]!;
      const reason = code < 0 ? 0 : others > 0 && crossSource ? 2 : 1;
      reasons[REASONS[reason]!]++;
      strongest = Math.max(strongest, reason);
    }
    if (strongest >= 0 && strongest < REASONS.length) everywhere[REASONS[strongest]!]++;
  });
  return { everywhere, byLevel };
}
