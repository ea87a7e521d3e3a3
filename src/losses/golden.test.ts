/**
 * Every metric loss and its gradients against PyTorch, alone and with a memory: `test/golden/losses.json`, which
 * `make-losses.py` beside it writes (in float64).
 */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { expectNear } from '../../test/support/differences.js';
import { runValues } from '../../test/support/run-graph.js';
import { constant, gradients, input, int64, type Value } from '../graph/index.js';
import {
  binomialDevianceLoss,
  boostedEnsembleLoss,
  contrastiveLoss,
  type MetricLoss,
  multiSimilarityLoss,
  normalizedSoftmaxLoss,
  proxyAnchorLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from './index.js';

const LOSSES = {
  binomialDeviance: binomialDevianceLoss,
  boostedEnsemble: boostedEnsembleLoss,
  contrastive: contrastiveLoss,
  multiSimilarity: multiSimilarityLoss,
  normalizedSoftmax: normalizedSoftmaxLoss,
  proxyAnchor: proxyAnchorLoss,
  softBinomialDeviance: softBinomialDevianceLoss,
  triplet: tripletLoss,
};

interface Case {
  readonly loss: keyof typeof LOSSES;
  readonly options: object;
  readonly items: readonly number[];
  /** [B, D] */
  readonly embeddings: readonly number[];
  readonly value: number;
  readonly gradient: readonly number[];
  /** [B, N] */
  readonly semantic?: readonly number[];
  /** [C, D] */
  readonly proxies?: readonly number[];
  readonly proxyGradient?: readonly number[];
  readonly memory?: {
    readonly embeddings: readonly number[];
    readonly items: readonly number[];
    readonly filled: readonly number[];
  };
}

const file = new URL('../../test/golden/losses.json', import.meta.url);
const { losses } = JSON.parse(readFileSync(file, 'utf8')) as { losses: Case[] };

describe('as in PyTorch', () => {
  it.each(
    losses.map((golden) => ({
      ...golden,
      title: `${golden.loss} ${JSON.stringify(golden.options)}, items ${golden.items.join()}${golden.memory === undefined ? '' : ', with a memory'}`,
    })),
  )('$title', async ({ loss, options, items, embeddings, value, gradient, ...given }) => {
    const { semantic, proxies, proxyGradient, memory } = given;
    const batch = items.length;
    const dimension = embeddings.length / batch;
    const x = input('embeddings', 'float32', [batch, dimension]);
    const p = input('proxies', 'float32', [(proxies?.length ?? 0) / dimension, dimension]);
    const make = LOSSES[loss] as (options: object) => MetricLoss;
    const y = make(options)({
      embeddings: x,
      itemIds: int64(items),
      ...(semantic === undefined
        ? {}
        : { semanticSimilarity: constant(semantic, [batch, semantic.length / batch]) }),
      ...(proxies === undefined ? {} : { proxies: p }),
      ...(memory === undefined
        ? {}
        : {
            memory: {
              embeddings: constant(memory.embeddings, [memory.items.length, dimension]),
              itemIds: int64(memory.items),
              isFilled: constant(memory.filled, [memory.items.length]),
            },
          }),
    });
    const inputs = proxies === undefined ? [x] : [x, p];
    const [dx, dp] = gradients(y, inputs);
    const results = await runValues(
      inputs,
      { y, dx: dx as Value, ...(dp === undefined ? {} : { dp }) },
      { embeddings, ...(proxies === undefined ? {} : { proxies }) },
    );
    expect(value).toBeGreaterThan(0);
    expectNear(results.y, [value]);
    expectNear(results.dx, gradient, 1e-5, 'gradient');
    if (proxyGradient !== undefined) expectNear(results.dp, proxyGradient, 1e-5, 'gradient by proxies');
  });

  it('every loss has its cases', () => {
    expect(new Set(losses.map(({ loss }) => loss))).toEqual(new Set(Object.keys(LOSSES)));
  });
});
