/**
 * How sure a hit is: the probability that a picture and a query agree at each level, from the score that the level's own
 * weights give them, whatever granularity the search used. Fitted on validation pictures by isotonic regression.
 *
 * Nearly all random pairs disagree, and people see the best hits only. So in the fit a pair weighs 1 / its rank for its
 * query (the first ten hits as much as the next ninety), and the odds are corrected by how often any two pictures of the
 * searched catalogue agree (`agreementRates`; Saerens, Latinne & Decaestecker, 2002, equation 2.4).
 *
 * Letters: N pictures, S size of a stored vector, P parts, L levels, fine to coarse.
 */
import { z } from 'zod';
import { DataError } from '../util/index.js';
import { GRANULARITY_NAMES, type VectorLayout } from './blending.js';
import {
  curveArgument,
  curveValue,
  type IsotonicBlock,
  isotonicRegression,
  type MonotoneCurve,
  mergedBlocks,
} from './isotonic.js';

/** The three questions that people ask of a hit. */
export type LevelName = keyof typeof GRANULARITY_NAMES;

/** One level's map from score to probability. */
export interface LevelCalibration {
  /** `[score, probability]`, rising; linear between, constant beyond. Of a catalogue whose rate is `rate`. */
  readonly curve: MonotoneCurve;
  /** How often two pictures agreed among those of the fit, in (0, 1). */
  readonly rate: number;
  /** Pairs of the fit, and how many of them agreed. */
  readonly pairs: number;
  readonly agreeing: number;
}

/** [L]; null for a level at which the pictures of the fit had nothing to agree on, or nothing to differ in. */
export interface Calibration {
  readonly levels: readonly (LevelCalibration | null)[];
}

/** Pictures whose labels are known. */
export interface LabelledVectors {
  /** [N, S], from `storedVectors`. */
  readonly stored: Float32Array;
  /** [L][N]; '' where unknown: no pair with it counts. */
  readonly labels: readonly (readonly string[])[];
  /** [N] who made a picture: two of one group are no pair. `undefined` is of no group. Default: none. */
  readonly groups?: readonly (string | undefined)[];
  /** Which pictures ask; the others only answer. Default: all. */
  readonly queries?: readonly number[];
}

/** What is known of the catalogue that is searched, and so changes what a score means there. */
export interface CalibrationContext {
  /** [L] how often two of its pictures agree (`agreementRates`); null: not known. Default: as among the pictures of the fit. */
  readonly rates?: readonly (number | null)[] | undefined;
}

/** Checks and reads what JSON holds of a calibration. */
export const calibrationFormat: z.ZodType<Calibration> = z.object({
  levels: z.array(
    z
      .object({
        curve: z
          .array(z.tuple([z.number(), z.number().min(0).max(1)]))
          .min(1)
          .refine(isMonotone, 'scores and probabilities must rise'),
        rate: z.number().gt(0).lt(1),
        pairs: z.int().min(2),
        agreeing: z.int().min(1),
      })
      .nullable(),
  ),
});

/**
 * Fits the calibration of every level.
 * @param levelWeights [L][P], each adding up to 1, as the search at that level uses them.
 * @param options.knots points of a curve at most. Default 64.
 * @param options.onQuery is told how many queries are done. Default: nobody.
 * @throws DataError when lengths do not fit.
 */
export function fitCalibration(
  layout: VectorLayout,
  levelWeights: readonly (readonly number[])[],
  pictures: LabelledVectors,
  options: { knots?: number; onQuery?: (done: number) => void } = {},
): Calibration {
  const { knots = MOST_KNOTS, onQuery } = options;
  let done = 0;
  const levels = levelWeights.map(() => new PairHistogram());
  for (const { scores, query } of scoreRows(layout, levelWeights, pictures)) {
    levels.forEach((histogram, level) => {
      histogram.addQuery(scores[level]!, pairedRows(pictures, level, query));
    });
    onQuery?.(++done);
  }
  return { levels: levels.map((histogram) => histogram.fit(knots)) };
}

/**
 * The scores of a pair at each level, by the level's own weights.
 * @param query [S] stored vector, not weighted (the score is symmetric).
 * @param hit [S]
 * @returns [L]
 */
export function levelScores(
  layout: VectorLayout,
  levelWeights: readonly (readonly number[])[],
  query: Float32Array,
  hit: Float32Array,
): number[] {
  for (const vector of [query, hit])
    if (vector.length !== layout.size)
      throw new DataError(`levelScores: a vector must have ${layout.size} numbers, got ${vector.length}`);
  const parts = layout.parts.map(({ offset, size }) => {
    let sum = 0;
    for (let i = offset; i < offset + size; i++) sum += query[i]! * hit[i]!;
    return sum;
  });
  return levelWeights.map((weights) => weights.reduce((sum, weight, part) => sum + weight * parts[part]!, 0));
}

