/**
 * How well a model finds pictures whose pixels were changed to mislead it: attacks on the queries, figures against the clean
 * gallery.
 *
 * The attack lowers `cos(x′, p) − cos(x′, n)`, p and n the query's nearest positive and nearest negative among the clean
 * pictures that may answer it: Recall@1 is lost where the order of these two is. It is white-box and untargeted, the
 * "greatest misranking" of Zhou & Patel, "Enhancing adversarial robustness for deep metric learning", CVPR 2022, in cosines. A
 * shift away from the query's own embedding needs no labels, but has no gradient at the clean picture.
 */
import { decodePixels, readBundle } from '../bundle/index.js';
import type { ManifestRow } from '../data/index.js';
import {
  dotProducts,
  judgeMethod,
  type MethodOptions,
  rankQueries,
  sourceGroups,
} from '../evaluation/index.js';
import { ITEM_LEVEL, type Schema } from '../granularity/index.js';
import { openRetrievalAttack, type PixelNormalization } from '../models/index.js';
import { readModelFile } from '../onnx/index.js';
import { DataError, Random, type StartProgress, silentProgress } from '../util/index.js';
import { type EmbeddedRows, embedRows, retrievalLabels } from './judging.js';

/** `fgsm`: one step of ε. `pgd`: several smaller ones from a random start. */
export const ATTACKS = ['fgsm', 'pgd'] as const;
export type Attack = (typeof ATTACKS)[number];

export interface RobustnessOptions {
  /** Of the split that is judged: queries and gallery. */
  readonly rows: readonly ManifestRow[];
  readonly schema: Schema;
  readonly attacks: readonly Attack[];
  /** In units of the range [0, 1] of pixels. */
  readonly epsilons: readonly number[];
  /** Of `pgd`; a step is 2.5 ε divided by them (Madry et al. 2018). */
  readonly steps: number;
  /** Of the random starts, and of the sample of queries. */
  readonly seed: number;
  /** At most so many queries, drawn by the seed, are attacked and judged. Default: all. */
  readonly queries?: number;
  /** Pictures that are attacked at once. Default 32. */
  readonly batchSize?: number;
  readonly threads?: number;
  readonly progress?: StartProgress;
  readonly signal?: AbortSignal;
}

export interface RobustnessFigures {
  readonly recallAt1: number;
  readonly mapAtR: number;
}

export interface AttackFigures extends RobustnessFigures {
  readonly attack: Attack;
  readonly epsilon: number;
  /** Mean cosine of a query's attacked and clean embedding. */
  readonly cosineToClean: number;
  /** Mean of what the attack lowers, `cos(x′, p) − cos(x′, n)`; below 0 the negative is the nearer one. */
  readonly margin: number;
}

export interface Robustness {
  readonly clean: RobustnessFigures & { readonly margin: number };
  readonly attacked: readonly AttackFigures[];
  /** Queries that were attacked: those that have a positive and a negative. */
  readonly queries: number;
  /** Whether they are a sample, so that the figures are means over them. */
  readonly isSample: boolean;
  readonly problems: readonly string[];
}

/**
 * Attacks a model bundle's queries.
 * @throws DataError when no query has a positive and a negative picture to be found.
 */
