/** `semblance calibrate`: fits the probabilities of hits for a model that is there, and brings a catalogue up to date. */
import Table from 'cli-table3';
import { Command } from 'commander';
import { readBundle, replaceCalibration } from '../bundle/index.js';
import { type CatalogCalibration, recalibrateCatalog } from '../catalog/index.js';
import { readManifest } from '../data/index.js';
import { type Calibration, cutOffScore } from '../granularity/index.js';
import { DataError, silentProgress, streamProgress } from '../util/index.js';
import { calibrateRows } from './fit-calibration.js';
import { interruptible } from './interruption.js';
import { embedRows } from './judging.js';
import { positiveInteger } from './options.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';
import { tellWait } from './waiting.js';

interface Options {
  model: string;
  data: string;
  split: SplitChoice;
  catalog?: string;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function calibrateCommand(): Command {
  return new Command('calibrate')
    .description('fit how likely a hit is the same item, look or category, and keep it in the model bundle')
    .requiredOption('--model <folder>', 'the model bundle')
    .requiredOption('--data <manifest>', 'the manifest (CSV or JSONL)')
    .option(
      '--split <name>',
      `pictures to fit on: ${JUDGED_SPLITS.join(', ')}; not those that the figures are reported on`,
      splitChoice(JUDGED_SPLITS),
      'val',
    )
    .option('--catalog <folder>', 'a catalogue of the model, to bring up to date at once')
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the calibration as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nTraining does this by itself where there is a split val. The vectors stay as they are: a catalogue takes the\n' +
        'calibration over with --catalog, or the next time that it is indexed, without embedding again.\n\nExample:\n' +
        '  $ semblance calibrate --model runs/demo/model --data runs/demo/data/manifest.csv --catalog runs/demo/catalog\n',
    )
    .action(run);
}

// --- internal ---

async function run(options: Options): Promise<void> {
  const { model, data, split, catalog, threads } = options;
  const { card, modelHash } = await readBundle(model);
  const rows = rowsOfSplit((await readManifest(data)).rows, split, data);
  const progress = options.quiet === true ? silentProgress : streamProgress();
  const { calibration, problems } = await interruptible(
    async (signal) => {
      const embedded = await embedRows(model, rows, {
        progress,
        signal,
        ...(threads === undefined ? {} : { threads }),
      });
      return { calibration: calibrateRows(embedded, card, progress), problems: embedded.problems };
    },
    { isResumable: false },
  );
  for (const problem of problems) process.stderr.write(`left out: ${problem}\n`);
  if (calibration.levels.every((level) => level === null))
    throw new DataError(
      `calibrate: at one level at least some pictures of split '${split}' must agree and some not, got none. Choose another --split`,
      { file: data },
    );
  await replaceCalibration(model, calibration, { modelHash, onWait: tellWait(model) });
  const inCatalog =
    catalog === undefined
      ? undefined
      : await recalibrateCatalog(catalog, await readBundle(model), { onWait: tellWait(catalog) });
  if (options.json === true)
    process.stdout.write(
      `${JSON.stringify({ model, split, pictures: rows.length - problems.length, ...calibration, ...(inCatalog === undefined ? {} : { catalog, rates: inCatalog.rates }) }, null, 2)}\n`,
    );
  else process.stdout.write(`${table(card.schema.levels, calibration, inCatalog)}\n`);
}

function table(
  names: readonly string[],
  calibration: Calibration,
  catalog: CatalogCalibration | undefined,
): string {
  const percent = (share: number) => `${(100 * share).toPrecision(2)} %`;
  const score = (value: number) =>
    value === Number.POSITIVE_INFINITY
      ? 'never'
      : value === Number.NEGATIVE_INFINITY
        ? 'always'
        : value.toFixed(3);
  const output = new Table({
    head: [
      'level',
      'pairs',
      'agree',
      ...(catalog === undefined ? [] : ['agree in the catalogue']),
      '50 % from score',
      '90 % from score',
    ],
    style: { head: [], border: [] },
    colAligns: ['left', 'right', 'right', 'right', 'right', 'right'],
  });
  calibration.levels.forEach((level, i) => {
    const rate = catalog?.rates[i];
    const inCatalog =
      catalog === undefined ? [] : [rate === null || rate === undefined ? 'not known' : percent(rate)];
    const name = names[i] as string;
    if (level === null) {
      output.push([name, '–', '–', ...inCatalog, '–', '–']);
      return;
    }
    const cutOffs = [0.5, 0.9].map((probability) => score(cutOffScore(calibration, i, probability, rate)));
    output.push([name, level.pairs, percent(level.rate), ...inCatalog, ...cutOffs]);
  });
  return output.toString();
}
