/** Fills the report from judged runs: one run, or several side by side on the same pictures. */
import {
  bootstrapDifference,
  meanFigures,
  type ReportData,
  type ReportDifference,
  type ReportMethod,
} from '../../evaluation/index.js';
import type { Schema } from '../../granularity/index.js';
import { ITEM_LEVEL } from '../../granularity/index.js';
import { formatDuration } from '../../util/index.js';
import { type HitCalibration, judgeCalibration } from '../hit-calibration.js';
import { calibrationPlots, hitReliabilityPlots, predictedAttributes, reportAttribute } from './attributes.js';
import { trainingPlots } from './curves.js';
import { dimensionPlots, embeddingMaps, type ViewOptions } from './embedding-views.js';
import { granularityGrid, neighbourGrid } from './grids.js';
import { bootstrapRandom, type JudgedRun } from './judged-run.js';
import { Thumbnails } from './pictures.js';
import type { RunFolder } from './run-folder.js';
import { summaryFigures, summarySentences } from './summary.js';

export interface ReportInputs extends ViewOptions {
  readonly title: string;
  /** What was judged, in the order of `folders`. */
  readonly runs: readonly JudgedRun[];
  readonly folders: readonly RunFolder[];
  readonly split: string;
  /** What agreeing at a level is called. Default: `same <level>`. */
  readonly labels?: Readonly<Record<string, string>>;
  readonly command?: string;
  /** Of the runs, in their order, where it was judged before. Default: it is judged. */
  readonly calibrations?: readonly (HitCalibration | undefined)[];
}

/** Everything that can be said of runs. */
export async function reportData(inputs: ReportInputs): Promise<ReportData> {
  const { title, runs, folders, split, command } = inputs;
  const labels = inputs.labels ?? levelNames((runs as [JudgedRun])[0].schema);
  const logs = runs.map(({ label }, i) => ({ label, log: folders[i]!.log }));
  const differences = differencesToFirst(runs);
  const summary = { runs, logs, differences, split, labels };
  return {
    title,
    lead: summarySentences(summary),
    figures: summaryFigures(summary),
    levelLabels: labels,
    methods: [
      ...seedMeans(runs, folders),
      ...runs.map(({ label, figures, intervals }) => ({ key: label, label, metrics: figures, intervals })),
    ],
    intervalNote:
      '95 % intervals below: of a run by bootstrap over items, of a mean over seeds by Student’s t.',
    differences,
    training: trainingPlots(logs),
    ...(await viewsOfRuns({ ...inputs, labels })),
    makings: makingsOf(runs, folders),
    ...(command === undefined ? {} : { command }),
  };
}

/** What is seen by looking into the runs: neighbours, dimensions, maps, attributes. */
export async function viewsOfRuns(
  inputs: Pick<ReportInputs, 'runs' | 'folders' | 'seed' | 'progress' | 'signal' | 'calibrations'> & {
    labels: Readonly<Record<string, string>>;
  },
): Promise<Pick<ReportData, 'grids' | 'dimensions' | 'maps' | 'attributes' | 'calibration'>> {
  const { runs, folders, seed, labels } = inputs;
  const [first] = runs as [JudgedRun];
  const thumbnails = new Thumbnails();
  const granularity = await granularityGrid(first, folders[0]!.bundle, thumbnails, { seed, labels });
  const predicted = runs.map(({ label, embedded }, i) => ({
    label,
    predicted: predictedAttributes(embedded, folders[i]!.bundle.card.schema),
  }));
  const count = Math.max(16, Math.floor(40 / runs.length));
  return {
    grids: [
      await neighbourGrid(runs, thumbnails, { seed, labels, count }),
      ...(granularity === undefined ? [] : [granularity]),
    ],
    dimensions: await dimensionPlots(runs, inputs),
    maps: await embeddingMaps(runs, inputs),
    attributes: predicted.flatMap(({ label, predicted: own }) =>
      own.length === 0 ? [] : [{ label, attributes: own.map(reportAttribute) }],
    ),
    calibration: [
      ...hitReliabilityPlots(
        runs.map(({ label, embedded }, i) => ({
          label,
          calibration:
            inputs.calibrations === undefined
              ? judgeCalibration(embedded, folders[i]!.bundle.card, inputs.progress)
              : inputs.calibrations[i],
        })),
        labels,
      ),
      ...calibrationPlots(predicted.filter(({ predicted: own }) => own.length > 0)),
    ],
  };
}

