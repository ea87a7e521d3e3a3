/** `semblance evaluate`: the figures of a model on a split, or of embeddings from anywhere. */
import Table from 'cli-table3';
import { Command, Option } from 'commander';
import { readBundle } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import type { MethodMetrics } from '../evaluation/index.js';
import { parseGranularity } from '../granularity/index.js';
import { MODEL_VARIANTS, type ModelVariant } from '../onnx/index.js';
import { CliError, silentProgress, streamProgress } from '../util/index.js';
import { type EmbeddingOptions, embeddingTables, judgeEmbeddings } from './evaluate-embeddings.js';
import { type HitCalibration, judgeCalibration } from './hit-calibration.js';
import { interruptible } from './interruption.js';
import { blendedRows, embedRows, judge, judgedSchema } from './judging.js';
import { positiveInteger } from './options.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';

interface Options extends EmbeddingOptions {
  model?: string;
  data?: string;
  split?: SplitChoice;
  variant?: ModelVariant;
  granularity?: number;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description(
      'judge a model, or embeddings from anywhere: Recall@K, MAP@R, R-Precision, mAP, H-AP, ASI, nDCG',
    )
    .option('--model <folder>', 'the model bundle')
    .option('--data <manifest>', 'the manifest (CSV or JSONL)')
    .option(
      '--split <name>',
      `which pictures: ${JUDGED_SPLITS.join(', ')} (default: test, with query and gallery)`,
      splitChoice(JUDGED_SPLITS),
    )
    .addOption(
      new Option('--variant <name>', 'which variant of the model (default: fp32)').choices(MODEL_VARIANTS),
    )
    .option(
      '--granularity <level>',
      'judge what a search compares at item, look, category or a number from 0 to 1 (default: the embedding alone)',
      parseGranularity,
    )
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--embeddings <file>', 'embeddings from anywhere: .npy, float32 [N, D], of any length')
    .option('--labels <file>', 'their labels: CSV, a row each (default: E.csv beside E.npy)')
    .option('--query <file>', 'embeddings of queries, where these are an array of their own')
    .option('--query-labels <file>', 'their labels (default: Q.csv beside Q.npy)')
    .option('--gallery <file>', 'embeddings of the gallery, the other side of --query')
    .option('--gallery-labels <file>', 'their labels (default: G.csv beside G.npy)')
    .option(
      '--levels <columns>',
      'columns of the labels, fine to coarse (default: item_id)',
      columnNames('--levels'),
    )
    .option('--cross <column>', "hits that share the query's value of this column do not count, e.g. source")
    .option(
      '--attributes <columns>',
      'columns that are attributes (default: all without another meaning)',
      columnNames('--attributes'),
    )
    .option('--recall-at <numbers>', 'the K of Recall@K (default: 1,5,10)', recallDepths)
    .option('--json', 'print the figures as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      "\nA model: where every picture has a `source`, hits of the query's own source do not count, and Recall@1 is the\n" +
        'mean over ordered pairs of sources. A level at which no picture has another one to find shows –.\n\n' +
        'Embeddings: the labels have a column item_id, and may have role (query, gallery, both; default both, without\n' +
        'the own row), source, the columns of --levels, and attributes (values separated by |, empty is unknown).\n' +
        'Similarity is the cosine. docs/metrics.md says what each figure is and how edge cases are decided.\n\nExample:\n' +
        '  $ semblance evaluate --model runs/demo/model --data runs/demo/data/manifest.csv --json\n' +
        '  $ semblance evaluate --model runs/demo/model --data runs/demo/data/manifest.csv --granularity look\n' +
        '  $ semblance evaluate --embeddings E.npy --labels L.csv --levels item_id,look,category --cross source --json\n' +
        '  $ semblance evaluate --query Q.npy --query-labels Q.csv --gallery G.npy --gallery-labels G.csv\n',
    )
    .action(run);
}

