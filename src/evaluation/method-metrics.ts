/**
 * What is said of one method in `metrics.json`, in tables and in the report: one summary of retrieval and pairs.
 */
import type { GradedSummary } from './graded.js';
import { recallOfQueries } from './intervals.js';
import { evaluatePairs, MAXIMUM_SOURCES, type PairMetrics } from './pairs.js';
import { evaluateRetrieval, type LevelMetrics, type RetrievalOptions } from './retrieval.js';

/** `recallAt1`, `recallAt5`, …: one key for each K that was asked for. */
export type RecallKey = `recallAt${number}`;

/** One level's row; `queries` and `skipped` say what the means are over. */
export type LevelSummary = Record<RecallKey, number> & {
  recallAt1: number;
  mapAtR: number;
  rPrecision: number;
  map: number;
  queries: number;
  skipped: number;
};

/** The figures of one method, as `runs/demo/metrics.json` holds them; plain JSON. */
export interface MethodMetrics {
  /** Mean over ordered pairs of sources where there are any, otherwise of the finest level. */
  recallAt1: number;
  /** At the finest level; where there are sources, hits must be by another source. */
  mapAtR: number;
  /** H-AP over all levels, with the same gallery as `mapAtR`, as are the following. */
  hap: number;
  /** ASI over all levels. */
  asi: number;
  /** nDCG of the whole ranking, gain `2^level − 1`. */
  ndcg: number;
  /** The same of the first 10. */
  ndcgAt10: number;
  /** Against the ground truth's attributes, over pictures of other items; absent where no attributes are given. */
  attributes?: NonNullable<GradedSummary['attributes']>;
  /** By level, fine to coarse, with the same gallery as `mapAtR`. */
  byLevel: Record<string, LevelSummary>;
  /** By `a->b`; empty without sources. */
  pairs: Record<string, PairMetrics>;
}

/**
 * Judges the embeddings of one method. Where every row has a source and these form 2 or more groups, hits of the
 * query's own source group do not count, and with at most `MAXIMUM_SOURCES` sources `recallAt1` is the mean over
 * ordered pairs of sources (whatever the roles). Otherwise it is plain retrieval.
 * @param options as for `evaluateRetrieval`; its first level must be the item. `recallAt` defaults to [1, 5, 10] and
 * always holds 1.
 */
export async function summariseMethod(options: MethodOptions): Promise<MethodMetrics> {
  return (await judgeMethod(options)).figures;
}

/**
 * Figures of single queries, one for each entry of `rows`; NaN where a query is not judged. Their means are not always
 * those of `MethodMetrics`: there each pair of sources counts the same, here each query.
 */
export interface MethodQueries {
  /** Rows that asked. */
  rows: number[];
  /** Where there are sources, the mean over the other sources that have the query's item. */
  recallAt1: Float32Array;
  mapAtR: Float32Array;
  hap: Float32Array;
  ndcgAt10: Float32Array;
  attributeNdcgAt10: Float32Array;
  attributeSpearman: Float32Array;
}

export type MethodOptions = Omit<RetrievalOptions, 'perQuery' | 'graded'>;

/** `summariseMethod` together with the figures of each query, e.g. for `bootstrapDifference`. */
export async function judgeMethod(
  options: MethodOptions,
): Promise<{ figures: MethodMetrics; queries: MethodQueries }> {
  const [first] = Object.entries(options.levels);
  if (first === undefined) throw new RangeError('summariseMethod: levels must not be empty, got {}.');
  const rows = options.embeddings.length / options.dimension;
  const crossSource = options.crossSource ?? hasSeveralSources(rows, options);
  const recallAt = [...new Set([1, ...(options.recallAt ?? [1, 5, 10])])].sort((a, b) => a - b);
  const { levels, graded, perQuery } = await evaluateRetrieval({
    ...options,
    crossSource,
    recallAt,
    graded: true,
    perQuery: true,
  });
  const [finest, items] = first;
  const source = options.source ?? options.sourceGroup;
  const pairs =
    crossSource && source !== undefined && new Set(source).size <= MAXIMUM_SOURCES
      ? await evaluatePairs({ ...options, items, source })
      : undefined;
  const byLevel = Object.fromEntries(Object.entries(levels).map(([name, level]) => [name, flatten(level)]));
  const { queries: _, ...gradedFigures } = graded!;
  const asked = perQuery!;
  const ofItem = asked.levels[finest]!;
  return {
    figures: {
      recallAt1: pairs?.meanRecallAt1 ?? byLevel[finest]!.recallAt1,
      mapAtR: byLevel[finest]!.mapAtR,
      ...gradedFigures,
      byLevel,
      pairs: pairs?.pairs ?? {},
    },
    queries: {
      rows: Array.from(asked.rows),
      recallAt1:
        pairs === undefined
          ? Float32Array.from(recallOfQueries(ofItem.firstRank, 1))
          : Float32Array.from(asked.rows, (row) => pairs.recallAt1OfRows[row]!),
      mapAtR: Float32Array.from(ofItem.mapAtR),
      hap: Float32Array.from(asked.graded!.hap),
      ndcgAt10: Float32Array.from(asked.graded!.ndcgAt10),
      attributeNdcgAt10: Float32Array.from(asked.graded!.attributeNdcgAt10),
      attributeSpearman: Float32Array.from(asked.graded!.attributeSpearman),
    },
  };
}

// --- internal ---

function hasSeveralSources(rows: number, { source, sourceGroup }: Partial<RetrievalOptions>): boolean {
  const groups = new Set<string>();
  for (let row = 0; row < rows; row++) {
    const group = sourceGroup?.[row] || source?.[row];
    if (!group) return false;
    groups.add(group);
  }
  return groups.size > 1;
}

function flatten({ recall, mapAtR, rPrecision, map, queries, skipped }: LevelMetrics): LevelSummary {
  const recalls = Object.fromEntries(Object.entries(recall).map(([k, value]) => [`recallAt${k}`, value]));
  return {
    ...(recalls as Record<RecallKey, number>),
    recallAt1: recall[1]!,
    mapAtR,
    rPrecision,
    map,
    queries,
    skipped,
  };
}
