import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import {
  calibrationCurve,
  confusionMatrix,
  OTHER_CLASSES,
  type PredictedAttribute,
  valueQualities,
} from './attribute-quality.js';

const PICTURES = 400;

/** Made-up predictions; a few pictures are unknown, one has a value that the model does not know. */
function madeUp(kind: PredictedAttribute['kind'], valueCount: number): PredictedAttribute {
  const random = Random.from(5, valueCount);
  const values = Array.from({ length: valueCount }, (_, v) => `value ${v}`);
  const probabilities = new Float32Array(PICTURES * valueCount);
  const truth = Array.from({ length: PICTURES }, (_, n): string[] => {
    const own = values.filter((_, v) => random.uniform() < 1 / (v + 2));
    const raw = values.map((value) => Math.exp(2 * Number(own.includes(value)) + random.normal()));
    const total = raw.reduce((a, b) => a + b, 0);
    raw.forEach((score, v) => {
      probabilities[n * valueCount + v] = kind === 'single' ? score / total : score / (score + 3);
    });
    if (n === 7) return ['never seen'];
    if (n % 10 === 0) return [];
    return kind === 'single' ? [own[0] ?? values[v0(random, valueCount)]!] : own;
  });
  return { name: 'colour', kind, values, probabilities, truth };
}
const v0 = (random: Random, count: number) => random.integer(count);

function argmax({ values, probabilities }: PredictedAttribute, n: number): string {
  let best = '';
  let highest = Number.NEGATIVE_INFINITY;
  values.forEach((value, v) => {
    const p = probabilities[n * values.length + v]!;
    if (p > highest) [best, highest] = [value, p];
  });
  return best;
}

describe('confusionMatrix', () => {
  it('counts what a loop over the pictures counts', () => {
    const attribute = madeUp('single', 6);
    const { classes, counts, accuracy, pictures } = confusionMatrix(attribute);
    let right = 0;
    let judged = 0;
    const loop: Record<string, number> = {};
    attribute.truth.forEach(([actual], n) => {
      if (actual === undefined || !attribute.values.includes(actual)) return;
      const said = argmax(attribute, n);
      judged++;
      if (said === actual) right++;
      loop[`${actual}|${said}`] = (loop[`${actual}|${said}`] ?? 0) + 1;
    });
    expect(pictures).toBe(judged);
    expect(judged).toBeLessThan(PICTURES);
    expect(accuracy).toBeCloseTo(right / judged, 12);
    classes.forEach((actual, i) => {
      classes.forEach((said, j) => {
        expect(counts[i]![j], `${actual} ${said}`).toBe(loop[`${actual}|${said}`] ?? 0);
      });
    });
    const frequency = classes.map((_, i) => counts[i]!.reduce((a, b) => a + b, 0));
    expect(frequency).toEqual([...frequency].sort((a, b) => b - a));
  });

  it('gathers the rarer values in one class and loses no picture', () => {
    const attribute = madeUp('single', 12);
    const all = confusionMatrix(attribute);
    const some = confusionMatrix(attribute, 4);
    expect(some.classes).toEqual([...all.classes.slice(0, 4), OTHER_CLASSES]);
    expect(some.counts.flat().reduce((a, b) => a + b, 0)).toBe(all.pictures);
    expect(some.accuracy).toBe(all.accuracy);
    for (let i = 0; i < 4; i++)
      for (let j = 0; j < 4; j++) expect(some.counts[i]![j]).toBe(all.counts[i]![j]);
  });
});