/** Configuration and provenance of each run. */
export function makingsOf(
  runs: readonly { label: string }[],
  folders: readonly RunFolder[],
): ReportData['makings'] {
  return runs.map(({ label }, i) => ({
    label,
    configuration: folders[i]!.bundle.card.configuration,
    provenance: provenanceOf(folders[i]!),
  }));
}

/** Each run against the first, on the queries that both answer, whole items drawn again. */
export function differencesToFirst(runs: readonly JudgedRun[]): ReportDifference[] {
  const [first, ...others] = runs as [JudgedRun, ...JudgedRun[]];
  const clusters = first.queries.rows.map((row) => first.embedded.rows[row]?.itemId ?? '');
  return FIGURES.flatMap(([key, figure]) =>
    others.flatMap((run) => {
      const [a, b] = [run.queries[key], first.queries[key]];
      if (a.length !== b.length || !Array.from(a).some((value, i) => Number.isFinite(value - b[i]!)))
        return [];
      const { mean, low, high, queries } = bootstrapDifference(a, b, { random: bootstrapRandom(), clusters });
      return [
        { label: `${run.label} − ${first.label}`, figure, mean, low, high, note: `${queries} queries` },
      ];
    }),
  );
}

/** What agreeing at each level is called. */
export function levelNames({ levels }: Schema): Record<string, string> {
  return Object.fromEntries(
    levels.map((level) => [level, level === ITEM_LEVEL ? 'same item' : `same ${level}`]),
  );
}

// --- internal ---

const FIGURES = [
  ['recallAt1', 'Recall@1'],
  ['mapAtR', 'MAP@R'],
  ['ndcgAt10', 'nDCG@10 of levels'],
  ['attributeNdcgAt10', 'nDCG@10 of attributes'],
] as const;

/** A row for each configuration that several runs share but for the seed. */
function seedMeans(runs: readonly JudgedRun[], folders: readonly RunFolder[]): ReportMethod[] {
  const groups = new Map<string, { run: JudgedRun; seed: number }[]>();
  runs.forEach((run, i) => {
    const { seed, ...configuration } = folders[i]!.bundle.card.configuration;
    const key = JSON.stringify(configuration);
    groups.set(key, [...(groups.get(key) ?? []), { run, seed: Number(seed) }]);
  });
  return [...groups.values()].flatMap((group) => {
    const { metrics, intervals, seeds } = meanFigures(
      group.map(({ run, seed }) => ({ seed, figures: run.figures })),
    );
    if (seeds < 2) return [];
    const names = group.map(({ run }) => run.label).join(', ');
    return [
      { key: `mean ${names}`, label: `mean of ${seeds} seeds`, description: names, metrics, intervals },
    ];
  });
}

function provenanceOf({ bundle, record, log }: RunFolder): Record<string, string> {
  const { card, modelHash } = bundle;
  const training = card.metrics.training as { bestStep?: number; steps?: number } | undefined;
  return {
    ...(record === undefined
      ? {}
      : {
          date: record.finishedAt.slice(0, 16).replace('T', ' '),
          command: `semblance ${record.command.join(' ')}`,
          time: formatDuration(record.seconds),
          machine: record.machine,
        }),
    ...card.versions,
    seeds: card.seeds.join(', '),
    ...(training?.steps === undefined ? {} : { 'kept step': `${training.bestStep} of ${training.steps}` }),
    ...(card.dataHash === undefined ? {} : { 'data, SHA-256': card.dataHash.slice(0, 16) }),
    'model, SHA-256': modelHash.slice(0, 16),
    ...(log.length === 0 ? { 'training log': 'none' } : {}),
  };
}
