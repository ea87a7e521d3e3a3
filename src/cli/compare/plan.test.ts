import { describe, expect, it } from 'vitest';
import { emojiRecipe, fineTuneRecipe } from '../../training/index.js';
import { type ComparisonConfiguration, parseComparisonConfiguration } from './configuration.js';
import { methodSettings, type PlanContext, planRuns, settingsOf } from './plan.js';
import { draw, planTrials, searchSummaries, spaceOf } from './search.js';

const parse = (text: string): ComparisonConfiguration => parseComparisonConfiguration(text, 'c.yaml');
const contextOf = (text: string, over: Record<string, unknown> = {}): PlanContext => ({
  configuration: parse(text),
  dataHash: 'd',
  over,
});
const runsOf = (context: PlanContext) =>
  planRuns(context, Object.keys(context.configuration.methods), (method) => methodSettings(context, method));

const BASE = `name: x
data: d.csv
settings: { recipe: emoji, steps: 10, loss: { negativeCost: 10 } }
methods:
  soft: {}
  plain: { loss: { kind: binomial-deviance }, attributeWeight: 0 }
seeds: [0, 7]
`;

describe('settings of a method', () => {
  it('are the recipe, the common ones and its own; another kind of loss keeps no options of the one before', () => {
    const context = contextOf(BASE);
    expect(methodSettings(context, 'soft')).toEqual({
      ...emojiRecipe,
      steps: 10,
      loss: { ...emojiRecipe.loss, negativeCost: 10 },
    });
    expect(methodSettings(context, 'plain')).toMatchObject({
      steps: 10,
      loss: { kind: 'binomial-deviance' },
      attributeWeight: 0,
    });
    expect(methodSettings(contextOf(BASE, { steps: 3 }), 'plain')).toMatchObject({ steps: 3 });
  });
  it('that are none name the method', () => {
    const context = contextOf(BASE.replace('attributeWeight: 0', 'attributeWeigth: 0'));
    expect(() => runsOf(context)).toThrow(/^compare: method plain: configuration: .*attributeWeigth/);
  });
});

describe('a backbone', () => {
  const backbone = (more: string) => `name: x
data: d.csv
settings: { backbone: { source: net.onnx${more} }, network: { inputSize: 64 } }
methods: { m: }
seeds: [0]
`;
  it('is resolved over the recipe of fine-tuning, as `train` does, where all is written; else left to its file', () => {
    const [whole] = runsOf(contextOf(backbone(', mean: [0, 0, 0], std: [1, 1, 1]')));
    expect(whole).toMatchObject({
      steps: fineTuneRecipe.steps,
      settings: { learningRate: fineTuneRecipe.learningRate },
    });
    expect(whole?.settings).toMatchObject({ backbone: { channels: 'rgb', trained: 'last-stage' } });
    const [part] = runsOf(contextOf(backbone('')));
    expect(part).toMatchObject({ steps: fineTuneRecipe.steps });
    expect(part?.settings).toEqual({ seed: 0, backbone: { source: 'net.onnx' }, network: { inputSize: 64 } });
  });
});

describe('the grid', () => {
  it('is every combination, several grids are put together, and all of the data is no derivation', () => {
    const one = parse(`${BASE}grid: { items: [0.5, 1], picturesPerItem: [2, all], steps: [5] }`);
    expect(settingsOf(one).map(({ name }) => name)).toEqual([
      'items=0.5,picturesPerItem=2,steps=5',
      'items=0.5,picturesPerItem=all,steps=5',
      'items=1,picturesPerItem=2,steps=5',
      'items=1,picturesPerItem=all,steps=5',
    ]);
    expect(settingsOf(one)[3]).toMatchObject({ data: {}, settings: { steps: 5 } });
    const two = parse(`${BASE}grid: [{ items: [0.1, 1] }, { picturesPerItem: [2] }]`);
    expect(settingsOf(two).map(({ name }) => name)).toEqual(['items=0.1', 'items=1', 'picturesPerItem=2']);
    expect(settingsOf(parse(BASE)).map(({ name }) => name)).toEqual(['default']);
  });
});

