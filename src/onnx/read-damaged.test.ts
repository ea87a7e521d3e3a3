/** Damaged files of every kind; scripts/fuzz-reader.ts reads more of them. */
import { expect, it } from 'vitest';
import { attempt, mutate, seedModels } from '../../test/support/mutated-models.js';
import { Random } from '../util/index.js';

it('500 damaged models are read or refused in one line, each within two seconds', () => {
  const models = seedModels();
  expect(models.map((model) => attempt(model).kind)).toEqual(models.map(() => 'read'));
  let refused = 0;
  for (let i = 0; i < 500; i++) {
    const model = models[i % models.length] as Uint8Array;
    const { kind, message, milliseconds } = attempt(mutate(model, models, Random.from(7, i)));
    expect(kind, `file ${i}: ${message}`).not.toBe('crashed');
    expect(milliseconds, `file ${i}`).toBeLessThan(2000);
    if (kind === 'refused') refused++;
  }
  expect(refused).toBeGreaterThan(250);
});