describe('valueQualities', () => {
  it.each(['single', 'multi'] as const)('of a %s attribute equal a naive count', (kind) => {
    const attribute = madeUp(kind, 5);
    const { values, truth, probabilities } = attribute;
    const known = truth.map((labels) =>
      kind === 'single' ? labels.some((label) => values.includes(label)) : labels.length > 0,
    );
    for (const [v, quality] of valueQualities(attribute).entries()) {
      let [tp, fp, fn] = [0, 0, 0];
      const ranked: [number, boolean][] = [];
      truth.forEach((labels, n) => {
        if (!known[n]) return;
        const p = probabilities[n * values.length + v]!;
        const said = kind === 'single' ? argmax(attribute, n) === values[v] : p >= 0.5;
        const is = labels.includes(values[v]!);
        if (said && is) tp++;
        else if (said) fp++;
        else if (is) fn++;
        ranked.push([p, is]);
      });
      expect(quality.positives).toBe(tp + fn);
      expect(quality.precision).toBeCloseTo(tp / (tp + fp), 12);
      expect(quality.recall).toBeCloseTo(tp / (tp + fn), 12);
      // Average precision by its definition: over thresholds, precision times the gain of recall.
      const positives = ranked.filter(([, is]) => is);
      const area = positives.reduce((sum, [threshold]) => {
        const above = ranked.filter(([p]) => p >= threshold);
        return sum + above.filter(([, is]) => is).length / above.length / positives.length;
      }, 0);
      expect(quality.averagePrecision).toBeCloseTo(area, 10);
    }
  });

  it('ranks the wrong first among equals: a constant prediction has the precision of the worst order', () => {
    const [quality] = valueQualities({
      name: 'colour',
      kind: 'multi',
      values: ['red', 'blue'],
      probabilities: new Float32Array(8).fill(0.5),
      truth: [['red'], ['blue'], ['blue'], ['red']],
    });
    expect(quality!.averagePrecision).toBeCloseTo((1 / 3 + 2 / 4) / 2, 12);
  });

  it('has no number for what nobody has and nobody is said to have', () => {
    const [, never] = valueQualities({
      name: 'colour',
      kind: 'multi',
      values: ['red', 'grey'],
      probabilities: Float32Array.of(0.9, 0.1),
      truth: [['red']],
    });
    expect([never!.precision, never!.recall, never!.averagePrecision]).toEqual([
      Number.NaN,
      Number.NaN,
      Number.NaN,
    ]);
  });
});

describe('calibrationCurve', () => {
  it('is the diagonal with error 0 where probabilities are what happens', () => {
    const truth = Array.from({ length: 100 }, (_, n) => [n % 4 === 0 ? 'red' : 'other']);
    const { bins, expectedError, predictions } = calibrationCurve({
      name: 'colour',
      kind: 'multi',
      values: ['red'],
      probabilities: new Float32Array(100).fill(0.25),
      truth,
    });
    expect(bins).toEqual([{ probability: 0.25, share: 0.25, count: 100 }]);
    expect(expectedError).toBe(0);
    expect(predictions).toBe(100);
  });

  it.each(['single', 'multi'] as const)('of a %s attribute equals a naive sum over bins', (kind) => {
    const attribute = madeUp(kind, 5);
    const { values, truth, probabilities } = attribute;
    const predictions: [number, number][] = [];
    truth.forEach((labels, n) => {
      if (labels.length === 0 || labels[0] === 'never seen') {
        if (kind === 'single' || labels.length === 0) return;
      }
      values.forEach((value, v) => {
        if (kind === 'single' && argmax(attribute, n) !== value) return;
        predictions.push([probabilities[n * values.length + v]!, Number(labels.includes(value))]);
      });
    });
    let error = 0;
    for (let bin = 0; bin < 10; bin++) {
      const own = predictions.filter(([p]) => p >= bin / 10 && (p < (bin + 1) / 10 || bin === 9));
      if (own.length === 0) continue;
      const mean = (axis: 0 | 1) => own.reduce((sum, pair) => sum + pair[axis], 0) / own.length;
      error += (own.length / predictions.length) * Math.abs(mean(0) - mean(1));
    }
    const curve = calibrationCurve(attribute);
    expect(curve.predictions).toBe(predictions.length);
    expect(curve.expectedError).toBeCloseTo(error, 10);
  });
});

it('refuses probabilities of another shape', () => {
  expect(() =>
    confusionMatrix({
      name: 'a',
      kind: 'single',
      values: ['x', 'y'],
      probabilities: new Float32Array(3),
      truth: [['x']],
    }),
  ).toThrow('confusionMatrix: probabilities must have shape [N, V] = [1, 2], got 3 values.');
});
