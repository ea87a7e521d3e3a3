import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { KeyRing } from '../server/index.js';

let root = '';
let file = '';
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-keys-'));
  file = join(root, 'keys.json');
});
afterAll(() => rm(root, { recursive: true, force: true }));

it('makes a key that opens, shows it once, rotates and revokes it', async () => {
  const ring = new KeyRing(file, { pollMs: 0 });
  const at = ['--file', file];
  const made = await runMain('keys', 'add', '--name', 'shop', '--scope', 'search', '--scope', 'write', ...at);
  expect(made.code, made.stderr).toBe(0);
  const token = made.stdout.trim();
  expect(await ring.identify(token)).toMatchObject({ name: 'shop', scopes: ['search', 'write'] });
  expect(made.stderr).not.toContain(token);
  expect(await readFile(file, 'utf8')).not.toContain(token.slice(-43));

  const again = await runMain('keys', 'add', '--name', 'shop', ...at);
  expect(again).toMatchObject({ code: 1, stdout: '' });
  expect(again.stderr).toContain("'shop' must be a new name");

  const rotated = await runMain('keys', 'rotate', 'shop', '--grace', '0s', '--json', ...at);
  const { key } = JSON.parse(rotated.stdout);
  expect(await ring.identify(token)).toBeUndefined();
  expect(await ring.identify(key)).toMatchObject({ name: 'shop', scopes: ['search', 'write'] });

  const listed = await runMain('keys', 'list', ...at);
  expect(listed.stdout).toMatch(/shop.*search write.*ended[\s\S]*shop.*search write.*valid/);
  expect(listed.stdout).not.toContain(key.slice(-43));
  expect(await runMain('keys', 'revoke', 'shop', ...at)).toMatchObject({ code: 0 });
  expect(await ring.identify(key)).toBeUndefined();
  expect((await runMain('keys', 'revoke', 'shop', ...at)).stderr).toContain('must have a valid key');
});

it.each([
  [['add'], /required option '--name/],
  [['add', '--name', 'x', '--scope', 'everything'], /must be one of search, write, admin/],
  [['add', '--name', 'x', '--expires', 'soon'], /30s, 15m, 24h, 90d/],
  [['rotate', 'nobody'], /must have a valid key called 'nobody'/],
])('says what is wrong with %j', async (argv, message) => {
  const { code, stderr } = await runMain('keys', ...argv, '--file', join(root, 'none.json'));
  expect(code).toBeGreaterThan(0);
  expect(stderr).toMatch(message);
});

it('lets nobody but this machine in without keys, unless that is said', async () => {
  const none = join(root, 'none.json');
  for (const argv of [
    ['--host', '0.0.0.0', '--keys', none],
    ['--keys', none],
  ])
    expect(await runMain('serve', '--catalog', root, ...argv)).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(/got none in .*none\.json\. Make one with `semblance keys add`/),
    });
  const open = await runMain('serve', '--catalog', root, '--host', '0.0.0.0', '--no-keys');
  expect(open.stderr).not.toContain('keys add'); // it goes on, to find no catalogue there
});
