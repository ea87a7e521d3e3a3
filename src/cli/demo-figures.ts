/** What the demo measures, and the names under which people read it. */
import type { MethodMetrics } from '../evaluation/index.js';
import { ITEM_LEVEL, type Schema } from '../granularity/index.js';
import type { HitCalibration } from './hit-calibration.js';

/** A method's name in `metrics.json`. */
export type MethodName = 'sgml' | 'multitask' | 'binomialDeviance' | 'untrained' | 'pixels';

/** What `runs/demo/metrics.json` holds. */
export interface DemoMetrics {
  /** Wall time of this call; a call that finds everything there is quick. */
  readonly seconds: number;
  readonly peakMemoryMb: number;
  readonly data: Readonly<Record<string, unknown>>;
  /** Of the trained model's hits on the test items, by level. */
  readonly calibration?: HitCalibration | undefined;
  readonly methods: Partial<Record<MethodName, MethodMetrics & { seeds?: readonly SeedFigures[] }>>;
}

export interface SeedFigures {
  readonly seed: number;
  readonly recallAt1: number;
  readonly mapAtR: number;
}

/** For tables and the report. */
export const METHOD_LABELS: Readonly<Record<MethodName, string>> = {
  sgml: 'SGML (soft-binomial deviance + attributes)',
  multitask: 'multitask, without the link',
  binomialDeviance: 'binomial deviance, embedding alone',
  untrained: 'the same network, untrained',
  pixels: 'raw pixels',
};

/** The level's name as the report says it. */
export function levelLabels(schema: Schema): Record<string, string> {
  const names = ['same item', 'same look', 'same kind'];
  return Object.fromEntries(
    schema.levels.map((level, i) => [
      level,
      level === ITEM_LEVEL ? 'same item' : (names[i] ?? `same ${level}`),
    ]),
  );
}
