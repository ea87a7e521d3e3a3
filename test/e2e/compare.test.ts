/**
 * A comparison with the built command line and real child processes: left alone, interrupted, killed, failing. What comes
 * out must not depend on which of these happened.
 */
import type { ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { type Comparison, comparisonFormat, runQueriesFormat } from '../../src/evaluation/index.js';
import { makePictures, semblance } from '../support/command-line.js';

const STEPS = 150;
const CONFIGURATION = `name: tiny
data: manifest.csv
settings:
  steps: ${STEPS}
  network: { inputSize: 16, widths: [8, 16], embeddingSize: 8 }
  batch: { items: 4, picturesPerItem: 2 }
  validateEvery: 60
  checkpointEvery: 1000 # none but at the end, and where a run is told to stop
  warmUpSteps: 2
methods:
  deviance: { loss: { kind: binomial-deviance }, attributeWeight: 0 }
  linked: {}
seeds: [0, 1]
judge: test
comparisons:
  - [linked, deviance]
`;

let root = '';
let file = '';
let whole: Comparison;

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-compare-'));
  await makePictures(root);
  file = join(root, 'tiny.yaml');
  await writeFile(file, CONFIGURATION);
  const { code, stdout, stderr } = await semblance(['compare', file, '--out', join(root, 'whole'), '--json']);
  expect(code, stderr).toBe(0);
  whole = comparisonFormat.parse(JSON.parse(stdout));
});
afterAll(() => rm(root, { recursive: true, force: true }));

/** All that must be the same again: everything but times and memory. */
const figures = ({ runs, summaries, differences }: Comparison) => ({
  runs,
  differences,
  summaries: summaries.map(({ cost: { parameters, extraParameters }, ...rest }) => ({
    ...rest,
    parameters,
    extraParameters,
  })),
});

