/**
 * Losses against PyTorch: `test/golden/losses.json`, which `make-losses.py` beside it writes (in float64).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { gradients, input, int64, type Value } from '../graph/index.js';
import { binomialDevianceLoss, type MetricLoss, tripletLoss } from './index.js';

interface Case {
  readonly loss: string;
  readonly items: readonly number[];
  readonly embeddings: readonly number[];
  readonly value: number;
  readonly gradient: readonly number[];
}

const LOSSES: Readonly<Record<string, MetricLoss>> = {
  binomialDeviance: binomialDevianceLoss(),
  batchHardTriplet: tripletLoss({ mining: 'batch-hard' }),
};

const file = new URL('../../test/golden/losses.json', import.meta.url);
const { losses } = JSON.parse(readFileSync(file, 'utf8')) as { losses: Case[] };

describe('as in PyTorch', () => {
  it.each(losses)('$loss of items $items', async ({ loss, items, embeddings, value, gradient }) => {
    const x = input('embeddings', 'float32', [items.length, embeddings.length / items.length]);
    const y = (LOSSES[loss] as MetricLoss)({ embeddings: x, itemIds: int64(items) });
    const results = await runValues([x], { y, dx: gradients(y, [x])[0] as Value }, { embeddings });
    expect(value).toBeGreaterThan(0);
    expectNear(results.y, [value]);
    expectNear(results.dx, gradient, 1e-5, 'gradient');
  });
});
