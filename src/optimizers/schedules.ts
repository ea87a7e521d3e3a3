/**
 * Learning-rate schedules: plain functions of the step, whose value is fed to the training graph.
 */

export interface CosineScheduleOptions {
  /** Largest learning rate, reached after the warm-up. */
  readonly learningRate: number;
  /** Number of all steps. */
  readonly steps: number;
  /** Steps over which the rate rises linearly from 0. Default 0. */
  readonly warmUpSteps?: number;
  /** Share of the largest rate at the end. Default 0. */
  readonly finalShare?: number;
}

/**
 * Linear warm-up, then half a cosine down (Loshchilov & Hutter, arXiv 1608.03983, without restarts).
 * @param step from 0
 */
export function cosineSchedule(
  step: number,
  { learningRate, steps, warmUpSteps = 0, finalShare = 0 }: CosineScheduleOptions,
): number {
  if (step < warmUpSteps) return (learningRate * (step + 1)) / warmUpSteps;
  const progress = Math.min(1, (step - warmUpSteps) / Math.max(1, steps - warmUpSteps));
  return learningRate * (finalShare + (1 - finalShare) * 0.5 * (1 + Math.cos(Math.PI * progress)));
}
