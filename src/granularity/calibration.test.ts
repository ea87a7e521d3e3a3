import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { Random } from '../util/index.js';
import { queryVector, type VectorLayout } from './blending.js';
import {
  agreementRates,
  type Calibration,
  calibrationFormat,
  cutOffScore,
  fitCalibration,
  levelIndex,
  levelScores,
  probabilitiesOf,
  probabilitiesOfScores,
  withRate,
} from './calibration.js';

/** Parts of one number and of two, so that scores are easy to make. */
const layout: VectorLayout = {
  parts: [
    { name: 'embedding', offset: 0, size: 2 },
    { name: 'attributes', offset: 2, size: 2 },
  ],
  size: 4,
};
const levelWeights = [
  [1, 0],
  [0.25, 0.75],
];

/**
 * Items on a circle, each in pictures that stand about its place; kinds are quarters. A picture is made of its own
 * `Random`, so two draws are of one distribution.
 */
function drawn(seed: number, items = 60, perItem = 6) {
  const random = Random.from(seed);
  const labels: [string[], string[]] = [[], []];
  const vectors: number[] = [];
  const groups: string[] = [];
  for (let item = 0; item < items; item++) {
    const place = random.between(0, 2 * Math.PI);
    for (let picture = 0; picture < perItem; picture++) {
      const angles = [place + 0.15 * random.normal(), place + 0.3 * random.normal()];
      for (const angle of angles) vectors.push(Math.cos(angle), Math.sin(angle));
      labels[0].push(`item ${item}`);
      labels[1].push(`kind ${Math.floor((4 * place) / (2 * Math.PI))}`);
      groups.push(`artist ${picture}`);
    }
  }
  return { stored: Float32Array.from(vectors), labels, groups };
}

/** Mean difference between what is said and what is true, over tenths of probability, of some pairs. */
function expectedError(pairs: readonly (readonly [probability: number, agrees: boolean])[]): number {
  let error = 0;
  for (let bin = 0; bin < 10; bin++) {
    const here = pairs.filter(([p]) => Math.min(9, Math.floor(10 * p)) === bin);
    error += Math.abs(here.reduce((sum, [p, agrees]) => sum + p - Number(agrees), 0));
  }
  return error / pairs.length;
}

const vectorOf = (pictures: { stored: Float32Array }, row: number) =>
  pictures.stored.subarray(row * layout.size, (row + 1) * layout.size);

describe('fitCalibration', () => {
  const pictures = drawn(1);
  const calibration = fitCalibration(layout, levelWeights, pictures);
  const other = drawn(2);
  const rates = agreementRates(other);

  it('says of other pictures of the same kind how often hits agree', () => {
    for (const level of [0, 1])
      for (const depth of [10, 50]) {
        const pairs: [number, boolean][] = [];
        other.groups.forEach((group, query) => {
          const weighted = queryVector(layout, vectorOf(other, query), levelWeights[level]!);
          const hits = other.groups
            .map((_, row) => row)
            .filter((row) => other.groups[row] !== group)
            .map((row) => ({
              row,
              score: weighted.reduce((sum, x, i) => sum + x * vectorOf(other, row)[i]!, 0),
            }))
            .sort((a, b) => b.score - a.score)
            .slice(0, depth);
          for (const { row } of hits) {
            const said = probabilitiesOf(
              calibration,
              layout,
              levelWeights,
              vectorOf(other, query),
              vectorOf(other, row),
              { rates },
            );
            pairs.push([said[level]!, other.labels[level]![row] === other.labels[level]![query]]);
          }
        });
        expect(expectedError(pairs)).toBeLessThan(0.08);
      }
  });

  it('rises, is small, and is never sure', () => {
    for (const level of calibration.levels) {
      const curve = level?.curve ?? [];
      expect(curve.length).toBeGreaterThan(3);
      expect(curve.length).toBeLessThanOrEqual(64);
      curve.forEach(([score, probability], i) => {
        expect(probability).toBeGreaterThan(0);
        expect(probability).toBeLessThan(1);
        if (i > 0) expect(score).toBeGreaterThan(curve[i - 1]![0]);
        if (i > 0) expect(probability).toBeGreaterThanOrEqual(curve[i - 1]![1]);
      });
    }
    expect(fitCalibration(layout, levelWeights, pictures, { knots: 5 }).levels[0]?.curve.length).toBe(5);
  });

  it('survives JSON to the bit, and what is no calibration is refused', () => {
    const read = calibrationFormat.parse(JSON.parse(JSON.stringify(calibration)));
    expect(read).toEqual(calibration);
    const [level] = calibration.levels;
    for (const curve of [
      [],
      [[0, 2]],
      [
        [1, 0.1],
        [0, 0.2],
      ],
      [
        [0, 0.5],
        [1, 0.4],
      ],
    ])
      expect(calibrationFormat.safeParse({ levels: [{ ...level, curve }] }).success).toBe(false);
  });

  it('counts every pair once a query, and leaves out unknown labels and own groups', () => {
    const labels = [['a', 'a', 'b', ''], Array<string>(4).fill('k')];
    const stored = new Float32Array(16).map((_, i) => (i % 4 === 0 ? 1 : 0));
    const all = fitCalibration(layout, levelWeights, { stored, labels });
    expect(all.levels[0]).toMatchObject({ pairs: 6, agreeing: 2, rate: 1 / 3 });
    // All scores are equal: one point.
    expect(all.levels[0]?.curve.length).toBe(1);
    expect(all.levels[1]).toBeNull();
    const groups = ['x', 'y', 'x', undefined];
    expect(fitCalibration(layout, levelWeights, { stored, labels, groups }).levels[0]).toMatchObject({
      pairs: 4,
      agreeing: 2,
    });
    expect(fitCalibration(layout, levelWeights, { stored, labels, queries: [0] }).levels[0]).toMatchObject({
      pairs: 2,
      agreeing: 1,
    });
  });

  it('refuses labels that do not fit', () => {
    expect(() =>
      fitCalibration(layout, levelWeights, { stored: new Float32Array(8), labels: [['a', 'b']] }),
    ).toThrow(/labels of 2 levels for 2 pictures, got 1 of 2/);
  });
});

