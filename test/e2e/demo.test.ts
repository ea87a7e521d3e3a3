/**
 * The demo as a newcomer runs it, with few steps: real art, a real model, a real catalogue. Its figures must be those
 * that `evaluate` gives again, and a second run must use what the first left.
 */
import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { DemoMetrics } from '../../src/cli/demo-figures.js';

const run = promisify(execFile);
const MAIN = join(import.meta.dirname, '..', '..', 'dist', 'cli', 'main.js');
const STEPS = '20';

describe('semblance demo', () => {
  let directory: string;
  let metrics: DemoMetrics;
  const semblance = (...argv: string[]) =>
    run(process.execPath, [MAIN, ...argv], { maxBuffer: 1 << 26, timeout: 500_000 });

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'semblance-demo-'));
    await semblance('demo', '--directory', directory, '--steps', STEPS, '--quiet');
    metrics = JSON.parse(await readFile(join(directory, 'metrics.json'), 'utf8'));
  }, 600_000);

  afterAll(() => rm(directory, { recursive: true, force: true }));

  it('judges the trained network, the untrained one and raw pixels at every level and pair', () => {
    expect(Object.keys(metrics.methods).sort()).toEqual(['pixels', 'sgml', 'untrained']);
    for (const figures of Object.values(metrics.methods)) {
      expect(Object.keys(figures.byLevel)).toEqual(['item_id', 'subgroup', 'group']);
      expect(Object.keys(figures.pairs)).toHaveLength(28);
      expect(figures.pairs['twemoji->noto']?.recallAt1).toBeGreaterThan(0.1);
      expect(figures.pairs).not.toHaveProperty('fluent-flat->fluent-3d');
    }
    expect(metrics.seconds).toBeGreaterThan(0);
    expect(metrics.peakMemoryMb).toBeLessThan(3000);
    expect(metrics.data).toMatchObject({ pictures: 8726, items: 1640, seed: 0 });
  });

  it('gives figures that evaluate gives again', async () => {
    const { stdout } = await semblance(
      'evaluate',
      '--model',
      join(directory, 'model'),
      '--data',
      join(directory, 'data', 'manifest.csv'),
      '--json',
      '--quiet',
    );
    const { split, unreadable, calibration, ...figures } = JSON.parse(stdout);
    expect({ split, unreadable }).toEqual({ split: 'test', unreadable: 0 });
    expect(figures).toEqual(metrics.methods.sgml);
    expect(Object.keys(calibration)).toEqual(['item_id', 'subgroup', 'group']);
    expect(calibration).toEqual(metrics.calibration);
  });

  it('writes a report that stands alone', async () => {
    const html = await readFile(join(directory, 'report.html'), 'utf8');
    expect(html).toContain('<svg');
    expect(html).toContain('data:image/webp;base64,');
    expect(html).not.toMatch(/(src|href)="(https?:)?\/\//);
  });

  it('uses again what is there', async () => {
    const checkpoint = join(directory, 'training', 'checkpoint.safetensors');
    const before = (await stat(checkpoint)).mtimeMs;
    const { stdout } = await semblance(
      'demo',
      '--directory',
      directory,
      '--steps',
      STEPS,
      '--json',
      '--quiet',
    );
    expect((await stat(checkpoint)).mtimeMs).toBe(before);
    expect((JSON.parse(stdout) as DemoMetrics).methods).toEqual(metrics.methods);
  });
});
