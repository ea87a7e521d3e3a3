/**
 * `semblance demo`: the whole way on real pictures. Builds the emoji dataset, trains, judges on items that training
 * never saw, indexes them, searches, and writes `metrics.json` and `report.html`.
 */
import { join, relative } from 'node:path';
import { Command } from 'commander';
import { stringify } from 'yaml';
import { openEmbedder, readBundle } from '../bundle/index.js';
import { openCatalog, type SearchHit, searchByPicture } from '../catalog/index.js';
import {
  buildEmojiDataset,
  type DatasetSummary,
  decodeAll,
  type Manifest,
  type ManifestRow,
  readManifest,
} from '../data/index.js';
import { type Comparison, type MethodMetrics, pixelEmbeddings } from '../evaluation/index.js';
import { GRANULARITY_NAMES, type Schema } from '../granularity/index.js';
import { emojiRecipe, resolveConfiguration, type TrainingConfiguration } from '../training/index.js';
import {
  DataError,
  formatDuration,
  type StartProgress,
  sha256OfFile,
  silentProgress,
  stopwatch,
  streamProgress,
  streamReport,
  writeFileAtomic,
  writeJson,
} from '../util/index.js';
import { makeMap } from './catalog/map.js';
import { carryOut, openComparison } from './compare/carry-out.js';
import { readComparisonConfiguration } from './compare/configuration.js';
import { defaultProcesses } from './compare/runs.js';
import { comparisonTables } from './compare/tables.js';
import { type DemoMetrics, METHOD_LABELS, type MethodName } from './demo-figures.js';
import { demoReport } from './demo-report.js';
import { calibrationText, figuresTable } from './evaluate.js';
import { judgeCalibration } from './hit-calibration.js';
import { indexRows } from './index-command.js';
import { interruptible } from './interruption.js';
import { type EmbeddedRows, embedRows, judge } from './judging.js';
import { nonNegativeInteger, positiveInteger, repeated } from './options.js';
import { ownCommand, shellWord } from './own-command.js';
import { merge, parseSettings } from './settings.js';
import { rowsOfSplit } from './splits.js';
import { runTraining, schemaOf, writeUntrainedBundle } from './training-run.js';

interface Options {
  directory: string;
  seed: number;
  seeds: number;
  steps?: number;
  set?: readonly string[];
  compare?: true;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function demoCommand(): Command {
  return new Command('demo')
    .description(
      'the whole way on emoji: data, training, judgement, index, search, report; four to twelve minutes',
    )
    .option('--directory <folder>', 'where everything goes; what is there already is used again', 'runs/demo')
    .option('--seed <number>', 'seed of everything random', nonNegativeInteger, 0)
    .option(
      '--compare',
      'also train the same network by multitask without the link, and by binomial deviance',
    )
    .option(
      '--seeds <count>',
      'with --compare: train each method this often, with seeds from --seed on',
      positiveInteger,
      1,
    )
    .option('--steps <count>', "training steps (default: the recipe's)", positiveInteger)
    .option('--set <path=value>', 'one training setting, e.g. batch.items=16 (may be given again)', repeated)
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the figures as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nThe pictures are artwork, not photographs: one emoji drawn by several artists is one item, and a hit counts\n' +
        'only when another artist drew it.\n\nExample:\n  $ semblance demo\n  $ semblance demo --compare --seeds 3\n',
    )
    .action((options: Options) => interruptible((signal) => run(options, signal)));
}

// --- internal ---

interface Context {
  readonly options: Options;
  readonly manifest: Manifest;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  readonly testRows: readonly ManifestRow[];
  readonly progress: StartProgress;
  readonly report: (line: string) => void;
  readonly signal: AbortSignal;
}

