/**
 * What is said of one method in `metrics.json`, in tables and in the report: one summary of retrieval and pairs.
 */
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
export async function summariseMethod(options: Omit<RetrievalOptions, 'perQuery'>): Promise<MethodMetrics> {
  const [first] = Object.entries(options.levels);
  if (first === undefined) throw new RangeError('summariseMethod: levels must not be empty, got {}.');
  const rows = options.embeddings.length / options.dimension;
  const crossSource = options.crossSource ?? hasSeveralSources(rows, options);
  const recallAt = [...new Set([1, ...(options.recallAt ?? [1, 5, 10])])].sort((a, b) => a - b);
  const { levels } = await evaluateRetrieval({ ...options, crossSource, recallAt, perQuery: false });
  const [finest, items] = first;
  const source = options.source ?? options.sourceGroup;
  const pairs =
    crossSource && source !== undefined && new Set(source).size <= MAXIMUM_SOURCES
      ? await evaluatePairs({ ...options, items, source })
      : undefined;
  const byLevel = Object.fromEntries(Object.entries(levels).map(([name, level]) => [name, flatten(level)]));
  return {
    recallAt1: pairs?.meanRecallAt1 ?? byLevel[finest]!.recallAt1,
    mapAtR: byLevel[finest]!.mapAtR,
    byLevel,
    pairs: pairs?.pairs ?? {},
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
