/**
 * How a backbone wants its pictures: from the option that the user gives, or from a file beside the model, never guessed.
 * Understood are transformers' `preprocessor_config.json`, timm's `pretrained_cfg`, and a plain object of our own.
 *
 * While it is gathered, the mean and standard deviation are those of the source: in the model's order of channels, of
 * pixel values (0 to 255) divided by `scale`. The result is in RGB order and of values in [0, 1].
 */
import { dirname, join } from 'node:path';
import { z } from 'zod';
import type { Preprocessing } from '../bundle/index.js';
import { DataError, readJson } from '../util/index.js';
import { readSidecar } from './sidecar.js';

/** The order in which a model takes the colours. */
export type Channels = 'rgb' | 'bgr';

/** What a user may say; each field goes before what a preset or a file says. */
export interface PreprocessingOption {
  /** The name of a preset, or a JSON file. Default: the file beside the model. */
  readonly from?: string | undefined;
  /** Side of the square that the model sees, pixels. Default: what the model's input or the file says. */
  readonly size?: number | undefined;
  /** Default `cover`: the centre square. */
  readonly fit?: 'cover' | 'contain' | 'fill' | undefined;
  /** Subtracted and divided by, in the order of `channels`, after the division by `scale`. */
  readonly mean?: readonly number[] | undefined;
  readonly std?: readonly number[] | undefined;
  readonly channels?: Channels | undefined;
  /** What pixel values, 0 to 255, are divided by first: 255 (default) for values in [0, 1], 1 for bytes. */
  readonly scale?: number | undefined;
  /** Under transparent pixels and around contained pictures. Default white. */
  readonly background?: readonly number[] | undefined;
}

export interface BackbonePreprocessing {
  /** Mean and standard deviation in RGB order, of values in [0, 1], whatever the order of `channels`. */
  readonly preprocessing: Preprocessing;
  /** For `bgr` the planes must be turned round on their way into the backbone. */
  readonly channels: Channels;
  /** Where it was found: a preset's name, a file, or `options`. */
  readonly source: string;
  /** Where the steps done here differ a little from those that the file describes; a line each. */
  readonly notes: readonly string[];
}

/** Preprocessings that many models share, by name. */
export const PREPROCESSING_PRESETS = {
  /** torchvision, timm and most of what was trained on ImageNet. */
  imagenet: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] },
  /** [−1, 1]: ViT, MobileNet of TensorFlow, SigLIP. */
  half: { mean: [0.5, 0.5, 0.5], std: [0.5, 0.5, 0.5] },
  clip: {
    mean: [0.48145466, 0.4578275, 0.40821073],
    std: [0.26862954, 0.26130258, 0.27577711],
  },
  /** Caffe's: bytes in BGR order less the mean of ImageNet. */
  'caffe-bgr': { mean: [103.939, 116.779, 123.68], std: [1, 1, 1], scale: 1, channels: 'bgr' },
} as const satisfies Record<string, PreprocessingOption>;

/**
 * Gathers a backbone's preprocessing.
 * @param options.modelPath the model; files are looked for in its folder and in the one above
 * @param options.option what the user says: a preset's name, a JSON file, or fields
 * @param options.inputSize side of the model's input where the model fixes it; another size is then refused
 * @throws DataError when nothing is known, or the file asks for steps that are not done here
 */
