/** The database that benchmarks ask. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';

/** @param given the address of one that runs. Default: PGlite, in a process of its own that `stop` ends. */
export async function databaseAt(given: string | undefined): Promise<{ url: string; stop(): void }> {
  if (given !== undefined) return { url: given, stop() {} };
  const program = join(import.meta.dirname, '../postgres-server.ts');
  const child = spawn(process.execPath, ['--import', 'tsx', program], { stdio: ['pipe', 'pipe', 'inherit'] });
  const [line] = await once(createInterface({ input: child.stdout }), 'line');
  return { url: String(line), stop: () => child.stdin.end() };
}