/**
 * The probabilities that a hit and the query agree, fine to coarse: P(item) ≤ P(look) ≤ P(category), because pictures
 * of one item are of one look.
 * @param query [S] stored vector of the query, not weighted.
 * @param hit [S] stored vector of the hit.
 * @returns [L]; a level without calibration has the probability of the next finer one, 0 for the finest.
 */
export function probabilitiesOf(
  calibration: Calibration,
  layout: VectorLayout,
  levelWeights: readonly (readonly number[])[],
  query: Float32Array,
  hit: Float32Array,
  context: CalibrationContext = {},
): number[] {
  return probabilitiesOfScores(calibration, levelScores(layout, levelWeights, query, hit), context);
}

/** `probabilitiesOf` for scores [L] that are known (`levelScores`). */
export function probabilitiesOfScores(
  calibration: Calibration,
  scores: readonly number[],
  { rates }: CalibrationContext = {},
): number[] {
  let finer = 0;
  return scores.map((score, level) => {
    const fitted = calibration.levels[level];
    if (fitted)
      finer = Math.max(
        finer,
        withRate(curveValue(fitted.curve, score), fitted.rate, rates?.[level] ?? fitted.rate),
      );
    return finer;
  });
}

/**
 * The score from which a level's own curve gives a probability: a store need not be asked for less. +∞ where it never
 * does, −∞ where it always does. (A hit can have the probability with a lower score, from a finer level that is surer.)
 * @param probability in (0, 1)
 * @param rate the level's of `CalibrationContext.rates`
 */
export function cutOffScore(
  calibration: Calibration,
  level: number,
  probability: number,
  rate?: number | null,
): number {
  const fitted = calibration.levels[level];
  if (!fitted) return Number.POSITIVE_INFINITY;
  return curveArgument(fitted.curve, withRate(probability, rate ?? fitted.rate, fitted.rate));
}

/**
 * The place among `levels` levels that a name stands for: item the first, category the last, look the middle one, of an
 * even number the coarser of the two; so a schema of two levels answers look with its last.
 */
export function levelIndex(name: LevelName, levels: number): number {
  return Math.ceil(GRANULARITY_NAMES[name] * (levels - 1));
}

/**
 * How often two pictures agree at each level, among all pairs that are of different groups and whose labels are known.
 * @returns [L]; null where no pair is left, or none agrees, or all do.
 */
export function agreementRates({
  labels,
  groups,
}: Pick<LabelledVectors, 'labels' | 'groups'>): (number | null)[] {
  return labels.map((level) => {
    const [all, byLabel, byGroup, byBoth] = [new Counts(), new Counts(), new Counts(), new Counts()];
    level.forEach((label, row) => {
      if (label === '') return;
      const group = groups?.[row];
      all.add('');
      byLabel.add(label);
      if (group === undefined) return;
      byGroup.add(group);
      byBoth.add(JSON.stringify([group, label]));
    });
    const pairs = all.pairs() - byGroup.pairs();
    const agreeing = byLabel.pairs() - byBoth.pairs();
    return agreeing > 0 && agreeing < pairs ? agreeing / pairs : null;
  });
}

/**
 * A probability that holds where a share `from` of all pairs agree, for where a share `to` does: the odds change as the
 * rates' odds do.
 */
export function withRate(probability: number, from: number, to: number): number {
  const odds = (to * (1 - from)) / (from * (1 - to));
  return (probability * odds) / (probability * odds + 1 - probability);
}

/**
 * Every query's scores with all pictures.
 * @returns for each query its row, and per level [N] scores; the arrays are used again for the next query.
 * @throws DataError when lengths do not fit.
 */
export function* scoreRows(
  layout: VectorLayout,
  levelWeights: readonly (readonly number[])[],
  { stored, labels, groups, queries }: LabelledVectors,
): Generator<{ query: number; scores: readonly Float32Array[] }> {
  const { size, parts } = layout;
  const count = stored.length / size;
  const lengths = [...labels, ...(groups === undefined ? [] : [groups])].map(({ length }) => length);
  if (lengths.some((length) => length !== count) || labels.length !== levelWeights.length)
    throw new DataError(
      `calibration: there must be labels of ${levelWeights.length} levels for ${count} pictures, got ${labels.length} of ${lengths.join(', ')}`,
    );
  const scores = levelWeights.map(() => new Float32Array(count));
  const used = parts.map((_, part) => levelWeights.some((weights) => (weights[part] ?? 0) > 0));
  for (const query of queries ?? Array.from({ length: count }, (_, row) => row)) {
    for (const level of scores) level.fill(0);
    parts.forEach(({ offset, size: width }, part) => {
      if (used[part] !== true) return;
      const own = stored.subarray(query * size + offset, query * size + offset + width);
      for (let row = 0; row < count; row++) {
        const start = row * size + offset;
        let sum = 0;
        for (let i = 0; i < width; i++) sum += own[i]! * stored[start + i]!;
        for (let level = 0; level < scores.length; level++)
          scores[level]![row]! += (levelWeights[level]![part] ?? 0) * sum;
      }
    });
    yield { query, scores };
  }
}

