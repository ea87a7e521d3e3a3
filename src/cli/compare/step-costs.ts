/**
 * What a step of each method costs beside that of one of them: two trainings in this process take turns, step by step,
 * on one thread and batches that were made before, and what is timed is the processor: whatever else the machine does
 * meets both alike. A ratio is of a step to the mean of the reference's steps just before and after it; the median of
 * those is what is told.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { median } from 'simple-statistics';
import type { Manifest, ManifestRow } from '../../data/index.js';
import type { TimedStep } from '../../evaluation/index.js';
import { ITEM_LEVEL, type Schema } from '../../granularity/index.js';
import { type TrainingBatch, type TrainingConfiguration, train } from '../../training/index.js';
import { processorStopwatch, type StartProgress, silentProgress } from '../../util/index.js';
import { openBatches, rowsToSample } from '../batches.js';
import { openNetwork } from '../open-network.js';

export interface StepCostOptions {
  readonly manifest: Manifest;
  readonly schema: Schema;
  /** Resolved configuration of each method. */
  readonly configurations: Readonly<Record<string, TrainingConfiguration>>;
  /** The method that others are divided by. */
  readonly reference: string;
  /** Steps that are timed of each. */
  readonly steps: number;
  readonly progress: StartProgress;
  readonly signal: AbortSignal;
}

/** Times the methods, each in turns with the reference; the reference first. */
export async function timeSteps(options: StepCostOptions): Promise<TimedStep[]> {
  const { configurations, reference, steps, signal } = options;
  const others = Object.keys(configurations).filter((name) => name !== reference);
  const pairs = others.length === 0 ? [reference] : others;
  const bar = options.progress('timing', pairs.length * steps);
  const timed: TimedStep[] = [];
  const ofReference: number[] = [];
  try {
    for (const [i, name] of pairs.entries()) {
      signal.throwIfAborted();
      const [own, other] = await takeTurns(
        [configurations[name]!, configurations[reference]!],
        options,
        (done) => bar.update(i * steps + done, name),
      );
      ofReference.push(...other);
      if (name !== reference)
        timed.push({ method: name, millisecondsPerStep: median(own), ...medianRatio(own, other), steps });
    }
  } finally {
    bar.stop();
  }
  return [
    { method: reference, millisecondsPerStep: median(ofReference), ratio: 1, low: 1, high: 1, steps },
    ...timed,
  ];
}

/**
 * The median of `own[i]` over the mean of `other[i]` and `other[i + 1]`, between which it ran, and its 95 % interval from
 * order statistics (the binomial distribution of how many lie below a median, as a normal one).
 * @param other one more than `own`, or as many: then the last of `own` is left out.
 */
export function medianRatio(
  own: readonly number[],
  other: readonly number[],
): { ratio: number; low: number; high: number } {
  const ratios = own
    .slice(0, Math.min(own.length, other.length - 1))
    .map((time, i) => time / ((other[i]! + other[i + 1]!) / 2))
    .sort((a, b) => a - b);
  const below = Math.max(0, Math.floor(ratios.length / 2 - 0.98 * Math.sqrt(ratios.length)));
  return { ratio: median(ratios), low: ratios[below]!, high: ratios.at(-1 - below)! };
}

// --- internal ---

/** First steps that are not counted: memory is still being planned. */
const WARM_UP_STEPS = 3;
const BATCHES = 4;

/** Times of the steps of two trainings that take turns, in which the second begins. */
async function takeTurns(
  configurations: readonly [TrainingConfiguration, TrainingConfiguration],
  options: StepCostOptions,
  onStep: (done: number) => void,
): Promise<[number[], number[]]> {
  const directory = await mkdtemp(join(tmpdir(), 'semblance-cost-'));
  // A training holds the turn from the moment it has its batch until its step is over.
  let turn = 1;
  const waiting: (() => void)[] = [];
  const pass = (to: number) => {
    turn = to;
    for (const wake of waiting.splice(0)) wake();
  };
  const ended = new Set<number>();
  const times: [number[], number[]] = [[], []];
  try {
    await Promise.all(
      configurations.map(async (configuration, me) => {
        const other = 1 - me;
        let elapsedSeconds = processorStopwatch();
        try {
          const opened = await openTraining(configuration, options);
          await train({
            configuration: opened.configuration,
            schema: options.schema,
            network: opened.network,
            classes: opened.classes,
            dataHash: '',
            directory: join(directory, String(me)),
            threads: 1,
            batch: async (index) => {
              while (turn !== me && !ended.has(other)) await new Promise<void>((wake) => waiting.push(wake));
              if (index % opened.configuration.batch.accumulate === 0) elapsedSeconds = processorStopwatch();
              return opened.batches[index % opened.batches.length] as TrainingBatch;
            },
            onStep: () => {
              times[me]!.push(1000 * elapsedSeconds());
              if (me === 0) onStep(Math.max(0, times[0].length - WARM_UP_STEPS));
              pass(other);
            },
            signal: options.signal,
          });
        } finally {
          ended.add(me);
          pass(other);
        }
      }),
    );
  } finally {
    await rm(directory, { recursive: true, force: true });
  }
  return [times[0].slice(WARM_UP_STEPS), times[1].slice(WARM_UP_STEPS)];
}

/** A short training of a configuration on a few batches of a few items' pictures. */
async function openTraining(configuration: TrainingConfiguration, options: StepCostOptions) {
  const { manifest, schema, steps, signal } = options;
  const total = steps + WARM_UP_STEPS;
  const short: TrainingConfiguration = {
    ...configuration,
    steps: total,
    validateEvery: total,
    checkpointEvery: total,
  };
  const shared = { schema, configuration: short, progress: silentProgress, onProblem: () => {}, signal };
  const { items: classes } = rowsToSample({ ...shared, manifest });
  const part: Manifest = {
    ...manifest,
    rows: fewItems(manifest.rows, BATCHES * short.batch.items, short.positives),
  };
  const network = await openNetwork({ ...shared, manifest: part, report: () => {}, threads: 1 });
  try {
    const source = await openBatches({ ...shared, manifest: part }, network.openSource);
    try {
      const batches: TrainingBatch[] = [];
      for (let i = 0; i < BATCHES; i++) batches.push(copyOf(await source.next(i)));
      return { configuration: short, network: network.network, classes: new Set(classes).size, batches };
    } finally {
      await source.close();
    }
  } finally {
    await network.close();
  }
}

/** Training rows of the first items; all of them where a value of an attribute is what makes pictures alike. */
function fewItems(rows: readonly ManifestRow[], count: number, positives: string): ManifestRow[] {
  const training = rows.filter(({ split }) => split === 'train');
  if (positives !== ITEM_LEVEL) return training;
  const items = new Set([...new Set(training.map(({ itemId }) => itemId))].slice(0, count));
  return training.filter(({ itemId }) => items.has(itemId));
}

/** Loaders may use their buffers again. */
function copyOf(batch: TrainingBatch): TrainingBatch {
  return {
    ...batch,
    source: batch.source.slice(),
    itemIds: batch.itemIds.slice(),
    attributeLabels: batch.attributeLabels.slice(),
    attributeKnown: batch.attributeKnown.slice(),
  };
}
