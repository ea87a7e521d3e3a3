import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import {
  attributeBlocks,
  attributeCount,
  queryVector,
  type Schema,
  storedVectors,
  vectorLayout,
  weightsAt,
} from '../granularity/index.js';
import { explainScore } from './explanation.js';

const schema: Schema = {
  attributes: [
    { name: 'kind', kind: 'single', values: ['bird', 'cat', 'dog'] },
    { name: 'colour', kind: 'single', values: ['blue', 'red'] },
    { name: 'tags', kind: 'multi', values: ['round', 'soft', 'wet', 'wild'] },
  ],
  levels: ['item_id', 'kind', 'colour'],
};
const D = 5;
const layout = vectorLayout(schema, D);
const LEVEL_WEIGHTS = [
  [0.8, 0.2, 0, 0],
  [0.4, 0.3, 0.2, 0.1],
  [0.1, 0.3, 0.1, 0.5],
];

const stored = (embedding: readonly number[], attributes: readonly number[]) =>
  storedVectors(schema, D, {
    embeddings: Float32Array.from(embedding),
    attributes: Float32Array.from(attributes),
  });

function explained(query: Float32Array, hit: Float32Array, granularity: number) {
  const weights = weightsAt(LEVEL_WEIGHTS, granularity);
  const weighted = queryVector(layout, query, weights);
  return {
    weights,
    weighted,
    ...explainScore({ schema, layout, query: weighted, weights, stored: hit }),
  };
}

const sum = (values: Iterable<number>) => [...values].reduce((total, value) => total + value, 0);

describe('explainScore', () => {
  const numbers = (length: number, min: number) =>
    fc.array(fc.float({ min, max: 1, noNaN: true, noDefaultInfinity: true }), {
      minLength: length,
      maxLength: length,
    });
  // Model outputs: an embedding that is not zero, and probabilities of which none is zero.
  const outputs = fc.tuple(
    numbers(D, -1).filter((e) => Math.hypot(...e) > 0.01),
    numbers(attributeCount(schema), Math.fround(0.001)),
  );

  it('contributions add up to the score, and what is missing to what the score lacks', () => {
    fc.assert(
      fc.property(outputs, outputs, fc.double({ min: 0, max: 1, noNaN: true }), (a, b, granularity) => {
        const [query, hit] = [stored(...a), stored(...b)];
        const { score, parts, attributes, weights, weighted } = explained(query, hit, granularity);
        // The store's own dot product, in one sum.
        let dot = 0;
        for (let i = 0; i < hit.length; i++) dot += weighted[i]! * hit[i]!;
        expect(score).toBeCloseTo(dot, 6);
        expect(sum(Object.values(parts))).toBeCloseTo(dot, 6);
        const embedding = parts.embedding!;
        expect(embedding + sum(attributes.map(({ contribution }) => contribution))).toBeCloseTo(dot, 6);
        const lacking = sum(attributes.map(({ missing }) => missing)) + (weights[0]! - embedding);
        expect(1 - lacking).toBeCloseTo(dot, 5);
        for (const { missing, query: asked, hit: has } of attributes) {
          expect(missing).toBeGreaterThanOrEqual(0);
          expect(asked).toBeLessThanOrEqual(1 + 1e-6);
          expect(has).toBeLessThanOrEqual(1 + 1e-6);
        }
        const order = attributes.map(({ contribution }) => contribution);
        expect(order).toEqual([...order].sort((x, y) => y - x));
      }),
    );
  });

  it('an attribute that is a level counts in both of its parts', () => {
    const [a, b] = [
      [0.7, 0.2, 0.1, 0.9, 0.1, 0.5, 0.5, 0.1, 0.1],
      [0.6, 0.3, 0.1, 0.2, 0.8, 0.5, 0.1, 0.9, 0.1],
    ];
    const { attributes, weights } = explained(stored([1, 0, 0, 0, 0], a), stored([1, 1, 0, 0, 0], b), 0.6);
    const unit = (block: readonly number[]) => block.map((value) => value / Math.hypot(...block));
    for (const [index, block] of attributeBlocks(schema).entries()) {
      const [x, y] = [a, b].map((all) => unit(all.slice(block.offset, block.offset + block.size)));
      // A third of the attribute part's weight each, and a level's own.
      const weight = weights[1]! / 3 + (index < 2 ? weights[2 + index]! : 0);
      schema.attributes[index]!.values.forEach((value, v) => {
        const entry = attributes.find((one) => one.name === block.name && one.value === value)!;
        expect(entry.contribution).toBeCloseTo(weight * x![v]! * y![v]!, 6);
        expect(entry.missing).toBeCloseTo((weight / 2) * (x![v]! - y![v]!) ** 2, 6);
        expect(entry.query).toBeCloseTo(x![v]!, 6);
        expect(entry.hit).toBeCloseTo(y![v]!, 6);
      });
    }
  });

  it('says it in words: what both have, what one lacks, and nothing that does not matter', () => {
    const bird = stored([1, 0, 0, 0, 0], [0.98, 0.01, 0.01, 0.99, 0.01, 0.5, 0, 0, 0.9]);
    const other = stored([0.6, 0.8, 0, 0, 0], [0.98, 0.01, 0.01, 0.01, 0.99, 0.5, 0, 0.9, 0]);
    expect(explained(bird, other, 0.5).words).toEqual([
      'appearance: 0.24 from the embedding',
      'both: kind bird (0.30), tags round (0.02)',
      'only the query: colour blue (−0.10), tags wild (−0.04)',
      'only the picture found: colour red (−0.10), tags wet (−0.04)',
    ]);
    expect(explained(bird, bird, 0).words).toEqual([
      'appearance: 0.80 from the embedding',
      'both: colour blue (0.07), kind bird (0.07), tags wild (0.05), tags round (0.02)',
    ]);
  });

  it('where attributes do not count, says which both show', () => {
    const weights = [1, 0, 0, 0];
    const vector = stored([1, 0, 0, 0, 0], [0.9, 0.05, 0.05, 0.9, 0.1, 0.9, 0, 0.1, 0]);
    const query = queryVector(layout, vector, weights);
    const { words, attributes } = explainScore({
      schema,
      layout,
      query,
      own: vector,
      weights,
      stored: vector,
    });
    expect(words).toEqual([
      'appearance: 1.00 from the embedding',
      'both show: kind bird, colour blue, tags round (which does not count at this granularity)',
    ]);
    expect(attributes.map(({ contribution }) => contribution)).toEqual([0, 0, 0]);
  });

  it('a query of which an attribute was freed neither gives nor lacks there', () => {
    const vector = stored([1, 0, 0, 0, 0], [0.9, 0.05, 0.05, 0.9, 0.1, 0.5, 0.5, 0.5, 0.5]);
    const weights = weightsAt(LEVEL_WEIGHTS, 0);
    const query = queryVector(layout, vector, weights);
    query.fill(0, layout.parts[1]!.offset + 3, layout.parts[1]!.offset + 5);
    const { attributes, score, parts } = explainScore({ schema, layout, query, weights, stored: vector });
    const colours = attributes.filter(({ name }) => name === 'colour');
    expect(colours.map(({ contribution }) => contribution)).toEqual([0, 0]);
    expect(parts.embedding! + sum(attributes.map(({ contribution }) => contribution))).toBeCloseTo(score, 6);
  });
});
