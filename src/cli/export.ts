/** `semblance export`: smaller variants of a bundle's model beside it, with what they lose. */
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import Table from 'cli-table3';
import { Command } from 'commander';
import sharp from 'sharp';
import {
  addVariant,
  type LevelFigures,
  openEmbedder,
  readBundle,
  type SmallerVariant,
  type VariantRecord,
} from '../bundle/index.js';
import { type ManifestRow, readManifest } from '../data/index.js';
import type { Schema } from '../granularity/index.js';
import { type ModelVariant, smallerModel } from '../onnx/index.js';
import {
  CliError,
  Random,
  type StartProgress,
  silentProgress,
  streamProgress,
  type WaitOptions,
} from '../util/index.js';
import { interruptible } from './interruption.js';
import { type EmbeddedRows, embedRows, judge, judgedSchema } from './judging.js';
import { positiveInteger } from './options.js';
import { JUDGED_SPLITS, rowsOfSplit, type SplitChoice, splitChoice } from './splits.js';
import { tellWait } from './waiting.js';

interface Options {
  model: string;
  fp16?: true;
  int8?: true;
  data?: string;
  split?: SplitChoice;
  threads?: number;
  json?: true;
  quiet?: true;
}

export function exportCommand(): Command {
  return new Command('export')
    .description('make smaller variants of a model, beside it in its bundle')
    .requiredOption('--model <folder>', 'the model bundle')
    .option('--fp16', 'weights stored as float16: half the size')
    .option('--int8', 'products in 8-bit integers: about a quarter of the size')
    .option('--data <manifest>', 'measure on pictures of this manifest (default: on made-up pictures)')
    .option(
      '--split <name>',
      `which of them: ${JUDGED_SPLITS.join(', ')} (default: val)`,
      splitChoice(JUDGED_SPLITS),
    )
    .option('--threads <count>', 'threads of the model (default: all cores)', positiveInteger)
    .option('--json', 'print the records as JSON')
    .option('--quiet', 'no progress')
    .addHelpText(
      'after',
      '\nWithout --fp16 and --int8 both are made. They are written as onnx/model_fp16.onnx and onnx/model_quantized.onnx,\n' +
        "which transformers.js loads with dtype 'fp16' and 'q8', and recorded in semblance.json with the difference of\n" +
        'their embeddings and, with --data, Recall@1 and MAP@R.\n\nExample:\n' +
        '  $ semblance export --model runs/demo/model --data runs/demo/data/manifest.csv\n',
    )
    .action(run);
}

/** What was measured of one variant, and the model's own figures. */
interface Measured {
  readonly rows: readonly ManifestRow[] | undefined;
  readonly on: string;
  readonly embeddings: Float32Array;
  readonly dimension: number;
  readonly figures: LevelFigures | undefined;
}

/**
 * Makes variants of a bundle's model, measures them and writes them.
 * @param options.rows pictures to measure on, with the name of their split; absent: made-up pictures
 */
export async function exportVariants(
  directory: string,
  variants: readonly SmallerVariant[],
  {
    rows,
    schema,
    split = 'val',
    threads,
    progress = silentProgress,
    signal,
    onWait,
  }: {
    readonly rows?: readonly ManifestRow[] | undefined;
    /** The levels to judge at. Default: the model's. */
    readonly schema?: Schema | undefined;
    readonly split?: string;
    readonly threads?: number | undefined;
    readonly progress?: StartProgress;
  } & WaitOptions = {},
): Promise<Record<string, VariantRecord>> {
  const bundle = await readBundle(directory);
  const model = await readFile(bundle.modelPath);
  const options = {
    progress,
    ...(threads === undefined ? {} : { threads }),
    ...(signal === undefined ? {} : { signal }),
  };
  const pictures = rows === undefined ? await madeUpPictures() : undefined;
  const embed = async (modelPath: string, variant: ModelVariant): Promise<Measured> => {
    if (rows === undefined) {
      const { embeddings, dimension } = await embedPictures(directory, pictures ?? [], {
        ...options,
        variant,
        modelPath,
      });
      return { rows, on: 'made-up pictures', embeddings, dimension, figures: undefined };
    }
    const embedded = await embedRows(directory, rows, { ...options, variant, modelPath });
    const figures = await figuresOf(embedded, schema ?? bundle.card.schema, signal);
    return { ...embedded, on: `split ${split}`, figures };
  };
  const scratch = await mkdtemp(join(tmpdir(), 'semblance-export-'));
  try {
    const whole = await embed(bundle.modelPath, 'fp32');
    const records: Record<string, VariantRecord> = {};
    for (const variant of variants) {
      signal?.throwIfAborted();
      const { bytes, notes } = smallerModel(model, variant);
      const path = join(scratch, `${variant}.onnx`);
      await writeFile(path, bytes);
      const measured = await embed(path, variant);
      signal?.throwIfAborted();
      const record = {
        notes,
        cosineDifference: cosineDifference(whole, measured),
        measuredOn: whole.on,
        ...(whole.figures === undefined || measured.figures === undefined
          ? {}
          : { figures: { fp32: whole.figures, variant: measured.figures } }),
      };
      const { modelHash } = bundle;
      records[variant] = await addVariant(directory, variant, bytes, record, { modelHash, signal, onWait });
    }
    return records;
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }
}

// --- internal ---

