import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { type Embedder, openEmbedder } from '../bundle/index.js';
import { QueryBatches } from './query-batches.js';

it('gives each of many pictures at a time what it has alone, and an unreadable one its own error', async () => {
  const root = await mkdtemp(join(tmpdir(), 'semblance-batches-'));
  const embedder = await openEmbedder(await writeTinyBundle(root), { threads: 1 });
  try {
    const pictures = await Promise.all(
      Array.from({ length: 20 }, (_, n) => plainPicture([10 * n, 255 - 12 * n, (37 * n) % 256])),
    );
    const sizes: number[] = [];
    // The first picture takes long enough for others to be decoded, however busy the machine is.
    const late: Embedder = {
      ...embedder,
      async embedPixels(...given) {
        if (sizes.length === 1) await setTimeout(1000);
        return await embedder.embedPixels(...given);
      },
    };
    const batches = new QueryBatches(late, { maximum: 8, observe: (size) => sizes.push(size) });
    const [broken, ...together] = await Promise.allSettled(
      [Buffer.from('no picture'), ...pictures].map((picture) => batches.embedOne(picture)),
    );
    expect(broken?.status).toBe('rejected');
    for (const [n, result] of together.entries()) {
      const alone = await embedder.embedOne(pictures[n] as Uint8Array);
      if (result.status === 'rejected') throw result.reason;
      expect(result.value.embedding.length).toBe(alone.embedding.length);
      alone.embedding.forEach((x, i) => {
        expect(result.value.embedding[i]).toBeCloseTo(x, 5);
      });
      alone.attributes.forEach((x, i) => {
        expect(result.value.attributes[i]).toBeCloseTo(x, 5);
      });
    }
    expect(sizes.reduce((sum, size) => sum + size)).toBe(20);
    expect(Math.max(...sizes)).toBeGreaterThan(1);
    expect(Math.max(...sizes)).toBeLessThanOrEqual(8);
  } finally {
    await embedder.close();
    await rm(root, { recursive: true, force: true });
  }
});