/** Resolves when a run in the folder has logged this many steps. */
async function stepsLogged(directory: string, steps: number): Promise<string> {
  for (;;) {
    const runs = existsSync(join(directory, 'runs')) ? await readdir(join(directory, 'runs')) : [];
    for (const name of runs) {
      const log = join(directory, 'runs', name, 'training', 'metrics.jsonl');
      const text = existsSync(log) ? await readFile(log, 'utf8') : '';
      if (text.includes(`"step":${steps},`)) return join(directory, 'runs', name);
    }
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

describe('semblance compare', () => {
  it('leaves a report with a row a method, the difference, and pictures of the judged runs', async () => {
    const html = await readFile(join(root, 'whole', 'report.html'), 'utf8');
    for (const { method, figures: found } of whole.summaries) {
      const row = html.match(
        new RegExp(`<th scope="row">${method}<small>2 seeds</small></th><td[^>]*>([^<]*)<`),
      );
      expect(row?.[1]).toBe((100 * (found.recallAt1?.mean ?? Number.NaN)).toFixed(1));
    }
    expect(html).toContain('linked − deviance');
    expect(html).toContain('data:image/webp;base64,');
    expect(html).not.toMatch(/(?:src|href)="(?:https?:)?\/\//);
  });

  it('gives each method its mean over seeds, the difference both ways, cost and the queries behind it', async () => {
    expect(whole.runs.map(({ method, seed, status }) => `${method} ${seed} ${status}`).sort()).toEqual([
      'deviance 0 done',
      'deviance 1 done',
      'linked 0 done',
      'linked 1 done',
    ]);
    for (const { method, figures: found, cost, runs } of whole.summaries) {
      const own = whole.runs
        .filter((run) => run.method === method)
        .map((run) => run.figures.mapAtR as number);
      expect(found.mapAtR?.mean).toBeCloseTo(((own[0] as number) + (own[1] as number)) / 2, 12);
      expect(runs).toBe(2);
      expect(cost.millisecondsPerStep).toBeGreaterThan(0);
      expect(cost.peakMemoryMb).toBeGreaterThan(50);
    }
    const [deviance, linked] = whole.summaries;
    // The attribute head: 16 features (4 × 4 positions of 16 channels, flattened) to 3 colours and 2 shapes.
    expect(linked?.cost.extraParameters).toBe(
      (linked?.cost.parameters ?? 0) - (deviance?.cost.parameters ?? 0),
    );
    expect(linked?.cost.extraParameters).toBeGreaterThan(0);
    const [difference] = whole.differences.filter(({ metric }) => metric === 'mapAtR');
    expect(difference?.overSeeds.mean).toBeCloseTo(
      (linked?.figures.mapAtR?.mean ?? 0) - (deviance?.figures.mapAtR?.mean ?? 0),
      12,
    );
    // Without sources the mean over queries is the figure itself.
    expect(difference?.overQueries?.mean).toBeCloseTo(difference?.overSeeds.mean ?? Number.NaN, 6);
    expect(difference?.overQueries).toMatchObject({ queries: 15, items: 5 });
    const folder = join(root, 'whole', whole.runs[0]?.folder ?? '');
    const queries = runQueriesFormat.parse(JSON.parse(await readFile(join(folder, 'queries.json'), 'utf8')));
    const values = (queries.figures.mapAtR ?? []).filter((value) => value !== null);
    expect(values.reduce((sum, value) => sum + value, 0) / values.length).toBeCloseTo(
      whole.runs[0]?.figures.mapAtR as number,
      6,
    );
  });

  it('again runs nothing and says the same; --report, --only and --dry-run run nothing either', async () => {
    const out = join(root, 'whole');
    const result = join(out, whole.runs[0]?.folder ?? '', 'result.json');
    const before = (await stat(result)).mtimeMs;
    const again = await semblance(['compare', file, '--out', out, '--json', '--quiet']);
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toBe('');
    expect(JSON.parse(again.stdout)).toEqual(whole);
    const table = await semblance(['compare', file, '--out', out, '--only', 'linked', '--report']);
    expect(table.stdout).toMatch(/linked .*\n/);
    expect(table.stdout).not.toMatch(/deviance/);
    // What is shown is a part; what is kept is not.
    expect(JSON.parse(await readFile(join(out, 'comparison.json'), 'utf8'))).toEqual(whole);
    const plan = await semblance(['compare', file, '--out', out, '--dry-run', '--set', 'steps=10', '--json']);
    expect(JSON.parse(plan.stdout)).toMatchObject({ runs: 4, done: 0, left: 4, stepsLeft: 40 });
    const done = await semblance(['compare', file, '--out', out, '--dry-run']);
    expect(done.stdout).toMatch(/4 done, 0 left/);
    expect((await stat(result)).mtimeMs).toBe(before);
  });

  it('interrupted, then killed, then run again: the same figures as if left alone', async () => {
    const out = join(root, 'broken');
    const start = async (signal: NodeJS.Signals, steps: number) => {
      let child: ChildProcess | undefined;
      const outcome = semblance(['compare', file, '--out', out, '--processes', '1'], (started) => {
        child = started;
      });
      const folder = await stepsLogged(out, steps);
      child?.kill(signal);
      return { folder, ...(await outcome) };
    };
    const interrupted = await start('SIGINT', 40);
    expect(interrupted.code, interrupted.stderr).toBe(130);
    expect(interrupted.stderr).toContain('interrupted; the same command goes on from here');
    const checkpoint = join(interrupted.folder, 'training', 'checkpoint.safetensors');
    const saved = (await stat(checkpoint)).mtimeMs; // the run saved itself before the comparison ended
    const killed = await start('SIGKILL', 80);
    expect(killed.code).toBe(null);
    expect(killed.folder).toBe(interrupted.folder);
    // Nobody told the run to stop, but whom it worked for is gone.
    while ((await stat(checkpoint)).mtimeMs === saved)
      await new Promise((resolve) => setTimeout(resolve, 20));
    const { code, stdout, stderr } = await semblance(['compare', file, '--out', out, '--json']);
    expect(code, stderr).toBe(0);
    expect(await readFile(join(killed.folder, 'log.txt'), 'utf8')).toMatch(/going on at step \d+ of 150/);
    expect(figures(comparisonFormat.parse(JSON.parse(stdout)))).toEqual(figures(whole));
  });

  it('twice at once shares the work: each run is trained by one of them, both say the same', async () => {
    const short = join(root, 'short.yaml');
    await writeFile(short, CONFIGURATION.replace(`steps: ${STEPS}`, 'steps: 6'));
    const argv = ['compare', short, '--out', join(root, 'both'), '--json', '--processes', '1'];
    const [first, second] = await Promise.all([semblance(argv), semblance(argv)]);
    expect([first.code, second.code], first.stderr + second.stderr).toEqual([0, 0]);
    expect(JSON.parse(second.stdout)).toEqual(JSON.parse(first.stdout));
    expect(first.stderr + second.stderr).toMatch(/waiting for process \d+, which is at work in/);
    for (const { folder } of comparisonFormat.parse(JSON.parse(first.stdout)).runs) {
      const attempts = JSON.parse(await readFile(join(root, 'both', folder, 'cost.json'), 'utf8'));
      expect(attempts).toHaveLength(1);
    }
  });

  it('goes on past a run that fails, names it with its reason, and ends with 1', async () => {
    const failing = join(root, 'failing.yaml');
    await writeFile(
      failing,
      CONFIGURATION.replace(`steps: ${STEPS}`, 'steps: 4')
        .replace('  linked: {}', '  linked: {}\n  greedy: { batch: { items: 50 } }')
        .replace('seeds: [0, 1]', 'seeds: [0]'),
    );
    const out = join(root, 'failing');
    const { code, stdout, stderr } = await semblance(['compare', failing, '--out', out]);
    expect(code).toBe(1);
    expect(stderr).toMatch(
      /compare: every run must end well, but 1 of 3 failed: runs\/greedy_seed0_[0-9a-f]+ \(.*batch\.items must be at most/,
    );
    expect(stdout).toMatch(/linked .*\n/);
    const { runs } = comparisonFormat.parse(JSON.parse(await readFile(join(out, 'comparison.json'), 'utf8')));
    expect(runs.map(({ status }) => status).sort()).toEqual(['done', 'done', 'failed']);
  });

  it('searches hyperparameters on validation and trains with what it chose; folds and little data are other data', async () => {
    const searching = join(root, 'search.yaml');
    await writeFile(
      searching,
      `${CONFIGURATION.replace(`steps: ${STEPS}`, 'steps: 6').replace('judge: test\n', '').replace('[0, 1]', '[0]')}
folds: 3
grid: { items: [0.6], picturesPerItem: [2] }
search:
  trials: 2
  settings: { steps: 4 }
  space:
    linked: { loss.negativeCost: { log: [5, 50] }, learningRate: { uniform: [0.002, 0.02] } }
`,
    );
    const out = join(root, 'search');
    const { code, stdout, stderr } = await semblance(['compare', searching, '--out', out, '--json']);
    expect(code, stderr).toBe(0);
    const { search, runs, summaries } = comparisonFormat.parse(JSON.parse(stdout));
    const [deviance, linked] = search;
    expect(deviance).toMatchObject({ method: 'deviance', budget: 2, trials: [], chosen: {} });
    const best = linked?.trials.reduce((a, b) => ((b.score ?? 0) > (a.score ?? 0) ? b : a));
    expect(linked).toMatchObject({ trial: best?.trial, score: best?.score, chosen: best?.values });
    expect(runs).toHaveLength(6);
    expect(summaries.map(({ setting }) => setting)).toEqual([
      'items=0.6,picturesPerItem=2',
      'items=0.6,picturesPerItem=2',
    ]);
    const run = runs.find(({ method }) => method === 'linked');
    const settings = JSON.parse(await readFile(join(out, run?.folder ?? '', 'settings.json'), 'utf8'));
    const wanted = best?.values as { learningRate?: number } | undefined;
    expect(settings).toMatchObject({ steps: 6, learningRate: wanted?.learningRate ?? 0.004 });
    // Each fold judged its own queries: together every picture of train and val that can be read.
    const judged = await Promise.all(
      runs
        .filter(({ method }) => method === 'linked')
        .map(
          async ({ folder }) =>
            runQueriesFormat.parse(JSON.parse(await readFile(join(out, folder, 'queries.json'), 'utf8')))
              .paths,
        ),
    );
    const paths = judged.flat().filter((path) => !path.endsWith('corrupt.png'));
    expect(new Set(paths).size).toBe(45);
    expect(paths).toHaveLength(45);
  });
});
