/**
 * Queries with their neighbours: at the three granularities of the blended search, and by the embedding alone, run beside
 * run, with filters for what went wrong.
 */
import type { Bundle } from '../../bundle/index.js';
import type { ManifestRow } from '../../data/index.js';
import {
  type Neighbour,
  nearestNeighbours,
  type ReportGrid,
  type ReportQuery,
  worstQueries,
} from '../../evaluation/index.js';
import {
  defaultLevelWeights,
  GRANULARITY_NAMES,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../../granularity/index.js';
import { Random } from '../../util/index.js';
import { FINEST, type JudgedRun } from './judged-run.js';
import type { Thumbnails } from './pictures.js';

export interface GridOptions {
  readonly seed: number;
  /** What agreeing at a level is called, e.g. `same look`. */
  readonly labels: Readonly<Record<string, string>>;
  /** Queries. Default 40 beside one another, 8 at several granularities. */
  readonly count?: number;
}

/** Neighbours that are shown of a query. */
const HITS = 8;

/**
 * The neighbours of some queries by each run's embedding. Half of the queries are drawn, the rest are among those that
 * go wrong in the first run or that runs disagree on.
 */
export async function neighbourGrid(
  runs: readonly JudgedRun[],
  thumbnails: Thumbnails,
  { seed, labels, count = 40 }: GridOptions,
): Promise<ReportGrid> {
  const [first] = runs as [JudgedRun];
  const { rows } = first.embedded;
  const chosen = chooseQueries(runs, Random.from(seed, NEIGHBOURS_STREAM), count);
  const queryRows = Int32Array.from(chosen, (query) => first.queries.rows[query]!);
  const found = runs.map(({ embedded: { embeddings, dimension }, gallery }) =>
    nearestNeighbours({
      embeddings,
      dimension,
      queryRows,
      galleryRows: gallery.galleryRows,
      excludeGroups: gallery.excludeGroups,
      k: HITS,
    }),
  );
  const levels = first.schema.levels.filter((level) => first.firstRanks[level] !== undefined);
  const queries = await Promise.all(
    chosen.map(async (query, i): Promise<ReportQuery> => {
      const row = queryRows[i]!;
      const rank = first.firstRanks[FINEST]?.[query] ?? Number.NaN;
      const filters = [
        ...levels.filter((level) => isWrong(first, level, query)).map((level) => `wrong ${level}`),
        ...(doDisagree(runs, query) ? ['disagree'] : []),
      ];
      const missed =
        rank > 1 ? mostSimilar(first, row, (other) => first.gallery.levels[FINEST]![other]!) : undefined;
      return {
        picture: await thumbnails.of(rows[row] as ManifestRow),
        note: Number.isNaN(rank) ? 'nothing to find' : `first right picture at rank ${rank}`,
        ...(missed === undefined ? {} : { expected: await thumbnails.of(rows[missed] as ManifestRow) }),
        filters,
        rows: await Promise.all(
          runs.map(async (run, r) => ({
            label: runs.length === 1 ? 'nearest by the embedding' : run.label,
            hits: await hitsOf(run, row, FINEST, found[r]![i]!, thumbnails, labels),
          })),
        ),
      };
    }),
  );
  return {
    id: 'neighbours',
    title: runs.length === 1 ? 'What lies nearest' : 'What lies nearest, run by run',
    intro: [
      `${chosen.length} of ${first.queries.rows.length} queries with their ${HITS} nearest pictures by the embedding alone; right is the same item. About half of the queries were drawn at random, the others are among those that go wrong: the share of failures here is not that of all queries.`,
    ],
    filters: [
      ...levels.map((level) => ({
        key: `wrong ${level}`,
        label: `nearest is not ${labels[level] ?? level}`,
      })),
      ...(runs.length > 1 ? [{ key: 'disagree', label: 'runs disagree' }] : []),
    ],
    queries,
  };
}

/**
 * Some queries asked at the granularities of the blended search.
 * @returns nothing for a model that knows no levels.
 */
export async function granularityGrid(
  run: JudgedRun,
  { card }: Bundle,
  thumbnails: Thumbnails,
  { seed, labels, count = 8 }: GridOptions,
): Promise<ReportGrid | undefined> {
  const { embedded, gallery, queries } = run;
  const { rows, embeddings, attributes, dimension } = embedded;
  if (card.schema.levels.length < 2) return undefined;
  const layout = vectorLayout(card.schema, dimension);
  const stored = storedVectors(card.schema, dimension, { embeddings, attributes });
  const levelWeights = card.levelWeights ?? defaultLevelWeights(card.schema, layout);
  const queryRows = Int32Array.from(
    Random.from(seed, GRANULARITY_STREAM)
      .shuffled(queries.rows)
      .slice(0, count)
      .sort((a, b) => a - b),
  );
  const { levels } = card.schema;
  const asked = Object.values(GRANULARITY_NAMES).map((granularity, i) => {
    const weights = weightsAt(levelWeights, granularity);
    // The dot product of vectors weighted by the roots is the weighted sum of the parts' dot products.
    const weighted = stored.slice();
    layout.parts.forEach(({ offset, size }, part) => {
      const root = Math.sqrt(weights[part] ?? 0);
      for (let row = 0; row < rows.length; row++) {
        const start = row * layout.size + offset;
        for (let d = start; d < start + size; d++) weighted[d] = (weighted[d] as number) * root;
      }
    });
    const level = levels[Math.min(i, levels.length - 1)] as string;
    const neighbours = nearestNeighbours({
      embeddings: weighted,
      dimension: layout.size,
      queryRows,
      galleryRows: gallery.galleryRows,
      excludeGroups: gallery.excludeGroups,
      k: HITS,
    });
    return { label: labels[level] ?? level, level, neighbours };
  });
  return {
    id: 'queries',
    title: 'What a search finds',
    intro: [
      'Each query is asked at several granularities; the same index answers all, only the weights of the vector’s parts differ.',
    ],
    queries: await Promise.all(
      Array.from(queryRows, async (row, i) => ({
        picture: await thumbnails.of(rows[row] as ManifestRow),
        rows: await Promise.all(
          asked.map(async ({ label, level, neighbours }) => ({
            label,
            hits: await hitsOf(run, row, level, neighbours[i]!, thumbnails, labels),
          })),
        ),
      })),
    ),
  };
}

// --- internal ---

const GRANULARITY_STREAM = 31;
const NEIGHBOURS_STREAM = 32;

function isWrong({ firstRanks }: JudgedRun, level: string, query: number): boolean {
  return (firstRanks[level]?.[query] ?? Number.NaN) > 1;
}

/** Whether one run finds the item at the first place and another does not. */
function doDisagree(runs: readonly JudgedRun[], query: number): boolean {
  return runs.some((run) => isWrong(run, FINEST, query) !== isWrong(runs[0]!, FINEST, query));
}

/**
 * Places in the queries, each once: half drawn, then by turns of those that failed worst, those that runs disagree on and
 * failures drawn.
 */
function chooseQueries(runs: readonly JudgedRun[], random: Random, count: number): number[] {
  const [{ queries, firstRanks }] = runs as [JudgedRun];
  const ranks = firstRanks[FINEST] ?? new Float64Array();
  const shuffled = random.shuffled(
    queries.rows.map((_, query) => query).filter((query) => !Number.isNaN(ranks[query])),
  );
  const pools = [
    worstQueries(ranks, count).map(({ query }) => query),
    shuffled.filter((query) => doDisagree(runs, query)),
    shuffled.filter((query) => ranks[query]! > 1),
  ];
  const chosen = new Set(shuffled.slice(0, Math.ceil(count / 2)));
  for (let turn = 0; turn < count; turn++)
    for (const pool of pools) if (chosen.size < count && turn < pool.length) chosen.add(pool[turn]!);
  for (const query of shuffled) if (chosen.size < count) chosen.add(query);
  return [...chosen];
}

/** The most similar row of the gallery that has the query's label. */
function mostSimilar(
  { embedded: { embeddings, dimension }, gallery }: JudgedRun,
  query: number,
  labelOf: (row: number) => string,
): number | undefined {
  const { galleryRows, excludeGroups } = gallery;
  const candidates = galleryRows.filter(
    (row) =>
      row !== query &&
      labelOf(row) === labelOf(query) &&
      (excludeGroups === undefined || excludeGroups[row] !== excludeGroups[query]),
  );
  if (candidates.length === 0) return undefined;
  const [nearest] = nearestNeighbours({
    embeddings,
    dimension,
    queryRows: Int32Array.of(query),
    galleryRows: candidates,
    k: 1,
  });
  return nearest?.[0]?.row;
}

function hitsOf(
  { embedded: { rows }, gallery: { levels }, schema }: JudgedRun,
  query: number,
  level: string,
  neighbours: readonly Neighbour[],
  thumbnails: Thumbnails,
  labels: Readonly<Record<string, string>>,
) {
  const agrees = (name: string, row: number) =>
    levels[name]?.[row] !== '' && levels[name]?.[row] === levels[name]?.[query];
  return Promise.all(
    neighbours.map(async ({ row }) => {
      const isRight = agrees(level, row);
      const common = isRight ? undefined : schema.levels.find((name) => agrees(name, row));
      return {
        picture: await thumbnails.of(rows[row] as ManifestRow),
        isRight,
        ...(common === undefined ? {} : { common: labels[common] ?? common }),
      };
    }),
  );
}
