/**
 * How well attributes are predicted: what is taken for what, how well each value is found, and how far a probability
 * can be trusted. Judged by the ground truth; a picture whose value is unknown does not count.
 *
 * Letters: N pictures, V values of one attribute. Among equal probabilities the wrong pictures are ranked first, and of
 * equally probable values the first is the one that is said.
 */
import { ShapeError } from '../util/index.js';

/** One attribute's predictions and truth. */
export interface PredictedAttribute {
  readonly name: string;
  /** `single`: one value a picture, V probabilities that add up to 1. `multi`: a probability a value. */
  readonly kind: 'single' | 'multi';
  /** [V] */
  readonly values: readonly string[];
  /** [N, V], in [0, 1]. */
  readonly probabilities: Float32Array;
  /** [N] the values that a picture has; empty is unknown. Of a single attribute the first that the model knows counts. */
  readonly truth: readonly (readonly string[])[];
}

export interface ConfusionMatrix {
  /** The most frequent values of the truth, most frequent first; `others` stands last for the rest, if there is any. */
  readonly classes: readonly string[];
  /** [classes, classes] pictures: rows are the truth, columns what was said. */
  readonly counts: readonly (readonly number[])[];
  /** Share of pictures whose most probable value is true, over all values. */
  readonly accuracy: number;
  readonly pictures: number;
}

/** What stands for the values beyond the most frequent. */
export const OTHER_CLASSES = 'others';

/**
 * The confusion matrix of a single attribute.
 * @param limit classes at most, besides `others`. Default 30.
 */
export function confusionMatrix(attribute: PredictedAttribute, limit = 30): ConfusionMatrix {
  const { values, truth, probabilities } = attribute;
  checkShape('confusionMatrix', attribute);
  const frequency = new Array<number>(values.length).fill(0);
  const pairs: [number, number][] = [];
  truth.forEach((labels, row) => {
    const actual = firstKnown(labels, values);
    if (actual < 0) return;
    frequency[actual]!++;
    pairs.push([actual, mostProbable(probabilities, row, values.length)]);
  });
  const ranked = values
    .map((_, i) => i)
    .filter((i) => frequency[i]! > 0)
    .sort((a, b) => frequency[b]! - frequency[a]! || a - b)
    .slice(0, limit);
  const place = new Map(ranked.map((value, i) => [value, i]));
  const placeOf = (value: number) => place.get(value) ?? ranked.length;
  const hasOthers = pairs.some((pair) => pair.some((value) => !place.has(value)));
  const classes = [...ranked.map((i) => values[i]!), ...(hasOthers ? [OTHER_CLASSES] : [])];
  const counts = classes.map(() => classes.map(() => 0));
  for (const [actual, said] of pairs) counts[placeOf(actual)]![placeOf(said)]!++;
  return {
    classes,
    counts,
    accuracy: pairs.filter(([actual, said]) => actual === said).length / Math.max(1, pairs.length),
    pictures: pairs.length,
  };
}

export interface ValueQuality {
  readonly value: string;
  /** Pictures that have it. */
  readonly positives: number;
  /** Share of the pictures said to have it that do; NaN when it is said of none. */
  readonly precision: number;
  /** Share of the pictures that have it that are said to; NaN when there is none. */
  readonly recall: number;
  /** Area under precision over recall of the ranking by probability; NaN when no picture has it. */
  readonly averagePrecision: number;
}

/**
 * Each value's precision, recall and average precision over the pictures whose attribute is known. A value is said of a
 * picture when it is the most probable (single) or from a probability of 0.5 on (multi).
 */
