/** The report's first words: what was judged, what came out, and what is worth a look, in sentences. */
import type { ReportDifference, ReportFigure } from '../../evaluation/index.js';
import type { LabelledLog } from './curves.js';
import { FINEST, type JudgedRun } from './judged-run.js';

export interface SummaryInputs {
  readonly runs: readonly JudgedRun[];
  readonly logs: readonly LabelledLog[];
  readonly differences: readonly ReportDifference[];
  readonly split: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** Sentences for the top of the report. */
export function summarySentences({ runs, logs, differences, split, labels }: SummaryInputs): string[] {
  const [first] = runs as [JudgedRun];
  const { rows } = first.embedded;
  const items = new Set(rows.map(({ itemId }) => itemId)).size;
  const sources = Object.keys(first.figures.pairs).length > 0;
  const judged = `${count(rows.length, 'picture')} of ${count(items, 'item')} (split ${split})`;
  const best = [...runs].sort((a, b) => b.figures.recallAt1 - a.figures.recallAt1)[0]!;
  const sentences =
    runs.length === 1
      ? [`Judged on ${judged}. ${findings(first, labels, sources)}`]
      : [
          `${runs.length} runs, judged on the same ${judged}. ${best.label} finds the same item most often: ${percent(best.figures.recallAt1)} of the time at the first place, against ${runs
            .filter((run) => run !== best)
            .map((run) => `${percent(run.figures.recallAt1)} of ${run.label}`)
            .join(', ')}.${differencesInWords(differences)}`,
        ];
  if (runs.length === 1) sentences.push(...training(logs[0]));
  return sentences;
}

/** The big numbers at the top, of the first run. */
export function summaryFigures({ runs, labels }: SummaryInputs): ReportFigure[] {
  if (runs.length > 1) {
    return runs.slice(0, 4).map(({ label, figures, intervals }) => ({
      label,
      value: percent(figures.recallAt1),
      note: `Recall@1${rangeOf(intervals.recallAt1)}; MAP@R ${percent(figures.mapAtR)}`,
    }));
  }
  const [{ figures, intervals, schema }] = runs as [JudgedRun];
  const coarser = schema.levels.slice(1).filter((level) => (figures.byLevel[level]?.queries ?? 0) > 0);
  const isAsked = (figures.byLevel[FINEST]?.queries ?? 0) > 0;
  return [
    ...(isAsked
      ? [
          {
            label: 'Recall@1',
            value: percent(figures.recallAt1),
            note: `same item${Object.keys(figures.pairs).length > 0 ? ', mean over pairs of sources' : ''}${rangeOf(intervals.recallAt1)}`,
          },
          { label: 'MAP@R', value: percent(figures.mapAtR), note: `same item${rangeOf(intervals.mapAtR)}` },
        ]
      : []),
    ...coarser.slice(-2).map((level) => ({
      label: `Recall@1, ${labels[level] ?? level}`,
      value: percent(figures.byLevel[level]!.recallAt1),
      note: rangeOf(intervals[`${level}.recallAt1`]).replace(/^, /, ''),
    })),
  ];
}

/** `12.3 %` */
export function percent(fraction: number): string {
  return Number.isFinite(fraction) ? `${(100 * fraction).toFixed(1)} %` : '–';
}

// --- internal ---

function findings(
  { figures, intervals, firstRanks, schema }: JudgedRun,
  labels: Readonly<Record<string, string>>,
  hasSources: boolean,
): string {
  const { byLevel } = figures;
  const asked = schema.levels.filter((level) => (byLevel[level]?.queries ?? 0) > 0);
  if (asked.length === 0)
    return 'No picture has another one to find: nothing can be said of how well it finds.';
  const parts: string[] = [];
  if (asked[0] === FINEST) {
    const { recallAt1, recallAt10 = Number.NaN } = byLevel[FINEST]!;
    parts.push(
      hasSources
        ? `Asked with a picture by one source for the item among those of another, it finds it at the first place in ${percent(figures.recallAt1)} of cases (mean over the pairs of sources${rangeOf(intervals.recallAt1)}). Among the pictures of all other sources the nearest shows the same item for ${percent(recallAt1)} of the queries, and one of the ten nearest for ${percent(recallAt10)}.`
        : `For ${percent(recallAt1)} of the queries the nearest picture shows the same item${rangeOf(intervals.recallAt1)}; for ${percent(recallAt10)} one of the ten nearest does.`,
    );
  }
  const coarser = asked.filter((level) => level !== FINEST);
  if (coarser.length > 0) {
    parts.push(
      `The nearest picture is at least of the ${coarser
        .map((level) => `${labels[level] ?? level} for ${percent(byLevel[level]!.recallAt1)}`)
        .join(', of the ')}.`,
    );
  }
  const ranks = firstRanks[FINEST];
  if (ranks !== undefined && asked[0] === FINEST) {
    const judged = ranks.filter((rank) => !Number.isNaN(rank));
    const far = judged.filter((rank) => rank > 100).length;
    if (far > 0)
      parts.push(
        `${count(far, 'query', 'queries')} of ${judged.length} ${far === 1 ? 'has its' : 'have their'} first right picture beyond rank 100.`,
      );
  }
  return parts.join(' ');
}

function differencesInWords(differences: readonly ReportDifference[]): string {
  const ofRecall = differences.filter(({ figure }) => figure === 'Recall@1');
  if (ofRecall.length === 0) return '';
  const clear = ofRecall.filter(({ low, high }) => low > 0 || high < 0).length;
  if (clear === 0) return ' None of the differences in Recall@1 can be told from chance on these queries.';
  if (clear === ofRecall.length && clear > 1)
    return ' All differences in Recall@1 to the first run are larger than chance on these queries.';
  if (clear === 1 && ofRecall.length === 1)
    return ' The difference in Recall@1 is larger than chance on these queries.';
  return ` ${clear} of ${ofRecall.length} differences in Recall@1 to the first run are larger than chance on these queries.`;
}

function training(logged: LabelledLog | undefined): string[] {
  const log = logged?.log ?? [];
  const judgements = log.filter(({ validation }) => Number.isFinite(validation?.score));
  const last = log.at(-1);
  if (last === undefined || judgements.length === 0) return [];
  const best = judgements.reduce((a, b) => (b.validation!.score > a.validation!.score ? b : a));
  if (best.step < last.step)
    return [
      `Of ${last.step} training steps the parameters after step ${best.step} were best on validation and are the ones that were kept.`,
    ];
  return [`Validation was still best at the last of ${last.step} training steps: more steps may well help.`];
}

function rangeOf(interval: { low: number; high: number } | undefined): string {
  return interval === undefined
    ? ''
    : `, 95 % ${(100 * interval.low).toFixed(1)} to ${(100 * interval.high).toFixed(1)}`;
}

function count(number: number, one: string, many = `${one}s`): string {
  return `${number} ${number === 1 ? one : many}`;
}
