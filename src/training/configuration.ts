/**
 * Everything that decides what a training run computes. A resolved configuration is printed, stored with the model, and
 * reproduces it.
 */
import { z } from 'zod';
import { type AugmentationOptions, defaultAugmentation } from '../data/index.js';
import { CliError } from '../util/index.js';

const lossFormat = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('soft-binomial-deviance'),
    alpha: z.number().positive().default(2),
    beta: z.number().default(0.5),
    negativeCost: z.number().positive().default(25),
    negativeWeight: z.number().positive().default(1),
    positiveLink: z.number().min(0).default(0),
    negativeLink: z.number().min(0).default(1),
    slack: z.number().min(0).default(0),
    source: z.enum(['predicted', 'labels', 'blend']).default('labels'),
    mapping: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('identity') }),
        z.strictObject({ kind: z.literal('power'), exponent: z.number().positive() }),
        z.strictObject({ kind: z.literal('logistic'), slope: z.number(), middle: z.number() }),
      ])
      .default({ kind: 'identity' }),
  }),
  z.strictObject({
    kind: z.literal('binomial-deviance'),
    alpha: z.number().positive().default(2),
    beta: z.number().default(0.5),
    negativeCost: z.number().positive().default(25),
    negativeWeight: z.number().positive().default(1),
  }),
  z.strictObject({ kind: z.literal('contrastive'), margin: z.number().positive().default(1) }),
  z.strictObject({
    kind: z.literal('triplet'),
    margin: z.number().positive().default(0.2),
    mining: z.enum(['semi-hard', 'batch-hard', 'all']).default('semi-hard'),
  }),
]);

/** Shares of a running mean that a step keeps: at 1 it would never move. */
const decay = z.number().min(0).lt(1);

const optimizerFormat = z.discriminatedUnion('kind', [
  z.strictObject({
    kind: z.literal('adamw'),
    weightDecay: z.number().min(0).default(0.1),
    beta1: decay.default(0.9),
    beta2: decay.default(0.999),
  }),
  z.strictObject({
    kind: z.literal('sgd'),
    weightDecay: z.number().min(0).default(0),
    momentum: decay.default(0.9),
  }),
]);

const range = z.tuple([z.number().positive(), z.number().positive()]);
const share = z.number().min(0).max(1);
const byte = z.int().min(0).max(255);
const augmentationFormat = z
  .strictObject({
    cropScale: range,
    cropAspect: range,
    rotation: z.number().min(0),
    flipProbability: share,
    itemFlipProbability: share,
    whiteBackgroundProbability: share,
    brightness: share,
    contrast: share,
    saturation: share,
    hue: z.number().min(0).max(0.5),
    grayscaleProbability: share,
    background: z.union([z.literal('random'), z.tuple([byte, byte, byte])]),
    outside: z.enum(['edge', 'background']),
    erasingProbability: share,
    erasingArea: range,
    noise: z.number().min(0),
    blurProbability: share,
  } satisfies Record<keyof AugmentationOptions, z.ZodType>)
  .partial()
  .transform((given) => ({ ...defaultAugmentation, ...given }) as AugmentationOptions);

/** By how much pictures in memory are larger than the network's input, so that crops stay sharp. */
const SOURCE_SHARE = 1.15;

const settingsFormat = z.strictObject({
  seed: z.int().min(0).default(0),
  steps: z.int().positive().default(1500),
  network: z
    .strictObject({
      inputSize: z.int().positive().default(64),
      widths: z.array(z.int().positive()).min(1).default([32, 64, 128, 256]),
      blocks: z.array(z.int().positive()).default([1, 1, 1]),
      normalization: z.enum(['batch', 'group', 'none']).default('batch'),
      embeddingSize: z.int().positive().default(256),
      pooling: z.enum(['flatten', 'average']).default('flatten'),
    })
    .superRefine(({ inputSize, widths }, context) => {
      if (inputSize % 2 ** widths.length === 0) return;
      const message = `must be divisible by ${2 ** widths.length} for ${widths.length} widths, got ${inputSize}`;
      context.addIssue({ code: 'custom', path: ['inputSize'], message });
    })
    .prefault({}),
  loss: lossFormat.prefault({ kind: 'soft-binomial-deviance' }),
  /** λ, the weight of the attribute loss; 0 trains the embedding alone. */
  attributeWeight: z.number().min(0).default(0.3),
  labelSmoothing: z.number().min(0).max(1).default(0),
  optimizer: optimizerFormat.prefault({ kind: 'adamw' }),
  learningRate: z.number().positive().default(4e-3),
  warmUpSteps: z.int().min(0).default(100),
  gradientClip: z.number().positive().default(5),
  /** Share of the averaged parameters that a step keeps; the average is what is judged and exported. */
  averageDecay: decay.default(0.99),
  batch: z
    .strictObject({
      items: z.int().positive().default(32),
      picturesPerItem: z.int().positive().default(4),
      lookAlikeFraction: z.number().min(0).max(0.9).default(0),
    })
    .prefault({}),
  /** Side in pixels at which pictures wait in memory to be augmented. Default: 1.15 times the input size. */
  sourceSize: z.int().positive().optional(),
  /** What is not named has the defaults of the data room (mild; for photographs). */
  augmentation: augmentationFormat.prefault({}),
  /** Steps between two judgements on the validation split. */
  validateEvery: z.int().positive().default(500),
  checkpointEvery: z.int().positive().default(250),
});

/** Every default is filled in, those of other rooms too: what is stored with a model leaves nothing open. */
export const trainingConfigurationFormat = settingsFormat.transform((settings) => ({
  ...settings,
  sourceSize: settings.sourceSize ?? Math.round(SOURCE_SHARE * settings.network.inputSize),
}));

export type TrainingConfiguration = z.infer<typeof trainingConfigurationFormat>;
/** What may be left out is left to the defaults. */
export type TrainingConfigurationInput = z.input<typeof trainingConfigurationFormat>;

/**
 * Fills in the defaults, also the kind of loss and of optimiser where only some of their options are given.
 * @throws CliError naming the setting at fault.
 */
export function resolveConfiguration(configuration: unknown): TrainingConfiguration {
  const result = trainingConfigurationFormat.safeParse(withKinds(configuration));
  if (result.success) return result.data;
  const issue = result.error.issues[0];
  throw new CliError(
    `configuration: ${issue?.path.join('.') || 'value'}: ${issue?.message}. See \`semblance train --help\`.`,
  );
}

// --- internal ---

const DEFAULT_KINDS = { loss: 'soft-binomial-deviance', optimizer: 'adamw' } as const;

function withKinds(configuration: unknown): unknown {
  if (!isRecord(configuration)) return configuration;
  const result = { ...configuration };
  for (const [name, kind] of Object.entries(DEFAULT_KINDS)) {
    const value = result[name];
    if (isRecord(value)) result[name] = { kind, ...value };
  }
  return result;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
