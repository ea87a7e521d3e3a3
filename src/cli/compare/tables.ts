/** A comparison as tables for the terminal: figures × 100, `±` half of the 95 % interval over seeds. */
import Table from 'cli-table3';
import type {
  Comparison,
  Difference,
  MethodSummary,
  SearchSummary,
  TimedStep,
} from '../../evaluation/index.js';
import { PLAIN_SETTING } from './plan.js';

/**
 * All tables of a comparison, with what they mean in a line each.
 * @param methods those that are shown. Default: all.
 */
export function comparisonTables(whole: Comparison, methods: readonly string[] = whole.methods): string {
  const isShown = ({ method }: { method: string }) => methods.includes(method);
  const comparison: Comparison = {
    ...whole,
    search: whole.search.filter(isShown),
    summaries: whole.summaries.filter(isShown),
    differences: whole.differences.filter(({ a, b }) => methods.includes(a) && methods.includes(b)),
    stepCosts: whole.stepCosts.filter(isShown),
  };
  const { summaries, differences, seeds, folds, split } = comparison;
  const parts: string[] = [];
  for (const search of comparison.search) parts.push(searchText(search));
  const judged =
    folds === undefined || split === 'test' ? `split '${split}'` : `the fold held out, of ${folds}`;
  parts.push(
    `${comparison.name}: judged on ${judged}, ${seeds.length} ${seeds.length === 1 ? 'seed' : 'seeds'}; × 100, ± half of the 95 % interval over seeds`,
  );
  parts.push(summaries.length === 0 ? 'no run is done' : figuresTable(comparison));
  if (differences.length > 0) {
    parts.push(
      'Differences, × 100. Over seeds: paired, 95 % interval and test by Student’s t. Over items: paired bootstrap, queries of\n' +
        'one item together. p after Holm over all rows of this table; * where the interval excludes 0.',
    );
    parts.push(differencesTable(differences));
  }
  if (comparison.stepCosts.length > 0) {
    parts.push('Processor time of a step on one thread, each method taking turns with the first:');
    parts.push(stepCostTable(comparison.stepCosts));
  }
  return parts.join('\n');
}

/** Time of a step by method, and its ratio to the first. */
export function stepCostTable(timed: readonly TimedStep[]): string {
  const table = new Table({
    head: ['method', 'ms/step', 'ratio', '95 %', 'steps'],
    style: STYLE,
    colAligns: ['left', 'right', 'right', 'right', 'right'],
  });
  for (const { method, millisecondsPerStep, ratio, low, high, steps } of timed)
    table.push([
      method,
      millisecondsPerStep.toFixed(1),
      ratio.toFixed(3),
      `${low.toFixed(3)} to ${high.toFixed(3)}`,
      steps,
    ]);
  return table.toString();
}

// --- internal ---

const STYLE = { head: [], border: [], compact: true };

function figuresTable({ summaries, metrics }: Comparison): string {
  const hasSettings = summaries.some(({ setting }) => setting !== PLAIN_SETTING);
  const table = new Table({
    head: [
      'method',
      ...(hasSettings ? ['setting'] : []),
      ...metrics.map(shortMetric),
      'runs',
      'ms/step',
      'peak MB',
      'parameters',
      'extra',
    ],
    style: STYLE,
    colAligns: [
      'left',
      ...(hasSettings ? (['left'] as const) : []),
      ...Array<'right'>(metrics.length + 5).fill('right'),
    ],
  });
  for (const { method, setting, figures, cost, runs, wanted } of summaries) {
    table.push([
      method,
      ...(hasSettings ? [setting] : []),
      ...metrics.map((metric) => figureText(figures[metric])),
      runs === wanted ? String(runs) : `${runs} of ${wanted}`,
      cost.millisecondsPerStep?.toFixed(0) ?? '–',
      cost.peakMemoryMb?.toFixed(0) ?? '–',
      cost.parameters.toLocaleString('en'),
      cost.extraParameters === 0 ? '' : `+${cost.extraParameters.toLocaleString('en')}`,
    ]);
  }
  return table.toString();
}

function differencesTable(differences: readonly Difference[]): string {
  const hasSettings = differences.some(({ setting }) => setting !== PLAIN_SETTING);
  const table = new Table({
    head: [
      'comparison',
      ...(hasSettings ? ['setting'] : []),
      'metric',
      'over seeds',
      'p',
      'over items',
      '95 % interval',
      'p',
    ],
    style: STYLE,
    colAligns: [
      'left',
      ...(hasSettings ? (['left'] as const) : []),
      'left',
      'right',
      'right',
      'right',
      'right',
      'right',
    ],
  });
  for (const { setting, a, b, metric, overSeeds, overQueries } of differences) {
    const half = overSeeds.halfWidth === null ? '' : ` ± ${(100 * overSeeds.halfWidth).toFixed(2)}`;
    table.push([
      `${a} − ${b}`,
      ...(hasSettings ? [setting] : []),
      shortMetric(metric),
      `${signed(overSeeds.mean)}${half}${overSeeds.excludesZero ? ' *' : ''}`,
      pText(overSeeds.adjustedPValue),
      overQueries === null ? '–' : `${signed(overQueries.mean)}${overQueries.excludesZero ? ' *' : ''}`,
      overQueries === null ? '' : `${signed(overQueries.low)} to ${signed(overQueries.high)}`,
      pText(overQueries?.adjustedPValue ?? null),
    ]);
  }
  return table.toString();
}

function searchText({ method, budget, trials, chosen, score, note, trial }: SearchSummary): string {
  if (note !== undefined) return `search, ${method}: ${note}`;
  const done = trials.filter((one) => one.score !== null).length;
  if (trial === null || score === null) return `search, ${method}: ${done} of ${budget} trials done`;
  const values = Object.entries(chosen).map(
    ([path, value]) =>
      `${path} ${typeof value === 'number' ? Number(value.toPrecision(3)) : JSON.stringify(value)}`,
  );
  return `search, ${method}: ${values.length === 0 ? 'as it is written' : values.join(', ')} (trial ${trial}, validation ${(100 * score).toFixed(2)}; ${done} of ${budget} trials)`;
}

const METRIC_NAMES: Readonly<Record<string, string>> = {
  recallAt1: 'Recall@1',
  mapAtR: 'MAP@R',
  hap: 'H-AP',
  asi: 'ASI',
  ndcg: 'nDCG',
  ndcgAt10: 'nDCG@10',
  'attributes.ndcgAt10': 'attr nDCG@10',
  'attributes.spearman': 'attr Spearman',
};

/** A metric as a table's head says it. */
function shortMetric(metric: string): string {
  return METRIC_NAMES[metric] ?? metric.replace(/^byLevel\./, '');
}

function figureText(figure: MethodSummary['figures'][string] | undefined): string {
  if (figure === undefined) return '–';
  const { mean, halfWidth } = figure;
  return `${(100 * mean).toFixed(1)}${halfWidth === null ? '' : ` ± ${(100 * halfWidth).toFixed(1)}`}`;
}

function signed(fraction: number): string {
  const text = (100 * fraction).toFixed(2);
  return fraction > 0 ? `+${text}` : text.replace('-', '−');
}

function pText(p: number | null): string {
  if (p === null) return '';
  return p < 0.001 ? '< 0.001' : p.toFixed(3);
}
