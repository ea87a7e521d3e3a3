/**
 * The training step as one graph: pictures in, the next parameters out. onnxruntime runs it with one call.
 *
 * Inputs: `pictures` uint8 [B, H, W, 3] or `features` float32 [B, …] of a cached prefix, `item_ids` int64 [B], `attribute_labels` [B, A] and `attribute_known` [B, K]
 * where there are attributes, `pair_judged`, `pair_positive` and `pair_negative` [B, B] where there are verdicts,
 * `learning_rate` and `step` scalars, `is_update` where gradients are accumulated; and every
 * state by its name: parameters, their averages and moments, and the rows of a cross-batch memory.
 * Outputs: `loss`, `metric_loss`, `attribute_loss`, `gradient_norm`, `adversarial_loss` where pictures are attacked, and `next.<name>` for every state.
 */

import { attributeBlocks, type Schema, semanticSimilarity } from '../granularity/index.js';
import {
  add,
  buildGraph,
  cast,
  concat,
  constant,
  type Graph,
  gradients,
  input,
  scale,
  type Value,
  where,
} from '../graph/index.js';
import { attributeLoss, type PairVerdicts } from '../losses/index.js';
import {
  attributeProbabilities,
  type BackboneOutputs,
  DeclaredParameters,
  FixedParameters,
  type MultitaskOutputs,
  multitaskHeads,
  type NetworkContext,
  normalizePictures,
  type Parameter,
} from '../models/index.js';
import { adamW, clipByGlobalNorm, type Optimizer, sgd } from '../optimizers/index.js';
import { DataError } from '../util/index.js';
import { adversarialLoss } from './adversarial.js';
import type { TrainingConfiguration } from './configuration.js';
import {
  headOptionsOf,
  metricLossOf,
  proxiesOf,
  ramped,
  usesAttributes,
  usesPredictions,
} from './configured-loss.js';
import { type CrossBatchMemory, crossBatchMemory } from './memory.js';
import { scratchNetwork, type TrainedNetwork } from './network.js';

export interface TrainingStep {
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
  /** Every state, with its shape and what it starts from: a parameter's initial value, or zeros. */
  readonly states: readonly TrainingState[];
}

export type TrainingState = { readonly name: string; readonly shape: readonly number[] } & (
  | { readonly startsAs: 'zeros' }
  /** The initial value of the parameter of this name. */
  | { readonly startsAs: 'parameter'; readonly of: string }
);

/** Prefix of the averaged parameters among the states. */
export const AVERAGE_PREFIX = 'average.';

/** What a step has to know of the training data, beside its schema. */
export interface TrainingStepOptions {
  /** C: item ids in batches are from 0 to C − 1. Losses on proxies need it. */
  readonly classes?: number;
  /** F: pairs with verdicts that follow a batch's items, two pictures each. Default 0: no verdicts. */
  readonly judgedPairs?: number;
}

/**
 * Builds the training step for a configuration and schema.
 * @throws DataError when the loss looks at attributes and the schema has none, or needs the number of classes.
 */
