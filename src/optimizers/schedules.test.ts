import { describe, expect, it } from 'vitest';
import { cosineSchedule } from './index.js';

describe('cosineSchedule', () => {
  it.each([
    ['first step of the warm-up', 0, 0.1],
    ['middle of the warm-up', 4, 0.5],
    ['last step of the warm-up', 9, 1],
    ['first step after it', 10, 1],
    ['a third down', 10 + 100 / 3, 0.75],
    ['half way down', 60, 0.5],
    ['the end', 110, 0],
    ['beyond the end', 500, 0],
  ])('%s', (_, step, share) => {
    expect(cosineSchedule(step, { learningRate: 0.3, steps: 110, warmUpSteps: 10 })).toBeCloseTo(
      0.3 * share,
      12,
    );
  });

  it('starts at once without a warm-up and ends at the final share', () => {
    const options = { learningRate: 2, steps: 50, finalShare: 0.1 };
    expect(cosineSchedule(0, options)).toBe(2);
    expect(cosineSchedule(25, options)).toBeCloseTo(1.1, 12);
    expect(cosineSchedule(50, options)).toBeCloseTo(0.2, 12);
  });

  it('never leaves the warm-up when that is longer than the run', () => {
    expect(cosineSchedule(9, { learningRate: 1, steps: 10, warmUpSteps: 20 })).toBe(0.5);
    expect(cosineSchedule(20, { learningRate: 1, steps: 10, warmUpSteps: 20 })).toBe(1);
  });
});
