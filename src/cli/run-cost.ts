/**
 * What a training run costs: time a step, memory, wall time. Kept in `cost.json` of the run's folder, an entry an
 * attempt, because a run that was interrupted goes on in another process. Apart from the training log, which is the
 * same at every run; times are not.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { median } from 'simple-statistics';
import type { RunResult } from '../evaluation/index.js';
import { stopwatch, writeJson } from '../util/index.js';

export type RunCost = RunResult['cost'];

export interface Meter {
  /** For `TrainingOptions.onStep`. */
  onStep(milliseconds: number): void;
  /** Ends this attempt and stores it, where it took a step. */
  stop(): Promise<void>;
  /** Of all attempts. */
  cost(): Omit<RunCost, 'parameters'>;
}

/** Starts an attempt of the run in a folder. */
export async function startMeter(directory: string): Promise<Meter> {
  const file = join(directory, COST_FILE);
  const attempts = await readAttempts(file);
  const elapsedSeconds = stopwatch();
  const times: number[] = [];
  return {
    onStep: (milliseconds) => times.push(milliseconds),
    async stop() {
      if (times.length === 0) return;
      attempts.push({
        steps: times.length,
        millisecondsPerStep: median(times),
        seconds: elapsedSeconds(),
        peakMemoryMb: Math.round(process.resourceUsage().maxRSS / 1024),
      });
      await writeJson(file, attempts);
    },
    cost() {
      const longest = attempts.reduce<Attempt | undefined>(
        (best, attempt) => (best === undefined || attempt.steps > best.steps ? attempt : best),
        undefined,
      );
      return {
        millisecondsPerStep: longest?.millisecondsPerStep ?? null,
        peakMemoryMb: attempts.length === 0 ? null : Math.max(...attempts.map((a) => a.peakMemoryMb)),
        seconds: attempts.reduce((sum, { seconds }) => sum + seconds, 0),
      };
    },
  };
}

// --- internal ---

const COST_FILE = 'cost.json';

interface Attempt {
  readonly steps: number;
  readonly millisecondsPerStep: number;
  readonly seconds: number;
  readonly peakMemoryMb: number;
}

/** Attempts before this one; times are no reason to fail, so a damaged file counts as none. */
async function readAttempts(file: string): Promise<Attempt[]> {
  try {
    return JSON.parse(await readFile(file, 'utf8')) as Attempt[];
  } catch {
    return [];
  }
}
