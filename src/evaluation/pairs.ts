/**
 * One source asks, another answers: for each ordered pair of sources (a, b) that are not one design, the pictures by
 * a look for the same item by b. On the emoji this is "one artist's drawing finds another's".
 */
import { DataError, type StartProgress, silentProgress } from '../util/index.js';
import { checkRows, type Labels, rankQueries } from './ranking.js';
import { sourceGroups, summariseQueries } from './retrieval.js';
import type { Embeddings, SimilarityBlock } from './similarity.js';

export interface PairsOptions {
  /** [N, D], row-major, rows of unit length. */
  embeddings: Embeddings;
  /** D. */
  dimension: number;
  /** Item labels [N]; '' or −1 is unknown. */
  items: Labels;
  /** [N], who made the picture. */
  source: readonly (string | undefined)[];
  /** [N], sources that are one design and so make no pair; default: the source itself. */
  sourceGroup?: readonly (string | undefined)[] | undefined;
  similarity?: SimilarityBlock | undefined;
  tieTolerance?: number | undefined;
  signal?: AbortSignal | undefined;
  progress?: StartProgress | undefined;
}

export interface PairMetrics {
  recallAt1: number;
  mapAtR: number;
  /** Pictures by a whose item b has as well. */
  queries: number;
}

export interface PairsResult {
  /** By `a->b`, in order of the names; pairs without a common item are not there. */
  pairs: Record<string, PairMetrics>;
  /** Mean over the pairs, each counting the same; undefined when there is no pair. */
  meanRecallAt1: number | undefined;
  /** Mean over the pairs; undefined when there is no pair. */
  meanMapAtR: number | undefined;
  /** [N], a row's mean of Recall@1 over the other sources that have its item; NaN where none has. */
  recallAt1OfRows: Float32Array;
}

/** At most so many sources: pairs grow with the square, and a shop with a thousand sellers wants another question. */
export const MAXIMUM_SOURCES = 32;

/**
 * Recall@1 and MAP@R for each ordered pair of sources of different source groups, and the mean over the pairs.
 * Queries are a's rows whose item occurs in b; the gallery is all rows of b; roles play no part.
 * @throws DataError for a row without a source, for more than `MAXIMUM_SOURCES` sources, and for NaN embeddings.
 */
export async function evaluatePairs(options: PairsOptions): Promise<PairsResult> {
  const rows = checkRows('evaluatePairs', options.embeddings, options.dimension);
  const groups = sourceGroups('evaluatePairs', rows, options.source, options.sourceGroup);
  const sources = new Map<string, { group: string; rows: number[] }>();
  for (let row = 0; row < rows; row++) {
    const name = options.source[row] || groups[row]!;
    const known = sources.get(name);
    if (known === undefined) sources.set(name, { group: groups[row]!, rows: [row] });
    else if (known.group === groups[row]) known.rows.push(row);
    else {
      throw new DataError(
        `evaluatePairs: a source must be in one source group, got '${name}' in '${known.group}' and, in row ${row}, in '${groups[row]}'. Correct the column 'source_group'.`,
      );
    }
  }
  if (sources.size > MAXIMUM_SOURCES) {
    throw new DataError(
      `evaluatePairs: there must be at most ${MAXIMUM_SOURCES} sources, got ${sources.size}. Use evaluateRetrieval with crossSource.`,
    );
  }
  const names = [...sources.keys()].sort();
  const ordered = names
    .flatMap((a) => names.map((b) => ({ name: `${a}->${b}`, from: sources.get(a)!, to: sources.get(b)! })))
    .filter(({ from, to }) => from.group !== to.group);
  const pairs: Record<string, PairMetrics> = {};
  const found = new Int32Array(rows);
  const asked = new Int32Array(rows);
  const progress = (options.progress ?? silentProgress)('pairs', ordered.length);
  try {
    for (const [done, { name, from, to }] of ordered.entries()) {
      const { item } = await rankQueries({
        ...options,
        levels: { item: options.items },
        queryRows: Int32Array.from(from.rows),
        galleryRows: Int32Array.from(to.rows),
        progress: undefined,
      });
      const { recall, mapAtR, queries } = summariseQueries(item!, [1]);
      if (queries > 0) pairs[name] = { recallAt1: recall[1]!, mapAtR, queries };
      from.rows.forEach((row, place) => {
        const rank = item!.firstRank[place]!;
        if (Number.isNaN(rank)) return;
        asked[row]!++;
        if (rank === 1) found[row]!++;
      });
      progress.update(done + 1);
    }
  } finally {
    progress.stop();
  }
  const all = Object.values(pairs);
  return {
    pairs,
    meanRecallAt1: meanOf(all.map((pair) => pair.recallAt1)),
    meanMapAtR: meanOf(all.map((pair) => pair.mapAtR)),
    recallAt1OfRows: Float32Array.from(found, (count, row) => count / asked[row]!),
  };
}

// --- internal ---

function meanOf(values: readonly number[]): number | undefined {
  if (values.length === 0) return undefined;
  return values.reduce((sum, value) => sum + value, 0) / values.length;
}
