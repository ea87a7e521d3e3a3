/** PyTorch beside us: a script of `bench` in a process that sleeps until it is asked. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';

export interface Rival {
  /** Sends a line. @returns the number at the beginning of the line that comes back */
  ask(line: string): Promise<number>;
  close(): void;
}

/**
 * @param script its name in `bench`
 * @returns `undefined`, with a line that says so, where `/usr/bin/python3` has no PyTorch
 */
export async function openRival(script: string, argv: readonly string[]): Promise<Rival | undefined> {
  const path = new URL(`../${script}`, import.meta.url).pathname;
  const child = spawn('/usr/bin/python3', [path, ...argv], {
    stdio: ['pipe', 'pipe', 'ignore'],
    // By default glibc hands every large tensor back to the system and PyTorch spends its time on page faults: a batch
    // of features took 5.4 s, and with these 0.9 s.
    env: { ...process.env, MALLOC_MMAP_THRESHOLD_: '1073741824', MALLOC_TRIM_THRESHOLD_: '4294967296' },
  });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const ended = once(child, 'exit').then(() => undefined);
  const first = await Promise.race([lines.next(), ended]);
  if (typeof first?.value !== 'string' || !first.value.startsWith('ready')) {
    console.log('PyTorch is not installed: only ours is timed');
    return undefined;
  }
  return {
    async ask(line) {
      child.stdin.write(`${line}\n`);
      return Number.parseFloat(String((await lines.next()).value));
    },
    close: () => child.stdin.end(),
  };
}
