/** Curves of the training logs: one run with the parts of its loss, several with their totals laid over one another. */
import type { ReportCurve, ReportPlot } from '../../evaluation/index.js';
import type { LogEntry } from '../../training/index.js';

export interface LabelledLog {
  readonly label: string;
  readonly log: readonly LogEntry[];
}

/** Plots of loss and of validation; empty without a log. */
export function trainingPlots(runs: readonly LabelledLog[]): ReportPlot[] {
  const logged = runs.filter(({ log }) => log.length > 0);
  if (logged.length === 0) return [];
  const [first] = logged;
  const isSingle = logged.length === 1;
  const each = (value: (entry: LogEntry) => number | undefined): ReportCurve[] =>
    logged.map(({ label, log }) => curve(label, log, value)).filter(({ points }) => points.length > 0);
  const validations = [...new Set(logged.flatMap(({ log }) => log.flatMap(detailNames)))];
  const plots: ReportPlot[] = isSingle
    ? [
        {
          title: 'Loss by training step',
          curves: LOSSES.map(([label, value]) => curve(label, first!.log, value)),
        },
        {
          title: 'On validation, by training step',
          curves: validations.map((name) => curve(readable(name), first!.log, detail(name))),
          isPercent: true,
          hasPoints: true,
        },
      ]
    : [
        ...LOSSES.map(([label, value]) => ({
          title: `Loss (${label}) by training step`,
          ...(label === 'total' ? { note: 'Losses of different kinds are on different scales.' } : {}),
          curves: each(value),
        })),
        ...validations.map((name) => ({
          title: `${readable(name)} on validation, by training step`,
          curves: each(detail(name)),
          isPercent: true,
          hasPoints: true,
        })),
      ];
  return [...plots, { title: 'Gradient norm by training step', curves: each((entry) => entry.gradientNorm) }]
    .map((plot) => ({ ...plot, curves: plot.curves.filter(isWorthShowing) }))
    .filter(({ curves }) => curves.length > 0);
}

/** The mean over runs of one length, step by step; what one of them lacks at a step is left out there. */
export function meanLog(logs: readonly (readonly LogEntry[])[]): LogEntry[] {
  const [first = [], ...others] = logs;
  if (others.length === 0) return [...first];
  const keyOf = ({ step, validation }: LogEntry) => `${step} ${validation === undefined}`;
  const byKey = others.map((log) => new Map(log.map((entry) => [keyOf(entry), entry])));
  return first.flatMap((entry) => {
    const all = [entry, ...byKey.map((entries) => entries.get(keyOf(entry)))];
    return all.every((one) => one !== undefined) ? [meanTree(all) as LogEntry] : [];
  });
}

// --- internal ---

function meanTree(trees: readonly unknown[]): unknown {
  const [first] = trees;
  if (typeof first === 'number')
    return trees.reduce<number>((sum, value) => sum + Number(value), 0) / trees.length;
  return Object.fromEntries(
    Object.keys(first as object)
      .filter((key) => trees.every((tree) => Object.hasOwn(tree as object, key)))
      .map((key) => [key, meanTree(trees.map((tree) => (tree as Record<string, unknown>)[key]))]),
  );
}

const LOSSES: readonly [string, (entry: LogEntry) => number | undefined][] = [
  ['total', ({ loss }) => loss],
  ['metric', ({ metricLoss }) => metricLoss],
  ['attributes', ({ attributeLoss }) => attributeLoss],
];

function curve(
  label: string,
  log: readonly LogEntry[],
  value: (entry: LogEntry) => number | undefined,
): ReportCurve {
  return {
    label,
    points: log.flatMap((entry) => {
      const y = value(entry);
      return y === undefined || !Number.isFinite(y) ? [] : [[entry.step, y] as const];
    }),
  };
}

/** A part of the loss that is not there is 0 all the time. */
function isWorthShowing({ points }: ReportCurve): boolean {
  return points.some(([, y]) => y !== 0);
}

function detailNames({ validation }: LogEntry): string[] {
  return Object.keys(validation?.details ?? {});
}

function detail(name: string) {
  return ({ validation }: LogEntry) => validation?.details?.[name];
}

function readable(name: string): string {
  return name.replace('recallAt1', 'Recall@1').replace('mapAtR', 'MAP@R');
}