async function run(options: Options, signal: AbortSignal): Promise<void> {
  const elapsedSeconds = stopwatch();
  const { directory } = options;
  const progress = options.quiet === true ? silentProgress : streamProgress();
  const report = options.quiet === true ? () => {} : streamReport();

  report('1/5 dataset: emoji by six artists');
  const summary = await buildEmojiDataset(join(directory, 'data'), { progress, onNotice: report, signal });
  const manifest = await readManifest(summary.manifest);
  const schema = schemaOf(manifest, report);
  const settings = merge(emojiRecipe as Record<string, unknown>, parseSettings(options.set ?? []));
  const configuration = resolveConfiguration({
    ...settings,
    seed: options.seed,
    ...(options.steps === undefined ? {} : { steps: options.steps }),
  });
  const testRows = rowsOfSplit(manifest.rows, 'test');
  const context: Context = { options, manifest, schema, configuration, testRows, progress, report, signal };

  report(`2/5 training: ${configuration.steps} steps, levels ${schema.levels.join(' > ')}`);
  const sgml = await trainMethod(context, directory, configuration);

  report(
    `3/5 judging on ${new Set(testRows.map(({ itemId }) => itemId)).size} items that training never saw`,
  );
  const embedded = await embedTest(context, sgml);
  const methods: DemoMetrics['methods'] = {
    sgml: await judge(embedded, schema, signal),
    untrained: await judgeUntrained(context),
    pixels: await judgePixels(context),
  };
  const comparison = options.compare === true ? await compare(context, methods) : undefined;

  report('4/5 indexing and searching');
  const catalog = join(directory, 'catalog');
  await indexRows({
    model: sgml,
    catalog,
    rows: testRows,
    attributes: manifest.attributeNames,
    progress,
    signal,
  });
  await makeMap(catalog, { sample: MAP_SAMPLE, seed: options.seed, progress, signal });
  const search = await sampleSearch(catalog, sgml, testRows);

  report('5/5 report');
  const metrics: DemoMetrics = {
    seconds: Math.round(10 * elapsedSeconds()) / 10,
    peakMemoryMb: Math.round(process.resourceUsage().maxRSS / 1024),
    data: dataFigures(summary, options.seed),
    calibration: judgeCalibration(embedded, (await readBundle(sgml)).card, progress),
    methods,
  };
  await writeJson(join(directory, 'metrics.json'), metrics);
  const reportFile = join(directory, 'report.html');
  const html = await demoReport({
    directory,
    metrics,
    embedded,
    schema,
    configuration,
    progress,
    signal,
  });
  await writeFileAtomic(reportFile, html);
  if (options.json === true) process.stdout.write(`${JSON.stringify(metrics, null, 2)}\n`);
  else printSummary(context, metrics, search, { reportFile, comparison });
}

