/**
 * Fits the weights of query-time granularity on validation pictures: for each level, the weights of the parts with
 * the largest score (mAP, MAP@R, …) among a grid over the simplex.
 *
 * Letters: Q queries, N gallery pictures, P parts, L levels. The parts' similarities are computed once; a grid point
 * is then one weighted sum of P matrices and one call of the scoring function a level.
 */
import { DataError } from '../util/index.js';
import type { VectorLayout } from './blending.js';

/**
 * How good a ranking is at one level; larger is better.
 * @param similarities [Q, N]; the array is used again for the next call.
 * @param level 0 is the finest.
 */
export type ScoreSimilarities = (similarities: Float32Array, level: number) => number;

/**
 * @param vectors.queries [Q, S] stored vectors, `vectors.gallery` [N, S]; they may be the same pictures, then the
 *   scoring function must leave out each query itself.
 * @param options.levels L.
 * @param options.steps the grid takes weights in steps of 1 / steps. Default 4: 35 points for four parts. More
 *   resolves finer and costs more; more than 10 seldom pays on a few hundred identities.
 * @returns `weights` [L][P], each adding up to 1, and `scores` [L]. Of equal scores the one that gives more to the
 *   earlier parts wins, the embedding first; a part of size 0 gets no weight.
 */
export function fitLevelWeights(
  layout: VectorLayout,
  vectors: { queries: Float32Array; gallery: Float32Array },
  score: ScoreSimilarities,
  options: { levels: number; steps?: number },
): { weights: number[][]; scores: number[] } {
  const { levels, steps = 4 } = options;
  const similarities = partSimilarities(layout, vectors.queries, vectors.gallery);
  const blended = new Float32Array(similarities[0]?.length ?? 0);
  const weights: number[][] = Array.from({ length: levels }, () => []);
  const scores = Array<number>(levels).fill(Number.NEGATIVE_INFINITY);
  const usable = layout.parts.map(({ size }) => size > 0);
  for (const point of simplexGrid(usable, steps)) {
    blended.fill(0);
    point.forEach((weight, part) => {
      const matrix = similarities[part] as Float32Array;
      if (weight > 0) for (let i = 0; i < blended.length; i++) blended[i]! += weight * matrix[i]!;
    });
    for (let level = 0; level < levels; level++) {
      const value = score(blended, level);
      if (Number.isNaN(value))
        throw new DataError(`fitLevelWeights: a score must be a number, got NaN at level ${level}`);
      if (value > (scores[level] as number)) {
        scores[level] = value;
        weights[level] = point;
      }
    }
  }
  return { weights, scores };
}

// --- internal ---

/** One matrix [Q, N] a part; empty parts get an empty matrix. */
function partSimilarities(
  layout: VectorLayout,
  queries: Float32Array,
  gallery: Float32Array,
): Float32Array[] {
  const { size } = layout;
  const [queryCount, galleryCount] = [queries.length / size, gallery.length / size];
  if (!Number.isInteger(queryCount) || !Number.isInteger(galleryCount))
    throw new DataError(
      `fitLevelWeights: queries and gallery must have ${size} numbers a picture, got ${queries.length} and ` +
        `${gallery.length} numbers`,
    );
  return layout.parts.map((part) => {
    const matrix = new Float32Array(queryCount * galleryCount);
    if (part.size === 0) return matrix;
    for (let q = 0; q < queryCount; q++) {
      const query = queries.subarray(q * size + part.offset, q * size + part.offset + part.size);
      for (let n = 0; n < galleryCount; n++) {
        const start = n * size + part.offset;
        let sum = 0;
        for (let i = 0; i < part.size; i++) sum += query[i]! * gallery[start + i]!;
        matrix[q * galleryCount + n] = sum;
      }
    }
    return matrix;
  });
}

/** All weights in steps of 1/steps that add up to 1, those with most weight on the first parts first. */
function simplexGrid(usable: readonly boolean[], steps: number): number[][] {
  const points: number[][] = [];
  const last = usable.lastIndexOf(true);
  const walk = (point: number[], left: number) => {
    const part = point.length;
    if (part === last) {
      points.push([...point, left / steps, ...Array<number>(usable.length - part - 1).fill(0)]);
      return;
    }
    const most = usable[part] === true ? left : 0;
    for (let take = most; take >= 0; take--) walk([...point, take / steps], left - take);
  };
  walk([], steps);
  return points;
}