async function run(options: Options): Promise<void> {
  if (options.split !== undefined && options.data === undefined)
    throw new CliError('export: --split needs --data. Give the manifest');
  const both = options.fp16 === undefined && options.int8 === undefined;
  const variants = (['fp16', 'int8'] as const).filter((name) => both || options[name] === true);
  const split = options.split ?? 'val';
  const manifest = options.data === undefined ? undefined : await readManifest(options.data);
  const rows = manifest === undefined ? undefined : rowsOfSplit(manifest.rows, split, options.data);
  const schema =
    manifest === undefined ? undefined : judgedSchema(await readBundle(options.model), manifest.rows);
  const records = await interruptible(
    (signal) =>
      exportVariants(options.model, variants, {
        rows,
        schema,
        split,
        threads: options.threads,
        progress: options.quiet === true ? silentProgress : streamProgress(),
        signal,
        onWait: tellWait(options.model),
      }),
    { isResumable: false },
  );
  const { size } = await stat((await readBundle(options.model)).modelPath);
  process.stdout.write(
    options.json === true
      ? `${JSON.stringify({ fp32: { bytes: size }, ...records }, null, 2)}\n`
      : table(size, records),
  );
}

function table(wholeBytes: number, records: Readonly<Record<string, VariantRecord>>): string {
  const first = Object.values(records)[0];
  const levels = Object.keys(first?.figures?.fp32 ?? {});
  const output = new Table({
    head: [
      '',
      'MB',
      'cosine lost, mean',
      'largest',
      ...levels.flatMap((level) => [`${level} R@1`, `${level} MAP@R`]),
    ],
    style: { head: [], border: [] },
    colAligns: ['left', ...Array<'right'>(3 + 2 * levels.length).fill('right')],
  });
  const percent = (figures: LevelFigures | undefined) =>
    levels.flatMap((level) =>
      [figures?.[level]?.recallAt1, figures?.[level]?.mapAtR].map((x) =>
        x === undefined ? '–' : (100 * x).toFixed(1),
      ),
    );
  const megabytes = (bytes: number) => (bytes / 1e6).toFixed(bytes < 1e6 ? 3 : 1);
  output.push(['fp32', megabytes(wholeBytes), '', '', ...percent(first?.figures?.fp32)]);
  for (const [name, { bytes, cosineDifference: lost, figures }] of Object.entries(records))
    output.push([
      name,
      megabytes(bytes),
      lost.mean.toExponential(1),
      lost.largest.toExponential(1),
      ...percent(figures?.variant),
    ]);
  const notes = Object.entries(records).flatMap(([name, record]) =>
    record.notes.map((note) => `${name}: ${note}`),
  );
  const measured =
    first === undefined
      ? []
      : [`measured on ${first.cosineDifference.pictures} pictures, ${first.measuredOn}`];
  return `${[output.toString(), ...notes, ...measured].join('\n')}\n`;
}

async function figuresOf(
  embedded: EmbeddedRows,
  schema: Schema,
  signal: AbortSignal | undefined,
): Promise<LevelFigures> {
  const { byLevel, recallAt1, mapAtR } = await judge(embedded, schema, signal);
  return Object.fromEntries(
    Object.entries(byLevel)
      .filter(([, { queries }]) => queries > 0)
      .map(([level, figures]) => [
        level,
        // At the finest level with the rule about sources, as everywhere.
        level === schema.levels[0]
          ? { recallAt1, mapAtR }
          : { recallAt1: figures.recallAt1, mapAtR: figures.mapAtR },
      ]),
  );
}

function cosineDifference(whole: Measured, variant: Measured): VariantRecord['cosineDifference'] {
  const { dimension, embeddings } = whole;
  const pictures = embeddings.length / dimension;
  let [largest, sum] = [0, 0];
  for (let n = 0; n < pictures; n++) {
    let cosine = 0;
    for (let d = n * dimension; d < (n + 1) * dimension; d++)
      cosine += embeddings[d]! * variant.embeddings[d]!;
    const difference = Math.max(0, 1 - cosine);
    largest = Math.max(largest, difference);
    sum += difference;
  }
  return { largest, mean: sum / pictures, pictures };
}

async function embedPictures(
  directory: string,
  pictures: readonly Uint8Array[],
  {
    signal,
    ...options
  }: { modelPath: string; variant: ModelVariant; threads?: number; signal?: AbortSignal },
): Promise<{ embeddings: Float32Array; dimension: number }> {
  const embedder = await openEmbedder(directory, options);
  try {
    const { dimension } = embedder;
    const embeddings = new Float32Array(pictures.length * dimension);
    let done = 0;
    for await (const batch of embedder.embed(pictures, { signal })) {
      embeddings.set(batch.embeddings, done);
      done += batch.embeddings.length;
    }
    return { embeddings, dimension };
  } finally {
    await embedder.close();
  }
}

const MADE_UP = 32;
const MADE_UP_SIZE = 256;

/** Smooth blots of colour, the same each time: a grid of random colours, enlarged. */
async function madeUpPictures(): Promise<Uint8Array[]> {
  const random = Random.from(1);
  const pictures: Uint8Array[] = [];
  for (let i = 0; i < MADE_UP; i++) {
    const cells = 2 + (i % 15);
    const colours = Uint8Array.from({ length: 3 * cells * cells }, () => random.integer(256));
    const picture = sharp(colours, { raw: { width: cells, height: cells, channels: 3 } });
    pictures.push(await picture.resize(MADE_UP_SIZE, MADE_UP_SIZE, { kernel: 'cubic' }).png().toBuffer());
  }
  return pictures;
}
