/** The command line as a function, in this process, with what it writes caught. */
import { vi } from 'vitest';
import { main } from '../../src/cli/program.js';

export async function runMain(...argv: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr'] as const) {
    vi.spyOn(process[stream], 'write').mockImplementation((text) => {
      written[stream] += String(text);
      return true;
    });
  }
  try {
    return { code: await main(argv), ...written };
  } finally {
    vi.restoreAllMocks();
  }
}
