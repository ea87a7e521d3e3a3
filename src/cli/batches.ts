/**
 * Training batches of a manifest: augmented pictures, or what a frozen prefix made of them, with the labels of their
 * rows; each a function of its index.
 */
import {
  createLoader,
  type LoaderOptions,
  type Manifest,
  type ManifestRow,
  type PictureProblem,
} from '../data/index.js';
import { attributeBlocks, encodeAttributes, ITEM_LEVEL, type Schema } from '../granularity/index.js';
import {
  batchVerdicts,
  type JudgedPair,
  type TrainingBatch,
  type TrainingConfiguration,
} from '../training/index.js';
import { DataError, type StartProgress } from '../util/index.js';
import type { FeedbackPair } from './feedback-pairs.js';

export interface BatchesOptions {
  readonly manifest: Manifest;
  readonly schema: Schema;
  readonly configuration: TrainingConfiguration;
  /** Pairs that people judged; at most `configuration.feedback.pairs` of them are in a batch. */
  readonly feedback?: readonly FeedbackPair[] | undefined;
  readonly progress: StartProgress;
  readonly onProblem: (problem: PictureProblem) => void;
  readonly signal?: AbortSignal | undefined;
}

/** What batches are drawn from: the loader of pictures, or that of cached features. */
export interface BatchSource {
  next(index: number): Promise<{ readonly rows: Int32Array; readonly source: Uint8Array | Float32Array }>;
  close(): Promise<void>;
}

/** What a loader is told of the training rows, beside how pictures are made. */
export interface RowsToSample {
  readonly rows: readonly ManifestRow[];
  /** Number of each row's item, or of its class at the level that says what is alike; −1: in judged pairs alone. */
  readonly items: readonly number[];
  /** Of those pairs. */
  readonly judged: readonly JudgedPair[];
  readonly sampler: LoaderOptions['sampler'];
}

export interface Batches {
  /** Number of items (or values of what makes positives); the ids in batches are from 0 to one less. */
  readonly classes: number;
  /** Pairs with verdicts behind the items of a batch. */
  readonly judgedPairs: number;
  /** Batch number `index`, from 0. */
  next(index: number): Promise<TrainingBatch>;
  close(): Promise<void>;
}

/**
 * Opens the batches of the manifest's training rows.
 * @param open makes the source of a batch's pictures or features. Default: pictures, augmented as they are needed.
 * @throws DataError when there are fewer items than a batch needs.
 */
export async function openBatches(
  options: BatchesOptions,
  open: (rows: RowsToSample) => Promise<BatchSource> = (rows) => openPictures(rows, options),
): Promise<Batches> {
  const { schema } = options;
  const sampled = rowsToSample(options);
  const { values, known } = encodeAttributes(schema, sampled.rows);
  const blocks = attributeBlocks(schema);
  const width = blocks.reduce((sum, { size }) => sum + size, 0);
  const verdictsOf = sampled.judged.length === 0 ? undefined : batchVerdicts(sampled.items, sampled.judged);
  const source = await open(sampled);
  return {
    classes: new Set(sampled.items.filter((item) => item >= 0)).size,
    judgedPairs: sampled.sampler.pairs?.count ?? 0,
    async next(index) {
      const batch = await source.next(index);
      const count = batch.rows.length;
      const attributeLabels = new Float32Array(count * width);
      const attributeKnown = new Float32Array(count * blocks.length);
      batch.rows.forEach((row, i) => {
        attributeLabels.set(values.subarray(row * width, (row + 1) * width), i * width);
        attributeKnown.set(known.subarray(row * blocks.length, (row + 1) * blocks.length), i * blocks.length);
      });
      return {
        source: batch.source,
        itemIds: BigInt64Array.from(batch.rows, (row) => BigInt(sampled.items[row] as number)),
        attributeLabels,
        attributeKnown,
        ...(verdictsOf === undefined ? {} : { verdicts: verdictsOf(batch.rows) }),
      };
    },
    close: () => source.close(),
  };
}

