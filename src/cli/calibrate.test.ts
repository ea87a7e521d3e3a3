import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { plainPicture, writeTinyBundle } from '../../test/support/tiny-bundle.js';
import { readBundle } from '../bundle/index.js';
import { openCatalog } from '../catalog/index.js';

let root = '';
let model = '';
let data = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-calibrate-'));
  model = await writeTinyBundle(root);
  data = join(root, 'manifest.csv');
  await mkdir(join(root, 'pictures'));
  const lines = ['path,item_id,split,source,hue,tags'];
  for (const split of ['val', 'test'])
    for (const [channel, hue] of ['red', 'green', 'blue'].entries())
      for (let shade = 0; shade < 4; shade++)
        for (const source of ['a', 'b']) {
          const colour = [0, 1, 2].map((c) => (c === channel ? 250 - 40 * shade : 25 * shade)) as [
            number,
            number,
            number,
          ];
          if (source === 'b') colour[channel]! -= 6;
          const path = `pictures/${split}-${hue}-${shade}-${source}.png`;
          await writeFile(join(root, path), await plainPicture(colour));
          lines.push(`${path},${split} ${hue} ${shade},${split},${source},${hue},x`);
        }
  await writeFile(data, `${lines.join('\n')}\n`);
});
afterAll(async () => {
  await rm(root, { recursive: true, force: true });
});

const index = (catalog: string) =>
  runMain(
    'index',
    '--model',
    model,
    '--data',
    data,
    '--catalog',
    catalog,
    '--split',
    'test',
    '--quiet',
    '--json',
  );
const calibrate = (...more: string[]) =>
  runMain('calibrate', '--model', model, '--data', data, '--quiet', ...more);

describe('semblance calibrate', () => {
  it('keeps what it fits in the bundle, and the vectors as they are; a catalogue takes it over without embedding', async () => {
    const [first, second] = [join(root, 'first'), join(root, 'second')];
    await index(first);
    await index(second);
    const before = await readBundle(model);
    expect(before.card.calibration).toBeUndefined();
    const { stdout } = await calibrate('--catalog', first, '--json');
    const after = await readBundle(model);
    expect(after.vectorHash).toBe(before.vectorHash);
    expect({ ...after.card, calibration: undefined }).toEqual({ ...before.card, calibration: undefined });
    // Of 24 pictures, 12 of each source: 12 · 12 pairs, both ways round; an item's two; a hue's 4 · 4 in each of three.
    expect(after.card.calibration?.levels).toMatchObject([
      { pairs: 288, agreeing: 24 },
      { pairs: 288, agreeing: 96 },
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ pictures: 24, rates: [24 / 288, 96 / 288] });

    const summary = JSON.parse((await index(second)).stdout) as Record<string, unknown>;
    expect(summary).toMatchObject({ embedded: 0, relabelled: 0, unchanged: 24 });
    for (const directory of [first, second]) {
      const catalog = await openCatalog(directory);
      expect(catalog.description.calibration).toEqual({
        ...after.card.calibration,
        rates: [24 / 288, 96 / 288],
      });
      await catalog.close();
    }
  });

  it('says from which score a hit is likely', async () => {
    const { stdout } = await calibrate();
    expect(stdout).toMatch(/item_id .* 288 .* 8\.3 % .*0\.9\d+/);
  });

  it('refuses pictures that have nothing to agree on, and leaves the bundle alone', async () => {
    const alone = join(root, 'alone.csv');
    await writeFile(
      alone,
      'path,item_id,split\npictures/val-red-0-a.png,x,val\npictures/val-red-0-b.png,y,val\n',
    );
    const card = await readFile(join(model, 'semblance.json'), 'utf8');
    const { code, stderr } = await runMain('calibrate', '--model', model, '--data', alone, '--quiet');
    expect([code, stderr]).toEqual([1, expect.stringMatching(/pictures of split 'val' must agree/)]);
    expect(await readFile(join(model, 'semblance.json'), 'utf8')).toBe(card);
  });
});
