/**
 * The attribute loss against a naive loop in float64.
 */
import { describe, expect, it } from 'vitest';
import { centralDifferences, expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import type { AttributeBlock } from '../granularity/index.js';
import { gradients, input, type Value } from '../graph/index.js';
import { GraphError, Random } from '../util/index.js';
import { attributeLoss } from './index.js';

const single = (name: string, offset: number, size: number): AttributeBlock => ({
  name,
  kind: 'single',
  offset,
  size,
});
const multi = (name: string, offset: number, size: number): AttributeBlock => ({
  name,
  kind: 'multi',
  offset,
  size,
});

const BLOCKS = [single('colour', 0, 3), multi('tags', 3, 4), single('shape', 7, 2)];
const WIDTH = 9;

interface Case {
  readonly logits: readonly number[];
  readonly labels: readonly number[];
  readonly known: readonly number[];
  readonly count: number;
  readonly blocks: readonly AttributeBlock[];
  readonly labelSmoothing?: number;
}

function naive(
  { labels, known, count, blocks, labelSmoothing = 0 }: Case,
  logits: readonly number[],
): number {
  const width = logits.length / count;
  let total = 0;
  blocks.forEach(({ kind, offset, size }, k) => {
    let sum = 0;
    let pictures = 0;
    for (let i = 0; i < count; i++) {
      if (known[i * blocks.length + k] === 0) continue;
      pictures++;
      const z = logits.slice(i * width + offset, i * width + offset + size);
      const y = labels.slice(i * width + offset, i * width + offset + size);
      if (kind === 'single') {
        const highest = Math.max(...z);
        const logSum = highest + Math.log(z.reduce((s, value) => s + Math.exp(value - highest), 0));
        z.forEach((value, v) => {
          const target = y[v]! * (1 - labelSmoothing) + labelSmoothing / size;
          sum -= target * (value - logSum);
        });
      } else {
        z.forEach((value, v) => {
          const p = 1 / (1 + Math.exp(-value));
          sum -= (y[v] === 1 ? Math.log(p) : Math.log(1 - p)) / size;
        });
      }
    }
    if (pictures > 0) total += sum / pictures;
  });
  return total / blocks.length;
}

async function evaluate({ logits, labels, known, count, blocks, labelSmoothing }: Case) {
  const z = input('logits', 'float32', [count, logits.length / count]);
  const y = input('labels', 'float32', [count, logits.length / count]);
  const k = input('known', 'float32', [count, blocks.length]);
  const loss = attributeLoss(z, y, k, blocks, labelSmoothing === undefined ? {} : { labelSmoothing });
  const dz = gradients(loss, [z])[0] as Value;
  const results = await runValues([z, y, k], { loss, dz }, { logits, labels, known });
  return { loss: results.loss?.[0] ?? Number.NaN, gradient: results.dz ?? [] };
}

/** Random logits; labels one of each single attribute, any of each multi one; every third block unknown. */
function drawn(count: number, seed: number, labelSmoothing?: number): Case {
  const random = Random.from(seed);
  const logits = Array.from({ length: count * WIDTH }, () => Math.fround(2 * random.normal()));
  const labels: number[] = [];
  const known: number[] = [];
  for (let i = 0; i < count; i++) {
    for (const { kind, size } of BLOCKS) {
      const isKnown = random.integer(3) > 0;
      const chosen = random.integer(size);
      known.push(isKnown ? 1 : 0);
      for (let v = 0; v < size; v++) {
        const label = kind === 'single' ? Number(v === chosen) : random.integer(2);
        labels.push(isKnown ? label : 0);
      }
    }
  }
  return {
    logits,
    labels,
    known,
    count,
    blocks: BLOCKS,
    ...(labelSmoothing === undefined ? {} : { labelSmoothing }),
  };
}

describe('attributeLoss', () => {
  it.each([
    ['five pictures, some unknown', drawn(5, 1)],
    ['eight pictures, label smoothing', drawn(8, 2, 0.1)],
    ['label smoothing 1', drawn(3, 3, 1)],
    ['one picture', drawn(1, 7)],
    [
      'one single attribute',
      { ...drawn(1, 4), logits: [1, 2], labels: [0, 1], known: [1], blocks: [single('a', 0, 2)] },
    ],
    [
      'one multi attribute',
      { ...drawn(1, 4), logits: [1, -2], labels: [1, 1], known: [1], blocks: [multi('a', 0, 2)] },
    ],
  ])('value and gradient as a loop: %s', async (_, case_) => {
    const got = await evaluate(case_);
    expectNear([got.loss], [naive(case_, case_.logits)]);
    const differences = centralDifferences((logits) => naive(case_, logits), case_.logits);
    expectNear(got.gradient, differences, 1e-5, 'gradient');
  });

  it('is log of the count of values for even logits', async () => {
    const case_ = {
      logits: [0, 0, 0, 0],
      labels: [0, 0, 1, 0],
      known: [1],
      count: 1,
      blocks: [single('a', 0, 4)],
    };
    expectNear([(await evaluate(case_)).loss], [Math.log(4)]);
    expectNear([(await evaluate({ ...case_, blocks: [multi('a', 0, 4)] })).loss], [Math.log(2)]);
  });

  it('an attribute that no picture knows adds nothing, neither do all', async () => {
    const case_ = drawn(4, 5);
    const nothing = await evaluate({ ...case_, known: case_.known.map(() => 0) });
    expect(nothing.loss).toBe(0);
    expect(nothing.gradient.every((value) => value === 0)).toBe(true);
    const colourUnknown = case_.known.map((known, i) => (i % 3 === 0 ? 0 : known));
    const { gradient } = await evaluate({ ...case_, known: colourUnknown });
    expect(gradient.filter((_, i) => i % WIDTH < 3).every((value) => value === 0)).toBe(true);
    expect(gradient.some((value) => value !== 0)).toBe(true);
  });

  it.each([100, -100])('is finite for logits of ±%d', async (size) => {
    const case_ = drawn(4, 6);
    const extreme = { ...case_, logits: case_.logits.map((_, i) => (i % 2 === 0 ? size : -size)) };
    const { loss, gradient } = await evaluate(extreme);
    expect(Number.isFinite(loss)).toBe(true);
    expect(gradient.every(Number.isFinite)).toBe(true);
  });

  it('asks for an attribute', () => {
    const z = input('z', 'float32', [2, 0]);
    const build = () => attributeLoss(z, z, z, []);
    expect(build).toThrow(GraphError);
    expect(build).toThrow('attributeLoss: at least one attribute is required, got none.');
  });
});
