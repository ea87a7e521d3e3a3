import { execFile } from 'node:child_process';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from 'vitest';

let home = '';
beforeAll(async () => {
  home = await mkdtemp(join(tmpdir(), 'semblance-home-'));
});
afterAll(() => rm(home, { recursive: true, force: true }));

const PROGRAM = `
import { buildGraph, input, relu } from '${new URL('../graph/index.ts', import.meta.url).href}';
import { floatTensor, Session, writeModel } from '${new URL('./index.ts', import.meta.url).href}';
const x = input('x', 'float32', [3]);
const session = await Session.create(writeModel(buildGraph([x], { y: relu(x) })));
const { y } = await session.run({ x: floatTensor(Float32Array.of(-1, 0, 2), [3]) });
process.stdout.write([...y.data].join());
await session.close();
`;

it('leaves no record of sessions in the home of whoever runs them', async () => {
  const { ORT_DISABLE_TELEMETRY: _, ...environment } = process.env;
  const tsx = new URL(import.meta.resolve('tsx/esm')).href;
  const { stdout, stderr } = await promisify(execFile)(
    process.execPath,
    ['--import', tsx, '--input-type=module', '-e', PROGRAM],
    { env: { ...environment, HOME: home, XDG_CACHE_HOME: join(home, '.cache') } },
  );
  expect([stdout, stderr]).toEqual(['0,0,2', '']);
  expect(await readdir(home, { recursive: true })).toEqual([]);
});