/** The pictures that can be hits of a query at a level, and whether each agrees. */
export interface PairedRows {
  readonly rows: readonly number[];
  readonly agrees: readonly boolean[];
}

/** Those that are not the query, not of its group, and whose label at the level is known as is the query's. */
export function pairedRows(
  { labels, groups }: Pick<LabelledVectors, 'labels' | 'groups'>,
  level: number,
  query: number,
): PairedRows {
  const own = labels[level]![query]!;
  const group = groups?.[query];
  const rows: number[] = [];
  const agrees: boolean[] = [];
  if (own !== '')
    labels[level]!.forEach((label, row) => {
      if (label === '' || row === query || (group !== undefined && groups![row] === group)) return;
      rows.push(row);
      agrees.push(label === own);
    });
  return { rows, agrees };
}

// --- internal ---

const MOST_KNOTS = 64;
/** Of the histogram that scores are gathered in, over [−1, 1]. */
const BINS = 8192;
/** Probabilities that a curve says at least and at most. */
const [LEAST, MOST] = [1e-7, 1 - 1e-5];
/** Digits that a bundle keeps. */
const DIGITS = 6;

/** Gathers pairs by score and fits the curve. */
class PairHistogram {
  readonly #weights = new Float64Array(BINS);
  readonly #agreeing = new Float64Array(BINS);
  readonly #scores = new Float64Array(BINS);
  /** Sum of squared weights: what the pairs of a bin are worth as evidence. */
  readonly #squares = new Float64Array(BINS);
  #pairs = 0;
  #positives = 0;

  addQuery(scores: Float32Array, { rows, agrees }: PairedRows): void {
    const order = rows.map((_, place) => place);
    order.sort((a, b) => scores[rows[b]!]! - scores[rows[a]!]! || a - b);
    order.forEach((place, index) => {
      const score = scores[rows[place]!]!;
      const weight = 1 / (index + 1);
      const bin = Math.min(BINS - 1, Math.max(0, Math.floor(((score + 1) / 2) * BINS)));
      this.#weights[bin]! += weight;
      this.#scores[bin]! += weight * score;
      this.#squares[bin]! += weight * weight;
      this.#pairs++;
      if (agrees[place] !== true) return;
      this.#agreeing[bin]! += weight;
      this.#positives++;
    });
  }

  fit(knots: number): LevelCalibration | null {
    if (this.#positives === 0 || this.#positives === this.#pairs) return null;
    const [x, y, weights, squares]: [number[], number[], number[], number[]] = [[], [], [], []];
    this.#weights.forEach((weight, bin) => {
      if (weight === 0) return;
      x.push(this.#scores[bin]! / weight);
      y.push(this.#agreeing[bin]! / weight);
      weights.push(weight);
      squares.push(this.#squares[bin]!);
    });
    const blocks = mergedBlocks(isotonicRegression(x, y, weights), knots);
    const evidence = ({ start, end, weight }: IsotonicBlock) =>
      weight ** 2 / squares.slice(start, end).reduce((sum, square) => sum + square, 0);
    const curve = blocks.map(({ x, y }): [number, number] => [x, y]);
    // No evidence is enough for a probability of exactly 0 or 1: half a case speaks against. Only the first block can be
    // at 0 and only the last at 1.
    const doubt = (block: IsotonicBlock) => 0.5 / (evidence(block) + 1);
    const [first, last] = [curve[0]!, curve.at(-1)!];
    if (first[1] === 0) first[1] = Math.min(doubt(blocks[0]!), curve[1]?.[1] ?? 1);
    if (last[1] === 1) last[1] = Math.max(1 - doubt(blocks.at(-1)!), curve.at(-2)?.[1] ?? 0);
    return {
      curve: curve.map(([score, probability]) => [
        rounded(score),
        rounded(Math.min(MOST, Math.max(LEAST, probability))),
      ]),
      rate: this.#positives / this.#pairs,
      pairs: this.#pairs,
      agreeing: this.#positives,
    };
  }
}

const rounded = (value: number): number => Number(value.toPrecision(DIGITS));

function isMonotone(curve: readonly (readonly [number, number])[]): boolean {
  return curve.every(([x, y], i) => i === 0 || (x >= curve[i - 1]![0] && y >= curve[i - 1]![1]));
}

/** How many there are of each. */
class Counts {
  readonly #counts = new Map<string, number>();

  add(key: string): void {
    this.#counts.set(key, (this.#counts.get(key) ?? 0) + 1);
  }

  /** Pairs of two of a kind, each counted once. */
  pairs(): number {
    let sum = 0;
    for (const count of this.#counts.values()) sum += (count * (count - 1)) / 2;
    return sum;
  }
}
