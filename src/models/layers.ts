/**
 * Layers: functions from values to values that take their parameters from a `NetworkContext` under a name.
 */
import {
  add,
  batchNormalization,
  batchNormalizationTraining,
  convolution,
  groupNormalization,
  matmul,
  scale,
  type Value,
} from '../graph/index.js';
import type { Parameter, ParameterSource } from './parameters.js';

/** Where a network is built: its parameters, and whether the graph is for training or for inference. */
export interface NetworkContext {
  readonly parameters: ParameterSource;
  readonly mode: 'training' | 'inference';
  /** Statistics that a training step updates, by parameter name; layers add to it. */
  readonly statistics: Record<string, Value>;
}

export type Normalization = 'batch' | 'group' | 'none';

const BATCH_NORM_EPSILON = 1e-5;
/** Share of the running statistics that a step keeps. */
const BATCH_NORM_MOMENTUM = 0.95;
const GROUPS = 8;

/**
 * Convolution without bias, `[N, C, H, W] → [N, outChannels, H', W']`; He initialisation.
 * @param padding zeros on each side. Default `(kernel − 1) / 2`, rounded down.
 */
export function convolutionLayer(
  context: NetworkContext,
  name: string,
  x: Value,
  outChannels: number,
  {
    kernel = 3,
    stride = 1,
    padding = (kernel - 1) >> 1,
  }: { kernel?: number; stride?: number; padding?: number } = {},
): Value {
  const channels = x.shape[1] as number;
  const weight = context.parameters.get({
    name: `${name}.weight`,
    shape: [outChannels, channels, kernel, kernel],
    initializer: { kind: 'normal', fanIn: channels * kernel * kernel, gain: Math.SQRT2 },
    kind: 'trained',
    isDecayed: true,
  });
  return convolution(x, weight, undefined, { stride, padding });
}

/** Linear map without bias, `[N, C] → [N, D]`. */
export function linearLayer(
  context: NetworkContext,
  name: string,
  x: Value,
  size: number,
  { bias = false, gain = 1 }: { bias?: boolean; gain?: number } = {},
): Value {
  const channels = x.shape[x.rank - 1] as number;
  const weight = context.parameters.get({
    name: `${name}.weight`,
    shape: [channels, size],
    initializer: { kind: 'normal', fanIn: channels, gain },
    kind: 'trained',
    isDecayed: true,
  });
  const product = matmul(x, weight);
  if (!bias) return product;
  return add(product, vectorParameter(context, `${name}.bias`, size, 0));
}

/**
 * Batch or group normalisation of `[N, C]` or `[N, C, H, W]` with a scale and shift a channel. In training mode batch
 * normalisation uses the batch's statistics and updates running ones, which inference uses.
 * @param initialScale start of the scale; 0 makes a residual block start as the identity (Goyal et al. 2017).
 */
export function normalizationLayer(
  context: NetworkContext,
  name: string,
  x: Value,
  normalization: Normalization,
  { initialScale = 1 }: { initialScale?: number } = {},
): Value {
  if (normalization === 'none') return x;
  const channels = x.shape[1] as number;
  const weight = vectorParameter(context, `${name}.scale`, channels, initialScale);
  const bias = vectorParameter(context, `${name}.bias`, channels, 0);
  if (normalization === 'group') return groupNormalization(x, weight, bias, GROUPS);
  const mean = vectorParameter(context, `${name}.mean`, channels, 0, 'statistic');
  const variance = vectorParameter(context, `${name}.variance`, channels, 1, 'statistic');
  if (context.mode === 'inference') {
    return batchNormalization(x, weight, bias, mean, variance, BATCH_NORM_EPSILON);
  }
  const batch = batchNormalizationTraining(x, weight, bias, BATCH_NORM_EPSILON);
  context.statistics[`${name}.mean`] = runningMean(mean, batch.mean);
  context.statistics[`${name}.variance`] = runningMean(variance, batch.variance);
  return batch.y;
}

// --- internal ---

/** A value a channel [size]; neither scales, shifts nor statistics are decayed. */
function vectorParameter(
  context: NetworkContext,
  name: string,
  size: number,
  value: number,
  kind: Parameter['kind'] = 'trained',
): Value {
  return context.parameters.get({
    name,
    shape: [size],
    initializer: { kind: 'constant', value },
    kind,
    isDecayed: false,
  });
}

export function runningMean(before: Value, now: Value): Value {
  return add(scale(before, BATCH_NORM_MOMENTUM), scale(now, 1 - BATCH_NORM_MOMENTUM));
}