export function buildTrainingStep(
  configuration: TrainingConfiguration,
  schema: Schema,
  network: TrainedNetwork = scratchNetwork(configuration),
  { classes, judgedPairs = 0 }: TrainingStepOptions = {},
): TrainingStep {
  const { batch } = configuration;
  const batchSize = batch.items * batch.picturesPerItem + 2 * judgedPairs;
  const blocks =
    configuration.attributeWeight > 0 || usesAttributes(configuration) ? attributeBlocks(schema) : [];
  const attributeCount = blocks.reduce((sum, { size }) => sum + size, 0);

  if (usesAttributes(configuration) && blocks.length === 0) {
    throw new DataError(
      "train: the loss 'soft-binomial-deviance' links to attributes, and the data have none. Add attribute columns, or set loss.kind to binomial-deviance",
    );
  }

  const source = network.sourceOf(batchSize);
  const itemIds = input('item_ids', 'int64', [batchSize]);
  const labels = input('attribute_labels', 'float32', [batchSize, attributeCount]);
  const known = input('attribute_known', 'float32', [batchSize, blocks.length]);
  const verdicts: PairVerdicts | undefined =
    judgedPairs === 0
      ? undefined
      : {
          isJudged: input('pair_judged', 'bool', [batchSize, batchSize]),
          positive: input('pair_positive', 'float32', [batchSize, batchSize]),
          negative: input('pair_negative', 'float32', [batchSize, batchSize]),
        };
  const learningRate = input('learning_rate', 'float32', []);
  const step = input('step', 'float32', []);

  const declared = new DeclaredParameters();
  const context: NetworkContext = { parameters: declared, mode: 'training', statistics: {} };
  const headSize = configuration.attributeWeight > 0 ? attributeCount : 0;
  const headsOn = (features: BackboneOutputs, on: NetworkContext) =>
    multitaskHeads(on, features, headSize, headOptionsOf(configuration));
  // Only an attack needs pictures as a value of the graph; batches may also be what a frozen prefix made of them.
  const pixels = configuration.adversarial === undefined ? undefined : attackedPixels(network, source);
  const outputs = headsOn(
    pixels === undefined ? network.fromSource(context, source) : network.fromPixels(context, pixels),
    context,
  );

  const probabilities =
    outputs.attributeLogits === undefined
      ? undefined
      : attributeProbabilities(outputs.attributeLogits, blocks);
  const isLinked = blocks.length > 0 && usesAttributes(configuration);
  const memory = memoryOf(configuration, step, {
    embeddings: outputs.embeddings,
    // Numbers of classes are far below 2²⁴, up to which float32 is exact.
    item_ids: cast(itemIds, 'float32'),
    ...(isLinked ? { attribute_labels: labels, attribute_known: known } : {}),
    ...(isLinked && probabilities !== undefined && usesPredictions(configuration)
      ? { attribute_probabilities: probabilities }
      : {}),
  });
  /** The batch's values, and behind them those of the memory. */
  const withPast = (current: Value, name: RememberedName): Value =>
    memory === undefined ? current : concat([current, memory.past[name] as Value], 0);
  const fullSimilarity =
    isLinked && configuration.loss.kind === 'soft-binomial-deviance'
      ? semanticSimilarity(
          withPast(labels, 'attribute_labels'),
          withPast(known, 'attribute_known'),
          probabilities === undefined || !usesPredictions(configuration)
            ? undefined
            : withPast(probabilities, 'attribute_probabilities'),
          blocks,
          { ...configuration.loss, anchors: batchSize },
        )
      : undefined;
  // Declared after the network, so that the network starts from the same values whatever the loss.
  const proxies = proxiesOf(configuration, classes);
  const similarity = fullSimilarity === undefined ? undefined : ramped(fullSimilarity, step, configuration);
  const proxyValues = proxies === undefined ? undefined : declared.get(proxies);
  const metricLossOfBatch = metricLossOf(configuration);
  const lossesOf = ({ embeddings, attributeLogits }: MultitaskOutputs) => {
    const metricLoss = metricLossOfBatch({
      embeddings,
      itemIds,
      ...(proxyValues === undefined ? {} : { proxies: proxyValues }),
      ...(similarity === undefined ? {} : { semanticSimilarity: similarity }),
      ...(verdicts === undefined ? {} : { verdicts }),
      ...(memory === undefined
        ? {}
        : {
            memory: {
              embeddings: memory.past.embeddings as Value,
              itemIds: cast(memory.past.item_ids as Value, 'int64'),
              isFilled: memory.isFilled,
            },
          }),
    });
    const attributes =
      attributeLogits === undefined
        ? constant(0, [])
        : attributeLoss(attributeLogits, labels, known, blocks, {
            labelSmoothing: configuration.labelSmoothing,
          });
    const loss =
      headSize === 0 ? metricLoss : add(metricLoss, scale(attributes, configuration.attributeWeight));
    return { metricLoss, attributes, loss };
  };
  const clean = lossesOf(outputs);

  const entries = declared.entries();
  const trained = entries.filter(({ parameter }) => parameter.kind === 'trained');
  const states: TrainingState[] = [];
  const stateInputs: Value[] = [];
  const next: Record<string, Value> = {};
  /** Declares a state, which starts as `of` or as zeros, and gives its value now. */
  const state = (name: string, of: Parameter, startsAs: 'parameter' | 'zeros'): Value => {
    const value = name === of.name ? declared.get(of) : input(name, 'float32', of.shape);
    const { shape } = of;
    states.push(startsAs === 'zeros' ? { name, shape, startsAs } : { name, shape, startsAs, of: of.name });
    stateInputs.push(value);
    return value;
  };

  const isUpdate = batch.accumulate === 1 ? undefined : input('is_update', 'bool', []);
  /** What becomes of a state: in a step that only accumulates gradients it stays. */
  const held = (updated: Value, before: Value) =>
    isUpdate === undefined ? updated : where(isUpdate, updated, before);
  const trainedValues = trained.map(({ value }) => value);
  const adversarial =
    pixels === undefined || configuration.adversarial === undefined
      ? undefined
      : adversarialLoss({
          ...configuration.adversarial,
          clean: clean.loss,
          pixels,
          normalization: network.normalization,
          parameters: trainedValues,
          lossOf: (attacked) => {
            // The running statistics of batch normalisation are those of clean pictures.
            const on: NetworkContext = { ...context, statistics: {} };
            return lossesOf(headsOn(network.fromPixels(on, attacked), on)).loss;
          },
        });
  const loss = adversarial?.loss ?? clean.loss;
  const ownGradients = adversarial?.gradients ?? gradients(clean.loss, trainedValues);
  const accumulated =
    isUpdate === undefined
      ? ownGradients
      : trained.map(({ parameter }, index) => {
          const name = `accumulated.${parameter.name}`;
          const sum = add(
            state(name, parameter, 'zeros'),
            scale(ownGradients[index] as Value, 1 / batch.accumulate),
          );
          next[`next.${name}`] = where(isUpdate, scale(sum, 0), sum);
          return sum;
        });
  const { gradients: clipped, norm } = clipByGlobalNorm(accumulated, configuration.gradientClip);

  const optimizer = optimizerOf(configuration);
  const nextParameters: Record<string, Value> = { ...context.statistics };
  trained.forEach(({ parameter, value }, index) => {
    const moments = optimizer.stateNames.map((name) =>
      state(`${name}.${parameter.name}`, parameter, 'zeros'),
    );
    const updated = optimizer.update({
      parameter: value,
      gradient: clipped[index] as Value,
      states: moments,
      learningRate: scale(learningRate, parameter.learningRateScale ?? 1),
      step,
      isDecayed: parameter.isDecayed,
    });
    nextParameters[parameter.name] = held(updated.parameter, value);
    moments.forEach((moment, i) => {
      const name = `${optimizer.stateNames[i]}.${parameter.name}`;
      next[`next.${name}`] = held(updated.states[i] as Value, moment);
    });
  });
  for (const { parameter } of entries) {
    const updated = nextParameters[parameter.name] as Value;
    state(parameter.name, parameter, 'parameter');
    next[`next.${parameter.name}`] = updated;
    const name = `${AVERAGE_PREFIX}${parameter.name}`;
    const average = state(name, parameter, 'parameter');
    const decay = configuration.averageDecay;
    next[`next.${name}`] = held(add(scale(average, decay), scale(updated, 1 - decay)), average);
  }

  for (const { name, shape, value, next: following } of memory?.states ?? []) {
    states.push({ name, shape, startsAs: 'zeros' });
    stateInputs.push(value);
    next[`next.${name}`] = following;
  }

  const isFed = blocks.length > 0;
  const inputs = [
    source,
    itemIds,
    ...(isFed ? [labels, known] : []),
    ...(verdicts === undefined ? [] : Object.values(verdicts)),
    learningRate,
    step,
    ...(isUpdate === undefined ? [] : [isUpdate]),
    ...stateInputs,
  ];
  return {
    graph: buildGraph(inputs, {
      loss,
      metric_loss: clean.metricLoss,
      attribute_loss: clean.attributes,
      ...(adversarial === undefined ? {} : { adversarial_loss: adversarial.attacked }),
      gradient_norm: norm,
      ...next,
    }),
    parameters: entries.map(({ parameter }) => parameter),
    states,
  };
}

