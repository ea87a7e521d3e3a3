/**
 * The files in which others write down a model's preprocessing: transformers' `preprocessor_config.json` and timm's
 * `pretrained_cfg`. What they say is said in the words of `PreprocessingOption`; steps that are not done here are
 * refused, small differences are noted.
 */
import { z } from 'zod';
import { DataError } from '../util/index.js';
import type { PreprocessingOption } from './preprocessing.js';

/**
 * Reads either form.
 * @returns `undefined` for an object of neither form
 * @throws DataError for a file of one of the forms that is wrong, or asks for what is not done here
 */
export function readSidecar(
  value: unknown,
  file: string,
): { option: PreprocessingOption; notes: readonly string[] } | undefined {
  if (typeof value !== 'object' || value === null) return undefined;
  const timm = 'pretrained_cfg' in value ? value.pretrained_cfg : value;
  if (typeof timm === 'object' && timm !== null && 'input_size' in timm)
    return fromTimm(parsed(timmFormat, timm, file), file);
  if (Object.keys(value).some((key) => /^(image_|do_|rescale_|feature_extractor_)/.test(key)))
    return fromTransformers(parsed(transformersFormat, value, file), file);
  return undefined;
}

// --- internal ---

const numbers = z.array(z.number());
const side = z.int().min(1);
const square = z.union([side, z.object({ height: side, width: side })]);

const transformersFormat = z.object({
  do_resize: z.boolean().default(true),
  size: z.union([square, z.object({ shortest_edge: side })]).optional(),
  do_center_crop: z.boolean().optional(),
  crop_size: square.optional(),
  crop_pct: z.number().nullish(),
  do_rescale: z.boolean().default(true),
  rescale_factor: z
    .number()
    .positive()
    .default(1 / 255),
  do_normalize: z.boolean().default(true),
  image_mean: z.union([z.number(), numbers]).optional(),
  image_std: z.union([z.number(), numbers]).optional(),
  do_flip_channel_order: z.boolean().default(false),
  do_pad: z.boolean().nullish(),
  resample: z.number().nullish(),
  fit: z.enum(['cover', 'contain', 'fill']).optional(),
  background: numbers.optional(),
});

const timmFormat = z.object({
  input_size: z.tuple([z.literal(3, 'must be 3 channels'), side, side]),
  mean: numbers,
  std: numbers,
  crop_pct: z.number().positive().nullish(),
  crop_mode: z.enum(['center', 'squash', 'border']).nullish(),
  interpolation: z.string().nullish(),
});

const LANCZOS = 1;
const RESAMPLING = ['nearest', 'lanczos', 'bilinear', 'bicubic', 'box', 'hamming'];

function fromTransformers(config: z.output<typeof transformersFormat>, file: string) {
  const { size, crop_size: crop, image_mean: mean, image_std: std } = config;
  if (config.do_pad === true && config.fit === undefined)
    throw new DataError(
      'do_pad: pictures are not padded here. Give a JSON file with size, fit, mean and std',
      { file },
    );
  if (config.do_normalize && (mean === undefined || std === undefined))
    throw new DataError('image_mean and image_std: must be there where do_normalize is true', { file });
  const resized = config.do_resize && size !== undefined ? squareSide(size, 'size', file) : undefined;
  const isCropped = crop !== undefined && config.do_center_crop !== false;
  const seen = isCropped ? squareSide(crop, 'crop_size', file) : resized;
  const isWhole = resized !== undefined && typeof size === 'object' && 'height' in size && !isCropped;
  const notes = [
    ...(isCropped && resized !== undefined && resized !== seen ? [cropNote(resized, seen)] : []),
    ...(typeof config.crop_pct === 'number' && config.crop_pct < 1 && seen !== undefined
      ? [cropNote(Math.round(seen / config.crop_pct), seen)]
      : []),
    ...resampleNote(RESAMPLING[config.resample ?? LANCZOS]),
  ];
  const three = (value: number | number[] | undefined, fallback: number) =>
    Array.isArray(value) ? value : Array<number>(3).fill(value ?? fallback);
  const inOrder = (list: number[]) => (config.do_flip_channel_order ? [...list].reverse() : list);
  const option: PreprocessingOption = {
    size: seen,
    fit: config.fit ?? (isWhole ? 'fill' : 'cover'),
    mean: inOrder(config.do_normalize ? three(mean, 0) : [0, 0, 0]),
    std: inOrder(config.do_normalize ? three(std, 1) : [1, 1, 1]),
    scale: config.do_rescale ? 1 / config.rescale_factor : 1,
    channels: config.do_flip_channel_order ? 'bgr' : 'rgb',
    background: config.background,
  };
  return { option, notes };
}

function fromTimm(config: z.output<typeof timmFormat>, file: string) {
  const [, height, width] = config.input_size;
  const size = squareSide({ height, width }, 'input_size', file);
  const mode = config.crop_mode ?? 'center';
  const fit = mode === 'squash' ? 'fill' : mode === 'border' ? 'contain' : 'cover';
  const larger = Math.floor(size / (config.crop_pct ?? 1));
  const notes = [
    ...(larger > size ? [cropNote(larger, size)] : []),
    ...resampleNote(config.interpolation ?? undefined),
  ];
  const option: PreprocessingOption = { size, fit, mean: config.mean, std: config.std };
  return { option, notes };
}

function squareSide(
  size: number | { height: number; width: number } | { shortest_edge: number },
  name: string,
  file: string,
): number {
  if (typeof size === 'number') return size;
  if ('shortest_edge' in size) return size.shortest_edge;
  if (size.height !== size.width)
    throw new DataError(`${name}: must be a square, got ${size.height}×${size.width}`, { file });
  return size.height;
}

function cropNote(resized: number, seen: number | undefined): string {
  return (
    `the model was trained on pictures resized to ${resized} and cropped to ${seen}; here they are resized to ` +
    `${seen}, so that it sees more of each`
  );
}

function resampleNote(name: string | undefined): string[] {
  return name === undefined || name === 'lanczos' || name === 'random'
    ? []
    : [`pictures are resized with Lanczos' filter, not ${name}`];
}

function parsed<T extends z.ZodType>(format: T, value: unknown, file: string): z.output<T> {
  const result = format.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`, { file });
}