export async function readPreprocessing({
  modelPath,
  option,
  inputSize,
}: {
  readonly modelPath: string;
  readonly option?: string | PreprocessingOption | undefined;
  readonly inputSize?: number | undefined;
}): Promise<BackbonePreprocessing> {
  const given: PreprocessingOption = typeof option === 'string' ? { from: option } : (option ?? {});
  checked(given, 'preprocessing');
  const isComplete = given.mean !== undefined && given.std !== undefined;
  const base = await baseOf(given.from, modelPath, isComplete);
  if (base === undefined)
    throw new DataError(
      `the preprocessing must be known, got no ${SIDECAR} beside the model or in the folder above. Give ` +
        `${Object.keys(PREPROCESSING_PRESETS).join(', ')}, a JSON file, or mean and std`,
      { file: modelPath },
    );
  const { source, notes } = base;
  const all: PreprocessingOption = { ...base.option, ...defined(given) };
  const size = given.size ?? inputSize ?? all.size;
  const where = { file: source === 'options' ? modelPath : source };
  if (size === undefined)
    throw new DataError(
      "the size of the model's pictures must be known, got none. Give size, e.g. 224",
      where,
    );
  if (inputSize !== undefined && size !== inputSize)
    throw new DataError(`size: must be the model's own, ${inputSize}, got ${size}`, where);
  const { mean, std, scale = 255, channels = 'rgb', fit = 'cover', background = [255, 255, 255] } = all;
  if (mean === undefined || std === undefined)
    throw new DataError(`${mean === undefined ? 'mean' : 'std'}: must be known, got none. Give it`, where);
  const inRgb = (numbers: readonly number[]) => {
    const unit = numbers.map((x) => (x * scale) / 255);
    return (channels === 'bgr' ? unit.reverse() : unit) as [number, number, number];
  };
  const differs =
    all.size !== undefined && all.size !== size
      ? [`pictures of ${size} pixels are made, as the model takes them, not of ${all.size}`]
      : [];
  return {
    preprocessing: {
      size,
      fit,
      background: [...background] as [number, number, number],
      mean: inRgb(mean),
      std: inRgb(std),
    },
    channels,
    source,
    notes: [...notes, ...differs],
  };
}

// --- internal ---

/** transformers' name. */
const SIDECAR = 'preprocessor_config.json';
/** Where timm keeps it. */
const TIMM_SIDECAR = 'config.json';

interface Base {
  readonly option: PreprocessingOption;
  readonly source: string;
  readonly notes: readonly string[];
}

async function baseOf(
  from: string | undefined,
  modelPath: string,
  isComplete: boolean,
): Promise<Base | undefined> {
  if (from !== undefined) {
    if (Object.hasOwn(PREPROCESSING_PRESETS, from))
      return {
        option: PREPROCESSING_PRESETS[from as keyof typeof PREPROCESSING_PRESETS],
        source: from,
        notes: [],
      };
    if (!/\.json$/i.test(from))
      throw new DataError(
        `preprocessing: must be ${Object.keys(PREPROCESSING_PRESETS).join(', ')} or a JSON file, got '${from}'`,
      );
    return await readFrom(from, await readJson(from));
  }
  if (isComplete) return { option: {}, source: 'options', notes: [] };
  const folder = dirname(modelPath);
  for (const place of [folder, dirname(folder)])
    for (const name of [SIDECAR, TIMM_SIDECAR]) {
      const file = join(place, name);
      const value = await readJson(file).catch((error: DataError) => {
        if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return undefined;
        throw error;
      });
      if (value === undefined) continue;
      if (
        name === TIMM_SIDECAR &&
        (value as { pretrained_cfg?: unknown } | null)?.pretrained_cfg === undefined
      )
        continue;
      return await readFrom(file, value);
    }
  return undefined;
}

async function readFrom(file: string, value: unknown): Promise<Base> {
  const sidecar = readSidecar(value, file);
  if (sidecar !== undefined) return { ...sidecar, option: checked(sidecar.option, file), source: file };
  return { option: checked(value, file), source: file, notes: [] };
}

const triple = z.array(z.number()).length(3, 'must be three numbers');
const optionFormat = z.strictObject({
  from: z.string().optional(),
  size: z.int().min(1).max(8192).optional(),
  fit: z.enum(['cover', 'contain', 'fill']).optional(),
  mean: triple.optional(),
  std: z.array(z.number().positive()).length(3, 'must be three numbers').optional(),
  channels: z.enum(['rgb', 'bgr']).optional(),
  scale: z.number().positive().optional(),
  background: z.array(z.number().min(0).max(255)).length(3, 'must be three numbers').optional(),
});

function checked(value: unknown, file: string): PreprocessingOption {
  const result = optionFormat.safeParse(value);
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new DataError(`${issue?.path.join('.') || 'content'}: ${issue?.message ?? 'is wrong'}`, { file });
}

function defined(option: PreprocessingOption): PreprocessingOption {
  return Object.fromEntries(Object.entries(option).filter(([, value]) => value !== undefined));
}
