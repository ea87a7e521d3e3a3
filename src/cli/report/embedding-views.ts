/** Views of the embedding itself: recall against the number of dimensions, and the map. */
import type { ManifestRow } from '../../data/index.js';
import {
  dimensionSteps,
  embeddingMap,
  evaluatePairs,
  evaluateRetrieval,
  principalComponents,
  type ReportMap,
  type ReportPlot,
  truncated,
} from '../../evaluation/index.js';
import { Random, type StartProgress } from '../../util/index.js';
import { retrievalLabels } from '../judging.js';
import { FINEST, type JudgedRun } from './judged-run.js';
import { captionOf, pictureMap } from './pictures.js';

export interface ViewOptions {
  readonly seed: number;
  readonly progress: StartProgress;
  readonly signal?: AbortSignal | undefined;
}

/** Pictures of a map at most: more hide one another, and a phone has to draw them. */
const MAP_POINTS = 1500;
/** Beyond this many dimensions the eigenvectors would take minutes. */
const LARGEST_FOR_COMPONENTS = 1024;

/** Recall@1 of the item against the number of dimensions that are kept, as they come and after principal components. */
export async function dimensionPlots(
  runs: readonly JudgedRun[],
  { progress, signal }: ViewOptions,
): Promise<ReportPlot[]> {
  const isAnswerable = runs.every(({ figures }) => Number.isFinite(figures.recallAt1));
  if (!isAnswerable || (runs[0]?.figures.byLevel[FINEST]?.queries ?? 0) === 0) return [];
  const bases = runs.every(({ embedded }) => embedded.dimension <= LARGEST_FOR_COMPONENTS)
    ? (['first', 'principal'] as const)
    : (['first'] as const);
  const total = runs.reduce((sum, { embedded }) => sum + dimensionSteps(embedded.dimension).length, 0);
  const bar = progress('dimensions', total * bases.length);
  let done = 0;
  const plots: ReportPlot[] = [];
  try {
    for (const basis of bases) {
      const curves: ReportPlot['curves'][number][] = [];
      for (const run of runs) {
        const { embeddings, dimension } = run.embedded;
        const turned = basis === 'first' ? embeddings : principalComponents(embeddings, dimension).embeddings;
        const points: [number, number][] = [];
        for (const kept of dimensionSteps(dimension)) {
          signal?.throwIfAborted();
          points.push([kept, await recallAt1(run, truncated(turned, dimension, kept), kept, signal)]);
          bar.update(++done);
        }
        curves.push({ label: run.label, points });
      }
      plots.push({
        title: basis === 'first' ? 'Recall@1 by the first dimensions' : 'Recall@1 by principal components',
        note:
          basis === 'first'
            ? 'The embedding cut off after so many dimensions, and scaled to unit length again.'
            : 'The same after turning it so that the dimensions that vary most over these pictures come first: how many directions it really uses.',
        curves,
        isPercent: true,
        isLogarithmic: true,
        hasPoints: true,
      });
    }
  } finally {
    bar.stop();
  }
  return plots;
}

/** UMAP of each run's embedding, of the same pictures; the first is also drawn with the pictures themselves. */
export async function embeddingMaps(
  runs: readonly JudgedRun[],
  { seed, progress, signal }: ViewOptions,
): Promise<ReportMap[]> {
  const [first] = runs as [JudgedRun];
  const { rows } = first.embedded;
  const chosen = Random.from(seed, SAMPLE_STREAM)
    .shuffled(rows.map((_, row) => row))
    .slice(0, MAP_POINTS)
    .sort((a, b) => a - b);
  if (chosen.length < 3) return [];
  const coarsest = first.schema.levels.at(-1) as string;
  const groups = first.gallery.levels[coarsest] as readonly string[];
  const maps: ReportMap[] = [];
  for (const { label, embedded } of runs) {
    const { embeddings, dimension } = embedded;
    const own = new Float32Array(chosen.length * dimension);
    chosen.forEach((row, i) => {
      own.set(embeddings.subarray(row * dimension, (row + 1) * dimension), i * dimension);
    });
    const places = await embeddingMap(own, dimension, {
      random: Random.from(seed, MAP_STREAM),
      progress,
      signal,
    });
    const pictures = chosen.map((row) => rows[row] as ManifestRow);
    maps.push({
      label,
      points: chosen.map((row, i) => ({
        x: places[2 * i]!,
        y: places[2 * i + 1]!,
        group: coarsest === FINEST ? '' : groups[row] || 'unknown',
        caption: captionOf(rows[row] as ManifestRow),
      })),
      ...(maps.length > 0
        ? {}
        : {
            picture: {
              dataUri: await pictureMap(pictures, places),
              caption: `${label}: the same map, drawn with the pictures`,
            },
          }),
    });
  }
  return maps;
}

// --- internal ---

const SAMPLE_STREAM = 33;
const MAP_STREAM = 34;

/** The figure that stands first in the table, of other vectors. */
async function recallAt1(
  { figures, embedded, schema, gallery }: JudgedRun,
  embeddings: Float32Array,
  dimension: number,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { levels, source, sourceGroup, roles } = retrievalLabels(embedded.rows, schema);
  const items = levels[FINEST] as readonly string[];
  const common = { embeddings, dimension, sourceGroup, signal };
  if (Object.keys(figures.pairs).length > 0) {
    const pairs = await evaluatePairs({
      ...common,
      items,
      source: source as readonly (string | undefined)[],
    });
    return pairs.meanRecallAt1 ?? Number.NaN;
  }
  const result = await evaluateRetrieval({
    ...common,
    levels: { [FINEST]: items },
    source,
    roles,
    crossSource: gallery.excludeGroups !== undefined,
    recallAt: [1],
  });
  return result.levels[FINEST]?.recall[1] ?? Number.NaN;
}
