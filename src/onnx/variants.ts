/** Smaller variants of a whole model, file to file. */
import { GraphError } from '../util/index.js';
import { withHalfPrecisionWeights } from './half-precision.js';
import { quantizeDynamically } from './quantize.js';
import { readModel } from './read.js';
import { writeModel } from './write.js';

/** How a model's weights are stored. */
export const MODEL_VARIANTS = ['fp32', 'fp16', 'int8'] as const;
export type ModelVariant = (typeof MODEL_VARIANTS)[number];

export interface SmallerModel {
  readonly bytes: Uint8Array;
  /** What was done, in a few words for people. */
  readonly notes: readonly string[];
}

/**
 * Makes a variant of a serialised model.
 * @throws GraphError when the model cannot be read, or has no weights that could be made smaller.
 */
export function smallerModel(model: Uint8Array, variant: Exclude<ModelVariant, 'fp32'>): SmallerModel {
  const { graph, metadata } = readModel(model);
  const options = { metadata: { ...metadata, 'semblance.variant': variant } };
  if (variant === 'fp16') {
    const half = withHalfPrecisionWeights(graph);
    requireSome(half.converted, variant, 'weights of 256 or more float32 elements within ±65504');
    const kept =
      half.kept.length === 0
        ? []
        : [
            `${half.kept.length} constants with elements beyond 65504 stay float32: ${half.kept.slice(0, 3).join(', ')}`,
          ];
    return {
      bytes: writeModel(half.graph, options),
      notes: [`${half.converted} weights are stored as float16`, ...kept],
    };
  }
  const integers = quantizeDynamically(graph);
  requireSome(integers.quantized, variant, 'products with 1024 or more constant float32 weights');
  return {
    bytes: writeModel(integers.graph, options),
    notes: [`${integers.quantized} products are computed in 8-bit integers, ${integers.kept} stay float32`],
  };
}

// --- internal ---

function requireSome(count: number, variant: string, what: string): void {
  if (count === 0)
    throw new GraphError(
      `smallerModel: for ${variant} the model must have ${what}, got none. It is small already.`,
    );
}
