/**
 * The training step as one graph: pictures in, the next parameters out. onnxruntime runs it with one call.
 *
 * Inputs: `pictures` uint8 [B, H, W, 3], `item_ids` int64 [B], `attribute_labels` [B, A] and `attribute_known` [B, K]
 * where there are attributes, `learning_rate` and `step` scalars; and every state by its name.
 * Outputs: `loss`, `metric_loss`, `attribute_loss`, `gradient_norm`, and `next.<name>` for every state.
 */

import { attributeBlocks, type Schema, semanticSimilarity } from '../granularity/index.js';
import {
  add,
  buildGraph,
  constant,
  type Graph,
  gradients,
  input,
  scale,
  type Value,
} from '../graph/index.js';
import {
  attributeLoss,
  binomialDevianceLoss,
  contrastiveLoss,
  type MetricLoss,
  softBinomialDevianceLoss,
  tripletLoss,
} from '../losses/index.js';
import {
  attributeProbabilities,
  DeclaredParameters,
  FixedParameters,
  multitaskNetwork,
  type NetworkContext,
  normalizePictures,
  type Parameter,
} from '../models/index.js';
import { adamW, clipByGlobalNorm, type Optimizer, sgd } from '../optimizers/index.js';
import { DataError } from '../util/index.js';
import type { TrainingConfiguration } from './configuration.js';

export interface TrainingStep {
  readonly graph: Graph;
  readonly parameters: readonly Parameter[];
  /** Every state, with its shape and what it starts from: a parameter's initial value, or zeros. */
  readonly states: readonly {
    name: string;
    shape: readonly number[];
    startsAs: 'parameter' | 'zeros';
    of: string;
  }[];
}

/** Prefix of the averaged parameters among the states. */
export const AVERAGE_PREFIX = 'average.';

/**
 * Builds the training step for a configuration and schema.
 * @throws DataError when the loss looks at attributes and the schema has none.
 */
export function buildTrainingStep(configuration: TrainingConfiguration, schema: Schema): TrainingStep {
  const { network, batch } = configuration;
  const batchSize = batch.items * batch.picturesPerItem;
  const blocks =
    configuration.attributeWeight > 0 || usesAttributes(configuration) ? attributeBlocks(schema) : [];
  const attributeCount = blocks.reduce((sum, { size }) => sum + size, 0);

  if (usesAttributes(configuration) && blocks.length === 0) {
    throw new DataError(
      "train: the loss 'soft-binomial-deviance' links to attributes, and the data have none. Add attribute columns, or set loss.kind to binomial-deviance",
    );
  }

  const pictures = input('pictures', 'uint8', [batchSize, network.inputSize, network.inputSize, 3]);
  const itemIds = input('item_ids', 'int64', [batchSize]);
  const labels = input('attribute_labels', 'float32', [batchSize, attributeCount]);
  const known = input('attribute_known', 'float32', [batchSize, blocks.length]);
  const learningRate = input('learning_rate', 'float32', []);
  const step = input('step', 'float32', []);

  const declared = new DeclaredParameters();
  const context: NetworkContext = { parameters: declared, mode: 'training', statistics: {} };
  const headSize = configuration.attributeWeight > 0 ? attributeCount : 0;
  const outputs = multitaskNetwork(context, normalizePictures(pictures), headSize, network);

  const similarity =
    blocks.length > 0 && usesAttributes(configuration) && configuration.loss.kind === 'soft-binomial-deviance'
      ? semanticSimilarity(
          labels,
          known,
          outputs.attributeLogits === undefined
            ? undefined
            : attributeProbabilities(outputs.attributeLogits, blocks),
          blocks,
          configuration.loss,
        )
      : undefined;
  const metricLoss = metricLossOf(configuration)({
    embeddings: outputs.embeddings,
    itemIds,
    ...(similarity === undefined ? {} : { semanticSimilarity: similarity }),
  });
  const attributes =
    outputs.attributeLogits === undefined
      ? constant(0, [])
      : attributeLoss(outputs.attributeLogits, labels, known, blocks, {
          labelSmoothing: configuration.labelSmoothing,
        });
  const loss =
    headSize === 0 ? metricLoss : add(metricLoss, scale(attributes, configuration.attributeWeight));

  const entries = declared.entries();
  const trained = entries.filter(({ parameter }) => parameter.kind === 'trained');
  const { gradients: clipped, norm } = clipByGlobalNorm(
    gradients(
      loss,
      trained.map(({ value }) => value),
    ),
    configuration.gradientClip,
  );

  const optimizer = optimizerOf(configuration);
  const states: TrainingStep['states'][number][] = [];
  const stateInputs: Value[] = [];
  const next: Record<string, Value> = {};
  const nextParameters: Record<string, Value> = { ...context.statistics };
  trained.forEach(({ parameter, value }, index) => {
    const moments = optimizer.stateNames.map((name) =>
      input(`${name}.${parameter.name}`, 'float32', parameter.shape),
    );
    const updated = optimizer.update({
      parameter: value,
      gradient: clipped[index] as Value,
      states: moments,
      learningRate,
      step,
      isDecayed: parameter.isDecayed,
    });
    nextParameters[parameter.name] = updated.parameter;
    moments.forEach((moment, i) => {
      const name = `${optimizer.stateNames[i]}.${parameter.name}`;
      states.push({ name, shape: parameter.shape, startsAs: 'zeros', of: parameter.name });
      stateInputs.push(moment);
      next[`next.${name}`] = updated.states[i] as Value;
    });
  });
  for (const { parameter, value } of entries) {
    const updated = nextParameters[parameter.name] as Value;
    states.push({ name: parameter.name, shape: parameter.shape, startsAs: 'parameter', of: parameter.name });
    stateInputs.push(value);
    next[`next.${parameter.name}`] = updated;
    const name = `${AVERAGE_PREFIX}${parameter.name}`;
    const average = input(name, 'float32', parameter.shape);
    states.push({ name, shape: parameter.shape, startsAs: 'parameter', of: parameter.name });
    stateInputs.push(average);
    const decay = configuration.averageDecay;
    next[`next.${name}`] = add(scale(average, decay), scale(updated, 1 - decay));
  }

  const isFed = blocks.length > 0;
  const inputs = [pictures, itemIds, ...(isFed ? [labels, known] : []), learningRate, step, ...stateInputs];
  return {
    graph: buildGraph(inputs, {
      loss,
      metric_loss: metricLoss,
      attribute_loss: attributes,
      gradient_norm: norm,
      ...next,
    }),
    parameters: entries.map(({ parameter }) => parameter),
    states,
  };
}

