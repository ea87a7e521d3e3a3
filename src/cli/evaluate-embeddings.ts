/** `semblance evaluate --embeddings`: the figures of anyone's embeddings, by `docs/metrics.md`. */
import Table from 'cli-table3';
import {
  type EmbeddingHealth,
  embeddingHealth,
  evaluateRetrieval,
  type GradedSummary,
  type LevelMetrics,
  type RetrievalResult,
  type SkipReasons,
} from '../evaluation/index.js';
import { CliError, type StartProgress } from '../util/index.js';
import { type EmbeddingSource, type JudgedEmbeddings, readJudgedEmbeddings } from './judged-embeddings.js';

/** What the command line says of the files. */
export interface EmbeddingOptions {
  readonly embeddings?: string;
  readonly labels?: string;
  readonly query?: string;
  readonly queryLabels?: string;
  readonly gallery?: string;
  readonly galleryLabels?: string;
  readonly levels?: readonly string[];
  readonly cross?: string;
  readonly attributes?: readonly string[];
  readonly recallAt?: readonly number[];
}

/** The figures as they are printed with `--json`; null where no query is judged. */
export interface EmbeddingFigures {
  levels: Record<string, Record<string, number | null | Record<string, number>>>;
  hap: number | null;
  asi: number | null;
  'ndcg@10': number | null;
  ndcg: number | null;
  /** Absent without attribute columns. */
  attributes?: {
    'ndcg@10': number | null;
    spearman: number | null;
    queries: number;
    'spearman-queries': number;
    names: readonly string[];
  };
  /** Rows that asked and have something relevant at some level. */
  queries: number;
  /** Rows that asked and have not, by reason. */
  skipped: Record<string, number>;
  /** Of all rows; pairs are by `item_id`, or by the finest level where there is no such column. */
  health: EmbeddingHealth;
}

/**
 * The files that the options name: one array, or one for queries and one for the gallery. Labels are looked for beside
 * the array, as `E.csv` of `E.npy`.
 * @throws CliError when they do not go together.
 */
export function embeddingSources(options: EmbeddingOptions): EmbeddingSource[] {
  const { embeddings, labels, query, queryLabels, gallery, galleryLabels } = options;
  const beside = (array: string) => array.replace(/(\.npy)?$/i, '.csv');
  if (query === undefined && gallery === undefined) {
    if (embeddings === undefined) throw new CliError('evaluate: --labels needs --embeddings, got none');
    if (queryLabels !== undefined || galleryLabels !== undefined)
      throw new CliError(
        'evaluate: --query-labels and --gallery-labels need --query and --gallery, got none',
      );
    return [{ embeddings, labels: labels ?? beside(embeddings) }];
  }
  if (query !== undefined && gallery !== undefined && embeddings !== undefined)
    throw new CliError(
      'evaluate: --embeddings is the other side of --query or of --gallery, got all three. Leave one out',
    );
  const queries = query ?? embeddings;
  const answers = gallery ?? embeddings;
  if (queries === undefined || answers === undefined)
    throw new CliError(
      `evaluate: --query and --gallery go together, got only --${query === undefined ? 'gallery' : 'query'}`,
    );
  return [
    {
      embeddings: queries,
      labels: queryLabels ?? (query === undefined ? labels : undefined) ?? beside(queries),
      role: 'query',
    },
    {
      embeddings: answers,
      labels: galleryLabels ?? (gallery === undefined ? labels : undefined) ?? beside(answers),
      role: 'gallery',
    },
  ];
}

/** Reads, judges, and puts the figures into the form of `--json`. */
export async function judgeEmbeddings(
  options: EmbeddingOptions,
  { progress, signal }: { progress?: StartProgress; signal?: AbortSignal } = {},
): Promise<{ figures: EmbeddingFigures; judged: JudgedEmbeddings }> {
  const judged = await readJudgedEmbeddings(embeddingSources(options), {
    levels: options.levels ?? ['item_id'],
    cross: options.cross,
    attributes: options.attributes,
  });
  const hasAttributes = judged.attributeNames.length > 0;
  const result = await evaluateRetrieval({
    embeddings: judged.embeddings,
    dimension: judged.dimension,
    levels: judged.levels,
    items: judged.items,
    roles: judged.roles,
    source: judged.source,
    crossSource: options.cross !== undefined,
    recallAt: options.recallAt,
    graded: true,
    attributes: hasAttributes ? judged.attributes : undefined,
    progress,
    signal,
  });
  const health = embeddingHealth({
    embeddings: judged.embeddings,
    dimension: judged.dimension,
    items: judged.items ?? (Object.values(judged.levels)[0] as string[]),
  });
  return { figures: { ...figuresOf(result, judged), health }, judged };
}