describe('the runs', () => {
  it('are methods × settings × seeds × folds, each another run in another folder', () => {
    const runs = runsOf(contextOf(`${BASE}folds: 3\ngrid: { items: [0.5, 1] }`));
    expect(runs).toHaveLength(2 * 2 * 2 * 3);
    expect(new Set(runs.map(({ fingerprint }) => fingerprint)).size).toBe(runs.length);
    expect(new Set(runs.map(({ folder }) => folder)).size).toBe(runs.length);
    expect(runs[0]).toMatchObject({
      method: 'soft',
      setting: 'items=0.5',
      seed: 0,
      fold: 0,
      steps: 10,
      split: 'test',
      settings: { seed: 0, steps: 10, loss: { kind: 'soft-binomial-deviance', negativeCost: 10 } },
      derivation: { items: 0.5, seed: 0, fold: { index: 0, count: 3, as: 'test' } },
    });
    expect(runs[0]!.folder).toMatch(/^runs\/soft_items=0\.5_seed0_fold0_[0-9a-f]{8}$/);
  });
  it('judge what they are asked to; folds of judge: test are validated on', () => {
    const splits = (more: string) =>
      runsOf(contextOf(BASE + more)).map(({ split, derivation }) => [split, derivation.fold?.as]);
    expect(splits('')[0]).toEqual(['val', undefined]);
    expect(splits('judge: test')[0]).toEqual(['test', undefined]);
    expect(splits('folds: 2')[0]).toEqual(['test', 'test']);
    expect(splits('folds: 2\njudge: test')[0]).toEqual(['test', 'val']);
  });
  it('are the same runs whatever the comparison is called, and other runs on other data or settings', () => {
    const prints = (text: string, dataHash = 'd') =>
      runsOf({ ...contextOf(text), dataHash }).map(({ fingerprint }) => fingerprint);
    expect(prints(BASE.replace('name: x', 'name: y'))).toEqual(prints(BASE));
    expect(prints(BASE.replace('{}', '{ averageDecay: 0.99 }'))).toEqual(prints(BASE)); // what the recipe says anyway
    const changed = prints(BASE.replace('{}', '{ averageDecay: 0.9 }'));
    expect(changed.map((print, i) => print === prints(BASE)[i])).toEqual([false, true, false, true]);
    expect(prints(BASE, 'e')).not.toContain(prints(BASE)[0]);
  });
});

const SEARCH = `${BASE}search:
  trials: 40
  seed: 5
  settings: { steps: 4 }
  space:
    '*': { learningRate: { log: [0.001, 0.1] }, attributeWeight: { uniform: [0, 1] } }
    plain: { loss.negativeCost: { log: [5, 50] }, batch.items: { integer: [2, 4] }, loss.beta: { choice: [0, 0.5] } }
`;

describe('the search', () => {
  it('leaves alone what a method sets itself, unless its own space names it', () => {
    const configuration = parse(SEARCH);
    expect(Object.keys(spaceOf(configuration, 'soft'))).toEqual(['learningRate', 'attributeWeight']);
    expect(Object.keys(spaceOf(configuration, 'plain'))).toEqual([
      'learningRate',
      'loss.negativeCost',
      'batch.items',
      'loss.beta',
    ]);
  });

  it('has as many trials for each method; the first as written; shared settings draw the same values', () => {
    const trials = planTrials(contextOf(SEARCH), ['soft', 'plain']);
    expect(trials).toHaveLength(80);
    const [soft, plain] = ['soft', 'plain'].map((name) => trials.filter(({ method }) => method === name));
    expect([soft![0]!.values, plain![0]!.values]).toEqual([{}, {}]);
    for (let t = 1; t < 40; t++) {
      expect(soft![t]!.values.learningRate).toBe(plain![t]!.values.learningRate);
      expect(plain![t]!.run).toMatchObject({ steps: 4, seed: 5, split: 'val', trial: t, setting: 'default' });
      expect(plain![t]!.run.settings).toMatchObject({
        attributeWeight: 0,
        loss: { kind: 'binomial-deviance' },
      });
    }
    // Half of the draws of a logarithmic range are below its geometric mean.
    const below = soft!.slice(1).filter(({ values }) => (values.learningRate as number) < 0.01).length;
    expect(below).toBeGreaterThan(10);
    expect(below).toBeLessThan(29);
  });

  it('draws within each distribution, the same again', () => {
    const of = (distribution: Parameters<typeof draw>[0]) =>
      Array.from({ length: 200 }, (_, trial) => draw(distribution, 0, trial, 'p') as number);
    const within = (values: number[], low: number, high: number) =>
      values.every((value) => value >= low && value <= high);
    expect(within(of({ log: [0.01, 10] }), 0.01, 10)).toBe(true);
    expect(within(of({ uniform: [-1, 1] }), -1, 1)).toBe(true);
    expect(new Set(of({ integer: [2, 4] }))).toEqual(new Set([2, 3, 4]));
    expect(new Set(of({ choice: ['a', 'b'] as unknown[] }))).toEqual(new Set(['a', 'b']));
    expect(of({ uniform: [-1, 1] })).toEqual(of({ uniform: [-1, 1] }));
  });

  it('chooses the best score on validation, the earlier of equals, and says where there was nothing to search', () => {
    const configuration = parse(SEARCH.replace('trials: 40', 'trials: 4').replace("'*':", 'soft:'));
    const context = { configuration, dataHash: 'd' };
    const trials = planTrials(context, ['soft', 'plain']);
    const scores = [0.2, 0.5, 0.4, 0.5];
    const outcomes = trials.map(({ run }) => ({
      run,
      status: 'done' as const,
      result: { figures: { mapAtR: scores[run.trial!] } } as never,
    }));
    const summaries = searchSummaries(configuration, ['soft', 'plain'], trials, outcomes);
    expect(summaries.map(({ trial, score }) => [trial, score])).toEqual([
      [1, 0.5],
      [1, 0.5],
    ]);
    expect(summaries[0]!.chosen).toEqual(
      trials.find(({ method, run }) => method === 'soft' && run.trial === 1)!.values,
    );
    const empty = parse(SEARCH.replace(/ {4}'\*'.*\n/, ''));
    const [soft] = searchSummaries(empty, ['soft', 'plain'], [], []);
    expect(soft).toMatchObject({
      budget: 40,
      chosen: {},
      note: expect.stringContaining('nothing to search'),
    });
  });
});
