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
    slack: z.number().min(0).default(0.15),
    attraction: z.number().min(0).default(0),
    aggregation: z.enum(['pairs', 'anchors', 'log-sum-exp']).default('log-sum-exp'),
    source: z.enum(['predicted', 'labels', 'blend']).default('labels'),
    mapping: z
      .discriminatedUnion('kind', [
        z.strictObject({ kind: z.literal('identity') }),
        z.strictObject({ kind: z.literal('power'), exponent: z.number().positive() }),
        z.strictObject({ kind: z.literal('logistic'), slope: z.number(), middle: z.number() }),
      ])
      .default({ kind: 'identity' }),
    centred: z.boolean().default(false),
    rarity: z.boolean().default(false),
    /** Weights of attributes in the similarity, by name; 1 where none is given, 0 leaves one out. */
    attributes: z.record(z.string(), z.number().min(0)).default({}),
    /** Steps over which the similarity grows from 0 to its full size. */
    rampSteps: z.int().min(0).default(0),
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
  z.strictObject({
    kind: z.literal('multi-similarity'),
    alpha: z.number().positive().default(2),
    beta: z.number().positive().default(50),
    base: z.number().default(0.5),
    mining: z.boolean().default(true),
    epsilon: z.number().min(0).default(0.1),
  }),
  z.strictObject({
    kind: z.literal('boosted-ensemble'),
    alpha: z.number().positive().default(2),
    beta: z.number().default(0.5),
    negativeCost: z.number().positive().default(25),
    /** How many learners share the embedding, which then grow from the first to the last, or the size of each. */
    learners: z.union([z.int().positive(), z.array(z.int().positive()).min(1)]).default(3),
  }),
  z.strictObject({
    kind: z.literal('normalized-softmax'),
    temperature: z.number().positive().default(0.05),
    labelSmoothing: z.number().min(0).lt(1).default(0),
    proxyLearningRateScale: z.number().positive().default(1),
  }),
  z.strictObject({
    kind: z.literal('proxy-anchor'),
    alpha: z.number().positive().default(32),
    margin: z.number().min(0).default(0.1),
    /** 2.5 times the default learning rate is the paper's rate for proxies, 1e-2. */
    proxyLearningRateScale: z.number().positive().default(2.5),
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

const triple = z.tuple([z.number(), z.number(), z.number()]);
/** A network from a file, in place of `network.widths`, `blocks` and `pooling`. */
const backboneFormat = z.strictObject({
  /** Path or URL of the ONNX file. */
  source: z.string().min(1),
  sha256: z
    .string()
    .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal')
    .optional(),
  /** Name of the value in the file that serves as features. Default: found by looking at the network. */
  features: z.string().min(1).optional(),
  /** How pictures are prepared: `(x / 255 − mean) / std` a channel in RGB order, then in the file's order of channels. */
  mean: triple,
  std: triple,
  channels: z.enum(['rgb', 'bgr']).default('rgb'),
  /** How pictures become squares, and the colour under transparent pixels. */
  fit: z.enum(['cover', 'contain', 'fill']).default('cover'),
  background: z.tuple([byte, byte, byte]).default([255, 255, 255]),
  trained: z
    .union([
      z.enum(['none', 'last-stage', 'all']),
      z.strictObject({ stages: z.int().positive() }),
      z.strictObject({ depth: z.number().gt(0).max(1) }),
      z.strictObject({ names: z.array(z.string().min(1)).min(1) }),
    ])
    .default('last-stage'),
  /** Low-rank adapters of the trained part instead of its parameters. */
  adapters: z
    .strictObject({ rank: z.int().positive().default(8), alpha: z.number().positive().default(16) })
    .optional(),
  normalization: z.enum(['frozen', 'training']).default('frozen'),
  learningRateScale: z.number().positive().default(0.1),
  /** Where the outputs of the frozen part are cached: `auto`, `none`, `features`, or the name of a stage or value. */
  cache: z.string().min(1).default('auto'),
  /** Augmented views of a picture that are cached, besides the plain one. */
  views: z.int().min(0).default(4),
});

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
    .prefault({}),
  backbone: backboneFormat.optional(),
  /** What makes two pictures a positive pair: one item, or one value of this attribute. */
  positives: z.string().min(1).default('item_id'),
  loss: lossFormat.prefault({ kind: 'soft-binomial-deviance' }),
  /**
   * Cross-batch memory of losses over pairs: the last `batches` batches' embeddings are further positives and negatives.
   * It begins to fill after `startStep` steps, when embeddings no longer move so fast.
   */
  memory: z.strictObject({ batches: z.int().min(0), startStep: z.int().min(0).default(0) }).optional(),
  /**
   * Adversarial training: every batch also with its pixels moved by ε, in units of their range [0, 1], to where the loss
   * grows; `weight` is the share of that loss. Doubles the cost of a step and more.
   */
  adversarial: z
    .strictObject({
      epsilon: z
        .number()
        .positive()
        .max(1)
        .default(2 / 255),
      weight: z.number().positive().max(1).default(0.5),
    })
    .optional(),
  /** What people said of search results, as pairs beside those of the labels. */
  feedback: z
    .strictObject({
      /** The catalogue whose feedback it is: a folder. */
      source: z.string().min(1),
      /** Pairs that have places in every batch, at most; each is two pictures more. */
      pairs: z.int().positive().default(8),
      /** SHA-256 of what was said; filled in when it is read. Given, it must be that. */
      sha256: z
        .string()
        .regex(/^[0-9a-f]{64}$/, 'must be a SHA-256 in hexadecimal')
        .optional(),
    })
    .optional(),
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
      /** Batches whose gradients are averaged for one update. */
      accumulate: z.int().positive().default(1),
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
export const trainingConfigurationFormat = settingsFormat
  .superRefine(({ network: { inputSize, widths }, backbone }, context) => {
    if (backbone !== undefined || inputSize % 2 ** widths.length === 0) return;
    const message = `must be divisible by ${2 ** widths.length} for ${widths.length} widths, got ${inputSize}`;
    context.addIssue({ code: 'custom', path: ['network', 'inputSize'], message });
  })
  .superRefine(({ loss, network: { embeddingSize } }, context) => {
    if (loss.kind !== 'boosted-ensemble') return;
    const { learners } = loss;
    const message =
      typeof learners === 'number'
        ? 2 * embeddingSize < learners * (learners + 1) &&
          `must be few enough that each has a coordinate of the ${embeddingSize}, got ${learners}`
        : learners.reduce((sum, size) => sum + size, 0) !== embeddingSize &&
          `must add up to network.embeddingSize, ${embeddingSize}, got ${learners.join(' + ')}`;
    if (message) context.addIssue({ code: 'custom', path: ['loss', 'learners'], message });
  })
  .superRefine(({ loss: { kind }, memory }, context) => {
    if (memory === undefined || memory.batches === 0) return;
    if (kind !== 'normalized-softmax' && kind !== 'proxy-anchor') return;
    const message = `must be absent or 0 for a loss on proxies, which compares no pairs, got ${memory.batches}`;
    context.addIssue({ code: 'custom', path: ['memory', 'batches'], message });
  })
  .superRefine(({ loss: { kind }, memory, feedback }, context) => {
    if (feedback === undefined) return;
    const refuse = (message: string) => context.addIssue({ code: 'custom', path: ['feedback'], message });
    if (kind === 'normalized-softmax' || kind === 'proxy-anchor')
      refuse(`must be absent for a loss on proxies, which compares no pairs, got loss.kind '${kind}'`);
    if (memory !== undefined && memory.batches > 0)
      refuse(`must be absent with a memory of past batches, got memory.batches ${memory.batches}`);
  })
  .transform((settings) => ({
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
