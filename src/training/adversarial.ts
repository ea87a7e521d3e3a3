/**
 * Adversarial training within the training graph: the loss of a batch and that of the same batch attacked once,
 * `(1 − w)·L(x) + w·L(x′)`, `x′ = clip(x + ε·sign(∂L/∂x))`.
 *
 * Source: Goodfellow, Shlens, Szegedy, "Explaining and harnessing adversarial examples", arXiv 1412.6572, section 6. The loss
 * is over pairs, so every picture moves against all others as they are unattacked. Attacked pictures are normalised by
 * their own batch statistics, and running statistics are of clean pictures only: the two differ, and mixing them costs
 * accuracy on clean ones (Xie et al., arXiv 1911.09665). No random start, which would need random numbers in the graph:
 * at large ε single steps without one can overfit to their own attack (Wong, Rice, Kolter, arXiv 2001.03994).
 */
import { add, constant, gradients, scale, type Value } from '../graph/index.js';
import { type PixelNormalization, signStep } from '../models/index.js';

export interface AdversarialLossOptions {
  /** ε in units of the range [0, 1] of pixels. */
  readonly epsilon: number;
  /** w, share of the attacked batch in the loss. */
  readonly weight: number;
  /** The loss of the batch as it is, a scalar. */
  readonly clean: Value;
  /** The batch's normalised pictures [B, 3, H, W], which the clean loss is computed from. */
  readonly pixels: Value;
  readonly normalization: PixelNormalization;
  readonly parameters: readonly Value[];
  /** The loss of attacked pictures [B, 3, H, W], a scalar. */
  lossOf(attacked: Value): Value;
}

/** @returns the weighted loss, the loss of the attacked batch, and the weighted loss's gradients by the parameters */
export function adversarialLoss(options: AdversarialLossOptions): {
  readonly loss: Value;
  readonly attacked: Value;
  readonly gradients: readonly Value[];
} {
  const { epsilon, weight, clean, pixels, parameters } = options;
  // One walk for pictures and parameters: the way back through the network is then in the graph once.
  const [byPixels, ...byClean] = gradients(clean, [pixels, ...parameters]) as [Value, ...Value[]];
  const attacked = options.lossOf(
    signStep({
      from: pixels,
      clean: pixels,
      gradient: byPixels,
      stepSize: constant(epsilon, []),
      epsilon: constant(epsilon, []),
      normalization: options.normalization,
    }),
  );
  const byAttacked = gradients(attacked, parameters);
  const mixed = (a: Value, b: Value) => add(scale(a, 1 - weight), scale(b, weight));
  return {
    loss: mixed(clean, attacked),
    attacked,
    gradients: byClean.map((gradient, i) => mixed(gradient, byAttacked[i] as Value)),
  };
}
