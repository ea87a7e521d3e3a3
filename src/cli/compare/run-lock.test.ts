import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { lockRun } from './run-lock.js';

let folder = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-lock-'));
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const open = () => {
  const told: string[] = [];
  const controller = new AbortController();
  return {
    told,
    controller,
    options: { report: (line: string) => void told.push(line), signal: controller.signal },
  };
};

describe('the lock of a run', () => {
  it('names the process at work, and is gone after it', async () => {
    const { options } = open();
    const lock = await lockRun(folder, options);
    const holder = async () => (await readFile(join(folder, 'process.lock'), 'utf8')).split('\n')[0];
    expect(await holder()).toBe(String(process.pid));
    await lock.handTo(4321);
    expect(await holder()).toBe('4321');
    await lock.release();
    await (await lockRun(folder, options)).release();
  });

  it('waits for a process that lives, says so once, and takes over when it is gone', async () => {
    const child = spawn(process.execPath, ['-e', 'setInterval(() => {}, 1000)'], { stdio: 'ignore' });
    await once(child, 'spawn');
    await writeFile(join(folder, 'process.lock'), String(child.pid));
    const { told, options } = open();
    let isHeld = false;
    const waiting = lockRun(folder, options).then((lock) => {
      isHeld = true;
      return lock;
    });
    await new Promise((resolve) => setTimeout(resolve, 700));
    expect(isHeld).toBe(false);
    expect(told).toEqual([
      expect.stringContaining(`waiting for process ${child.pid}, which is at work in ${folder}`),
    ]);
    child.kill('SIGKILL');
    await (await waiting).release();
    expect(told).toHaveLength(1);
  });

  it('of a process that was killed counts for nothing; waiting can be interrupted', async () => {
    const gone = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
    await once(gone, 'exit');
    await writeFile(join(folder, 'process.lock'), String(gone.pid));
    const { told, options } = open();
    await (await lockRun(folder, options)).release();
    expect(told).toEqual([]);
    await writeFile(join(folder, 'process.lock'), String(process.ppid));
    const second = open();
    const waiting = lockRun(folder, second.options);
    second.controller.abort(new Error('stopped'));
    await expect(waiting).rejects.toThrow('stopped');
  });
});
