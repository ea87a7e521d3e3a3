import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { makePictures } from '../../../test/support/command-line.js';
import { readManifest } from '../../data/index.js';
import { resolveConfiguration } from '../../training/index.js';
import { Random, silentProgress } from '../../util/index.js';
import { schemaOf } from '../training-run.js';
import { medianRatio, timeSteps } from './step-costs.js';

describe('the ratio of steps in turns', () => {
  it('takes out a machine that grows slower: each step against those around it', () => {
    // The other runs at 0, 2, 4, …, this one at 1, 3, 5, …; the machine slows down steadily, this one costs half more.
    const slow = (time: number) => 100 + 10 * time;
    const other = [0, 2, 4, 6, 8].map(slow);
    const own = [1, 3, 5, 7].map((time) => 1.5 * slow(time));
    for (const value of Object.values(medianRatio(own, other))) expect(value).toBeCloseTo(1.5, 12);
    expect(medianRatio([...own, 9999], other).ratio).toBeCloseTo(1.5, 12);
  });
  it('has an interval that holds the true median of random ratios about 95 times in 100', () => {
    const random = Random.from(4);
    let held = 0;
    for (let round = 0; round < 400; round++) {
      const own = Array.from({ length: 30 }, () => Math.exp(0.1 * random.normal()));
      const { low, high } = medianRatio(own, new Array<number>(31).fill(1));
      if (low <= 1 && high >= 1) held++;
    }
    expect(held).toBeGreaterThan(368);
    expect(held).toBeLessThan(397);
  });
});

describe('timing', () => {
  it('runs as many steps of each method, in real trainings, each with its interval around its ratio', async () => {
    const root = await mkdtemp(join(tmpdir(), 'semblance-cost-'));
    try {
      const manifest = await readManifest(await makePictures(root));
      const configuration = (widths: number[], loss: unknown = { kind: 'binomial-deviance' }) =>
        resolveConfiguration({
          loss,
          network: { inputSize: 32, widths, embeddingSize: 8 },
          batch: { items: 8, picturesPerItem: 2 },
        });
      const timed = await timeSteps({
        manifest,
        schema: schemaOf(manifest, () => {}),
        configurations: {
          small: configuration([8, 16]),
          large: configuration([64, 64]),
          proxies: configuration([8, 16], { kind: 'proxy-anchor' }),
        },
        reference: 'small',
        steps: 6,
        progress: silentProgress,
        signal: new AbortController().signal,
      });
      expect(timed.map(({ method, steps }) => [method, steps])).toEqual([
        ['small', 6],
        ['large', 6],
        ['proxies', 6],
      ]);
      expect(timed[0]?.ratio).toBe(1);
      for (const { millisecondsPerStep, ratio, low, high } of timed) {
        expect(millisecondsPerStep).toBeGreaterThan(0);
        expect(low).toBeGreaterThan(0);
        expect(ratio).toBeGreaterThanOrEqual(low);
        expect(ratio).toBeLessThanOrEqual(high);
      }
    } finally {
      await rm(root, { recursive: true, force: true });
    }
  });
});
