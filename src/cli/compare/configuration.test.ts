import { describe, expect, it } from 'vitest';
import { parseComparisonConfiguration } from './configuration.js';

const WHOLE = `name: try
data: emoji
settings: { recipe: emoji, steps: 10 }
methods:
  a: { loss.kind: triplet }
  b:
seeds: [3, 4]
folds: 3
judge: test
grid:
  items: [0.1, 1]
  picturesPerItem: [2, all]
  network.embeddingSize: [64]
search:
  trials: 4
  space:
    '*': { learningRate: { log: [0.001, 0.1] } }
    a: { loss.margin: { uniform: [0.1, 0.3] } }
    b:
comparisons:
  - [a, b]
`;

const at = (text: string) => {
  try {
    parseComparisonConfiguration(text, 'c.yaml');
  } catch (error) {
    return (error as Error).message;
  }
  return 'no error';
};

describe('the configuration of a comparison', () => {
  it('fills in what is left out', () => {
    const { methods, folds, grid, search, metrics } = parseComparisonConfiguration(WHOLE, 'c.yaml');
    expect(methods).toEqual({ a: { 'loss.kind': 'triplet' }, b: {} });
    expect(folds).toEqual({ count: 3 });
    expect(grid).toHaveLength(1);
    expect(search).toMatchObject({ trials: 4, seed: 0, score: 'mapAtR', settings: {}, space: { b: {} } });
    expect(metrics).toBeUndefined();
    expect(parseComparisonConfiguration('name: x\ndata: d.csv\nmethods: { m: }', 'c.yaml')).toMatchObject({
      seeds: [0, 1, 2],
      judge: 'val',
      comparisons: [],
    });
  });

  it.each([
    ['name: [', /^c\.yaml:\d+: is not valid YAML: /],
    ['name: x\nname: y', /^c\.yaml:2: is not valid YAML: .*unique/],
    [WHOLE.replace('data: emoji\n', ''), /^c\.yaml: data: /],
    [WHOLE.replace('seeds: [3, 4]', 'seed: [3, 4]'), /^c\.yaml:7: seed: is no key that a comparison has/],
    [WHOLE.replace('[3, 4]', '[3, 3]'), /^c\.yaml:7: seeds: must differ, got \[3, 3\]/],
    [WHOLE.replace('items: [0.1, 1]', 'items: [0.1, 2]'), /^c\.yaml:1[01]: grid\./],
    [WHOLE.replace('[a, b]', '[a, c]'), /^c\.yaml:21: comparisons\.0\.1: must be one of a, b, got 'c'/],
    [WHOLE.replace('[a, b]', '[a, a]'), /^c\.yaml:21: comparisons\.0: must be two methods, got 'a' twice/],
    [
      WHOLE.replace('uniform: [0.1, 0.3]', 'normal: [0.1, 0.3]'),
      /^c\.yaml:18: search\.space\.a\.loss\.margin: must be one of \{ log/,
    ],
    [WHOLE.replace('log: [0.001, 0.1]', 'log: [0, 0.1]'), /^c\.yaml:17: search\.space\.\*\.learningRate/],
    [
      WHOLE.replace('    b:\ncomp', '    z: {}\ncomp'),
      /^c\.yaml:19: search\.space\.z: must be '\*' or one of a, b, got 'z'/,
    ],
    [WHOLE.replace('  b:\nseeds', '  b/c:\nseeds'), /^c\.yaml:6: methods\.b\/c: .*folder/],
    [WHOLE.replace('judge: test', 'judge: train'), /^c\.yaml:9: judge: /],
    [`name: x\ndata: y\nmethods: {}\n`, /^c\.yaml:3: methods: must name at least one method/],
    ['', /^c\.yaml: comparison: /],
  ])('says where and what is wrong: %#', (text, message) => {
    expect(at(text)).toMatch(message);
    expect(at(text)).not.toContain('\n');
  });
});