describe('probabilitiesOf', () => {
  const calibration: Calibration = {
    levels: [
      {
        curve: [
          [0, 0.1],
          [1, 0.9],
        ],
        rate: 0.1,
        pairs: 100,
        agreeing: 10,
      },
      {
        curve: [
          [0, 0.2],
          [1, 0.6],
        ],
        rate: 0.2,
        pairs: 100,
        agreeing: 20,
      },
      null,
    ],
  };

  it('nests: what is the same item is the same look', () => {
    fc.assert(
      fc.property(
        fc.array(fc.double({ min: -1, max: 1, noNaN: true }), { minLength: 3, maxLength: 3 }),
        (scores) => {
          const said = probabilitiesOfScores(calibration, scores, { rates: [0.01, 0.3, null] });
          expect(said.every((p, i) => p >= (said[i - 1] ?? 0) && p <= 1)).toBe(true);
        },
      ),
    );
    expect(probabilitiesOfScores(calibration, [1, 0.5, 0])).toEqual(
      [0.9, 0.9, 0.9].map((p) => expect.closeTo(p, 12)),
    );
    expect(probabilitiesOfScores(calibration, [0, 0.5, 0])).toEqual(
      [0.1, 0.4, 0.4].map((p) => expect.closeTo(p, 12)),
    );
  });

  it('takes the scores of each level from its own weights', () => {
    const random = Random.from(4);
    const [query, hit] = [0, 1].map(() => Float32Array.from({ length: 4 }, () => random.normal())) as [
      Float32Array,
      Float32Array,
    ];
    const scores = levelScores(layout, levelWeights, query, hit);
    levelWeights.forEach((weights, level) => {
      const weighted = queryVector(layout, query, weights);
      expect(scores[level]).toBeCloseTo(
        weighted.reduce((sum, x, i) => sum + x * hit[i]!, 0),
        5,
      );
    });
    expect(() => levelScores(layout, levelWeights, query, hit.subarray(1))).toThrow(
      /must have 4 numbers, got 3/,
    );
  });

  it('has a score for each probability', () => {
    expect(cutOffScore(calibration, 0, 0.5)).toBeCloseTo(0.5, 12);
    expect(cutOffScore(calibration, 0, 0.95)).toBe(Number.POSITIVE_INFINITY);
    expect(cutOffScore(calibration, 2, 0.1)).toBe(Number.POSITIVE_INFINITY);
    fc.assert(
      fc.property(
        fc.double({ min: 0.02, max: 0.98, noNaN: true }),
        fc.double({ min: 0.02, max: 0.9, noNaN: true }),
        (probability, rate) => {
          const score = cutOffScore(calibration, 0, probability, rate);
          if (!Number.isFinite(score)) return;
          expect(probabilitiesOfScores(calibration, [score], { rates: [rate] })[0]).toBeCloseTo(
            probability,
            9,
          );
        },
      ),
    );
  });
});

describe('withRate', () => {
  it('is Bayes: from one rate to another and back', () => {
    // Scores that speak 9 : 1 for agreement.
    expect(withRate(0.9, 0.5, 0.1)).toBeCloseTo((0.1 * 9) / (0.1 * 9 + 0.9), 12);
    fc.assert(
      fc.property(
        ...([0.01, 0.01, 0.01].map((min) => fc.double({ min, max: 0.99, noNaN: true })) as [
          fc.Arbitrary<number>,
          fc.Arbitrary<number>,
          fc.Arbitrary<number>,
        ]),
        (p, from, to) => {
          expect(withRate(withRate(p, from, to), to, from)).toBeCloseTo(p, 9);
        },
      ),
    );
  });
});

describe('agreementRates', () => {
  it('is what a loop over pairs counts', () => {
    const value = fc.record({
      label: fc.constantFrom('', 'a', 'b', 'c'),
      group: fc.constantFrom(undefined, 'x', 'y'),
    });
    fc.assert(
      fc.property(fc.array(value, { maxLength: 12 }), (rows) => {
        let [pairs, agreeing] = [0, 0];
        rows.forEach((a, i) => {
          for (const b of rows.slice(0, i)) {
            if (a.label === '' || b.label === '' || (a.group !== undefined && a.group === b.group)) continue;
            pairs++;
            if (a.label === b.label) agreeing++;
          }
        });
        const [rate] = agreementRates({
          labels: [rows.map(({ label }) => label)],
          groups: rows.map(({ group }) => group),
        });
        expect(rate).toEqual(agreeing > 0 && agreeing < pairs ? agreeing / pairs : null);
      }),
    );
  });
});

describe('levelIndex', () => {
  it.each([
    [1, [0, 0, 0]],
    [2, [0, 1, 1]],
    [3, [0, 1, 2]],
    [4, [0, 2, 3]],
    [5, [0, 2, 4]],
  ])('of %i levels', (levels, places) => {
    expect((['item', 'look', 'category'] as const).map((name) => levelIndex(name, levels))).toEqual(places);
  });
});
