import { mkdir, mkdtemp, readFile, rm, unlink, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { runMain } from '../../test/support/run-main.js';
import { type TinyCatalog, writeTinyCatalog } from '../../test/support/tiny-catalog.js';
import type { Finding } from './doctor.js';

let root = '';
let tiny: TinyCatalog;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'semblance-doctor-test-'));
  tiny = await writeTinyCatalog(root);
});
afterAll(() => rm(root, { recursive: true, force: true }));

async function doctor(...argv: string[]) {
  const { code, stdout, stderr } = await runMain('doctor', '--json', ...argv);
  const { findings } = JSON.parse(stdout) as { findings: Finding[] };
  return { code, stderr, findings, of: (name: string) => findings.find((one) => one.name === name) };
}

describe('semblance doctor', () => {
  it('finds all well where it is', async () => {
    const { code, findings, of } = await doctor('--catalog', tiny.catalog);
    expect([code, findings.filter(({ status }) => status === 'failed')]).toEqual([0, []]);
    expect(findings.map(({ name }) => name)).toEqual([
      'install',
      'Node',
      'onnxruntime',
      'decoders',
      'LanceDB',
      'memory',
      'disk',
      'catalogue',
      'catalogue is whole',
      'other processes',
      'model',
    ]);
    expect(of('catalogue')?.detail).toBe('15 pictures, opened');
  });

  it('names a picture that is gone, and a model that cannot be read, and tries the rest', async () => {
    await unlink(tiny.rows[0]?.path as string);
    const weights = join(tiny.model, 'onnx', 'model.onnx');
    const bytes = await readFile(weights);
    await writeFile(weights, bytes.subarray(0, 40));
    const { code, stderr, of } = await doctor('--catalog', tiny.catalog);
    expect(code).toBe(1);
    expect(of('catalogue is whole')).toMatchObject({
      status: 'failed',
      detail: expect.stringMatching(/got 2 problems, first pictures\/red 0\.png.*catalog verify --repair/),
    });
    expect(of('model')?.status).toBe('failed');
    expect(of('catalogue')?.status).toBe('ok');
    expect(stderr).toMatch(/doctor: every part must work, got 2 that does not: catalogue is whole, model/);
  });

  it('names who is writing', async () => {
    await mkdir(join(tiny.catalog, 'locks'), { recursive: true });
    const lock = join(tiny.catalog, 'locks', 'index.lock');
    await writeFile(lock, `${process.ppid}\n${hostname()}\nother\n`);
    const { of } = await doctor('--catalog', tiny.catalog);
    await unlink(lock);
    expect(of('other processes')).toMatchObject({
      status: 'ok',
      detail: `process ${process.ppid} indexes into it: other writes wait for it, searches do not`,
    });
  });

  it('says that there is no catalogue', async () => {
    const { code, of } = await doctor('--catalog', join(root, 'none'));
    expect([code, of('catalogue')?.status]).toEqual([1, 'failed']);
    expect(of('catalogue')?.detail).toMatch(/there is no catalogue/);
    expect(of('disk')?.status).not.toBe('failed');
  });
});
