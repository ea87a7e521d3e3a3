import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { type VectorLayout, vectorLayout } from './blending.js';
import { fitLevelWeights } from './fitting.js';
import type { Schema } from './schema.js';

const schema: Schema = {
  attributes: [{ name: 'kind', kind: 'single', values: ['a', 'b'] }],
  levels: ['item_id', 'kind'],
};

/** The share of queries whose nearest picture, of those of another `group`, agrees in `labels`. */
const nearestAgrees =
  (labels: readonly number[], group: readonly number[]) => (similarities: Float32Array) => {
    const count = labels.length;
    let right = 0;
    for (let q = 0; q < count; q++) {
      let best = -1;
      for (let n = 0; n < count; n++)
        if (
          group[n] !== group[q] &&
          (best < 0 || similarities[q * count + n]! > similarities[q * count + best]!)
        )
          best = n;
      if (labels[best] === labels[q]) right++;
    }
    return right / count;
  };

/** Items on a circle in the embedding part, kinds in the level part, noise in the attribute part. */
function pictures(layout: VectorLayout) {
  const random = Random.from(11);
  const items = Array.from({ length: 40 }, (_, n) => n >> 1);
  const kinds = items.map((item) => item % 2);
  const vectors = new Float32Array(items.length * layout.size);
  items.forEach((item, n) => {
    const angle = (2 * Math.PI * item) / 20 + 0.02 * random.normal();
    const noise = random.between(0, 2 * Math.PI);
    const [c, s] = [Math.cos(angle), Math.sin(angle)];
    vectors.set([c, s, Math.cos(noise), Math.sin(noise), 1 - kinds[n]!, kinds[n]!], n * layout.size);
  });
  return { items, kinds, vectors };
}

describe('fitLevelWeights', () => {
  it('finds the part that carries each level, and avoids noise', () => {
    const layout = vectorLayout(schema, 2);
    const { items, kinds, vectors } = pictures(layout);
    const scoreOf = [nearestAgrees(items, [...items.keys()]), nearestAgrees(kinds, items)];
    const { weights, scores } = fitLevelWeights(
      layout,
      { queries: vectors, gallery: vectors },
      (similarities, level) => scoreOf[level]!(similarities),
      { levels: 2 },
    );
    expect(weights[0]).toEqual([1, 0, 0]);
    expect(weights[1]![2]).toBeGreaterThan(0);
    expect(scores).toEqual([1, 1]);
  });

  it('gives no weight to an empty part, and prefers the embedding where nothing differs', () => {
    const plain = vectorLayout({ attributes: [], levels: ['item_id'] }, 2);
    const vectors = Float32Array.from([1, 0, 0, 1]);
    const seen: number[][] = [];
    const fitted = fitLevelWeights(
      plain,
      { queries: vectors, gallery: vectors },
      (similarities) => {
        seen.push([...similarities]);
        return 0.5;
      },
      { levels: 1 },
    );
    expect(fitted).toEqual({ weights: [[1, 0]], scores: [0.5] });
    expect(seen).toEqual([[1, 0, 0, 1]]);
  });

  it('calls with every point of the grid: (steps + parts − 1 choose parts − 1)', () => {
    const layout = vectorLayout(schema, 2);
    let calls = 0;
    const vectors = new Float32Array(layout.size);
    fitLevelWeights(layout, { queries: vectors, gallery: vectors }, () => ++calls, { levels: 1, steps: 6 });
    expect(calls).toBe(28);
  });

  it('refuses a score that is no number', () => {
    const layout = vectorLayout(schema, 2);
    const vectors = new Float32Array(layout.size);
    expect(() =>
      fitLevelWeights(layout, { queries: vectors, gallery: vectors }, () => Number.NaN, { levels: 1 }),
    ).toThrow(/must be a number, got NaN/);
  });
});
