/**
 * What the JSON files of a model bundle hold, and how they are checked.
 *
 * `semblance.json` is ours. `preprocessor_config.json` and `config.json` are read by transformers.js as well; the
 * first is also where we read the preprocessing from, so that there is one truth about it.
 */
import { z } from 'zod';
import { attributeCount, type Schema, schemaFormat, vectorLayout } from '../granularity/index.js';
import { DataError } from '../util/index.js';

/** The version that is written; older ones are read as well. */
export const FORMAT_VERSION = 1;

/** How a picture becomes `pixel_values`: resized to a square, scaled to [0, 1], then `(x − mean) / std`. */
export interface Preprocessing {
  /** Side of the square, pixels. */
  readonly size: number;
  readonly fit: 'cover' | 'contain' | 'fill';
  /** Colour under transparent pixels and around contained pictures, 0 to 255. */
  readonly background: readonly [number, number, number];
  /** Per channel, RGB, of values in [0, 1]. */
  readonly mean: readonly [number, number, number];
  readonly std: readonly [number, number, number];
}

/** What `semblance.json` says of a model, apart from the format's version and the model's hash. */
export interface ModelCard {
  /** D, the embedding's length. */
  readonly dimension: number;
  readonly schema: Schema;
  /** [L][P] weights of query-time granularity fitted on validation; absent: the defaults. */
  readonly levelWeights?: readonly (readonly number[])[] | undefined;
  /** The resolved configuration of the training run. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly seeds: readonly number[];
  /** Package → version, of what made the model. */
  readonly versions: Readonly<Record<string, string>>;
  /** SHA-256 of the training data's manifest. */
  readonly dataHash?: string | undefined;
}

/** The whole of `semblance.json`. */
export type CardFile = ModelCard & { readonly formatVersion: number; readonly modelHash: string };

/**
 * Checks the content of `semblance.json`.
 * @throws DataError when it is of a newer format, or something in it is missing or wrong.
 */
export function parseCard(value: unknown, file: string): CardFile {
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
  if (typeof version === 'number' && version > FORMAT_VERSION)
    throw new DataError(
      `the bundle has format version ${version}, and this semblance reads up to ${FORMAT_VERSION}. Update semblance`,
      { file },
    );
  const card = check(cardFormat, value, file);
  const parts = vectorLayout(card.schema, card.dimension).parts.length;
  const { levelWeights, schema } = card;
  if (
    levelWeights !== undefined &&
    (levelWeights.length !== schema.levels.length || levelWeights.some((weights) => weights.length !== parts))
  )
    throw new DataError(`levelWeights: must be ${schema.levels.length} lists of ${parts} weights`, { file });
  return card;
}

/** The content of `preprocessor_config.json`, as transformers.js reads it; `fit` and `background` are ours. */
export function preprocessorConfig(preprocessing: Preprocessing): Record<string, unknown> {
  const { size, fit, background, mean, std } = preprocessing;
  const square = { height: size, width: size };
  return {
    image_processor_type: fit === 'cover' ? 'CLIPImageProcessor' : 'ViTImageProcessor',
    do_convert_rgb: true,
    do_resize: true,
    size: fit === 'cover' ? { shortest_edge: size } : square,
    resample: LANCZOS,
    do_center_crop: fit === 'cover',
    ...(fit === 'cover' ? { crop_size: square } : {}),
    do_rescale: true,
    rescale_factor: 1 / 255,
    do_normalize: true,
    image_mean: mean,
    image_std: std,
    fit,
    background,
  };
}

/**
 * Reads the preprocessing back.
 * @throws DataError when a step is asked for that is not done here.
 */
export function parsePreprocessing(value: unknown, file: string): Preprocessing {
  const config = check(preprocessorFormat, value, file);
  const { size, crop_size: crop } = config;
  const [height, width] =
    'height' in size ? [size.height, size.width] : [size.shortest_edge, size.shortest_edge];
  if (height !== width) throw new DataError(`size: must be a square, got ${height}×${width}`, { file });
  if (crop !== undefined && (crop.height !== height || crop.width !== width))
    throw new DataError(`crop_size: must be the size, got ${crop.height}×${crop.width}`, { file });
  return {
    size: height,
    fit: config.fit ?? ('shortest_edge' in size ? 'cover' : 'fill'),
    background: config.background,
    mean: config.image_mean,
    std: config.image_std,
  };
}

/** The content of `config.json`: enough for transformers.js to load the folder by path. */
export function modelConfig(card: ModelCard, preprocessing: Preprocessing): Record<string, unknown> {
  return {
    model_type: 'semblance',
    architectures: ['SemblanceModel'],
    image_size: preprocessing.size,
    num_channels: 3,
    projection_dim: card.dimension,
    num_attributes: attributeCount(card.schema),
  };
}

// --- internal ---

/** Pillow's number for the filter that sharp shrinks with. */
const LANCZOS = 1;

const triple = z.tuple([z.number(), z.number(), z.number()]);
const side = z.int().min(1);

const cardFormat = z.object({
  formatVersion: z.int().min(1),
  modelHash: z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal'),
  dimension: z.int().min(1),
  schema: schemaFormat,
  levelWeights: z.array(z.array(z.number().min(0))).optional(),
  configuration: z.record(z.string(), z.unknown()),
  metrics: z.record(z.string(), z.unknown()),
  seeds: z.array(z.number()),
  versions: z.record(z.string(), z.string()),
  dataHash: z.string().optional(),
});

const preprocessorFormat = z.object({
  do_resize: z.literal(true),
  size: z.union([z.object({ height: side, width: side }), z.object({ shortest_edge: side })]),
  crop_size: z.object({ height: side, width: side }).optional(),
  do_rescale: z.literal(true),
  rescale_factor: z.number().refine((factor) => Math.abs(factor * 255 - 1) < 1e-6, 'must be 1/255'),
  do_normalize: z.literal(true),
  image_mean: triple,
  image_std: z.tuple([z.number().positive(), z.number().positive(), z.number().positive()]),
  fit: z.enum(['cover', 'contain', 'fill']).optional(),
  background: triple.default([255, 255, 255]),
});

function check<T extends z.ZodType>(format: T, value: unknown, file: string): z.output<T> {
  const result = format.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`, { file });
}
