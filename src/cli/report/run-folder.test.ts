import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { meanLog, trainingPlots } from './curves.js';
import { readLog, readRun, runLabels } from './run-folder.js';

let root = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-runs-'));
});
afterAll(() => rm(root, { recursive: true, force: true }));

it.each([
  [['runs/a'], ['a']],
  [
    ['runs/a', 'runs/b/'],
    ['a', 'b'],
  ],
  [
    ['x/a', 'y/a', 'y/b'],
    ['x/a', 'y/a', 'y/b'],
  ],
])('%j are called %j', (directories, labels) => {
  expect(runLabels(directories)).toEqual(labels);
});

it('the same folder twice ends the search for a difference', () => {
  expect(runLabels(['a', 'a'])).toHaveLength(2);
});

describe('readLog', () => {
  it('reads a line an entry and names the line that is none', async () => {
    const file = join(root, 'metrics.jsonl');
    await writeFile(file, '{"step":1,"loss":2}\n\n{"step":2,"loss":1}\n');
    expect(await readLog(file)).toEqual([
      { step: 1, loss: 2 },
      { step: 2, loss: 1 },
    ]);
    await writeFile(file, '{"step":1}\n{"loss":2}\n');
    await expect(readLog(file)).rejects.toThrow(
      /metrics\.jsonl:2: must be an entry of the log: no number 'step'/,
    );
    expect(await readLog(join(root, 'none.jsonl'))).toEqual([]);
  });

  it('a folder without a model is no run', async () => {
    await expect(readRun(root)).rejects.toThrow(/is no run: .*must hold model\/, got none/);
  });
});

describe('curves', () => {
  const judged = (step: number, recallAt1: number) => ({
    step,
    validation: { score: recallAt1, details: { recallAt1 } },
  });
  const log = [{ step: 1, loss: 2, metricLoss: 2, attributeLoss: 0 }, judged(1, 0.5)];

  it('leave out a part of the loss that is not there', () => {
    const [loss, validation] = trainingPlots([{ label: 'a', log }]);
    expect(loss!.curves.map(({ label }) => label)).toEqual(['total', 'metric']);
    expect(validation!.curves).toEqual([{ label: 'Recall@1', points: [[1, 0.5]] }]);
  });

  it('of several runs lie over one another', () => {
    const plots = trainingPlots([
      { label: 'a', log },
      { label: 'b', log: [judged(1, 0.25)] },
      { label: 'empty', log: [] },
    ]);
    const recall = plots.find(({ title }) => title.startsWith('Recall@1'));
    expect(recall!.curves).toEqual([
      { label: 'a', points: [[1, 0.5]] },
      { label: 'b', points: [[1, 0.25]] },
    ]);
  });

  it('of seeds are averaged step by step, where all have the step', () => {
    expect(meanLog([log, [{ step: 1, loss: 4 }, judged(1, 0.7), { step: 2, loss: 1 }]])).toEqual([
      { step: 1, loss: 3 },
      judged(1, 0.6),
    ]);
    expect(meanLog([])).toEqual([]);
  });
});
