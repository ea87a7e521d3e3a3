/**
 * What a training run trains, behind one interface: how a batch enters the training graph, and what becomes of it. Two
 * kinds: the network that starts from nothing, and a backbone from a file, whose batches may enter at a cut point.
 */
import { input, type Value } from '../graph/index.js';
import {
  type BackboneOutputs,
  type BackbonePlan,
  backboneNetwork,
  type CutPoint,
  DEFAULT_PIXEL_NORMALIZATION,
  type NetworkContext,
  normalizePictures,
  type PixelNormalization,
  pooledFeatures,
  residualNetwork,
} from '../models/index.js';
import type { TrainingConfiguration } from './configuration.js';

export interface TrainedNetwork {
  /** Name of the input that a batch enters by. */
  readonly sourceName: 'pictures' | 'features';
  /** That input for a batch of B: `pictures` uint8 [B, S, S, 3] or `features` float32 [B, …]. */
  sourceOf(batchSize: number | string): Value;
  /** From that input to features, for training and for judging. */
  fromSource(context: NetworkContext, source: Value): BackboneOutputs;
  /** From normalised pictures [N, 3, S, S] to features, for the exported model. */
  fromPixels(context: NetworkContext, pixels: Value): BackboneOutputs;
  /** S, pixels. */
  readonly size: number;
  readonly normalization: PixelNormalization;
}

/** The residual network of the configuration, which starts from nothing. */
export function scratchNetwork({ network }: TrainingConfiguration): TrainedNetwork {
  const { inputSize: size } = network;
  const fromPixels = (context: NetworkContext, pixels: Value): BackboneOutputs => {
    const featureMap = residualNetwork(context, pixels, network);
    return { features: pooledFeatures(featureMap, network.pooling), featureMap };
  };
  return {
    sourceName: 'pictures',
    sourceOf: (batchSize) => input('pictures', 'uint8', [batchSize, size, size, 3]),
    fromSource: (context, source) => fromPixels(context, normalizePictures(source)),
    fromPixels,
    size,
    normalization: DEFAULT_PIXEL_NORMALIZATION,
  };
}

/**
 * A backbone from a file.
 * @param from where batches enter: as pictures, or at a cut point as values of the frozen prefix
 */
export function importedNetwork(
  plan: BackbonePlan,
  normalization: PixelNormalization,
  from: 'pixels' | CutPoint,
): TrainedNetwork {
  const size = Number(plan.backbone.pixels.shape[2]);
  return {
    sourceName: from === 'pixels' ? 'pictures' : 'features',
    sourceOf: (batchSize) =>
      from === 'pixels'
        ? input('pictures', 'uint8', [batchSize, size, size, 3])
        : input('features', 'float32', [batchSize, ...from.value.shape.slice(1)]),
    fromSource: (context, source) =>
      backboneNetwork(
        context,
        plan,
        from,
        from === 'pixels' ? normalizePictures(source, normalization) : source,
        { withFeatureMap: false },
      ),
    fromPixels: (context, pixels) => backboneNetwork(context, plan, 'pixels', pixels),
    size,
    normalization,
  };
}
