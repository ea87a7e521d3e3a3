import { describe, expect, it } from 'vitest';
import { CliError } from '../util/index.js';
import { emojiRecipe, resolveConfiguration } from './index.js';

describe('resolveConfiguration', () => {
  it('fills in the defaults, once and for all', () => {
    const resolved = resolveConfiguration({});
    expect(resolved).toMatchObject({
      seed: 0,
      network: { inputSize: 64, normalization: 'batch' },
      loss: { kind: 'soft-binomial-deviance', source: 'labels', mapping: { kind: 'identity' } },
      optimizer: { kind: 'adamw' },
    });
    expect(resolveConfiguration(resolved)).toEqual(resolved);
    expect(resolveConfiguration(JSON.parse(JSON.stringify(resolved)))).toEqual(resolved);
  });

  it('keeps what is given, and the kind of loss and optimiser need not be', () => {
    expect(
      resolveConfiguration({ loss: { slack: 0.2 }, optimizer: { beta1: 0.8 }, augmentation: { hue: 0.1 } }),
    ).toMatchObject({
      loss: { kind: 'soft-binomial-deviance', slack: 0.2, alpha: 2 },
      optimizer: { kind: 'adamw', beta1: 0.8 },
      augmentation: { hue: 0.1 },
    });
    expect(resolveConfiguration({ loss: { kind: 'triplet' } }).loss).toEqual({
      kind: 'triplet',
      margin: 0.2,
      mining: 'semi-hard',
    });
  });

  it('the recipes are configurations', () => {
    expect(resolveConfiguration(emojiRecipe)).toMatchObject(emojiRecipe);
  });

  it.each([
    [5, /configuration: value: Invalid input: expected object/],
    [{ foo: 1 }, /configuration: value: Unrecognized key: "foo"/],
    [{ steps: 0 }, /configuration: steps: /],
    [{ steps: 1.5 }, /configuration: steps: /],
    [{ seed: -1 }, /configuration: seed: /],
    [{ learningRate: Number.NaN }, /configuration: learningRate: /],
    [{ loss: 'triplet' }, /configuration: loss: /],
    [{ loss: { kind: 'arcface' } }, /configuration: loss\.kind: .*'binomial-deviance'/],
    [{ loss: { kind: 'contrastive', slack: 1 } }, /configuration: loss: Unrecognized key: "slack"/],
    [{ loss: { slack: -1 } }, /configuration: loss\.slack: /],
    [{ loss: { mapping: { kind: 'power' } } }, /configuration: loss\.mapping\.exponent: /],
    [{ network: { widths: [] } }, /configuration: network\.widths: /],
    [{ network: { inputSize: 60 } }, /network\.inputSize: must be divisible by 16 for 4 widths, got 60/],
    [
      { loss: { kind: 'boosted-ensemble', learners: [100, 100] } },
      /loss\.learners: must add up to network\.embeddingSize, 256, got 100 \+ 100/,
    ],
    [
      { loss: { kind: 'boosted-ensemble', learners: 30 } },
      /loss\.learners: must be few enough that each has a coordinate of the 256, got 30/,
    ],
    [{ memory: { batches: -1 } }, /configuration: memory\.batches: /],
    [
      { loss: { kind: 'proxy-anchor' }, memory: { batches: 4 } },
      /memory\.batches: must be absent or 0 for a loss on proxies, which compares no pairs, got 4/,
    ],
    [{ averageDecay: 1 }, /configuration: averageDecay: /],
    [{ optimizer: { beta2: 1 } }, /configuration: optimizer\.beta2: /],
    [{ batch: { lookAlikeFraction: 1 } }, /configuration: batch\.lookAlikeFraction: /],
    [{ augmentation: { rotate: 5 } }, /configuration: augmentation: Unrecognized key: "rotate"/],
    [{ augmentation: { hue: 5 } }, /configuration: augmentation\.hue: /],
    [{ augmentation: { background: 'white' } }, /configuration: augmentation\.background: /],
  ])('refuses %j', (configuration, message) => {
    expect(() => resolveConfiguration(configuration)).toThrow(CliError);
    expect(() => resolveConfiguration(configuration)).toThrow(message);
    expect(() => resolveConfiguration(configuration)).toThrow(/See `semblance train --help`\.$/);
  });
});
