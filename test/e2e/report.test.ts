/** The report of tiny trained runs: what stands in it is what `evaluate` says, and it is one file that needs no other. */
import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { makePictures, semblance, TINY } from '../support/command-line.js';

let root = '';
let data = '';
const run = (name: string) => join(root, name);

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-report-'));
  data = await makePictures(root);
  const train = ['train', '--data', data, ...TINY, '--steps', '6', '--quiet'];
  const first = await semblance([...train, '--out', run('a'), '--tensorboard', run('events')]);
  expect(first.code, first.stderr).toBe(0);
  const second = await semblance([...train, '--seed', '1', '--no-report', '--out', run('b')]);
  expect(second.code, second.stderr).toBe(0);
});
afterAll(() => rm(root, { recursive: true, force: true }));

describe('report', () => {
  it('train leaves one on validation, unless it is told not to', async () => {
    const html = await readFile(join(run('a'), 'report.html'), 'utf8');
    expect(html).toContain('(split val)');
    expect(html).toContain('Loss by training step');
    expect(existsSync(join(run('b'), 'report.html'))).toBe(false);
    expect(existsSync(join(run('b'), 'run.json'))).toBe(true);
  });

  it('train again does not make it again', async () => {
    const before = await readFile(join(run('a'), 'run.json'), 'utf8');
    const again = await semblance([
      ...['train', '--data', data, ...TINY, '--steps', '6', '--quiet', '--out', run('a')],
    ]);
    expect(again.code, again.stderr).toBe(0);
    expect(await readFile(join(run('a'), 'run.json'), 'utf8')).toBe(before);
  });

  it('finds the data of the run, and says what evaluate says', async () => {
    const out = join(root, 'test.html');
    const { code, stdout, stderr } = await semblance(['report', run('a'), '--out', out, '--json', '--quiet']);
    expect(code, stderr).toBe(0);
    const { runs, split } = JSON.parse(stdout);
    expect(split).toBe('test');
    const judged = await semblance([
      ...['evaluate', '--model', join(run('a'), 'model'), '--data', data, '--json', '--quiet'],
    ]);
    const figures = JSON.parse(judged.stdout);
    expect(runs.a.recallAt1).toBe(figures.recallAt1);
    expect(runs.a.byLevel).toEqual(figures.byLevel);
    const { low, high } = runs.a.intervals.recallAt1;
    expect(low).toBeLessThanOrEqual(figures.recallAt1);
    expect(high).toBeGreaterThanOrEqual(figures.recallAt1);
    const html = await readFile(out, 'utf8');
    expect(html).toContain(`${(100 * figures.recallAt1).toFixed(1)} %`);
    // The data have colours and shapes, no sources.
    for (const title of [
      'What lies nearest',
      'How many dimensions',
      'What lies near what',
      'What it says of',
    ])
      expect(html).toContain(title);
    expect(html).not.toContain('Every pair of sources');
  });

  it('puts runs side by side: what differs in their configuration, and on the same queries', async () => {
    const { code, stdout, stderr } = await semblance(['report', run('a'), run('b'), '--quiet']);
    expect(code, stderr).toBe(0);
    const html = await readFile(join(root, 'report.html'), 'utf8');
    expect(stdout).toContain('report.html');
    expect(html).toContain('b − a');
    expect(html).toMatch(
      /What differs<\/span><\/caption>.*<th scope="row">seed<\/th><td>0<\/td><td>1<\/td>/s,
    );
    expect(html).toMatch(/What is the same \(\d+\)/);
  });

  it('is one small file that asks for nothing else', async () => {
    for (const file of [join(run('a'), 'report.html'), join(root, 'test.html'), join(root, 'report.html')]) {
      const html = await readFile(file, 'utf8');
      expect(html.length).toBeLessThan(8e6);
      expect(html).not.toMatch(/(?:src|href|url\()\s*=?\s*["']?(?:https?:)?\/\//);
      expect(html).not.toMatch(/<link|@import/);
    }
  });

  it('event files hold the log', async () => {
    const [file] = await readdir(join(run('events'), 'a'));
    expect(file).toMatch(/^events\.out\.tfevents\.\d+\.semblance$/);
    const bytes = await readFile(join(run('events'), 'a', file!));
    for (const tag of ['brain.Event:2', 'loss/total', 'validation/recall_at_1'])
      expect(bytes.includes(tag)).toBe(true);
  });

  it.each([
    [[], 2, /missing required argument 'run'/],
    [['nowhere'], 1, /nowhere: is no run: .* got no such folder/],
    [['.', '--split', 'all'], 2, /--split: must be one of test, val, train/],
  ])('%j', async (argv, code, message) => {
    const result = await semblance(['report', ...argv]);
    expect(result.stderr).toMatch(message);
    expect(result.code).toBe(code);
  });
});
