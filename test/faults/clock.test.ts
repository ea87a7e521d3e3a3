/**
 * A clock that is set on or back by a day, by `faketime`, which the native code of the store sees as well: nothing is lost and
 * nobody is locked out. Skipped where `faketime` is not installed.
 */
import { execFile, execFileSync } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { openCatalog, verifyCatalog } from '../../src/catalog/index.js';
import { type TinyCatalog, writeTinyCatalog } from '../support/tiny-catalog.js';

const hasFaketime = (() => {
  try {
    execFileSync('faketime', ['-1 day', 'true'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
})();

let root = '';
let tiny: TinyCatalog;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-clock-'));
  tiny = await writeTinyCatalog(root);
});
afterAll(() => rm(root, { recursive: true, force: true }));

const PROGRAM = `
const { LiveCatalog } = await import('${new URL('../../src/catalog/index.ts', import.meta.url).href}');
const { plainPicture } = await import('${new URL('../support/tiny-bundle.ts', import.meta.url).href}');
const [directory, id] = process.argv.slice(1);
const live = await LiveCatalog.open(directory, { threads: 1, pollMs: 0 });
for (let n = 0; n < 3; n++)
  await live.put([{ id: id + n, picture: await plainPicture([40 * n, 10, 10]), itemId: 'x' }]);
await live.use(({ catalog }) => catalog.store.flush());
await live.close();
process.stdout.write(new Date().toISOString());
`;

it.skipIf(!hasFaketime)(
  'writes and tidying up under clocks that jump lose nothing (skipped without faketime)',
  { timeout: 180_000 },
  async () => {
    const tsx = new URL(import.meta.resolve('tsx/esm')).href;
    const jumps = ['+0 days', '+1 day', '-1 day', '+30 days', '-30 days'];
    const times: number[] = [];
    for (const [n, jump] of jumps.entries()) {
      const argv = [process.execPath, '--import', tsx, '--input-type=module', '-e', PROGRAM];
      const { stdout } = await promisify(execFile)('faketime', [jump, ...argv, tiny.catalog, `write-${n}-`]);
      times.push(Date.parse(stdout));
    }
    expect((times[1] as number) - (times[2] as number)).toBeGreaterThan(40 * 3600_000);
    const catalog = await openCatalog(tiny.catalog);
    const ids = jumps.flatMap((_, n) => [0, 1, 2].map((m) => `write-${n}-${m}`));
    const found = await catalog.store.get(ids);
    await catalog.close();
    expect(found.map((record) => record?.id)).toEqual(ids);
    expect(await verifyCatalog(tiny.catalog, { model: tiny.model })).toMatchObject({
      pictures: tiny.rows.length + ids.length,
      problems: [],
    });
  },
);
