/** Ten kills of each kind; `npm run chaos` makes two hundred. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { KINDS, type Kind } from '../chaos/kinds.js';
import { compileChildren, runChaos } from '../chaos/run-chaos.js';

let children: ReturnType<typeof compileChildren>;
beforeAll(() => {
  children = compileChildren();
});
afterAll(() => children.remove());

describe('killed at a random moment', () => {
  it.each(Object.keys(KINDS) as Kind[])(
    '%s: nothing acknowledged is lost, nothing partial is seen',
    async (kind) => {
      const seed = (Date.now() ^ process.pid) >>> 0; // other places each time
      const { violations, acknowledged } = await runChaos(kind, {
        program: children.program,
        rounds: 10,
        seed,
      });
      expect(violations, `seed ${seed}`).toEqual([]);
      expect(acknowledged, `seed ${seed}`).toBeGreaterThan(0);
    },
  );
});
