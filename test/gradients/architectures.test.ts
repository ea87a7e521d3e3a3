/**
 * torchvision's architectures as PyTorch exports them, narrow where they are large: outputs and the gradient by every
 * parameter and by the pictures against torch.autograd's (`test/golden/make-architectures.py`), along fixed directions.
 */
import { readdirSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { fileGradients } from '../../src/models/index.js';
import { floatTensor } from '../../src/onnx/index.js';
import { checks, GOLDEN_FOLDER, numbers, readArchitecture } from '../support/architectures.js';

/** Of the largest logit. */
const OUTPUT_TOLERANCE = 1e-4;
/** Of a gradient's norm: a product with ±1 is off by about the length of the difference. */
const GRADIENT_TOLERANCE = 1e-3;

const names = readdirSync(GOLDEN_FOLDER)
  .filter((file) => file.endsWith('.json'))
  .map((file) => file.replace('.json', ''))
  .sort();

describe('architectures from PyTorch', () => {
  it.each(names)('%s', async (name) => {
    const { model, golden } = readArchitecture(name);
    const { size, pixels } = golden;
    const { outputs, parameters, inputs } = await fileGradients(
      model.graph,
      { pixels: floatTensor(numbers(pixels, 2 * 3 * size * size, 0, 1.7), [2, 3, size, size]) },
      { logits: floatTensor(numbers('logits', 20), [2, 10]) },
      { threads: 1 },
    );

    const logits = outputs.get('logits')?.data as Float32Array;
    const largest = Math.max(...golden.logits.map(Math.abs));
    const outputErrors = golden.logits.map((wanted, i) => Math.abs(wanted - (logits[i] ?? Number.NaN)));
    expect(Math.max(...outputErrors) / largest).toBeLessThan(OUTPUT_TOLERANCE);

    const found = new Map([...parameters, ...inputs].map(([key, { data }]) => [key, data as Float32Array]));
    expect([...found.keys()].sort()).toEqual(Object.keys(golden.gradients).sort());
    const wrong = Object.entries(golden.gradients).flatMap(([key, wanted]) => {
      const got = checks(key, found.get(key) as Float32Array);
      const error = Math.max(...wanted.map((number, i) => Math.abs(number - (got[i] as number)))) / wanted[0];
      return error < GRADIENT_TOLERANCE ? [] : [`${key}: off by ${error.toExponential(1)} of its norm`];
    });
    expect(wrong).toEqual([]);
  });
});