/**
 * The model that is exported: `pixel_values` float32 [N, 3, H, W] to `image_embeds` [N, D], `attributes` [N, A]
 * (where there are any) and `feature_map` [N, C, h, w] (where the backbone has one).
 * @param values the parameters by name
 * @param from `source`: from what a training batch enters by instead, without a feature map: the model that validation
 *   judges where the frozen prefix is cached
 */
export function buildInferenceGraph(
  configuration: TrainingConfiguration,
  schema: Schema,
  values: Readonly<Record<string, Float32Array>>,
  network: TrainedNetwork = scratchNetwork(configuration),
  from: 'pixels' | 'source' = 'pixels',
): Graph {
  const entry =
    from === 'pixels'
      ? input('pixel_values', 'float32', ['N', 3, network.size, network.size])
      : network.sourceOf('N');
  const blocks = configuration.attributeWeight > 0 ? attributeBlocks(schema) : [];
  const attributeCount = blocks.reduce((sum, { size }) => sum + size, 0);
  const context: NetworkContext = {
    parameters: new FixedParameters(values),
    mode: 'inference',
    statistics: {},
  };
  const { embeddings, attributeLogits, featureMap } = multitaskHeads(
    context,
    from === 'pixels' ? network.fromPixels(context, entry) : network.fromSource(context, entry),
    attributeCount,
    headOptionsOf(configuration),
  );
  return buildGraph([entry], {
    image_embeds: embeddings,
    ...(attributeLogits === undefined ? {} : { attributes: attributeProbabilities(attributeLogits, blocks) }),
    ...(featureMap === undefined ? {} : { feature_map: featureMap }),
  });
}

// --- internal ---

/**
 * The batch's normalised pictures.
 * @throws DataError when batches are no pictures.
 */
function attackedPixels(network: TrainedNetwork, source: Value): Value {
  if (network.sourceName === 'pictures') return normalizePictures(source, network.normalization);
  throw new DataError(
    'train: adversarial training changes pictures, and the batches of this backbone are cached features. Set backbone.cache to none',
  );
}

type RememberedName =
  | 'embeddings'
  | 'item_ids'
  | 'attribute_labels'
  | 'attribute_known'
  | 'attribute_probabilities';
type Remembered = Readonly<Partial<Record<RememberedName, Value>>>;

function memoryOf(
  { memory }: TrainingConfiguration,
  step: Value,
  remembered: Remembered,
): CrossBatchMemory<RememberedName> | undefined {
  if (memory === undefined || memory.batches === 0) return undefined;
  return crossBatchMemory(remembered as Record<RememberedName, Value>, memory, step);
}

function optimizerOf({ optimizer }: TrainingConfiguration): Optimizer {
  return optimizer.kind === 'adamw' ? adamW(optimizer) : sgd(optimizer);
}