/** The figures as a table for people, × 100; `–` where no query has anything to find. */
export function figuresTable(methods: Readonly<Record<string, MethodMetrics>>): string {
  const percent = (value: number | undefined, isJudged: boolean) =>
    isJudged && value !== undefined ? (100 * value).toFixed(1) : '–';
  const levels = Object.keys(Object.values(methods)[0]?.byLevel ?? {});
  const table = new Table({
    head: [
      '',
      'Recall@1',
      'MAP@R',
      ...levels.slice(1).flatMap((level) => [`${level} R@1`, `${level} MAP@R`]),
    ],
    style: { head: [], border: [] },
    colAligns: ['left', ...Array<'right'>(2 + 2 * Math.max(0, levels.length - 1)).fill('right')],
  });
  for (const [name, { recallAt1, mapAtR, byLevel, pairs }] of Object.entries(methods)) {
    const isJudged = (level: string | undefined) => (byLevel[level ?? '']?.queries ?? 0) > 0;
    const coarser = levels
      .slice(1)
      .flatMap((level) => [
        percent(byLevel[level]?.recallAt1, isJudged(level)),
        percent(byLevel[level]?.mapAtR, isJudged(level)),
      ]);
    const hasPairs = Object.keys(pairs).length > 0;
    table.push([
      name,
      percent(recallAt1, hasPairs || isJudged(levels[0])),
      percent(mapAtR, isJudged(levels[0])),
      ...coarser,
    ]);
  }
  return table.toString();
}

/** The graded figures as a table for people, × 100 but for Spearman's correlation. */
export function gradedTable(methods: Readonly<Record<string, MethodMetrics>>): string {
  const table = new Table({
    head: ['', 'H-AP', 'ASI', 'nDCG@10', 'nDCG', 'attributes nDCG@10', 'Spearman'],
    style: { head: [], border: [] },
    colAligns: ['left', ...Array<'right'>(6).fill('right')],
  });
  for (const [name, { hap, asi, ndcgAt10, ndcg, attributes, byLevel }] of Object.entries(methods)) {
    const isJudged = Object.values(byLevel).some(({ queries }) => queries > 0);
    const percent = (value: number, queries: number) => (queries > 0 ? (100 * value).toFixed(1) : '–');
    table.push([
      name,
      ...[hap, asi, ndcgAt10, ndcg].map((value) => percent(value, Number(isJudged))),
      percent(attributes?.ndcgAt10 ?? 0, attributes?.queries ?? 0),
      (attributes?.spearmanQueries ?? 0) > 0 ? (attributes?.spearman ?? 0).toFixed(3) : '–',
    ]);
  }
  return table.toString();
}

/** The figures of a calibration as a table for people; in words where there is none. */
export function calibrationText(calibration: HitCalibration | undefined): string {
  if (calibration === undefined)
    return 'The model is not calibrated: hits have no probabilities. Fit them with `semblance calibrate`.\n';
  const percent = (share: number | null) => (share === null ? '–' : (100 * share).toFixed(1));
  const table = new Table({
    head: ['hits', 'ECE, best ten', 'equal weight', 'ECE, by 1/rank', 'right of ≥ 90 %', 'found by it'],
    style: { head: [], border: [] },
    colAligns: ['left', ...Array<'right'>(5).fill('right')],
  });
  for (const [level, { bestTen, byRank, cutOffs }] of Object.entries(calibration)) {
    const cut = cutOffs.find(({ probability }) => probability === 0.9);
    table.push([
      level,
      percent(bestTen.expectedError),
      percent(bestTen.expectedErrorEqualWeight),
      percent(byRank.expectedError),
      percent(cut?.precision ?? null),
      percent(cut?.recall ?? null),
    ]);
  }
  return `${table.toString()}\n`;
}

// --- internal ---

const MODEL_OPTIONS = ['model', 'data', 'split', 'variant', 'granularity'] as const;
const EMBEDDING_OPTIONS = [
  ...['embeddings', 'labels', 'query', 'queryLabels', 'gallery', 'galleryLabels'],
  ...['levels', 'cross', 'attributes', 'recallAt'],
] as const;