export async function measureRobustness(directory: string, options: RobustnessOptions): Promise<Robustness> {
  const { schema, attacks, epsilons, steps, seed, progress = silentProgress, signal } = options;
  const threads = options.threads === undefined ? {} : { threads: options.threads };
  const aborting = signal === undefined ? {} : { signal };
  const bundle = await readBundle(directory);
  const embedded = await embedRows(directory, options.rows, { ...threads, ...aborting, progress });
  const clean = await figuresOf(embedded, embedded.embeddings, schema, signal);

  const targets = await targetsOf(embedded, schema, clean.isByPairs, signal);
  const able = [...targets.keys()];
  if (able.length === 0) {
    throw new DataError(
      'robustness: a query with a positive and a negative to be found is required, got none',
    );
  }
  const isSample = options.queries !== undefined && options.queries < able.length;
  const chosen = isSample
    ? Random.from(seed, SAMPLE_STREAM)
        .shuffled(able)
        .slice(0, options.queries)
        .sort((a, b) => a - b)
    : able;
  const asking = isSample ? new Set(chosen) : undefined;
  const figuresWith = async (queries: Float32Array): Promise<RobustnessFigures> => {
    if (asking === undefined) return (await figuresOf(embedded, queries, schema, signal)).figures;
    // Sources ask each other whatever the roles: there the sample is taken of the figures, elsewhere of who asks.
    if (clean.isByPairs) return (await figuresOf(embedded, queries, schema, signal)).meanOver(asking);
    return (await figuresOf(embedded, queries, schema, signal, asking)).figures;
  };
  const D = embedded.dimension;
  const unit = (row: number) => embedded.embeddings.subarray(row * D, (row + 1) * D);

  const { preprocessing } = bundle;
  const normalization = {
    mean: preprocessing.mean,
    std: preprocessing.std,
  } as unknown as PixelNormalization;
  const batchSize = Math.min(options.batchSize ?? 32, chosen.length);
  const model = await readModelFile(bundle.modelPath);
  const attacker = await openRetrievalAttack(model.graph, { normalization, batchSize, ...threads });
  const ways = attacks.flatMap((attack) => epsilons.map((epsilon) => ({ attack, epsilon })));
  const results = ways.map((way) => ({
    ...way,
    embeddings: embedded.embeddings.slice(),
    margin: 0,
    cosine: 0,
  }));
  const bar = progress('attacking', chosen.length * ways.length);
  let done = 0;
  try {
    for (let start = 0; start < chosen.length; start += batchSize) {
      const rows = chosen.slice(start, start + batchSize);
      const decoded = await Promise.all(
        rows.map((row) => {
          const { path, box } = embedded.rows[row] as ManifestRow;
          return decodePixels({ path, box }, preprocessing);
        }),
      );
      const pixels = joined(decoded);
      const target = joined(rows.map((row) => targets.get(row) as Float32Array));
      for (const result of results) {
        signal?.throwIfAborted();
        const { attack, epsilon } = result;
        const { embeddings, objectives } = await attacker.attack(
          pixels,
          target,
          attack === 'fgsm'
            ? { epsilon, steps: 1, stepSize: epsilon }
            : {
                epsilon,
                steps,
                stepSize: (2.5 * epsilon) / steps,
                random: Random.from(seed, START_STREAM, start),
              },
        );
        rows.forEach((row, i) => {
          const moved = embeddings.subarray(i * D, (i + 1) * D);
          result.embeddings.set(moved, row * D);
          result.margin += objectives[i] as number;
          result.cosine += dot(moved, unit(row));
        });
        done += rows.length;
        bar.update(done, `${attack} ${epsilon.toFixed(4)}`);
      }
    }
  } finally {
    bar.stop();
    await attacker.close();
  }

  const attacked: AttackFigures[] = [];
  for (const { attack, epsilon, embeddings, margin, cosine } of results) {
    attacked.push({
      attack,
      epsilon,
      ...(await figuresWith(embeddings)),
      margin: margin / chosen.length,
      cosineToClean: cosine / chosen.length,
    });
  }
  const cleanMargin = chosen.reduce((sum, row) => sum + dot(targets.get(row) as Float32Array, unit(row)), 0);
  return {
    clean: {
      ...(isSample ? await figuresWith(embedded.embeddings) : clean.figures),
      margin: cleanMargin / chosen.length,
    },
    attacked,
    queries: chosen.length,
    isSample,
    problems: embedded.problems,
  };
}

// --- internal ---

const SAMPLE_STREAM = 31;
const START_STREAM = 32;

interface Judged {
  readonly figures: RobustnessFigures;
  /** Whether sources ask each other, so that every row asks and answers. */
  readonly isByPairs: boolean;
  /** Each query counting the same. */
  meanOver(rows: ReadonlySet<number>): RobustnessFigures;
}

/**
 * The figures where rows ask with other vectors than they answer with. The two halves of a row are its vector as a query and
 * as an answer, and the similarity is of one's first with the other's second half.
 * @param asking the vectors of rows as queries [N, D]
 * @param only rows that ask; default all that may
 */
