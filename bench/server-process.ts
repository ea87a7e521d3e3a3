/** `semblance serve` of the build, as a process that benchmarks ask and look at. */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';

/** Starts it on a free port. @param options further options of the command */
export async function startServer(
  catalog: string,
  options: readonly string[] = [],
): Promise<{ child: ChildProcess; url: string }> {
  const program = join(import.meta.dirname, '../dist/cli/main.js');
  const child = spawn(process.execPath, [program, 'serve', '--catalog', catalog, '--port', '0', ...options], {
    stdio: ['ignore', 'inherit', 'pipe'],
    // As `deploy/` starts it: glibc keeps what threads freed, in a heap for each.
    env: { ...process.env, MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? '2' },
  });
  return await new Promise((resolve, reject) => {
    let said = '';
    child.stderr?.on('data', (bytes: Buffer) => {
      said = (said + bytes).slice(-10_000);
      const found = /http:\/\/[\d.]+:\d+/.exec(said)?.[0];
      if (found !== undefined) resolve({ child, url: found });
    });
    child.once('exit', (code) => reject(new Error(`serve ended with ${code}: ${said}`)));
  });
}

/** Resident, in MB, where the system says so. */
export async function memoryOf(child: ChildProcess | undefined): Promise<number | undefined> {
  if (child === undefined) return undefined;
  const status = await readFile(`/proc/${child.pid}/status`, 'utf8').catch(() => '');
  const kilobytes = /VmRSS:\s+(\d+)/.exec(status)?.[1];
  return kilobytes === undefined ? undefined : Number(kilobytes) / 1000;
}