/** Trains in a folder, or finds that it is done. @returns the model's folder */
async function trainMethod(
  context: Context,
  directory: string,
  configuration: TrainingConfiguration,
): Promise<string> {
  const { manifest, schema, progress, report, signal, options } = context;
  const { modelDirectory } = await runTraining({
    manifest,
    schema,
    configuration,
    directory,
    progress,
    report,
    signal,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
  return modelDirectory;
}

function embedTest(
  { options, testRows, progress, signal }: Context,
  modelDirectory: string,
): Promise<EmbeddedRows> {
  return embedRows(modelDirectory, testRows, {
    progress,
    signal,
    ...(options.threads === undefined ? {} : { threads: options.threads }),
  });
}

async function judgeUntrained(context: Context): Promise<MethodMetrics> {
  const { options, manifest, schema, configuration, signal } = context;
  const directory = join(options.directory, 'baselines', 'untrained', 'model');
  await writeUntrainedBundle(directory, {
    schema,
    configuration,
    dataHash: await sha256OfFile(manifest.file),
  });
  return judge(await embedTest(context, directory), schema, signal);
}

/** Pictures that UMAP lays out: a few seconds. */
const MAP_SAMPLE = 1000;
const PIXEL_SIZE = 16;

async function judgePixels({ testRows, schema, progress, signal }: Context): Promise<MethodMetrics> {
  const size = 2 * PIXEL_SIZE;
  const { pictures, kept } = await decodeAll(testRows, { size, progress, signal });
  const vectors = pixelEmbeddings(pictures, { height: size, width: size, size: PIXEL_SIZE });
  const rows = Array.from(kept, (row) => testRows[row] as ManifestRow);
  return judge({ ...vectors, rows }, schema, signal);
}

/**
 * The same network, sampler, augmentation, steps and seeds; only the loss differs. Written down as a comparison, so that
 * `semblance compare` goes on from here.
 */
async function compare(
  { options, configuration, progress, report, signal }: Context,
  methods: DemoMetrics['methods'],
): Promise<Comparison> {
  const file = join(options.directory, 'compare.yaml');
  const { seed: _, ...settings } = configuration;
  const loss = withoutLink(configuration);
  await writeFileAtomic(
    file,
    stringify({
      name: 'demo',
      data: 'data/manifest.csv',
      settings,
      methods: { sgml: {}, multitask: { loss }, binomialDeviance: { loss, attributeWeight: 0 } },
      seeds: Array.from({ length: options.seeds }, (_, i) => options.seed + i),
      judge: 'test',
      comparisons: [
        ['sgml', 'multitask'],
        ['sgml', 'binomialDeviance'],
      ],
    }),
  );
  report(`comparison: the three methods of ${file}`);
  const opened = await openComparison({
    configuration: await readComparisonConfiguration(file),
    base: options.directory,
    directory: join(options.directory, 'compare'),
    processes: defaultProcesses(),
    progress,
    report,
    signal,
  });
  const { runs, comparison } = await carryOut(opened, true);
  for (const outcome of runs) {
    if (outcome.status !== 'done') {
      throw new DataError(
        `demo: every run of the comparison must end well, but ${outcome.run.folder} failed: ${outcome.status === 'failed' ? outcome.reason : 'it was not run'}`,
      );
    }
    const name = outcome.run.method as 'sgml' | 'multitask' | 'binomialDeviance';
    const { figures } = outcome.result;
    const before: NonNullable<(typeof methods)[typeof name]> = methods[name] ?? figures;
    const seed = { seed: outcome.run.seed, recallAt1: figures.recallAt1, mapAtR: figures.mapAtR };
    methods[name] = { ...before, seeds: [...(before.seeds ?? []), seed] };
  }
  return comparison;
}

/** Binomial deviance with the constants of the configuration's loss. */
function withoutLink({ loss }: TrainingConfiguration): TrainingConfiguration['loss'] {
  if (loss.kind !== 'soft-binomial-deviance') return loss;
  const { alpha, beta, negativeCost, negativeWeight } = loss;
  return { kind: 'binomial-deviance', alpha, beta, negativeCost, negativeWeight };
}

interface SampleSearch {
  readonly query: ManifestRow;
  /** Hits by granularity name, of pictures by other artists. */
  readonly hits: Readonly<Record<string, readonly SearchHit[]>>;
}

/** Searches the catalogue for one picture at the three granularities. */
async function sampleSearch(
  directory: string,
  modelDirectory: string,
  rows: readonly ManifestRow[],
): Promise<SampleSearch> {
  const query = rows.find(({ source }) => source === 'twemoji') ?? (rows[0] as ManifestRow);
  const catalog = await openCatalog(directory);
  const embedder = await openEmbedder(modelDirectory);
  try {
    const hits: Record<string, readonly SearchHit[]> = {};
    for (const [name, granularity] of Object.entries(GRANULARITY_NAMES)) {
      hits[name] = await searchByPicture({
        catalog,
        embedder,
        picture: query.path,
        granularity,
        k: 5,
        filter: query.source === undefined ? [] : [{ column: 'source', noneOf: [query.source] }],
      });
    }
    return { query, hits };
  } finally {
    await embedder.close();
    await catalog.close();
  }
}

function dataFigures({ pictures, items, splits, sources, manifestHash }: DatasetSummary, seed: number) {
  return { pictures, items, itemsBySplit: splits, picturesBySource: sources, manifestHash, seed };
}

function printSummary(
  { options, manifest }: Context,
  metrics: DemoMetrics,
  { query, hits }: SampleSearch,
  { reportFile, comparison }: { reportFile: string; comparison: Comparison | undefined },
): void {
  const named: Record<string, MethodMetrics> = {};
  for (const [name, figures] of Object.entries(metrics.methods))
    named[METHOD_LABELS[name as MethodName]] = figures;
  const out = (line = '') => process.stdout.write(`${line}\n`);
  out();
  out('Test items, hits by other artists only, × 100. Recall@1 is the mean over ordered pairs of artists.');
  out(figuresTable(named));
  out(calibrationText(metrics.calibration).trimEnd());
  if (comparison !== undefined) out(`\n${comparisonTables(comparison)}`);
  const here = (path: string) => relative('.', path) || '.';
  out(`\nA search with ${query.itemId} by ${query.source}:`);
  for (const [name, found] of Object.entries(hits)) {
    out(`  ${name.padEnd(9)} ${found.map((hit) => `${hit.itemId} (${hit.source})`).join(', ')}`);
  }
  out(`\n${formatDuration(metrics.seconds)}, peak memory ${metrics.peakMemoryMb} MB`);
  out(`report   ${here(reportFile)}`);
  out(`figures  ${here(join(options.directory, 'metrics.json'))}`);
  const command = ownCommand();
  const catalog = here(join(options.directory, 'catalog'));
  const model = here(join(options.directory, 'model'));
  out(
    `search   ${command} search ${shellWord(here(query.path))} --catalog ${shellWord(catalog)} --granularity look`,
  );
  out(
    `judge    ${command} evaluate --model ${shellWord(model)} --data ${shellWord(here(manifest.file))} --json`,
  );
  out(`page     ${command} serve --catalog ${shellWord(catalog)} --model ${shellWord(model)} --open`);
}
