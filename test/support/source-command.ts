/** The command line from the sources, as a process of its own: no build is needed. */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { join } from 'node:path';

const PROGRAM = join(import.meta.dirname, '../../src/cli/main.ts');
const TSX = new URL(import.meta.resolve('tsx/esm')).href;

export interface Started {
  readonly child: ChildProcess;
  readonly done: Promise<{ code: number | null; stdout: string; stderr: string }>;
  /** Comes true once standard output or error has the text; fails when the process ends without. */
  said(text: string | RegExp): Promise<void>;
}

/** Whether this user is root and `uid` may run what is here: this node, the sources and what they need. */
export function canRunAs(uid: number): boolean {
  if (process.getuid?.() !== 0) return false;
  const argv = ['--import', TSX, PROGRAM, '--version'];
  return spawnSync(process.execPath, argv, { uid, gid: uid, stdio: 'ignore' }).status === 0;
}

/** Starts `semblance` with arguments. @param options.uid another user, where this one is root */
export function startSemblance(
  argv: readonly string[],
  options: { readonly uid?: number; readonly environment?: Readonly<Record<string, string>> } = {},
): Started {
  const { uid, environment } = options;
  const child = spawn(process.execPath, ['--import', TSX, PROGRAM, ...argv], {
    stdio: ['ignore', 'pipe', 'pipe'],
    env: { ...process.env, ...environment },
    ...(uid === undefined ? {} : { uid, gid: uid }),
  });
  const written = { stdout: '', stderr: '' };
  const waiting = new Set<() => void>();
  for (const stream of ['stdout', 'stderr'] as const)
    child[stream].on('data', (part: Buffer) => {
      written[stream] += part;
      for (const look of waiting) look();
    });
  const done = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (code) => resolve({ code, ...written }));
  });
  done.catch(() => {});
  return {
    child,
    done,
    said: (text) =>
      new Promise((resolve, reject) => {
        const look = () => {
          const all = written.stdout + written.stderr;
          if (typeof text === 'string' ? !all.includes(text) : !text.test(all)) return;
          waiting.delete(look);
          resolve();
        };
        waiting.add(look);
        look();
        void done.then(() => {
          look();
          reject(new Error(`ended without ${text}: ${written.stdout}${written.stderr}`));
        }, reject);
      }),
  };
}