async function figuresOf(
  { rows: all, embeddings, dimension }: EmbeddedRows,
  asking: Float32Array,
  schema: Schema,
  signal: AbortSignal | undefined,
  only?: ReadonlySet<number>,
): Promise<Judged> {
  const places = [...all.keys()].filter((row) => only?.has(row) !== false || all[row]?.split !== 'query');
  const both = new Float32Array(2 * places.length * dimension);
  for (const [to, row] of places.entries()) {
    const part = (of: Float32Array) => of.subarray(row * dimension, (row + 1) * dimension);
    both.set(part(asking), 2 * to * dimension);
    both.set(part(embeddings), (2 * to + 1) * dimension);
  }
  const labels = retrievalLabels(
    places.map((row) => all[row] as ManifestRow),
    schema,
  );
  const half = (of: Float32Array | Float64Array, offset: number) => {
    const count = of.length / (2 * dimension);
    const part = new Float32Array(count * dimension);
    for (let i = 0; i < count; i++) {
      const from = 2 * i * dimension + offset;
      part.set(of.subarray(from, from + dimension), i * dimension);
    }
    return part;
  };
  const options: MethodOptions = {
    embeddings: both,
    dimension: 2 * dimension,
    ...labels,
    roles: labels.roles?.map((role, place) =>
      only?.has(places[place] as number) === false ? 'gallery' : role,
    ),
    recallAt: [1],
    similarity: (queries, gallery) => dotProducts(half(queries, 0), half(gallery, dimension), dimension),
    tieTolerance: 1e-12, // of dotProducts, which sums in float64
    ...(signal === undefined ? {} : { signal }),
  };
  const { figures, queries } = await judgeMethod(options);
  return {
    figures: { recallAt1: figures.recallAt1, mapAtR: figures.mapAtR },
    isByPairs: Object.keys(figures.pairs).length > 0,
    meanOver: (wanted) => {
      const mean = (values: Float32Array) => {
        const kept = queries.rows.flatMap((row, i) => {
          const value = values[i] as number;
          return wanted.has(row) && !Number.isNaN(value) ? [value] : [];
        });
        return kept.reduce((sum, x) => sum + x, 0) / Math.max(1, kept.length);
      };
      return { recallAt1: mean(queries.recallAt1), mapAtR: mean(queries.mapAtR) };
    },
  };
}

/** By row that asks: its nearest positive less its nearest negative, of those that may answer it. */
async function targetsOf(
  { rows, embeddings, dimension }: EmbeddedRows,
  schema: Schema,
  isByPairs: boolean,
  signal: AbortSignal | undefined,
): Promise<Map<number, Float32Array>> {
  const { levels, roles, source, sourceGroup } = retrievalLabels(rows, schema);
  const items = levels[ITEM_LEVEL] as readonly string[];
  const all = (isIn: (row: number) => boolean) => Int32Array.from([...rows.keys()].filter(isIn));
  const known = (row: number) => Boolean(sourceGroup?.[row] || source?.[row]);
  const groups = rows.every((_, row) => known(row))
    ? sourceGroups('robustness', rows.length, source, sourceGroup)
    : undefined;
  const targets = new Map<number, Float32Array>();
  await rankQueries({
    embeddings,
    dimension,
    levels: { [ITEM_LEVEL]: items },
    queryRows: all((row) => isByPairs || roles?.[row] !== 'gallery'),
    galleryRows: all((row) => isByPairs || roles?.[row] !== 'query'),
    excludeGroups: groups !== undefined && new Set(groups).size > 1 ? groups : undefined,
    visit: ({ query, similarities, offset, galleryRows }) => {
      const nearest = { positive: -1, negative: -1 };
      const highest = { positive: -Infinity, negative: -Infinity };
      galleryRows.forEach((row, g) => {
        const kind = items[row] === items[query] ? 'positive' : 'negative';
        const similarity = similarities[offset + g] as number;
        if (similarity <= highest[kind]) return;
        highest[kind] = similarity;
        nearest[kind] = row;
      });
      if (nearest.positive < 0 || nearest.negative < 0) return;
      const at = (row: number) => embeddings.subarray(row * dimension, (row + 1) * dimension);
      const negative = at(nearest.negative);
      targets.set(
        query,
        at(nearest.positive).map((x, d) => x - (negative[d] as number)),
      );
    },
    ...(signal === undefined ? {} : { signal }),
  });
  return targets;
}

function joined(parts: readonly Float32Array[]): Float32Array {
  const size = parts[0]?.length ?? 0;
  const result = new Float32Array(parts.length * size);
  for (const [i, part] of parts.entries()) result.set(part, i * size);
  return result;
}

function dot(a: Float32Array, b: Float32Array): number {
  let sum = 0;
  for (let d = 0; d < a.length; d++) sum += (a[d] as number) * (b[d] as number);
  return sum;
}
