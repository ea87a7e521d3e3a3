/**
 * Settings that were found to work, by name. How they were chosen stands in `docs/log.md`.
 */
import type { TrainingConfigurationInput } from './configuration.js';

/** The demo: emoji of several artists, from scratch, in minutes on two cores. Chosen on the validation split. */
export const emojiRecipe: TrainingConfigurationInput = {
  steps: 1500,
  network: { inputSize: 64, widths: [24, 48, 96, 192], blocks: [1, 1, 1], embeddingSize: 256 },
  augmentation: {
    cropScale: [0.6, 1.3],
    cropAspect: [0.8, 1.25],
    rotation: 12,
    brightness: 0.3,
    contrast: 0.3,
    saturation: 0.4,
    hue: 0.05,
    grayscaleProbability: 0.05,
    background: 'random',
    outside: 'background',
    erasingProbability: 0.25,
  },
};