/**
 * The training rows that batches are drawn from, each with its class.
 * @throws DataError when there are fewer classes than a batch needs.
 */
export function rowsToSample({
  manifest,
  schema,
  configuration,
  feedback = [],
}: BatchesOptions): RowsToSample {
  const { positives, batch } = configuration;
  if (positives !== ITEM_LEVEL && !schema.attributes.some(({ name }) => name === positives)) {
    throw new DataError(
      `train: positives must be ${ITEM_LEVEL} or an attribute (${schema.attributes.map(({ name }) => name).join(', ') || 'there are none'}), got '${positives}'`,
      { file: manifest.file },
    );
  }
  /** What a row has in common with its positives; `undefined` where it is unknown or several. */
  const classOf = ({ itemId, attributes }: ManifestRow) =>
    positives === ITEM_LEVEL
      ? itemId
      : attributes[positives]?.length === 1
        ? attributes[positives][0]
        : undefined;
  const labelled = manifest.rows.filter((row) => row.split === 'train' && classOf(row) !== undefined);
  const numbers = new Map<string, number>();
  const items = labelled.map((row) => {
    const name = classOf(row) as string;
    const number = numbers.get(name) ?? numbers.size;
    numbers.set(name, number);
    return number;
  });
  if (numbers.size < batch.items) {
    const what =
      positives === ITEM_LEVEL ? "items of split 'train'" : `values of '${positives}' in split 'train'`;
    throw new DataError(
      `train: batch.items must be at most the number of ${what}, ${numbers.size}, got ` +
        `${batch.items}. Add --set batch.items=${numbers.size}`,
      { file: manifest.file },
    );
  }
  const firstRowOfItem = new Map<number, ManifestRow>();
  items.forEach((item, index) => {
    if (!firstRowOfItem.has(item)) firstRowOfItem.set(item, labelled[index] as ManifestRow);
  });
  const look = schema.levels[1];
  // Behind them come the pictures that only verdicts are about.
  const rows = [...new Set([...labelled, ...feedback.flatMap((pair) => pair.rows)])];
  const places = new Map(rows.map((row, place) => [row, place]));
  const judged = feedback.map(({ rows: [a, b], verdict }) => ({
    rows: [places.get(a) as number, places.get(b) as number] as const,
    verdict,
  }));
  // A pair that is merely spared has no need to be in a batch.
  const shown = judged.filter(({ verdict }) => verdict !== 'spared').map((pair) => pair.rows);
  return {
    rows,
    items: rows.map((_, place) => items[place] ?? -1),
    judged,
    sampler: {
      itemsPerBatch: batch.items,
      picturesPerItem: batch.picturesPerItem,
      lookAlikeFraction: batch.lookAlikeFraction,
      ...(look === undefined
        ? {}
        : { groupOf: (item: number) => firstRowOfItem.get(item)?.attributes[look]?.[0] }),
      sourceOf: (row: number) => rows[row]?.source,
      ...(configuration.feedback === undefined || shown.length === 0
        ? {}
        : { pairs: { count: Math.min(configuration.feedback.pairs, shown.length), rows: shown } }),
    },
  };
}

// --- internal ---

async function openPictures(
  { rows, items, sampler }: RowsToSample,
  { configuration, progress, onProblem, signal }: BatchesOptions,
): Promise<BatchSource> {
  const loader = await createLoader(rows, items, {
    size: configuration.network.inputSize,
    seed: configuration.seed,
    sampler,
    augmentation: configuration.augmentation,
    sourceSize: configuration.sourceSize,
    fit: configuration.backbone?.fit ?? 'cover',
    progress,
    onProblem,
    ...(signal === undefined ? {} : { signal }),
  });
  return {
    async next(index) {
      const { rows: drawn, pictures } = await loader.next(index);
      return { rows: drawn, source: pictures };
    },
    close: () => loader.close(),
  };
}
