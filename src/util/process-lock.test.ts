import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { acquireLock, lockHolder } from './process-lock.js';

let folder = '';
let file = '';
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'semblance-process-lock-'));
  file = join(folder, 'locks', 'write.lock');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

async function deadProcess(): Promise<number> {
  const child = spawn(process.execPath, ['-e', ''], { stdio: 'ignore' });
  await once(child, 'exit');
  return child.pid as number;
}

describe('a lock between processes', () => {
  it('makes its folder, names its holder, and leaves nothing', async () => {
    expect(await lockHolder(file)).toBeUndefined();
    const lock = await acquireLock(file);
    expect(await lockHolder(file)).toEqual({ process: process.pid, host: hostname() });
    await lock.release();
    await lock.release();
    expect(await readdir(join(folder, 'locks'))).toEqual([]);
  });

  it('keeps two holders in one process apart', async () => {
    let inside = 0;
    let most = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lock = await acquireLock(file, { pollMs: 1 });
        most = Math.max(most, ++inside);
        await new Promise((resolve) => setTimeout(resolve, 3));
        inside--;
        await lock.release();
      }),
    );
    expect(most).toBe(1);
  });

  it('of a dead process is taken by one of many that find it', async () => {
    await (await acquireLock(file)).release();
    await writeFile(file, `${await deadProcess()}\n${hostname()}\nother\n`);
    expect(await lockHolder(file)).toBeUndefined();
    let inside = 0;
    await Promise.all(
      Array.from({ length: 8 }, async () => {
        const lock = await acquireLock(file, { pollMs: 1 });
        expect(++inside).toBe(1);
        await new Promise((resolve) => setTimeout(resolve, 2));
        inside--;
        await lock.release();
      }),
    );
    expect(await readdir(join(folder, 'locks'))).toEqual([]);
  });

  it('of an earlier process with the number of this one counts for nothing', async () => {
    await (await acquireLock(file)).release();
    await writeFile(file, `${process.pid}\n${hostname()}\nother\n`);
    await (await acquireLock(file)).release();
  });

  it('of another machine counts while it is touched', async () => {
    await (await acquireLock(file)).release();
    await writeFile(file, '1\nelsewhere\nother\n');
    expect(await lockHolder(file)).toEqual({ process: 1, host: 'elsewhere' });
    const before = new Date(Date.now() - 90_000);
    await utimes(file, before, before);
    expect(await lockHolder(file)).toBeUndefined();
  });

  it.each([
    ['back', 24],
    ['on', -24],
  ])(
    'without content, of a clock that was then set %s by a day, is waited for two seconds',
    async (_, hours) => {
      await (await acquireLock(file)).release();
      await writeFile(file, '');
      await writeFile(`${file}.takeover`, '');
      const then = new Date(Date.now() + hours * 3600_000);
      await utimes(file, then, then);
      await utimes(`${file}.takeover`, then, then);
      const startedAt = performance.now();
      await (await acquireLock(file)).release();
      expect(performance.now() - startedAt).toBeGreaterThan(1900);
      expect(performance.now() - startedAt).toBeLessThan(6000);
      expect(await readdir(join(folder, 'locks'))).toEqual([]);
    },
  );

  it('of another machine whose clock is a day behind is not taken away while it is touched', async () => {
    await (await acquireLock(file)).release();
    await writeFile(file, '1\nelsewhere\nother\n');
    let behind = Date.now() - 24 * 3600_000;
    const touch = () => utimes(file, new Date(behind), new Date(behind));
    await touch();
    const heart = setInterval(() => {
      behind += 50;
      void touch();
    }, 50);
    try {
      const signal = AbortSignal.timeout(1500);
      await expect(acquireLock(file, { pollMs: 5, signal })).rejects.toThrow(/timeout/);
      expect(await readFile(file, 'utf8')).toContain('elsewhere');
    } finally {
      clearInterval(heart);
    }
  });

  it('does not take away what another has taken over', async () => {
    const lock = await acquireLock(file);
    await writeFile(file, '1\nelsewhere\nother\n');
    await lock.release();
    expect(await readFile(file, 'utf8')).toContain('elsewhere');
  });

  it('says whom it waits for, once, and can be interrupted', async () => {
    const lock = await acquireLock(file);
    const told: number[] = [];
    const controller = new AbortController();
    const waiting = acquireLock(file, {
      pollMs: 1,
      signal: controller.signal,
      onWait: (holder) => told.push(holder.process),
    });
    setTimeout(() => controller.abort(new Error('stopped')), 30);
    await expect(waiting).rejects.toThrow('stopped');
    expect(told).toEqual([process.pid]);
    await lock.release();
  });

  it('that cannot be written is one clear error', async () => {
    await writeFile(join(folder, 'plain'), '');
    await expect(acquireLock(join(folder, 'plain', 'write.lock'))).rejects.toThrow(/write.lock: cannot be/);
  });
});
