/** `semblance evaluate`: the figures of a model on a split. */
import Table from 'cli-table3';
import { Command } from 'commander';
import { readBundle } from '../bundle/index.js';
import { readManifest } from '../data/index.js';
import type { MethodMetrics } from '../evaluation/index.js';
import { inferSchema } from '../granularity/index.js';
import { silentProgress, streamProgress } from '../util/index.js';
import { interruptible } from './interruption.js';
import { embedRows, judge } from './judging.js';
import { positiveInteger } from './options.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';

interface Options {
  model: string;
  data: string;
  split: SplitChoice;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function evaluateCommand(): Command {
  return new Command('evaluate')
    .description('judge a model: Recall@K, MAP@R, R-Precision and mAP at every level')
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL)')
    .option(
      '--split <name>',
      `which pictures: ${JUDGED_SPLITS.join(', ')} (test: with query and gallery)`,
      splitChoice(JUDGED_SPLITS),
      'test',
    )
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the figures as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      "\nWhere every picture has a `source`, hits of the query's own source do not count, and Recall@1 is the mean\n" +
        'over ordered pairs of sources. A level at which no picture has another one to find shows –.\n\nExample:\n' +
        '  $ semblance evaluate --model runs/demo/model --data runs/demo/data/manifest.csv --json\n',
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

// --- internal ---

async function run(options: Options): Promise<void> {
  const { card } = await readBundle(options.model);
  const manifest = await readManifest(options.data);
  const rows = rowsOfSplit(manifest.rows, options.split, options.data);
  // The levels are the data's: a model without attributes is judged at them too.
  const schema =
    card.schema.levels.length > 1
      ? card.schema
      : inferSchema(manifest.rows.filter(({ split }) => split === 'train')).schema;
  const sourceless = rows.filter(({ source }) => source === undefined).length;
  if (sourceless > 0 && sourceless < rows.length)
    process.stderr.write(
      `${sourceless} of ${rows.length} pictures have no source: hits of the query's own source count\n`,
    );
  const { figures, problems } = await interruptible(
    async (signal) => {
      const embedded = await embedRows(options.model, rows, {
        ...(options.threads === undefined ? {} : { threads: options.threads }),
        progress: options.quiet === true ? silentProgress : streamProgress(),
        signal,
      });
      return { figures: await judge(embedded, schema, signal), problems: embedded.problems };
    },
    { isResumable: false },
  );
  for (const problem of problems) process.stderr.write(`left out: ${problem}\n`);
  for (const [level, { queries }] of Object.entries(figures.byLevel))
    if (queries === 0)
      process.stderr.write(
        `not judged: at the level '${level}' no picture of split '${options.split}' has another one to find\n`,
      );
  if (options.json === true) {
    process.stdout.write(
      `${JSON.stringify({ ...figures, split: options.split, unreadable: problems.length }, null, 2)}\n`,
    );
  } else process.stdout.write(`${figuresTable({ [options.model]: figures })}\n`);
}