export function valueQualities(attribute: PredictedAttribute): ValueQuality[] {
  const { kind, values, truth, probabilities } = attribute;
  checkShape('valueQualities', attribute);
  const known = knownRows(attribute);
  const said =
    kind === 'single'
      ? new Map(known.map((row) => [row, mostProbable(probabilities, row, values.length)]))
      : undefined;
  return values.map((value, v) => {
    const hits = known.map((row) => ({
      probability: probabilities[row * values.length + v]!,
      isSaid: said === undefined ? probabilities[row * values.length + v]! >= 0.5 : said.get(row) === v,
      isTrue: truth[row]!.includes(value),
    }));
    const positives = hits.filter(({ isTrue }) => isTrue).length;
    const claims = hits.filter(({ isSaid }) => isSaid).length;
    const right = hits.filter(({ isSaid, isTrue }) => isSaid && isTrue).length;
    hits.sort((a, b) => b.probability - a.probability || Number(a.isTrue) - Number(b.isTrue));
    let found = 0;
    let precision = 0;
    hits.forEach(({ isTrue }, i) => {
      if (!isTrue) return;
      found++;
      precision += found / (i + 1);
    });
    return {
      value,
      positives,
      precision: claims === 0 ? Number.NaN : right / claims,
      recall: positives === 0 ? Number.NaN : right / positives,
      averagePrecision: positives === 0 ? Number.NaN : precision / positives,
    };
  });
}

export interface CalibrationCurve {
  /** Bins of equal width that hold anything, from low to high: mean probability, share that is true, and how many. */
  readonly bins: readonly { readonly probability: number; readonly share: number; readonly count: number }[];
  /** `Σ count · |share − probability| / Σ count` (Guo et al., arXiv 1706.04599); NaN without predictions. */
  readonly expectedError: number;
  readonly predictions: number;
}

/**
 * Probability against what is true: of a single attribute that of the most probable value, of a multi attribute those of
 * all values.
 * @param binCount bins over [0, 1]. Default 10.
 */
export function calibrationCurve(attribute: PredictedAttribute, binCount = 10): CalibrationCurve {
  const { kind, values, truth, probabilities } = attribute;
  checkShape('calibrationCurve', attribute);
  const bins = Array.from({ length: binCount }, () => ({ probability: 0, share: 0, count: 0 }));
  const add = (row: number, v: number) => {
    const probability = probabilities[row * values.length + v]!;
    const bin = bins[Math.min(binCount - 1, Math.floor(probability * binCount))]!;
    bin.probability += probability;
    bin.share += Number(truth[row]!.includes(values[v]!));
    bin.count++;
  };
  for (const row of knownRows(attribute)) {
    if (kind === 'single') add(row, mostProbable(probabilities, row, values.length));
    else for (let v = 0; v < values.length; v++) add(row, v);
  }
  const filled = bins
    .filter(({ count }) => count > 0)
    .map(({ probability, share, count }) => ({
      probability: probability / count,
      share: share / count,
      count,
    }));
  const predictions = filled.reduce((sum, { count }) => sum + count, 0);
  const error = filled.reduce(
    (sum, { probability, share, count }) => sum + count * Math.abs(share - probability),
    0,
  );
  return {
    bins: filled,
    expectedError: predictions === 0 ? Number.NaN : error / predictions,
    predictions,
  };
}

// --- internal ---

function checkShape(where: string, { values, truth, probabilities }: PredictedAttribute): void {
  if (probabilities.length !== truth.length * values.length) {
    throw new ShapeError(
      `${where}: probabilities must have shape [N, V] = [${truth.length}, ${values.length}], got ${probabilities.length} values.`,
    );
  }
}

/** Pictures that say anything of the attribute; of a single one, anything that the model knows. */
function knownRows({ kind, values, truth }: PredictedAttribute): number[] {
  return truth.flatMap((labels, row) =>
    (kind === 'single' ? firstKnown(labels, values) >= 0 : labels.length > 0) ? [row] : [],
  );
}

function firstKnown(labels: readonly string[], values: readonly string[]): number {
  for (const label of labels) {
    const place = values.indexOf(label);
    if (place >= 0) return place;
  }
  return -1;
}

function mostProbable(probabilities: Float32Array, row: number, width: number): number {
  let best = 0;
  for (let v = 1; v < width; v++)
    if (probabilities[row * width + v]! > probabilities[row * width + best]!) best = v;
  return best;
}
