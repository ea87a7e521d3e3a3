/** The demo's report: that of its run, with the other methods in its tables, the artists' pair, and whose pictures they are. */
import type { MethodMetrics, ReportData } from '../evaluation/index.js';
import type { Schema } from '../granularity/index.js';
import type { TrainingConfiguration } from '../training/index.js';
import { formatDuration, type StartProgress } from '../util/index.js';
import { type DemoMetrics, levelLabels, METHOD_LABELS, type MethodName } from './demo-figures.js';
import type { EmbeddedRows } from './judging.js';
import { judgeRun } from './report/judged-run.js';
import { reportData } from './report/report-data.js';
import { machineName, readRun } from './report/run-folder.js';
import { percent } from './report/summary.js';
import { versions } from './versions.js';

export interface DemoReportInputs {
  readonly directory: string;
  readonly metrics: DemoMetrics;
  readonly embedded: EmbeddedRows;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  readonly progress: StartProgress;
  readonly signal?: AbortSignal;
}

/** The report as one HTML file. */
export async function demoReport(inputs: DemoReportInputs): Promise<string> {
  const { renderReport } = await import('../evaluation/report/index.js');
  return renderReport(await demoData(inputs));
}

// --- internal ---

async function demoData(inputs: DemoReportInputs): Promise<ReportData> {
  const { directory, metrics, embedded, schema, configuration, progress, signal } = inputs;
  const folder = await readRun(directory);
  const run = await judgeRun(METHOD_LABELS.sgml, embedded, schema, signal);
  const labels = levelLabels(schema);
  const data = await reportData({
    title: 'semblance demo: emoji by six artists',
    runs: [run],
    folders: [folder],
    split: 'test',
    seed: configuration.seed,
    calibrations: [metrics.calibration],
    labels,
    progress,
    signal,
    command: 'npm run demo',
  });
  const sgml = metrics.methods.sgml as MethodMetrics;
  const pair = sgml.pairs['twemoji->noto'];
  return {
    ...data,
    lead: [
      `A network of ${configuration.network.widths.join('-')} channels was trained from scratch for ${configuration.steps} steps on emoji as drawn by six artists. A hit counts only when another artist drew it: the model must know the thing, not the drawing style. The pictures are artwork, not photographs.`,
      ...data.lead,
    ],
    figures: [
      ...data.figures.slice(0, 2),
      ...(pair === undefined
        ? []
        : [{ label: 'twemoji → noto', value: percent(pair.recallAt1), note: 'Recall@1' }]),
      {
        label: 'time',
        value: formatDuration(metrics.seconds),
        note: `peak memory ${metrics.peakMemoryMb} MB`,
      },
    ],
    methods: METHOD_ORDER.flatMap((key) => {
      const figures = metrics.methods[key];
      if (figures === undefined) return [];
      const intervals = key === 'sgml' ? { intervals: run.intervals } : {};
      return [{ key, label: METHOD_LABELS[key], metrics: figures, ...intervals }];
    }),
    makings: [
      {
        label: 'demo',
        configuration,
        provenance: {
          ...versions(),
          seed: String(configuration.seed),
          data: `${metrics.data.pictures} pictures, sha256 ${String(metrics.data.manifestHash).slice(0, 16)}…`,
          machine: machineName(),
          time: formatDuration(metrics.seconds),
        },
      },
    ],
    licences: LICENCES,
  };
}

const METHOD_ORDER: readonly MethodName[] = ['sgml', 'multitask', 'binomialDeviance', 'pixels', 'untrained'];

const LICENCES: NonNullable<ReportData['licences']> = [
  { name: 'Noto Emoji (noto, noto-v1)', licence: 'Apache-2.0', author: 'Google' },
  { name: 'Twemoji', licence: 'CC-BY-4.0', author: 'Twitter and contributors' },
  { name: 'Fluent Emoji (flat, 3D)', licence: 'MIT', author: 'Microsoft' },
  { name: 'EmojiOne v2', licence: 'CC-BY-4.0', author: 'Ranks.com' },
  { name: 'emojibase-data (names, groups, tags)', licence: 'MIT', author: 'Miles Johnson' },
];