/** The figures as tables for people, × 100 but for Spearman's correlation; `–` where no query is judged. */
export function embeddingTables(figures: EmbeddingFigures): string {
  const percent = (value: unknown) => (typeof value === 'number' ? (100 * value).toFixed(1) : '–');
  const style = { head: [], border: [] };
  const names = Object.keys(Object.values(figures.levels)[0] ?? {}).filter(
    (name) => name !== 'queries' && name !== 'skipped',
  );
  const levels = new Table({
    head: ['', ...names, 'queries', 'skipped'],
    style,
    colAligns: ['left', ...Array<'right'>(names.length + 2).fill('right')],
  });
  for (const [level, row] of Object.entries(figures.levels)) {
    const skipped = Object.values(row.skipped as Record<string, number>).reduce(
      (sum, count) => sum + count,
      0,
    );
    levels.push([level, ...names.map((name) => percent(row[name])), String(row.queries), String(skipped)]);
  }
  const graded = new Table({
    head: ['all levels', '', 'queries'],
    style,
    colAligns: ['left', 'right', 'right'],
  });
  for (const name of ['hap', 'asi', 'ndcg@10', 'ndcg'] as const)
    graded.push([name, percent(figures[name]), String(figures.queries)]);
  const { attributes } = figures;
  if (attributes !== undefined)
    graded.push(
      ['attributes ndcg@10', percent(attributes['ndcg@10']), String(attributes.queries)],
      [
        'attributes spearman',
        attributes.spearman === null ? '–' : attributes.spearman.toFixed(3),
        String(attributes['spearman-queries']),
      ],
    );
  return [levels, graded, healthTable(figures.health)].join('\n');
}

// --- internal ---

function healthTable(health: EmbeddingHealth): Table.Table {
  const { alignment, uniformity, cosine, effectiveRank, spectralDecay, directions, hubness } = health;
  const number = (value: number | null, digits = 3) => (value === null ? '–' : value.toFixed(digits));
  const table = new Table({
    head: ['health of the embeddings', ''],
    style: { head: [], border: [] },
    colAligns: ['left', 'right'],
  });
  table.push(
    ['alignment (of one item: lower is closer)', number(alignment)],
    ['uniformity (lower is more evenly spread)', number(uniformity)],
    ['mean cosine of one item', number(cosine.positives)],
    ['mean cosine of two items', number(cosine.negatives)],
    ['effective rank', number(effectiveRank, 1)],
    [
      'directions of 50, 90, 99 % of the variance',
      directions === null ? '–' : Object.values(directions).join(', '),
    ],
    ['spectral decay (0 is flat)', number(spectralDecay)],
    ['hubness (from 1 on there are hubs)', number(hubness, 2)],
  );
  return table;
}

function figuresOf(
  result: RetrievalResult,
  { attributeNames }: JudgedEmbeddings,
): Omit<EmbeddingFigures, 'health'> {
  const graded = result.graded as GradedSummary;
  const of = (value: number, queries: number) => (queries === 0 ? null : value);
  const { attributes } = graded;
  return {
    levels: Object.fromEntries(
      Object.entries(result.levels).map(([name, level]) => [
        name,
        levelFigures(level, result.levelsSkippedBecause[name] as SkipReasons),
      ]),
    ),
    hap: of(graded.hap, graded.queries),
    asi: of(graded.asi, graded.queries),
    'ndcg@10': of(graded.ndcgAt10, graded.queries),
    ndcg: of(graded.ndcg, graded.queries),
    ...(attributes === undefined
      ? {}
      : {
          attributes: {
            'ndcg@10': of(attributes.ndcgAt10, attributes.queries),
            spearman: of(attributes.spearman, attributes.spearmanQueries),
            queries: attributes.queries,
            'spearman-queries': attributes.spearmanQueries,
            names: attributeNames,
          },
        }),
    queries: graded.queries,
    skipped: reasonsOf(result.skippedBecause),
  };
}

function levelFigures(level: LevelMetrics, reasons: SkipReasons): EmbeddingFigures['levels'][string] {
  const of = (value: number) => (level.queries === 0 ? null : value);
  return {
    ...Object.fromEntries(Object.entries(level.recall).map(([k, value]) => [`recall@${k}`, of(value)])),
    'map@r': of(level.mapAtR),
    'r-precision': of(level.rPrecision),
    map: of(level.map),
    queries: level.queries,
    skipped: reasonsOf(reasons),
  };
}

function reasonsOf({ unknownLabel, nothingRelevant, onlyOwnSource }: SkipReasons): Record<string, number> {
  return {
    'unknown-label': unknownLabel,
    'nothing-relevant': nothingRelevant,
    'only-own-source': onlyOwnSource,
  };
}
