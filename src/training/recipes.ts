/**
 * Settings that were found to work, by name. How they were chosen stands in `docs/log.md`.
 */
import type { TrainingConfigurationInput } from './configuration.js';

/** The demo: emoji of several artists, from scratch, in minutes on two cores. Chosen on the validation split. */
export const emojiRecipe: TrainingConfigurationInput = {
  steps: 1000,
  sourceSize: 96,
  network: { inputSize: 64, widths: [24, 48, 96, 192], blocks: [1, 1, 1], embeddingSize: 256 },
  loss: { kind: 'soft-binomial-deviance', slack: 0.1 },
  attributeWeight: 0.1,
  learningRate: 4e-3,
  warmUpSteps: 100,
  averageDecay: 0.99,
  validateEvery: 250,
  augmentation: {
    cropScale: [0.6, 1.1],
    cropAspect: [0.86, 1.16],
    rotation: 15,
    itemFlipProbability: 0.5,
    brightness: 0.25,
    contrast: 0.3,
    saturation: 0.5,
    hue: 0.05,
    grayscaleProbability: 0.1,
    background: 'random',
    whiteBackgroundProbability: 0.3,
    outside: 'background',
    erasingProbability: 0.3,
  },
};

/** Fine-tuning a backbone that others trained: a tenth of the steps and a quarter of the rate of training from nothing. */
export const fineTuneRecipe: TrainingConfigurationInput = {
  steps: 400,
  learningRate: 1e-3,
  warmUpSteps: 40,
  optimizer: { kind: 'adamw', weightDecay: 0.05 },
  batch: { items: 16, picturesPerItem: 4 },
  validateEvery: 100,
  checkpointEvery: 100,
};
