/** What `comparison.json` says, as parts of a report: first words, differences, settings side by side, the search. */
import type {
  Comparison,
  MethodSummary,
  ReportBars,
  ReportData,
  ReportDifference,
  ReportTable,
} from '../../evaluation/index.js';
import { percent } from './summary.js';

/** The first words and numbers. */
export function comparisonLead(comparison: Comparison): Pick<ReportData, 'lead' | 'figures'> {
  const { methods, settings, seeds, folds, split, summaries, metrics, differences, runs } = comparison;
  const setting = settings[0] as string;
  const own = summaries.filter((one) => one.setting === setting);
  const best = (metric: string): MethodSummary | undefined =>
    own
      .filter(({ figures }) => figures[metric] !== undefined)
      .sort((a, b) => b.figures[metric]!.mean - a.figures[metric]!.mean)[0];
  const missing = runs.filter(({ status }) => status !== 'done').length;
  const judged =
    folds === undefined || split === 'test' ? `on split ${split}` : `on the fold held out, of ${folds}`;
  const figures = metrics.slice(0, 4).flatMap((metric) => {
    const winner = best(metric);
    if (winner === undefined) return [];
    const { mean, halfWidth } = winner.figures[metric]!;
    const spread = halfWidth === null ? '' : ` ± ${(100 * halfWidth).toFixed(1)}`;
    return [
      {
        label: `best ${metricName(metric)}`,
        value: percent(mean),
        note: `${winner.method}${spread}`,
      },
    ];
  });
  const many = (number: number, one: string) => `${number} ${one}${number === 1 ? '' : 's'}`;
  return {
    lead: [
      `${many(methods.length, 'method')}${settings.length > 1 ? ` at ${many(settings.length, 'setting')}` : ''}, ${many(seeds.length, 'seed')} each${folds === undefined ? '' : ` in ${folds} folds`}, judged ${judged}; all else is the same.${missing > 0 ? ` ${many(missing, 'run')} of ${runs.length} ${missing === 1 ? 'is' : 'are'} missing.` : ''}`,
      ...(differences.length > 0 ? [differencesInWords(differences)] : []),
    ],
    figures,
  };
}

/** The differences that were written down, over seeds and over items. */
export function differenceLines({ differences, settings }: Comparison): ReportDifference[] {
  return differences.flatMap(({ a, b, metric, setting, overSeeds, overQueries }) => {
    const label = `${a} − ${b}${settings.length > 1 ? `, ${setting}` : ''}`;
    const lines: ReportDifference[] = [];
    if (overSeeds.halfWidth !== null) {
      lines.push({
        label,
        figure: `${metricName(metric)}, over seeds`,
        mean: overSeeds.mean,
        low: overSeeds.mean - overSeeds.halfWidth,
        high: overSeeds.mean + overSeeds.halfWidth,
        note: `${overSeeds.seeds} seeds${pInWords(overSeeds.adjustedPValue)}`,
      });
    }
    if (overQueries !== null) {
      lines.push({
        label,
        figure: `${metricName(metric)}, over items`,
        mean: overQueries.mean,
        low: overQueries.low,
        high: overQueries.high,
        note: `${overQueries.items} items${pInWords(overQueries.adjustedPValue)}`,
      });
    }
    return lines;
  });
}

/** The main figures of each method, setting by setting; nothing where there is one setting. */
export function settingBars({ settings, methods, summaries, metrics }: Comparison): ReportBars[] {
  if (settings.length < 2) return [];
  return metrics.slice(0, 4).map((metric) => ({
    title: `${metricName(metric)} by setting`,
    groups: settings,
    series: methods.map((method) => ({
      label: method,
      values: settings.map(
        (setting) =>
          summaries.find((one) => one.method === method && one.setting === setting)?.figures[metric]?.mean ??
          0,
      ),
    })),
  }));
}

/** The trials of the search for hyperparameters, a table a method. */
export function searchTables({ search }: Comparison): ReportTable[] {
  return search
    .filter(({ trials }) => trials.length > 0)
    .map(({ method, budget, trial, trials, note }) => {
      const names = [...new Set(trials.flatMap(({ values }) => Object.keys(values)))];
      return {
        title: `Search for the settings of ${method}`,
        note: `${budget} trials, as for every method, on validation; ${trial === null ? 'the settings as written were best' : `trial ${trial} was chosen`}.${note === undefined ? '' : ` ${note}.`}`,
        columns: ['trial', 'score', ...names],
        rows: trials.map((one) => [
          `${one.trial}${one.trial === trial ? ', chosen' : ''}`,
          one.score === null ? (one.reason ?? '–') : Number(one.score.toPrecision(4)),
          ...names.map((name) => cell(one.values[name])),
        ]),
      };
    });
}

/** `attributes.ndcgAt10` → `attributes nDCG@10` */
export function metricName(metric: string): string {
  return metric
    .replace(/^byLevel\./, '')
    .replaceAll('.', ' ')
    .replace(/recallAt(\d+)/, 'Recall@$1')
    .replace('mapAtR', 'MAP@R')
    .replace(/ndcgAt(\d+)/, 'nDCG@$1')
    .replace('rPrecision', 'R-Precision')
    .replace(/\bhap\b/, 'H-AP')
    .replace(/\basi\b/, 'ASI')
    .replace('spearman', 'Spearman');
}

// --- internal ---

function pInWords(value: number | null): string {
  if (value === null) return '';
  return value < 0.001 ? ', p < 0.001' : `, p = ${value.toFixed(3)}`;
}

function cell(value: unknown): string | number {
  if (typeof value === 'number') return Number(value.toPrecision(4));
  return value === undefined ? '' : typeof value === 'string' ? value : JSON.stringify(value);
}

/** What the differences come to; p-values are after Holm, over all that were asked. */
function differencesInWords(differences: Comparison['differences']): string {
  const clear = differences.filter(
    ({ overSeeds: { adjustedPValue } }) => adjustedPValue !== null && adjustedPValue < 0.05,
  );
  const tested = differences.filter(({ overSeeds }) => overSeeds.adjustedPValue !== null).length;
  if (tested === 0)
    return `One seed cannot tell a difference between methods from chance; ${differences.length} were asked for.`;
  if (clear.length === 0)
    return `Of ${tested} differences that were asked for none can be told from chance over seeds (p after Holm below 0.05).`;
  return `Of ${tested} differences that were asked for ${clear.length} can be told from chance over seeds (p after Holm below 0.05): ${clear
    .map(
      ({ a, b, metric, overSeeds }) =>
        `${a} ${overSeeds.mean > 0 ? 'above' : 'below'} ${b} in ${metricName(metric)} by ${(100 * Math.abs(overSeeds.mean)).toFixed(1)}`,
    )
    .join('; ')}.`;
}