/**
 * The model that is exported: `pixel_values` float32 [N, 3, H, W] to `image_embeds` [N, D], `attributes` [N, A]
 * (where there are any) and `feature_map` [N, C, h, w].
 * @param values the parameters by name
 */
export function buildInferenceGraph(
  configuration: TrainingConfiguration,
  schema: Schema,
  values: Readonly<Record<string, Float32Array>>,
): Graph {
  const { network } = configuration;
  const pixels = input('pixel_values', 'float32', ['N', 3, network.inputSize, network.inputSize]);
  const blocks = configuration.attributeWeight > 0 ? attributeBlocks(schema) : [];
  const attributeCount = blocks.reduce((sum, { size }) => sum + size, 0);
  const context: NetworkContext = {
    parameters: new FixedParameters(values),
    mode: 'inference',
    statistics: {},
  };
  const { embeddings, attributeLogits, featureMap } = multitaskNetwork(
    context,
    pixels,
    attributeCount,
    network,
  );
  return buildGraph([pixels], {
    image_embeds: embeddings,
    ...(attributeLogits === undefined ? {} : { attributes: attributeProbabilities(attributeLogits, blocks) }),
    feature_map: featureMap,
  });
}

/** The metric loss that a configuration names. */
export function metricLossOf({ loss }: TrainingConfiguration): MetricLoss {
  switch (loss.kind) {
    case 'soft-binomial-deviance':
      return softBinomialDevianceLoss(loss);
    case 'binomial-deviance':
      return binomialDevianceLoss(loss);
    case 'contrastive':
      return contrastiveLoss(loss);
    case 'triplet':
      return tripletLoss(loss);
  }
}

// --- internal ---

/** Whether the metric loss looks at attributes. */
function usesAttributes({ loss }: TrainingConfiguration): boolean {
  return (
    loss.kind === 'soft-binomial-deviance' &&
    (loss.positiveLink > 0 || loss.negativeLink > 0 || loss.slack > 0)
  );
}

function optimizerOf({ optimizer }: TrainingConfiguration): Optimizer {
  return optimizer.kind === 'adamw' ? adamW(optimizer) : sgd(optimizer);
}