const flagOf = (name: string) => `--${name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;

function columnNames(flag: string): (text: string) => string[] {
  return (text) => {
    const names = text.split(',').map((name) => name.trim());
    const twice = names.find((name, index) => names.indexOf(name) !== index);
    if (names.includes('') || twice !== undefined)
      throw new CliError(`${flag}: must be different names of columns separated by commas, got '${text}'`);
    return names;
  };
}

function recallDepths(text: string): number[] {
  return text.split(',').map((part) => positiveInteger(part));
}

async function run(options: Options): Promise<void> {
  const ofModel = MODEL_OPTIONS.find((name) => options[name] !== undefined);
  const ofEmbeddings = EMBEDDING_OPTIONS.find((name) => options[name as keyof Options] !== undefined);
  if (ofModel !== undefined && ofEmbeddings !== undefined)
    throw new CliError(
      `evaluate: ${flagOf(ofModel)} is about a model and ${flagOf(ofEmbeddings)} about embeddings, got both. Leave one out`,
    );
  if (ofEmbeddings !== undefined) return runOnEmbeddings(options);
  const { model, data } = options;
  if (model === undefined || data === undefined)
    throw new CliError('evaluate: --model and --data, or --embeddings and --labels are required');
  return runOnModel({ ...options, model, data });
}

async function runOnEmbeddings(options: Options): Promise<void> {
  const { figures, judged } = await interruptible(
    (signal) =>
      judgeEmbeddings(options, {
        progress: options.quiet === true ? silentProgress : streamProgress(),
        signal,
      }),
    { isResumable: false },
  );
  if (judged.zeroRows.length > 0)
    process.stderr.write(
      `${judged.zeroRows.length} of ${judged.roles.length} embeddings are 0 throughout (first: row ${judged.zeroRows[0]}, from 0): their similarity with everything is taken as 0\n`,
    );
  for (const [level, { queries }] of Object.entries(figures.levels))
    if (queries === 0)
      process.stderr.write(`not judged: at the level '${level}' no query has anything to find\n`);
  process.stdout.write(
    options.json === true ? `${JSON.stringify(figures, null, 2)}\n` : `${embeddingTables(figures)}\n`,
  );
}

async function runOnModel(options: Options & { model: string; data: string }): Promise<void> {
  const split = options.split ?? 'test';
  const bundle = await readBundle(options.model);
  const manifest = await readManifest(options.data);
  const rows = rowsOfSplit(manifest.rows, split, options.data);
  const schema = judgedSchema(bundle, manifest.rows);
  const sourceless = rows.filter(({ source }) => source === undefined).length;
  if (sourceless > 0 && sourceless < rows.length)
    process.stderr.write(
      `${sourceless} of ${rows.length} pictures have no source: hits of the query's own source count\n`,
    );
  const progress = options.quiet === true ? silentProgress : streamProgress();
  const { figures, calibration, problems } = await interruptible(
    async (signal) => {
      const embedded = await embedRows(options.model, rows, {
        variant: options.variant ?? 'fp32',
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        progress,
        signal,
      });
      const compared =
        options.granularity === undefined ? embedded : blendedRows(embedded, bundle, options.granularity);
      return {
        figures: await judge(compared, schema, signal),
        calibration: judgeCalibration(embedded, bundle.card, progress),
        problems: embedded.problems,
      };
    },
    { isResumable: false },
  );
  for (const problem of problems) process.stderr.write(`left out: ${problem}\n`);
  for (const [level, { queries }] of Object.entries(figures.byLevel))
    if (queries === 0)
      process.stderr.write(
        `not judged: at the level '${level}' no picture of split '${split}' has another one to find\n`,
      );
  if (options.json === true) {
    process.stdout.write(
      `${JSON.stringify({ ...figures, ...(calibration === undefined ? {} : { calibration }), split, unreadable: problems.length }, null, 2)}\n`,
    );
  } else
    process.stdout.write(
      `${figuresTable({ [options.model]: figures })}\n${gradedTable({ [options.model]: figures })}\n${calibrationText(calibration)}`,
    );
}
