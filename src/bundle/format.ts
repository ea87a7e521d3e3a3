/**
 * What the JSON files of a model bundle hold, and how they are checked.
 *
 * `semblance.json` is ours. `preprocessor_config.json` and `config.json` are read by transformers.js as well; the
 * first is also where we read the preprocessing from, so that there is one truth about it.
 */
import { z } from 'zod';
import {
  attributeCount,
  type Calibration,
  calibrationFormat,
  type Schema,
  schemaFormat,
  vectorLayout,
} from '../granularity/index.js';
import type { ModelVariant } from '../onnx/index.js';
import { DataError, refuseNewerFormat } from '../util/index.js';

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
  /** Score to probability at each level, fitted on validation with these weights; absent: hits have no probabilities. */
  readonly calibration?: Calibration | undefined;
  /** The resolved configuration of the training run. */
  readonly configuration: Readonly<Record<string, unknown>>;
  readonly metrics: Readonly<Record<string, unknown>>;
  readonly seeds: readonly number[];
  /** Package → version, of what made the model. */
  readonly versions: Readonly<Record<string, string>>;
  /** SHA-256 of the training data's manifest. */
  readonly dataHash?: string | undefined;
}

/** A smaller variant of the model, beside it in the folder. */
export interface VariantRecord {
  /** SHA-256 of the variant's file. */
  readonly hash: string;
  readonly bytes: number;
  /** What was done to the model, a line each. */
  readonly notes: readonly string[];
  /** 1 − cosine of the variant's and the model's embeddings of the same pictures. */
  readonly cosineDifference: { readonly largest: number; readonly mean: number; readonly pictures: number };
  /** What the pictures were: a split of a manifest, or made up. */
  readonly measuredOn: string;
  /** Figures on that split, of the model and of the variant, by level; absent for made-up pictures. */
  readonly figures?: Readonly<Record<'fp32' | 'variant', LevelFigures>> | undefined;
}

/** Levels at which a picture has another one to find. */
export type LevelFigures = Readonly<Record<string, Figures>>;

/** 0 to 1. */
export interface Figures {
  readonly recallAt1: number;
  readonly mapAtR: number;
}

/** The whole of `semblance.json`. */
export type CardFile = ModelCard & {
  readonly formatVersion: number;
  readonly modelHash: string;
  /** What `onnx/model.onnx` says of itself. */
  readonly onnx?:
    | { readonly opset: number; readonly irVersion: number; readonly producer: string }
    | undefined;
  readonly variants?: VariantRecords | undefined;
};

/** Those that there are. */
export type VariantRecords = { readonly [variant in SmallerVariant]?: VariantRecord | undefined };

/** Variants that may be beside the model. */
export type SmallerVariant = Exclude<ModelVariant, 'fp32'>;

/**
 * Checks the content of `semblance.json`.
 * @throws DataError when it is of a newer format, or something in it is missing or wrong.
 */
export function parseCard(value: unknown, file: string): CardFile {
  const version = (value as { formatVersion?: unknown } | null)?.formatVersion;
  refuseNewerFormat(version, 'the bundle', FORMAT_VERSION, file);
  const card = check(cardFormat, value, file);
  const parts = vectorLayout(card.schema, card.dimension).parts.length;
  const { levelWeights, calibration, schema } = card;
  if (
    levelWeights !== undefined &&
    (levelWeights.length !== schema.levels.length || levelWeights.some((weights) => weights.length !== parts))
  )
    throw new DataError(`levelWeights: must be ${schema.levels.length} lists of ${parts} weights`, { file });
  if (calibration !== undefined && calibration.levels.length !== schema.levels.length)
    throw new DataError(
      `calibration: must be of ${schema.levels.length} levels, got ${calibration.levels.length}. Fit it again with \`semblance calibrate\``,
      { file },
    );
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

const hash = z.string().regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal');
const figures = z.record(z.string(), z.object({ recallAt1: z.number(), mapAtR: z.number() }));

const variantFormat = z.object({
  hash,
  bytes: z.int().min(1),
  notes: z.array(z.string()),
  cosineDifference: z.object({ largest: z.number(), mean: z.number(), pictures: z.int().min(1) }),
  measuredOn: z.string(),
  figures: z.object({ fp32: figures, variant: figures }).optional(),
});

const cardFormat = z.object({
  formatVersion: z.int().min(1),
  modelHash: hash,
  onnx: z.object({ opset: z.int(), irVersion: z.int(), producer: z.string() }).optional(),
  variants: z.object({ fp16: variantFormat.optional(), int8: variantFormat.optional() }).optional(),
  dimension: z.int().min(1),
  schema: schemaFormat,
  levelWeights: z.array(z.array(z.number().min(0))).optional(),
  calibration: calibrationFormat.optional(),
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
